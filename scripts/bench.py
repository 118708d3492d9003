"""Measures a private daemon: see scripts/bench.sh."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EXTENSIONS = {".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts", ".flv", ".3gp", ".ogv"}
N_SEARCHES = 50
MODEL_IDLE_SECONDS = 5


def main() -> None:
    programs, films, idle_seconds = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), float(sys.argv[3])
    home = Path(tempfile.mkdtemp(prefix="scened-bench-", dir="/tmp"))
    os.environ.update(SCENED_DATA_DIR=str(home / "data"), SCENED_SOCKET=str(home / "run/s.sock"), SCENED_CONFIG=str(home / "config.toml"))
    copies = copy_films(films, home / "films")
    (home / "config.toml").write_text(
        f'folders = ["{home}/films"]\nsettle-seconds = 1\non-battery = "run"\nmodel-idle-seconds = {MODEL_IDLE_SECONDS}\n'
    )
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {len(copies)} files of {films}")
    daemon = None
    try:
        with open(home / "log", "w") as log:
            daemon = subprocess.Popen([programs / "scened"], stderr=log)
            indexing(programs, home, copies)
            searching(programs)
            idling(programs, daemon.pid, idle_seconds)
    finally:
        if daemon:
            daemon.terminate()
            daemon.wait()
        shutil.rmtree(home)


def copy_films(source: Path, target: Path) -> list[Path]:
    """Copies, because the daemon's folder must hold videos only; names keep their folder, so that none is lost."""
    copies = []
    for film in sorted(source.rglob("*")):
        if film.is_file() and film.suffix.lower() in EXTENSIONS:
            copy = target / film.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(film, copy)
            copies.append(copy)
    return copies


def ctl(programs: Path, *arguments: str) -> dict:
    output = subprocess.run([programs / "scenectl", *arguments, "--json"], capture_output=True)
    return json.loads(output.stdout) if output.stdout else {}


def indexing(programs: Path, home: Path, copies: list[Path]) -> None:
    started = time.monotonic()
    while not ctl(programs, "status"):
        time.sleep(0.05)
    subprocess.run([programs / "scenectl", "wait"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    # The settle time is waiting, not work.
    wall = time.monotonic() - started
    videos = ctl(programs, "status")["videos"]
    n_known = sum(videos.values())
    seconds = sum(
        ctl(programs, "scenes", str(copy)).get("duration_ms", 0) / 1000 for copy in copies
    )
    print(f"indexing: {videos['indexed']} indexed, {videos['failed']} incidents, {len(copies) - n_known} unaccounted for")
    print(f"indexing: {seconds:.0f} s of video in {wall:.1f} s = {seconds / wall:.1f} video seconds a second")
    started = time.monotonic()
    for copy in copies:
        subprocess.run(["ffmpeg", "-v", "quiet", "-i", copy, "-an", "-f", "null", "-"], stdin=subprocess.DEVNULL)
    decode = time.monotonic() - started
    print(f"plain decoding of the same files, ffmpeg one after the other: {decode:.1f} s; indexing takes {wall / decode:.2f} times that")


def searching(programs: Path) -> None:
    command = [programs / "scenectl", "search", "a dog on the beach"]
    for name, queries in [("the same query", ["a dog on the beach"]), ("a new query each time", [f"a dog on beach {n}" for n in range(N_SEARCHES)])]:
        taken = []
        for index in range(N_SEARCHES):
            command[2] = queries[index % len(queries)]
            taken.append(timed(command))
        print(
            f"scenectl search, whole process, {name}: median {statistics.median(taken) * 1000:.1f} ms, "
            f"slowest of {N_SEARCHES} {max(taken) * 1000:.1f} ms"
        )


def timed(command: list) -> float:
    started = time.monotonic()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - started


def idling(programs: Path, pid: int, seconds: float) -> None:
    deadline = time.monotonic() + 60
    while children(pid) and time.monotonic() < deadline:
        time.sleep(0.5)
    print(f"idle: workers left after {MODEL_IDLE_SECONDS} s without a question: {len(children(pid))}")
    switches, cpu = wake_ups(pid), processor_seconds(pid)
    time.sleep(seconds)
    pss = next(int(line.split()[1]) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines() if line.startswith("Pss:"))
    print(
        f"idle: PSS {pss / 1024:.1f} MiB; over {seconds:.0f} s {processor_seconds(pid) - cpu:.2f} s of processor time "
        f"and {wake_ups(pid) - switches} wake-ups"
    )
    cold = timed([programs / "scenectl", "search", "a query never asked before"])
    print(f"scenectl search, whole process, with the embed worker asleep: {cold * 1000:.0f} ms")


def children(pid: int) -> list[str]:
    return [child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]


def wake_ups(pid: int) -> int:
    """Voluntary context switches of all threads."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                total += int(line.split()[1])
    return total


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
