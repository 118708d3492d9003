"""How much each of ImageNet's 1,000 classes says about a word: WordNet's relations and a table of everyday words.

**Shape**: a relevance is `[1000]` f32 in [0, 1]. Classes are in the order of the published weights.
"""

import functools
from pathlib import Path

import numpy as np
import scipy.sparse as sparse

from wordnet import WordNet

HERE = Path(__file__).resolve().parent
N_CLASSES = 1000
# How well a relation carries a meaning from one synset to another, by WordNet's pointer symbols.
RELATION = {"@": 1, "@i": 1, "~": 1, "~i": 1, "#m": 0.5, "#p": 0.7, "#s": 0.7, "%m": 0.5, "%p": 0.7, "%s": 0.7, "+": 0.7, "&": 0.7, "^": 0.5, ";c": 0.5, "-c": 0.5, "\\": 0.7, "*": 0.4, ">": 0.4, "$": 0.4, "=": 0.3, "<": 0.5}
GLOSS = 0.5
RESTART = 0.25
STEPS = 12
HUB_EXPONENT = 0.4  # an edge between two well-connected synsets says less
RELATED = 0.5  # the most that relations without hyponymy say
N_RELATED = 12  # classes of a synset that relations alone may name
PART_WEIGHT = {"n": 1.0, "v": 0.3, "a": 0.3, "r": 0.0}
SURE = 0.6  # from here on WordNet itself leads a word to classes, and the table only adds hints
EVERYDAY_HINTS = 0.4
EVERYDAY_KEEPS = 0.7  # of WordNet's relevance, where it is not sure and the table has the word


