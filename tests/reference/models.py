"""Makes models of the real architectures with random weights, in both public layouts, and what their reference answers.

    python tests/reference/models.py tiny [NAME...]     into tests/reference/tiny (committed)
    python tests/reference/models.py full [NAME...]     into target/reference (ViT-B/32; gigabytes)

Each folder is a model as users have it, and `golden.json`: texts, their token ids, picture tensor, vectors and scores as
transformers and open_clip themselves compute them with PyTorch in fp32, never ONNX Runtime. The tests of the worker compare what
scened makes of the same folder with that. fp16 and int8 files are made from the fp32 ones and compared with the same fp32 numbers.
"""

import argparse
import base64
import copy
import json
import os
import pathlib
import shutil
import sys
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")

import numpy
import torch
from PIL import Image
from tokenizers import Tokenizer

import vocabulary

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
REAL_CLIP = pathlib.Path(os.environ.get("SCENED_TEST_CLIP", ROOT.parent / "shared" / "clip-vit-base-patch32"))
OPSET = 17
N_PICTURES = 4
TEXTS = [
    "a red circle on a blue ground",
    "A Dog  digging in the GARDEN",
    "",
    "   ",
    "a",
    "ein Fahrrad, zwei Häuser & 3 猫 🐈",
    "ΟΔΥΣΣΕΥΣ sails İstanbul in the Straße",
    "people walking across the street in the rain " * 12,
    "it's a well-known, snow_covered mountain!",
    "a cat\tsleeping\non the sofa",
    "“two children” can’t swim in the lake…",
    "👩‍👩‍👧‍👦 at the beach 🏖️",
]


class Size:
    """The numbers of a tiny or a full model."""

    def __init__(self, full):
        self.full = full
        self.width, self.text_width, self.dimensions = (768, 512, 512) if full else (32, 32, 32)
        self.layers, self.heads, self.text_heads = (12, 12, 8) if full else (2, 2, 2)
        self.clip_px, self.siglip_px, self.patch_px = (224, 256, 32) if full else (32, 40, 8)
        # As SigLIP 1 and 2 have them; the full models take the small tokenizers too, and use the first rows of the table.
        self.siglip_vocabulary, self.siglip2_vocabulary = (32_000, 256_000) if full else (None, None)


