"""Renders the sample library: short films of the starter model's world, and the truth about them.

`python make_library.py` writes the videos and `truth.json` beside itself. Every composition with an object in it is
of the tenth that the starter model's training never rendered; the films come from the film renderer (moving camera
and objects) and real encoders. It needs what `models/starter/requirements.txt` names, and FFmpeg with libx264,
libx265 and libvpx-vp9.
"""

import json
import random
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "models" / "starter"))

import film  # noqa: E402
import world  # noqa: E402

H264 = ["-c:v", "libx264", "-preset", "slow", "-crf", "26"]
H265 = ["-c:v", "libx265", "-preset", "medium", "-crf", "28", "-tag:v", "hvc1", "-x265-params", "log-level=error"]
VP9 = ["-c:v", "libvpx-vp9", "-b:v", "0", "-crf", "36", "-deadline", "good", "-cpu-used", "3"]


@dataclass(frozen=True)
class Scene:
    """One shot: what it shows, for how long, and what people may ask for it."""

    composition: world.Composition
    seconds: float
    caption: str
    queries: tuple


@dataclass(frozen=True)
class Video:
    """A video of the library. `turned` stores it on its side with rotation metadata; `long_take` pans over its scenes without a cut."""

    path: str
    width: int
    height: int
    fps: int
    codec: list = field(hash=False)
    scenes: tuple
    turned: bool = False
    long_take: bool = False
    sound: bool = False


def thing(name, count=1):
    for index, candidate in enumerate(world.THINGS):
        if candidate["names"][0] == name:
            return world.Entity("thing", index, -1, count)
    raise ValueError(f"no thing is called {name}")


def shape(colour, name, count=1):
    return world.Entity("shape", world.SHAPE_NAMES.index(name), world.COLOUR_NAMES.index(colour), count)


def scene(setting, entities, seconds, caption, *queries, colours=()):
    composition = world.Composition(setting, tuple(world.COLOUR_NAMES.index(colour) for colour in colours), tuple(entities))
    assert not entities or world.held_out(composition), f"training may have seen {caption!r}"
    return Scene(composition, seconds, caption, queries)


VIDEOS = [
    Video("wild animals.mp4", 640, 360, 25, H264, sound=True, scenes=(
        scene("field", [thing("fox")], 3.0, "a fox in a field", "fox on the grass", "a video of a fox in a meadow"),
        scene("snow", [thing("penguin", 2)], 2.6, "two penguins in the snow", "penguins, winter", "2 penguins in the falling snow"),
        scene("sunset", [thing("elephant")], 3.2, "an elephant at sunset", "elephant in front of a sunset", "sunset with an elephant"),
        scene("underwater", [thing("whale")], 2.8, "a whale underwater", "whale under the sea"),
    )),
    Video("around the town.mp4", 480, 270, 30, H264, scenes=(
        scene("city", [thing("motorcycle")], 2.5, "a motorcycle in the city", "motorbike downtown", "a motorbike in front of a skyline"),
        scene("rain", [thing("taxi")], 3.0, "a taxi in the rain", "cab, rainy weather", "a taxi on a rainy day"),
        scene("city night", [thing("tyrannosaurus")], 2.5, "a tyrannosaurus in the city at night", "t-rex, city lights"),
    )),
    Video("food and drink.mkv", 640, 360, 24, H265, scenes=(
        scene("plain", [thing("hamburger")], 2.5, "a hamburger on a yellow background", "burger on yellow", colours=("yellow",)),
        scene("mountains", [thing("pizza")], 2.5, "a pizza in the mountains", "pizza, mountain landscape"),
        scene("space", [thing("birthday cake")], 2.5, "a birthday cake in outer space", "birthday cake in a galaxy"),
        scene("beach", [thing("strawberry", 3)], 2.5, "three strawberries on the beach", "3 strawberries at the seaside"),
    )),
    Video("shapes.webm", 320, 240, 25, VP9, scenes=(
        scene("snow", [shape("red", "star", 3)], 2.4, "three red stars in the snow", "3 red stars, winter landscape"),
        scene("forest", [shape("white", "diamond", 2)], 2.4, "two white diamonds in the forest", "white diamonds in the woods"),
        scene("sea", [shape("white", "cross")], 2.4, "a white cross on the sea", "white cross, ocean"),
        scene("room", [shape("red", "circle", 3)], 2.4, "three red circles in a room", "three red circles indoors"),
        scene("night", [shape("pink", "circle")], 2.4, "a pink circle at night", "pink disc under the stars"),
    )),
    Video("phone clip.mp4", 360, 640, 30, H264, turned=True, scenes=(
        scene("mountains", [thing("cat")], 2.8, "a cat in the mountains", "kitten, mountains", "a picture of a cat by the mountains"),
        scene("plain", [thing("sunflower")], 2.4, "a sunflower on a blue background", "sunflower on blue", colours=("blue",)),
        scene("desert", [thing("ice cream cone")], 2.6, "an ice cream cone in the desert", "ice cream cone, sand dunes"),
    )),
    Video("long walk.mp4", 480, 270, 24, H264, long_take=True, scenes=(
        scene("field", [thing("cow")], 14.0, "a cow in a field", "cow on the grass"),
        scene("beach", [thing("soccer ball")], 14.0, "a soccer ball on the beach", "football at the beach"),
    )),
    Video("holiday/2024/beach day.mp4", 854, 480, 25, H265, scenes=(
        scene("beach", [thing("kite")], 2.6, "a kite at the beach", "kite, sand and sea"),
        scene("sea", [thing("balloon", 3)], 2.6, "three balloons on the sea", "balloons over the waves"),
        scene("forest", [thing("castle")], 2.6, "a castle in the forest", "castle in the woods", "castle among the trees"),
        scene("sunset", [thing("tent")], 2.6, "a tent at sunset", "camping at dusk"),
    )),
    Video("holiday/2024/winter trip.webm", 480, 270, 25, VP9, scenes=(
        scene("snow", [thing("sled")], 2.5, "a sled in the snow", "sledge on a snowy field"),
        scene("night", [thing("church")], 2.5, "a church at night", "church under a starry sky"),
        scene("desert", [thing("christmas tree")], 2.5, "a christmas tree in the desert", "christmas tree in the dunes"),
    )),
    Video("music and credits.mp4", 320, 240, 15, H264, scenes=(
        scene("colour bars", [], 2.0, "colour bars", "a test pattern"),
        scene("title", [], 2.4, "title text on black", "white text on black"),
        scene("road", [thing("guitar")], 2.6, "a guitar on the road", "guitar, asphalt road"),
        scene("forest", [thing("violin")], 2.6, "a violin in the forest", "violin in the woods"),
        scene("space", [thing("trumpet")], 2.6, "a trumpet in outer space", "trumpet in front of a nebula"),
    )),
    Video("at home.mp4", 640, 360, 25, H264, scenes=(
        scene("room", [thing("television")], 2.5, "a television in a room", "tv indoors"),
        scene("checkerboard", [thing("dice")], 2.5, "dice on a red and white checkerboard", "dice on a checkerboard", colours=("red", "white")),
        scene("fire", [thing("octopus")], 2.5, "an octopus in the fire", "octopus in flames"),
        scene("clouds", [thing("tiger"), shape("purple", "circle")], 2.5, "a tiger and a purple circle in the sky", "tiger with a purple circle, clouds"),
    )),
]


