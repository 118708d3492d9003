#!/usr/bin/env python3
"""Measures what is found of what lies at the edge of a frame, for each way to show a wide frame to a model of square pictures.

    tests/compare/crops.py measure [--copy DIR/vision.pt] [--scenes 300] [--shapes 16:9 …] [--object 0.2 0.36] [--json FILE]
    tests/compare/crops.py train --work-dir DIR [--minutes 24]

Run it with a Python that has models/starter/requirements.txt (`train` and `--copy` need torch), and with the fonts of models/starter.

`measure` renders scenes of compositions that no training saw (moving camera and objects, three frames a scene, no codec) and asks
for each by its full caption: with one object at the edge, outside the square in the middle as far as its size allows; with one in
the middle; and as the world lays them out, with one to three objects. All scenes of one aspect ratio are one library, each caption
is true of one scene, and ranking is the product's: the 100 scenes whose mean vectors are nearest, rescored by the softmax over their
moments, of which each counts with its best part, or with the mean of its parts where that is nearer.

The models: the shipped starter, trained on squeezed frames; and, with --copy, one trained as CLIP was, on square windows of pictures
that are not distorted, anywhere along their longer side, under the caption of the whole picture. `train` makes it: a new image tower
against the starter's text tower, which stays as it is. It stands for CLIP as far as geometry goes, and for nothing else: its world
is drawn, its pictures have 64 pixels, and it never saw as many shapes of pictures as the web has.
"""

import argparse
import json
import random
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

STARTER = Path(__file__).resolve().parents[2] / "models" / "starter"
sys.path.insert(0, str(STARTER))

import film  # noqa: E402
import runtime  # noqa: E402
import world  # noqa: E402

PX = 64
MEAN = 128  # of both models, as a grey value
N_FRAMES = 3
SECONDS = 1.5
N_CANDIDATES = 100
TEMPERATURE = 0.1
# Width and height of the rendered frames, and how many scenes of each place, in parts of --scenes.
SHAPES = {"16:9": ((640, 360), 1.0), "4:3": ((480, 360), 0.4), "21:9": ((840, 360), 0.4), "9:16": ((360, 640), 0.4)}
PLACES = ("edge", "middle", "as laid out")

# ---------------------------------------------------------------- ways to show a frame
# Each gives, for a frame's width and height, the parts that the model is shown: the box of the frame, the size it is scaled to, where
# that comes to lie in the square, and the grey around it. `daemon/worker/src/media/pixels/fit.rs` does the same.


def part(box, size=(PX, PX), at=(0, 0), fill=0):
    return box, size, at, fill


def centre(width, height):
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return [part((left, top, left + side, top + side))]


def squash(width, height):
    return [part((0, 0, width, height))]


