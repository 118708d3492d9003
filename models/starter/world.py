"""The world that the starter model knows: settings, shapes, things, compositions of them, and captions.

Owns what can be shown and how people say it; painting is plain numpy and Pillow at any size.
It does not know how training batches are made (`render.py`) nor how films are made (`film.py`).
"""

import hashlib
import json
import math
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

HERE = Path(__file__).resolve().parent
EMOJI_FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
EMOJI_STRIKE_PX = 109  # the only bitmap size in the font
TEXT_FONTS = [
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf",
    "/usr/share/fonts/truetype/dejavu/DejaVuSerif.ttf",
]

COLOURS = {
    "red": (215, 30, 35), "orange": (250, 135, 20), "yellow": (250, 220, 40), "green": (40, 160, 60),
    "blue": (35, 80, 210), "purple": (125, 45, 165), "pink": (250, 140, 185), "brown": (120, 75, 40),
    "black": (15, 15, 18), "white": (245, 245, 245), "grey": (128, 128, 130),
}
COLOUR_NAMES = list(COLOURS)
COLOUR_SYNONYMS = {"purple": ["violet"], "grey": ["gray"]}

SHAPES = {
    "circle": ["circle", "disc", "dot"], "square": ["square", "box"], "triangle": ["triangle"], "star": ["star"],
    "ring": ["ring", "hoop"], "cross": ["cross", "plus sign"], "heart": ["heart"], "diamond": ["diamond", "rhombus"],
}
SHAPE_NAMES = list(SHAPES)

# Each setting: what it is called on its own, and how something is said to be in it.
SETTINGS = {
    "plain": (["plain {c} background", "{c} background", "{c} screen", "{c} wall"], ["on a {c} background", "on {c}", "on plain {c}", "in front of a {c} wall", "against a {c} background"]),
    "field": (["green field", "field under a blue sky", "meadow", "grass and blue sky", "grassland"], ["in a field", "on a green field", "on the grass", "in a meadow", "in a field under a blue sky"]),
    "sea": (["sea", "ocean", "open sea", "waves on the sea", "water and sky"], ["on the sea", "at sea", "on the ocean", "on the open water", "over the waves"]),
    "beach": (["beach", "sandy beach", "seaside", "sand and sea", "shore"], ["on the beach", "at the beach", "on a sandy beach", "by the seaside", "at the shore"]),
    "night": (["night sky", "starry sky", "stars in the dark", "starry night"], ["at night", "in the night sky", "under the stars", "in a starry night", "under a starry sky"]),
    "sunset": (["sunset", "sunrise", "orange evening sky", "dusk", "setting sun"], ["at sunset", "at dusk", "in the sunset", "in the evening", "in front of a sunset"]),
    "desert": (["desert", "sand dunes", "dunes", "sandy desert"], ["in the desert", "on a sand dune", "in the dunes", "in a sandy desert"]),
    "snow": (["snow", "winter landscape", "snowfall", "snowy field", "winter"], ["in the snow", "in winter", "on a snowy field", "in the falling snow"]),
    "forest": (["forest", "woods", "trees in a forest", "woodland", "jungle"], ["in the forest", "in the woods", "among the trees", "in the jungle"]),
    "mountains": (["mountains", "mountain landscape", "mountain range", "peaks"], ["in the mountains", "in front of mountains", "by the mountains", "in the alps"]),
    "city": (["city", "city by day", "city skyline", "houses and streets", "town"], ["in the city", "in town", "in a city by day", "in front of a skyline", "downtown"]),
    "city night": (["city at night", "night city", "city lights", "lit windows at night"], ["in the city at night", "in a city at night", "in front of city lights", "in town at night"]),
    "fire": (["fire", "flames", "burning fire", "blaze"], ["in the fire", "in flames", "in front of a fire", "on fire"]),
    "rain": (["rain", "rainy weather", "rainfall", "rainy day", "downpour"], ["in the rain", "on a rainy day", "in rainy weather", "in a downpour"]),
    "underwater": (["underwater", "under the sea", "underwater scene", "deep water"], ["underwater", "under water", "under the sea", "in deep water"]),
    "room": (["room", "indoors", "living room", "inside of a house", "interior"], ["in a room", "indoors", "in the living room", "inside a house", "at home"]),
    "stripes": (["{c} and {d} stripes", "stripes", "striped pattern"], ["on {c} and {d} stripes", "on stripes", "on a striped background"]),
    "checkerboard": (["{c} and {d} checkerboard", "checkerboard", "chequered pattern", "chessboard"], ["on a {c} and {d} checkerboard", "on a checkerboard", "on a chequered background"]),
    "title": (["title text on black", "white text on black", "title card", "credits", "title text", "words on a black screen"], []),
    "static": (["static noise", "tv static", "noise", "white noise", "snowy television picture"], []),
    "clouds": (["sky with clouds", "blue sky and clouds", "clouds", "cloudy sky"], ["in the sky", "in the clouds", "in a cloudy sky", "among the clouds"]),
    "road": (["road", "street", "highway", "asphalt road"], ["on the road", "on the street", "on a highway", "on an asphalt road"]),
    "colour bars": (["colour bars", "test pattern", "test card", "color bars"], []),
    "space": (["outer space", "space", "galaxy", "nebula"], ["in outer space", "in space", "in a galaxy", "in front of a nebula"]),
}
SETTING_NAMES = list(SETTINGS)
OBJECT_SETTINGS = [name for name in SETTING_NAMES if SETTINGS[name][1]]
COLOURED = {"plain": 1, "stripes": 2, "checkerboard": 2}

PREFIXES = ["a photo of", "a picture of", "a video of", "a scene with", "footage of", "there is", "a clip of", "we see", "an image of", "find", "show me", "a shot of"]
COUNT_WORDS = {2: ["two", "2", "two", "a pair of"], 3: ["three", "3", "three"]}
IRREGULAR_PLURALS = {
    "mouse": "mice", "sheep": "sheep", "fish": "fish", "foot": "feet", "tooth": "teeth", "goose": "geese", "leaf": "leaves", "knife": "knives", "wolf": "wolves",
    "person": "people", "man": "men", "woman": "women", "child": "children", "deer": "deer", "bison": "bison", "die": "dice", "loaf": "loaves", "elf": "elves", "shrimp": "shrimp", "squid": "squid",
}
# Heads that have no plural of their own, or take no article.
UNCOUNTED = {
    "bread", "cheese", "bacon", "popcorn", "salt", "butter", "honey", "garlic", "corn", "broccoli", "lettuce", "cabbage", "sushi", "spaghetti", "pasta", "curry", "paella", "yarn", "rice", "milk", "coffee",
    "whisky", "soda", "champagne", "beer", "tea", "wood", "money", "luggage", "makeup", "soap", "toast", "yoga", "laughing emoji", "ping pong", "badminton", "bowling", "dna", "poo", "blood", "applause", "lightning",
    "tableware", "cutlery", "confetti", "laundry", "news", "haircut", "meat", "chocolate", "ice hockey", "tennis", "table tennis", "camping", "taking a bath", "riding a bike", "lifting weights", "thunder", "dynamite",
}


