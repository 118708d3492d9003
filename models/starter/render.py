"""Renders training batches: sprites over backgrounds, composited and degraded with batched torch operations.

Owns the speed of training: everything slow (glyphs, backgrounds) is painted once and kept as bytes.
A picture is the whole frame of a film of some aspect ratio squashed into a square, as the product feeds the model.
"""

import math
import random
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

import world

CANVAS_PX = 96
POOL_PX = 112
SPRITE_LEVELS_PX = (80, 40, 20)
ASPECTS = (16 / 9, 16 / 9, 16 / 9, 4 / 3, 4 / 3, 1.0, 9 / 16, 2.35)
POOL_PER_SETTING = 160
POOL_PLAIN = 25  # for each colour
POOL_COLOURED = 400  # stripes and checkerboards, over all pairs of colours

LUMA_QUANT = torch.tensor([
    [16, 11, 10, 16, 24, 40, 51, 61], [12, 12, 14, 19, 26, 58, 60, 55], [14, 13, 16, 24, 40, 57, 69, 56], [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77], [24, 35, 55, 64, 81, 104, 113, 92], [49, 64, 78, 87, 103, 121, 120, 101], [72, 92, 95, 98, 112, 100, 103, 99],
]).float() / 255  # the table of the JPEG standard, annex K


def dct_matrix():
    k, n = torch.arange(8.0)[:, None], torch.arange(8.0)[None]
    matrix = torch.cos(math.pi * (2 * n + 1) * k / 16) * 0.5
    matrix[0] /= math.sqrt(2)
    return matrix


def _paint_pool_item(job):
    seed, setting, colours, aspect = job
    height = 112 if aspect >= 1 else 150
    image = world.paint_background(seed, setting, colours, max(16, round(height * aspect)), height)
    return np.asarray(image.resize((POOL_PX, POOL_PX), Image.BILINEAR))


@dataclass
class Scene:
    """One training picture before it is rendered: the composition and where its objects are."""

    composition: world.Composition
    background: int
    aspect: float
    instances: list  # (sprite, tint or None, x, y, size, angle, flip)


