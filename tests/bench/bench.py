#!/usr/bin/env python3
"""The benchmark of scene detection: renders the corpus, asks every detector, scores, times, and prints the tables.

    bench.py [--half held-out|tuning] [--scened PROGRAM] [--media DIR] [--quick] [--only scores|speed|hourly] [--rounds N]

`make bench-scenes` calls it. Everything is kept under --work (target/bench-scenes): the films, the answers, `report.md` and
`report.json`. A second run renders and asks only what has changed; times of the speed set are always taken anew.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import halves
import materials
import peers
import real

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def scores(arguments, detectors) -> str:
    """Renders, asks and scores; returns the tables."""
    # Its videos are other ones: they must not push the whole half out of its manifest.
    corpus = arguments.corpus / (f"{arguments.half}-quick" if arguments.quick else arguments.half)
    if not arguments.as_it_is:
        command = [sys.executable, HERE / "render.py", arguments.half, corpus, "--cache", arguments.work / "footage", "--files", "10" if arguments.quick else "60"]
        subprocess.run([*command, *(["--media", arguments.media] if arguments.media else [])], check=True)
    manifests = [corpus / "manifest.json"]
    if arguments.media and not arguments.no_real:
        manifests.append(real.gather(arguments.media, arguments.work / "real"))
    sets = []
    for path in manifests:
        manifest = json.loads(path.read_text()) if path.parent.name == "real" else halves.load_manifest(path, for_tuning=False)
        sets.append((path.parent, manifest))
    print(f"asking {len(detectors)} detectors about {sum(len(manifest['files']) for _, manifest in sets)} films", flush=True)
    answers = peers.ask_all(detectors, sets, arguments.work / "answers")
    outputs = ["--json", arguments.work / f"scores-{arguments.half}.json", "--markdown", arguments.work / f"scores-{arguments.half}.md"]
    scorer = arguments.scorer or ROOT / "target" / "release" / "scened-bench"
    done = subprocess.run([scorer, "--manifest", *manifests, *outputs, "--", *answers], check=True, capture_output=True, text=True)
    return done.stdout


def timed(commands, rounds):
    """Runs commands in turn, some rounds, and returns for each the runs' wall and processor times."""
    taken = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            done = peers.ran(command)
            if done.status == 0:
                taken[name].append(done)
            elif not taken[name]:
                lines = done.err.strip().splitlines()
                taken[name] = lines[-1][:100] if lines else f"exit status {done.status}"
                commands = {other: command for other, command in commands.items() if other != name}
    return taken


def micros_per_frame(runs):
    """What scening itself took, of runs that tell: microseconds a frame for each stage."""
    said = [json.loads(run.out) for run in runs]
    n_frames = max(1, said[0]["n_frames"])
    stages = {name for one in said for name, value in one["times"].items() if name.endswith("_ms") and isinstance(value, (int, float))}
    return {name.removesuffix("_ms"): round(statistics.median(one["times"].get(name, 0) for one in said) * 1000 / n_frames, 2) for name in sorted(stages)}


def speed(arguments, python) -> tuple[str, list]:
    """Times the detectors beside plain decoding, interleaved; returns the tables and the figures."""
    n_threads = len(os.sched_getaffinity(0))
    rounds = arguments.rounds or (1 if arguments.quick else 3)
    rows, stages = [], []
    for name, film in materials.speed_set(arguments.work / "speed", arguments.quick):
        inspect = [arguments.scened, "inspect", film, "--json", "--threads", n_threads]
        adaptive = json.dumps({"adaptive_threshold": 3.5, "window_width": 3, "min_scene_len": 0.6})
        decode = ["ffmpeg", "-nostdin", "-v", "error", "-threads", n_threads]
        commands = {
            "full decode": [*decode, "-i", film, "-an", "-f", "null", "-"],
            "keyframes only": [*decode, "-skip_frame", "nokey", "-i", film, "-an", "-f", "null", "-"],
            "scened exact": [*inspect, "--mode", "exact"],
            "scened fast": [*inspect, "--mode", "fast"],
            "ffmpeg scdet": [*decode, "-i", film, "-vf", "scdet", "-an", "-f", "null", "-"],
        }
        if python:
            commands["PySceneDetect Content"] = [python, "-c", peers.PYSCENEDETECT_PROGRAM, film, "ContentDetector", "{}", peers.backend_for(film)]
            commands["PySceneDetect Adaptive, tuned"] = [python, "-c", peers.PYSCENEDETECT_PROGRAM, film, "AdaptiveDetector", adaptive, peers.backend_for(film)]
        taken = timed(commands, rounds)
        row = {"film": name, "n_threads": n_threads, "rounds": rounds}
        for which, runs in taken.items():
            if isinstance(runs, str):
                row[which] = {"failed": runs}
                continue
            base = taken["full decode"]
            row[which] = {
                "wall_s": round(statistics.median(run.wall_s for run in runs), 3), "cpu_s": round(statistics.median(run.cpu_s for run in runs), 3),
                "wall_ratio": round(statistics.median(run.wall_s / other.wall_s for run, other in zip(runs, base)), 3), "cpu_ratio": round(statistics.median(run.cpu_s / other.cpu_s for run, other in zip(runs, base)), 3),
            }
            if which.startswith("scened"):
                row[which]["stages_us_per_frame"] = micros_per_frame(runs)
                row[which]["n_boundaries"] = len([scene for scene in json.loads(runs[0].out)["scenes"] if scene["boundary"] in ("cut", "gradual")])
                stages.append((name, which, row[which]["stages_us_per_frame"]))
        rows.append(row)
        print(f"  {name}: " + ", ".join(f"{which} {figures.get('wall_s', 'failed')}" for which, figures in row.items() if isinstance(figures, dict)), flush=True)
    text = f"\n### Speed: whole processes, {n_threads} threads, median of {rounds}\n\nEach cell: wall s (CPU s); × wall of full decode / × CPU of full decode.\n\n"
    columns = [which for which in rows[0] if isinstance(rows[0][which], dict)]
    text += "| film | " + " | ".join(columns) + " |\n| --- |" + " ---: |" * len(columns) + "\n"
    for row in rows:
        cells = [f"failed: {row[which]['failed']}" if "failed" in row[which] else "{wall_s:.2f} ({cpu_s:.2f}); {wall_ratio:.2f} / {cpu_ratio:.2f}".format(**row[which]) for which in columns]
        text += f"| {row['film']} | " + " | ".join(cells) + " |\n"
    if python:
        bare = [peers.ran([python, "-c", peers.PYSCENEDETECT_PROGRAM, "-", "ContentDetector", "{}", "opencv"]).wall_s for _ in range(rounds)]
        text += f"\nOf PySceneDetect's time, {statistics.median(bare):.2f} s is its start (interpreter and imports).\n"
    text += "\n### Stages, µs a frame\n\n"
    names = sorted({stage for _, _, figures in stages for stage in figures})
    text += "| film | mode | " + " | ".join(names) + " |\n| --- | --- |" + " ---: |" * len(names) + "\n"
    for name, which, figures in stages:
        text += f"| {name} | {which} | " + " | ".join(f"{figures.get(stage, 0):.1f}" for stage in names) + " |\n"
    return text, rows


