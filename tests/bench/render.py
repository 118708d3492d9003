#!/usr/bin/env python3
"""Renders one half of the edit corpus: videos with exact truth about their cuts, gradual transitions and traps.

    render.py HALF FOLDER [--media DIR] [--files N] [--cache DIR] [--processes N]

HALF is `tuning` or `held-out`; the folder holds nothing else. Each file follows from one seed, each seed belongs to one
half (`halves.py`), and no footage is used by both. What is there already is kept: a file is rendered when its design changed.
Needs numpy, Pillow and ffmpeg with libx264, libx265, libvpx-vp9 and libsvtav1.
"""

import argparse
import hashlib
import itertools
import json
import random
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import effects
import encode
import footage
import halves
import plan

HERE = Path(__file__).resolve().parent
RATES = {"240p": (10.0, 25.0, 50.0, 29.97, 15.0, 23.976, 60.0), "360p": (25.0, 15.0, 29.97, 23.976, 10.0, 50.0), "720p": (23.976, 25.0, 29.97), "1080p": (23.976, 15.0), "4K": (15.0, 10.0), "portrait": (29.97, 25.0, 15.0)}
# Reports this close to a trap are blamed on it: detectors that look at neighbours answer late.
TRAP_MARGIN_FRAMES = 2


@dataclass(frozen=True)
class Job:
    seed: int
    half: str
    encoding: encode.Encoding
    classes: tuple

    @property
    def name(self):
        return f"{self.seed:04}-{self.encoding.codec}-{self.encoding.size_name}.{self.encoding.container}"


def pairs():
    """Which codec comes in which size. Each codec and each size comes so often that every class meets it at least once."""
    large = [("x264", "4K"), ("x265", "4K"), ("x264-gop", "1080p"), ("mpeg2i", "1080p"), ("vfr", "1080p"), ("av1", "1080p")]
    middle = [(codec, "720p") for codec in encode.CODECS]
    portrait = [(codec, "portrait") for codec in ("x264", "x264-gop", "x265", "vp9", "av1", "vfr", "mjpeg", "hdr-hlg")]
    n_small = {"x264": 4, "x264-gop": 4, "x265": 3, "vp9": 4, "av1": 3, "mpeg2i": 3, "mjpeg": 3, "vfr": 5, "hdr-pq": 4, "hdr-hlg": 3}
    small = [(codec, ("360p", "240p")[n % 2]) for codec, count in n_small.items() for n in range(count)]
    return large + middle + portrait + small


def design(half, n_files):
    """The files of a half: codec, size, rate and classes of each, balanced so that the rarest class comes next."""
    rng = random.Random(f"design {half}")
    met = {(kind, key): 0 for kind in plan.CLASSES for key in (*encode.CODECS, *encode.SIZES)}
    chosen = pairs()
    if n_files < len(chosen):
        # A short run keeps to what is cheap to encode, and takes the codecs in turn.
        cheap = [pair for pair in chosen if pair[1] in ("240p", "360p", "portrait")]
        by_codec = [[pair for pair in cheap if pair[0] == codec] for codec in encode.CODECS]
        chosen = [pair for pair in itertools.chain(*itertools.zip_longest(*by_codec)) if pair][:n_files]
    rates = {size: itertools.cycle(of_size) for size, of_size in RATES.items()}
    containers = {codec: itertools.cycle(of_codec) for codec, of_codec in encode.CONTAINERS.items()}
    jobs = []
    for seed, (codec, size) in zip(halves.seeds_of(half, len(chosen)), chosen):
        fps = next(rates[size])
        if codec == "mpeg2i":
            fps = rng.choice((25.0, 29.97))
        elif codec == "vfr":
            fps = rng.choice((30.0, 30.0, 60.0)) if size in ("240p", "360p") else 30.0
        elif codec == "mjpeg" or codec.startswith("hdr"):
            fps = min(fps, 29.97)
        n_classes = 15 if size == "4K" else 10 if size in ("1080p", "720p") else 9 if fps >= 50 else 11
        rarest = sorted(plan.CLASSES, key=lambda kind: (met[kind, codec] + 2 * met[kind, size], rng.random()))
        classes = rarest[: n_classes - 2] + ["cut", rng.choice(("cut", "dissolve", "dissolve", "fade-black"))]
        rng.shuffle(classes)
        for kind in classes:
            met[kind, codec] += 1
            met[kind, size] += 1
        drop = (rng.randrange(17), rng.choice((2, 4, 7))) if codec == "vfr" else ()
        encoding = encode.Encoding(codec, size, fps, next(containers[codec]), rng.randint(20, 29), "pulsing" in classes, rng.choice((0, 2, 4, 7)) if size != "4K" else 0, drop)
        jobs.append(Job(seed, half, encoding, tuple(classes)))
    if n_files >= len(chosen) == 60:
        missing = [pair for pair, count in met.items() if not count]
        assert not missing, f"never met: {missing}"
    return jobs


