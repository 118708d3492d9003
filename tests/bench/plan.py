"""Edits: which shots follow each other in a file, how, and what disturbs them. Everything follows from the file's seed.

A plan is exact before a frame is rendered. Frames are counted in ticks of the source (the presented frames of most files;
a file of variable rate drops some of them later).
"""

import random
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

import effects
import footage
from footage import world

CUTS = ("cut", "jump", "a-b-a", "dark", "similar", "motion", "at-flash")
GRADUALS = ("dissolve", "fade-black", "fade-white", "fade-out", "fade-in", "wipe")
TRAPS = ("flash", "partial-flash", "pan", "whip", "zoom", "shake", "exposure-jump", "exposure-ramp", "subtitle", "overlay", "passer", "strobe", "pulsing")
CLASSES = CUTS + GRADUALS + TRAPS
# Smallest mean difference (of 255, over a 64 × 36 grey picture) across a boundary: below it nobody could name the frame.
VISIBLE = {"cut": 12, "jump": 4, "a-b-a": 8, "dark": 2.5, "similar": 5, "motion": 10, "at-flash": 10, "gradual": 14}


@dataclass
class Trap:
    """A disturbance of a shot, in frames of the file from its start."""

    kind: str
    start: int
    n_frames: int
    seed: int
    strength: float = 1.0
    way: str = ""


@dataclass
class Shot:
    """A stretch of one take. Frames `first` to `last` (excluded) of the file show it, alone or mixed with a neighbour."""

    take: footage.Take
    offset_s: float
    first: int = 0
    last: int = 0
    gain: float = 1.0
    traps: list = field(default_factory=list)


@dataclass
class Boundary:
    """How one shot becomes the next. A cut has `start == end`, the first frame of the new shot; of a gradual, `start` is the
    first frame that is mixed and `end` the first that is not."""

    kind: str
    start: int
    end: int
    hold: int = 0
    flash_frames: tuple = ()


@dataclass
class Plan:
    seed: int
    size: tuple
    fps: float
    n_frames: int
    shots: list
    boundaries: list
    pulsing: bool
    dont_care: list
    fade_in: int = 0
    fade_out: int = 0


def thumbnail(frame, gain=1.0):
    grey = np.asarray(Image.fromarray(frame).convert("L").resize((64, 36), Image.BOX), np.float32)
    return np.clip(grey * gain, 0, 255)