@dataclass(frozen=True)
class Entity:
    """One kind of object in a picture: a thing of the emoji font, or a coloured shape, one to three times."""

    kind: str  # "thing" or "shape"
    index: int
    colour: int  # into COLOUR_NAMES; -1 for things
    count: int


@dataclass(frozen=True)
class Composition:
    """What a picture shows: a setting, its colours where it has any, and up to two kinds of objects."""

    setting: str
    colours: tuple
    entities: tuple


def load_things():
    """Returns the things, each `{"glyphs": [...], "names": [...]}`; the first name is the usual one."""
    return json.loads((HERE / "things.json").read_text(encoding="utf-8"))


THINGS = load_things()


# ---------------------------------------------------------------- compositions


def hashed_out(key):
    """Whether a composition key falls into the tenth that training never sees."""
    return hashlib.md5(key.encode()).digest()[0] < 26


def entity_key(entity):
    if entity.kind == "thing":
        return THINGS[entity.index]["names"][0]
    return f"{COLOUR_NAMES[entity.colour]} {SHAPE_NAMES[entity.index]}"


def held_out(composition):
    """Whether a composition belongs to the held-out tenth.

    A thing is held out together with its setting (with each of the setting's colours), whatever its count;
    a shape together with its count, colour and setting; a composition of two is held out if either part is.
    """
    places = [f"{composition.setting}:{COLOUR_NAMES[colour]}" for colour in composition.colours] or [composition.setting]
    for entity in composition.entities:
        count = f"{entity.count} " if entity.kind == "shape" else ""
        if all(hashed_out(f"{count}{entity_key(entity)}|{place}") for place in places):
            return True
    return False


def draw_colours(rng, setting):
    wanted = COLOURED.get(setting, 0)
    return tuple(rng.sample(range(len(COLOURS)), wanted))


def clashes(composition):
    """Whether a shape would vanish in front of its own colour."""
    looks = {"snow": {"white"}, "night": {"black"}, "space": {"black"}, "field": {"green"}, "forest": {"green"}, "desert": {"yellow", "orange"},
             "sea": {"blue"}, "underwater": {"blue"}, "fire": {"orange", "red"}, "sunset": {"orange"}, "road": {"grey"}, "city night": {"black"}, "rain": {"grey"}}
    taken = {COLOUR_NAMES[colour] for colour in composition.colours} | looks.get(composition.setting, set())
    return any(entity.kind == "shape" and COLOUR_NAMES[entity.colour] in taken for entity in composition.entities)


def draw_entity(rng, kind, count):
    if kind == "thing":
        return Entity("thing", rng.randrange(len(THINGS)), -1, count)
    return Entity("shape", rng.randrange(len(SHAPES)), rng.randrange(len(COLOURS)), count)


def draw_composition(rng, want_held_out):
    """Draws a composition from the held-out tenth or from the rest; settings alone belong to both."""
    roll = rng.random()
    if roll < 0.07:
        setting = rng.choice(SETTING_NAMES)
        return Composition(setting, draw_colours(rng, setting), ())
    setting = "plain" if rng.random() < 0.06 else rng.choice(OBJECT_SETTINGS)
    while True:
        if roll < 0.62:
            entities = (draw_entity(rng, "thing", rng.choice((1, 1, 1, 1, 1, 1, 2, 3))),)
        elif roll < 0.82:
            entities = (draw_entity(rng, "shape", rng.choice((1, 2, 3))),)
        else:
            entities = tuple(draw_entity(rng, rng.choice(("thing", "thing", "shape")), 1) for _ in range(2))
            if entities[0] == entities[1] or entities[0].kind == entities[1].kind == "shape" and entities[0].index == entities[1].index:
                continue
        composition = Composition(setting, draw_colours(rng, setting), entities)
        if not clashes(composition) and held_out(composition) == want_held_out:
            return composition


def vary_composition(rng, composition):
    """Returns a near neighbour (one attribute changed) outside the held-out tenth: a hard negative."""
    for _ in range(10):
        setting, colours, entities = composition.setting, composition.colours, list(composition.entities)
        roll = rng.random()
        if not entities or roll < 0.4:
            setting = rng.choice(OBJECT_SETTINGS)
            colours = draw_colours(rng, setting)
        else:
            place = rng.randrange(len(entities))
            old = entities[place]
            if old.kind == "shape":
                change = rng.choice(("colour", "index", "count"))
                entities[place] = Entity(
                    "shape",
                    rng.randrange(len(SHAPES)) if change == "index" else old.index,
                    rng.randrange(len(COLOURS)) if change == "colour" else old.colour,
                    rng.choice((1, 2, 3)) if change == "count" and len(entities) == 1 else old.count,
                )
            elif roll < 0.55 and len(entities) == 1:
                entities[place] = Entity("thing", old.index, -1, rng.choice((1, 2, 3)))
            else:
                # Neighbours in the list are of one family (animals, fruit, vehicles): the hardest to tell apart.
                near = min(max(old.index + rng.randint(-12, 12), 0), len(THINGS) - 1)
                entities[place] = Entity("thing", near, -1, old.count)
        if len(entities) == 2 and entities[0].index == entities[1].index and entities[0].kind == entities[1].kind:
            continue
        changed = Composition(setting, colours, tuple(entities))
        if changed != composition and not clashes(changed) and not held_out(changed):
            return changed
    return composition


# ---------------------------------------------------------------- captions


def is_plural(name):
    head = name.split(" ")[-1] if " of " not in name and " with " not in name and " on " not in name and " in " not in name else name.split(" ")[0]
    return head.endswith("s") and not head.endswith(("ss", "us", "is")) and head not in ("bus", "cactus", "lens", "compass", "gas")