def hourly(arguments) -> tuple[str, list]:
    """Counts the frames that would be embedded an hour of each kind of video."""
    rows = []
    for kind, film in materials.hourly_set(arguments.work / "speed", arguments.media, arguments.quick):
        row = {"kind": kind}
        for mode in ("exact", "fast"):
            done = peers.ran([arguments.scened, "inspect", film, "--json", "--mode", mode])
            if done.status == 0:
                said = json.loads(done.out)
                hours = said["duration_ms"] / 3_600_000
                row[mode] = {"frames_per_hour": round(sum(len(scene["frames"]) for scene in said["scenes"]) / hours), "scenes_per_hour": round(len(said["scenes"]) / hours)}
        rows.append(row)
    text = "\n### Frames to embed, an hour of film (1 a second would be 3600)\n\n| film | frames, exact | scenes, exact | frames, fast |\n| --- | ---: | ---: | ---: |\n"
    for row in rows:
        exact, fast = row.get("exact"), row.get("fast")
        text += f"| {row['kind']} | {exact['frames_per_hour'] if exact else 'failed'} | {exact['scenes_per_hour'] if exact else '–'} | {fast['frames_per_hour'] if fast else 'failed'} |\n"
    return text, rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--half", choices=halves.HALVES, default=halves.HELD_OUT)
    parser.add_argument("--scened", type=Path, default=ROOT / "target" / "release" / "scened")
    parser.add_argument("--scorer", type=Path)
    parser.add_argument("--work", type=Path, default=ROOT / "target" / "bench-scenes")
    parser.add_argument("--corpus", type=Path, help="where the halves are or are rendered (--work)")
    parser.add_argument("--as-it-is", action="store_true", help="render nothing: score the corpus that is there")
    parser.add_argument("--media", type=Path, help="folder of real clips (SCENED_TEST_MEDIA, ../shared/media)")
    parser.add_argument("--no-real", action="store_true", help="score the rendered half alone")
    parser.add_argument("--quick", action="store_true", help="a few small films, one round, no TransNet V2")
    parser.add_argument("--only", choices=["scores", "speed", "hourly"], action="append")
    parser.add_argument("--detectors", help="ask only these, as the tables name them, with a semicolon between")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--pyscenedetect-python", type=Path)
    parser.add_argument("--transnet-python", type=Path)
    arguments = parser.parse_args()
    arguments.corpus = arguments.corpus or arguments.work
    fallback = Path(os.environ.get("SCENED_TEST_MEDIA") or ROOT.parent / "shared" / "media")
    arguments.media = arguments.media or (fallback if fallback.is_dir() else None)
    if arguments.media is None:
        print("bench: NO REAL CLIPS: neither --media nor SCENED_TEST_MEDIA nor ../shared/media is there; figures are of rendered films alone", flush=True)
    arguments.work.mkdir(parents=True, exist_ok=True)
    wanted = arguments.only or ["scores", "speed", "hourly"]
    detectors = peers.all_of(arguments.scened, arguments.work, arguments.pyscenedetect_python, arguments.transnet_python, not arguments.quick)
    if arguments.detectors:
        asked = arguments.detectors.lower().split(";")
        detectors = [detector for detector in detectors if detector.name.lower() in asked]
    python = next((detector.python for detector in detectors if isinstance(detector, peers.PySceneDetect)), None)
    version = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True).stdout.split("\n")[0]
    text = f"## Scene detection\n\n{datetime.now(timezone.utc):%Y-%m-%d}, {len(os.sched_getaffinity(0))} cores ({platform.machine()}), {version}; half: {arguments.half}{' (quick)' if arguments.quick else ''}\n"
    report = {"half": arguments.half, "quick": arguments.quick, "n_cores": len(os.sched_getaffinity(0))}
    if "scores" in wanted:
        text += scores(arguments, detectors)
        report["scores"] = json.loads((arguments.work / f"scores-{arguments.half}.json").read_text())
    if "speed" in wanted:
        tables, report["speed"] = speed(arguments, python)
        text += tables
    if "hourly" in wanted:
        tables, report["hourly"] = hourly(arguments)
        text += tables
    (arguments.work / "report.md").write_text(text, encoding="utf-8")
    (arguments.work / "report.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
