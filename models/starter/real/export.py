"""Writes the starter: two ONNX graphs and the JSON files around them, in the Hugging Face layout that the product reads.

A picture is a unit vector of two parts, the real half and the drawn half; a gate decides how much each of them says. A text has the same two parts in
equal shares, so that the better-fitting half decides the cosine.
"""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

import backbone
import words as vocabulary
from graph import Graph
from projection import FLOOR, TEMPERATURE

MAX_TOKENS = 32
MAX_TOTAL_BYTES = 13_000_000
DRAWN_PX = 64
GATE_LIMITS = (0.1, 0.9)  # the shares that the drawn half can have


def vision(features_model, classifier, space, drawn_model, gate):
    """Builds `pixel_values` `[n, 3, 256, 256]` → `image_embeds` `[n, d_real + 1 + d_drawn + 1]`, of length one."""
    graph = Graph("v")
    features = graph.add_model(features_model, "b_", {"pixel_values": "pixel_values"})
    weight, bias = classifier
    logits = graph.op("Add", graph.op("MatMul", features, graph.small(np.ascontiguousarray(weight.T) / TEMPERATURE, 1)), graph.floats(bias / TEMPERATURE))
    p = graph.op("Softmax", logits, axis=-1)
    both = graph.op("Concat", p, graph.op("MatMul", p, graph.small(space.sets, 1)), axis=1)
    evidence = graph.op("Sqrt", graph.op("Add", both, graph.floats(FLOOR)))
    # No picture has anything on the last axis of a half: the axis of unknown words.
    project = np.concatenate([space.project, np.zeros((len(space.project), 1), np.float32)], 1)
    real = graph.unit(graph.op("MatMul", graph.op("Sub", evidence, graph.floats(space.mean)), graph.small(project, 0)))
    drawn = graph.unit(add_drawn(graph, drawn_model))
    nothing = graph.op("Mul", graph.op("Slice", drawn, graph.integers([0]), graph.integers([1]), graph.integers([1])), graph.floats(0))
    drawn = graph.op("Concat", drawn, nothing, axis=1)
    spread = graph.op("Clip", graph.op("Div", graph.op("Sub", features, graph.floats(gate["mean"])), graph.floats(gate["deviation"])), graph.floats(-5), graph.floats(5))
    opened = graph.op("Sigmoid", graph.op("Add", graph.op("MatMul", spread, graph.floats(gate["weight"][:, None])), graph.floats(gate["bias"])))
    low, high = GATE_LIMITS
    share = graph.op("Add", graph.op("Mul", opened, graph.floats(high - low)), graph.floats(low))
    rest = graph.op("Sqrt", graph.op("Sub", graph.floats(1), share))
    graph.op("Concat", graph.op("Mul", real, rest), graph.op("Mul", drawn, graph.op("Sqrt", share)), out="image_embeds", axis=1)
    side = backbone.SIDE_PX
    d = project.shape[1] + gate["drawn_dimensions"] + 1
    return graph.model("vision", [("pixel_values", TensorProto.FLOAT, ["batch", 3, side, side])], [("image_embeds", TensorProto.FLOAT, ["batch", d])]), d


def add_drawn(graph, model):
    """Adds the drawn world's picture net on a smaller copy of the picture, its 16-bit weights as 8-bit ones."""
    factor = backbone.SIDE_PX // DRAWN_PX
    small = graph.op("AveragePool", "pixel_values", kernel_shape=[factor] * 2, strides=[factor] * 2)
    # From (x − 127) / 128 to x / 127.5 − 1.
    pixels = graph.op("Add", graph.op("Mul", small, graph.floats(backbone.SCALE / 127.5)), graph.floats(backbone.MEAN / 127.5 - 1))
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    prefix, names = "d_", {model.graph.input[0].name: pixels}
    halves = {weight.name: onnx.numpy_helper.to_array(weight) for weight in model.graph.initializer}
    for node in list(copy.graph.node):
        weights = halves.get(node.input[0]) if node.op_type == "Cast" else None
        if weights is not None and weights.dtype == np.float16 and weights.ndim >= 2:
            names[node.output[0]] = graph.small(weights.astype(np.float32), 0 if weights.ndim == 4 else weights.ndim - 1)
            copy.graph.node.remove(node)
            copy.graph.initializer.remove(next(weight for weight in copy.graph.initializer if weight.name == node.input[0]))
    return graph.add_model(copy, prefix, names)


