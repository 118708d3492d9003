"""Takes: unbroken pictures of one camera, from the project's own painted world or from a real clip.

A take answers with the frame at any time, so that every frame rate, variable rate and interlacing come from one place.
It knows nothing of edits and encoders.
"""

import functools
import json
import math
import random
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

import halves

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "models" / "starter"))

import film  # noqa: E402
import world  # noqa: E402

REAL_HEIGHT_PX = 320
MOST_FRAMES_OF_A_SEGMENT = 110
SHORTEST_SEGMENT_S = 1.0
# Frames kept away from a boundary that was seen by eye: hard cuts are exact, the ends of graduals are good to five frames.
CUT_MARGIN, GRADUAL_MARGIN = 3, 12
# These paint noise, stripes or nothing: pictures in which no eye finds a cut, or sees one in every frame.
UNFIT_SETTINGS = {"static", "plain", "stripes", "checkerboard", "colour bars"}


@dataclass
class Move:
    """Something the camera does within a take: a change of place and width that stays, or a shake that ends."""

    kind: str  # "pan", "zoom" or "shake"
    start_s: float
    length_s: float
    x: float = 0.0
    y: float = 0.0
    width: float = 1.0
    seed: int = 0


@dataclass
class Camera:
    """A view into a larger picture. `width` is its share of the picture; `x`, `y` its place in what is left over, 0 to 1."""

    width: float
    x: float
    y: float
    sway: tuple = (0.0, 0.0, 0.2, 0.0)  # amplitudes across and down, hertz, phase
    moves: list = field(default_factory=list)

    def box(self, time_s, picture_size, aspect):
        """The view at some time. **Units** pixels of the picture."""
        wide, tall = picture_size
        x, y, width = self.x, self.y, self.width
        jolt_x = jolt_y = 0.0
        for move in self.moves:
            progress = (time_s - move.start_s) / move.length_s
            if move.kind == "shake":
                if 0 <= progress <= 1:
                    phase = move.seed % 7
                    jolt_x += move.x * (math.sin(time_s * 41 + phase) + 0.7 * math.sin(time_s * 67 + 2 * phase))
                    jolt_y += move.y * (math.sin(time_s * 37 + 3 * phase) + 0.7 * math.sin(time_s * 59 + phase))
                continue
            eased = min(max(progress, 0.0), 1.0)
            eased = eased * eased * (3 - 2 * eased)
            x += move.x * eased
            y += move.y * eased
            width *= 1 + (move.width - 1) * eased
        across, down, hertz, phase = self.sway
        x += across * math.sin(2 * math.pi * hertz * time_s + phase)
        y += down * math.cos(2 * math.pi * hertz * 0.7 * time_s + phase)
        view_w = min(width, 1.0) * min(wide, tall * aspect)
        view_h = view_w / aspect
        left = x * (wide - view_w) + jolt_x * view_w
        top = y * (tall - view_h) + jolt_y * view_h
        left, top = min(max(left, 0.0), wide - view_w), min(max(top, 0.0), tall - view_h)
        return left, top, left + view_w, top + view_h

    def blurs(self, time_s):
        """Whether the camera moves so fast that an exposure smears."""
        return any(move.kind == "pan" and move.length_s < 0.45 and 0 <= time_s - move.start_s <= move.length_s for move in self.moves)


