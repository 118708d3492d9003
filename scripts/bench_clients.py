"""Measures scenectl against a private daemon: see scripts/bench_clients.sh."""

import fcntl
import os
import pty
import select
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

from bench import copy_films, ctl

COLUMNS, ROWS, CELL_WIDTH_PX, CELL_HEIGHT_PX = 100, 40, 10, 20
QUERIES = ["a red car", "people in the street", "an animal", "water and sky", "a dark room"]
TYPED = "a red car in the town at night with a guitar on the road and a violin in the forest"


def main() -> None:
    programs, films, n_rounds = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), int(sys.argv[3])
    home = Path(tempfile.mkdtemp(prefix="scened-bench-", dir="/tmp"))
    os.environ.update(SCENED_DATA_DIR=str(home / "data"), SCENED_SOCKET=str(home / "run/s.sock"), SCENED_CONFIG=str(home / "config.toml"))
    copies = copy_films(films, home / "films")
    # A model that sleeps would be measured as well.
    (home / "config.toml").write_text(
        f'folders = ["{home}/films"]\nsettle-seconds = 1\non-battery = "run"\nbusy = 0\nmodel-idle-seconds = 86400\n'
    )
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {len(copies)} files of {films}; {n_rounds} rounds")
    daemon = None
    try:
        with open(home / "log", "w") as log:
            daemon = subprocess.Popen([programs / "scened"], stderr=log)
            while not ctl(programs, "status"):
                time.sleep(0.1)
            ctl(programs, "wait", "--timeout", "3600")
            print(f"indexed; load {os.getloadavg()[0]:.1f}\n")
            scenectl = programs / "scenectl"
            searching(scenectl, n_rounds)
            previewing(scenectl, n_rounds)
            browsing(scenectl)
            pages(scenectl, home, n_rounds)
            exporting(scenectl, home)
    finally:
        if daemon:
            daemon.terminate()
            daemon.wait()
        shutil.rmtree(home)


def row(what: str, times_s: list[float], more: str = "") -> None:
    """One line: median, the slowest of a hundred, the slowest."""
    ordered = sorted(times_s)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    median = statistics.median(ordered)
    print(f"{what:52} p50 {median * 1000:7.1f} ms  p99 {p99 * 1000:7.1f} ms  n {len(ordered):4}  {more}".rstrip())


def timed(command: list) -> float:
    started = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - started


def searching(scenectl: Path, n_rounds: int) -> None:
    timed([scenectl, "search", QUERIES[0]])
    row("search, whole process, asked again", [timed([scenectl, "search", QUERIES[0]]) for _ in range(n_rounds)])
    row("search, whole process, new words", [timed([scenectl, "search", f"{QUERIES[i % 5]} {i}"]) for i in range(n_rounds)])
    row("search -n 100 --json", [timed([scenectl, "search", QUERIES[0], "-n", "100", "--json"]) for _ in range(n_rounds)])


class Terminal:
    """A terminal of our own that answers what a program asks of one, and says when what came."""

    def __init__(self, command: list, **variables: str) -> None:
        self.heard = bytearray()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            environment = dict(os.environ, TERM="xterm-256color", COLORTERM="truecolor", **variables)
            # The size is known before anything asks for it.
            size = struct.pack("HHHH", ROWS, COLUMNS, COLUMNS * CELL_WIDTH_PX, ROWS * CELL_HEIGHT_PX)
            fcntl.ioctl(0, termios.TIOCSWINSZ, size)
            os.execvpe(command[0], [str(word) for word in command], environment)

    def read(self, limit_s: float) -> float | None:
        """Reads once; when that was, or None where nothing came in time. b"" at the end is told as None too."""
        ready, _, _ = select.select([self.fd], [], [], limit_s)
        if not ready:
            return None
        try:
            piece = os.read(self.fd, 1 << 16)
        except OSError:
            return None
        now = time.monotonic()
        self.heard += piece
        for question, answer in [(b"\x1b[16t", b"\x1b[6;%d;%dt" % (CELL_HEIGHT_PX, CELL_WIDTH_PX)), (b"\x1b[c", b"\x1b[?62;22c")]:
            for _ in range(piece.count(question)):
                os.write(self.fd, answer)
        return now if piece else None

    def until_quiet(self, quiet_s: float, limit_s: float = 10) -> None:
        end = time.monotonic() + limit_s
        while time.monotonic() < end and self.read(quiet_s) is not None:
            pass

    def end(self) -> int:
        while self.read(10) is not None:
            pass
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


