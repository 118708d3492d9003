#!/usr/bin/env python3
"""Measures which frames are embedded: how many an hour, and whether the right moment is still found.

    tests/compare/sampling.py [--scened target/release/scened] [--seed 1] [--films 4] [--seconds 90] [--mode exact|fast] [--clips ../shared/media]

Renders four kinds of film with the starter model's painters, each with a caption and a range of time for everything shown:
film (shots of 2 to 9 s, cut), phone (one take, a hand-held camera that goes from view to view, with motion blur), screen
(pages of a desktop, a pointer that moves, a page that scrolls) and fixed camera (noise, slowly changing light, things that come
and go). Each film is sampled twice, by `scened inspect` and at one frame a second, and embedded by the starter model. A
caption is answered by the frames most like it among all films of all kinds; of frames within 3 s only the best counts. An
answer is right when its frame lies in the caption's range.

Seeds below 100 are for tuning; figures are reported on seeds from 100.
With --clips it also counts the frames an hour of real clips. Without --venv it makes one in target/venv-sampling (pip, once).
"""

import argparse
import json
import math
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import venv

ROOT = pathlib.Path(__file__).resolve().parents[2]
PINNED = ["numpy==2.4.6", "onnxruntime==1.32.0", "pillow==13.0.0", "tokenizers==0.23.3"]
WIDTH, HEIGHT, FPS = 480, 270, 12
KINDS = ["film", "phone", "screen", "fixed camera"]
CODEC = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "26"]
# Two answers closer than this in one video are one.
ONE_ANSWER_S = 3.0
# At a cut the frame asked for may lie a frame beside the range.
SLACK_S = 0.1


class Truth:
    """What is to be seen when: (caption, composition, start, end), unique over all videos of a run."""

    def __init__(self, rng):
        self.rng = rng
        self.said = []

    def draw(self, settings=None):
        """A composition and a caption that is true of nothing drawn before."""
        while True:
            composition = world.draw_composition(self.rng, True)
            if not composition.entities or settings and composition.setting not in settings:
                continue
            caption = world.caption(self.rng, composition, full=True)
            if any(world.holds(caption, other) or world.holds(words, composition) for other, words in self.said):
                continue
            self.said.append((composition, caption))
            return composition, caption.text

    def draw_in(self, place):
        """One more thing in a place already drawn."""
        while True:
            entity = world.draw_entity(self.rng, "thing", 1)
            composition = world.Composition(place.setting, place.colours, (entity,))
            caption = world.caption(self.rng, composition, full=True)
            if any(world.holds(caption, other) or world.holds(words, composition) for other, words in self.said):
                continue
            self.said.append((composition, caption))
            return composition, caption.text


def noise(nprng, image, sigma):
    pixels = np.asarray(image, np.int16)
    return Image.fromarray(np.clip(pixels + nprng.normal(0, sigma, pixels.shape), 0, 255).astype(np.uint8))


def film_frames(rng, truth, seconds):
    """Shots of 2 to 9 s that follow each other with hard cuts."""
    moments, shots, at = [], [], 0.0
    while at < seconds:
        composition, text = truth.draw()
        length = round(rng.uniform(2, 9) * FPS) / FPS
        moments.append((text, at, at + length))
        shots.append(film.Shot(composition, length, rng.randrange(1 << 40)))
        at += length
    return moments, (frame for shot in shots for frame in film.shot_frames(shot, WIDTH, HEIGHT, FPS))


