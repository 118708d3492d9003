"""What the shots of the training edits show: still pictures, clips of the tuning half, and pictures drawn by chance.

Knows nothing of cameras and edits. Pictures are RGB, `[h, w, 3]` u8.
"""

import functools
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

BENCH = Path(__file__).resolve().parents[3] / "tests" / "bench"
sys.path.insert(0, str(BENCH))

import halves  # noqa: E402

# Several processes paint side by side; threads within them only get in each other's way.
cv2.setNumThreads(1)

STILL_SIDE_PX = 640
# Smaller files are icons and previews.
LEAST_STILL_BYTES = 40_000
STILL_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
CLIP_SIZE = (160, 120)
MOST_FRAMES_OF_A_CLIP = 800
SHORTEST_SPAN_FRAMES = 20
# Frames kept away from boundaries seen by eye: cuts are exact, the ends of graduals are good to about five frames.
CUT_MARGIN, GRADUAL_MARGIN = 3, 12
DRAWN_SIZE = (512, 384)
PATCH_PX = 60


@dataclass(frozen=True)
class Clip:
    """Consecutive frames of one shot of a real video. **Shape** of `frames`: `[n, 120, 160, 3]` u8."""

    frames: np.ndarray
    fps: float


@dataclass(frozen=True)
class Material:
    """Everything that a shot can show, apart from what is drawn by chance."""

    stills: list
    clips: list


@functools.lru_cache(maxsize=1)
def load_material(stills_folder: Path, media: Path) -> Material:
    """Reads both once a process."""
    material = Material(load_stills(stills_folder), load_clips(media))
    if not material.stills or not material.clips:
        raise FileNotFoundError(f"{len(material.stills)} stills in {stills_folder}, {len(material.clips)} clips in {media}: training needs both")
    return material


