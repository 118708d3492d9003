"""Edits: shots one after the other, with cuts and gradual transitions between them, and the truth about where these are.

Everything follows from a seed. Shots are in `shots.py`, what happens within them in `traps.py`.
"""

import random
from dataclasses import dataclass, field

import cv2
import numpy as np

from pictures import array_rng
from shots import GLIMPSE_SIZE, Shot, eased
from traps import play

FRAME_RATES = (10, 12.5, 15, 23.976, 24, 25, 25, 25, 29.97, 29.97, 30, 50, 60)
# A fast video is no longer in frames than one of this rate.
COUNTED_RATE = 30
BOUNDARY_SHARES = {"cut": 0.55, "dissolve": 0.17, "fade": 0.13, "wipe": 0.15}
OPENING_SHARE, LIKE_SHARE, RETURN_SHARE, JUMP_SHARE, FLASHED_SHARE = 0.15, 0.22, 0.3, 0.15, 0.05
WIPES = ("left", "right", "down", "up", "diagonal", "iris out", "iris in", "clock", "doors", "blocks", "blinds", "push", "slide")
# The difference of a cut to or from a plain colour: beyond doubt.
CERTAIN = 99.0


@dataclass(frozen=True)
class Cut:
    """`frame`: the first of the new shot. `difference`: how much the frames at its sides differ, in 8-bit steps."""

    frame: int
    difference: float = CERTAIN


@dataclass(frozen=True)
class Gradual:
    """Frames `[start, end)` belong to both shots or to none."""

    start: int
    end: int
    middle: int


@dataclass
class Truth:
    """Where a video's boundaries are. `ignored` frames, `[start, end)`, may be called anything."""

    n_frames: int
    fps: float
    cuts: list = field(default_factory=list)
    graduals: list = field(default_factory=list)
    ignored: list = field(default_factory=list)


def plain(luma):
    """A frame of one grey."""
    width, height = GLIMPSE_SIZE
    return np.tile(np.array([luma, 128, 128], np.float32), (height, width, 1))


def mixed(first, second, share):
    return first * (1 - share) + second * share


def positions(n_frames):
    """How far a transition has come in each of its frames; neither end is shown in full by any of them."""
    return np.arange(1, n_frames + 1) / (n_frames + 1)


def difference(before, after):
    """How much two glimpses differ, grain aside."""
    luma = np.abs(cv2.blur(before[..., 0], (3, 3)) - cv2.blur(after[..., 0], (3, 3))).mean()
    return float(luma + np.abs(before[..., 1:] - after[..., 1:]).mean())


def wipe_order(kind, chance):
    """When each pixel changes hands, 0 (first) to 1 (last). **Shape** `[48, 64]`."""
    width, height = GLIMPSE_SIZE
    rows, columns = np.mgrid[0:height, 0:width]
    x, y = (columns + 0.5) / width, (rows + 0.5) / height
    if kind == "blocks":
        return cv2.resize(np.random.default_rng(int(chance * 1e6)).random((6, 8)), GLIMPSE_SIZE, interpolation=cv2.INTER_NEAREST)
    radius = np.hypot(x - 0.5, y - 0.5) / 0.71
    return {
        "left": x, "right": 1 - x, "down": y, "up": 1 - y, "diagonal": (x + y) / 2, "iris out": radius, "iris in": 1 - radius,
        "clock": np.arctan2(y - 0.5, x - 0.5) / (2 * np.pi) + 0.5, "doors": np.abs(x - 0.5) * 2, "blinds": (x * 8) % 1,
    }[kind]


def wiped(kind, first, second, done, chance):
    """A frame of a wipe. `chance`, 0 to 1, stays the same throughout the wipe: from 0.6 on its edge is soft."""
    width = GLIMPSE_SIZE[0]
    edge = int(done * width)
    if kind in ("push", "slide"):
        kept = first[:, edge:] if kind == "push" else first[:, : width - edge]
        return np.concatenate([kept, second[:, :edge]], axis=1)
    softness = 0.02 + (0.3 * chance if chance > 0.6 else 0)
    share = np.clip((done * (1 + softness) - wipe_order(kind, chance)) / softness, 0, 1)
    return mixed(first, second, share[..., None])