def pluralise(name):
    """Returns the plural of a name: `glass of wine` → `glasses of wine`."""
    if is_plural(name):
        return name
    for link in (" of ", " with ", " on ", " in ", " behind ", " covering "):
        if link in name:
            head, rest = name.split(link, 1)
            return pluralise(head) + link + rest
    *front, last = name.split(" ")
    if last in IRREGULAR_PLURALS:
        last = IRREGULAR_PLURALS[last]
    elif last.endswith(("woman", "man")) and last != "human":
        last = last[:-2] + "en"
    elif last.endswith(("s", "x", "ch", "sh", "z")):
        last += "es"
    elif last.endswith("y") and last[-2:-1] not in "aeiou":
        last = last[:-1] + "ies"
    else:
        last += "s"
    return " ".join([*front, last])


def with_article(name):
    if is_plural(name) or name in UNCOUNTED or name.split(" ")[-1] in UNCOUNTED:
        return name
    return ("an " if name[0] in "aeiou" and not name.startswith(("uni", "euro", "ufo", "one")) or name.startswith(("x-", "hour")) else "a ") + name


def entity_words(rng, entity, plain):
    """Returns the entity's phrase without an article, its phrase with one, whether the count and whether the colour is said."""
    says_colour = True
    if entity.kind == "thing":
        names = THINGS[entity.index]["names"]
        name = names[0] if plain or len(names) == 1 or rng.random() < 0.6 else rng.choice(names[1:])
    else:
        shapes = SHAPES[SHAPE_NAMES[entity.index]]
        name = shapes[0] if plain or rng.random() < 0.8 else rng.choice(shapes)
        colour = COLOUR_NAMES[entity.colour]
        if not plain and rng.random() < 0.15:
            colour = rng.choice(COLOUR_SYNONYMS.get(colour, [colour]))
        says_colour = plain or rng.random() < 0.93
        name = f"{colour} {name}" if says_colour else name
    if entity.count == 1:
        return name, with_article(name), False, says_colour
    many = pluralise(name)
    if plain or rng.random() < 0.85:
        counted = f"{('two', 'three')[entity.count - 2] if plain else rng.choice(COUNT_WORDS[entity.count])} {many}"
        return counted, counted, True, says_colour
    return many, many, False, says_colour


def setting_words(rng, composition, plain):
    """Returns the setting's noun, its preposition phrase ("" if it has none), and how many of its colours each says."""
    nouns, places = SETTINGS[composition.setting]
    colours = [COLOUR_NAMES[colour] for colour in composition.colours]
    if not plain:
        colours = [rng.choice(COLOUR_SYNONYMS.get(colour, [colour])) if rng.random() < 0.2 else colour for colour in colours]
    if len(colours) == 2 and not plain and rng.random() < 0.5:
        colours.reverse()
    fill = dict(zip("cd", colours))
    noun = nouns[0] if plain else rng.choice(nouns)
    place = "" if not places else places[0] if plain or rng.random() < 0.4 else rng.choice(places)
    filled = place.format(**fill).replace(" a orange", " an orange")
    return noun.format(**fill), filled, "{c}" in noun, "{c}" in place


@dataclass(frozen=True)
class Caption:
    """A caption and what it claims: a picture of which every claim holds is not a false match.

    `setting` is empty when the setting is unsaid; `colours` are those of the setting, empty when unsaid;
    `claims` are (entity, count said, colour said).
    """

    text: str
    setting: str
    colours: tuple
    claims: tuple


def caption(rng, composition, full=False, plain=False):
    """Phrases a caption. `full` says setting and every object; `plain` uses only the usual names and one order."""
    entities = list(composition.entities)
    noun, place, noun_colours, place_colours = setting_words(rng, composition, plain or (full and bool(composition.colours) and rng.random() < 0.5))
    if full and composition.colours and not (noun_colours and (place_colours or not place)):
        noun, place, noun_colours, place_colours = setting_words(rng, composition, True)
    said = [(entity, *entity_words(rng, entity, plain)) for entity in entities]
    if not entities:
        text = noun if plain or rng.random() < 0.5 else f"{rng.choice(PREFIXES)} {with_article(noun)}"
        return Caption(finish(rng, text, plain), composition.setting, composition.colours if noun_colours else (), ())
    if len(said) == 2 and not plain and rng.random() < 0.5:
        said.reverse()
    roll = 0.5 if full else rng.random()
    if roll < 0.04:  # the setting alone
        text = noun if rng.random() < 0.6 else f"{rng.choice(PREFIXES)} {with_article(noun)}"
        return Caption(finish(rng, text, plain), composition.setting, composition.colours if noun_colours else (), ())
    if len(said) == 2 and not full and rng.random() < 0.12:
        said = said[:1]
    bare = [words[1] for words in said]
    articled = [words[2] for words in said]
    claims = tuple((words[0], words[3], words[4]) for words in said)
    joined = f" {rng.choice(('and', 'and', 'with', 'next to', 'beside')) if not plain else 'and'} ".join(articled)
    if roll < 0.45:  # the objects alone
        text = rng.choice((joined, " and ".join(bare), " ".join(bare), joined))
        if rng.random() < 0.25:
            text = f"{rng.choice(PREFIXES)} {text}"
        return Caption(finish(rng, text, plain), "", (), claims)
    style = 0.0 if plain else rng.random()
    colours_said = place_colours
    if style < 0.5:
        text = f"{joined} {place}"
    elif style < 0.62:
        text = f"{', '.join(bare)}, {noun}"
        colours_said = noun_colours
    elif style < 0.70:
        text = f"{place}, {joined}"
    elif style < 0.78:
        text = f"{noun} with {joined}"
        colours_said = noun_colours
    elif style < 0.86:
        text = f"{' '.join(bare)} {place}"
    elif style < 0.93:
        text = f"{' '.join(bare)} {noun}"
        colours_said = noun_colours
    else:
        text = f"{noun} {' '.join(bare)}"
        colours_said = noun_colours
    if not plain and 0.5 > style and rng.random() < 0.3:
        text = f"{rng.choice(PREFIXES)} {text}"
    return Caption(finish(rng, text, plain), composition.setting, composition.colours if colours_said else (), claims)