def woven(first, second):
    """Two pictures as the fields of one frame, top field first."""
    frame = first.copy()
    frame[1::2] = second[1::2]
    return frame


def render(job, folder, media, cache):
    """Renders one file and returns its entry in the manifest."""
    started = time.process_time()
    encoding, path = job.encoding, folder / job.name
    segments = footage.real_segments(media, job.half)
    planner = plan.Planner(job.seed, job.half, encoding.work_size, encoding.fps, segments, lambda segment: footage.segment_frames(media, cache, segment), encoding.size_name == "4K")
    edit = planner.plan(job.classes)
    ticks = [tick for tick in range(edit.n_frames) if encoding.keeps(tick)]
    with encode.Encoder(path, encoding) as encoder:
        frame = None
        for tick in range(edit.n_frames):
            if encoding.keeps(tick):
                frame = plan.frame_at(edit, tick)
                if encoding.codec == "mpeg2i":
                    frame = woven(frame, plan.frame_at(edit, tick + 0.5))
            encoder.write(frame)
    times_s, duration_s = encode.presentation_times(path, encoding.fps)
    if len(times_s) != len(ticks):
        raise RuntimeError(f"{path}: {len(ticks)} frames were given and {len(times_s)} came out")
    return {**entry(job, edit, ticks, times_s, duration_s, media), "cpu_s": round(time.process_time() - started, 1)}