class Planner:
    """Draws the plan of one file: its classes in order, each with calm around it."""

    def __init__(self, seed, half, size, fps, segments, frames_of_segment, brisk):
        self.rng = random.Random(f"scened-bench {seed}")
        self.seed, self.half, self.size, self.fps = seed, half, size, fps
        self.segments, self.frames_of_segment = segments, frames_of_segment
        self.at = 0
        self.film = self.last = self.setting = None
        self.shots, self.boundaries = [], []
        self.brisk = brisk

    def n_frames(self, low_s, high_s):
        return max(2, round(self.rng.uniform(low_s, high_s) * self.fps))

    def calm(self):
        """Lets the current shot run on undisturbed."""
        self.at += self.n_frames(0.6, 1.0) if self.brisk else self.n_frames(0.8, 2.2)

    def camera(self, width):
        rng = self.rng
        sway = (rng.uniform(0, 0.12), rng.uniform(0, 0.12), rng.uniform(0.03, 0.25), rng.uniform(0, 6.3))
        return footage.Camera(width, rng.uniform(0.1, 0.9), rng.uniform(0.2, 0.8), sway)

    def new_take(self, wide=False, dark=False):
        """A take of real footage (where there is any) or of the world; `wide` leaves room for the camera to move."""
        rng = self.rng
        width = rng.uniform(0.4, 0.55) if wide else rng.uniform(0.7, 0.98)
        if self.segments and rng.random() < 0.6:
            segment = rng.choice(self.segments)
            # Most cuts of a video stay in one place and one light; cuts between strangers are the easy ones.
            kin = [other for other in self.segments if other.footage == self.film and other != self.last]
            if kin and rng.random() < 0.5:
                segment = rng.choice(kin)
            self.film, self.last = segment.footage, segment
            if wide:
                width = max(width, 0.5)
            return footage.RealTake(self.size, self.camera(width), self.frames_of_segment(segment), segment.fps), rng.uniform(0, 3)
        composition = world.draw_composition(rng, self.half == "held-out")
        wanted = self.setting if rng.random() < 0.35 else None
        while composition.setting in footage.UNFIT_SETTINGS or wanted not in (None, composition.setting):
            composition = world.draw_composition(rng, self.half == "held-out")
        self.setting = composition.setting
        return footage.WorldTake(self.size, self.camera(width), rng.getrandbits(48), composition, rng.uniform(0.5, 4)), 0.0

    def time_of(self, shot, frame):
        return shot.offset_s + (frame - shot.first) / self.fps

    def difference(self, old, new, frame):
        """How visible a cut from one shot to another at some frame would be."""
        before = old.take.frame(self.time_of(old, frame - 1))
        after = new.take.frame(new.offset_s)
        return float(np.abs(thumbnail(before, old.gain) - thumbnail(after, new.gain)).mean())

    def begin(self, shot, first):
        shot.first = first
        self.shots.append(shot)

    def chosen(self, draw, visible, frame):
        """Draws shots until one is visibly another than the current one at some frame; the most different of many otherwise."""
        best = None
        for _ in range(12):
            shot = draw()
            shown = self.difference(self.shots[-1], shot, frame)
            if best is None or shown > best[0]:
                best = shown, shot
            if shown >= visible:
                break
        return best[1] if best[0] >= visible else None

    def plain(self, wide=False):
        take, offset_s = self.new_take(wide)
        return Shot(take, offset_s)

    # Each class of boundary; `wide` says whether the new shot needs room for the camera.

    def cut_to(self, kind, shot):
        self.shots[-1].last = self.at
        self.boundaries.append(Boundary(kind, self.at, self.at))
        self.begin(shot, self.at)

    def cut(self, kind, wide):
        old = self.shots[-1]
        if kind in ("cut", "at-flash"):
            shot = self.chosen(lambda: self.plain(wide), VISIBLE[kind], self.at)
        elif kind == "motion":
            self.add_move(old, "pan", self.at - round(0.5 * self.fps), 0.8)
            shot = self.chosen(lambda: self.moving(wide), VISIBLE[kind], self.at)
        elif kind == "jump":
            shot = self.chosen(lambda: Shot(old.take, self.time_of(old, self.at) + self.rng.uniform(1.5, 6), gain=old.gain), VISIBLE[kind], self.at)
        elif kind == "similar":
            shot = self.chosen(lambda: self.sibling(old), VISIBLE[kind], self.at)
        elif kind == "dark":
            return self.dark_cuts(wide)
        else:
            return self.a_b_a()
        if shot is None:
            # No such cut could be seen from this shot: an ordinary one takes its place.
            shot, kind = self.chosen(lambda: self.plain(wide), 0, self.at), "cut"
        self.cut_to(kind, shot)
        if kind == "at-flash":
            n_flash = self.rng.choice((1, 2, 2))
            after = self.rng.random() < 0.5
            self.boundaries[-1].flash_frames = tuple(range(self.at, self.at + n_flash) if after else range(self.at - n_flash, self.at))

    def moving(self, wide):
        take, offset_s = self.new_take(True)
        shot = Shot(take, offset_s, first=self.at)
        self.add_move(shot, "pan", self.at - round(0.4 * self.fps), 0.9)
        return shot

    def sibling(self, old):
        """Another view of what the current shot shows: the same place from nearer or from the side, at another moment."""
        rng, take = self.rng, old.take
        camera = footage.Camera(take.camera.width * rng.uniform(0.55, 0.8), rng.uniform(0, 1), rng.uniform(0.2, 0.8), take.camera.sway)
        if isinstance(take, footage.RealTake):
            other = footage.RealTake(self.size, camera, take.frames, take.fps)
        else:
            other = footage.WorldTake.__new__(footage.WorldTake)
            other.__dict__.update(take.__dict__)
            other.camera = camera
        return Shot(other, self.time_of(old, self.at) + rng.uniform(0, 2), gain=old.gain)

    def dark_cuts(self, wide):
        """A cut into a dark shot and one to another dark shot; the way out is an ordinary cut of the next class."""
        for kind in ("cut", "dark"):
            def draw():
                shot = self.plain(wide)
                level = thumbnail(shot.take.frame(shot.offset_s)).mean()
                shot.gain = min(1.0, self.rng.uniform(14, 28) / max(level, 1))
                return shot
            shot = self.chosen(draw, VISIBLE["dark"], self.at) or draw()
            self.cut_to(kind, shot)
            self.at += self.n_frames(1.0, 1.8)

    def a_b_a(self):
        old = self.shots[-1]
        other = self.chosen(lambda: self.plain(), VISIBLE["a-b-a"], self.at) or self.plain()
        self.cut_to("a-b-a", other)
        self.at += max(3, self.n_frames(0.2, 0.9))
        back = Shot(old.take, self.time_of(old, self.at), gain=old.gain)
        self.cut_to("a-b-a", back)

    def gradual(self, kind, wide):
        n_frames = max(3, self.n_frames(0.3, 1.4 if kind == "wipe" else 2.0))
        shot = self.chosen(lambda: self.plain(wide), VISIBLE["gradual"], self.at) or self.plain(wide)
        hold = 0
        if kind == "wipe":
            kind = self.rng.choice(effects.WIPES)
        elif kind in ("fade-out", "fade-in"):
            hold = self.n_frames(0.15, 0.6)
        elif kind == "fade-black" and self.rng.random() < 0.5:
            hold = self.n_frames(0.1, 0.5)
        start, end = self.at, self.at + n_frames + hold
        self.boundaries.append(Boundary(kind, start, end, hold))
        self.shots[-1].last = end
        self.begin(shot, start)
        self.at = end

    # Each class of trap.

    def add_move(self, shot, kind, start, length_s, **change):
        camera, rng = shot.take.camera, self.rng
        if kind == "pan" and not change:
            x = camera.x + sum(move.x for move in camera.moves if move.kind == "pan")
            change = {"x": (0.95 - x if x < 0.5 else 0.05 - x) * rng.uniform(0.8, 1), "y": rng.uniform(-0.15, 0.15)}
        camera.moves.append(footage.Move(kind, self.time_of(shot, start), length_s, seed=rng.getrandbits(16), **change))

    def trap(self, kind):
        rng, shot, start = self.rng, self.shots[-1], self.at
        strength, way = 1.0, ""
        if kind in ("flash", "partial-flash"):
            n_frames, strength, way = rng.randint(1, 4), rng.uniform(0.5, 1.0), rng.choice(("steady", "dying"))
        elif kind in ("pan", "whip"):
            n_frames = self.n_frames(0.5, 1.0) if kind == "pan" else max(3, self.n_frames(0.15, 0.35))
            self.add_move(shot, "pan", start, n_frames / self.fps)
        elif kind == "zoom":
            n_frames = self.n_frames(0.3, 1.0)
            nearer = all(move.kind != "zoom" for move in shot.take.camera.moves)
            self.add_move(shot, "zoom", start, n_frames / self.fps, width=0.5 if nearer else 2.0)
        elif kind == "shake":
            n_frames = self.n_frames(0.7, 1.5)
            self.add_move(shot, "shake", start, n_frames / self.fps, x=rng.uniform(0.015, 0.045), y=rng.uniform(0.015, 0.045))
        elif kind == "exposure-jump":
            n_frames, strength = rng.randint(1, 3), rng.choice((0.45, 0.55, 1.6, 2.1))
        elif kind == "exposure-ramp":
            n_frames, strength = self.n_frames(0.5, 1.2), rng.choice((0.4, 0.5, 1.7, 2.2))
        elif kind in ("subtitle", "overlay"):
            n_frames, way = self.n_frames(1.0, 2.0), rng.choice(("at once", "faded", "slid") if kind == "overlay" else ("at once", "at once", "faded"))
        elif kind == "passer":
            n_frames, way = max(4, self.n_frames(0.4, 1.1)), rng.choice(("left", "right"))
        elif kind == "strobe":
            n_frames, strength = self.n_frames(1.0, 1.8), rng.choice((0.3, 0.5, 1.8))
        else:
            n_frames = self.n_frames(2.5, 3.5)
        shot.traps.append(Trap(kind, start, n_frames, rng.getrandbits(31), strength, way))
        self.at += n_frames

    def plan(self, classes) -> Plan:
        classes = list(classes)
        needs_room = {"pan", "whip", "zoom", "motion"}

        def room_for(place):
            """Whether a shot that begins after this class must leave room, for itself or for what comes before the next boundary."""
            for later in classes[place:]:
                if later in needs_room:
                    return True
                if later not in TRAPS and later not in ("jump", "similar", "a-b-a"):
                    return False
            return False

        self.begin(self.plain(room_for(0)), 0)
        rng, dont_care = self.rng, []
        fade_in = self.n_frames(0.5, 1.2) if rng.random() < 0.2 else 0
        if fade_in:
            dont_care.append((0, fade_in))
            self.at += fade_in
        for place, kind in enumerate(classes):
            self.calm()
            if kind in CUTS:
                self.cut(kind, room_for(place + 1))
            elif kind in GRADUALS:
                self.gradual(kind, room_for(place + 1))
            else:
                self.trap(kind)
        self.calm()
        fade_out = self.n_frames(0.5, 1.2) if rng.random() < 0.2 else 0
        if fade_out:
            dont_care.append((self.at, self.at + fade_out))
            self.at += fade_out
        self.shots[-1].last = self.at
        return Plan(self.seed, self.size, self.fps, self.at, self.shots, self.boundaries, "pulsing" in classes, dont_care, fade_in, fade_out)


