"""From videos to the rows of numbers that the networks see, computed by the detector's own code (`examples/shot_rows.rs`).

Three kinds of films: edits made here, the bench's tuning corpus, and the real clips of the tuning half. The held-out half is refused.
"""

import random
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edits import Cut, Edit, Gradual, Truth
from pictures import CLIP_SIZE, decode_clip, halves, load_material, to_ycbcr, tuning_clips
from shots import GLIMPSE_SIZE

# `N_CUT` and `N_GRADUAL` of daemon/shots/src/features.rs.
N_CUT, N_GRADUAL = 51, 62
MOST_FRAMES_OF_A_CLIP = 1500
N_VARIANTS = 4
# A gradual transition that ends this near to the last frame leads nowhere.
CLOSING_FRAMES = 30
# Frames and packets do not always agree at the very end of a video.
LOST_FRAMES = 1


@dataclass(frozen=True)
class Example:
    """A video as the networks see it. **Shape** `[n, 51]` f16, `[m]`, `[m, 62]` f16: `m` steps, each with the frame that it is."""

    cut_rows: np.ndarray
    step_frames: np.ndarray
    step_rows: np.ndarray
    truth: Truth


def packed(glimpses, times_us) -> bytes:
    """A video for `shot_rows`. `glimpses`: `[n, 48, 64, 3]` u8, Y Cb Cr; the colours are halved here."""
    n_frames, (width, height) = len(glimpses), GLIMPSE_SIZE
    luma = glimpses[..., 0].reshape(n_frames, -1)
    fours = glimpses[..., 1:].astype(np.uint16).reshape(n_frames, height // 2, 2, width // 2, 2, 2)
    chroma = (fours.sum(axis=(2, 4)) // 4).astype(np.uint8)
    times = times_us.astype("<i8").view(np.uint8).reshape(n_frames, 8)
    body = np.concatenate([times, luma, chroma[..., 0].reshape(n_frames, -1), chroma[..., 1].reshape(n_frames, -1)], axis=1)
    return struct.pack("<I", n_frames) + body.tobytes()


def example_of(program: Path, glimpses, times_us, truth: Truth) -> Example:
    """Runs `shot_rows` on one video."""
    answer = subprocess.run([program], input=packed(glimpses, times_us), check=True, capture_output=True).stdout
    cut_bytes = 4 * N_CUT * truth.n_frames
    (n_steps,) = struct.unpack_from("<I", answer, cut_bytes)
    cut_rows = np.frombuffer(answer, "<f4", truth.n_frames * N_CUT).reshape(-1, N_CUT)
    step_frames = np.frombuffer(answer, "<u4", n_steps, cut_bytes + 4)
    step_rows = np.frombuffer(answer, "<f4", offset=cut_bytes + 4 + 4 * n_steps).reshape(n_steps, N_GRADUAL)
    return Example(cut_rows.astype(np.float16), step_frames.astype(np.int64), step_rows.astype(np.float16), truth)


def regular_times_us(truth: Truth):
    return (np.arange(truth.n_frames) * 1e6 / truth.fps).astype(np.int64)


def edit_examples(program: Path, stills: Path, media: Path, seeds) -> list[Example]:
    """One edit a seed."""
    material = load_material(stills, media)
    examples = []
    for seed in seeds:
        glimpses, truth = Edit(seed, material).make()
        examples.append(example_of(program, glimpses, regular_times_us(truth), truth))
    return examples


def corpus_examples(program: Path, folder: Path) -> list[Example]:
    """The videos of the bench's tuning corpus."""
    manifest = halves.load_manifest(folder / "manifest.json", for_tuning=True)
    return [corpus_example(program, folder / film["path"], film) for film in manifest["files"]]


def corpus_example(program: Path, path: Path, film: dict) -> Example:
    glimpses, times_s = decode_glimpses(path), presentation_times_s(path)
    n_frames = min(len(glimpses), len(times_s))
    if abs(n_frames - film["n_frames"]) > LOST_FRAMES:
        raise ValueError(f"{path}: {len(glimpses)} frames and {len(times_s)} times, where the manifest tells of {film['n_frames']}")
    truth = Truth(n_frames, film["fps"])
    truth.cuts = [Cut(cut["frame"]) for cut in film["cuts"]]
    for gradual in film["graduals"]:
        start, end = gradual["start_frame"], gradual["end_frame"]
        truth.graduals.append(Gradual(start, end, (start + end) // 2))
    for span in film["dont_care"]:
        start, end = np.searchsorted(times_s, [span["start_ms"] / 1000 - 0.01, span["end_ms"] / 1000 + 0.01])
        truth.ignored.append((int(start), int(end)))
    return example_of(program, glimpses[:n_frames], (times_s[:n_frames] * 1e6).astype(np.int64), truth)


def decode_glimpses(path: Path):
    """Every frame of a video in small. **Shape** `[n, 48, 64, 3]` u8, Y Cb Cr, full range."""
    width, height = GLIMPSE_SIZE
    shape = f"scale={width}:{height}:flags=area,format=yuvj444p"
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-map", "0:v:0", "-fps_mode", "passthrough", "-vf", shape, "-f", "rawvideo", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, 3, height, width).transpose(0, 2, 3, 1)


def presentation_times_s(path: Path):
    """When every frame is shown, counted from the first."""
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "frame=best_effort_timestamp_time", "-of", "csv=p=0", str(path)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    # Frames with side data have a comma behind the time.
    times_s = np.array([float(line.strip(",")) for line in lines if line.strip(",")])
    return times_s - times_s[0]


def real_examples(program: Path, media: Path) -> list[Example]:
    """The real clips of the tuning half, each as it is and in three variants."""
    examples = []
    for clip in tuning_clips():
        if (media / clip["path"]).is_file():
            frames = decode_clip(media, clip, MOST_FRAMES_OF_A_CLIP)
            examples += [real_example(program, clip, frames, variant) for variant in range(N_VARIANTS)]
    return examples


def real_example(program: Path, clip: dict, frames, variant: int) -> Example:
    """Variant 0 is the clip itself, the others are cropped and graded by chance, every other one mirrored."""
    if "shots" in clip:
        frames = frames[clip["shots"][0][0] : clip["shots"][-1][1]]
    truth = real_truth(clip, len(frames))
    rng = random.Random(f"{clip['path']} {variant}")
    share, gain = (rng.uniform(0.75, 1), rng.uniform(0.75, 1.2)) if variant else (1, 1)
    width, height = int(CLIP_SIZE[0] * share), int(CLIP_SIZE[1] * share)
    left, top = rng.randint(0, CLIP_SIZE[0] - width), rng.randint(0, CLIP_SIZE[1] - height)
    glimpses = []
    for frame in frames[:, top : top + height, left : left + width]:
        glimpse = to_ycbcr(cv2.resize(frame, GLIMPSE_SIZE, interpolation=cv2.INTER_AREA))
        glimpse[..., 0] *= gain
        glimpses.append(glimpse[:, ::-1] if variant % 2 else glimpse)
    glimpses = np.clip(np.stack(glimpses) + 0.5, 0, 255).astype(np.uint8)
    return example_of(program, glimpses, regular_times_us(truth), truth)


def real_truth(clip: dict, n_frames: int) -> Truth:
    """What was seen by eye. A transition with which the video begins or ends is no boundary."""
    truth = Truth(n_frames, clip["fps"])
    truth.cuts = [Cut(frame) for frame, _ in clip.get("cuts", []) if frame < n_frames]
    for low, high, _ in clip.get("graduals", []):
        if low == 0:
            truth.ignored.append((0, high))
        elif high >= n_frames - CLOSING_FRAMES:
            truth.ignored.append((low, n_frames))
        else:
            truth.graduals.append(Gradual(low, high, (low + high) // 2))
    return truth
