"""What an editor or the world does to frames: gradual transitions between two of them, and disturbances of one.

Pure functions of frames and a position; no randomness that is not in their parameters.
"""

import functools
import math
import random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from footage import world

WIPES = ("wipe-left", "wipe-right", "wipe-down", "wipe-diagonal", "wipe-soft", "push", "push-up", "slide", "iris", "clock", "doors")


def brighter(frame, gain):
    """A frame of another exposure: straight below the knee, clipped as a sensor clips."""
    table = np.clip(np.arange(256) * gain, 0, 255).astype(np.uint8)
    return table[frame]


def mixed(first, second, share):
    """`share` of the second frame, the rest of the first; `share` is a number or an array `[h, w, 1]`."""
    if isinstance(share, float):
        return np.asarray(Image.blend(Image.fromarray(first), Image.fromarray(second), share))
    weight = np.round(share * 256).astype(np.int32)
    return ((first * (256 - weight) + second * weight) >> 8).astype(np.uint8)


@functools.lru_cache(maxsize=64)
def wipe_order(kind, height, width):
    """When each pixel changes hands, 0 (first) to 1 (last). **Shape** `[h, w]` f32."""
    v, u = np.mgrid[0:height, 0:width].astype(np.float32)
    u, v = u / max(1, width - 1), v / max(1, height - 1)
    if kind in ("wipe-left", "wipe-soft"):
        return 1 - u
    if kind == "wipe-right":
        return u
    if kind == "wipe-down":
        return v
    if kind == "wipe-diagonal":
        return (u + v) / 2
    if kind == "iris":
        return np.hypot((u - 0.5) * width / height, v - 0.5) / math.hypot(0.5 * width / height, 0.5)
    if kind == "clock":
        return (np.arctan2(u - 0.5, 0.5 - v) / (2 * np.pi)) % 1.0
    if kind == "doors":
        return np.abs(u - 0.5) * 2
    raise ValueError(kind)


def transition(kind, first, second, done):
    """A frame of a gradual transition that is `done` (0 to 1, both excluded) complete."""
    height, width = first.shape[:2]
    if kind == "dissolve":
        return mixed(first, second, float(done))
    if kind in ("fade-black", "fade-white"):
        colour = np.full_like(first, 0 if kind == "fade-black" else 255)
        return mixed(first, colour, min(1.0, 2 * done)) if done < 0.5 else mixed(colour, second, max(0.0, 2 * done - 1))
    if kind == "push":
        edge = round(done * width)
        return np.concatenate([first[:, edge:], second[:, :edge]], axis=1)
    if kind == "push-up":
        edge = round(done * height)
        return np.concatenate([first[edge:], second[:edge]], axis=0)
    if kind == "slide":
        edge = round(done * width)
        frame = first.copy()
        if edge:
            frame[:, width - edge :] = second[:, :edge]
        return frame
    softness = 0.25 if kind in ("wipe-soft", "iris") else 0.02
    share = np.clip((done * (1 + softness) - wipe_order(kind, height, width)) / softness, 0, 1)
    return mixed(first, second, share[..., None])


@functools.lru_cache(maxsize=64)
def spot(height, width, seed):
    """Where a partial flash falls. **Shape** `[h, w, 1]` f32, 0 to 1."""
    rng = random.Random(seed)
    v, u = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y, radius = rng.uniform(0.1, 0.9) * width, rng.uniform(0.1, 0.6) * height, rng.uniform(0.3, 0.7) * height
    return np.exp(-((u - x) ** 2 + (v - y) ** 2) / (2 * radius**2))[..., None]


def flash(frame, strength, partial_seed=None):
    """A frame lit by a flash: towards white by `strength`, all of it or around one place."""
    white = np.full_like(frame, 255)
    if partial_seed is None:
        return mixed(frame, white, float(strength))
    return mixed(frame, white, spot(frame.shape[0], frame.shape[1], partial_seed) * strength)


def font(size, rng):
    return ImageFont.truetype(rng.choice(world.TEXT_FONTS), max(7, round(size)))


def words(rng, n_words):
    return " ".join(rng.choice(world.TITLE_WORDS) for _ in range(n_words)).capitalize()