class Take:
    """One unbroken take of one size. `frame(time_s)` may be asked in any order; negative times are allowed."""

    def __init__(self, size, camera):
        self.size = size
        self.camera = camera

    def picture(self, time_s):
        raise NotImplementedError

    def draw_actors(self, frame, box, time_s):
        """Draws what moves on its own; real footage has that in its pictures."""

    def frame(self, time_s):
        """**Shape** `[h, w, 3]` u8, RGB."""
        picture, (width, height) = self.picture(time_s), self.size
        times = [time_s + shift for shift in (-0.008, 0.0, 0.008)] if self.camera.blurs(time_s) else [time_s]
        frames = []
        for moment in times:
            box = self.camera.box(moment, picture.size, width / height)
            frame = picture.resize(self.size, Image.BILINEAR, box=box)
            self.draw_actors(frame, box, moment)
            frames.append(np.asarray(frame))
        if len(frames) == 1:
            return frames[0]
        return (sum(frame.astype(np.uint16) for frame in frames) // len(frames)).astype(np.uint8)


class WorldTake(Take):
    """A take of the painted world: a background with a drifting camera over it, and objects that sway and bob."""

    def __init__(self, size, camera, seed, composition, liveliness):
        super().__init__(size, camera)
        rng = random.Random(seed)
        aspect = size[0] / size[1]
        # The picture is painted so large that the narrowest view still has about a pixel for each of its own.
        wide = min(round(size[0] / camera.width * 1.05), 1600)
        self.background = world.paint_background(seed % 2**32, composition.setting, composition.colours, wide, round(wide / aspect))
        texture = np.random.default_rng(seed).normal(0, rng.uniform(2, 9), (round(wide / aspect), wide, 1))
        self.background = Image.fromarray(np.clip(np.asarray(self.background) + texture, 0, 255).astype(np.uint8))
        self.actors = film.cast(rng, composition, aspect)
        for actor in self.actors:
            actor.sway *= liveliness
            actor.bob *= liveliness
        self.home = camera.box(0.0, self.background.size, aspect)

    def picture(self, _time_s):
        return self.background

    def draw_actors(self, frame, box, time_s):
        width, height = self.size
        home_w, home_h = self.home[2] - self.home[0], self.home[3] - self.home[1]
        view_w = box[2] - box[0]
        for actor in self.actors:
            swing = math.sin(2 * math.pi * actor.rate * time_s + actor.phase)
            x = self.home[0] + (actor.x + actor.sway * swing) * home_w
            y = self.home[1] + (actor.y + actor.bob * abs(swing)) * home_h
            side = round(actor.size * height * home_w / view_w * (1 + 0.04 * swing))
            if not 2 <= side <= 3 * height:
                continue
            image = resized(actor.image, side)
            place = (x - box[0]) / view_w * width - side / 2, (y - box[1]) / (box[3] - box[1]) * height - side / 2
            frame.paste(image, (round(place[0]), round(place[1])), image)


_resized = {}


def resized(image, side):
    """A sprite at some size, kept: the same few sizes come back in every swing."""
    key = id(image), side
    if key not in _resized:
        if len(_resized) > 400:
            _resized.clear()
        # The original is kept with its copy, so that its id is not given to another picture meanwhile.
        _resized[key] = image, image.resize((side, side), Image.BILINEAR)
    return _resized[key][1]


class RealTake(Take):
    """A take of a real clip, run forwards and backwards between its first and last frame: a continuous motion of any length."""

    def __init__(self, size, camera, frames, fps):
        super().__init__(size, camera)
        self.frames = frames
        self.fps = fps

    def picture(self, time_s):
        place = math.floor(time_s * self.fps) % (2 * len(self.frames) - 2)
        return Image.fromarray(self.frames[min(place, 2 * len(self.frames) - 2 - place)])


@dataclass(frozen=True)
class Segment:
    """Frames of a real clip between two boundaries that were seen by eye."""

    footage: str
    path: str
    stream: int | None
    fps: float
    first: int
    n_frames: int


def free_spans(n_frames, walls):
    """The spans between walls (each [from, to) with its margin)."""
    spans, at = [], 0
    for low, high in sorted(walls):
        spans.append((at, low))
        at = max(at, high)
    spans.append((at, n_frames))
    return spans


def real_segments(media: Path | None, half: str) -> list[Segment]:
    """The one-shot segments of real clips that a half may use; none where the clips are not there."""
    if media is None:
        return []
    truth = json.loads((HERE / "real_truth.json").read_text(encoding="utf-8"))
    segments = []
    for clip in truth["clips"] + truth["footage_only"]:
        if halves.half_of_source(clip["footage"]) != half or not clip.get("as_footage", True) or not (media / clip["path"]).is_file():
            continue
        if "shots" in clip:
            spans = [tuple(shot) for shot in clip["shots"]]
        else:
            walls = [(frame - CUT_MARGIN, frame + CUT_MARGIN) for frame, _ in clip["cuts"]]
            walls += [(low - GRADUAL_MARGIN, high + GRADUAL_MARGIN) for low, high, _ in clip["graduals"]] + [tuple(span) for span in clip.get("avoid", [])]
            spans = free_spans(clip["n_frames"] - 2, walls)
        for low, high in spans:
            while high - low >= SHORTEST_SEGMENT_S * clip["fps"] and high - low >= 20:
                n_frames = min(high - low, MOST_FRAMES_OF_A_SEGMENT)
                segments.append(Segment(clip["footage"], clip["path"], clip.get("stream"), clip["fps"], low, n_frames))
                # Of a long take a few stretches are enough, far from each other.
                low += n_frames * (1 if high - low < 400 else 3)
    return segments


@functools.lru_cache(maxsize=24)
def segment_frames(media: Path, cache: Path, segment: Segment):
    """The frames of a segment, decoded once and then mapped. **Shape** `[n, h, w, 3]` u8, as a player shows them."""
    name = f"{Path(segment.path).stem}-{segment.stream}-{segment.first}-{segment.n_frames}.npy".replace(" ", "_")
    kept = cache / name
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        chosen = f"0:{segment.stream}" if segment.stream is not None else "0:v:0"
        select = f"select='between(n,{segment.first},{segment.first + segment.n_frames - 1})'"
        shape = f"scale='2*round(iw*if(gt(sar,0),sar,1)*{REAL_HEIGHT_PX}/ih/2)':{REAL_HEIGHT_PX}:flags=area"
        command = ["ffmpeg", "-v", "error", "-i", str(media / segment.path), "-map", chosen, "-vf", f"{select},{shape},format=rgb24", "-fps_mode", "passthrough", "-f", "image2pipe", "-c:v", "ppm", "-"]
        data = subprocess.run(command, check=True, capture_output=True).stdout
        header = data.split(b"\n", 3)
        wide, tall = (int(number) for number in header[1].split())
        step = len(b"\n".join(header[:3])) + 1 + wide * tall * 3
        raw = np.frombuffer(data, np.uint8).reshape(-1, step)[:, -wide * tall * 3 :]
        unfinished = kept.with_suffix(f".{random.getrandbits(32)}.tmp.npy")
        np.save(unfinished, raw.reshape(-1, tall, wide, 3))
        unfinished.rename(kept)
    return np.load(kept, mmap_mode="r")
