"""The real clips whose cuts were seen by eye, as a set of videos with a manifest like that of the rendered corpus."""

import json
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The ends of real gradual transitions are good to about this many frames.
GRADUAL_SLACK_FRAMES = 5


def frame_times(path):
    """The presentation time of every frame that is shown, with the container's start subtracted. **Units** milliseconds."""
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "frame=best_effort_timestamp_time:format=start_time", "-of", "json", str(path)]
    probed = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    start = float(probed["format"].get("start_time", 0))
    times = sorted(float(frame["best_effort_timestamp_time"]) - start for frame in probed["frames"] if "best_effort_timestamp_time" in frame)
    return [round(time * 1000, 3) for time in times]


def picture_size(path):
    """Width and height as stored."""
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=width,height", "-of", "json", str(path)]
    stream = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["streams"][0]
    return stream["width"], stream["height"]


def size_name(height):
    return next(name for name, most in (("240p", 300), ("360p", 500), ("720p", 800), ("1080p", 1200), ("4K", 1 << 16)) if height <= most)


def film(clip, name, path):
    """The manifest's entry of one clip."""
    times, fps = frame_times(path), clip["fps"]
    width, height = picture_size(path)

    def ms(frame):
        return times[min(max(frame, 0), len(times) - 1)]

    cuts = []
    for frame, time_s in clip["cuts"]:
        # What was written down by eye and what the file says must be the same frame.
        if abs(ms(frame) - time_s * 1000) > 600 / fps:
            raise ValueError(f"{name}: frame {frame} is at {ms(frame)} ms, not at {time_s} s")
        cuts.append({"frame": frame, "time_ms": ms(frame), "class": "real"})
    graduals, dont_care = [], []
    for low, high, kind in clip["graduals"]:
        start, end = ms(low - GRADUAL_SLACK_FRAMES), ms(high + 1 + GRADUAL_SLACK_FRAMES)
        if kind == "fade" and (low < fps or high > clip["n_frames"] - fps):
            # The video begins or ends with it: there is nothing beyond that it could lead from or to.
            dont_care.append({"start_ms": start if low >= fps else 0, "end_ms": end if low < fps else times[-1] + 1000 / fps})
        else:
            graduals.append({"start_ms": start, "end_ms": end, "middle_ms": None, "kind": f"real {kind}"})
    traps = [{"start_ms": ms(low), "end_ms": ms(high), "kind": f"real {kind}"} for low, high, kind in clip.get("traps", [])]
    if not cuts and not graduals:
        traps.append({"start_ms": 0, "end_ms": times[-1] + 1000 / fps, "kind": "real one-shot clip"})
    return {"path": name, "half": "real", "codec": "real", "size": size_name(min(width, height)), "width": width, "height": height, "fps": fps, "n_frames": len(times), "design": f"{path.stat().st_size}",
            "cuts": cuts, "graduals": graduals, "traps": traps, "dont_care": dont_care, "times_ms": times}


def gather(media: Path, folder: Path) -> Path:
    """Lays the clips into a folder (links, and copies of single streams) with their manifest, and returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    truth = json.loads((HERE / "real_truth.json").read_text(encoding="utf-8"))
    films = []
    for clip in truth["clips"]:
        original = media / clip["path"]
        if not original.is_file():
            print(f"real: {clip['path']} is not there", flush=True)
            continue
        stream = clip.get("stream")
        name = original.name.replace(" ", "_") if stream is None else f"{original.stem}-stream{stream}{original.suffix}"
        path = folder / name
        if stream is None:
            path.unlink(missing_ok=True)
            path.symlink_to(original.resolve())
        elif not path.exists():
            # Not every detector can be told which stream to read.
            subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", str(original), "-map", f"0:{stream}", "-c", "copy", str(path)], check=True)
        films.append(film(clip, name, path))
    listing = folder / "manifest.json"
    listing.write_text(json.dumps({"half": "real", "files": films}, indent=1) + "\n", encoding="utf-8")
    return listing
