"""Reads WordNet 3.0 from Debian's `wordnet-base` files: synsets, relations, glosses, senses with their counts, irregular forms.

A synset is a pair of its part of speech and its offset, for example `("n", "02084071")` for the dog.
"""

import functools
import re
from collections import defaultdict
from pathlib import Path

FOLDER = Path("/usr/share/wordnet")
PARTS = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}
# Suffix rules of WordNet's own `morphy`, and the doubled consonants that it leaves out.
ENDINGS = [("ies", "y"), ("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"), ("men", "man"), ("s", ""), ("ied", "y"), ("ed", ""), ("ed", "e"), ("ing", ""), ("ing", "e"), ("er", ""), ("est", "")]
# Words of glosses that say nothing about their subject.
EMPTY = set(
    "a an the of or and in on at to for with by from as is are be was were that which who whom whose it its this these those into onto than then not no nor but if so such any all some other another one two "
    "used using use has have had having being been usually often especially etc can may more most very over under up down out off between through during about around within without where when while also "
    "made make makes large small long short great good like kind type form part consisting something someone somebody he she they his her their your you we us our".split()
)


class WordNet:
    def __init__(self, folder=FOLDER):
        self.lemmas, self.glosses, self.pointers = {}, {}, {}
        self.senses = defaultdict(list)  # lemma → [(part, synset, rank)], most common first within a part
        self.counts = {}  # (lemma, part, rank) → how often it was tagged in WordNet's corpora
        self.irregular = defaultdict(list)  # irregular form → lemmas
        for part, name in PARTS.items():
            self._read_data(folder / f"data.{name}", part)
            self._read_index(folder / f"index.{name}", part)
            for line in (folder / f"{name}.exc").open(encoding="latin-1") if part != "r" else ():
                form, *bases = line.split()
                self.irregular[form] += bases
        for line in (folder / "cntlist.rev").open(encoding="latin-1"):
            key, number, count = line.split()
            lemma, rest = key.split("%")
            self.counts[lemma.lower(), "nvara"[int(rest[0]) - 1], int(number) - 1] = int(count)

    def _read_data(self, path, part):
        for line in path.open(encoding="latin-1"):
            if line.startswith("  "):
                continue
            head, gloss = line.split(" | ", 1)
            fields = head.split()
            n_words = int(fields[3], 16)
            key = (part, fields[0])
            self.lemmas[key] = [re.sub(r"\(.*\)", "", word).lower() for word in fields[4 : 4 + 2 * n_words : 2]]
            self.glosses[key] = gloss.strip()
            at = 5 + 2 * n_words
            pointers = [fields[at + 4 * k : at + 4 * k + 3] for k in range(int(fields[at - 1]))]
            self.pointers[key] = [(symbol, (target_part.replace("s", "a"), offset)) for symbol, offset, target_part in pointers]

    def _read_index(self, path, part):
        for line in path.open(encoding="latin-1"):
            if line.startswith("  "):
                continue
            fields = line.split()
            for rank, offset in enumerate(fields[6 + int(fields[3]) :]):
                self.senses[fields[0]].append((part, (part, offset), rank))

    def weight(self, lemma, part, rank):
        """How much a sense counts among the senses of its lemma."""
        return (self.counts.get((lemma, part, rank), 0) + 0.5) / (1 + rank)

    def frequency(self, lemma):
        """How often any sense of a lemma was tagged."""
        return sum(self.counts.get((lemma, part, rank), 0) for part, _, rank in self.senses.get(lemma, ()))

    def parents(self, synset):
        return [target for symbol, target in self.pointers[synset] if symbol in ("@", "@i")]

    def ancestors(self, synset):
        """Everything that a synset is a kind of, itself included."""
        seen, open_ = {synset}, [synset]
        while open_:
            for parent in self.parents(open_.pop()):
                if parent not in seen:
                    seen.add(parent)
                    open_.append(parent)
        return seen

    def gloss_words(self, synset):
        text = re.sub(r'"[^"]*"', " ", self.glosses[synset]).lower()
        return [word for word in re.findall(r"[a-z]+(?:'[a-z]+)?", text) if word not in EMPTY and len(word) > 2]

    @functools.cache
    def bases(self, word):
        """Lemmas that a form may stand for, the likeliest first."""
        found = [word] if word in self.senses else []
        found += [base for base in self.irregular.get(word, ()) if base in self.senses]
        for ending, new in ENDINGS:
            stem = word[: -len(ending)]
            if not word.endswith(ending) or len(stem) < 2:
                continue
            if stem + new in self.senses:
                found.append(stem + new)
            elif new == "" and len(stem) > 3 and stem[-1] == stem[-2] and stem[:-1] in self.senses:
                found.append(stem[:-1])
        return list(dict.fromkeys(found))