def entry(job, edit, ticks, times_s, duration_s, media):
    """The truth about one file, in frames as they are presented and in milliseconds."""
    frame_of = {}
    presented = 0
    for tick in range(edit.n_frames + 1):
        while presented < len(ticks) and ticks[presented] < tick:
            presented += 1
        frame_of[tick] = presented

    def ms(frame):
        if frame < len(times_s):
            return round(times_s[max(0, frame)] * 1000, 3)
        return round((times_s[-1] + 1 / edit.fps) * 1000, 3)

    cuts, graduals, traps = [], [], []
    for boundary in edit.boundaries:
        start, end = frame_of[boundary.start], frame_of[boundary.end]
        if boundary.start == boundary.end:
            cuts.append({"frame": start, "time_ms": ms(start), "class": boundary.kind})
        else:
            kind = "wipe" if boundary.kind in effects.WIPES else boundary.kind
            # The one boundary of a fade belongs where it is darkest: in the middle of the black that is held.
            darkest = {"fade-out": boundary.end - boundary.hold // 2, "fade-in": boundary.start + boundary.hold // 2}
            middle = frame_of[darkest.get(boundary.kind, (boundary.start + boundary.end) // 2)]
            graduals.append({"start_frame": start, "end_frame": end, "start_ms": ms(start), "end_ms": ms(end), "middle_ms": ms(middle), "kind": kind, "look": boundary.kind})
    for shot in edit.shots:
        for trap in shot.traps:
            first = frame_of[max(0, trap.start - TRAP_MARGIN_FRAMES)]
            last = frame_of[min(edit.n_frames, trap.start + trap.n_frames + TRAP_MARGIN_FRAMES)]
            traps.append({"start_ms": ms(first), "end_ms": ms(last), "kind": trap.kind})
    encoding = job.encoding
    # Of a varying rate every time is told: a tolerance of one frame is not a tolerance of so many milliseconds.
    times_ms = {"times_ms": [ms(frame) for frame in range(len(times_s))]} if encoding.drop else {}
    return {
        **times_ms,
        "path": job.name, "half": job.half, "seed": job.seed, "codec": encoding.codec, "size": encoding.size_name, "width": encoding.size[0], "height": encoding.size[1], "fps": edit.fps,
        "n_frames": len(times_s), "duration_ms": round(duration_s * 1000, 3), "design": fingerprint(job, media), "cuts": cuts, "graduals": graduals, "traps": sorted(traps, key=lambda trap: trap["start_ms"]),
        "dont_care": [{"start_ms": ms(frame_of[low]), "end_ms": ms(frame_of[high])} for low, high in edit.dont_care],
    }


def fingerprint(job, media):
    """What a file follows from: its design and the programs that render it."""
    digest = hashlib.sha256(json.dumps(asdict(job.encoding)).encode() + repr((job.seed, job.classes)).encode())
    for module in (plan, footage, effects, encode):
        digest.update(Path(module.__file__).read_bytes())
    digest.update(repr(footage.real_segments(media, job.half)).encode())
    return digest.hexdigest()[:16]


def work(arguments):
    job, folder, media, cache = arguments
    try:
        return job.name, render(job, folder, media, cache), ""
    except Exception as error:  # one file that fails must not hide the others, and fails the run at its end
        return job.name, None, f"{type(error).__name__}: {error}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("half", choices=halves.HALVES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--media", type=Path)
    parser.add_argument("--cache", type=Path, default=HERE.parents[1] / "target" / "bench-scenes" / "footage")
    parser.add_argument("--files", type=int, default=60)
    parser.add_argument("--only", type=int, nargs="*", help="render the files of these seeds alone")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    listing = arguments.folder / "manifest.json"
    known = {file["path"]: file for file in halves.load_manifest(listing, False)["files"]} if listing.exists() else {}
    jobs = design(arguments.half, arguments.files)
    if arguments.only:
        jobs = [job for job in jobs if job.seed in arguments.only]
    done = {job.name: known[job.name] for job in jobs if known.get(job.name, {}).get("design") == fingerprint(job, arguments.media) and (arguments.folder / job.name).exists()}
    waiting = [(job, arguments.folder, arguments.media, arguments.cache) for job in jobs if job.name not in done]
    print(f"{arguments.half}: {len(jobs)} files, {len(waiting)} to render", flush=True)
    failures = []
    # Cheap files first: whoever waits for a corpus can begin with them.
    order = sorted(waiting, key=lambda work: int(np.prod(work[0].encoding.size)) * (2 if work[0].encoding.codec == "mpeg2i" else 1))
    with ProcessPoolExecutor(arguments.processes) as workers:
        for name, file, failure in (ended.result() for ended in as_completed([workers.submit(work, one) for one in order])):
            if failure:
                failures.append((name, failure))
                print(f"  {name}: FAILED: {failure}", flush=True)
            else:
                done[name] = file
                print(f"  {name}: {file['n_frames']} frames, {len(file['cuts'])} cuts, {len(file['graduals'])} graduals, {len(file['traps'])} traps, {file['cpu_s']} s", flush=True)
            manifest = {"half": arguments.half, "with_real_footage": arguments.media is not None, "files": sorted(done.values(), key=lambda file: file["seed"])}
            unfinished = listing.with_suffix(".tmp")
            unfinished.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
            unfinished.rename(listing)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
