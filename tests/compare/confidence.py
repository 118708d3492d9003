#!/usr/bin/env python3
"""Fits and measures how sure scened may be of a hit: the weights in `daemon/src/query/confidence.rs`.

    tests/compare/confidence.py [--scenes 400] [--json FILE]

Run it with a Python that has models/starter/requirements.txt, and with the fonts of models/starter. With SCENED_TEST_MEDIA real
footage is mixed into the libraries, of which every hit is wrong.

Two worlds of scenes are rendered and sent through H.264: one of compositions that the starter was trained on, for the fit, and one of
held-out compositions, for the measurement. Out of each, libraries of 10 to 300 scenes are drawn, four in ten with real footage among
them, and asked for captions as people phrase them: of what is in the library, of what is in the world and perhaps not in the library,
and of what is in no drawn world. A hit is right when everything that the caption claims is true of its scene. The first three hits
of each question count.

Measured are the area under the ROC curve (does it part right from wrong), the expected calibration error in ten bins, and the Brier
score, for a logistic function of the score alone, of its distance from what the model makes of the background texts (`z`), and of both.
`z` does not change when a model's cosines are shifted or stretched picture by picture, as a modality gap does, which `--gap` shows.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "models" / "starter"))

import evaluate  # noqa: E402
import runtime  # noqa: E402
import world  # noqa: E402

SEEDS = {"fit": 777, "test": 888}
N_LIBRARIES, N_QUESTIONS, N_HITS = 60, 40, 3
FILMS = (".mp4", ".mkv", ".webm", ".avi", ".mov")


def render(encoders, seed, is_held_out, n_scenes):
    """**Returns** compositions, and the vectors of three frames of each, `[n, 3, d]`."""
    rng = random.Random(seed)
    compositions = [world.draw_composition(rng, is_held_out) for _ in range(n_scenes)]
    with tempfile.TemporaryDirectory() as folder:
        frames = [encoders.embed_frames(shown) for shown in evaluate.shoot(compositions, seed + 1, folder, 26)]
    return compositions, np.stack(frames)


def real_footage(encoders):
    """**Returns** vectors of keyframes of the real clips, `[n, d]`, or none."""
    media = os.environ.get("SCENED_TEST_MEDIA")
    if not media:
        print("no SCENED_TEST_MEDIA: measured without real footage", file=sys.stderr)
        return np.empty((0, encoders.embed_texts(["a"]).shape[1]), np.float32)
    films = sorted(path for path in Path(media).rglob("*") if path.suffix in FILMS)
    vectors = []
    with tempfile.TemporaryDirectory() as folder:
        for index, path in enumerate(films):
            command = ["ffmpeg", "-nostdin", "-v", "quiet", "-skip_frame", "nokey", "-i", path, "-vf", "scale=-2:240", "-frames:v", "6", f"{folder}/{index}-%02d.png"]
            subprocess.run(command, check=False, timeout=120)
        for picture in sorted(Path(folder).iterdir()):
            vectors.append(encoders.embed_frames([np.asarray(Image.open(picture).convert("RGB"))])[0])
    return np.stack(vectors)


def widen(vectors, common, amount):
    """Gives all vectors a common part, which shifts and shrinks their cosines: a modality gap."""
    return runtime.unit(vectors + amount * common)


def hits(encoders, compositions, vectors, real, background, seed, gap):
    """**Returns** for each hit: score, z, place among the hits, whether it is right."""
    rng = random.Random(seed)
    rows = []
    for _ in range(N_LIBRARIES):
        n_scenes = min(rng.choice((10, 30, 100, 300)), len(compositions))
        chosen = rng.sample(range(len(compositions)), n_scenes)
        shown, frames = [compositions[index] for index in chosen], vectors[chosen]
        if len(real) and rng.random() < 0.4:
            foreign = real[rng.sample(range(len(real)), min(len(real), n_scenes))]
            frames = np.concatenate([frames, foreign[:, None].repeat(frames.shape[1], 1)])
            shown += [None] * len(foreign)
        questions = []
        for _ in range(N_QUESTIONS):
            roll = rng.random()
            if roll < 0.8:
                of = rng.choice([one for one in shown if one] if roll < 0.4 else compositions)
                caption = world.caption(rng, of, full=rng.random() < 0.3)
                questions.append((caption.text, caption))
            else:
                questions.append((rng.choice(evaluate.UNKNOWN), None))
        asked = gap(encoders.embed_texts([text for text, _ in questions]))
        noise = frames @ background.T  # [scenes, frames, texts]
        for (_, caption), query in zip(questions, asked):
            cosines = frames @ query
            best = cosines.argmax(1)
            for place, scene in enumerate(np.argsort(-cosines.max(1))[:N_HITS]):
                own = noise[scene, best[scene]]
                score = cosines[scene, best[scene]]
                is_right = caption is not None and shown[scene] is not None and world.holds(caption, shown[scene])
                rows.append((score, (score - own.mean()) / own.std(), place, is_right))
    return np.array(rows, np.float64)


# ---------------------------------------------------------------- figures


def fit(features, right):
    """Logistic regression by Newton's method. **Returns** weights, the last one the bias."""
    features = np.c_[features, np.ones(len(features))]
    weights = np.zeros(features.shape[1])
    for _ in range(100):
        sure = 1 / (1 + np.exp(-np.clip(features @ weights, -30, 30)))
        gradient = features.T @ (sure - right) / len(right) + 1e-5 * weights
        curvature = (features.T * (sure * (1 - sure))) @ features / len(right) + 1e-5 * np.eye(len(weights))
        weights -= np.linalg.solve(curvature, gradient)
    return weights


