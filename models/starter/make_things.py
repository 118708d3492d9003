"""Chooses the things of the starter model's world and writes them to `things.json`.

A thing is one or several pictures of the Noto Color Emoji font under one name with its synonyms.
Names come from the CLDR annotations (Debian's `unicode-cldr-core`) or, where those are clumsy, from the table below;
a keyword that two things share is dropped, because it would name neither.
Pictures that show the same animal or vehicle (`dog`, `dog face`) are one thing with several glyphs.

Run it again only to change the world: a model must be trained on the very file that names its things.
"""

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

HERE = Path(__file__).resolve().parent
ANNOTATIONS = "/usr/share/unicode/cldr/common/annotations/en.xml"
MAX_SYNONYMS = 4

# `+` joins the glyphs of one thing; skin tones, flags, keycaps, clock faces, arrows, letters and the many
# near-identical smileys and people are left out because 64 pixels cannot tell them apart.
CHOSEN = """
😂+🤣 😍 😘 😜+😛 🤔 😴 😷 🤢 🥵 🥶 🤯 🤠 🥳 😎 🤓 😭 😡 😇 🤡 😈+👿 💀 ☠ 💩 👹 👺 👻 👽 👾 🤖 🙈 💋 💌 💔 💥 💣 💬
👋 👌 ✌ 👍 👎 ✊ 👏 🙏 ✍ 💅 💪 🦾 🦶 👃 🧠 🫀 🫁 🦷 🦴 👀 👁 👅 👄 👶 👴 👵 👮 🕵 💂 🥷 👷 👸 🧕 👰 🎅 🦸 🧙 🧚 🧛 🧜 🧞 🧟
🧑‍🚀 🧑‍🚒 🧑‍🍳 🚶 🏃 💃 🕺 🧗 🤺 🏇 ⛷ 🏂 🏌 🏄 🚣 🏊 🏋 🚴 🤹 🧘 🛀 🛌 👪 👣
🐒+🐵 🦍 🦧 🐕+🐶+🦮 🐩 🐺 🦊 🦝 🐈+🐱 🐈‍⬛ 🦁 🐅+🐯 🐆 🐎+🐴 🦄 🦓 🦌 🦬 🐄+🐮 🐖+🐷 🐗 🐏 🐑 🐐 🐪+🐫 🦙 🦒 🐘 🦣 🦏 🦛 🐁+🐭 🐹
🐇+🐰 🐿 🦫 🦔 🦇 🐻 🐻‍❄ 🐨 🐼 🦥 🦦 🦨 🦘 🦡 🐾 🦃 🐔 🐓 🐣 🐤+🐥 🐦 🐧 🕊 🦅 🦆 🦢 🦉 🦤 🪶 🦩 🦚 🦜 🐸 🐊 🐢 🦎 🐍 🐉+🐲 🦕 🦖
🐋+🐳 🐬 🦭 🐟 🐠 🐡 🦈 🐙 🐚 🐌 🦋 🐛 🐜 🐝 🪲 🐞 🕷 🕸 🦂 🦟 🪱 🦠
💐 🌸 🌹 🥀 🌺 🌻 🌼 🌷 🌱 🪴 🌲 🌳 🌴 🌵 🌾 🌿 ☘+🍀 🍁 🍂 🍃 🪷 🪸 🪺
🍇 🍈 🍉 🍊 🍋 🍌 🍍 🥭 🍎 🍏 🍐 🍑 🍒 🍓 🫐 🥝 🍅 🫒 🥥 🥑 🍆 🥔 🥕 🌽 🌶 🫑 🥒 🥬 🥦 🧄 🧅 🍄 🥜 🫘 🌰 🍞 🥐 🥖 🥨 🥯 🥞 🧇 🧀 🍖 🍗 🥩 🥓 🍔 🍟
🍕 🌭 🥪 🌮 🌯 🧆 🥚 🍳 🥘 🍲 🫕 🥣 🥗 🍿 🧈 🧂 🥫 🍱 🍙 🍚 🍛 🍜 🍝 🍠 🍣 🍤 🍥 🍡 🥟 🥠 🥡 🦀 🦞 🦐 🦑 🦪 🍦 🍧 🍨 🍩 🍪 🎂 🍰 🧁 🥧 🍫 🍬 🍭
🍮 🍯 🍼 🥛 ☕ 🫖 🍵 🍶 🍾 🍷 🍸 🍹 🍺 🍻 🥂 🥃 🥤 🧋 🧉 🧊 🥢 🍴+🍽 🥄 🔪 🏺 🫙
🌍+🌎+🌏 🗺 🧭 🌋 🗻+🏔 🏟 🏛 🏗 🧱 🪨 🪵 🛖 🏚 🏠+🏡 🏢 🏥 🏨 🏭 🏯 🏰 🗼 🗽 ⛪ 🕌 🛕 ⛩ 🕋 ⛲ ⛺+🏕 🎠 🎡 🎢 💈 🎪 🛝
🚂 🚄+🚅 🚆 🚇 🚊 🚌+🚍 🚐 🚑 🚒 🚓+🚔 🚕+🚖 🚗+🚘 🚙 🛻 🚚 🚛 🚜 🏎 🏍 🛵 🦽 🛺 🚲 🛴 🛹 🛼 🚏 🛤 🛢 ⛽ 🚨 🚦 🛑 🚧 ⚓ 🛟 ⛵ 🛶 🚤 🚢 ✈ 🛩 🪂 💺
🚁 🚠 🛰 🚀 🛸 🛎 🧳 ⌛+⏳ ⌚ ⏰ 🕰 🌑 🌕 🌙 ☀+🌞 🪐 ☁ ⛅ ⛈ 🌧 🌪 🌈 🌂 ☂ ⛱ ⚡ ❄ ⛄+☃ ☄ 💧
🎃 🎄 🎆 🎇 🧨 ✨ 🎈 🎉 🎊 🎏 🎐 🧧 🎀 🎁 🎟+🎫 🎖 🏆 🥇 🥈 🥉 ⚽ ⚾ 🏀 🏐 🏈 🎾 🥏 🎳 🏏 🏒 🥍 🏓 🏸 🥊 🥋 🥅 ⛳ ⛸ 🎣 🤿 🎽 🎿 🛷 🥌 🎯 🪀 🪁
🔮 🪄 🎮 🕹 🎰 🎲 🧩 🧸 🪅 🪩 🃏 🀄 🎭 🖼 🎨 🧵 🧶 🪢 👓 🕶 🥽 🥼 🦺 👔 👕 👖 🧣 🧤 🧥 🧦 👗 👘 🥻 🩱 🩳 👙 👚 👛 👜 🛍 🎒 🩴 👞 👟 🥾 👠
🩰 👢 👑 👒 🎩 🎓 🧢 🪖 ⛑ 📿 💄 💍 💎 🔊 📣 📯 🔔 🎵 🎙 🎛 🎤 🎧 📻 🎷 🪗 🎸 🎹 🎺 🎻 🪕 🥁 🪘 📱 ☎ 📞 📟 🔋 🔌 💻 🖥 🖨 ⌨ 🖱 💾 💿 🧮 🎥 🎞 📽 🎬
📺 📷 📹 📼 🔍+🔎 🕯 💡 🔦 🏮 🪔 📕 📖 📗 📘 📙 📚 📜 📄 📰 🔖 💰 🪙 💵 💶 💸 💳 🧾 ✉ 📦 📫 🗳 ✏ 🖋 🖊 🖌 🖍 📝 💼 📁 📅 🗒 📈 📊 📋 📍 📎 📏 📐 ✂
🗄 🗑 🔒 🔑 🔨 🪓 ⛏ 🛠 🗡 ⚔ 🔫 🪃 🏹 🛡 🪚 🔧 🪛 🔩 ⚙ ⚖ ⛓ 🪝 🧰 🧲 🪜 ⚗ 🧪 🧬 🔬 🔭 📡 💉 🩸 💊 🩹 🩺 🩻 🩼 🚪 🛗 🪞 🪟 🛏 🛋 🪑 🚽 🪠 🚿 🛁 🪤 🪒 🧴 🧹 🧺 🧻
🪣 🧼 🪥 🧽 🧯 🛒 🚬 ⚰ 🪦 🗿 🪧 ♿ ⚠ ⛔ ☢ ☣ ☯ ☮ 🕎 ♻ ⚜ 🔱 ❓
"""