def holds(claimed, composition):
    """Whether everything a caption claims is true of a composition."""
    if claimed.setting and claimed.setting != composition.setting:
        return False
    if claimed.colours and sorted(claimed.colours) != sorted(composition.colours):
        return False

    def shown(entity, says_count, says_colour):
        return any(
            (other.kind, other.index) == (entity.kind, entity.index)
            and (not says_colour or other.colour == entity.colour)
            and (not says_count or other.count == entity.count)
            for other in composition.entities
        )

    return all(shown(*claim) for claim in claimed.claims)


def finish(rng, text, plain):
    """Adds what fingers do: capitals (the tokenizer undoes them), a full stop, "the" for "a", a slip."""
    if plain:
        return text
    roll = rng.random()
    if roll < 0.05:
        return text + "."
    if roll < 0.10:
        return text.replace("a ", "the ", 1) if text.startswith("a ") else text
    if roll < 0.12 and len(text) > 8:
        slip = rng.randrange(1, len(text) - 1)
        return text[:slip] + text[slip + 1:]
    return text


# ---------------------------------------------------------------- sprites


def paint_glyph(glyph):
    """Paints one emoji of the font, cropped, on a square of transparent pixels. **Shape** square RGBA image of about 130 px."""
    font = ImageFont.truetype(EMOJI_FONT, EMOJI_STRIKE_PX)
    canvas = Image.new("RGBA", (200, 200))
    ImageDraw.Draw(canvas).text((20, 20), glyph, font=font, embedded_color=True)
    return squared(canvas.crop(canvas.getbbox()))


def squared(image):
    side = max(image.size) + 4
    square = Image.new("RGBA", (side, side))
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def paint_shape(name, side=512):
    """Paints one shape in white on transparent pixels, to be tinted by a colour. **Shape** 128 × 128 RGBA image."""
    mask = Image.new("L", (side, side))
    draw = ImageDraw.Draw(mask)
    low, high, middle = 0.04 * side, 0.96 * side, side / 2
    if name == "circle":
        draw.ellipse((low, low, high, high), fill=255)
    elif name == "square":
        draw.rectangle((0.1 * side, 0.1 * side, 0.9 * side, 0.9 * side), fill=255)
    elif name == "triangle":
        draw.polygon([(middle, low), (high, 0.88 * side), (low, 0.88 * side)], fill=255)
    elif name == "star":
        points = []
        for corner in range(10):
            radius = 0.48 * side if corner % 2 == 0 else 0.19 * side
            angle = math.pi * corner / 5 - math.pi / 2
            points.append((middle + radius * math.cos(angle), middle + radius * math.sin(angle)))
        draw.polygon(points, fill=255)
    elif name == "ring":
        draw.ellipse((low, low, high, high), fill=255)
        draw.ellipse((0.25 * side, 0.25 * side, 0.75 * side, 0.75 * side), fill=0)
    elif name == "cross":
        draw.rectangle((0.36 * side, low, 0.64 * side, high), fill=255)
        draw.rectangle((low, 0.36 * side, high, 0.64 * side), fill=255)
    elif name == "heart":
        t = np.linspace(0, 2 * np.pi, 200)
        x = 16 * np.sin(t) ** 3
        y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
        draw.polygon([(middle + a * side * 0.028, middle - 0.03 * side + b * side * 0.028) for a, b in zip(x, y)], fill=255)
    elif name == "diamond":
        draw.polygon([(middle, low), (0.86 * side, middle), (middle, high), (0.14 * side, middle)], fill=255)
    else:
        raise ValueError(f"no shape is called {name}")
    image = Image.new("RGBA", (side, side), (255, 255, 255, 0))
    image.putalpha(mask)
    return image.resize((128, 128), Image.LANCZOS)


def shade(rng, colour):
    """Draws a shade of a named colour, as three floats of 0..255."""
    base = np.array(COLOURS[COLOUR_NAMES[colour]], float)
    return np.clip(base * rng.uniform(0.88, 1.08) + np.array([rng.uniform(-12, 12) for _ in range(3)]), 0, 255)


def layout(rng, n_instances, aspect):
    """Places objects without much overlap. Returns (x, y, size): the centre in 0..1 of the frame, the size in frame heights."""
    high = {1: 0.85, 2: 0.55, 3: 0.45}[n_instances] * min(1.0, aspect * 1.1)
    low = {1: 0.30, 2: 0.26, 3: 0.22}[n_instances] * min(1.0, aspect * 1.2)
    for attempt in range(60):
        common = rng.uniform(low, high) * (1 - attempt / 120)
        places = []
        for _ in range(n_instances):
            size = common * rng.uniform(0.85, 1.15)
            half_x, half_y = 0.46 * size / aspect, 0.46 * size
            x = rng.uniform(half_x, 1 - half_x) if half_x < 0.5 else 0.5
            y = rng.uniform(half_y, 1 - half_y) if half_y < 0.5 else 0.5
            places.append((x, y, size))
        apart = all(
            math.hypot((a[0] - b[0]) * aspect, a[1] - b[1]) > 0.5 * (a[2] + b[2]) * 0.95
            for i, a in enumerate(places) for b in places[:i]
        )
        if apart:
            break
    return places


# ---------------------------------------------------------------- backgrounds


def fractal(nprng, height, width, cells=3, octaves=4, fall=0.55):
    """Returns smooth noise of 0..1. **Shape** `[height, width]`."""
    total = np.zeros((height, width), np.float32)
    weight = 1.0
    for octave in range(octaves):
        n = cells * 2**octave
        grid = nprng.random((n + 1, max(2, round(n * width / height)) + 1), np.float32)
        total += weight * np.asarray(Image.fromarray(grid).resize((width, height), Image.BICUBIC))
        weight *= fall
    total -= total.min()
    return total / max(float(total.max()), 1e-6)


def blend(low, high, t):
    """Mixes two colours by a map of 0..1. **Shape** `[h, w, 3]`."""
    return np.asarray(low, np.float32) + (np.asarray(high, np.float32) - np.asarray(low, np.float32)) * t[..., None]


def grid(height, width):
    return np.meshgrid(np.linspace(0, 1, width, dtype=np.float32), np.linspace(0, 1, height, dtype=np.float32))


def jitter(nprng, colour, amount=15):
    return np.clip(np.asarray(colour, np.float32) + nprng.uniform(-amount, amount, 3), 0, 255).astype(np.float32)


