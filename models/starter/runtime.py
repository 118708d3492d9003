"""Embeds pictures and texts with the exported ONNX files alone: what any program can do that loads this folder."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image
from tokenizers import Tokenizer

HERE = Path(__file__).resolve().parent


def unit(vectors):
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


class Encoders:
    """The exported encoders of a folder; every vector they give has length one."""

    def __init__(self, folder=HERE, n_threads=1):
        folder = Path(folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = n_threads
        self.vision, self.text = (onnxruntime.InferenceSession(str(folder / "onnx" / f"{name}_model.onnx"), options, providers=["CPUExecutionProvider"]) for name in ("vision", "text"))
        self.preprocessor = json.loads((folder / "preprocessor_config.json").read_text())
        self.max_tokens = json.loads((folder / "config.json").read_text())["text_config"]["max_position_embeddings"]
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def pixels(self, frame):
        """Squashes a whole frame to the model's square. **Shape** `[h, w, 3]` u8 → `[3, 64, 64]` f32."""
        size = self.preprocessor["size"]
        image = Image.fromarray(frame).resize((size["width"], size["height"]), Image.BICUBIC)
        scaled = np.asarray(image, np.float32) * self.preprocessor["rescale_factor"]
        return ((scaled - np.float32(self.preprocessor["image_mean"])) / np.float32(self.preprocessor["image_std"])).transpose(2, 0, 1)

    def embed_frames(self, frames):
        """**Shape** frames → `[n, 192]` unit vectors."""
        return unit(self.vision.run(None, {"pixel_values": np.stack([self.pixels(frame) for frame in frames]).astype(np.float32)})[0])

    def embed_scene(self, frames):
        """The mean of the frames' unit vectors, made a unit vector again."""
        return unit(self.embed_frames(frames).mean(0))

    def embed_texts(self, texts):
        """**Shape** texts → `[n, 192]` unit vectors."""
        rows = []
        for text in texts:
            ids = np.array([self.tokenizer.encode(text).ids[: self.max_tokens]], np.int64)
            rows.append(self.text.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0][0])
        return unit(np.stack(rows))
