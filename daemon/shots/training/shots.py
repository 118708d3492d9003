"""One shot: a picture or clip under a camera that may move, with things that move before it.

A shot answers with the glimpse of any of its frames. It knows nothing of edits, and of exposure only what stays the same throughout.
Places are shares of what is seen, or of what the camera can reach; times are seconds since the shot's frame 0.
"""

import math
from dataclasses import dataclass, field

import cv2
import numpy as np

from pictures import array_rng, draw_picture, random_patch, to_ycbcr

# A glimpse: what the detector sees of a frame (`daemon/shots/src/glimpse.rs`).
GLIMPSE_SIZE = (64, 48)
# Shots are painted at twice that size and averaged, so that small motions show.
CANVAS_SIZE = (128, 96)
NARROWEST_ZOOM = 0.25
LIKE_SHARE = 0.8
CLIP_SHARE, STILL_SHARE = 0.42, 0.38
# A still seen wider than this many times the canvas is blurred first, or its pixels would flicker as the camera moves.
COARSEST_SAMPLING = 2.2


def eased(progress):
    """From 0 to 1 with a soft start and a soft end."""
    progress = np.clip(progress, 0, 1)
    return progress * progress * (3 - 2 * progress)


def bounced(place):
    """A place that turns back at 0 and 1."""
    return 1 - abs(1 - place % 2)


@dataclass(frozen=True)
class Source:
    """What a shot shows: frames `[n, h, w, 3]` at some rate, or one still `[1, h, w, 3]` of which the camera sees a part."""

    frames: np.ndarray
    fps: float

    @property
    def is_still(self):
        return len(self.frames) == 1

    @property
    def size(self):
        height, width = self.frames.shape[1:3]
        return width, height


def choose_source(rng, material, like):
    """A clip, a still or a drawn picture; mostly that of the shot `like`, if one is given."""
    kind = rng.random()
    if like is not None and rng.random() < LIKE_SHARE:
        return like.source
    if kind < CLIP_SHARE:
        clip = rng.choice(material.clips)
        return Source(clip.frames, clip.fps)
    picture = rng.choice(material.stills) if kind < CLIP_SHARE + STILL_SHARE else draw_picture(rng)
    return Source(picture[None], 0.0)


@dataclass(frozen=True)
class Move:
    """A pan or zoom that stays. `across` and `down` in reaches of the camera, `zoom` as a factor of what is seen."""

    start_s: float
    length_s: float
    across: float
    down: float
    zoom: float


@dataclass(frozen=True)
class Shake:
    """A shake that ends."""

    start_s: float
    length_s: float
    across: float
    down: float
    phase: float


@dataclass
class Camera:
    """A view into a larger picture. `zoom` is the share that is seen."""

    zoom: float
    x: float
    y: float
    speed_x: float
    speed_y: float
    zoom_speed: float
    sway_x: float
    sway_y: float
    sway_hz: float
    sway_phase: float
    moves: list = field(default_factory=list)
    shakes: list = field(default_factory=list)

    @classmethod
    def random(cls, rng, is_still):
        # A clip moves by itself; most stills and a few clips are filmed with a moving camera besides.
        liveliness = rng.choice([0, 0, 0.3, 1, 1, 2.5]) if is_still else rng.choice([0, 0, 0, 0, 0.5])
        return cls(
            zoom=rng.uniform(0.35, 0.9) if is_still else rng.uniform(0.7, 1),
            x=rng.random(), y=rng.random(),
            speed_x=rng.gauss(0, 0.06) * liveliness, speed_y=rng.gauss(0, 0.04) * liveliness, zoom_speed=rng.gauss(0, 0.05) * liveliness,
            sway_x=rng.gauss(0, 0.01) * liveliness, sway_y=rng.gauss(0, 0.01) * liveliness, sway_hz=rng.uniform(0.3, 3), sway_phase=rng.uniform(0, 6),
        )

    @property
    def is_steady(self):
        return abs(self.speed_x) + abs(self.speed_y) + abs(self.zoom_speed) < 0.02

    def view(self, time_s):
        """Place and zoom at some time."""
        sway = 2 * math.pi * time_s * self.sway_hz
        x = self.x + self.speed_x * time_s + self.sway_x * math.sin(sway + self.sway_phase)
        y = self.y + self.speed_y * time_s + self.sway_y * math.cos(sway * 0.7 + self.sway_phase)
        zoom = self.zoom * math.exp(self.zoom_speed * time_s)
        for move in self.moves:
            done = eased((time_s - move.start_s) / move.length_s)
            x += move.across * done
            y += move.down * done
            zoom *= 1 + (move.zoom - 1) * done
        for shake in self.shakes:
            if 0 <= time_s - shake.start_s <= shake.length_s:
                x += shake.across * (math.sin(time_s * 41 + shake.phase) + 0.7 * math.sin(time_s * 67 + shake.phase * 2))
                y += shake.down * (math.sin(time_s * 37 + shake.phase) + 0.7 * math.sin(time_s * 59 + shake.phase))
        return bounced(x), bounced(y), min(max(zoom, NARROWEST_ZOOM), 1.0)

    def smear(self, time_s, fps):
        """How far the picture slides while a frame is exposed, as a share of the canvas."""
        under_way = [move for move in self.moves if 0 < time_s - move.start_s < move.length_s]
        return max((abs(move.across) * 0.9 / (move.length_s * fps) for move in under_way), default=0.0)