@functools.lru_cache(maxsize=64)
def subtitle(height, width, seed):
    """One or two lines of outlined text at the foot. **Shape** RGBA image of the frame's size."""
    rng = random.Random(seed)
    layer = Image.new("RGBA", (width, height))
    draw = ImageDraw.Draw(layer)
    size = min(height, width) * rng.uniform(0.055, 0.08)
    face, ink = font(size, rng), rng.choice([(255, 255, 255, 255), (255, 255, 90, 255)])
    n_lines = rng.choice((1, 1, 2))
    for line in range(n_lines):
        text = words(rng, rng.randint(3, 6))
        x = (width - draw.textlength(text, font=face)) / 2
        draw.text((x, height - size * (1.4 * (n_lines - line) + 0.6)), text, font=face, fill=ink, stroke_width=max(1, round(size / 12)), stroke_fill=(0, 0, 0, 255))
    return layer


@functools.lru_cache(maxsize=64)
def banner(height, width, seed):
    """A lower third, a corner picture, or a wide title: what broadcasters and editors lay over pictures. **Shape** RGBA image."""
    rng = random.Random(seed)
    layer = Image.new("RGBA", (width, height))
    draw = ImageDraw.Draw(layer)
    look = rng.choice(("lower third", "corner", "title", "ticker"))
    colour = tuple(rng.randrange(256) for _ in range(3)) + (rng.choice((255, 210)),)
    if look == "lower third":
        box = (width * 0.05, height * rng.uniform(0.68, 0.75), width * rng.uniform(0.5, 0.95), height * 0.92)
    elif look == "corner":
        side = rng.uniform(0.28, 0.42)
        x, y = rng.choice((0.04, 0.96 - side)), rng.choice((0.05, 0.95 - side))
        box = (width * x, height * y, width * (x + side), height * (y + side))
    elif look == "title":
        box = (width * 0.08, height * 0.33, width * 0.92, height * 0.66)
    else:
        box = (0, height * 0.87, width, height)
    draw.rectangle(box, fill=colour)
    size = (box[3] - box[1]) * 0.33
    ink = (255, 255, 255, 255) if sum(colour[:3]) < 380 else (0, 0, 0, 255)
    draw.text((box[0] + size * 0.5, box[1] + size * 0.9), words(rng, rng.randint(2, 4)), font=font(size, rng), fill=ink)
    if look == "corner":
        picture = world.paint_background(seed % 2**32, rng.choice(("city", "room", "sea", "road")), (), round(box[2] - box[0]), round(box[3] - box[1]))
        layer.paste(picture.convert("RGBA"), (round(box[0]), round(box[1])))
    return layer


def overlaid(frame, layer, opacity=1.0, drop_px=0):
    """A frame with a layer over it, moved down by some pixels (a lower third that slides in)."""
    picture = Image.fromarray(frame)
    mask = layer.getchannel("A")
    if opacity < 1:
        mask = mask.point(lambda value: round(value * opacity))
    picture.paste(layer, (0, round(drop_px)), mask)
    return np.asarray(picture)


@functools.lru_cache(maxsize=32)
def passer(height, width, seed):
    """Something large close to the lens: a dark, soft, textured body. **Shape** RGBA image, taller than the frame."""
    rng, nprng = random.Random(seed), np.random.default_rng(seed)
    wide, tall = round(width * rng.uniform(0.35, 0.95)), round(height * rng.uniform(0.9, 1.3))
    tone = np.array([rng.randrange(10, 150) for _ in range(3)], np.float32)
    texture = world.fractal(nprng, tall, wide, 4, 3)[..., None]
    body = np.clip(tone * (0.5 + texture), 0, 255).astype(np.uint8)
    shape = Image.new("L", (wide, tall))
    draw = ImageDraw.Draw(shape)
    draw.ellipse((wide * 0.3, 0, wide * 0.7, tall * 0.35), fill=255)
    draw.rounded_rectangle((wide * 0.05, tall * 0.25, wide * 0.95, tall * 1.2), radius=wide * 0.2, fill=255)
    shape = shape.filter(ImageFilter.GaussianBlur(max(1, height / 60)))
    return Image.fromarray(np.concatenate([body, np.asarray(shape)[..., None]], axis=2), "RGBA")


def passed(frame, body, progress, leftwards):
    """A frame with the body somewhere on its way through the picture."""
    height, width = frame.shape[:2]
    share = 1 - progress if leftwards else progress
    x = -body.width + share * (width + body.width)
    picture = Image.fromarray(frame)
    picture.paste(body, (round(x), round(height * 1.05 - body.height * 0.95)), body)
    return np.asarray(picture)