def cut_frames(video, rng):
    """Yields the frames of a film of hard cuts."""
    for part in video.scenes:
        yield from film.shot_frames(film.Shot(part.composition, part.seconds, rng.randrange(1 << 40)), video.width, video.height, video.fps)


def long_take_frames(video, rng):
    """Yields the frames of one take: the camera drifts over the first scene, pans to the next, and so on, without a cut."""
    width, height, n = video.width, video.height, len(video.scenes)
    wide = round(width * film.MARGIN)
    seam = width // 5
    step = wide - seam
    panorama = np.zeros((height, step * n + seam, 3), np.float32)
    ramp = np.linspace(0, 1, seam, dtype=np.float32)[None, :, None]
    actors = []
    for index, part in enumerate(video.scenes):
        picture = np.asarray(world.paint_background(rng.randrange(1 << 40), part.composition.setting, part.composition.colours, wide, height), np.float32)
        left = index * step
        if index:
            panorama[:, left : left + seam] = panorama[:, left : left + seam] * (1 - ramp) + picture[:, :seam] * ramp
            panorama[:, left + seam : left + wide] = picture[:, seam:]
        else:
            panorama[:, :wide] = picture
        actors += [(left + seam * 0.5, actor) for actor in film.cast(rng, part.composition, width / height)]
    image = Image.fromarray(panorama.astype(np.uint8))
    pan_s, drift_px = 3.0, (wide - width - seam * 0.5) * 0.8
    ends = np.cumsum([part.seconds for part in video.scenes])
    for frame_index in range(round(ends[-1] * video.fps)):
        seconds = frame_index / video.fps
        x = 0.0
        for end in ends[:-1]:
            t = min(max((seconds - end + pan_s / 2) / pan_s, 0), 1)
            x += step * t * t * (3 - 2 * t)
        x += seam * 0.25 + drift_px * 0.5 * (1 + np.sin(seconds * 0.5))
        frame = image.transform((width, height), Image.AFFINE, (1, 0, x, 0, 1, 0), Image.BILINEAR)
        for left, actor in actors:
            actor.paste_on(frame, seconds, n_shift_px=round(x - left))
        yield frame


def make(video, out, seed):
    """Writes a video and returns its entry of the truth file."""
    rng = random.Random(seed)
    path = out / video.path
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = long_take_frames(video, rng) if video.long_take else cut_frames(video, rng)
    width, height = (video.height, video.width) if video.turned else (video.width, video.height)
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / f"plain{path.suffix}"
        codec = [option for option in video.codec if path.suffix != ".mkv" or option not in ("-tag:v", "hvc1")]
        with film.Encoder(plain, width, height, video.fps, [*codec, "-g", str(video.fps * 4)]) as encoder:
            for frame in frames:
                encoder.write(frame.transpose(Image.ROTATE_90) if video.turned else frame)
        sound = ["-f", "lavfi", "-i", "sine=frequency=220:sample_rate=44100", "-c:a", "aac", "-b:a", "32k", "-shortest"] if video.sound else []
        turn = ["-metadata:s:v:0", "rotate=270"] if video.turned else []
        command = ["ffmpeg", "-v", "error", "-y", "-i", str(plain), *sound, "-c:v", "copy", *turn, "-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact", str(path)]
        subprocess.run(command, check=True)
    scenes, start_s = [], 0.0
    for part in video.scenes:
        end_s = start_s + (round(part.seconds * video.fps) / video.fps if not video.long_take else part.seconds)
        scenes.append({"start_ms": round(start_s * 1000), "end_ms": round(end_s * 1000), "caption": part.caption, "queries": list(part.queries)})
        start_s = end_s
    return {"path": video.path, "duration_ms": round(start_s * 1000), "scenes": scenes}


def main():
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    truth = {"videos": [make(video, out, 9_000_000 + number) for number, video in enumerate(VIDEOS)]}
    (out / "truth.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
    total = sum((out / video.path).stat().st_size for video in VIDEOS)
    print(f"{len(VIDEOS)} videos, {sum(len(video.scenes) for video in VIDEOS)} scenes, {total / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