class Renderer:
    """Paints the sprites and the pool of backgrounds once, then renders batches of scenes."""

    def __init__(self, seed, image_px):
        self.rng = random.Random(seed)
        self.image_px = image_px
        self.generator = torch.Generator().manual_seed(seed)
        self.dct = dct_matrix()
        self._paint_sprites()
        self._paint_pool(seed)

    def _paint_sprites(self):
        images, self.thing_sprites = [], []
        for thing in world.THINGS:
            self.thing_sprites.append(range(len(images), len(images) + len(thing["glyphs"])))
            images += [world.paint_glyph(glyph) for glyph in thing["glyphs"]]
        self.first_shape_sprite = len(images)
        images += [world.paint_shape(name) for name in world.SHAPE_NAMES]
        self.sprites = []
        for side in SPRITE_LEVELS_PX:
            level = [np.asarray(image.convert("RGBa").resize((side, side), Image.BOX if side < 80 else Image.LANCZOS)) for image in images]
            self.sprites.append(torch.from_numpy(np.stack(level)).permute(0, 3, 1, 2).contiguous())  # alpha is premultiplied

    def _paint_pool(self, seed):
        jobs, self.pool_of = [], {}
        rng = random.Random(seed)
        for setting in world.SETTING_NAMES:
            if setting == "plain":
                colours = [(c,) for c in range(len(world.COLOURS)) for _ in range(POOL_PLAIN)]
            elif setting in world.COLOURED:
                pairs = [(a, b) for a in range(len(world.COLOURS)) for b in range(len(world.COLOURS)) if a != b]
                colours = [pairs[i % len(pairs)] for i in range(POOL_COLOURED)]
            else:
                colours = [()] * POOL_PER_SETTING
            for item in colours:
                key = (setting, tuple(sorted(item)))
                self.pool_of.setdefault(key, []).append(len(jobs))
                jobs.append((seed * 1_000_003 + len(jobs), setting, item, rng.choice(ASPECTS)))
        with ProcessPoolExecutor(2) as workers:
            painted = list(workers.map(_paint_pool_item, jobs, chunksize=64))
        self.pool = torch.from_numpy(np.stack(painted)).permute(0, 3, 1, 2).contiguous()
        self.pool_aspect = [job[3] for job in jobs]

    def place(self, composition):
        """Chooses a background and the places of the objects."""
        rng = self.rng
        background = rng.choice(self.pool_of[(composition.setting, tuple(sorted(composition.colours)))])
        aspect = self.pool_aspect[background]
        entities = [entity for entity in composition.entities for _ in range(entity.count)]
        instances = []
        if entities:
            tints = {entity: None if entity.kind == "thing" else world.shade(rng, entity.colour) / 255 for entity in entities}
            glyphs = {entity: rng.choice(self.thing_sprites[entity.index]) if entity.kind == "thing" else self.first_shape_sprite + entity.index for entity in entities}
            for entity, (x, y, size) in zip(entities, world.layout(rng, len(entities), aspect)):
                angle = rng.uniform(-20, 20) * math.pi / 180 if rng.random() < 0.6 else 0.0
                instances.append((glyphs[entity], tints[entity], x, y, size, angle, -1.0 if rng.random() < 0.3 else 1.0))
        return Scene(composition, background, aspect, instances)

    def uniform(self, n, low, high):
        return torch.rand(n, generator=self.generator) * (high - low) + low

    def render(self, scenes):
        """Renders scenes. **Shape** `[n, 3, image_px, image_px]` f32 of 0..1."""
        n = len(scenes)
        zoom = self.uniform(n, 0.72, 1.0)
        theta = torch.zeros(n, 2, 3)
        theta[:, 0, 0] = zoom * torch.where(torch.rand(n, generator=self.generator) < 0.5, -1.0, 1.0)
        theta[:, 1, 1] = zoom
        theta[:, 0, 2] = (1 - zoom) * self.uniform(n, -1, 1)
        theta[:, 1, 2] = (1 - zoom) * self.uniform(n, -1, 1)
        backgrounds = self.pool[torch.tensor([scene.background for scene in scenes])].float().div_(255)
        canvas = F.grid_sample(backgrounds, F.affine_grid(theta, (n, 3, CANVAS_PX, CANVAS_PX), align_corners=False), align_corners=False, padding_mode="reflection")
        for slot in range(3):
            for level, side in enumerate(SPRITE_LEVELS_PX):
                self._composite(canvas, scenes, slot, level, side)
        canvas = self._letterbox(canvas)
        canvas = self._compress(canvas)
        picture = F.interpolate(canvas, size=(self.image_px, self.image_px), mode="bilinear", antialias=True)
        return self._degrade(picture)

    def _composite(self, canvas, scenes, slot, level, side):
        rows, sprites, thetas, tints = [], [], [], []
        for row, scene in enumerate(scenes):
            if len(scene.instances) <= slot:
                continue
            sprite, tint, x, y, size, angle, flip = scene.instances[slot]
            shown_px = size * CANVAS_PX / math.sqrt(scene.aspect)
            if (0 if shown_px > 48 else 1 if shown_px > 24 else 2) != level:
                continue
            cos, sin, scale, aspect = math.cos(angle), math.sin(angle), 2 / size, scene.aspect
            # Canvas coordinates (-1..1) to frame heights, minus the centre, turned, to sprite coordinates (-1..1).
            across, up = aspect / 2 - x * aspect, 0.5 - y
            thetas.append([
                [flip * scale * cos * aspect / 2, flip * scale * sin / 2, flip * scale * (cos * across + sin * up)],
                [-scale * sin * aspect / 2, scale * cos / 2, scale * (-sin * across + cos * up)],
            ])
            rows.append(row)
            sprites.append(sprite)
            tints.append((1.0, 1.0, 1.0) if tint is None else tuple(tint))
        if not rows:
            return
        chosen = self.sprites[level][torch.tensor(sprites)].float().div_(255)
        placed = F.grid_sample(chosen, F.affine_grid(torch.tensor(thetas), (len(rows), 4, CANVAS_PX, CANVAS_PX), align_corners=False), align_corners=False)
        where = torch.tensor(rows)
        light = self.uniform(len(rows), 0.8, 1.1)[:, None, None, None]
        colour = placed[:, :3] * torch.tensor(tints, dtype=torch.float32)[:, :, None, None] * light
        canvas[where] = canvas[where] * (1 - placed[:, 3:]) + colour

    def _letterbox(self, canvas):
        n = canvas.shape[0]
        kind = torch.rand(n, generator=self.generator)
        bar = self.uniform(n, 0.03, 0.14) * 2
        line = torch.linspace(-1, 1, CANVAS_PX)
        inside = (line.abs()[None] < 1 - bar[:, None]).float()
        always = torch.ones_like(inside)
        rows = torch.where((kind < 0.12)[:, None], inside, always)[:, None, :, None]
        columns = torch.where(((kind > 0.12) & (kind < 0.17))[:, None], inside, always)[:, None, None, :]
        return canvas * rows * columns

    def _compress(self, canvas):
        """Quantises 8 × 8 blocks of about a third of the pictures, with halved chroma, as video codecs do."""
        picked = torch.nonzero(torch.rand(canvas.shape[0], generator=self.generator) < 0.3)[:, 0]
        rgb = canvas[picked]
        luma = (rgb * torch.tensor([0.299, 0.587, 0.114])[None, :, None, None]).sum(1, keepdim=True)
        chroma = F.interpolate(F.avg_pool2d(rgb - luma, 2), scale_factor=2.0, mode="bilinear")
        blocks = luma.reshape(-1, CANVAS_PX // 8, 8, CANVAS_PX // 8, 8).transpose(2, 3)
        step = LUMA_QUANT * self.uniform(len(picked), 0.2, 1.2)[:, None, None, None, None]
        spectrum = torch.round(self.dct @ blocks @ self.dct.T / step) * step
        luma = (self.dct.T @ spectrum @ self.dct).transpose(2, 3).reshape(luma.shape)
        canvas[picked] = (luma + chroma).clamp(0, 1)
        return canvas

    def _degrade(self, picture):
        n = picture.shape[0]
        blurred = torch.nonzero(torch.rand(n, generator=self.generator) < 0.3)[:, 0]
        weight = self.uniform(len(blurred), 0.0, 0.9)[:, None, None, None]
        soft = F.avg_pool2d(F.pad(picture[blurred], (1, 1, 1, 1), mode="replicate"), 3, stride=1)
        picture[blurred] = picture[blurred] * (1 - weight) + soft * weight
        gain, lift = self.uniform(n, 0.75, 1.2)[:, None, None, None], self.uniform(n, -0.08, 0.08)[:, None, None, None]
        balance = 1 + (torch.rand(n, 3, 1, 1, generator=self.generator) - 0.5) * 0.12
        picture = (picture - 0.5) * gain * balance + 0.5 + lift
        noise = self.uniform(n, 0, 0.04)[:, None, None, None] * (torch.rand(n, 1, 1, 1, generator=self.generator) < 0.4)
        return (picture + noise * torch.randn(picture.shape, generator=self.generator)).clamp(0, 1)