def text(real_rows, drawn_rows):
    """Builds `input_ids`, `attention_mask` `[n, t]` i64 → `text_embeds`. `drawn_rows` ends before `real_rows` does: its last row stands for all other ids."""
    graph = Graph("t")
    mask = graph.op("Cast", graph.op("Unsqueeze", "attention_mask", graph.integers([2])), to=TensorProto.FLOAT)

    def half(rows, ids):
        scale = (np.abs(rows).max(1) / 127 + 1e-12).astype(np.float32)
        steps = graph.op("Cast", graph.op("Gather", graph.weight(np.round(rows / scale[:, None]).astype(np.int8)), ids), to=TensorProto.FLOAT)
        vectors = graph.op("Mul", steps, graph.op("Unsqueeze", graph.op("Gather", graph.weight(scale), ids), graph.integers([2])))
        total = graph.op("ReduceSum", graph.op("Mul", vectors, mask), graph.integers([1]), keepdims=0)
        # A text of silent words alone is as good as unknown.
        return graph.unit(graph.op("Add", total, graph.floats(rows[vocabulary.UNKNOWN : vocabulary.UNKNOWN + 1] * 1e-3)))

    real = half(real_rows, "input_ids")
    drawn = half(drawn_rows, graph.op("Min", "input_ids", graph.integers(len(drawn_rows) - 1)))
    graph.op("Mul", graph.op("Concat", real, drawn, axis=1), graph.floats(0.5**0.5), out="text_embeds")
    ports = [(name, TensorProto.INT64, ["batch", "tokens"]) for name in ("input_ids", "attention_mask")]
    return graph.model("text", ports, [("text_embeds", TensorProto.FLOAT, ["batch", real_rows.shape[1] + drawn_rows.shape[1]])])


def join_words(real, drawn):
    """Gives every spelling an id: drawn words first, so that the drawn table can be short.

    `real`: (rows with pad and unknown first, spelling → row). `drawn`: (words, rows `[n, d]`). Returns the two tables and the tokenizer.
    """
    real_rows, spelled = real
    drawn_words, drawn_vectors = drawn
    n_drawn = len(drawn_words)
    pad, unknown = vocabulary.PAD, vocabulary.UNKNOWN

    def row_of(word):
        if word in vocabulary.SILENT:
            return real_rows[pad]
        return real_rows[2 + spelled[word]] if word in spelled else real_rows[unknown]

    ids = {word: 2 + index for index, word in enumerate(drawn_words)}
    ids |= {word: 2 + n_drawn + index for word, index in spelled.items() if word not in ids and "_" not in word}
    base = n_drawn + len(real_rows)
    compounds, compound_rows = {}, []
    for word, index in sorted(spelled.items()):
        if "_" in word:
            compounds[word.replace("_", " ")] = base + len(compound_rows)
            compound_rows.append(real_rows[2 + index])
    table = [real_rows[:2], np.stack([row_of(word) for word in drawn_words]), real_rows[2:]]
    if compound_rows:
        table.append(np.stack(compound_rows))
    d = drawn_vectors.shape[1]
    drawn_table = np.zeros((n_drawn + 3, d + 1), np.float32)
    drawn_table[[unknown, -1], -1] = np.median(np.linalg.norm(drawn_vectors, axis=1))
    drawn_table[2:-1, :d] = drawn_vectors
    return np.concatenate(table).astype(np.float32), drawn_table, vocabulary.tokenizer(ids, compounds)


def write(folder, vision_model, text_model, tokenizer, dimensions, n_rows):
    folder = Path(folder)
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    onnx.save(vision_model, folder / "onnx/vision_model.onnx")
    onnx.save(text_model, folder / "onnx/text_model.onnx")
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, separators=(",", ":"), ensure_ascii=False))
    side = backbone.SIDE_PX
    files = {
        "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": MAX_TOKENS, "pad_token": "[PAD]", "unk_token": "[UNK]", "padding_side": "right"},
        "config.json": {
            "model_type": "clip", "architectures": ["CLIPModel"], "projection_dim": dimensions, "logit_scale_init_value": 3.0,
            "text_config": {"max_position_embeddings": MAX_TOKENS, "vocab_size": n_rows, "pad_token_id": 0},
            "vision_config": {"image_size": side, "num_channels": 3},
            "scened": {"name": "starter", "version": 2, "licence": "Apache-2.0"},
        },
        "preprocessor_config.json": {
            "image_processor_type": "SiglipImageProcessor", "do_convert_rgb": True, "do_resize": True, "size": {"height": side, "width": side}, "resample": 3,
            "do_center_crop": False, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
            "image_mean": [backbone.MEAN / 255] * 3, "image_std": [backbone.SCALE / 255] * 3,
        },
    }
    for name, value in files.items():
        (folder / name).write_text(json.dumps(value, indent=2) + "\n")
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.suffix in (".json", ".onnx"))
    if total > MAX_TOTAL_BYTES:
        raise SystemExit(f"the model has {total} bytes, and may have {MAX_TOTAL_BYTES}")
    return total
