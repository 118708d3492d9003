#!/usr/bin/env python3
"""Compares the cuts of `scened inspect` with PySceneDetect 0.7's, clip by clip.

    tests/compare/pyscenedetect.py [--scened target/debug/scened] [--clips ../shared/media] [--detector content|adaptive]
                                   [--floor 0.98] [--venv DIR] [CLIP...]

Without --venv it makes one in target/venv-pyscenedetect with the versions pinned below (pip, once). A cut agrees when both
place it on the same frame: within half a frame of each other. Parts of long takes do not count: only scenes that begin
with `cut`. PySceneDetect runs with the defaults of its command line (threshold 27 or 3.0, shortest scene 0.6 s) on its
default backend, OpenCV, which counts time from the start of the video stream; `ffprobe` gives the difference. Of a file with
several video streams OpenCV is given a copy of the one that scened chose.

Exit status: 0 when the agreement over all clips is at least --floor, 1 when below, 2 when nothing could be compared.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import venv

PINNED = ["scenedetect==0.7.2", "opencv-python-headless==5.0.0.93", "numpy==2.4.6"]
ROOT = pathlib.Path(__file__).resolve().parents[2]
SUFFIXES = {".mp4", ".mkv", ".mov", ".webm", ".avi", ".flv", ".ts", ".m4v", ".3gp", ".ogv", ".ogg", ".wmv", ".mpg", ".mpeg", ".gif"}

# Runs in the venv: prints the cuts as JSON, in seconds from the start of the stream as OpenCV counts it.
REFERENCE = """
import json, sys, logging
logging.getLogger("pyscenedetect").setLevel(logging.CRITICAL)
import scenedetect
path, kind = sys.argv[1:3]
Detector = {"content": scenedetect.ContentDetector, "adaptive": scenedetect.AdaptiveDetector}[kind]
video = scenedetect.open_video(path)
manager = scenedetect.SceneManager()
manager.add_detector(Detector(min_scene_len=0.6))
n_frames = manager.detect_scenes(video)
scenes = manager.get_scene_list()
print(json.dumps({"cuts": [start.seconds for start, _ in scenes[1:]], "fps": float(video.frame_rate), "n_frames": n_frames}))
"""


def reference_python(folder: pathlib.Path) -> str:
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PINNED], check=True)
    return str(python)


def answer(command: list[str], timeout_s: int) -> tuple[dict | None, str]:
    """The JSON a command prints, or why there is none."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        return None, f"no answer in {timeout_s} s"
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        return None, lines[-1][:120] if lines else f"exit status {done.returncode}"
    return json.loads(done.stdout), ""


def stream_start(clip: pathlib.Path, chosen: int | None) -> tuple[float, int]:
    """How far the chosen video stream starts after the container, and how many video streams there are."""
    fields = "format=start_time:stream=index,codec_type,start_time:stream_disposition=attached_pic"
    probed, _ = answer(["ffprobe", "-v", "quiet", "-of", "json", "-show_entries", fields, str(clip)], 60)
    if not probed:
        return 0.0, 1
    streams = [s for s in probed.get("streams", []) if s.get("codec_type") == "video" and not s["disposition"]["attached_pic"]]
    starts = [s.get("start_time") for s in streams if chosen in (None, s["index"])] + [None]
    container = probed.get("format", {}).get("start_time")
    known = starts[0] not in (None, "N/A") and container not in (None, "N/A")
    return (float(starts[0]) - float(container) if known else 0.0), len(streams)


def only_stream(clip: pathlib.Path, chosen: int, folder: str) -> pathlib.Path:
    """A copy of a clip with nothing but one stream: OpenCV cannot be told which to read."""
    copy = pathlib.Path(folder) / ("one" + clip.suffix)
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", clip, "-map", f"0:{chosen}", "-c", "copy", copy], check=True)
    return copy