def paste(canvas, patch, diameter, x, y, row_power):
    """Lays a round patch over a canvas, its middle at (x, y). `row_power` 2 makes a disc, 4 a taller body."""
    left, top = int(x * CANVAS_SIZE[0] - diameter / 2), int(y * CANVAS_SIZE[1] - diameter / 2)
    if left >= CANVAS_SIZE[0] or top >= CANVAS_SIZE[1] or left + diameter <= 0 or top + diameter <= 0:
        return
    inside = np.s_[max(-top, 0) : CANVAS_SIZE[1] - top, max(-left, 0) : CANVAS_SIZE[0] - left]
    rows, columns = np.ogrid[-1 : 1 : diameter * 1j, -1 : 1 : diameter * 1j]
    mask = np.clip((1 - (rows**row_power + columns**2)) * 6, 0, 1)[..., None][inside]
    ink = cv2.resize(patch, (diameter, diameter))[inside]
    target = canvas[max(top, 0) : max(top, 0) + mask.shape[0], max(left, 0) : max(left, 0) + mask.shape[1]]
    target[:] = (ink * mask + target * (1 - mask)).astype(np.uint8)


@dataclass(frozen=True)
class Sprite:
    """Something small that drifts to and fro, or, if it is half as high as the picture or higher, passes by once."""

    patch: np.ndarray
    size: float
    x: float
    y: float
    speed_x: float
    speed_y: float = 0.0
    wobble: float = 0.0
    wobble_hz: float = 1.0
    phase: float = 0.0

    @classmethod
    def random(cls, rng, material):
        return cls(
            random_patch(rng, material, still_share=0.7), size=rng.uniform(0.05, 0.4), x=rng.random(), y=rng.random(), speed_x=rng.gauss(0, 0.15), speed_y=rng.gauss(0, 0.08),
            wobble=rng.uniform(0, 0.15), wobble_hz=rng.uniform(0.2, 2), phase=rng.uniform(0, 6),
        )

    @classmethod
    def passing(cls, rng, material, start_s):
        """One that crosses the picture quickly, beginning at some time."""
        direction = rng.choice([-1, 1])
        speed = direction * 2.4 / rng.uniform(0.3, 1.2)
        patch = random_patch(rng, material, still_share=1.0)
        return cls(patch, size=rng.uniform(0.5, 0.95), x=0.5 - direction * 1.2 - speed * start_s, y=rng.uniform(0.3, 0.8), speed_x=speed)

    def draw(self, canvas, time_s):
        x = self.x + self.speed_x * time_s + self.wobble * math.sin(2 * math.pi * self.wobble_hz * time_s + self.phase)
        y = self.y + self.speed_y * time_s
        if self.size < 0.5:
            x, y = bounced(x), bounced(y)
        diameter = int(self.size * CANVAS_SIZE[1])
        if diameter >= 3:
            paste(canvas, self.patch, diameter, x, y, row_power=2)


@dataclass(frozen=True)
class Passer:
    """Something large that comes slowly before the lens and goes, or stays there."""

    patch: np.ndarray
    size: float
    direction: int
    start_s: float
    length_s: float
    beside: float
    is_vertical: bool
    stops_at: float | None

    @classmethod
    def random(cls, rng, material, start_s):
        return cls(
            random_patch(rng, material, still_share=0.8), size=rng.uniform(0.5, 1.3), direction=rng.choice([-1, 1]), start_s=start_s, length_s=rng.uniform(0.8, 5), beside=rng.uniform(0.2, 0.9),
            is_vertical=rng.random() < 0.3, stops_at=rng.uniform(0.3, 0.6) if rng.random() < 0.45 else None,
        )

    def draw(self, canvas, time_s):
        progress = (time_s - self.start_s) / self.length_s
        if self.stops_at is not None:
            progress = self.stops_at * float(eased(progress / self.stops_at))
        if not 0 < progress < 1:
            return
        way = 1 + self.size * 0.8
        place = 0.5 + self.direction * way * (progress - 0.5)
        x, y = (self.beside, place) if self.is_vertical else (place, self.beside)
        paste(canvas, self.patch, int(self.size * CANVAS_SIZE[1]), x, y, row_power=4)


@dataclass(frozen=True)
class Defocus:
    """The focus goes and comes back. `strength` in pixels of the canvas."""

    start_s: float
    length_s: float
    strength: float

    def blur_px(self, time_s):
        progress = (time_s - self.start_s) / self.length_s
        return self.strength * math.sin(math.pi * progress) ** 2 if 0 < progress < 1 else 0.0


