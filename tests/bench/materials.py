"""Videos for the figures that need length instead of truth: how fast, and how many frames an hour are embedded.

A short stretch is rendered once without loss, encoded in each way, and repeated by copying packets until it is long enough.
"""

import random
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import effects
import encode
import footage
import plan

MASTER_SIZE, MASTER_FPS = (768, 432), 25
# What is encoded for speed: name, codec of the corpus, size, and for how long.
SPEED = (
    ("720p x264 default", "x264", "720p", 125), ("720p x264 GOP 1 s", "x264-gop", "720p", 125), ("1080p x264 default", "x264", "1080p", 125), ("1080p x264 GOP 1 s", "x264-gop", "1080p", 125),
    ("720p x265", "x265", "720p", 75), ("720p VP9", "vp9", "720p", 75), ("720p AV1", "av1", "720p", 75), ("720p MPEG-2 interlaced", "mpeg2i", "720p", 75), ("720p MJPEG", "mjpeg", "720p", 75),
    ("720p HDR PQ 10 bit", "hdr-pq", "720p", 75), ("720p variable rate", "vfr", "720p", 75),
)
QUICK_SPEED = SPEED[:2]


def run(*command):
    subprocess.run([str(part) for part in command], check=True, stdin=subprocess.DEVNULL)


class Lossless:
    """Takes RGB frames and keeps them without loss."""

    def __init__(self, path, size):
        command = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-r", str(MASTER_FPS), "-i", "-", "-c:v", "libx264rgb", "-preset", "ultrafast", "-qp", "0", str(path)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE)

    def write(self, frame):
        self.process.stdin.write(np.ascontiguousarray(frame).tobytes())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        if self.process.wait() != 0:
            raise RuntimeError("ffmpeg could not keep the frames")


class Film(plan.Planner):
    """An ordinary video: cuts every four seconds, some of them in motion, and a dissolve."""

    def calm(self):
        self.at += self.n_frames(2.6, 4.4)


def film_frames(seed, classes, brisk=False):
    planner = (plan.Planner if brisk else Film)(seed, "tuning", MASTER_SIZE, MASTER_FPS, [], None, brisk)
    edit = planner.plan(classes)
    return (plan.frame_at(edit, tick) for tick in range(edit.n_frames))


def phone_frames(seed, seconds):
    """A walk with a telephone in the hand: one take that pans, shakes and zooms over several places of one picture."""
    planner = Film(seed, "tuning", MASTER_SIZE, MASTER_FPS, [], None, False)
    rng = random.Random(seed)
    kinds = ["pan", "shake", "pan", "zoom", "shake", "exposure-ramp"]
    edit = planner.plan([rng.choice(kinds) for _ in range(round(seconds / 4.5))])
    return (plan.frame_at(edit, tick) for tick in range(edit.n_frames))


def screen_frames(seed, seconds):
    """A recorded screen: a page on which words appear, that is scrolled now and then and left for another."""
    rng, (width, height) = random.Random(seed), MASTER_SIZE
    page, lines, at = 0, [""], 0
    frame, face = None, effects.font(height * 0.035, rng)
    for tick in range(round(seconds * MASTER_FPS)):
        if tick % (20 * MASTER_FPS) == 20 * MASTER_FPS - 1:
            page, lines, frame = page + 1, [""], None
        typed = tick % 8 == 0 and tick % (10 * MASTER_FPS) < 6 * MASTER_FPS
        if typed:
            lines[-1] += effects.words(rng, 1).lower() + " "
            if len(lines[-1]) > 60:
                lines.append("")
        if typed or frame is None:
            dark = page % 2 == 1
            picture = Image.new("RGB", (width, height), (30, 30, 36) if dark else (250, 250, 248))
            draw = ImageDraw.Draw(picture)
            draw.rectangle((0, 0, width, height * 0.08), fill=(70, 90, 140))
            draw.rectangle((0, height * 0.08, width * 0.18, height), fill=(50, 52, 60) if dark else (228, 230, 235))
            for row, line in enumerate(lines[-16:]):
                draw.text((width * 0.2, height * (0.11 + 0.05 * row)), line, font=face, fill=(220, 220, 220) if dark else (20, 20, 20))
            frame = np.asarray(picture)
        at += 1
        shown = frame.copy()
        x, y = round(width * (0.5 + 0.3 * np.sin(tick / 60))), round(height * (0.5 + 0.3 * np.cos(tick / 43)))
        shown[y : y + 10, x : x + 6] = (200, 40, 40)
        yield shown