class Edit:
    """An edit being made. `at` is the next frame of the shot that is shown now."""

    def __init__(self, seed, material):
        self.rng = random.Random(seed)
        self.material = material
        self.fps = self.rng.choice(FRAME_RATES)
        self.glimpses, self.cuts, self.graduals, self.ignored = [], [], [], []
        self.shot, self.at = Shot(self.rng, material, self.fps), 0
        # The shot before, to which a video may return.
        self.left = None

    @property
    def n_frames(self):
        return len(self.glimpses)

    def frames_in(self, seconds):
        return int(seconds * self.fps)

    def play(self, shot, first, n_frames):
        return play(self.rng, self.material, shot, first, n_frames)

    def make(self):
        least_frames = int(self.rng.uniform(9, 16) * min(self.fps, COUNTED_RATE))
        if self.rng.random() < OPENING_SHARE:
            self.open_from_black()
        transitions = {"cut": self.cut_to, "dissolve": self.dissolve_to, "fade": self.fade_to, "wipe": self.wipe_to}
        while self.n_frames < least_frames:
            self.show_shot()
            kind = self.rng.choices(list(BOUNDARY_SHARES), list(BOUNDARY_SHARES.values()))[0]
            before = self.shot
            shot, at = self.next_shot()
            self.shot, self.at = transitions[kind](shot, at)
            self.left = before if self.rng.random() < 0.5 else None
        return self.finished()

    def finished(self):
        glimpses = np.clip(np.stack(self.glimpses) + 0.5, 0, 255).astype(np.uint8)
        # A cut behind the last frame is none.
        cuts = [cut for cut in self.cuts if cut.frame < self.n_frames]
        return glimpses, Truth(self.n_frames, self.fps, cuts, self.graduals, self.ignored)

    def open_from_black(self):
        """The video begins with a fade from black, which is no boundary."""
        n_black, n_faded = self.frames_in(self.rng.uniform(0, 0.8)), max(2, self.frames_in(self.rng.uniform(0.3, 2)))
        self.glimpses += [plain(self.rng.uniform(0, 14)) for _ in range(n_black)]
        black = plain(0)
        self.glimpses += [mixed(black, glimpse, done) for glimpse, done in zip(self.play(self.shot, 0, n_faded), positions(n_faded))]
        self.ignored.append((0, n_black + n_faded))
        self.at = n_faded

    def show_shot(self):
        seconds = self.rng.choice([self.rng.uniform(0.2, 0.9), self.rng.uniform(0.8, 3), self.rng.uniform(2, 6)])
        n_frames = self.frames_in(seconds) + 3
        self.glimpses += self.play(self.shot, self.at, n_frames)
        self.at += n_frames

    def next_shot(self):
        """What is shown after the transition: the shot before this one again, or a new one, now and then of the same picture."""
        like = self.shot if self.rng.random() < LIKE_SHARE else None
        if self.left is not None and self.rng.random() < RETURN_SHARE:
            return self.left, self.rng.randint(0, 50)
        return Shot(self.rng, self.material, self.fps, like), 0

    def cut_to(self, shot, at):
        if self.rng.random() < JUMP_SHARE:
            # A jump cut: the same take, some seconds later.
            later = self.at + self.frames_in(self.rng.uniform(1.5, 6))
            shot, at = (Shot(self.rng, self.material, self.fps), 0) if self.shot.is_frozen else (self.shot, later)
        self.cuts.append(Cut(self.n_frames, difference(self.glimpses[-1], np.clip(shot.frame(at), 0, 255))))
        if self.rng.random() < FLASHED_SHARE:
            at += self.flash_over(shot, at)
        return shot, at

    def flash_over(self, shot, at):
        """Lights the first frames after a cut, of which the very first may still be of the old shot."""
        first, n_frames = self.n_frames, self.rng.randint(1, 3)
        for number in range(n_frames):
            is_old = number == 0 and self.rng.random() < 0.5
            glimpse = self.shot.frame(self.at) if is_old else shot.frame(at + number)
            glimpse[..., 0] = glimpse[..., 0] * 0.5 + self.rng.uniform(100, 200)
            self.glimpses.append(np.clip(glimpse, 0, 255))
        self.ignored.append((first, self.n_frames + 1))
        return n_frames

    def both_played(self, shot, at):
        """The old and the new shot's frames in a transition of chance length."""
        n_frames = max(3, self.frames_in(self.rng.uniform(0.3, 2)))
        return self.play(self.shot, self.at, n_frames), self.play(shot, at, n_frames)

    def add_gradual(self, glimpses):
        start, n_frames = self.n_frames, len(glimpses)
        self.glimpses += glimpses
        self.graduals.append(Gradual(start, self.n_frames, start + n_frames // 2))

    def dissolve_to(self, shot, at):
        old, new = self.both_played(shot, at)
        shares = positions(len(old))
        if self.rng.random() < 1 / 3:
            shares = eased(shares)
        self.add_gradual([mixed(*frames) for frames in zip(old, new, shares)])
        return shot, at + len(new)

    def wipe_to(self, shot, at):
        old, new = self.both_played(shot, at)
        kind, chance = self.rng.choice(WIPES), self.rng.random()
        self.add_gradual([wiped(kind, *frames, chance) for frames in zip(old, new, positions(len(old)))])
        return shot, at + len(new)

    def fade_to(self, shot, at):
        """Out to black or white, a pause, and in again; or only out, or only in, with a cut at the other side of the pause."""
        n_out, n_in = (max(3, self.frames_in(self.rng.uniform(0.3, 2))) for _ in range(2))
        n_plain = self.frames_in(self.rng.choice([0, 0, self.rng.uniform(0, 0.3), self.rng.uniform(0.2, 1.2)]))
        colour = plain(self.rng.choice([self.rng.uniform(0, 10), self.rng.uniform(0, 10), self.rng.uniform(240, 255)]))
        form = self.rng.random()
        if form < 0.15:
            n_out, n_plain = 0, max(n_plain, self.frames_in(0.25))
        elif form < 0.3:
            n_in = 0
        start = self.n_frames
        self.glimpses += [mixed(glimpse, colour, done) for glimpse, done in zip(self.play(self.shot, self.at, n_out), positions(n_out))]
        self.glimpses += [np.clip(colour + array_rng(self.rng).normal(0, 0.4, colour.shape), 0, 255) for _ in range(n_plain)]
        middle, faded_in = self.n_frames - n_plain // 2, self.n_frames
        self.glimpses += [mixed(colour, glimpse, done) for glimpse, done in zip(self.play(shot, at, n_in), positions(n_in))]
        if not n_out:
            self.cuts.append(Cut(start))
            self.ignored.append((start + 1, self.n_frames))
        elif not n_in:
            self.cuts.append(Cut(faded_in))
            self.ignored.append((start, faded_in - 1))
        else:
            self.graduals.append(Gradual(start, self.n_frames, middle))
        return shot, at + n_in
