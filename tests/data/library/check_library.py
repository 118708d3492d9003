"""Checks the sample library against the starter model, without the product: does each caption rank its own scene first?

`python check_library.py` decodes three frames of each true scene, averages their vectors, ranks all scenes of the
library for every caption and query, and prints the misses.
It also compares the hard cuts with PySceneDetect's `ContentDetector` at its default threshold, where that is installed.
"""

import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "models" / "starter"))

import film  # noqa: E402
import runtime  # noqa: E402

FPS = 6
FRAMES_A_SCENE = (0.17, 0.5, 0.83)


def check_cuts(videos):
    try:
        from scenedetect import ContentDetector, detect
    except ImportError:
        print("scenedetect is not installed: cuts unchecked")
        return
    for video in videos:
        found = [round(start.seconds * 1000) for start, _ in detect(str(HERE / video["path"]), ContentDetector(threshold=27))]
        true = [scene["start_ms"] for scene in video["scenes"]]
        long_take = video["path"].startswith("long")
        right = found == [] if long_take else len(found) == len(true) and all(abs(a - b) <= 80 for a, b in zip(found, true))
        print(f"{'ok   ' if right else 'WRONG'} cuts of {video['path']}: {found}")


def main():
    videos = json.loads((HERE / "truth.json").read_text(encoding="utf-8"))["videos"]
    encoders = runtime.Encoders()
    vectors, scenes = [], []
    for video in videos:
        frames = film.frames_of(HERE / video["path"], FPS)
        for scene in video["scenes"]:
            length_ms = scene["end_ms"] - scene["start_ms"]
            picked = [frames[min(len(frames) - 1, int((scene["start_ms"] + at * length_ms) / 1000 * FPS))] for at in FRAMES_A_SCENE]
            vectors.append(encoders.embed_scene(picked))
            scenes.append((video["path"], scene))
    vectors = np.stack(vectors)
    for kind in ("caption", "queries"):
        asked = [(row, text) for row, (_, scene) in enumerate(scenes) for text in ([scene["caption"]] if kind == "caption" else scene["queries"])]
        scores = encoders.embed_texts([text for _, text in asked]) @ vectors.T
        first = scores.argmax(1)
        n_right = sum(int(best) == row for (row, _), best in zip(asked, first))
        print(f"{kind}: {n_right} of {len(asked)} rank their own scene first ({n_right / len(asked):.1%})")
        for (row, text), best, line in zip(asked, first, scores):
            if best != row:
                print(f"  {text!r}: {scenes[best][1]['caption']!r} {line[best]:.3f} before its own {line[row]:.3f}")
    check_cuts(videos)


if __name__ == "__main__":
    main()
