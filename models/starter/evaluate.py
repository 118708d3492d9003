"""Measures text→scene recall on held-out compositions after H.264 at 360p.

`python evaluate.py` renders 500 scenes, each a composition that training never saw, with the film renderer
(moving camera and objects), encodes them, decodes three frames a scene, and ranks the scenes for each caption
by the exported ONNX files alone. It prints the figures and writes them as JSON.
"""

import argparse
import json
import random
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np

import film
import runtime
import world

SCENES_A_FILM = 25
SECONDS = 1.5
FPS = 12
FRAMES_A_SCENE = (0.17, 0.5, 0.83)  # where in the scene
SIZES = [(640, 360)] * 7 + [(480, 360)] * 2 + [(360, 640)]  # 16:9, 4:3, portrait
# Queries for what no scene shows: the scores a search must not take for a find.
UNKNOWN = ["quantum mechanics", "my grandmother's village", "parliament debate", "a person typing an essay", "wrestling match", "tax return", "bricklayers at work", "an oscilloscope",
           "children opening letters", "a bored teenager", "cello lesson", "harbour crane unloading", "someone laughing", "old photographs", "a mathematician", "zoom call"]
WANTED = {1: 0.80, 5: 0.95}


def kind_of(composition):
    if len(composition.entities) == 2:
        return "two kinds of objects in a setting"
    entity = composition.entities[0]
    if entity.kind == "shape":
        return "coloured shapes in a setting"
    return "one thing in a setting" if entity.count == 1 else "two or three of a thing in a setting"


def draw_scenes(rng, n):
    """Draws held-out compositions with full captions of which each is true of its own scene only."""
    scenes = []
    while len(scenes) < n:
        composition = world.draw_composition(rng, True)
        if not composition.entities:
            continue
        caption = world.caption(rng, composition, full=True)
        if any(world.holds(caption, other) or world.holds(other_caption, composition) for other, other_caption in scenes):
            continue
        scenes.append((composition, caption))
    return scenes


def shoot(compositions, seed, folder, crf):
    """Renders and encodes the scenes as videos, and yields three decoded frames for each. **Shape** lists of `[h, w, 3]` u8."""
    rng = random.Random(seed)
    n_frames = round(SECONDS * FPS)
    for start in range(0, len(compositions), SCENES_A_FILM):
        width, height = SIZES[start // SCENES_A_FILM % len(SIZES)]
        path = Path(folder) / f"{start}.mp4"
        part = compositions[start : start + SCENES_A_FILM]
        with film.Encoder(path, width, height, FPS, ["-c:v", "libx264", "-preset", "fast", "-crf", str(crf)]) as encoder:
            for composition in part:
                for frame in film.shot_frames(film.Shot(composition, SECONDS, rng.randrange(1 << 40)), width, height, FPS):
                    encoder.write(frame)
        frames = film.frames_of(path, FPS)
        assert len(frames) == n_frames * len(part), (len(frames), n_frames * len(part))
        path.unlink()
        for index in range(len(part)):
            yield [frames[index * n_frames + int(n_frames * at)] for at in FRAMES_A_SCENE]


def ranks_of(scores):
    """Returns the rank (1 = first) of each row's own column, counting ties against it."""
    own = np.diag(scores)
    return (scores >= own[:, None]).sum(1)


def recalls(ranks):
    return {f"recall@{k}": round(float((ranks <= k).mean()), 4) for k in (1, 5, 10)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, default=runtime.HERE)
    parser.add_argument("--scenes", type=int, default=500)
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--crf", type=int, default=26)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    scenes = draw_scenes(rng, options.scenes)
    compositions = [composition for composition, _ in scenes]
    encoders = runtime.Encoders(options.model, options.threads)
    with tempfile.TemporaryDirectory() as folder:
        vectors = np.stack([encoders.embed_scene(frames) for frames in shoot(compositions, options.seed + 1, folder, options.crf)])

    figures = {"scenes": len(scenes), "crf": options.crf, "seed": options.seed}
    scores = encoders.embed_texts([caption.text for _, caption in scenes]) @ vectors.T
    ranks = ranks_of(scores)
    figures["captions as people phrase them"] = recalls(ranks)
    own = np.diag(scores)
    figures["cosines"] = {
        "own scene: 5th, 50th percentile": [round(float(value), 3) for value in np.percentile(own, [5, 50])],
        "another scene: 50th, 99th percentile": [round(float(value), 3) for value in np.percentile(scores[~np.eye(len(scores), dtype=bool)], [50, 99])],
        "highest over all scenes, for words from outside the world: 50th, 95th percentile": [
            round(float(value), 3) for value in np.percentile((encoders.embed_texts(UNKNOWN) @ vectors.T).max(1), [50, 95])
        ],
    }
    by_kind = defaultdict(list)
    for composition, rank in zip(compositions, ranks):
        by_kind[kind_of(composition)].append(rank)
    figures["of these"] = {kind: {"scenes": len(found), **recalls(np.array(found))} for kind, found in sorted(by_kind.items())}
    plain = [world.caption(rng, composition, full=True, plain=True).text for composition in compositions]
    figures["captions in one plain form"] = recalls(ranks_of(encoders.embed_texts(plain) @ vectors.T))
    things = [[(entity.kind, entity.index, entity.colour) for entity in composition.entities] for composition in compositions]
    alone = [row for row, shown in enumerate(things) if len(shown) == 1 and shown[0][0] == "thing" and sum(shown[0] in other for other in things) == 1]
    names = [world.THINGS[things[row][0][1]]["names"][0] for row in alone]
    scores = encoders.embed_texts(names) @ vectors.T
    figures["the bare name of a thing seen in one scene only"] = {"queries": len(alone), **recalls((scores >= scores[range(len(alone)), alone][:, None]).sum(1))}
    settings = sorted({composition.setting for composition in compositions if not composition.colours})
    first = (encoders.embed_texts([world.SETTINGS[setting][0][0] for setting in settings]) @ vectors.T).argmax(1)
    figures["the bare name of a setting, first scene right"] = {"queries": len(settings), "right": sum(compositions[row].setting == setting for row, setting in zip(first, settings))}
    print(json.dumps(figures, indent=2))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    worst = [(scenes[row][1].text, scenes[column][1].text) for row in np.argsort(-ranks)[:12] for column in [(encoders.embed_texts([scenes[row][1].text]) @ vectors.T).argmax()]]
    print("furthest down, and what came first instead:", *(f"  {asked!r}: {got!r}" for asked, got in worst), sep="\n")
    overall = figures["captions as people phrase them"]
    if options.scenes >= 500 and any(overall[f"recall@{k}"] < wanted for k, wanted in WANTED.items()):
        raise SystemExit(f"below the figures asked for: {WANTED}")


if __name__ == "__main__":
    main()