# ---------------------------------------------------------------- a plan's frames


def lit(plan, shot, position):
    """The gain of a shot at a (possibly fractional) frame: its own, and what exposure traps have made of it so far."""
    gain = shot.gain
    for trap in shot.traps:
        if trap.kind in ("exposure-jump", "exposure-ramp") and position >= trap.start:
            done = min(1.0, (position - trap.start + 1) / trap.n_frames)
            # The picture recovers within two seconds, as automatic exposure does: a second trap must find something to see.
            healed = min(1.0, max(0.0, (position - trap.start - trap.n_frames) / (2 * plan.fps) - 0.3))
            gain *= 1 + (trap.strength - 1) * done * (1 - healed)
        if trap.kind == "strobe" and trap.start <= position < trap.start + trap.n_frames:
            period = 2 + trap.seed % 4
            if int(position - trap.start) // period % 2 == 1:
                gain *= trap.strength
    return gain


def shot_frame(plan, shot, position):
    """The frame of one shot with what disturbs it."""
    frame = shot.take.frame(shot.offset_s + (position - shot.first) / plan.fps)
    gain = lit(plan, shot, position)
    if gain != 1.0:
        frame = effects.brighter(frame, gain)
    height, width = frame.shape[:2]
    for trap in shot.traps:
        into = position - trap.start
        if not 0 <= into < trap.n_frames:
            continue
        if trap.kind in ("flash", "partial-flash"):
            strength = trap.strength * (0.65 ** int(into) if trap.way == "dying" else 1.0)
            frame = effects.flash(frame, strength, trap.seed if trap.kind == "partial-flash" else None)
        elif trap.kind in ("subtitle", "overlay"):
            layer = (effects.subtitle if trap.kind == "subtitle" else effects.banner)(height, width, trap.seed)
            edge = min(into + 1, trap.n_frames - into) / max(1, 0.2 * plan.fps)
            shown = 1.0 if trap.way == "at once" else min(1.0, edge)
            frame = effects.overlaid(frame, layer, shown) if trap.way != "slid" else effects.overlaid(frame, layer, 1.0, (1 - shown) * height * 0.3)
        elif trap.kind == "passer":
            frame = effects.passed(frame, effects.passer(height, width, trap.seed), (into + 0.5) / trap.n_frames, trap.way == "left")
    return frame


