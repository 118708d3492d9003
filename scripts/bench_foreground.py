"""A compile beside an indexing daemon, and alone, in turns; see bench_foreground.sh."""

import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

FILMS = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".ts", ".m4v"}
N_COPIES = 12
PACKAGE = "scened-shared"


def compile_once(target):
    """Seconds that a release build of a small package and all it needs takes with two jobs, from nothing."""
    shutil.rmtree(target, ignore_errors=True)
    started = time.monotonic()
    command = ["cargo", "build", "--locked", "--release", "--quiet", "--jobs", "2", "--package", PACKAGE, "--target-dir", str(target)]
    subprocess.run(command, check=True)
    return time.monotonic() - started


def copy_films(source, to):
    films = [path for path in sorted(source.rglob("*")) if path.suffix.lower() in FILMS and path.is_file()]
    for copy in range(N_COPIES):
        for index, film in enumerate(films):
            place = to / f"{copy}-{index}{film.suffix}"
            shutil.copyfile(film, place)
            with place.open("ab") as end:
                end.write(f"copy {copy}".encode())
    return N_COPIES * len(films)


class Floor:
    """As many of the idlest processes as there are cores, that touch next to no memory: what any work at all costs here."""

    def __enter__(self):
        command = ["nice", "-n", "19", "chrt", "--idle", "0", "sha256sum", "/dev/zero"]
        self.processes = [subprocess.Popen(command) for _ in os.sched_getaffinity(0)]

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()


class Daemon:
    """A daemon of its own; paused until `resume`."""

    def __init__(self, programs, folder):
        self.folder = folder
        self.programs = programs
        repository = pathlib.Path(__file__).resolve().parent.parent
        self.environment = os.environ | {
            "SCENED_DATA_DIR": str(folder / "data"),
            "SCENED_CONFIG": str(folder / "config.toml"),
            "SCENED_SOCKET": str(folder / "run" / "s"),
            "SCENED_MODELS": str(repository / "models"),
            "SCENED_ONNXRUNTIME": os.environ.get("SCENED_ONNXRUNTIME", str(repository / ".setup" / "onnxruntime")),
            "HOME": str(folder),
        }
        (folder / "config.toml").write_text(f'on-battery = "run"\nfolders = ["{folder / "films"}"]\n')
        self.process = subprocess.Popen([programs / "scened"], env=self.environment, stderr=subprocess.DEVNULL)

    def ask(self, *words):
        done = subprocess.run([self.programs / "scenectl", *words, "--json"], env=self.environment, capture_output=True, text=True, check=False)
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def n_indexed(self):
        return self.ask("status").get("videos", {}).get("indexed", 0)

    def stop(self):
        self.process.terminate()
        self.process.wait()


def main():
    programs, source, n_rounds = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]), int(sys.argv[3])
    with tempfile.TemporaryDirectory(prefix="scened-foreground-") as name:
        folder = pathlib.Path(name)
        (folder / "films").mkdir()
        n_films = copy_films(source, folder / "films")
        daemon = Daemon(programs, folder)
        try:
            while not daemon.ask("pause"):
                time.sleep(0.2)
            # The settle time, and the walk.
            time.sleep(15)
            compile_once(folder / "target")
            alone, floor, beside, indexed = [], [], [], []
            for _ in range(n_rounds):
                alone.append(compile_once(folder / "target"))
                with Floor():
                    floor.append(compile_once(folder / "target"))
                daemon.ask("resume")
                time.sleep(3)
                before = daemon.n_indexed()
                beside.append(compile_once(folder / "target"))
                indexed.append(daemon.n_indexed() - before)
                assert daemon.ask("status").get("state") == "indexing", "it ran out of films: the figure says nothing"
                daemon.ask("pause")
                time.sleep(1)
        finally:
            daemon.stop()
    cores = len(os.sched_getaffinity(0))
    print(f"compile of {PACKAGE}, 2 jobs, {cores} cores, medians of {n_rounds}; {n_films} videos waited")
    for name, times in [("alone", alone), ("beside idle-class sha256sum", floor), ("beside indexing", beside)]:
        median = statistics.median(times)
        slowed = 100 * (median / statistics.median(alone) - 1)
        print(f"  {name:28} {median:6.2f} s  slowed by {slowed:4.1f} %   {[round(time, 2) for time in times]}")
    print(f"  videos indexed meanwhile: {indexed}")


if __name__ == "__main__":
    main()