def previewing(scenectl: Path, n_rounds: int) -> None:
    for way in ["none", "blocks", "sixel", "iterm2", "kitty"]:
        times_s, n_bytes = [], 0
        for _ in range(n_rounds):
            started = time.monotonic()
            terminal = Terminal([scenectl, "search", QUERIES[0], "--preview"], SCENED_PICTURES=way)
            status = terminal.end()
            assert status == 0, f"search --preview ended with {status}: {terminal.heard!r}"
            times_s.append(time.monotonic() - started)
            n_bytes = len(terminal.heard)
        row(f"search --preview, 10 hits, {way}", times_s, f"{n_bytes / 1000:.0f} kB")


def browsing(scenectl: Path) -> None:
    """A letter's echo is the first that comes after it; hits are the next, because the finder waits 80 ms for another letter."""
    for way, typed in [("blocks", TYPED), ("kitty", TYPED[:30])]:
        terminal = Terminal([scenectl, "browse"], SCENED_PICTURES=way)
        terminal.until_quiet(0.5)
        echoes_s, hits_s, settled_s = [], [], []
        for letter in typed:
            started = time.monotonic()
            os.write(terminal.fd, letter.encode())
            echo = terminal.read(5)
            assert echo is not None, "browse does not answer"
            echoes_s.append(echo - started)
            while terminal.read(0.03) is not None:
                pass
            if letter == " ":
                # The question is the same: only the cursor moves.
                terminal.until_quiet(0.3)
                continue
            came = last = terminal.read(5)
            if came is None:
                continue
            hits_s.append(came - started)
            while (more := terminal.read(0.3)) is not None:
                last = more
            settled_s.append(last - started)
        os.write(terminal.fd, b"\x03")
        terminal.end()
        row(f"browse, {way}: a letter until its echo", echoes_s)
        row(f"browse, {way}: a letter until new hits", hits_s, "80 ms of it for the next letter")
        row(f"browse, {way}: a letter until the last picture", settled_s)


def pages(scenectl: Path, home: Path, n_rounds: int) -> None:
    page = home / "hits.html"
    command = [scenectl, "search", QUERIES[0], "-n", "100", "--force", "--html", page]
    times_s = [timed(command) for _ in range(max(3, n_rounds // 5))]
    row("search -n 100 --html", times_s, f"{page.stat().st_size / 1000:.0f} kB, {page.read_text().count('<li ')} hits")
    film = max((home / "films").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    scenes = len(ctl(scenectl.parent, "scenes", str(film)).get("scenes", []))
    if scenes:
        command = [scenectl, "sheet", film, "--force", "-o", page]
        times_s = [timed(command) for _ in range(max(3, n_rounds // 5))]
        row(f"sheet, {scenes} scenes", times_s, f"{page.stat().st_size / 1000:.0f} kB")


def exporting(scenectl: Path, home: Path) -> None:
    film = home / "export.mp4"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=1920x1080:r=25:d=60", "-f", "lavfi", "-i", "sine=d=60", "-c:v", "libx264"]
        + ["-preset", "veryfast", "-pix_fmt", "yuv420p", "-g", "50", "-c:a", "aac", "-shortest", film],
        check=True,
    )
    clips = [f"{film}@{start}.3-{start + 10}.3" for start in (10, 30, 45)]
    for what, words in [
        ("export, 10 s of 1080p, copied", clips[:1]),
        ("export, 3 × 10 s of 1080p, copied and joined", clips),
        ("export --exact, 10 s of 1080p", [*clips[:1], "--exact"]),
        ("export --exact, 3 × 10 s of 1080p, joined", [*clips, "--exact"]),
    ]:
        row(what, [timed([scenectl, "export", *words, "--force", "-o", home / "clip.mp4"]) for _ in range(3)])


if __name__ == "__main__":
    main()
