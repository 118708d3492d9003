"""Which half of the corpus a seed or a piece of footage belongs to, and the refusal to mix the halves.

The held-out half is never looked at while a detector is tuned. Both halves follow from names alone, so nobody chooses
them: the scorer (`src/manifest.rs`) computes the half of a seed again and refuses a manifest that lies about it.
"""

import json
import zlib
from pathlib import Path

TUNING, HELD_OUT = "tuning", "held-out"
HALVES = (TUNING, HELD_OUT)


class MixedHalves(Exception):
    """A tool that tunes was given something of the held-out half, or a set mixes both."""


def half_of_seed(seed: int) -> str:
    """The half of one rendered file: a bit of the CRC-32 of its seed."""
    return HALVES[zlib.crc32(f"seed {seed}".encode()) >> 7 & 1]


def half_of_source(name: str) -> str:
    """The half that may use some real footage. A name stands for everything shot in one place (all clips of one video)."""
    return HALVES[zlib.crc32(f"source {name}".encode()) >> 7 & 1]


def seeds_of(half: str, n_seeds: int) -> list[int]:
    """The first seeds of a half, counted up from 1."""
    seeds, seed = [], 1
    while len(seeds) < n_seeds:
        if half_of_seed(seed) == half:
            seeds.append(seed)
        seed += 1
    return seeds


def load_manifest(path: Path, for_tuning: bool) -> dict:
    """Reads a manifest and checks that it is of one half throughout, and of the tuning half when something is to be tuned."""
    manifest = json.loads(Path(path).read_text(encoding="utf-8"))
    half = manifest["half"]
    for file in manifest["files"]:
        if file["half"] != half or half_of_seed(file["seed"]) != half:
            raise MixedHalves(f"{path}: {file['path']} (seed {file['seed']}) is not of the half {half} that the manifest names")
    if for_tuning and half != TUNING:
        raise MixedHalves(f"{path}: the held-out half is never tuned on")
    return manifest


def tuning_file(path: Path) -> dict:
    """The manifest's entry of one video that something is to be tuned on; a video that no manifest beside it names is refused."""
    path = Path(path).resolve()
    manifest = load_manifest(path.parent / "manifest.json", for_tuning=True)
    for file in manifest["files"]:
        if file["path"] == path.name:
            return file
    raise MixedHalves(f"{path}: not a film of the manifest beside it, so its half is unknown")
