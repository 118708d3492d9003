"""Spellings and their rows: which words the model knows, their inflected forms, compounds, and the tokenizer that maps all of them to rows.

Row 0 stands for padding and for words that say nothing; row 1 for unknown words. Several spellings may share a row.
"""

import re

import numpy as np

PAD, UNKNOWN = 0, 1
# Words that say nothing about a picture.
SILENT = set(
    "a an the of on in at with by to and or from for is are be was were been being am do does did doing have has had having it its he she his her him they their them we us our you your i me my mine that this these those there here "
    "some any no not as into onto up out off over through during about around within without down near next behind front beside between against along across very so such than then just also too really quite "
    "show shows showing shown find search see seen look looks looking video videos clip clips footage scene scenes photo photograph picture image images view shot "
    "who whom which what where when how someone somebody something thing things kind while one two three four five six seven eight nine ten several many few lot lots other another each both all".split()
)
LEAST_RELEVANCE = 0.15  # a word whose best class says less is unknown
SURE_RELEVANCE = 0.6  # from here on nothing of a word's row lies on the axis of the unknown


def known_words(relevance, n):
    """The words to keep, most used first: those of the table, then by how often WordNet's corpora have them. Single letters and numbers are none."""
    net = relevance.wordnet
    lemmas = {lemma for lemma in net.senses if re.fullmatch(r"[a-z]{2,}([_'][a-z]+)*", lemma)} | set(relevance.everyday)
    order = sorted(lemmas, key=lambda word: (word not in relevance.everyday, -net.frequency(word), word))
    chosen, rows = [], []
    for word in order:
        is_rare_compound = "_" in word and word not in relevance.everyday and not net.frequency(word)
        if word in SILENT or is_rare_compound:
            continue
        row = relevance(word)
        if row.max() >= LEAST_RELEVANCE:
            chosen.append(word)
            rows.append(row)
            if len(chosen) == n:
                break
    return chosen, np.stack(rows)


def forms(net, word):
    """Inflected spellings of a lemma, by rule and from WordNet's lists of exceptions."""
    parts = {part for part, *_ in net.senses.get(word, [("n",)])}
    found = {word}
    if "n" in parts:
        found.add(word[:-1] + "ies" if re.search("[^aeiou]y$", word) else word + "es" if re.search("(s|x|z|ch|sh)$", word) else word + "s")
    if "v" in parts and "_" not in word:
        stem = word[:-1] if word.endswith("e") and not word.endswith("ee") else word
        if re.search("^[^aeiou]*[aeiou][^aeiouwxy]$", word):
            stem = word + word[-1]
        past = word[:-1] + "ied" if re.search("[^aeiou]y$", word) else stem + "ed"
        third = word[:-1] + "ies" if re.search("[^aeiou]y$", word) else word + "es" if re.search("(s|x|z|ch|sh)$", word) else word + "s"
        found |= {stem + "ing", past, third}
    return found


def rows_of(words, vectors, relevances):
    """Scales the words' vectors by their rarity and adds the axis of the unknown. **Shape** → `[2 + n, d + 1]`."""
    rarity = np.log(len(relevances[0]) / (1 + relevances.sum(1)))
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    doubt = np.sqrt(1 - np.minimum(1, relevances.max(1) / SURE_RELEVANCE) ** 2)
    known = np.concatenate([unit * np.sqrt(1 - doubt[:, None] ** 2 * 0.75), doubt[:, None] * np.sqrt(0.75)], 1) * rarity[:, None]
    pad, unknown = np.zeros((2, known.shape[1]), np.float32)
    unknown[-1] = np.median(rarity)
    return np.concatenate([[pad, unknown], known]).astype(np.float32)


def share(rows):
    """Lets words of one meaning have one row. Returns the rows that differ, and for each word the index of its row (without the first two)."""
    kept, seen, row_of = [rows[PAD], rows[UNKNOWN]], {}, []
    for row in rows[2:]:
        key = np.round(row, 3).tobytes()
        if key not in seen:
            seen[key] = len(kept) - 2
            kept.append(row)
        row_of.append(seen[key])
    return np.stack(kept), row_of


def spellings(relevance, words):
    """Every spelling and the index of its word; a spelling that is a word itself keeps its own."""
    net, found = relevance.wordnet, {word: index for index, word in enumerate(words)}
    irregular = {}
    for form, bases in net.irregular.items():
        for base in bases:
            irregular.setdefault(base, []).append(form)
    for index, word in enumerate(words):
        for form in [*forms(net, word), *irregular.get(word, ())]:
            if form not in found and form not in SILENT and re.fullmatch(r"[a-z'_]+", form):
                found[form] = index
    return found


def tokenizer(ids, compounds):
    """A `tokenizer.json`: whole words only. `ids`: spelling → id. `compounds`: spelling with spaces → an id of its own."""
    vocabulary = {"[PAD]": PAD, "[UNK]": UNKNOWN} | {word: PAD for word in SILENT} | ids | compounds
    flags = {"lstrip": False, "rstrip": False}
    added = [{"id": id_, "content": name, "single_word": False, "normalized": False, "special": True, **flags} for name, id_ in (("[PAD]", PAD), ("[UNK]", UNKNOWN))]
    # An added token is matched before the text is split, so that it may contain spaces.
    added += [{"id": id_, "content": text, "single_word": True, "normalized": True, "special": False, **flags} for text, id_ in sorted(compounds.items(), key=lambda item: item[1])]
    clean = [
        {"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Lowercase"},
        {"type": "Replace", "pattern": {"Regex": "'s\\b"}, "content": ""},
        {"type": "Replace", "pattern": {"Regex": "[^a-z0-9']+"}, "content": " "},
    ]
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": clean}, "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None, "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
    }