def picture(k, side_px):
    """The k-th test picture, [side, side, 3] u8; the same formula as in the Rust tests."""
    i = numpy.arange(side_px * side_px * 3, dtype=numpy.uint64)
    return ((i * (7 + k) + (i // 3) * 13 + k * 31) % 256).astype(numpy.uint8).reshape(side_px, side_px, 3)


def randomise(model, seed):
    """Weights that let an input matter: the usual tiny ones make all vectors nearly the same, and then every test passes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in ("logit_scale", "logit_bias"):
                continue
            if parameter.dim() < 2:
                noise = torch.randn(parameter.shape, generator=generator) * 0.05
                parameter.copy_(parameter + noise)
            else:
                fan_in = parameter[0].numel() if "embedding" not in name else 1
                scale = 0.3 if "position" in name or "pos_embed" in name else fan_in**-0.5
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    return model.eval()


class Wrapped(torch.nn.Module):
    """What an exporter writes: tensors in, tensors out."""

    def __init__(self, model, run):
        super().__init__()
        self.model, self.run = model, run

    def forward(self, *inputs):
        return self.run(self.model, *inputs)


def export(path, model, run, inputs, names, outputs, axes):
    path.parent.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        torch.onnx.export(
            Wrapped(model, run), inputs, str(path), input_names=names, output_names=outputs, dynamic_axes=axes, opset_version=OPSET, dynamo=False
        )


def hf_clip(folder, size, *, mask=True, fixed=False, new_style=False):
    """CLIP as transformers has it. `new_style`: the end token's id is in config.json (older files say 2 and pool at the largest id)."""
    from transformers import AutoTokenizer, CLIPConfig, CLIPImageProcessor, CLIPModel

    n_tokens = clip_tokenizer(folder, size)
    end = n_tokens - 1
    config = CLIPConfig(
        projection_dim=size.dimensions,
        text_config=dict(
            vocab_size=n_tokens, hidden_size=size.text_width, intermediate_size=size.text_width * 4, num_hidden_layers=size.layers,
            num_attention_heads=size.text_heads, projection_dim=size.dimensions, bos_token_id=0, eos_token_id=end if new_style else 2, pad_token_id=1,
        ),
        vision_config=dict(
            hidden_size=size.width, intermediate_size=size.width * 4, num_hidden_layers=size.layers, num_attention_heads=size.heads,
            image_size=size.clip_px, patch_size=size.patch_px, projection_dim=size.dimensions,
        ),
    )  # fmt: skip
    config._attn_implementation = "eager"
    model = randomise(CLIPModel(config), 1)
    with torch.no_grad():
        model.logit_scale.fill_(float(numpy.log(100.0)))
    config.architectures = ["CLIPModel"]
    config.to_json_file(folder / "config.json")
    processor = CLIPImageProcessor(size={"shortest_edge": size.clip_px}, crop_size={"height": size.clip_px, "width": size.clip_px})
    processor.save_pretrained(folder)

    def run_vision(model, pixel_values):
        pooled = model.vision_model(pixel_values=pixel_values)
        return model.visual_projection(pooled.pooler_output), pooled.last_hidden_state

    def run_text(model, input_ids, attention_mask=None):
        pooled = model.text_model(input_ids=input_ids, attention_mask=attention_mask)
        return model.text_projection(pooled.pooler_output), pooled.last_hidden_state

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokens = tokenizer(TEXTS, padding="max_length", truncation=True, return_tensors="pt")
    pixels = torch.zeros(1 if fixed else 2, 3, size.clip_px, size.clip_px)
    example = tokens["input_ids"][:1] if fixed else tokens["input_ids"][:2]
    inputs, names = (example, torch.ones_like(example)), ["input_ids", "attention_mask"]
    if not mask:
        inputs, names = inputs[:1], names[:1]
    # The mask matters to the trace only where something is masked.
    text_axes = None if fixed else {name: {0: "batch_size", 1: "sequence_length"} for name in names} | {"text_embeds": {0: "batch_size"}}
    vision_axes = None if fixed else {"pixel_values": {0: "batch_size", 1: "num_channels", 2: "height", 3: "width"}, "image_embeds": {0: "batch_size"}}
    export(folder / "onnx/text_model.onnx", model, run_text, inputs, names, ["text_embeds", "last_hidden_state"], text_axes)
    export(folder / "onnx/vision_model.onnx", model, run_vision, (pixels,), ["pixel_values"], ["image_embeds", "last_hidden_state"], vision_axes)
    masks = {"attention_mask": tokens["attention_mask"]} if mask else {}
    return hf_golden(folder, model, processor, tokens["input_ids"], masks, size.clip_px, "CLIPModel and CLIPImageProcessor")


def clip_tokenizer(folder, size, *, pad=vocabulary.END, merges=None):
    folder.mkdir(parents=True, exist_ok=True)
    if not size.full:
        n_tokens, table = vocabulary.clip(folder, 77, pad)
        if merges:
            merges.write_bytes(table)
        return n_tokens
    if not REAL_CLIP.is_dir():
        sys.exit(f"the full models need the real CLIP tokenizer: {REAL_CLIP} is not there (SCENED_TEST_CLIP names its folder)")
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copyfile(REAL_CLIP / name, folder / name)
    return 49408


def hf_siglip(folder, size, *, second):
    """SigLIP (1) or SigLIP 2 of a fixed resolution: in transformers both are SiglipModel, with different tokenizers."""
    from transformers import PreTrainedTokenizerFast, Siglip2Tokenizer, SiglipConfig, SiglipImageProcessor, SiglipModel

    n_tokens = vocabulary.gemma(folder) if second else vocabulary.sentencepiece(folder, 64)
    width = size.width
    text_config = dict(vocab_size=(size.siglip2_vocabulary if second else size.siglip_vocabulary) or n_tokens, hidden_size=width, intermediate_size=width * 4, num_hidden_layers=size.layers, num_attention_heads=size.heads)
    vision_config = dict(hidden_size=width, intermediate_size=width * 4, num_hidden_layers=size.layers, num_attention_heads=size.heads, image_size=size.siglip_px, patch_size=size.patch_px)
    config = SiglipConfig(text_config=text_config | dict(max_position_embeddings=64, pad_token_id=0, bos_token_id=2, eos_token_id=1), vision_config=vision_config)
    config._attn_implementation = "eager"
    model = randomise(SiglipModel(config), 2)
    with torch.no_grad():
        model.logit_scale.fill_(float(numpy.log(112.0)))
        model.logit_bias.fill_(-16.5)
    # The published configs leave out what equals the default: the context length of 64, for one.
    sparse = {"architectures": ["SiglipModel"], "model_type": "siglip", "text_config": text_config | {"model_type": "siglip_text_model"}, "vision_config": vision_config | {"model_type": "siglip_vision_model"}}
    vocabulary.write_json(folder / "config.json", sparse)
    processor = SiglipImageProcessor(size={"height": size.siglip_px, "width": size.siglip_px}, resample=2 if second else 3)
    processor.save_pretrained(folder)
    tokenizer = (Siglip2Tokenizer if second else PreTrainedTokenizerFast).from_pretrained(folder)
    ids = tokenizer(TEXTS, padding="max_length", truncation=True, max_length=64, return_tensors="pt")["input_ids"]

    def run_vision(model, pixel_values):
        out = model.vision_model(pixel_values=pixel_values)
        return out.last_hidden_state, out.pooler_output

    def run_text(model, input_ids):
        out = model.text_model(input_ids=input_ids)
        return out.last_hidden_state, out.pooler_output

    outputs = ["last_hidden_state", "pooler_output"]
    text_axes = {name: {0: "batch_size", 1: "sequence_length"} for name in ("input_ids", outputs[0])} | {outputs[1]: {0: "batch_size"}}
    vision_axes = {name: {0: "batch_size"} for name in ("pixel_values", *outputs)}
    pixels = torch.zeros(2, 3, size.siglip_px, size.siglip_px)
    export(folder / "onnx/text_model.onnx", model, run_text, (ids[:2],), ["input_ids"], outputs, text_axes)
    export(folder / "onnx/vision_model.onnx", model, run_vision, (pixels,), ["pixel_values"], outputs, vision_axes)
    reference = "SiglipModel, SiglipImageProcessor and " + ("Siglip2Tokenizer" if second else "PreTrainedTokenizerFast")
    return hf_golden(folder, model, processor, ids, {}, size.siglip_px, reference)


def hf_golden(folder, model, processor, ids, masks, side_px, reference):
    pictures = [Image.fromarray(picture(k, side_px)) for k in range(N_PICTURES)]
    pixels = processor(pictures, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        out = model(input_ids=ids, pixel_values=pixels, **masks)
    import transformers

    bias = getattr(model, "logit_bias", None)
    write_golden(
        folder, reference=f"transformers {transformers.__version__}: {reference}", ids=ids, pixels=pixels[0], image=out.image_embeds, text=out.text_embeds,
        logits=out.logits_per_image, logit_scale=float(model.logit_scale.exp()), logit_bias=float(bias) if bias is not None else 0.0,
    )  # fmt: skip
    return model


def immich_clip(folder, size):
    import open_clip

    merges = folder / "merges.txt.gz"
    n_tokens = clip_tokenizer(folder / "textual", size, pad="!", merges=None if size.full else merges)
    config = {
        "embed_dim": size.dimensions,
        "quick_gelu": True,
        "vision_cfg": {"image_size": size.clip_px, "layers": size.layers, "width": size.width, "patch_size": size.patch_px, "head_width": size.width // size.heads},
        "text_cfg": {"context_length": 77, "vocab_size": n_tokens, "width": size.text_width, "heads": size.text_heads, "layers": size.layers},
    }
    model = open_clip.create_model("ViT-B-32-quickgelu", pretrained=None) if size.full else open_clip.CLIP(**copy.deepcopy(config))
    preprocess = {"size": [size.clip_px] * 2, "mode": "RGB", "mean": open_clip.OPENAI_DATASET_MEAN, "std": open_clip.OPENAI_DATASET_STD, "interpolation": "bicubic", "resize_mode": "shortest", "fill_color": 0}
    tokenizer = open_clip.SimpleTokenizer() if size.full else open_clip.SimpleTokenizer(bpe_path=str(merges), context_length=77)
    merges.unlink(missing_ok=True)
    return immich(folder, randomise(model, 3), config, preprocess, tokenizer, size.clip_px)


def immich_siglip2(folder, size):
    import open_clip
    from open_clip.tokenizer import HFTokenizer
    from transformers import PreTrainedTokenizerFast

    n_tokens = vocabulary.gemma(folder / "textual")
    text_cfg = {
        "context_length": 64, "vocab_size": size.siglip2_vocabulary or n_tokens, "hf_tokenizer_name": "timm/ViT-B-32-SigLIP2-256",
        "tokenizer_kwargs": {"clean": "canonicalize"}, "width": size.width, "heads": size.heads, "layers": size.layers, "no_causal_mask": True,
        "proj_bias": True, "pool_type": "last", "norm_kwargs": {"eps": 1e-6}, "act_kwargs": {"approximate": "tanh"},
    }  # fmt: skip
    vision_cfg = {"image_size": size.siglip_px, "timm_model_name": "vit_base_patch32_siglip_256", "timm_model_pretrained": False, "timm_pool": "map", "timm_proj": "none"}
    config = {"embed_dim": size.width, "init_logit_bias": -10, "custom_text": True, "vision_cfg": vision_cfg, "text_cfg": text_cfg}
    if size.full:
        model = open_clip.create_model("ViT-B-32-SigLIP2-256", pretrained=None)
    else:
        register_tiny_siglip(size)
        arguments = {key: value for key, value in copy.deepcopy(config).items() if key != "custom_text"}
        arguments["vision_cfg"]["timm_model_name"] = "scened_tiny_siglip"
        model = open_clip.CustomTextCLIP(**arguments)
    preprocess = {"size": [size.siglip_px] * 2, "mode": "RGB", "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash", "fill_color": 0}
    # open_clip's own wrapper around the tokenizer that it would load by name.
    tokenizer = HFTokenizer.__new__(HFTokenizer)
    tokenizer.tokenizer = PreTrainedTokenizerFast.from_pretrained(folder / "textual")
    tokenizer.context_length, tokenizer.tokenizer_mode, tokenizer.strip_sep_token = 64, "", False
    tokenizer.clean_fn = open_clip.tokenizer.get_clean_fn("canonicalize")
    return immich(folder, randomise(model, 4), config, preprocess, tokenizer, size.siglip_px)


def register_tiny_siglip(size):
    """timm's vit_base_patch32_siglip_256 with fewer layers."""
    import timm
    from timm.models.vision_transformer import VisionTransformer

    def scened_tiny_siglip(pretrained=False, **arguments):
        for key in ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir", "img_size"):
            arguments.pop(key, None)
        return VisionTransformer(img_size=size.siglip_px, patch_size=size.patch_px, embed_dim=size.width, depth=size.layers, num_heads=size.heads, class_token=False, **({"global_pool": "map"} | arguments))

    scened_tiny_siglip.__module__ = "timm.models.vision_transformer"
    timm.models.register_model(scened_tiny_siglip)


def immich(folder, model, config, preprocess, tokenizer, side_px):
    """Exported as Immich does it: one input of i32 ids and one of pictures, axes fixed, vectors of unit length."""
    import open_clip
    from open_clip.transform import PreprocessCfg, image_transform_v2

    torch.backends.mha.set_fastpath_enabled(False)
    vocabulary.write_json(folder / "config.json", config)
    vocabulary.write_json(folder / "visual/preprocess_cfg.json", preprocess)
    ids = tokenizer(TEXTS)
    transform = image_transform_v2(PreprocessCfg(**preprocess), is_train=False)
    pixels = torch.stack([transform(Image.fromarray(picture(k, side_px))) for k in range(N_PICTURES)])
    export(folder / "textual/model.onnx", model, lambda m, text: m.encode_text(text, normalize=True), (ids[:1].int(),), ["text"], ["embedding"], None)
    export(folder / "visual/model.onnx", model, lambda m, image: m.encode_image(image, normalize=True), (pixels[:1],), ["image"], ["embedding"], None)
    with torch.no_grad():
        image, text = model.encode_image(pixels, normalize=True), model.encode_text(ids, normalize=True)
        logits = model.get_logits(pixels, ids)[0]
    bias = model.logit_bias
    # open_clip's own tokenizer fills up with zeros, Immich with the token that the folder names; what follows the end token of a causal
    # tower changes nothing, so the vectors are those of the zeros.
    if isinstance(tokenizer, open_clip.SimpleTokenizer):
        pad = json.loads((folder / "textual/tokenizer_config.json").read_text())["pad_token"]
        pad_id = Tokenizer.from_file(str(folder / "textual/tokenizer.json")).token_to_id(pad)
        after = (ids == tokenizer.eot_token_id).int().cumsum(1).roll(1, 1)
        after[:, 0] = 0
        ids = torch.where(after > 0, pad_id, ids)
    write_golden(
        folder, reference=f"open_clip {open_clip.__version__}: {type(model).__name__}, {type(tokenizer).__name__} and image_transform_v2", ids=ids, pixels=pixels[0],
        image=image, text=text, logits=logits, logit_scale=float(model.logit_scale.exp()), logit_bias=float(bias) if bias is not None else 0.0,
    )  # fmt: skip
    return model


def write_golden(folder, *, reference, ids, pixels, image, text, logits, logit_scale, logit_bias):
    unit = [torch.nn.functional.normalize(vectors.double(), dim=-1) for vectors in (image, text)]
    alike = [float((vectors @ vectors.T - 2 * torch.eye(len(vectors))).max()) for vectors in unit]
    # The empty text and blanks may be the same to a tokenizer; two pictures never are.
    if alike[0] > 0.999:
        sys.exit(f"{folder.name}: two pictures have the cosine {alike[0]}; a test on them would prove nothing")
    golden = {
        "reference": reference,
        "texts": TEXTS,
        "ids": ids.tolist(),
        "text_vectors": rounded(unit[1]),
        "n_pictures": N_PICTURES,
        # Of picture 0, [3, height, width] f32, little-endian.
        "pixels": base64.b64encode(pixels.numpy().astype("<f4").tobytes()).decode(),
        "picture_vectors": rounded(unit[0]),
        "logit_scale": logit_scale,
        "logit_bias": logit_bias,
        # [pictures, texts]
        "logits": [[round(value, 4) for value in row] for row in logits.double().tolist()],
    }
    (folder / "golden.json").write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")) + "\n")
    print(f"{folder.name}: largest cosine between two pictures {alike[0]:.3f}, two texts {alike[1]:.3f}", flush=True)


def rounded(vectors):
    return [[round(value, 7) for value in row] for row in vectors.tolist()]


def other_precision(source, folder, kind):
    """fp16 as transformers.js converts it (inputs and outputs stay fp32), or int8 of MatMul and Gemm only."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers.float16 import convert_float_to_float16

    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)
    for tower in ("text", "vision"):
        path = folder / f"onnx/{tower}_model.onnx"
        target = folder / f"onnx/{tower}_model_{'fp16' if kind == 'fp16' else 'quantized'}.onnx"
        if kind == "fp16":
            onnx.save(convert_float_to_float16(onnx.load(path), keep_io_types=True, disable_shape_infer=False), target)
        else:
            quantize_dynamic(path, target, op_types_to_quantize=["MatMul", "Gemm"], weight_type=QuantType.QInt8, per_channel=True)
        path.unlink()


MODELS = {
    "clip-hf": lambda folder, size: hf_clip(folder, size),
    "clip-hf-no-mask": lambda folder, size: hf_clip(folder, size, mask=False, new_style=True),
    "clip-hf-fixed": lambda folder, size: hf_clip(folder, size, fixed=True),
    "clip-hf-fp16": lambda folder, size: other_precision(folder.parent / "clip-hf", folder, "fp16"),
    "clip-hf-int8": lambda folder, size: other_precision(folder.parent / "clip-hf", folder, "int8"),
    "clip-immich": immich_clip,
    "siglip-hf": lambda folder, size: hf_siglip(folder, size, second=False),
    "siglip2-hf": lambda folder, size: hf_siglip(folder, size, second=True),
    "siglip2-immich": immich_siglip2,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size", choices=["tiny", "full"])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MODELS))
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(MODELS)
    if unknown:
        parser.error(f"no model is named {', '.join(sorted(unknown))} (there are: {', '.join(MODELS)})")
    out = HERE / "tiny" if arguments.size == "tiny" else ROOT / "target" / "reference"
    for name in arguments.names or MODELS:
        torch.manual_seed(0)
        MODELS[name](out / name, Size(arguments.size == "full"))


if __name__ == "__main__":
    main()