@dataclass(frozen=True)
class Grade:
    """How a shot is exposed and coloured from its first frame to its last."""

    gain: float
    offset: float
    saturation: float
    is_mirrored: bool

    @classmethod
    def random(cls, rng):
        is_mirrored = rng.random() < 0.3
        gain = rng.uniform(0.6, 1.2) if rng.random() < 0.5 else 1.0
        offset = rng.uniform(-15, 15) if rng.random() < 0.3 else 0.0
        if rng.random() < 0.12:
            gain *= rng.uniform(0.12, 0.4)
        saturation = rng.uniform(0, 1.3) if rng.random() < 0.4 else 1.0
        return cls(gain, offset, saturation, is_mirrored)

    def apply(self, picture):
        """From RGB to the graded glimpse."""
        glimpse = to_ycbcr(picture[:, ::-1] if self.is_mirrored else picture)
        glimpse[..., 0] = glimpse[..., 0] * self.gain + self.offset
        glimpse[..., 1:] = 128 + (glimpse[..., 1:] - 128) * self.saturation * min(1, self.gain + 0.2)
        return glimpse


class Grain:
    """What sensor and encoder add: noise in every frame, and coarse errors that change with every keyframe."""

    def __init__(self, rng):
        self.noise = rng.choice([0, 0.3, 0.6, 1, 2])
        self.pulse = rng.choice([0, 0, 1, 2.5])
        self.gop_frames = rng.choice([12, 25, 50, 250])
        self.arrays = array_rng(rng)
        self.errors = None

    def add(self, number, glimpse):
        if self.noise:
            glimpse[..., 0] += self.arrays.normal(0, self.noise, glimpse.shape[:2])
        if self.pulse:
            if self.errors is None or number % self.gop_frames == 0:
                coarse = self.arrays.normal(0, self.pulse, (12, 16)).astype(np.float32)
                self.errors = cv2.resize(coarse, GLIMPSE_SIZE)
            glimpse[..., 0] += self.errors


class Shot:
    """Frames of one camera. With `like` it is likely another view of that shot's picture: the cut that is hardest to see."""

    def __init__(self, rng, material, fps, like=None):
        self.fps = fps
        self.source = choose_source(rng, material, like)
        if not self.source.is_still:
            self.pace = self.source.fps / fps * rng.choice([0.5, 1, 1, 1, 1.5])
            self.first_frame = rng.uniform(0, len(self.source.frames) - 1)
        self.camera = Camera.random(rng, self.source.is_still)
        self.grade = Grade.random(rng)
        n_sprites = rng.choice([0, 0, 1, 2, 3] if self.source.is_still else [0, 0, 0, 0, 1])
        self.sprites = [Sprite.random(rng, material) for _ in range(n_sprites)]
        self.passers, self.defocused = [], []
        self.grain = Grain(rng)
        self.softened = None

    @property
    def is_frozen(self):
        """Whether one frame is like the other, so that no eye sees a jump."""
        return self.source.is_still and not self.sprites and self.camera.is_steady

    def picture(self, number):
        """The source's picture at a frame; clips run forwards and backwards."""
        if self.source.is_still:
            return self.source.frames[0]
        last = len(self.source.frames) - 1
        place = int(self.first_frame + number * self.pace) % (2 * last)
        return self.source.frames[min(place, 2 * last - place)]

    def seen(self, number, time_s):
        """What the camera sees of the picture. **Shape** `[96, 128, 3]` u8."""
        picture = self.picture(number)
        x, y, zoom = self.camera.view(time_s)
        width, height = self.source.size
        view_width = zoom * min(width, height * 4 / 3)
        scale = view_width / CANVAS_SIZE[0]
        left, top = x * (width - view_width), y * (height - view_width * 0.75)
        if self.source.is_still and scale > COARSEST_SAMPLING:
            if self.softened is None:
                self.softened = cv2.GaussianBlur(picture, (0, 0), max(0.5, scale * 0.35))
            picture = self.softened
        # Pixel centres fall on pixel centres.
        to_source = np.array([[scale, 0, left + scale / 2 - 0.5], [0, scale, top + scale / 2 - 0.5]], np.float32)
        return cv2.warpAffine(picture, to_source, CANVAS_SIZE, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE)

    def frame(self, number):
        """The glimpse of a frame, without grain. **Shape** `[48, 64, 3]` f32, Y Cb Cr."""
        time_s = number / self.fps
        canvas = self.seen(number, time_s)
        for thing in self.sprites + self.passers:
            thing.draw(canvas, time_s)
        for defocus in self.defocused:
            blur_px = defocus.blur_px(time_s)
            if blur_px > 0.3:
                canvas = cv2.GaussianBlur(canvas, (0, 0), blur_px)
        smear = self.camera.smear(time_s, self.fps)
        if smear > 0.02:
            canvas = cv2.blur(canvas, (int(min(smear * CANVAS_SIZE[0] * 2, 60)) | 1, 1))
        return self.grade.apply(cv2.resize(canvas, GLIMPSE_SIZE, interpolation=cv2.INTER_AREA))