def fixed_frames(seed, seconds):
    """A fixed camera over a street: nothing for long, and now and then somebody passes."""
    rng = random.Random(seed)
    camera = footage.Camera(0.95, 0.5, 0.5, (0, 0, 0.1, 0))
    take = footage.WorldTake(MASTER_SIZE, camera, seed, footage.world.Composition("city", (), ()), 0)
    still = take.frame(0.0)
    noise = np.random.default_rng(seed).integers(-3, 4, (8, *still.shape[:2], 1))
    walks = [(start, rng.getrandbits(20)) for start in range(9, round(seconds), 14)]
    for tick in range(round(seconds * MASTER_FPS)):
        time_s, frame = tick / MASTER_FPS, still
        for start_s, look in walks:
            if start_s <= time_s < start_s + 5:
                body = effects.passer(MASTER_SIZE[1] // 2, MASTER_SIZE[0] // 5, look)
                frame = effects.passed(frame, body, (time_s - start_s) / 5, look % 2 == 0)
        yield np.clip(frame + noise[tick % 8], 0, 255).astype(np.uint8)


def kept(path, frames):
    """Frames on disk without loss; rendered when they are not there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name("unfinished-" + path.name)
        with Lossless(unfinished, MASTER_SIZE) as into:
            for frame in frames():
                into.write(frame)
        unfinished.rename(path)
    return path


def encoded(master, path, codec, size_name, seconds, grain=5):
    """A master encoded in one way and repeated, by copying, until it lasts."""
    if path.exists():
        return path
    drop = (3, 4) if codec == "vfr" else ()
    encoding = encode.Encoding(codec, size_name, MASTER_FPS, path.suffix[1:], 23, False, grain, drop, "medium" if codec.startswith("x264") else "")
    scale, pixels, colour = encode.colour_filter(encoding)
    width, height = encoding.size
    chain = [f"select='gt(mod(n*n*7+n*13+{drop[0]},17),{drop[1]})+eq(n,0)'"] if drop else []
    if codec.startswith("hdr"):
        # Speed does not depend on what the light is, only on the signal's shape: no tone is mapped here.
        chain.append("format=gbrp")
    chain += [scale.format(w=width, h=height), f"format={pixels}", f"noise=alls={grain}:allf=t:all_seed=7"]
    once = path.with_name("once-" + path.name)
    run("ffmpeg", "-v", "error", "-y", "-i", master, "-vf", ",".join(chain), "-fps_mode", "passthrough", *encode.codec_options(encoding), *colour, once)
    times_s, _ = encode.presentation_times(once, MASTER_FPS)
    n_more = max(0, round(seconds / (times_s[-1] + 1 / MASTER_FPS) + 0.4999) - 1)
    unfinished = path.with_name("unfinished-" + path.name)
    run("ffmpeg", "-v", "error", "-y", "-stream_loop", n_more, "-i", once, "-map", "0:v:0", "-c", "copy", unfinished)
    unfinished.rename(path)
    once.unlink()
    return path


def speed_set(folder: Path, quick: bool):
    """The videos to time: `[(name, path)]`."""
    # The seed is of the tuning half: nothing here is scored, and the held-out half stays unseen.
    master = kept(folder / "film.mkv", lambda: film_frames(2, ["cut", "motion", "cut", "dissolve", "pan", "similar"]))
    containers = {"vp9": "webm", "mpeg2i": "ts", "mjpeg": "avi", "vfr": "mkv"}
    films = []
    for name, codec, size_name, seconds in QUICK_SPEED if quick else SPEED:
        path = folder / f"{name.replace(' ', '-')}.{containers.get(codec, 'mp4')}"
        films.append((name, encoded(master, path, codec, size_name, seconds)))
    return films


def hourly_set(folder: Path, media: Path | None, quick: bool):
    """The videos of which frames an hour are counted: `[(kind, path)]`."""
    seconds = 30 if quick else 120
    made = {
        "film": lambda: film_frames(2, ["cut", "motion", "cut", "dissolve", "pan", "similar"]),
        "phone video": lambda: phone_frames(6, seconds),
        "screen recording": lambda: screen_frames(8, seconds),
        "fixed camera": lambda: fixed_frames(11, seconds),
    }
    films = []
    for kind, frames in made.items():
        master = folder / ("film.mkv" if kind == "film" else f"{kind.replace(' ', '-')}-{seconds}.mkv")
        path = folder / f"hourly-{kind.replace(' ', '-')}-{seconds}.mp4"
        films.append((kind, encoded(kept(master, frames), path, "x264", "360p", seconds, 0 if kind == "screen recording" else 3)))
    real = media / "intel-iot-devkit+sample-videos" / "one-by-one-person-detection.mp4" if media else None
    if real and real.is_file():
        films.append(("fixed camera (real)", real))
    return films
