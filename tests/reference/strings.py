"""Writes clip_ids.tsv: texts that people and programs may ask with, and a hash of the ids that transformers gives them with the real
CLIP tokenizer, padded to 77.

    python tests/reference/strings.py [FOLDER OF THE TOKENIZER]

The texts are made here, by chance with a fixed seed: words in twenty scripts, emoji and their sequences, mixtures, long queries, control
characters, composed and decomposed letters, blanks. A line is the hash (FNV-1a, 64 bits, over the ids as little-endian u32), a tab, and
the text as JSON.
"""

import json
import os
import pathlib
import random
import struct
import sys
import unicodedata

os.environ["HF_HUB_OFFLINE"] = "1"
from transformers import AutoTokenizer

HERE = pathlib.Path(__file__).resolve().parent
REAL_CLIP = pathlib.Path(os.environ.get("SCENED_TEST_CLIP", HERE.parents[2] / "shared" / "clip-vit-base-patch32"))
CONTEXT = 77

# First and last letter of the ranges that words are made of.
SCRIPTS = {
    "latin": "az", "latin capitals": "AZ", "latin 1": "àÿ", "latin extended": "āž", "greek": "Αω", "cyrillic": "Ая", "armenian": "աև",
    "hebrew": "את", "arabic": "اي", "devanagari": "अह", "bengali": "অহ", "tamil": "அஹ", "thai": "กฮ", "georgian": "აჰ", "ethiopic": "ሀፐ",
    "khmer": "កអ", "hangul": "가힣", "hiragana": "ぁん", "katakana": "ァヶ", "han": "一龥", "tibetan": "ཀཨ", "cherokee": "ᎠᏴ", "gothic": "𐌰𐍊",
}  # fmt: skip
MARKS = {"devanagari": "ािीुूेैोौ्", "arabic": "ًٌٍَُِّْ", "hebrew": "ְֱֲֳִֵ", "thai": "ัิีึืุู่้", "tamil": "ாிீுூெே்", "bengali": "ািীুূে্", "khmer": "ាិីឹឺុូ្", "latin": "\u0301\u0308\u0327\u030a"}
EMOJI = ["🐈", "🏖️", "👩‍👩‍👧‍👦", "👨🏽‍🚀", "🏳️‍🌈", "🇩🇪", "🇯🇵", "1️⃣", "👍🏿", "❤️", "🧑‍🤝‍🧑", "🐕‍🦺", "☃", "✈︎", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🫠"]
WORDS = """a the of two red blue dog dogs cat children people car street night rain sunset beach mountain snow birthday cake kitchen cooking
running swimming riding bicycle boat river bridge garden football concert stage wedding dance close-up aerial view drone shot of in on under
behind with without near holding wearing hat umbrella man woman baby old new 1999 2024 4k 60fps don't it's they're we've I'm you'll he'd
café naïve Zürich São señor crème""".split()
CONTROL = ["\x00", "\x01", "\x07", "\x08", "\x0b", "\x0c", "\x1b[31m", "\x1c", "\x1f", "\x7f", "\x80", "\x85", "\x9f", "\u00a0", "\u00ad", "\u180e", "\u200b", "\u200c",
           "\u200d", "\u200e", "\u2028", "\u2029", "\u202e", "\u2060", "\u3000", "\ufeff", "\ufffc", "\ufffd", "\U000e0001", "\t", "\n", "\r\n"]  # fmt: skip
FIXED = [
    "", " ", "   ", "\t\n\r ", "\u3000", "\u00a0", "\u200b", ".", "...", "?!", "'", "''", "'s", "' s", "don't", "DON'T", "rock'n'roll", "a", "A", "I", "0", "00", "007",
    "3.14159", "1,000,000", "10-15", "a_b", "a__b", "__init__", "#tag @user", "https://example.com/a?b=c&d=%20", "C:\\films\\a.mp4", "$5.00", "50%", "a+b=c", "x²", "H₂O",
    "½ cup", "№ 5", "™ © ®", "Ⅷ", "①②③", "ﬁsh ﬂag", "ǅ Ǆ ǆ", "ＦＵＬＬ width", "ｶﾞｷﾞ", "Straße STRASSE ẞ", "İstanbul ISTANBUL ı", "ΟΔΥΣΣΕΥΣ", "ΣΣ σς", "Ω Ω", "K Å", "e\u0301 é",
    "<|startoftext|>", "<|endoftext|>", "a <|endoftext|> b", "<|STARTOFTEXT|> x", "< |endoftext|>", "</w>", "a</w> b", "Ġa", "Ċ", "“curly” ‘quotes’", "it’s", "em—dash – en", "…",
    "a\u0300\u0301\u0302\u0303\u0304b", "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A", "\u202eright to left", "ﷺ", "각 각", "한국어 검색", "日本語の検索", "中文搜索", "النص العربي", "ไทยภาษา", "हिन्दी में खोज", "אבג דהו",
]  # fmt: skip


def word(chance, script):
    first, last = (ord(letter) for letter in SCRIPTS[script])
    letters = []
    while len(letters) < chance.randint(1, 9):
        letter = chr(chance.randint(first, last))
        if unicodedata.category(letter)[0] == "L":
            letters.append(letter)
            if script in MARKS and chance.random() < 0.3:
                letters.append(chance.choice(MARKS[script]))
    return "".join(letters)


def texts():
    chance = random.Random(20261122)
    made = list(FIXED)
    for script in SCRIPTS:
        for _ in range(40):
            made.append(" ".join(word(chance, script) for _ in range(chance.randint(1, 7))))
    for _ in range(400):
        made.append(" ".join(chance.choice(WORDS) for _ in range(chance.randint(1, 12))))
    for _ in range(150):
        made.append("".join(chance.choice(EMOJI) + chance.choice(["", " ", chance.choice(WORDS)]) for _ in range(chance.randint(1, 5))))
    for _ in range(200):
        parts = [chance.choice([chance.choice(WORDS), word(chance, chance.choice(list(SCRIPTS))), chance.choice(EMOJI), str(chance.randint(0, 10**6))]) for _ in range(chance.randint(2, 6))]
        made.append("".join(part + chance.choice([" ", "  ", "", ", ", "-", "_", "/", "'", "\n"]) for part in parts))
    for control in CONTROL:
        for pattern in ("{0}", "a{0}b", "a {0} b", "{0}a dog{0}", "dog's{0}ball {0}{0} x"):
            made.append(pattern.format(control))
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        for source in ("Zürich café", "Ångström ﬁlm", "한국어 각각", "ガギグ", "ệ ṩ ǭ", "Ελλάδα", "й ё"):
            made.append(unicodedata.normalize(form, source))
    for n_words in (60, 70, 74, 75, 76, 77, 78, 100, 200):
        made.append(" ".join(chance.choice(WORDS) for _ in range(n_words)))
        made.append(" ".join(["dog"] * n_words))
    made += ["a" * n for n in (10, 76, 300)] + ["猫" * n for n in (30, 200)] + ["🐈" * 40, "!" * 200, "é" * 150, "\u0301" * 90, " " * 500 + "end"]
    # Letters that new versions of Unicode brought, and some that are none: tables of different age must not differ.
    for code in range(0xA0, 0x30000, 397):
        if not 0xD800 <= code <= 0xDFFF:
            made.append(f"x{chr(code)}y {chr(code)}")
    return list(dict.fromkeys(made))


def fnv(ids):
    value = 0xCBF29CE484222325
    for byte in struct.pack(f"<{len(ids)}I", *ids):
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def main():
    tokenizer = AutoTokenizer.from_pretrained(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else REAL_CLIP)
    lines = ["# made by tests/reference/strings.py; hash of the 77 ids, text"]
    for text in texts():
        ids = tokenizer(text, padding="max_length", truncation=True, max_length=CONTEXT)["input_ids"]
        lines.append(f"{fnv(ids):016x}\t{json.dumps(text, ensure_ascii=True)}")
    (HERE / "clip_ids.tsv").write_text("\n".join(lines) + "\n")
    print(f"{len(lines) - 1} texts, {(HERE / 'clip_ids.tsv').stat().st_size} bytes")


if __name__ == "__main__":
    main()
