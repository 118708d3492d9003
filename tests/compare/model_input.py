#!/usr/bin/env python3
"""Compares the pictures that scened gives to models with those of the reference way, clip by clip.

    tests/compare/model_input.py [--scened target/debug/scened] [--clips ../shared/media] [--venv DIR]
                                 [--largest-difference 2.0] [--least-cosine 0.995] [CLIP...]

Without --venv it makes one in target/venv-model-input with the versions pinned below (pip, once). The reference: ffmpeg converts
the whole frame to RGB, turned and with square pixels; then `CLIPImageProcessor` of transformers scales the shortest side to 224
(bicubic, antialiased) and crops the middle. Ours: `scened inspect --frames`. Compared are the same frames, found by their time:
the mean absolute difference of all values (of 255), and the cosine of the vectors that the starter model makes of both.

ffmpeg is told what players assume and it does not: BT.709 for HD films that do not say (it takes BT.601 for all), and that
transparent pixels lie on black. HDR films are compared with its zscale and tonemap filters (hable); their curve is another one
than ours, so they are shown and not judged. Not judged either: wide-gamut SDR (ffmpeg leaves its primaries alone), interlaced films
(it shows both fields) and damaged ones.

Exit status: 0 when every judged clip is within both limits, 1 when one is not, 2 when nothing could be compared.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import venv

PINNED = ["transformers==5.23.0", "numpy==2.4.6", "pillow==13.0.0", "onnxruntime==1.32.0"]
ROOT = pathlib.Path(__file__).resolve().parents[2]
SUFFIXES = {".mp4", ".mkv", ".mov", ".webm", ".avi", ".flv", ".ts", ".m4v", ".3gp", ".ogv", ".ogg", ".wmv", ".mpg", ".mpeg", ".gif"}
HDR = {"smpte2084", "arib-std-b67"}
MAX_FRAMES = 40


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scened", default=str(ROOT / "target/debug/scened"))
    parser.add_argument("--clips", type=pathlib.Path, default=ROOT.parent / "shared" / "media")
    parser.add_argument("--venv", type=pathlib.Path, default=ROOT / "target" / "venv-model-input")
    parser.add_argument("--largest-difference", type=float, default=2.0)
    parser.add_argument("--least-cosine", type=float, default=0.995)
    parser.add_argument("clip", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    python = arguments.venv / "bin" / "python"
    if pathlib.Path(sys.prefix).resolve() != arguments.venv.resolve():
        if not python.exists():
            venv.create(arguments.venv, with_pip=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", *PINNED], check=True)
        return subprocess.run([python, *sys.argv, "--venv", arguments.venv]).returncode
    clips = arguments.clip or sorted(p for p in arguments.clips.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    return compare_all(arguments, clips)


def compare_all(arguments: argparse.Namespace, clips: list[pathlib.Path]) -> int:
    reference = Reference()
    n_judged, failed, differences, cosines = 0, [], [], []
    for clip in clips:
        name = clip.relative_to(arguments.clips) if clip.is_relative_to(arguments.clips) else clip
        try:
            difference, cosine, n_frames, note = compare(arguments.scened, clip, reference)
        except Unopened as error:
            print(f"      --  {name}: {error}")
            continue
        good = difference < arguments.largest_difference and cosine >= arguments.least_cosine
        judged = not note.startswith("not judged")
        mark = "  " if good else ("! " if judged else "- ")
        print(f"{mark}{difference:6.3f}  {cosine:.5f}  {n_frames:>3} frames  {name}" + (f": {note}" if note else ""), flush=True)
        if judged:
            n_judged += 1
            differences.append(difference)
            cosines.append(cosine)
            if not good:
                failed.append(name)
    if not n_judged:
        return 2
    differences.sort()
    cosines.sort()
    print(
        f"{n_judged} clips: difference median {differences[n_judged // 2]:.3f}, largest {differences[-1]:.3f}; "
        f"cosine median {cosines[n_judged // 2]:.5f}, least {cosines[0]:.5f}; {len(failed)} outside the limits"
    )
    return 1 if failed else 0


class Unopened(Exception):
    """A clip that one of the two cannot open, or none."""


class Reference:
    """The processor of transformers, and the starter's vectors."""

    def __init__(self) -> None:
        import onnxruntime
        from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

        side = {"height": 224, "width": 224}
        self.processor = CLIPImageProcessorPil(
            size={"shortest_edge": 224}, crop_size=side, resample=3, do_normalize=False, do_rescale=False
        )
        self.model = onnxruntime.InferenceSession(
            str(ROOT / "models/starter/onnx/vision_model.onnx"), providers=["CPUExecutionProvider"]
        )

    def process(self, rgb):
        return self.processor(rgb, return_tensors="np", input_data_format="channels_last")["pixel_values"][0].transpose(1, 2, 0)

    def vector(self, rgb):
        """The starter looks at 64 × 64 pixels, from -1 to 1."""
        import numpy
        from PIL import Image

        small = Image.fromarray(rgb.astype(numpy.uint8)).resize((64, 64), Image.Resampling.BICUBIC)
        values = (numpy.asarray(small, numpy.float32) / 127.5 - 1).transpose(2, 0, 1)[None]
        vector = self.model.run(["image_embeds"], {"pixel_values": values})[0][0]
        return vector / numpy.linalg.norm(vector)