# Plain names where the CLDR name is clumsy or not what people type; the first is the name, the rest are synonyms.
NAMES = {
    "😂": "laughing face, laughing emoji", "😍": "face in love, heart eyes", "😘": "kissing face", "😜": "face with tongue out, cheeky face",
    "🤔": "thinking face", "😴": "sleeping face", "😷": "face with a mask, masked face",
    "🤢": "green sick face, nauseated face", "🥵": "hot face, sweating face", "🥶": "freezing face, cold face",
    "🤯": "exploding head", "🤠": "cowboy, cowboy face", "🥳": "partying face, party face", "😎": "face with sunglasses, cool face",
    "🤓": "nerd, nerd face", "😭": "crying face, weeping face", "😡": "angry face, enraged face",
    "😇": "face with a halo, smiling angel", "🤡": "clown, clown face", "😈": "devil, devil face, demon", "☠": "skull and crossbones, pirate sign",
    "💩": "poo, pile of poo", "👾": "space invader, alien monster", "🙈": "monkey covering its eyes, see no evil monkey", "💋": "lips, kiss mark",
    "💥": "explosion, collision", "💬": "speech bubble, speech balloon",
    "👋": "waving hand", "👌": "ok hand", "✌": "victory hand, peace hand", "✊": "raised fist, fist", "👏": "clapping hands, applause", "🙏": "folded hands, praying hands",
    "💪": "muscle, strong arm, biceps", "🦾": "robot arm, mechanical arm", "🫀": "human heart, anatomical heart", "👴": "old man, grandfather", "👵": "old woman, grandmother",
    "💂": "guard, guardsman", "🧕": "woman with a headscarf", "👰": "bride", "🎅": "santa claus, father christmas, santa", "🧙": "wizard, mage", "🧜": "mermaid, merperson",
    "🧑‍🍳": "cook, chef", "🚶": "walking person, pedestrian", "🏃": "running person, runner", "💃": "dancing woman, dancer", "🕺": "dancing man, disco dancer",
    "🧗": "climber, climbing person", "🤺": "fencer, fencing person", "🏇": "jockey, horse race", "⛷": "skier, skiing person", "🏂": "snowboarder, snowboarding person",
    "🏌": "golfer, golfing person", "🏄": "surfer, surfing person", "🚣": "rowing boat, rower", "🏊": "swimmer, swimming person", "🏋": "weightlifter, lifting weights",
    "🚴": "cyclist, riding a bike", "🤹": "juggler, juggling person", "🧘": "yoga, meditating person", "🛀": "person in a bath, taking a bath", "🛌": "person in bed",
    "👪": "family", "🐕": "dog, puppy, hound", "🐈": "cat, kitten, kitty", "🐇": "rabbit, bunny", "🐏": "ram", "🐑": "sheep, lamb, ewe", "🐪": "camel, dromedary",
    "🦏": "rhino, rhinoceros", "🦛": "hippo, hippopotamus", "🐿": "squirrel, chipmunk", "🦇": "bat", "🐾": "paw prints", "🐔": "hen, chicken", "🐤": "chick, baby chick",
    "🕊": "dove, white dove", "🪶": "feather", "🐊": "crocodile, alligator", "🐢": "turtle, tortoise", "🦎": "lizard, gecko", "🐍": "snake, serpent", "🦕": "long-necked dinosaur, sauropod, brontosaurus",
    "🦖": "tyrannosaurus, t-rex", "🐋": "whale", "🐬": "dolphin", "🐡": "pufferfish, blowfish", "🐚": "seashell, shell", "🐛": "caterpillar", "🐝": "bee, honeybee",
    "🐞": "ladybug, ladybird, lady beetle", "🦠": "microbe, virus, germ", "🌹": "rose", "🌼": "daisy, blossom", "🌲": "pine tree, fir tree, evergreen tree",
    "🌳": "tree, deciduous tree", "🌾": "wheat, rice plant, sheaf", "🌿": "herb", "☘": "clover, shamrock", "🍂": "fallen leaves, autumn leaves", "🍃": "green leaves, leaves in the wind",
    "🪺": "nest with eggs, bird nest", "🍊": "orange fruit, tangerine, mandarin", "🍎": "red apple, apple", "🍏": "green apple", "🥝": "kiwi, kiwi fruit", "🍆": "eggplant, aubergine",
    "🌽": "corn, maize", "🌶": "chili pepper, hot pepper", "🥬": "lettuce, leafy greens, cabbage", "🥖": "baguette, french bread", "🧀": "cheese", "🍖": "meat on a bone",
    "🍗": "chicken leg, drumstick", "🥩": "steak, raw meat", "🍔": "hamburger, burger, cheeseburger", "🍟": "french fries, fries, chips", "🌭": "hot dog, hotdog",
    "🍳": "fried egg, frying pan", "🥘": "paella, pan of food", "🍲": "stew, pot of food", "🥣": "bowl with a spoon, cereal bowl", "🥗": "salad", "🥫": "tin can, canned food",
    "🍱": "bento box, lunch box", "🍚": "bowl of rice, cooked rice", "🍛": "curry, curry rice", "🍜": "noodle soup, ramen, noodles", "🍝": "spaghetti, pasta", "🍠": "sweet potato",
    "🍤": "fried shrimp, tempura", "🍥": "fish cake", "🥡": "takeaway box, takeout box", "🍦": "ice cream cone, soft ice cream", "🍧": "shaved ice", "🍨": "bowl of ice cream, ice cream",
    "🍩": "donut, doughnut", "🍪": "cookie, biscuit", "🎂": "birthday cake", "🍰": "slice of cake, shortcake", "🍫": "chocolate, chocolate bar", "🍬": "candy, sweet", "🍮": "pudding, custard, flan",
    "🍯": "honey, honey pot", "🍼": "baby bottle", "🥛": "glass of milk, milk", "☕": "coffee, cup of coffee", "🍵": "cup of green tea, bowl of tea, green tea", "🍾": "champagne bottle, bottle of champagne",
    "🍷": "glass of wine, wine glass, red wine", "🍸": "martini, cocktail glass", "🍹": "tropical drink", "🍺": "beer, mug of beer", "🍻": "clinking beer mugs, beer mugs", "🥂": "clinking glasses, champagne glasses",
    "🥃": "whisky, glass of whisky", "🥤": "soda, cup with a straw, soft drink", "🧉": "mate tea, mate", "🧊": "ice cube", "🍴": "fork and knife, cutlery", "🔪": "kitchen knife, knife", "🏺": "amphora, vase, jug",
    "🌍": "globe, planet earth, earth", "🗺": "world map", "🗻": "snowy mountain peak, mount fuji", "🏛": "greek temple, classical building", "🏗": "construction crane, building site", "🧱": "brick wall, bricks",
    "🪵": "wood log, log", "🏚": "ruined house, abandoned house", "🏠": "house, home", "🏢": "office building, office block", "🏯": "japanese castle",
    "🗼": "tokyo tower, red tower", "⛩": "shinto shrine, torii gate", "⛺": "tent, camping", "🎠": "carousel, merry-go-round", "🎪": "circus tent, circus", "🛝": "playground slide",
    "🚂": "steam train, locomotive", "🚄": "bullet train, high-speed train", "🚆": "train", "🚇": "metro, subway, underground train", "🚊": "tram",
    "🚌": "bus", "🚐": "van, minibus", "🚒": "fire engine, fire truck", "🚓": "police car", "🚕": "taxi, cab", "🚗": "car, automobile", "🚙": "suv, jeep, blue car", "🚚": "delivery truck, truck",
    "🚛": "lorry, semi truck", "🏎": "racing car, race car", "🏍": "motorcycle, motorbike", "🛵": "motor scooter, moped", "🦽": "wheelchair", "🛺": "auto rickshaw, tuk tuk",
    "🚲": "bicycle, bike", "🛴": "kick scooter", "🛼": "roller skate", "🛤": "railway track, rails", "🛢": "oil drum, barrel", "⛽": "petrol pump, gas pump, fuel pump",
    "🚨": "siren, police light", "🚦": "traffic light", "🚧": "road barrier, construction barrier", "🛟": "lifebuoy, ring buoy, lifebelt", "🛶": "canoe, kayak",
    "🚢": "ship, ocean liner", "✈": "airplane, plane, aeroplane", "🛩": "small airplane, small plane", "💺": "seat", "🚠": "cable car, gondola",
    "🛸": "ufo, flying saucer", "🛎": "reception bell, bellhop bell", "🧳": "suitcase, luggage", "⌛": "hourglass", "⌚": "wrist watch, watch", "🕰": "mantel clock, old clock", "🌑": "dark moon, new moon",
    "🌕": "full moon", "🌙": "crescent moon, moon", "☀": "sun", "🪐": "saturn, ringed planet", "⛅": "sun behind a cloud", "⛈": "thunderstorm cloud", "🌧": "rain cloud",
    "🌂": "closed umbrella", "☂": "umbrella, parasol", "⛱": "beach umbrella", "⚡": "lightning bolt, high voltage", "⛄": "snowman", "💧": "drop of water, droplet",
    "🎃": "pumpkin, halloween pumpkin, jack-o-lantern", "🎉": "party popper", "🎏": "carp streamer, fish kite", "🎀": "pink ribbon, bow ribbon", "🎁": "gift, present, wrapped gift",
    "🎟": "ticket", "🏆": "trophy, cup trophy", "🥇": "gold medal, first place medal", "🥈": "silver medal, second place medal", "🥉": "bronze medal, third place medal", "⚽": "soccer ball, football",
    "🏈": "american football", "🎾": "tennis ball, tennis", "🥏": "frisbee, flying disc", "🎳": "bowling pins, bowling", "🏏": "cricket bat", "🏒": "ice hockey stick, ice hockey",
    "🏓": "table tennis, ping pong", "🏸": "badminton, shuttlecock", "🥋": "karate suit, judo uniform", "⛳": "golf flag, golf hole", "🎣": "fishing rod, fishing pole", "🤿": "diving mask, snorkel", "🎽": "running shirt", "🥌": "curling stone",
    "🎯": "dartboard, bullseye, target", "🎮": "game controller, gamepad", "🎲": "dice, die", "🧩": "puzzle piece, jigsaw", "🧸": "teddy bear, teddy", "🪩": "disco ball, mirror ball",
    "🃏": "joker card, playing card", "🀄": "mahjong tile", "🎭": "theatre masks, theater masks", "🖼": "framed picture, painting", "🎨": "artist palette, paint palette", "🧵": "spool of thread, thread",
    "🧶": "yarn, ball of wool", "👓": "glasses, eyeglasses", "🥽": "goggles", "👔": "shirt and tie, necktie", "👕": "t-shirt, shirt", "👖": "jeans, trousers", "🩱": "swimsuit", "👚": "pink blouse, blouse",
    "👜": "handbag", "🛍": "shopping bags", "🎒": "backpack, school bag", "🩴": "flip-flop, sandal", "👞": "leather shoe, brown shoe", "👟": "sneaker, running shoe, trainer", "👠": "high heel, high-heeled shoe",
    "👢": "boot", "👒": "sun hat, straw hat", "🎓": "graduation cap", "🧢": "baseball cap, cap", "🪖": "army helmet, military helmet", "⛑": "rescue helmet", "💎": "diamond gem, gemstone, jewel",
    "🔊": "loudspeaker, speaker", "📣": "megaphone", "📯": "post horn, postal horn", "🎙": "studio microphone", "🎛": "control knobs", "🎧": "headphones", "🎹": "piano keys, keyboard instrument, piano", "🪘": "long drum, conga",
    "📱": "mobile phone, smartphone, cell phone", "☎": "telephone, red telephone", "📞": "telephone receiver", "🔌": "electric plug, power plug", "💻": "laptop, notebook computer", "🖥": "desktop computer, monitor",
    "⌨": "computer keyboard", "🖱": "computer mouse", "💿": "compact disc, cd", "🎞": "film strip, film frames", "📽": "film projector", "🎬": "clapperboard", "📺": "television, tv",
    "📷": "camera, photo camera", "📹": "video camera, camcorder", "📼": "video cassette, vhs tape", "🔍": "magnifying glass", "💡": "light bulb", "🏮": "red paper lantern, paper lantern", "🪔": "oil lamp, diya lamp",
    "📕": "red book, closed book", "📖": "open book", "📚": "stack of books, pile of books", "📄": "sheet of paper, document", "💰": "bag of money, money bag",
    "💵": "dollar notes, dollars", "💶": "euro notes, euros", "💸": "flying money, money with wings", "✉": "envelope, letter", "📦": "cardboard box, package, parcel",
    "📫": "mailbox", "🗳": "ballot box", "🖋": "fountain pen", "🖊": "ballpoint pen, pen", "📁": "file folder", "🗒": "spiral notepad", "📈": "rising chart, chart going up",
    "📍": "map pin, red pin", "📏": "ruler", "📐": "triangle ruler, set square", "🗄": "filing cabinet", "🗑": "trash can, wastebasket, bin", "🔒": "padlock, closed lock",
    "🪓": "axe, hatchet", "⛏": "pickaxe, pick", "🛠": "hammer and wrench, tools", "⚔": "crossed swords, swords", "🔫": "water pistol, water gun", "🏹": "bow and arrow", "🪚": "saw, handsaw", "🔩": "nut and bolt, screw",
    "⚙": "gear, cogwheel", "⚖": "balance scale, scales", "⛓": "chains", "⚗": "alembic, distillation flask", "🧬": "dna", "📡": "satellite dish", "🩸": "drop of blood, blood",
    "🩹": "plaster, sticking plaster, bandage", "🩻": "x-ray", "🛋": "couch, sofa", "🛁": "bathtub", "🧻": "toilet paper, roll of paper", "🛒": "shopping cart, shopping trolley", "⚰": "coffin", "🪦": "gravestone, tombstone",
    "🗿": "moai, easter island statue, stone head", "🪧": "placard, protest sign", "♿": "wheelchair sign", "⚠": "warning sign", "⛔": "no entry sign", "☢": "radioactive sign", "☣": "biohazard sign", "♻": "recycling sign",
    "⚜": "fleur-de-lis", "🔱": "trident", "❓": "question mark", "🛑": "stop sign", "🏊‍": "swimmer", "🕷": "spider", "👶": "baby", "👁": "eye", "🎡": "ferris wheel", "🛰": "satellite", "🌸": "cherry blossom, pink flower",
}
# The CLDR keywords that people would look a picture up under; the rest ("lazy", "taurus") say nothing one can see.
GOOD_KEYWORDS = {
    "mind blown", "cop", "sleuth", "spy", "worker", "headscarf", "hero", "dracula", "djinn", "engineer", "gardener",
    "lion", "polar bear", "arctic fox", "ape", "honey badger", "sea lion", "peahen", "earthworm", "maple", "grape",
    "citrus", "berries", "blueberry", "capsicum", "toadstool", "peanut", "loaf", "pancake", "meatball", "empanada",
    "shellfish", "iceberg", "boulder", "yurt", "haircut", "yacht", "alarm", "whirlwind", "thunder", "dynamite", "confetti",
    "chime", "hoop", "sledge", "sleigh", "jigsaw", "rope", "twine", "vest", "jacket", "queen", "necklace", "beads",
    "makeup", "sax", "drumsticks", "fax", "torch", "news", "projector", "folder", "archer", "cane", "lift", "hoist",
    "reflection", "mousetrap", "shampoo", "laundry", "picnic", "pail", "brush", "candlestick", "footprint", "firetruck",
    "octagonal", "pickup", "patrol", "coaster", "temple", "ferris", "map", "fortune", "magic", "slot", "mahjong",
    "candelabrum", "floppy", "credit", "calendar", "manicure", "dentist", "brain", "police", "wisent", "alpaca", "cygnet",
}


