"""Learns a space in which pictures and words meet, without pictures: from the classifier's weights and the words' relevances.

A made-up picture is a mixture of classes, with features as the classifier's own weights have them and noise. Its probabilities go one way, through
`evidence`, the known mixture goes the other, through the words' relevances; a reduced-rank regression joins them.
"""

from dataclasses import dataclass

import numpy as np

TEMPERATURE = 2.0
FLOOR = 1e-4  # added to a probability before its root


def softmax(logits):
    power = np.exp(logits - logits.max(1, keepdims=True))
    return power / power.sum(1, keepdims=True)


def evidence(logits, sets):
    """What the space sees of a picture: roots of the probabilities of classes and of sets of classes. **Shape** `[n, 1000]` → `[n, 1000 + n_sets]`."""
    p = softmax(logits / TEMPERATURE)
    return np.sqrt(np.concatenate([p, p @ sets], 1) + FLOOR)


def class_sets(relevance, least=3, most=200, limit=400):
    """Sets of classes that WordNet has a name for, the largest first, without repetitions. **Shape** `[1000, n_sets]` f32."""
    kinds = relevance.is_kind
    sizes = kinds.sum(1)
    sets = {kinds[row].tobytes(): kinds[row] for row in np.flatnonzero((sizes >= least) & (sizes <= most))}
    chosen = sorted(sets.values(), key=lambda members: -members.sum())[:limit]
    return np.stack(chosen, 1).astype(np.float32)


def mixtures(rng, weights, bias, n, strength=(3.0, 11.0), noise=1.3):
    """Makes up pictures. Returns their logits `[n, 1000]` and which classes they show, and how much, `[n, 1000]`."""
    directions = weights / np.linalg.norm(weights, axis=1, keepdims=True)
    confusions = directions @ weights.T  # logits of a picture with unit features of a class
    confusions *= 1 / np.diag(confusions).mean()
    shown = np.zeros((n, len(weights)), np.float32)
    for row in range(n):
        n_shown = rng.choice((1, 2, 3, 4), p=(0.45, 0.3, 0.15, 0.1))
        shown[row, rng.choice(len(weights), n_shown, replace=False)] = rng.dirichlet(np.full(n_shown, 2.0))
    size = rng.uniform(*strength, size=(n, 1)).astype(np.float32)
    mixed = shown / np.linalg.norm(shown, axis=1, keepdims=True)
    logits = (mixed * size) @ confusions
    # Noise in the space of features: classes that look alike are mistaken together.
    wander = rng.normal(size=(n, weights.shape[1])).astype(np.float32) @ weights.T
    logits += noise * wander / wander.std() + bias - bias.mean()
    return logits, shown


@dataclass
class Space:
    """`mean`, `project`: evidence → space. `words`: a row for each word, of the length that its rarity gives it."""

    sets: np.ndarray
    mean: np.ndarray
    project: np.ndarray
    words: np.ndarray

    def pictures(self, logits):
        x = (evidence(logits, self.sets) - self.mean) @ self.project
        return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-6)


def learn(rng, weights, bias, relevances, sets, dimensions=254, n=24_000, ridge=0.02, power=0.5, **made_up):
    """Reduced-rank regression from evidence to relevances. `relevances` `[n_words, 1000]`."""
    logits, shown = mixtures(rng, weights, bias, n, **made_up)
    x = evidence(logits, sets)
    mean = x.mean(0)
    x = x - mean
    y = shown @ relevances.T
    y -= y.mean(0)
    y /= np.maximum(np.linalg.norm(y, axis=0), 1e-6) ** power
    covariance = x.T @ x / n
    covariance[np.diag_indices_from(covariance)] += ridge * np.trace(covariance) / len(covariance)
    root = np.linalg.cholesky(covariance)  # covariance = root rootᵀ
    fitted = np.linalg.solve(root, x.T @ y / n)  # the regression, in whitened coordinates
    left, strengths, right = np.linalg.svd(fitted @ fitted.T)
    left = left[:, :dimensions]
    project = np.linalg.solve(root.T, left)
    words = (left.T @ fitted).T
    return Space(sets, mean, project.astype(np.float32), words.astype(np.float32)), np.sqrt(strengths[:dimensions])