def to_ycbcr(picture):
    """RGB to full-range Y, Cb, Cr of BT.601. **Shape** `[h, w, 3]` f32, 0 to 255."""
    red, green, blue = np.moveaxis(picture.astype(np.float32), -1, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return np.stack([luma, 128 + (blue - luma) * 0.564, 128 + (red - luma) * 0.713], axis=-1)


def load_stills(folder: Path) -> list:
    """The pictures below a folder, made small; of one picture in several sizes only the first is kept."""
    kept = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in STILL_SUFFIXES or path.stat().st_size < LEAST_STILL_BYTES:
            continue
        picture = cv2.imread(str(path))
        if picture is None:
            continue
        picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        height, width = picture.shape[:2]
        scale = STILL_SIDE_PX / max(width, height)
        picture = cv2.resize(picture, (int(width * scale), int(height * scale)), interpolation=cv2.INTER_AREA)
        if min(picture.shape[:2]) <= PATCH_PX:
            continue
        kept.setdefault(cv2.resize(picture, (4, 2), interpolation=cv2.INTER_AREA).tobytes(), picture)
    return list(kept.values())


def tuning_clips() -> list[dict]:
    """What `tests/bench/real_truth.json` says about the real clips of the tuning half; the other half is never opened here."""
    truth = json.loads((BENCH / "real_truth.json").read_text(encoding="utf-8"))
    return [clip for clip in truth["clips"] + truth["footage_only"] if halves.half_of_source(clip["footage"]) == halves.TUNING]


def decode_clip(media: Path, clip: dict, most_frames: int):
    """The first frames of a real clip. **Shape** `[n, 120, 160, 3]` u8."""
    width, height = CLIP_SIZE
    stream = clip.get("stream")
    chosen = "0:v:0" if stream is None else f"0:{stream}"
    shape = f"scale={width}:{height}:flags=area,format=rgb24"
    command = ["ffmpeg", "-v", "error", "-i", str(media / clip["path"]), "-map", chosen, "-frames:v", str(most_frames), "-fps_mode", "passthrough", "-vf", shape, "-f", "rawvideo", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)


def load_clips(media: Path) -> list[Clip]:
    """The single shots of the real clips of the tuning half."""
    clips = []
    for clip in tuning_clips():
        if not clip.get("as_footage", True) or not (media / clip["path"]).is_file():
            continue
        frames = decode_clip(media, clip, MOST_FRAMES_OF_A_CLIP)
        for low, high in single_shots(clip, len(frames)):
            if min(high, len(frames)) - low >= SHORTEST_SPAN_FRAMES:
                clips.append(Clip(frames[low:high], clip["fps"]))
    return clips


def single_shots(clip: dict, n_frames: int) -> list[tuple[int, int]]:
    """The spans of a clip, `[from, to)`, in which no eye saw a boundary."""
    if "shots" in clip:
        return [tuple(shot) for shot in clip["shots"]]
    walls = [(frame - CUT_MARGIN, frame + CUT_MARGIN) for frame, _ in clip["cuts"]]
    walls += [(low - GRADUAL_MARGIN, high + GRADUAL_MARGIN) for low, high, _ in clip["graduals"]]
    walls += [tuple(span) for span in clip.get("avoid", [])]
    spans, at = [], 0
    for low, high in sorted(walls):
        spans.append((at, low))
        at = max(at, high)
    spans.append((at, n_frames - 2))
    return spans


def array_rng(rng):
    """A generator of arrays that follows from one of numbers."""
    return np.random.default_rng(rng.getrandbits(40))


def random_colour(rng):
    return [rng.randint(0, 255) for _ in range(3)]


def random_place(rng):
    return rng.randint(0, DRAWN_SIZE[0]), rng.randint(0, DRAWN_SIZE[1])


def draw_picture(rng):
    """A picture drawn by chance: clouds of colour, flat shapes, or a page of text as on a screen."""
    kind = rng.random()
    if kind < 0.45:
        picture = draw_clouds(rng)
    elif kind < 0.75:
        picture = draw_shapes(rng)
    else:
        picture = draw_page(rng)
    return np.clip(picture, 0, 255).astype(np.uint8)


def draw_clouds(rng):
    """Noise that is stronger the coarser it is, as in nature."""
    width, height = DRAWN_SIZE
    picture = np.zeros((height, width, 3), np.float32)
    for rows in (4, 8, 16, 32, 64, 128):
        noise = array_rng(rng).normal(0, 1, (rows, rows * 4 // 3, 3)).astype(np.float32)
        weight = (128 / rows) ** rng.uniform(0.3, 0.9) * rng.uniform(0.4, 1)
        picture += cv2.resize(noise, DRAWN_SIZE, interpolation=cv2.INTER_CUBIC) * weight
    picture = (picture - picture.mean()) / picture.std() * rng.uniform(15, 50) + rng.uniform(50, 190)
    if rng.random() < 0.5:
        tint = np.array([rng.gauss(0, 20) for _ in range(3)])
        picture = picture.mean(axis=-1, keepdims=True) + tint
    return picture


def draw_shapes(rng):
    """Discs and boxes on a plain ground or one with a gradient."""
    width, height = DRAWN_SIZE
    ground = np.zeros((height, width, 3), np.float32)
    ground[:] = [rng.uniform(0, 255) for _ in range(3)]
    if rng.random() < 0.5:
        ground += np.linspace(-60, 60, height)[:, None, None] * rng.uniform(-1, 1)
    picture = np.clip(ground, 0, 255).astype(np.uint8)
    for _ in range(rng.randint(2, 25)):
        colour, place = random_colour(rng), random_place(rng)
        if rng.random() < 0.5:
            cv2.circle(picture, place, rng.randint(4, 120), colour, -1)
        else:
            cv2.rectangle(picture, place, random_place(rng), colour, -1)
    return picture


def draw_page(rng):
    """Lines of words, each a bar, with a few boxes over them."""
    width, height = DRAWN_SIZE
    paper = rng.choice([255, 245, 20, 30, 200])
    ink = 20 if paper == 200 else 255 - paper
    picture = np.full((height, width, 3), paper, np.uint8)
    for top in range(10, height, rng.randint(9, 24)):
        left = rng.randint(5, 60)
        while left < 440 and rng.random() < 0.95:
            length = rng.randint(5, 60)
            cv2.rectangle(picture, (left, top), (left + length, top + 4), [ink] * 3, -1)
            left += length + 6
    for _ in range(rng.randint(0, 4)):
        cv2.rectangle(picture, random_place(rng), random_place(rng), random_colour(rng), -1)
    return picture


def random_patch(rng, material, still_share):
    """A square cut out of some picture: a still in `still_share` of all cases, else one drawn by chance."""
    picture = rng.choice(material.stills) if rng.random() < still_share else draw_picture(rng)
    left = rng.randint(0, picture.shape[1] - PATCH_PX)
    top = rng.randint(0, picture.shape[0] - PATCH_PX)
    return picture[top : top + PATCH_PX, left : left + PATCH_PX]
