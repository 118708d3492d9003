"""Prints what the starter model makes of any videos: the names it scores highest, and how it ranks them for queries.

`python describe.py clip.mp4 … --query "a dog" --query fire` averages the vectors of nine frames of each video.
The card's tables of failures on real footage are made with it.
"""

import argparse
import subprocess
from pathlib import Path

import numpy as np

import film
import runtime
import world

N_FRAMES = 9
N_SHOWN = 3
LIMIT_PX = 360


def duration_s(path):
    command = ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", str(path)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--query", action="append", default=[])
    parser.add_argument("--model", type=Path, default=runtime.HERE)
    options = parser.parse_args()
    encoders = runtime.Encoders(options.model)
    settings = [nouns[0] for nouns, _ in world.SETTINGS.values() if "{" not in nouns[0]] + [f"{colour} background" for colour in world.COLOURS]
    things = [world.with_article(thing["names"][0]) for thing in world.THINGS]
    vectors = []
    for path in options.videos:
        frames = film.frames_of(path, max(1.0, N_FRAMES / max(duration_s(path), 0.5)), LIMIT_PX)
        vectors.append(encoders.embed_scene(frames[np.linspace(0, len(frames) - 1, N_FRAMES).astype(int)]))
        print(path.name)
        for kind, phrases in (("settings", settings), ("things", things)):
            scores = encoders.embed_texts(phrases) @ vectors[-1]
            print(f"  {kind}: " + ", ".join(f"{phrases[row]} {scores[row]:.2f}" for row in np.argsort(-scores)[:N_SHOWN]))
    for query, scores in zip(options.query, encoders.embed_texts(options.query) @ np.stack(vectors).T if options.query else []):
        print(f"{query!r}: " + ", ".join(f"{options.videos[row].name} {scores[row]:.2f}" for row in np.argsort(-scores)))


if __name__ == "__main__":
    main()