def frame_at(plan, position):
    """A frame of the whole file. `position` is in ticks; a half is the second field of an interlaced frame."""
    tick = int(position)
    shown = [shot for shot in plan.shots if shot.first <= tick < shot.last]
    frame = shot_frame(plan, shown[0], position)
    if len(shown) == 2:
        boundary = next(b for b in plan.boundaries if b.start <= tick < b.end)
        second = shot_frame(plan, shown[1], position)
        n_mixed = boundary.end - boundary.start - boundary.hold
        into = position - boundary.start
        if boundary.kind == "fade-out":
            frame = effects.mixed(frame, np.zeros_like(frame), float(min(1.0, (into + 1) / n_mixed)))
        elif boundary.kind == "fade-in":
            frame = effects.mixed(np.zeros_like(frame), second, float(min(1.0, max(0.0, (into - boundary.hold + 1) / (n_mixed + 1)))))
        else:
            if boundary.hold and into >= n_mixed / 2:
                into = max(n_mixed / 2, into - boundary.hold)
            frame = effects.transition(boundary.kind, frame, second, (into + 1) / (n_mixed + 1))
    for boundary in plan.boundaries:
        if tick in boundary.flash_frames:
            frame = effects.flash(frame, 0.75)
    if plan.fade_in and position < plan.fade_in:
        frame = effects.brighter(frame, (position + 1) / (plan.fade_in + 1))
    if plan.fade_out and position >= plan.n_frames - plan.fade_out:
        frame = effects.brighter(frame, (plan.n_frames - position) / (plan.fade_out + 1))
    return frame
