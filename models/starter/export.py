"""Exports a checkpoint of `train.py` to the files the product loads, in the Hugging Face layout.

`python export.py --work-dir /tmp/starter --out .` writes `config.json`, `preprocessor_config.json`, `tokenizer.json`,
`tokenizer_config.json` and `onnx/{vision,text}_model.onnx`, and checks the ONNX models against PyTorch.
Large weights are stored as 16-bit floats and cast when the session loads; all arithmetic is 32-bit.
"""

import argparse
import json
import math
import shutil
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import helper, numpy_helper

import model
import tokenizer as vocabulary

OPSET = 17
MAX_IR_VERSION = 9
HALVED_ABOVE = 1000  # elements; smaller weights (biases, norms) stay 32-bit
MAX_TOTAL_BYTES = 12_000_000


def to_onnx(network, example, inputs, output, axes, path):
    torch.onnx.export(network, example, str(path), dynamo=False, opset_version=OPSET, input_names=inputs, output_names=[output], dynamic_axes={**axes, output: {0: "batch"}})
    graph_model = onnx.load(str(path))
    assert graph_model.ir_version <= MAX_IR_VERSION, graph_model.ir_version
    halve_weights(graph_model.graph)
    onnx.checker.check_model(graph_model)
    onnx.save(graph_model, str(path))


def halve_weights(graph):
    """Stores large 32-bit weights as 16-bit ones, each followed by a Cast."""
    casts = []
    for weight in list(graph.initializer):
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < HALVED_ABOVE:
            continue
        assert np.abs(values).max() < 60_000, f"{weight.name} does not fit 16 bits"
        graph.initializer.remove(weight)
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float16), weight.name + "_f16"))
        casts.append(helper.make_node("Cast", [weight.name + "_f16"], [weight.name], to=onnx.TensorProto.FLOAT, name=weight.name + "_cast"))
    for cast in reversed(casts):
        graph.node.insert(0, cast)


def least_cosine(path, feeds, expected):
    got = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, feeds)[0]
    expected = expected.numpy()
    return float(((got * expected).sum(1) / np.linalg.norm(got, axis=1) / np.linalg.norm(expected, axis=1)).min())


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def configs(n_tokens, ids, scale):
    """Returns the three JSON files around the weights. **Source** the layout of `openai/clip-vit-base-patch32`."""
    config = {
        "model_type": "clip",
        "architectures": ["CLIPModel"],
        "projection_dim": model.EMBEDDING,
        "logit_scale_init_value": round(math.log(scale), 4),
        "text_config": {"max_position_embeddings": model.MAX_TOKENS, "vocab_size": n_tokens, "bos_token_id": ids["bos"], "eos_token_id": ids["eos"], "pad_token_id": ids["pad"]},
        "vision_config": {"image_size": model.IMAGE_PX, "num_channels": 3},
        "scened": {"name": "starter", "version": 1, "logit_scale": round(scale, 3), "licence": "MIT OR Apache-2.0"},
    }
    preprocessor = {
        "image_processor_type": "SiglipImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"height": model.IMAGE_PX, "width": model.IMAGE_PX},
        "resample": 3,
        "do_center_crop": False,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [model.IMAGE_MEAN] * 3,
        "image_std": [model.IMAGE_STD] * 3,
    }
    tokenizer = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": model.MAX_TOKENS,
        "bos_token": vocabulary.BOS,
        "eos_token": vocabulary.EOS,
        "pad_token": vocabulary.PAD,
        "unk_token": vocabulary.UNKNOWN,
        "padding_side": "right",
    }
    return config, preprocessor, tokenizer


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work-dir", type=Path, required=True, help="where train.py keeps its checkpoint and tokenizer")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent)
    options = parser.parse_args()
    torch.set_num_threads(1)
    tokens = vocabulary.Tokens(options.work_dir / "tokenizer.json")
    saved = torch.load(options.work_dir / "checkpoint.pt", map_location="cpu", weights_only=True)
    dual = model.DualEncoder(tokens.size)
    dual.load_state_dict(saved["averaged"])
    dual.eval()
    scale = min(dual.log_scale.item(), model.MAX_LOG_SCALE)

    with tempfile.TemporaryDirectory(dir=options.out) as part, torch.no_grad():
        part = Path(part)
        pictures = torch.rand(3, 3, model.IMAGE_PX, model.IMAGE_PX) * 2 - 1
        ids, mask = tokens(["a dog on the beach", "two red stars", "fire"])
        to_onnx(dual.vision, (pictures,), ["pixel_values"], "image_embeds", {"pixel_values": {0: "batch"}}, part / "vision_model.onnx")
        axes = {0: "batch", 1: "sequence"}
        to_onnx(dual.text, (ids, mask), ["input_ids", "attention_mask"], "text_embeds", {"input_ids": axes, "attention_mask": axes}, part / "text_model.onnx")
        image_cosine = least_cosine(part / "vision_model.onnx", {"pixel_values": pictures[:2].numpy()}, dual.vision(pictures[:2]))
        ids, mask = tokens(["a sentence of another length than the one traced above", "sea"])
        text_cosine = least_cosine(part / "text_model.onnx", {"input_ids": ids.numpy(), "attention_mask": mask.numpy()}, dual.text(ids, mask))
        assert min(image_cosine, text_cosine) > 0.9999, (image_cosine, text_cosine)
        (options.out / "onnx").mkdir(exist_ok=True)
        for name in ("vision_model.onnx", "text_model.onnx"):
            (part / name).replace(options.out / "onnx" / name)
    shutil.copyfile(options.work_dir / "tokenizer.json", options.out / "tokenizer.json")
    special = {name: tokens.tokenizer.token_to_id(token) for name, token in (("bos", vocabulary.BOS), ("eos", vocabulary.EOS), ("pad", vocabulary.PAD))}
    names = ("config.json", "preprocessor_config.json", "tokenizer_config.json")
    for name, value in zip(names, configs(tokens.size, special, math.exp(scale))):
        write_json(options.out / name, value)
    total = sum((options.out / name).stat().st_size for name in (*names, "tokenizer.json", "onnx/vision_model.onnx", "onnx/text_model.onnx"))
    assert total <= MAX_TOTAL_BYTES, total
    print(f"step {saved['step']}, {saved['spent_s'] / 60:.1f} min; cosine to PyTorch {image_cosine:.6f} (image) {text_cosine:.6f} (text); {total / 1e6:.2f} MB in all")


if __name__ == "__main__":
    main()