def read_annotations():
    """Returns the CLDR name and keywords of each emoji."""
    names, keywords = {}, {}
    for node in ElementTree.parse(ANNOTATIONS).iter("annotation"):
        if node.get("type") == "tts":
            names[node.get("cp")] = node.text
        else:
            keywords[node.get("cp")] = [word.strip() for word in node.text.split("|")]
    return names, keywords


def clean(name):
    """Returns the name in lower case with plain apostrophes and no punctuation a searcher would not type."""
    return re.sub(r"[^a-z0-9' -]", "", name.lower().replace("’", "'")).strip()


def main():
    cldr_names, cldr_keywords = read_annotations()
    groups = [token.split("+") for token in CHOSEN.split()]
    glyphs = [glyph for group in groups for glyph in group]
    assert len(glyphs) == len(set(glyphs)), "a glyph was chosen twice"
    named = []
    for group in groups:
        given = NAMES.get(group[0])
        named.append([clean(name) for name in given.split(",")] if given else [clean(cldr_names[group[0]])])
    owners = {}
    for index, (group, names) in enumerate(zip(groups, named)):
        for word in set(names) | {clean(word) for glyph in group for word in cldr_keywords.get(glyph, [])}:
            owners.setdefault(word, set()).add(index)
    things = []
    for index, (group, names) in enumerate(zip(groups, named)):
        for word in map(clean, cldr_keywords.get(group[0], [])):
            if len(names) < MAX_SYNONYMS and word not in names and len(owners[word]) == 1 and word in GOOD_KEYWORDS:
                names.append(word)
        things.append({"glyphs": group, "names": names})
    all_names = [name for thing in things for name in thing["names"]]
    shared = {name for name in all_names if all_names.count(name) > 1}
    assert not shared, f"two things share a name: {sorted(shared)}"
    lines = ",\n".join(json.dumps(thing, ensure_ascii=False) for thing in things)
    (HERE / "things.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(f"{len(things)} things, {len(glyphs)} glyphs, {len(all_names)} names")


if __name__ == "__main__":
    main()