def sky_blue(nprng, height, width):
    _, v = grid(height, width)
    picture = blend(jitter(nprng, (70, 140, 230)), jitter(nprng, (185, 220, 250)), v)
    clouds = np.clip((fractal(nprng, height, width, 3) - nprng.uniform(0.55, 0.8)) * 4, 0, 1)
    return blend_map(picture, (250, 250, 252), clouds * 0.9)


def blend_map(picture, colour, alpha):
    return picture + (np.asarray(colour, np.float32) - picture) * alpha[..., None]


def paint_plain(nprng, height, width, colours):
    rng = random.Random(int(nprng.integers(1 << 30)))
    base = shade(rng, colours[0]).astype(np.float32)
    u, v = grid(height, width)
    slope = nprng.uniform(-14, 14) * (u - 0.5) + nprng.uniform(-14, 14) * (v - 0.5)
    return base + slope[..., None] + (fractal(nprng, height, width, 4)[..., None] - 0.5) * nprng.uniform(0, 10)


def paint_field(nprng, height, width, _):
    u, v = grid(height, width)
    picture = sky_blue(nprng, height, width)
    horizon = nprng.uniform(0.35, 0.6) + 0.04 * np.sin(u * nprng.uniform(2, 7) + nprng.uniform(0, 6))
    depth = np.clip((v - horizon) / (1 - horizon), 0, 1)
    grass = blend(jitter(nprng, (130, 185, 70)), jitter(nprng, (45, 125, 35)), depth) + (fractal(nprng, height, width, 12, 3)[..., None] - 0.5) * 45
    return np.where((v > horizon)[..., None], grass, picture)