def letterbox(fill):
    def way(width, height):
        longer = max(width, height)
        size = tuple(max(1, round(PX * side / longer)) for side in (width, height))
        return [part((0, 0, width, height), size, tuple((PX - side) // 2 for side in size), fill)]

    return way


def two(width, height):
    side = min(width, height)
    long = max(width, height)
    if long < side * 1.1:
        return centre(width, height)
    window = max(side, long / 2)  # of the longer side; beyond two squares the frame is squeezed
    ends = ((0, window), (long - window, long))
    return [part((a, 0, b, height) if width > height else (0, a, width, b)) for a, b in ends]


def four_to_three(width, height):
    """The middle, cropped to 4:3 at most, squeezed."""
    side = min(width, height)
    long = min(max(width, height), side * 4 / 3)
    w, h = (long, side) if width > height else (side, long)
    return [part(((width - w) / 2, (height - h) / 2, (width + w) / 2, (height + h) / 2))]


WAYS = {
    "centre crop": centre,
    "squash": squash,
    "letterbox, mean colour": letterbox(MEAN),
    "letterbox, black": letterbox(0),
    "4:3 in the middle, squashed": four_to_three,
    "two crops": two,
    "centre crop and squash": lambda width, height: centre(width, height) + squash(width, height),
}


def shown(frame, way):
    """The pictures of a frame. **Shape** `[n, 3, 64, 64]` f32, normalised."""
    pictures = []
    for box, size, at, fill in way(*frame.size):
        square = Image.new("RGB", (PX, PX), (fill,) * 3)
        square.paste(frame.resize(size, Image.BICUBIC, box=box), at)
        pictures.append((np.asarray(square, np.float32) / 255 - 0.5) / 0.5)
    return np.stack(pictures).transpose(0, 3, 1, 2)


# ---------------------------------------------------------------- scenes


def at_a_place(place, sizes):
    """A stand-in for `world.layout` that puts the one object where it is wanted. `sizes`: least and largest, in the shorter side."""

    def layout(rng, _, aspect):
        shorter = min(1.0, aspect)
        longer = max(1.0, aspect)
        size = rng.uniform(*sizes) * shorter
        half = 0.46 * size
        if place == "edge":
            outside = (longer - shorter) / 2  # the length of what the centre crop loses at each end
            along = rng.uniform(half, max(half, outside - half))
            along = rng.choice((along, longer - along)) / longer
        else:
            along = 0.5 + rng.uniform(-1, 1) * (shorter / 2 - half) / longer
        across = rng.uniform(half, shorter - half) / shorter
        return [(along, across, size) if aspect >= 1 else (across, along, size)]

    return layout


def draw_library(rng, n_of_each):
    """Compositions with their place and a caption that is true of no other."""
    drawn = []
    for place in PLACES:
        n = 0
        while n < n_of_each:
            composition = world.draw_composition(rng, True)
            n_objects = sum(entity.count for entity in composition.entities)
            if n_objects == 0 or (n_objects > 1 and place != "as laid out"):
                continue
            caption = world.caption(rng, composition, full=True)
            if any(world.holds(caption, other) or world.holds(said, composition) for other, said, _ in drawn):
                continue
            drawn.append((composition, caption, place))
            n += 1
    return drawn


def frames_of(composition, place, seed, size, object_sizes):
    laid_out = world.layout
    world.layout = laid_out if place == "as laid out" else at_a_place(place, object_sizes)
    try:
        return list(film.shot_frames(film.Shot(composition, SECONDS, seed), *size, N_FRAMES / SECONDS))
    finally:
        world.layout = laid_out


# ---------------------------------------------------------------- ranking


def ranks_of(texts, scenes):
    """The place of each text's own scene. `scenes`: `[n_scenes, n_moments, n_parts, dimensions]` unit vectors."""
    means = runtime.unit(scenes.mean((1, 2)))
    whole = runtime.unit(scenes.mean(2, keepdims=True))
    by_moment = np.einsum("td,smpd->tsmp", texts, np.concatenate([scenes, whole], 2)).max(3)
    weights = np.exp((by_moment - by_moment.max(2, keepdims=True)) / TEMPERATURE)
    pooled = (by_moment * weights).sum(2) / weights.sum(2)
    near = texts @ means.T
    threshold = -np.partition(-near, min(N_CANDIDATES, near.shape[1]) - 1, 1)[:, min(N_CANDIDATES, near.shape[1]) - 1 : min(N_CANDIDATES, near.shape[1])]
    pooled[near < threshold] = -2  # not among the candidates
    own = np.diag(pooled)
    return np.where(own > -2, (pooled >= own[:, None]).sum(1), len(own) + 1)


def measure(options):
    starter = runtime.Encoders(STARTER, 1)
    models = {"starter (trained on squeezed frames)": lambda pictures: runtime.unit(starter.vision.run(None, {"pixel_values": pictures})[0])}
    if options.copy:
        models["copy (trained on square windows)"] = copy_of(options.copy)
    figures = {}
    for shape in options.shapes:
        size, portion = SHAPES[shape]
        rng = random.Random(options.seed)
        library = draw_library(rng, round(options.scenes * portion))
        vectors = {(model, way): [] for model in models for way in WAYS}
        for composition, _, place in library:
            frames = frames_of(composition, place, rng.randrange(1 << 40), size, options.object)
            for name, way in WAYS.items():
                pictures = np.stack([shown(frame, way) for frame in frames])
                for model, embed in models.items():
                    flat = embed(pictures.reshape(-1, 3, PX, PX).astype(np.float32))
                    vectors[model, name].append(flat.reshape(*pictures.shape[:2], -1))
        texts = starter.embed_texts([caption.text for _, caption, _ in library])
        places = np.array([place for _, _, place in library])
        for (model, way), scenes in vectors.items():
            ranks = ranks_of(texts, np.stack(scenes))
            row = {"embedded for each frame": scenes[0].shape[1]}
            for place in PLACES:
                of = ranks[places == place]
                row[place] = {f"recall@{k}": round(float((of <= k).mean()), 3) for k in (1, 5)}
            figures.setdefault(model, {}).setdefault(shape, {})[way] = row
        tell(figures, shape, len(library))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


def tell(figures, shape, n_scenes):
    for model, shapes in figures.items():
        print(f"\n{model}, {shape}, {n_scenes} scenes: recall@1 / recall@5\n")
        print("| way | " + " | ".join(PLACES) + " | embedded |\n|---|" + "---|" * (len(PLACES) + 1))
        for way, row in shapes[shape].items():
            cells = [f"{row[place]['recall@1']:.3f} / {row[place]['recall@5']:.3f}" for place in PLACES]
            print(f"| {way} | " + " | ".join(cells) + f" | {row['embedded for each frame']} × |", flush=True)


def copy_of(path):
    import model
    import torch

    torch.set_num_threads(1)
    vision = model.VisionEncoder()
    vision.load_state_dict(torch.load(path, weights_only=True))
    vision.eval()

    @torch.no_grad()
    def embed(pictures):
        return runtime.unit(vision(torch.from_numpy(pictures)).numpy())

    return embed


# ---------------------------------------------------------------- the copy


def train_copy(options):
    """Trains the copy's image tower within a budget of processor time, on one thread."""
    import model
    import onnxruntime
    import render
    import torch
    import torch.nn.functional as F
    import train
    from tokenizers import Tokenizer

    render.ASPECTS = (1.0, 1.0, 4 / 3, 4 / 3, 3 / 2, 3 / 2, 3 / 2, 16 / 9, 3 / 4, 2 / 3)  # of pictures on the web

    class SquareWindows(render.Renderer):
        """Renders a square window, anywhere along the longer side of each frame, undistorted."""

        def place(self, composition):
            scene = super().place(composition)
            aspect, at = scene.aspect, self.rng.random()
            wide, tall = (1 / aspect, 1.0) if aspect >= 1 else (1.0, aspect)
            left, top = at * (1 - wide), at * (1 - tall)
            scene.instances = [(glyph, tint, (x - left) / wide, (y - top) / tall, size / tall, angle, flip) for glyph, tint, x, y, size, angle, flip in scene.instances]
            scene.window, scene.aspect = (left, top, wide, tall), 1.0
            return scene

        def render(self, scenes):
            n = len(scenes)
            zoom = self.uniform(n, 0.72, 1.0)
            flip = torch.where(torch.rand(n, generator=self.generator) < 0.5, -1.0, 1.0)
            left, top, wide, tall = torch.tensor([scene.window for scene in scenes]).T
            theta = torch.zeros(n, 2, 3)
            theta[:, 0, 0], theta[:, 1, 1] = zoom * flip * wide, zoom * tall
            theta[:, 0, 2] = zoom * flip * (2 * left + wide - 1) + (1 - zoom) * self.uniform(n, -1, 1)
            theta[:, 1, 2] = zoom * (2 * top + tall - 1) + (1 - zoom) * self.uniform(n, -1, 1)
            backgrounds = self.pool[torch.tensor([scene.background for scene in scenes])].float().div_(255)
            size = (n, 3, render.CANVAS_PX, render.CANVAS_PX)
            canvas = F.grid_sample(backgrounds, F.affine_grid(theta, size, align_corners=False), align_corners=False, padding_mode="reflection")
            for slot in range(3):
                for level, side in enumerate(render.SPRITE_LEVELS_PX):
                    self._composite(canvas, scenes, slot, level, side)
            canvas = self._compress(self._letterbox(canvas))
            return self._degrade(F.interpolate(canvas, size=(self.image_px,) * 2, mode="bilinear", antialias=True))

    torch.set_num_threads(1)
    torch.manual_seed(1)
    rng = random.Random(11)
    one_thread = onnxruntime.SessionOptions()
    one_thread.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(STARTER / "onnx/text_model.onnx"), one_thread, providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(STARTER / "tokenizer.json"))

    def embedded(texts):
        ids = [tokenizer.encode(text).ids[: model.MAX_TOKENS] for text in texts]
        padded = np.zeros((len(ids), max(map(len, ids))), np.int64)
        mask = np.zeros_like(padded)
        for row, own in enumerate(ids):
            padded[row, : len(own)], mask[row, : len(own)] = own, 1
        return torch.from_numpy(session.run(None, {"input_ids": padded, "attention_mask": mask})[0])

    renderer = SquareWindows(5, model.IMAGE_PX)
    vision = model.VisionEncoder().to(memory_format=torch.channels_last)
    log_scale = torch.nn.Parameter(torch.tensor(2.66))
    decayed = [p for p in vision.parameters() if p.ndim > 1]
    plain = [p for p in vision.parameters() if p.ndim <= 1] + [log_scale]
    optimiser = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}], betas=(0.9, 0.98))
    averaged = {name: value.clone() for name, value in vision.state_dict().items()}
    old, old_pictures, step, spent = [], None, 0, 0.0
    sums = [0.0, 0.0]
    cpu_s, wall_s = time.process_time(), time.monotonic()
    vision.train()
    while spent < 1:
        for group in optimiser.param_groups:
            group["lr"] = train.PEAK_RATE * min(1.0, (step + 1) / 80) * max(0.0, 1 - spent)
        px = train.SMALL_PX if spent < train.SMALL_PART else model.IMAGE_PX
        if renderer.image_px != px:
            renderer.image_px, old = px, []
        # Half of the pictures were in the batch before too; their captions are new.
        new = train.draw_compositions(rng, train.BATCH - len(old))
        new_pictures = renderer.render([renderer.place(composition) for composition in new])
        compositions = new + old
        pictures = torch.cat([new_pictures, old_pictures]) if old else new_pictures
        old, old_pictures = new[: train.BATCH // 2], new_pictures[: train.BATCH // 2]
        captions = [world.caption(rng, composition) for composition in compositions]
        pictures = torch.cat([pictures, train.junk_pictures(rng, pictures)])
        texts = embedded([caption.text for caption in captions] + rng.sample(train.OUTSIDE, train.N_STRANGE))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            images = vision(train.normalise(pictures))
        scale = log_scale.clamp(max=model.MAX_LOG_SCALE).exp()
        n = train.BATCH
        loss, accuracy = train.contrastive_loss(images[:n], texts[:n], images[n:], texts[n:], train.true_matches(captions, compositions), scale)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vision.parameters(), 1.0)
        optimiser.step()
        decay = min(0.995, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, value in vision.state_dict().items():
                if value.is_floating_point():
                    averaged[name].lerp_(value, 1 - decay)
                else:
                    averaged[name].copy_(value)
        step += 1
        sums = [sums[0] + loss.item(), sums[1] + accuracy.item()]
        # On a busy machine the wall clock ends it, so that it ends at all.
        spent = max((time.process_time() - cpu_s) / 60 / options.minutes, (time.monotonic() - wall_s) / 120 / options.minutes)
        if step % 25 == 0:
            print(f"step {step}: {spent:.0%} of the budget, loss {sums[0] / 25:.3f}, batch R@1 {sums[1] / 25:.3f}", flush=True)
            sums = [0.0, 0.0]
    torch.save(averaged, options.work_dir / "vision.pt")
    print(f"done: {step} steps in {(time.process_time() - cpu_s) / 60:.1f} minutes of processor time")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    verbs = parser.add_subparsers(required=True)
    verb = verbs.add_parser("measure")
    verb.set_defaults(run=measure)
    verb.add_argument("--copy", type=Path, help="weights that `train` made")
    verb.add_argument("--scenes", type=int, default=300, help="of each place in 16:9; other shapes have fewer")
    verb.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    verb.add_argument("--object", nargs=2, type=float, default=(0.20, 0.36), metavar=("LEAST", "LARGEST"), help="size of what lies at the edge and in the middle, in the shorter side")
    verb.add_argument("--seed", type=int, default=20261123)
    verb.add_argument("--json", type=Path, help="where to write the figures")
    verb = verbs.add_parser("train")
    verb.set_defaults(run=train_copy)
    verb.add_argument("--work-dir", type=Path, required=True)
    verb.add_argument("--minutes", type=float, default=24, help="of processor time")
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
