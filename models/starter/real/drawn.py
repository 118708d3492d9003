"""The drawn half: the picture net of `../train.py` stays, and its texts become bags of words.

A word is a row of 192 numbers, a text the sum of its words' rows. The rows are fitted to pictures of the world that the net has embedded.
"""

import random
import re

import numpy as np
import torch
import torch.nn.functional as F

import render
import world
from train import true_matches

SCALE = 30.0
N_PICTURES = 24_000
BATCH = 512
STEPS = 2500
RATE = 3e-3
# What tells nothing about a picture of the world.
FILLERS = set("a an the of on in at with by to and or from is are be into there we see me show find its under over".split()) | {word for prefix in world.PREFIXES for word in prefix.split()}


def words_of(text):
    return [word for word in re.findall(r"[a-z0-9']+", text.lower()) if word not in FILLERS]


def embed_world(session, n, seed):
    """Renders pictures and embeds them. Returns compositions and unit vectors `[n, 192]`."""
    rng, renderer = random.Random(seed), render.Renderer(seed, 64)
    compositions, rows = [], []
    while len(compositions) < n:
        batch = [world.draw_composition(rng, False) for _ in range(256)]
        pictures = renderer.render([renderer.place(one) for one in batch])
        rows.append(session.run(None, {session.get_inputs()[0].name: ((pictures - 0.5) / 0.5).numpy()})[0])
        compositions += batch
    vectors = np.concatenate(rows)
    return compositions, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def learn_words(compositions, vectors, seed):
    """Fits the rows by symmetric InfoNCE; a picture of which a caption happens to be true is no negative. Returns words and rows `[n_words, 192]`."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    names = {word for thing in world.THINGS for name in thing["names"] for form in (name, world.pluralise(name)) for word in words_of(form)}
    for _ in range(60_000):
        names.update(words_of(world.caption(rng, world.draw_composition(rng, False)).text))
    words = sorted(names)
    row = {word: index for index, word in enumerate(words)}
    table = torch.nn.EmbeddingBag(len(words), vectors.shape[1], mode="sum")
    torch.nn.init.normal_(table.weight, std=0.1)
    pictures = torch.from_numpy(vectors)
    optimiser = torch.optim.Adam(table.parameters(), lr=RATE)
    for step in range(STEPS):
        for group in optimiser.param_groups:
            group["lr"] = RATE * (1 - step / STEPS)
        chosen = [rng.randrange(len(compositions)) for _ in range(BATCH)]
        captions = [world.caption(rng, compositions[one]) for one in chosen]
        bags = [[row[word] for word in words_of(caption.text) if word in row] or [0] for caption in captions]
        offsets = torch.tensor([0] + [len(bag) for bag in bags[:-1]]).cumsum(0)
        text = F.normalize(table(torch.tensor(sum(bags, [])), offsets), dim=1)
        logits = SCALE * text @ pictures[chosen].T
        others = true_matches(captions, [compositions[one] for one in chosen]) & ~torch.eye(BATCH, dtype=torch.bool)
        logits = logits.masked_fill(others, -1e4)
        target = torch.arange(BATCH)
        loss = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 100 == 0:
            print(f"drawn words: step {step} loss {loss.item():.3f} batch R@1 {(logits.argmax(1) == target).float().mean():.3f}", flush=True)
    return words, table.weight.detach().numpy()