class Relevance:
    def __init__(self, classes, everyday, cache=None):
        """`classes`, `everyday`: the files. `cache`: where the walk's result is kept."""
        self.wordnet = WordNet()
        offsets, named = read_classes(classes)
        self.classes = [("n", offset) for offset in offsets]
        self.everyday = read_everyday(everyday, named)
        self.synsets = sorted(self.wordnet.lemmas)
        self.row = {synset: row for row, synset in enumerate(self.synsets)}
        self.is_kind = self._kinds()
        if cache and cache.exists():
            self.walk = np.load(cache)
        else:
            self.walk = self._walk()
            if cache:
                np.save(cache, self.walk)

    def _kinds(self):
        """**Shape** `[n_synsets, 1000]` bool: the class is a kind of the synset."""
        kinds = np.zeros((len(self.synsets), N_CLASSES), bool)
        for column, class_ in enumerate(self.classes):
            for ancestor in self.wordnet.ancestors(class_):
                kinds[self.row[ancestor], column] = True
        return kinds

    def _graph(self):
        net, rows, columns, values = self.wordnet, [], [], []
        n = len(self.synsets)
        words_of = {synset: set(net.gloss_words(synset)) for synset in self.synsets}
        n_glosses = {}
        for words in words_of.values():
            for word in words:
                n_glosses[word] = n_glosses.get(word, 0) + 1

        @functools.cache
        def senses_of(word):
            weights = {}
            for base in net.bases(word)[:2]:
                for part, synset, rank in net.senses[base]:
                    if rank < 2 and part in "nva":
                        row = self.row[synset]
                        weights[row] = max(weights.get(row, 0), net.weight(base, part, rank))
            total = sum(weights.values())
            return [(row, weight / total) for row, weight in weights.items() if weight > 0.1 * total]

        for synset in self.synsets:
            row = self.row[synset]
            for symbol, target in net.pointers[synset]:
                if symbol in RELATION and target in self.row:
                    rows.append(row), columns.append(self.row[target]), values.append(RELATION[symbol])
            for word in words_of[synset]:
                rarity = min(1.0, np.log(n / n_glosses[word]) / 8) ** 2
                for target, share in senses_of(word):
                    if target != row:
                        rows.append(row), columns.append(target), values.append(GLOSS * rarity * share)
        graph = sparse.csr_matrix((np.array(values, np.float32), (rows, columns)), (n, n))
        graph = graph.maximum(graph.T)
        damping = sparse.diags((np.asarray(graph.sum(1)).ravel() + 1e-9) ** -HUB_EXPONENT)
        return (damping @ graph @ damping).tocsr().astype(np.float32)

    def _walk(self):
        """Personalised PageRank from each class, relative to a synset's share of all edges. **Shape** `[n_synsets, 1000]` f16."""
        graph = self._graph()
        degree = np.asarray(graph.sum(1)).ravel() + 1e-9
        step = (sparse.diags(1 / degree) @ graph).T.tocsr().astype(np.float32)
        walk = np.empty((len(self.synsets), N_CLASSES), np.float16)
        for start in range(0, N_CLASSES, 100):
            seed = np.zeros((len(self.synsets), 100), np.float32)
            seed[[self.row[class_] for class_ in self.classes[start : start + 100]], range(100)] = 1
            at = seed.copy()
            for _ in range(STEPS):
                at = RESTART * seed + (1 - RESTART) * (step @ at)
            walk[:, start : start + 100] = np.minimum(at / degree[:, None] * degree.sum(), 60_000)
        return walk

    @functools.cache
    def of_synset(self, synset):
        """Kinds of the synset count fully, a parent's kinds half, related classes up to [`RELATED`]."""
        kinds, strength, level = self.is_kind[self.row[synset]], 1.0, [synset]
        for _ in range(2):
            if kinds.any() or synset[0] != "n":
                break
            level = [parent for one in level for parent in self.wordnet.parents(one)]
            if not level:
                break
            kinds = self.is_kind[[self.row[parent] for parent in level]].any(0)
            strength *= 0.5
            if kinds.sum() > 60:  # too general to say anything about what lies below it
                kinds = np.zeros(N_CLASSES, bool)
        n = kinds.sum()
        general = 1.0 if n <= 150 else 0.6 if n < 420 else 0.15  # "animal" has 398 classes, "artifact" 522
        walk = self.walk[self.row[synset]].astype(np.float32)
        related = np.clip(np.log(np.maximum(walk, 1e-3) / 15), 0, 6) / 6
        related[walk < np.sort(walk)[-N_RELATED]] = 0
        return np.maximum(kinds * strength * general, RELATED * related).astype(np.float32)

    @functools.cache
    def __call__(self, word):
        """A word or a compound with `_`, in any inflection. Zero where nothing is known."""
        total, weights = np.zeros(N_CLASSES, np.float32), 0.0
        bases = self.wordnet.bases(word)[:2]
        for base in bases:
            for part, synset, rank in self.wordnet.senses[base]:
                if rank <= 4 and PART_WEIGHT[part]:
                    weight = self.wordnet.weight(base, part, rank) * PART_WEIGHT[part]
                    total += weight * self.of_synset(synset)
                    weights += weight
        if weights:
            total /= weights
        for base in (word, *bases):
            if base in self.everyday:
                if total.max() > SURE:
                    return np.maximum(total, EVERYDAY_HINTS * self.everyday[base])
                return np.maximum(EVERYDAY_KEEPS * total, self.everyday[base])
        return total


def read_classes(path):
    """Returns the offsets of the classes' synsets, and for each first name of a class the classes that have it."""
    lines = [line.split("\t") for line in Path(path).read_text(encoding="utf-8").splitlines()]
    named = {}
    for index, (_, names) in enumerate(lines):
        named.setdefault(names.split(",")[0].strip().lower(), []).append(index)
    return [offset for offset, _ in lines], named


def read_everyday(path, named):
    """Reads lines of words, a colon between spaces, and names of classes with weights. **Errors** a name that is unknown or not unique; a word that comes twice."""
    table = {}
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        words, classes = line.split(" : ")
        row = np.zeros(N_CLASSES, np.float32)
        for item in classes.split(","):
            name, _, weight = item.strip().partition("*")
            found = [int(name[1:])] if name.startswith("#") else named.get(name.strip().lower(), [])
            if len(found) != 1:
                raise SystemExit(f"{path}:{number}: {'ambiguous' if found else 'unknown'} class {name!r}")
            row[found[0]] = float(weight or 1)
        for word in words.split():
            if word in table:
                raise SystemExit(f"{path}:{number}: {word!r} comes twice")
            table[word] = row
    return table