def predict(features, weights):
    return 1 / (1 + np.exp(-np.clip(features @ weights[:-1] + weights[-1], -30, 30)))


def roc_area(sure, right):
    ranks = np.empty(len(sure))
    ranks[np.argsort(sure)] = np.arange(1, len(sure) + 1)
    n_right = right.sum()
    return (ranks[right].sum() - n_right * (n_right + 1) / 2) / (n_right * (len(sure) - n_right))


def bins(sure, right):
    """Of each tenth: hits, mean confidence, share of right ones."""
    tenth = np.minimum((sure * 10).astype(int), 9)
    return [(int((tenth == k).sum()), float(sure[tenth == k].mean()), float(right[tenth == k].mean())) for k in range(10) if (tenth == k).any()]


def figures(sure, right, place):
    first = place == 0
    n = len(sure)
    return {
        "roc area": round(roc_area(sure, right), 4),
        "roc area of first hits": round(roc_area(sure[first], right[first]), 4),
        "calibration error": round(sum(count / n * abs(mean - share) for count, mean, share in bins(sure, right)), 4),
        "Brier score": round(float(((sure - right) ** 2).mean()), 4),
        "at 0.5: right ones kept": round(float((sure[right] >= 0.5).mean()), 4),
        "at 0.5: wrong ones kept": round(float((sure[~right] >= 0.5).mean()), 4),
        "tenths (hits, confidence, right)": [(count, round(mean, 3), round(share, 3)) for count, mean, share in bins(sure, right)],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scenes", type=int, default=400)
    parser.add_argument("--gap", type=float, default=3.0, help="length of the common part that all vectors get to show what a modality gap does")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    encoders = runtime.Encoders(runtime.HERE, 2)
    background = encoders.embed_texts((ROOT / "daemon/src/query/confidence/background.txt").read_text().splitlines())
    real = real_footage(encoders)
    worlds = {name: render(encoders, seed, name == "test", options.scenes) for name, seed in SEEDS.items()}
    common = runtime.unit(np.random.default_rng(1).normal(size=background.shape[1]).astype(np.float32))

    def ask(name, change):
        compositions, vectors = worlds[name]
        return hits(encoders, compositions, change(vectors), change(real), change(background), SEEDS[name], change)

    plain, told = ask("fit", lambda vectors: vectors), {}
    test = ask("test", lambda vectors: vectors)
    wide = ask("test", lambda vectors: widen(vectors, common, options.gap))
    for name, columns in {"score": [0], "z": [1], "score and z": [0, 1]}.items():
        weights = fit(plain[:, columns], plain[:, 3] == 1)
        told[name] = {"weights": [round(float(weight), 3) for weight in weights]}
        for case, rows in {"held out": test, "held out, with a modality gap": wide}.items():
            told[name][case] = figures(predict(rows[:, columns], weights), rows[:, 3] == 1, rows[:, 2])
    told = {"hits": len(test), "right": round(float(test[:, 3].mean()), 4), **told}
    print(json.dumps(told, indent=1))
    if options.json:
        options.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