def phone_frames(rng, truth, seconds):
    """One take past several views side by side, with a trembling hand."""
    stations, at, before, moments = [], 0.0, 0.0, []
    while at < seconds:
        composition, text = truth.draw()
        stay, walk = rng.uniform(1.0, 6.0), rng.uniform(1.0, 4.0)
        stations.append((composition, rng.randrange(1 << 40), at, at + stay))
        # A view counts as shown while most of it is in the picture.
        moments.append((text, max(0.0, at - 0.43 * before), at + stay + 0.43 * walk))
        before = walk
        at += stay + walk
    views = []
    for composition, seed, _, _ in stations:
        own = random.Random(seed)
        view = world.paint_background(seed, composition.setting, composition.colours, WIDTH, HEIGHT + 40)
        for actor in film.cast(own, composition, WIDTH / HEIGHT):
            actor.sway = actor.bob = 0
            actor.paste_on(view, 0)
        views.append(view)
    panorama = Image.new("RGB", (WIDTH * len(views) + WIDTH, HEIGHT + 40))
    for index, view in enumerate(views + views[-1:]):
        panorama.paste(view, (index * WIDTH, 0))

    def position(t):
        for index, (_, _, start, end) in enumerate(stations):
            if t < start:
                before = stations[index - 1][3]
                u = (t - before) / (start - before)
                return index - 1 + u * u * (3 - 2 * u)
            if t <= end:
                return index
        return len(stations) - 1

    phases = [rng.uniform(0, 6.3) for _ in range(6)]

    def tremble(t):
        x = 3 * math.sin(2 * math.pi * 1.1 * t + phases[0]) + 2 * math.sin(2 * math.pi * 2.7 * t + phases[1]) + 1.5 * math.sin(2 * math.pi * 5.3 * t + phases[2])
        y = 5 * math.sin(2 * math.pi * 0.9 * t + phases[3]) + 2 * math.sin(2 * math.pi * 3.1 * t + phases[4]) + 1.5 * math.sin(2 * math.pi * 4.7 * t + phases[5])
        return x, y

    def frames():
        for index in range(round(stations[-1][3] * FPS)):
            layers = []
            for part in range(4):  # half a frame's time of exposure
                t = (index + part / 8) / FPS
                x, y = tremble(t)
                left, top = max(0, position(t) * WIDTH + x), 20 + y
                layers.append(np.asarray(panorama.crop((round(left), round(top), round(left) + WIDTH, round(top) + HEIGHT)), np.float32))
            yield Image.fromarray(np.mean(layers, 0).astype(np.uint8))

    return moments, frames()