def match(ours: list[float], theirs: list[float], tolerance_s: float) -> tuple[int, list[float], list[float]]:
    """One-to-one agreement of two sorted lists: how many agree, which of theirs are missing, which of ours are extra."""
    agreeing, missing, extra = 0, [], list(ours)
    for cut in theirs:
        near = [own for own in extra if abs(own - cut) <= tolerance_s]
        if near:
            agreeing += 1
            extra.remove(min(near, key=lambda own: abs(own - cut)))
        else:
            missing.append(cut)
    return agreeing, missing, extra


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scened", default=str(ROOT / "target/debug/scened"))
    parser.add_argument("--clips", type=pathlib.Path, default=ROOT.parent / "shared" / "media")
    parser.add_argument("--venv", type=pathlib.Path, default=ROOT / "target" / "venv-pyscenedetect")
    parser.add_argument("--detector", choices=["content", "adaptive"], default="content")
    parser.add_argument("--floor", type=float, default=0.98)
    parser.add_argument("clip", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    python = reference_python(arguments.venv)
    clips = arguments.clip or sorted(p for p in arguments.clips.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    totals = {"clips": 0, "cuts": 0, "agreeing": 0, "missing": 0, "extra": 0, "only one opens": 0, "neither opens": 0}
    for clip in clips:
        command = [arguments.scened, "inspect", "--json", "--detector", arguments.detector, str(clip)]
        ours, our_error = answer(command, 600)
        chosen = next((n for n, stream in enumerate(ours["probe"]["streams"]) if stream["chosen"]), None) if ours else None
        offset_s, n_streams = stream_start(clip, chosen)
        with tempfile.TemporaryDirectory() as folder:
            read = only_stream(clip, chosen, folder) if n_streams > 1 and chosen is not None else clip
            theirs, their_error = answer([python, "-c", REFERENCE, str(read), arguments.detector], 600)
        if theirs and not theirs["n_frames"]:
            their_error = "decodes no frame"
        name = clip.relative_to(arguments.clips) if clip.is_relative_to(arguments.clips) else clip
        if not ours or not theirs or not theirs["n_frames"]:
            totals["neither opens" if not ours and not (theirs and theirs["n_frames"]) else "only one opens"] += 1
            print(f"       --  {name}: scened: {our_error or 'opens'}; PySceneDetect: {their_error or 'opens'}")
            continue
        cuts = [scene["start_ms"] / 1000 for scene in ours["scenes"] if scene["boundary"] == "cut"]
        expected = [cut + offset_s for cut in theirs["cuts"]]
        # Half a frame, and half a millisecond for our rounding.
        tolerance_s = 0.5 / max(theirs["fps"], 1.0) + 0.0005
        agreeing, missing, extra = match(cuts, expected, tolerance_s)
        totals["clips"] += 1
        totals["cuts"] += len(expected)
        totals["agreeing"] += agreeing
        totals["missing"] += len(missing)
        totals["extra"] += len(extra)
        notes = [f"{n_streams} video streams"] if n_streams > 1 else []
        if ours["n_frames"] != theirs["n_frames"]:
            notes.append(f"frames {ours['n_frames']} / {theirs['n_frames']}")
        notes += [f"{word} " + " ".join(f"{t:.3f}" for t in times) for word, times in [("missing", missing), ("extra", extra)] if times]
        print(f"{agreeing:>3} of {len(expected):>3}  {name}" + (f": {'; '.join(notes)}" if notes else ""))
    union = totals["agreeing"] + totals["missing"] + totals["extra"]
    share = totals["agreeing"] / union if union else 0.0
    print(", ".join(f"{word} {n}" for word, n in totals.items()))
    print(f"agreement {totals['agreeing']}/{union} = {share:.4f} (floor {arguments.floor})")
    if not totals["clips"]:
        return 2
    return 0 if share >= arguments.floor else 1


if __name__ == "__main__":
    sys.exit(main())
