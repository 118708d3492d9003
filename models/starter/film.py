"""Makes videos of the world with Pillow and FFmpeg, and reads frames of them back.

Another renderer than the one of training (`render.py`): it works at the film's own size, moves the camera and the
objects, and sends every frame through a real encoder. It shares only the painters of backgrounds and sprites.
"""

import functools
import math
import random
import subprocess
from dataclasses import dataclass

import numpy as np
from PIL import Image

import world

MARGIN = 1.25  # how much larger than the frame a background is painted, so that the camera can move


@dataclass(frozen=True)
class Shot:
    """One unbroken shot of a composition. Everything that chance decides in it follows from `seed`."""

    composition: world.Composition
    seconds: float
    seed: int


@functools.cache
def sprite(kind, index, glyph):
    return world.paint_glyph(glyph) if kind == "thing" else world.paint_shape(world.SHAPE_NAMES[index])


def tinted(image, colour):
    pixels = np.array(image, np.float32)
    pixels[..., :3] *= colour / 255
    return Image.fromarray(pixels.astype(np.uint8), "RGBA")


@dataclass
class Actor:
    """An object of a shot: its picture, where it stands, and how it moves (amplitudes in frame heights)."""

    image: Image.Image
    x: float
    y: float
    size: float
    sway: float
    bob: float
    rate: float
    phase: float
    tilt: float

    def paste_on(self, frame, seconds, n_shift_px=0):
        """Draws the object as it is after some seconds, moved left by some pixels."""
        width, height = frame.size
        swing = math.sin(2 * math.pi * self.rate * seconds + self.phase)
        side = max(2, round(self.size * height * (1 + 0.04 * swing)))
        image = self.image.resize((side, side), Image.BICUBIC)
        if abs(self.tilt) > 0.5:
            image = image.rotate(self.tilt * math.cos(2 * math.pi * self.rate * seconds + self.phase), Image.BICUBIC, expand=True)
        x = self.x * width + self.sway * height * swing - image.width / 2 - n_shift_px
        y = self.y * height + self.bob * height * abs(swing) - image.height / 2
        frame.paste(image, (round(x), round(y)), image)


def cast(rng, composition, aspect):
    """Places the objects of a composition as moving actors."""
    entities = [entity for entity in composition.entities for _ in range(entity.count)]
    if not entities:
        return []
    looks = {}
    for entity in composition.entities:
        if entity.kind == "thing":
            looks[entity] = sprite("thing", entity.index, rng.choice(world.THINGS[entity.index]["glyphs"]))
        else:
            looks[entity] = tinted(sprite("shape", entity.index, None), world.shade(rng, entity.colour))
    actors = []
    for entity, (x, y, size) in zip(entities, world.layout(rng, len(entities), aspect)):
        actors.append(Actor(looks[entity], x, y, size, rng.uniform(0, 0.04), rng.uniform(-0.03, 0.03), rng.uniform(0.15, 0.45), rng.uniform(0, 6.3), rng.choice((0, rng.uniform(2, 10)))))
    return actors


def shot_frames(shot, width, height, fps):
    """Yields the frames of a shot: a slow pan or zoom over the background, objects that sway and bob. **Shape** RGB images."""
    rng = random.Random(shot.seed)
    composition = shot.composition
    wide, tall = round(width * MARGIN), round(height * MARGIN)
    background = world.paint_background(shot.seed, composition.setting, composition.colours, wide, tall)
    actors = cast(rng, composition, width / height)
    start = [rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(1.0, MARGIN)]
    end = [min(max(value + rng.uniform(-0.4, 0.4), 0), 1) for value in start[:2]] + [min(max(start[2] + rng.uniform(-0.08, 0.08), 1.0), MARGIN)]
    n_frames = round(shot.seconds * fps)
    for index in range(n_frames):
        t = index / max(1, n_frames - 1)
        if composition.setting == "static":
            background = world.paint_background(shot.seed + index, "static", (), wide, tall)
        x, y, zoom = (a + (b - a) * t for a, b in zip(start, end))
        crop_w, crop_h = width * zoom, height * zoom
        left, top = (wide - crop_w) * x, (tall - crop_h) * y
        frame = background.resize((width, height), Image.BILINEAR, box=(left, top, min(wide, left + crop_w), min(tall, top + crop_h)))
        for actor in actors:
            actor.paste_on(frame, index / fps)
        yield frame


class Encoder:
    """Encodes RGB frames of one size through FFmpeg; a context manager."""

    def __init__(self, path, width, height, fps, codec_options):
        command = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps), "-i", "-",
                   "-vf", "scale=out_color_matrix=bt709:out_range=tv", "-pix_fmt", "yuv420p", "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv", *codec_options, str(path)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE)

    def write(self, frame):
        self.process.stdin.write(frame.tobytes())

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.process.stdin.close()
        if self.process.wait() != 0 and kind is None:
            raise RuntimeError("ffmpeg could not encode the film")


def probe_size(path):
    """Returns width and height as stored, and whether a rotation swaps them when shown."""
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=width,height:stream_side_data=rotation", "-of", "csv=p=0", str(path)]
    fields = subprocess.run(command, check=True, capture_output=True, text=True).stdout.replace("\n", ",").split(",")
    numbers = [int(float(field)) for field in fields if field.strip()]
    return numbers[0], numbers[1], len(numbers) > 2 and numbers[2] % 180 != 0


def frames_of(path, fps, limit_px=None):
    """Decodes a video at a steady rate, turned as a player shows it. **Shape** `[n, h, w, 3]` u8, scaled down to `limit_px` of height."""
    width, height, swapped = probe_size(path)
    if swapped:
        width, height = height, width
    if limit_px and height > limit_px:
        width, height = max(2, round(width * limit_px / height)), limit_px
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-vf", f"fps={fps},scale={width}:{height}:flags=area", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    data = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(data, np.uint8).reshape(-1, height, width, 3)