def screen_frames(rng, truth, seconds):
    """A desktop: pages in a window, a pointer, and now and then a page that scrolls to the next."""
    moments, pages, at = [], [], 0.0
    while at < seconds:
        composition, text = truth.draw()
        length = round(rng.uniform(3, 25) * FPS) / FPS
        moments.append((text, at, at + length))
        own = random.Random(rng.randrange(1 << 40))
        page = world.paint_background(own.randrange(1 << 40), composition.setting, composition.colours, WIDTH - 20, HEIGHT - 30)
        for actor in film.cast(own, composition, WIDTH / HEIGHT):
            actor.paste_on(page, 0)
        pages.append((page, at, at + length, rng.random() < 0.3))
        at += length

    def frames():
        x, y, goal = WIDTH / 2, HEIGHT / 2, (WIDTH / 2, HEIGHT / 2)
        for number, (page, start, end, scrolls) in enumerate(pages):
            n_frames = round((end - start) * FPS)
            n_scrolled = min(FPS, n_frames // 2) if scrolls and number else 0
            for index in range(n_frames):
                frame = Image.new("RGB", (WIDTH, HEIGHT), (60, 64, 72))
                shift = (n_scrolled - index) * (HEIGHT - 30) // n_scrolled if index < n_scrolled else 0
                if shift:
                    window = Image.new("RGB", page.size)
                    window.paste(pages[number - 1][0], (0, shift - (HEIGHT - 30)))
                    window.paste(page, (0, shift))
                    frame.paste(window, (10, 20))
                else:
                    frame.paste(page, (10, 20))
                if rng.random() < 0.02:
                    goal = (rng.uniform(0, WIDTH - 8), rng.uniform(0, HEIGHT - 12))
                x, y = x + (goal[0] - x) * 0.2, y + (goal[1] - y) * 0.2
                frame.paste((255, 255, 255), (round(x), round(y), round(x) + 5, round(y) + 9))
                yield frame

    return moments, frames()


def fixed_frames(rng, truth, seconds):
    """A camera on a wall: long emptiness, noise, light that changes slowly, things that come in, stay and go."""
    place, _ = truth.draw({"room", "road", "field", "beach", "snow", "forest", "city", "desert"})
    background = world.paint_background(rng.randrange(1 << 40), place.setting, place.colours, WIDTH, HEIGHT)
    moments, visits, at = [], [], rng.uniform(3, 15)
    while at < seconds - 4:
        composition, text = truth.draw_in(place)
        stay = rng.uniform(1.5, 14)
        actor = film.cast(random.Random(rng.randrange(1 << 40)), composition, WIDTH / HEIGHT)[0]
        actor.size = max(0.25, actor.size * 0.7)
        visits.append((actor, at, at + stay + 2))
        moments.append((text, at + 0.5, min(at + stay + 1.5, seconds)))
        at += stay + 2 + rng.uniform(3, 25)
    nprng = np.random.default_rng(rng.randrange(1 << 40))
    phase = rng.uniform(0, 6.3)

    def frames():
        for index in range(round(seconds * FPS)):
            t = index / FPS
            frame = background.copy()
            for actor, start, end in visits:
                if start <= t <= end:
                    # A second to come in from the left, a second to leave.
                    away = max(0, 1 - (t - start), 1 - (end - t))
                    actor.paste_on(frame, t, round(away * away * WIDTH * (actor.x + 0.3)))
            light = 8 * math.sin(2 * math.pi * t / 200 + phase)
            yield noise(nprng, Image.fromarray(np.clip(np.asarray(frame, np.float32) + light, 0, 255).astype(np.uint8)), 3)

    return moments, frames()


RENDERERS = dict(zip(KINDS, [film_frames, phone_frames, screen_frames, fixed_frames]))


def inspect(scened, path, mode):
    done = subprocess.run([scened, "inspect", path, "--json", "--mode", mode], capture_output=True, check=True)
    return json.loads(done.stdout)


def frames_at(path, indexes):
    """Decodes a video and gives the frames of these numbers. **Shape** `[h, w, 3]` u8 each."""
    wanted, size = set(indexes), WIDTH * HEIGHT * 3
    found = {}
    command = ["ffmpeg", "-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=1 << 22) as decoder:
        number = 0
        while len(data := decoder.stdout.read(size)) == size:
            if number in wanted:
                found[number] = np.frombuffer(data, np.uint8).reshape(HEIGHT, WIDTH, 3)
            number += 1
    return found, number


class Index:
    """Frames of all videos with their vectors."""

    def __init__(self):
        self.places, self.vectors = [], []

    def add(self, encoders, film_name, frames):
        for start in range(0, len(frames), 32):
            part = frames[start : start + 32]
            self.vectors.extend(encoders.embed_frames([frame for _, frame in part]))
            self.places.extend((film_name, time_s) for time_s, _ in part)

    def answers(self, vector, n):
        """The best frames, of those close to each other only the best."""
        kept = []
        for at in np.argsort(-(self.matrix @ vector)):
            name, time_s = self.places[at]
            if all(name != other or abs(time_s - when) >= ONE_ANSWER_S for other, when in kept):
                kept.append((name, time_s))
                if len(kept) == n:
                    break
        return kept

    @property
    def matrix(self):
        if not hasattr(self, "_matrix"):
            self._matrix = np.stack(self.vectors)
        return self._matrix


def measure(options, folder):
    encoders = runtime.Encoders(n_threads=1)
    rng = random.Random(options.seed)
    truth = Truth(rng)
    ours, steady = Index(), Index()
    moments, counts = [], {kind: [0, 0, 0.0, 0, 0] for kind in KINDS}
    for kind in KINDS:
        for number in range(options.films):
            name = f"{kind.replace(' ', '-')}-{number}"
            path = folder / f"{name}-{options.seed}-{options.seconds}.mp4"
            drawn, frames = RENDERERS[kind](rng, truth, options.seconds)
            state = rng.getstate()
            told = path.with_suffix(".json")
            # Another number of videos draws other ones.
            if not told.exists() or json.loads(told.read_text()) != [list(moment) for moment in drawn]:
                with film.Encoder(path, WIDTH, HEIGHT, FPS, CODEC) as encoder:
                    for frame in frames:
                        encoder.write(frame)
                told.write_text(json.dumps(drawn))
            # Rendering draws numbers as well; a video from the cache draws none.
            rng.setstate(state)
            moments.extend((kind, name, *moment) for moment in drawn)
            answer = inspect(options.scened, path, options.mode)
            times = sorted({time_ms / 1000 for scene in answer["scenes"] for time_ms in scene["frames"]})
            n_told = sum(len(scene["frames"]) for scene in answer["scenes"])
            duration = answer["duration_ms"] / 1000
            seconds = [at + 0.5 for at in range(int(duration))]
            decoded, n_frames = frames_at(path, [round(at * FPS) for at in times + seconds])
            for index, when in ((ours, times), (steady, seconds)):
                index.add(encoders, name, [(at, decoded[min(round(at * FPS), n_frames - 1)]) for at in when if round(at * FPS) in decoded])
            count = counts[kind]
            count[0] += n_told
            count[1] += len(seconds)
            count[2] += duration
            count[3] += len(answer["scenes"])
            count[4] += sum(any(start - SLACK_S <= at <= end + SLACK_S for at in times) for _, start, end in drawn)
    vectors = encoders.embed_texts([text for _, _, text, _, _ in moments])
    table = {}
    for kind in [*KINDS, "all"]:
        row = {"moments": 0}
        for label, index in (("ours", ours), ("1 fps", steady)):
            right = {1: 0, 5: 0}
            n = 0
            for vector, (of, name, _, start, end) in zip(vectors, moments):
                if kind not in (of, "all"):
                    continue
                n += 1
                answers = index.answers(vector, 5)
                hits = [other == name and start - SLACK_S <= at <= end + SLACK_S for other, at in answers]
                right[1] += hits[0]
                right[5] += any(hits)
            row["moments"] = n
            row[label] = {k: right[k] / n for k in right}
        n_ours, n_steady, duration, n_scenes, n_seen = [sum(counts[k][i] for k in KINDS if kind in (k, "all")) for i in range(5)]
        row |= {"frames/h": n_ours * 3600 / duration, "1 fps frames/h": n_steady * 3600 / duration, "scenes/h": n_scenes * 3600 / duration, "seen": n_seen / row["moments"]}
        table[kind] = row
    return table


def show(table):
    print("| kind | moments | frames an hour | scenes an hour | moments with a frame | recall@1 ours / 1 fps | recall@5 ours / 1 fps |")
    print("|---|---|---|---|---|---|---|")
    for kind, row in table.items():
        both = [f"{row['ours'][k]:.3f} / {row['1 fps'][k]:.3f}" for k in (1, 5)]
        print(f"| {kind} | {row['moments']} | {row['frames/h']:.0f} | {row['scenes/h']:.0f} | {row['seen']:.3f} | {both[0]} | {both[1]} |")


def show_clips(options):
    print("\n| clip | seconds | scenes | frames | frames an hour |\n|---|---|---|---|---|")
    for clip in sorted(path for path in options.clips.rglob("*") if path.suffix in {".mp4", ".mkv", ".mov", ".webm"}):
        try:
            answer = inspect(options.scened, clip, options.mode)
        except subprocess.CalledProcessError:
            continue
        duration = answer["duration_ms"] / 1000
        n = sum(len(scene["frames"]) for scene in answer["scenes"])
        if duration >= 5:
            print(f"| {clip.name} | {duration:.1f} | {len(answer['scenes'])} | {n} | {n * 3600 / duration:.0f} |")


def own_python(folder):
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PINNED], check=True)
    return str(python)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scened", type=pathlib.Path, default=ROOT / "target/release/scened")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--films", type=int, default=4, help="of each kind")
    parser.add_argument("--seconds", type=float, default=90, help="of each film")
    parser.add_argument("--clips", type=pathlib.Path, help="a folder of real clips, to count their frames")
    parser.add_argument("--venv", type=pathlib.Path, default=ROOT / "target/venv-sampling")
    parser.add_argument("--json", type=pathlib.Path, help="where to write the figures")
    parser.add_argument("--cache", type=pathlib.Path, help="a folder where rendered films are kept for the next run")
    parser.add_argument("--mode", choices=["exact", "fast"], default="exact", help="of `scened inspect`")
    options = parser.parse_args()
    if "SAMPLING_IN_VENV" not in os.environ:
        python = own_python(options.venv)
        os.execve(python, [python, *sys.argv], os.environ | {"SAMPLING_IN_VENV": "1"})
    load()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.cache or pathlib.Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        table = measure(options, folder)
    show(table)
    if options.clips:
        show_clips(options)
    if options.json:
        options.json.write_text(json.dumps(table, indent=2))
    print(f"\n{options.mode} mode, seed {options.seed}, {options.films} films of {options.seconds:.0f} s of each kind, {time.monotonic() - started:.0f} s")


def load():
    """The painters and the model need the packages of the venv."""
    global Image, film, np, runtime, world
    sys.path.insert(0, str(ROOT / "models/starter"))
    import numpy as np
    from PIL import Image

    import film
    import runtime
    import world


if __name__ == "__main__":
    main()