def water(nprng, height, width, v, horizon, near=(20, 80, 150), far=(70, 140, 190)):
    depth = np.clip((v - horizon) / (1 - horizon), 0, 1)
    noise = np.asarray(Image.fromarray(fractal(nprng, height, max(4, width // 6), 14, 3)).resize((width, height), Image.BICUBIC))
    picture = blend(jitter(nprng, far), jitter(nprng, near), depth)
    return picture + ((noise - 0.5) * 80 * (0.4 + depth))[..., None]


def paint_sea(nprng, height, width, _):
    _, v = grid(height, width)
    horizon = nprng.uniform(0.3, 0.5)
    return np.where((v > horizon)[..., None], water(nprng, height, width, v, horizon), sky_blue(nprng, height, width))


def paint_beach(nprng, height, width, _):
    u, v = grid(height, width)
    horizon = nprng.uniform(0.2, 0.35)
    shore = nprng.uniform(0.5, 0.68) + 0.04 * np.sin(u * nprng.uniform(3, 8) + nprng.uniform(0, 6)) + nprng.uniform(-0.12, 0.12) * (u - 0.5)
    picture = np.where((v > horizon)[..., None], water(nprng, height, width, v, horizon, (60, 170, 190), (40, 120, 190)), sky_blue(nprng, height, width))
    picture = np.where((v > shore)[..., None], jitter(nprng, (230, 205, 150)) + (fractal(nprng, height, width, 20, 2)[..., None] - 0.5) * 35, picture)
    foam = np.exp(-(((v - shore) / 0.018) ** 2))
    return blend_map(picture, (250, 250, 250), foam * 0.9)


def paint_night(nprng, height, width, _):
    _, v = grid(height, width)
    picture = blend(jitter(nprng, (6, 8, 28), 6), jitter(nprng, (25, 30, 75), 12), v)
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(int(nprng.integers(50, 130))):
        x, y = nprng.uniform(0, width), nprng.uniform(0, height * 0.95)
        radius = height * nprng.choice([0.004, 0.005, 0.008])
        glow = int(nprng.uniform(150, 255))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(glow, glow, int(glow * 0.92)))
    if nprng.random() < 0.4:
        x, y, radius = nprng.uniform(0.1, 0.9) * width, nprng.uniform(0.1, 0.3) * height, height * nprng.uniform(0.04, 0.08)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(245, 240, 210))
    picture = np.asarray(image, np.float32)
    if nprng.random() < 0.6:
        u, v = grid(height, width)
        hills = nprng.uniform(0.8, 0.92) + 0.05 * np.sin(u * nprng.uniform(3, 9) + nprng.uniform(0, 6))
        picture = np.where((v > hills)[..., None], np.float32([5, 6, 12]), picture)
    return picture


def paint_sunset(nprng, height, width, _):
    u, v = grid(height, width)
    horizon = nprng.uniform(0.6, 0.8)
    top, middle, low = jitter(nprng, (90, 50, 120), 25), jitter(nprng, (235, 95, 50)), jitter(nprng, (255, 200, 80))
    t = np.clip(v / horizon, 0, 1)
    picture = np.where((t < 0.5)[..., None], blend(top, middle, t * 2), blend(middle, low, np.clip(t * 2 - 1, 0, 1)))
    bands = np.asarray(Image.fromarray(fractal(nprng, height, max(4, width // 5), 8, 3)).resize((width, height), Image.BICUBIC))
    picture = blend_map(picture, jitter(nprng, (150, 50, 80)), np.clip(bands - 0.6, 0, 1) * 1.5)
    x, y, radius = nprng.uniform(0.15, 0.85), horizon - nprng.uniform(-0.02, 0.15), nprng.uniform(0.06, 0.11)
    distance = np.hypot((u - x) * width / height, v - y) / radius
    picture = blend_map(picture, (255, 245, 190), np.clip(3 - 2.5 * distance, 0, 1))
    picture = blend_map(picture, (255, 210, 110), np.exp(-distance) * 0.6)
    ground = jitter(nprng, (40, 22, 35), 10)
    if nprng.random() < 0.5:
        glint = np.exp(-(((u - x) / 0.08) ** 2)) * nprng.random((height, width)) * 0.8
        ground = blend_map(np.broadcast_to(jitter(nprng, (110, 55, 75)), (height, width, 3)), (255, 190, 90), glint)
    edge = horizon + 0.02 * np.sin(u * nprng.uniform(3, 10))
    return np.where((v > edge)[..., None], ground, picture)


def paint_desert(nprng, height, width, _):
    u, v = grid(height, width)
    picture = blend(jitter(nprng, (120, 180, 230)), jitter(nprng, (240, 225, 190)), v * 1.8)
    for dune in range(int(nprng.integers(2, 5))):
        base = 0.42 + 0.16 * dune + nprng.uniform(-0.05, 0.05)
        edge = base + 0.09 * np.sin(u * nprng.uniform(2, 6) + nprng.uniform(0, 6.3))
        shadow = np.clip((v - edge) * 3, 0, 1)
        sand = blend(jitter(nprng, (238, 190, 110)), jitter(nprng, (190, 130, 65)), shadow)
        sand = sand + (np.sin((v + 0.1 * np.sin(u * 6)) * 160) * 5)[..., None]
        picture = np.where((v > edge)[..., None], sand, picture)
    return picture


def paint_snow(nprng, height, width, _):
    u, v = grid(height, width)
    picture = blend(jitter(nprng, (160, 180, 205)), jitter(nprng, (215, 225, 235)), v * 1.6)
    horizon = nprng.uniform(0.45, 0.62) + 0.05 * np.sin(u * nprng.uniform(2, 6) + nprng.uniform(0, 6))
    ground = blend((238, 242, 250), (218, 228, 242), fractal(nprng, height, width, 4))
    picture = np.where((v > horizon)[..., None], ground, picture)
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(int(nprng.integers(0, 6))):
        x, base, tall = nprng.uniform(0, width), nprng.uniform(0.5, 0.68) * height, nprng.uniform(0.12, 0.28) * height
        for layer in range(3):
            top, wide = base - tall * (0.4 + 0.3 * layer), tall * (0.32 - 0.08 * layer)
            draw.polygon([(x - wide, top + tall * 0.4), (x + wide, top + tall * 0.4), (x, top)], fill=(70, 100, 95))
    for _ in range(int(nprng.integers(60, 200))):
        x, y, radius = nprng.uniform(0, width), nprng.uniform(0, height), height * nprng.uniform(0.004, 0.012)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(255, 255, 255))
    return np.asarray(image, np.float32)


def paint_forest(nprng, height, width, _):
    _, v = grid(height, width)
    leaves = fractal(nprng, height, width, 10, 4)
    picture = blend(jitter(nprng, (15, 50, 20), 8), jitter(nprng, (85, 150, 60)), leaves)
    ground = nprng.uniform(0.72, 0.85)
    floor = blend(jitter(nprng, (70, 60, 30)), jitter(nprng, (60, 95, 35)), fractal(nprng, height, width, 12, 3))
    picture = np.where((v > ground)[..., None], floor, picture)
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(int(nprng.integers(5, 12))):
        x, wide, foot = nprng.uniform(0, width), height * nprng.uniform(0.015, 0.05), (ground + nprng.uniform(-0.02, 0.12)) * height
        bark = nprng.uniform(0.6, 1.2)
        draw.polygon([(x - wide * 0.7, 0), (x + wide * 0.7, 0), (x + wide, foot), (x - wide, foot)], fill=tuple(int(c * bark) for c in (72, 50, 32)))
    crowns = np.clip((fractal(nprng, height, width, 8, 4) - 0.45) * 5, 0, 1) * np.clip(1.3 - v * 2.2, 0, 1)
    return blend_map(np.asarray(image, np.float32), jitter(nprng, (45, 110, 40)), crowns)


def paint_mountains(nprng, height, width, _):
    u, v = grid(height, width)
    picture = sky_blue(nprng, height, width)
    for layer in range(int(nprng.integers(2, 4))):
        base = 0.5 + 0.14 * layer
        ridge = np.zeros(width, np.float32)
        for octave in range(5):
            n = 3 * 2**octave
            ridge += np.interp(np.linspace(0, n, width), np.arange(n + 1), nprng.random(n + 1)).astype(np.float32) * 0.5**octave
        ridge = base - 0.3 * (ridge / 1.9) + 0.08
        rock = blend(jitter(nprng, (125, 130, 150)), jitter(nprng, (70, 75, 90)), np.clip((v - ridge) * 3, 0, 1))
        rock = rock + (fractal(nprng, height, width, 10, 3)[..., None] - 0.5) * 50
        rock = np.where(((v - ridge) < nprng.uniform(0.04, 0.1) - 0.25 * (ridge - ridge.min()))[..., None], np.float32([240, 244, 250]), rock)
        picture = np.where((v > ridge)[..., None], rock, picture)
    foot = nprng.uniform(0.8, 0.92)
    return np.where((v > foot)[..., None], jitter(nprng, (70, 110, 60)) + (fractal(nprng, height, width, 14, 2)[..., None] - 0.5) * 30, picture)


def skyline(nprng, height, width, picture, walls, glass, lit, road):
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    street = nprng.uniform(0.8, 0.9) * height
    for depth in range(2):
        x = -nprng.uniform(0, 0.1) * height
        while x < width:
            wide, tall = height * nprng.uniform(0.1, 0.24), height * nprng.uniform(0.3, 0.72) * (1 - 0.25 * depth)
            tone = walls[int(nprng.integers(len(walls)))] * nprng.uniform(0.8, 1.1) * (0.85 + 0.15 * depth)
            draw.rectangle((x, street - tall, x + wide, street), fill=tuple(int(c) for c in np.clip(tone, 0, 255)))
            pitch = height * nprng.uniform(0.028, 0.045)
            for row in np.arange(street - tall + pitch * 0.6, street - pitch, pitch):
                for column in np.arange(x + pitch * 0.5, x + wide - pitch * 0.6, pitch):
                    if nprng.random() < lit:
                        draw.rectangle((column, row, column + pitch * 0.5, row + pitch * 0.55), fill=tuple(int(c) for c in np.clip(glass * nprng.uniform(0.75, 1.1), 0, 255)))
            x += wide + height * nprng.uniform(-0.01, 0.05)
    draw.rectangle((0, street, width, height), fill=tuple(int(c) for c in road))
    for x in np.arange(0, width, height * 0.2):
        y = (street + height) / 2
        draw.rectangle((x, y, x + height * 0.09, y + height * 0.012), fill=(210, 210, 190))
    return np.asarray(image, np.float32)


def paint_city(nprng, height, width, _):
    walls = [jitter(nprng, c, 12) for c in ((190, 180, 165), (160, 100, 80), (150, 155, 165), (205, 195, 170))]
    return skyline(nprng, height, width, sky_blue(nprng, height, width), walls, np.float32([95, 125, 155]), 0.95, jitter(nprng, (95, 95, 98), 8))


def paint_city_night(nprng, height, width, _):
    _, v = grid(height, width)
    sky = blend(jitter(nprng, (8, 8, 25), 5), jitter(nprng, (45, 35, 70), 10), v)
    walls = [jitter(nprng, c, 6) for c in ((28, 28, 42), (38, 34, 48), (22, 26, 36))]
    return skyline(nprng, height, width, sky, walls, np.float32([255, 215, 110]), nprng.uniform(0.3, 0.6), (24, 24, 30))


def paint_fire(nprng, height, width, _):
    u, v = grid(height, width)
    noise = np.asarray(Image.fromarray(fractal(nprng, max(4, height // 3), width, 6, 4)).resize((width, height), Image.BICUBIC))
    heat = np.clip(v * 1.35 - 0.35 + (noise - 0.5) * 1.5, 0, 1)
    stops = np.float32([[12, 4, 2], [120, 18, 5], [225, 75, 10], [255, 175, 35], [255, 245, 170]])
    scaled = heat * 3.999
    low = scaled.astype(int)
    return stops[low] + (stops[low + 1] - stops[low]) * (scaled - low)[..., None]


def paint_rain(nprng, height, width, _):
    _, v = grid(height, width)
    picture = blend(jitter(nprng, (95, 105, 120)), jitter(nprng, (140, 148, 158)), v) + (fractal(nprng, height, width, 3)[..., None] - 0.5) * 50
    ground = nprng.uniform(0.7, 0.85)
    picture = np.where((v > ground)[..., None], jitter(nprng, (70, 78, 88)) + (fractal(nprng, height, width, 10, 2)[..., None] - 0.5) * 30, picture)
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    slant = nprng.uniform(-0.25, 0.25)
    for _ in range(int(nprng.integers(90, 220))):
        x, y, long = nprng.uniform(-0.1, 1.1) * width, nprng.uniform(-0.1, 1) * height, height * nprng.uniform(0.05, 0.12)
        draw.line((x, y, x + slant * long, y + long), fill=(195, 208, 225), width=max(1, round(height * 0.005)))
    return np.asarray(image, np.float32)


def paint_underwater(nprng, height, width, _):
    u, v = grid(height, width)
    picture = blend(jitter(nprng, (45, 165, 190)), jitter(nprng, (5, 40, 90)), v)
    for _ in range(int(nprng.integers(2, 6))):
        x, lean, wide = nprng.uniform(0, 1), nprng.uniform(-0.4, 0.4), nprng.uniform(0.03, 0.09)
        picture = blend_map(picture, (150, 225, 230), np.exp(-(((u - x - lean * v) / wide) ** 2)) * (1 - v) * 0.5)
    if nprng.random() < 0.7:
        floor = nprng.uniform(0.82, 0.93) + 0.03 * np.sin(u * nprng.uniform(4, 10))
        picture = np.where((v > floor)[..., None], jitter(nprng, (95, 120, 100)), picture)
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(int(nprng.integers(8, 40))):
        x, y, radius = nprng.uniform(0, width), nprng.uniform(0, height), height * nprng.uniform(0.006, 0.022)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=(190, 235, 240), width=max(1, round(height * 0.004)))
    for _ in range(int(nprng.integers(0, 7))):
        x, tall = nprng.uniform(0, width), height * nprng.uniform(0.1, 0.3)
        points = [(x + height * 0.015 * math.sin(step), height - tall * step / 8) for step in range(9)]
        draw.line(points, fill=(30, 120, 70), width=max(1, round(height * 0.014)))
    return np.asarray(image, np.float32)


def paint_room(nprng, height, width, _):
    wall = jitter(nprng, [(225, 205, 175), (200, 215, 205), (215, 195, 195), (205, 205, 220)][int(nprng.integers(4))])
    image = Image.new("RGB", (width, height), tuple(int(c) for c in wall))
    draw = ImageDraw.Draw(image)
    floor = nprng.uniform(0.66, 0.78) * height
    wood = jitter(nprng, (150, 105, 65))
    draw.rectangle((0, floor, width, height), fill=tuple(int(c) for c in wood))
    for x in np.linspace(-width, 2 * width, 22):
        draw.line((x, height, width / 2 + (x - width / 2) * 0.6, floor), fill=tuple(int(c * 0.8) for c in wood), width=max(1, round(height * 0.004)))
    draw.rectangle((0, floor - height * 0.02, width, floor), fill=(245, 240, 230))
    x, y, wide, tall = nprng.uniform(0.05, 0.75) * width, nprng.uniform(0.1, 0.2) * height, nprng.uniform(0.2, 0.3) * height, nprng.uniform(0.25, 0.35) * height
    draw.rectangle((x, y, x + wide, y + tall), fill=(250, 250, 245))
    draw.rectangle((x + wide * 0.06, y + tall * 0.06, x + wide * 0.94, y + tall * 0.94), fill=(160, 205, 240))
    draw.rectangle((x + wide * 0.48, y, x + wide * 0.52, y + tall), fill=(250, 250, 245))
    draw.rectangle((x, y + tall * 0.48, x + wide, y + tall * 0.52), fill=(250, 250, 245))
    if nprng.random() < 0.6:
        x = nprng.uniform(0, 0.7) * width
        tone = jitter(nprng, (110, 75, 50), 25)
        draw.rectangle((x, floor - height * 0.2, x + height * 0.4, floor + height * 0.05), fill=tuple(int(c) for c in tone))
        draw.rectangle((x + height * 0.04, floor - height * 0.14, x + height * 0.36, floor - height * 0.02), fill=tuple(int(min(255, c * 1.25)) for c in tone))
    if nprng.random() < 0.5:
        x = nprng.uniform(0.05, 0.9) * width
        draw.rectangle((x, height * 0.2, x + height * 0.13, height * 0.36), fill=(120, 85, 50))
        draw.rectangle((x + height * 0.015, height * 0.215, x + height * 0.115, height * 0.345), fill=tuple(int(c) for c in nprng.uniform(80, 220, 3)))
    return np.asarray(image, np.float32) * (1 - 0.15 * grid(height, width)[1][..., None])


def paint_stripes(nprng, height, width, colours):
    rng = random.Random(int(nprng.integers(1 << 30)))
    u, v = grid(height, width)
    angle = nprng.choice([0, math.pi / 2, math.pi / 4, -math.pi / 4])
    wave = (u * width / height * math.cos(angle) + v * math.sin(angle)) * nprng.uniform(3, 7) + nprng.uniform(0, 1)
    return np.where((wave % 1 < 0.5)[..., None], shade(rng, colours[0]), shade(rng, colours[1])).astype(np.float32)


def paint_checkerboard(nprng, height, width, colours):
    rng = random.Random(int(nprng.integers(1 << 30)))
    u, v = grid(height, width)
    n = nprng.uniform(4, 8)
    odd = (np.floor(u * width / height * n + nprng.uniform(0, 1)) + np.floor(v * n + nprng.uniform(0, 1))) % 2
    return np.where((odd > 0)[..., None], shade(rng, colours[0]), shade(rng, colours[1])).astype(np.float32)


TITLE_WORDS = "the a of and in story night day river house last first long little great lost summer winter return secret garden city part one two directed by produced music end chapter home world light dream".split()


def paint_title(nprng, height, width, _):
    image = Image.new("RGB", (width, height), tuple(int(c) for c in nprng.integers(0, 14, 3)))
    draw = ImageDraw.Draw(image)
    size = height * nprng.uniform(0.07, 0.15)
    font = ImageFont.truetype(TEXT_FONTS[int(nprng.integers(len(TEXT_FONTS)))], max(6, round(size)))
    n_lines = int(nprng.integers(1, 5))
    ink = [(255, 255, 255), (235, 235, 230), (250, 240, 200)][int(nprng.integers(3))]
    y = height / 2 - n_lines * size * 0.65
    for _ in range(n_lines):
        words = " ".join(nprng.choice(TITLE_WORDS, int(nprng.integers(1, 5))))
        words = words.upper() if nprng.random() < 0.5 else words.title()
        while draw.textlength(words, font=font) > width * 0.95 and " " in words:
            words = words.rsplit(" ", 1)[0]
        draw.text(((width - draw.textlength(words, font=font)) / 2, y), words, font=font, fill=ink)
        y += size * 1.3
    return np.asarray(image, np.float32)


def paint_static(nprng, height, width, _):
    cell = height / nprng.uniform(60, 160)
    rows, columns = max(2, round(height / cell)), max(2, round(width / cell))
    noise = nprng.integers(0, 256, (rows, columns)).astype(np.uint8)
    picture = np.asarray(Image.fromarray(noise).resize((width, height), Image.NEAREST), np.float32)
    return np.repeat(picture[..., None], 3, 2)


def paint_clouds(nprng, height, width, _):
    _, v = grid(height, width)
    picture = blend(jitter(nprng, (50, 120, 215)), jitter(nprng, (150, 200, 245)), v)
    clouds = np.clip((fractal(nprng, height, width, 2, 5, 0.6) - nprng.uniform(0.4, 0.5)) * 4, 0, 1)
    return blend_map(picture, jitter(nprng, (245, 246, 250), 5), clouds)


def paint_road(nprng, height, width, _):
    u, v = grid(height, width)
    picture = sky_blue(nprng, height, width)
    horizon, centre = nprng.uniform(0.32, 0.45), nprng.uniform(0.4, 0.6)
    depth = np.clip((v - horizon) / (1 - horizon), 0, 1)
    verge = jitter(nprng, [(110, 150, 70), (170, 150, 100), (125, 130, 95)][int(nprng.integers(3))])
    picture = np.where((v > horizon)[..., None], verge + (fractal(nprng, height, width, 14, 2)[..., None] - 0.5) * 30, picture)
    off = np.abs(u - centre) / (0.02 + depth * nprng.uniform(0.5, 0.7))
    picture = np.where(((v > horizon) & (off < 1))[..., None], jitter(nprng, (85, 85, 90), 8) + (fractal(nprng, height, width, 30, 1)[..., None] - 0.5) * 14, picture)
    dashes = (v > horizon) & (off < 0.035) & ((1 / (depth + 0.12) * 2.2) % 1 < 0.55)
    edges = (v > horizon) & (off > 0.88) & (off < 0.94)
    return np.where((dashes | edges)[..., None], np.float32([240, 238, 225]), picture)


def paint_colour_bars(nprng, height, width, _):
    bars = np.float32([[192, 192, 192], [192, 192, 0], [0, 192, 192], [0, 192, 0], [192, 0, 192], [192, 0, 0], [0, 0, 192]])
    u, v = grid(height, width)
    picture = bars[np.minimum((u * 7).astype(int), 6)]
    low = nprng.uniform(0.65, 0.8)
    blocks = np.float32([[0, 33, 76], [255, 255, 255], [50, 0, 106], [19, 19, 19], [19, 19, 19]])
    if nprng.random() < 0.7:
        picture = np.where((v > low)[..., None], blocks[np.minimum((u * 5).astype(int), 4)], picture)
    return picture


def paint_space(nprng, height, width, _):
    cloud, veil = fractal(nprng, height, width, 2, 5), fractal(nprng, height, width, 3, 4)
    picture = blend((4, 3, 10), jitter(nprng, [(120, 40, 160), (40, 90, 180), (170, 50, 90)][int(nprng.integers(3))], 25), np.clip((cloud - 0.4) * 1.9, 0, 1))
    picture = blend_map(picture, jitter(nprng, (230, 140, 200), 30), np.clip((veil - 0.68) * 2.5, 0, 1) * cloud)
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(int(nprng.integers(30, 90))):
        x, y, radius = nprng.uniform(0, width), nprng.uniform(0, height), height * nprng.choice([0.003, 0.005, 0.009])
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=tuple(int(c) for c in nprng.uniform(180, 255, 3)))
    return np.asarray(image, np.float32)


PAINTERS = {
    "plain": paint_plain, "field": paint_field, "sea": paint_sea, "beach": paint_beach, "night": paint_night, "sunset": paint_sunset, "desert": paint_desert,
    "snow": paint_snow, "forest": paint_forest, "mountains": paint_mountains, "city": paint_city, "city night": paint_city_night, "fire": paint_fire,
    "rain": paint_rain, "underwater": paint_underwater, "room": paint_room, "stripes": paint_stripes, "checkerboard": paint_checkerboard, "title": paint_title,
    "static": paint_static, "clouds": paint_clouds, "road": paint_road, "colour bars": paint_colour_bars, "space": paint_space,
}


def paint_background(seed, setting, colours, width, height):
    """Paints a setting. **Shape** RGB image of `width` × `height`."""
    picture = PAINTERS[setting](np.random.default_rng(seed), height, width, colours)
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


def soften(image, radius):
    return image.filter(ImageFilter.GaussianBlur(radius)) if radius > 0 else image