def compare(scened: str, clip: pathlib.Path, reference: Reference) -> tuple[float, float, int, str]:
    import numpy

    with tempfile.TemporaryDirectory() as folder:
        done = run([scened, "inspect", "--json", "--frames", folder, str(clip)])
        answer = json.loads(done)
        ours = {int(path.stem.split("-")[1]): read_ppm(path) for path in sorted(pathlib.Path(folder).glob("*.ppm"))}
    chosen = next(n for n, stream in enumerate(answer["probe"]["streams"]) if stream["chosen"])
    stream, note = describe(clip, chosen)
    if answer["damage"]:
        note = "not judged: damaged, and what decoders make of that depends on their threads"
    step = -(-len(ours) // MAX_FRAMES)
    times = sorted(ours)[::step]
    theirs = reference_frames(clip, chosen, stream, times)
    if len(theirs) != len(times):
        raise Unopened(f"ffmpeg shows {len(theirs)} frames at the {len(times)} times of ours")
    differences, cosines = [], []
    for time, rgb in zip(times, theirs):
        expected = reference.process(rgb)
        differences.append(float(numpy.abs(ours[time].astype(float) - expected.astype(float)).mean()))
        cosines.append(float(reference.vector(ours[time]) @ reference.vector(expected)))
    return max(differences), min(cosines), len(times), note


def describe(clip: pathlib.Path, chosen: int) -> tuple[dict, str]:
    """The stream, with the colours of its first frame: some decoders know more than the container."""
    fields = "stream=codec_name,width,height:stream_tags=alpha_mode:format=start_time"
    colours = "frame=pix_fmt,color_space,color_transfer,color_primaries,interlaced_frame"
    first = ["-select_streams", str(chosen), "-read_intervals", "%+#1"]
    answer = json.loads(run(["ffprobe", "-v", "quiet", "-of", "json", *first, "-show_entries", f"{fields}:{colours}", clip]))
    stream = {**answer["streams"][0], **(answer.get("frames") or [{}])[0], "start_time": answer["format"].get("start_time")}
    if stream.get("color_transfer") in HDR:
        return stream, "not judged: HDR, tone-mapped by another curve"
    if stream.get("color_primaries") == "bt2020":
        return stream, "not judged: wide gamut, which ffmpeg does not map"
    if stream.get("interlaced_frame"):
        return stream, "not judged: interlaced, of which ffmpeg shows both fields"
    return stream, ""


def reference_frames(clip: pathlib.Path, chosen: int, stream: dict, times_ms: list[int]) -> list:
    """The frames shown at these times, as ffmpeg makes whole RGB pictures of them."""
    import numpy

    # Times as they are in the file: left alone, ffmpeg counts some formats from the first stream that is used.
    start_s = float(stream["start_time"]) if stream["start_time"] not in (None, "N/A") else 0.0
    times_s = [start_s + ms / 1000 for ms in times_ms]
    at = "+".join(f"between(t,{time - 0.0009:.4f},{time + 0.0009:.4f})" for time in times_s)
    filters = [f"select='{at}'"]
    pixels = stream.get("pix_fmt", "")
    flags = "flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
    unsaid = stream.get("color_space", "unknown") in ("unknown", "reserved")
    is_hd = stream["width"] >= 1280 or stream["height"] > 576
    matrix = ":in_color_matrix=bt709" if unsaid and is_hd and pixels.startswith(("yuv", "nv")) else ""
    if stream.get("color_transfer") in HDR:
        filters += ["zscale=t=linear:npl=100", "format=gbrpf32le", "zscale=p=bt709", "tonemap=hable:desat=0"]
        filters += ["zscale=t=bt709:m=bt709:r=tv", "format=yuv444p"]
    if any(pixels.startswith(kind) for kind in ("yuva", "rgba", "bgra", "argb", "abgr", "ya", "pal8", "gbrap")) or stream.get("tags", {}).get(
        "alpha_mode"
    ):
        filters += [f"scale={flags}{matrix}", "format=gbrap", "premultiply=inplace=1"]
        matrix = ""
    filters += [f"scale='round(iw*if(sar,sar,1))':ih:{flags}{matrix}", "format=rgb24"]
    decoder = ["-c:v", "libvpx-vp9"] if stream.get("tags", {}).get("alpha_mode") and stream["codec_name"] == "vp9" else []
    command = ["ffmpeg", "-v", "error", "-nostdin", "-copyts", *decoder, "-i", clip, "-map", f"0:{chosen}", "-vf", ",".join(filters)]
    with tempfile.TemporaryDirectory() as folder:
        run([*command, "-vsync", "passthrough", f"{folder}/%06d.ppm"])
        return [read_ppm(path) for path in sorted(pathlib.Path(folder).glob("*.ppm"))]


def read_ppm(path: pathlib.Path):
    import numpy
    from PIL import Image

    return numpy.asarray(Image.open(path).convert("RGB"))


def run(command: list) -> bytes:
    try:
        done = subprocess.run([str(part) for part in command], capture_output=True, timeout=600)
    except subprocess.TimeoutExpired:
        raise Unopened(f"{command[0]}: no answer in 600 s") from None
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise Unopened(f"{pathlib.Path(command[0]).name}: {lines[-1][:120] if lines else done.returncode}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
