"""Photographs under free licences that Debian packages carry, as frames of 256 × 256: cut-outs of things, pasted over plain colours and landscapes.

They teach the gate what is real, and choose the ranges of the 8-bit backbone. README.md lists the packages.
"""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

STAMPS = "usr/share/tuxpaint/stamps"
WALLPAPERS = "usr/share/backgrounds"
# Folders of stamps that are drawings or say nothing by themselves.
DRAWN = ("symbols", "cartoon", "space", "seasonal", "people", "military", "flags", "monuments", "roadsigns", "fantasy")
FRAME = (512, 384)
SIDE_PX = 256
LEAST_PX = 80
COPIES = 2  # of each cut-out: on a plain colour and on a landscape


@dataclass(frozen=True)
class Picture:
    pixels: np.ndarray  # [256, 256, 3] u8
    name: str  # what the stamp shows, in words; empty for landscapes


def load(root, seed=1):
    """Returns the pictures below `root`, where the packages are unpacked (`/` if they are installed)."""
    rng, root = random.Random(seed), Path(root)
    walls = [Image.open(path).convert("RGB").resize(FRAME) for path in sorted((root / WALLPAPERS).rglob("*")) if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp") and path.is_file()]
    pictures = []
    for path in sorted((root / STAMPS).rglob("*.png")):
        words = path.with_suffix(".txt")
        if any(part in path.relative_to(root / STAMPS).as_posix() for part in DRAWN) or not words.exists():
            continue
        stamp = Image.open(path).convert("RGBA")
        if max(stamp.size) < LEAST_PX:
            continue
        name = words.read_text(encoding="utf-8").splitlines()[0].strip().rstrip(".")
        for copy in range(COPIES):
            frame = rng.choice(walls).copy() if copy else Image.new("RGB", FRAME, tuple(rng.randint(60, 255) for _ in range(3)))
            scale = min(420 / stamp.width, 340 / stamp.height) * rng.uniform(0.7, 1)
            thing = stamp.resize((max(1, int(stamp.width * scale)), max(1, int(stamp.height * scale))))
            frame.paste(thing, (rng.randint(0, FRAME[0] - thing.width), rng.randint(0, FRAME[1] - thing.height)), thing)
            pictures.append(Picture(np.asarray(frame.resize((SIDE_PX, SIDE_PX), Image.BICUBIC)), name))
    return pictures + [Picture(np.asarray(wall.resize((SIDE_PX, SIDE_PX))), "") for wall in walls]
