"""Makes the tiny models of this folder and their golden numbers.

They have random weights and the shape of the real thing: a model folder in each public layout, with every kind of
input and output that exporters use, and small enough to be committed. `golden.json` in each folder holds what ONNX
Runtime, driven from Python, answers to the pictures of `picture` and to TEXTS; the tests of scened compare their own
answers with these.

    python -m venv venv && venv/bin/pip install onnx onnxruntime tokenizers numpy
    venv/bin/python tests/data/models/make_tiny.py
"""

import json
import string
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, Regex

HERE = Path(__file__).parent
DIMENSIONS = 32
WIDTH = 24
TEXTS = [
    "a red circle",
    "A Dog  digging in the garden",
    "",
    "ein Fahrrad, zwei Häuser & 3 猫 🐈",
    "word " * 60,
    "it's a well-known, snow_covered mountain!",
]
START, END = "<|startoftext|>", "<|endoftext|>"
CORPUS = "a red circle on blue ground the dog digs in garden snow covered mountain and house photo of"


def picture(k, width, height):
    """The k-th test picture: [height, width, 3] u8, the same formula as in the Rust tests."""
    i = np.arange(width * height * 3, dtype=np.uint64)
    return ((i * (7 + k) + (i // 3) * 13 + k * 31) % 256).astype(np.uint8).reshape(height, width, 3)


def tokenizer(pad=None):
    """A small byte-level BPE like CLIP's; start and end token have the highest ids."""
    made = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token=END))
    made.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    # Every byte, alone and as the end of a word; and the words of CORPUS, joined from the left. (The library's trainer
    # breaks ties differently in every run.)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: i for i, piece in enumerate([*alphabet, *(letter + "</w>" for letter in alphabet)])}
    merges = []
    for word in sorted(set(CORPUS.split())):
        joined, *rest = [*word[:-1], word[-1] + "</w>"]
        for letter in rest:
            if joined + letter not in vocabulary:
                merges.append((joined, letter))
                vocabulary[joined + letter] = len(vocabulary)
            joined += letter
    if pad:
        vocabulary.setdefault(pad, len(vocabulary))
    made.model = models.BPE(vocabulary, merges, end_of_word_suffix="</w>", unk_token=END)
    made.add_special_tokens([START, END])
    start, end = made.token_to_id(START), made.token_to_id(END)
    made.post_processor = processors.RobertaProcessing((END, end), (START, start), trim_offsets=False, add_prefix_space=False)
    return made


def save(path, nodes, inputs, outputs, weights, half):
    """Writes one ONNX file; `half` stores the weights, and passes pictures and vectors, as fp16."""
    kind = np.float16 if half else np.float32
    initializers = [
        numpy_helper.from_array(v.astype(kind) if v.dtype == np.float32 else v, k) for k, v in weights.items()
    ]
    graph = helper.make_graph(nodes, path.stem, inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())


def vision(path, rng, size, *, name, outputs, batch="n", fixed=True, half=False):
    patch = 8
    float_kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    weights = {
        "patches": rng.normal(0, 0.2, (WIDTH, 3, patch, patch)).astype(np.float32),
        "projection": rng.normal(0, 1, (WIDTH, DIMENSIONS)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", [name, "patches"], ["c"], strides=[patch, patch]),
        helper.make_node("Tanh", ["c"], ["t"]),
        helper.make_node("ReduceMean", ["t"], ["m"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["m", "projection"], [outputs[0]]),
    ]
    shape = [batch, 3, size, size] if fixed else [batch, "channels", "height", "width"]
    declared = [helper.make_tensor_value_info(outputs[0], float_kind, [batch, DIMENSIONS])]
    if len(outputs) > 1:
        nodes.append(helper.make_node("Identity", ["t"], [outputs[1]]))
        declared.insert(0, helper.make_tensor_value_info(outputs[1], float_kind, [batch, WIDTH, "rows", "columns"]))
    save(path, nodes, [helper.make_tensor_value_info(name, float_kind, shape)], declared, weights, half)


def text(path, rng, vocabulary, context, *, name, output, kind=TensorProto.INT64, mask=False, batch="n", length="t", causal=True, half=False):
    """Causal: a running sum of embeddings, read at the first end token. Else: the mean over all positions, padding too
    (with a mask, padding counts nothing, as in the starter)."""
    float_kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    weights = {
        "table": rng.normal(0, 1, (vocabulary, WIDTH)).astype(np.float32),
        "mix": rng.normal(0, 0.3, (WIDTH, WIDTH)).astype(np.float32),
        "projection": rng.normal(0, 1, (WIDTH, DIMENSIONS)).astype(np.float32),
    }
    nodes = [helper.make_node("Gather", ["table", name], ["e"])]
    inputs = [helper.make_tensor_value_info(name, kind, [batch, length])]
    last = "e"
    if mask:
        inputs.append(helper.make_tensor_value_info("attention_mask", kind, [batch, length]))
        weights["last_axis"] = np.array([2], dtype=np.int64)
        nodes += [
            helper.make_node("Cast", ["attention_mask"], ["mf"], to=float_kind),
            helper.make_node("Unsqueeze", ["mf", "last_axis"], ["mu"]),
            helper.make_node("Mul", ["e", "mu"], ["em"]),
        ]
        last = "em"
    nodes += [helper.make_node("MatMul", [last, "mix"], ["h"]), helper.make_node("Tanh", ["h"], ["ht"])]
    if causal:
        weights["one"] = np.array(1, dtype=np.int64)
        # CumSum knows no fp16.
        nodes += [
            helper.make_node("Cast", ["ht"], ["h32"], to=TensorProto.FLOAT),
            helper.make_node("CumSum", ["h32", "one"], ["s32"]),
            helper.make_node("Cast", ["s32"], ["s"], to=float_kind),
            helper.make_node("ArgMax", [name], ["at"], axis=1, keepdims=1),
            helper.make_node("GatherND", ["s", "at"], ["pooled"], batch_dims=1),
        ]
    else:
        nodes.append(helper.make_node("ReduceMean", ["ht"], ["pooled"], axes=[1], keepdims=0))
    nodes.append(helper.make_node("MatMul", ["pooled", "projection"], [output]))
    outputs = [helper.make_tensor_value_info(output, float_kind, [batch, DIMENSIONS])]
    save(path, nodes, inputs, outputs, weights, half)


def put(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def unit(vectors):
    vectors = np.asarray(vectors, dtype=np.float64)
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).round(7).tolist()


def golden(folder, vision_file, text_file, made, *, size, mean, std, context, pad, clean=lambda t: t):
    """The reference: ONNX Runtime from Python, one input at a time, texts always padded to the context."""
    ids_list, texts = [], []
    session = onnxruntime.InferenceSession(folder / text_file)
    made.enable_truncation(context)
    for line in TEXTS:
        ids = made.encode(clean(line)).ids
        ids_list.append(ids)
        feed = {}
        for slot in session.get_inputs():
            kind = np.int32 if slot.type == "tensor(int32)" else np.int64
            row = [1] * len(ids) if slot.name == "attention_mask" else ids
            fill = 0 if slot.name == "attention_mask" else made.token_to_id(pad)
            feed[slot.name] = np.array([row + [fill] * (context - len(ids))], dtype=kind)
        texts.append(session.run([session.get_outputs()[-1].name], feed)[0][0])
    session = onnxruntime.InferenceSession(folder / vision_file)
    slot = session.get_inputs()[0]
    pictures = []
    for k in range(5):
        pixels = (picture(k, size, size).astype(np.float64) / 255 - np.array(mean)) / np.array(std)
        pixels = pixels.transpose(2, 0, 1)[None].astype(np.float16 if "float16" in slot.type else np.float32)
        pictures.append(session.run([session.get_outputs()[-1].name], {slot.name: pixels})[0][0])
    put(folder / "golden.json", {"texts": TEXTS, "ids": ids_list, "text_vectors": unit(texts), "picture_vectors": unit(pictures)})


CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


def hugging_face_clip(name, seed, *, ending, mask, half):
    rng, folder, made = np.random.default_rng(seed), HERE / name, tokenizer()
    context, size = 20, 32
    put(folder / "config.json", {"model_type": "clip", "projection_dim": DIMENSIONS, "text_config": {"max_position_embeddings": context, "eos_token_id": 2}, "vision_config": {"image_size": size}})
    put(folder / "preprocessor_config.json", {"crop_size": size, "do_center_crop": True, "do_normalize": True, "do_resize": True, "feature_extractor_type": "CLIPFeatureExtractor", "image_mean": CLIP_MEAN, "image_std": CLIP_STD, "resample": 3, "size": size})
    put(folder / "tokenizer_config.json", {"pad_token": END, "model_max_length": context})
    made.save(str(folder / "tokenizer.json"), pretty=False)
    vision(folder / f"onnx/vision_model{ending}.onnx", rng, size, name="pixel_values", outputs=["image_embeds", "last_hidden_state"], fixed=False, half=half)
    text(folder / f"onnx/text_model{ending}.onnx", rng, made.get_vocab_size(), context, name="input_ids", output="text_embeds", mask=mask, causal=not mask, half=half)
    golden(folder, f"onnx/vision_model{ending}.onnx", f"onnx/text_model{ending}.onnx", made, size=size, mean=CLIP_MEAN, std=CLIP_STD, context=context, pad=END)


def hugging_face_siglip(name, seed):
    rng, folder, pad = np.random.default_rng(seed), HERE / name, "<pad>"
    made = tokenizer(pad)
    context, size, half = 16, 24, [0.5, 0.5, 0.5]
    put(folder / "config.json", {"model_type": "siglip", "text_config": {"max_position_embeddings": context}, "vision_config": {"hidden_size": DIMENSIONS, "image_size": size}})
    put(folder / "preprocessor_config.json", {"do_normalize": True, "do_rescale": True, "do_resize": True, "image_mean": half, "image_processor_type": "SiglipImageProcessor", "image_std": half, "resample": 2, "rescale_factor": 1 / 255, "size": {"height": size, "width": size}})
    put(folder / "tokenizer_config.json", {"pad_token": {"content": pad, "special": True}})
    made.save(str(folder / "tokenizer.json"), pretty=False)
    vision(folder / "onnx/vision_model.onnx", rng, size, name="pixel_values", outputs=["pooler_output", "last_hidden_state"])
    text(folder / "onnx/text_model.onnx", rng, made.get_vocab_size(), context, name="input_ids", output="pooler_output", causal=False)
    golden(folder, "onnx/vision_model.onnx", "onnx/text_model.onnx", made, size=size, mean=half, std=half, context=context, pad=pad)


def immich(name, seed, *, squash):
    rng, folder, pad = np.random.default_rng(seed), HERE / name, END
    made = tokenizer()
    context, size = 20, 32
    mean, std = ([0.5] * 3, [0.5] * 3) if squash else (CLIP_MEAN, CLIP_STD)
    text_cfg = {"context_length": context, "vocab_size": made.get_vocab_size()}
    if squash:
        text_cfg |= {"no_causal_mask": True, "pool_type": "last", "tokenizer_kwargs": {"clean": "canonicalize"}}
    put(folder / "config.json", {"embed_dim": DIMENSIONS, "vision_cfg": {"image_size": size}, "text_cfg": text_cfg})
    put(folder / "visual/preprocess_cfg.json", {"size": [size, size], "mode": "RGB", "mean": mean, "std": std, "interpolation": "bicubic", "resize_mode": "squash" if squash else "shortest", "fill_color": 0})
    put(folder / "textual/tokenizer_config.json", {"pad_token": pad})
    made.save(str(folder / "textual/tokenizer.json"), pretty=False)
    vision(folder / "visual/model.onnx", rng, size, name="image", outputs=["embedding"], batch=2 if squash else 1)
    text(folder / "textual/model.onnx", rng, made.get_vocab_size(), context, name="text", output="embedding", kind=TensorProto.INT32, batch=1, length=context, causal=not squash)

    def canonicalise(line):
        line = line.replace("_", " ").translate(str.maketrans("", "", string.punctuation)).lower()
        return " ".join(line.split())

    # ONNX Runtime takes the fixed batch only: the reference runs on a copy of the file with a free batch.
    reference = folder / "reference.onnx"
    model = onnx.load(folder / "visual/model.onnx")
    for value in [*model.graph.input, *model.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = "n"
    onnx.save(model, reference)
    golden(folder, "reference.onnx", "textual/model.onnx", made, size=size, mean=mean, std=std, context=context, pad=pad, clean=canonicalise if squash else lambda t: " ".join(t.split()))
    reference.unlink()


if __name__ == "__main__":
    hugging_face_clip("tiny-hf", 1, ending="", mask=True, half=False)
    hugging_face_clip("tiny-hf-fp16", 2, ending="_fp16", mask=False, half=True)
    hugging_face_siglip("tiny-siglip", 3)
    immich("tiny-immich", 4, squash=False)
    immich("tiny-immich-squash", 5, squash=True)
