"""The two encoders of the starter model: a small residual convolution net and a two-layer text transformer.

Knows nothing of the world, the captions or the files; `export.py` turns both into ONNX.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F

IMAGE_PX = 64
MAX_TOKENS = 32
EMBEDDING = 192
IMAGE_MEAN = IMAGE_STD = 0.5
MAX_LOG_SCALE = 4.1  # exp → 60


class Block(nn.Module):
    def __init__(self, width_in, width_out, stride):
        super().__init__()
        self.first = nn.Conv2d(width_in, width_out, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(width_out)
        self.second = nn.Conv2d(width_out, width_out, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(width_out)
        self.skip = None
        if stride != 1 or width_in != width_out:
            self.skip = nn.Sequential(nn.AvgPool2d(stride) if stride > 1 else nn.Identity(), nn.Conv2d(width_in, width_out, 1, bias=False), nn.BatchNorm2d(width_out))
        nn.init.zeros_(self.second_norm.weight)

    def forward(self, x):
        y = self.second_norm(self.second(F.relu(self.first_norm(self.first(x)))))
        return F.relu(y + (x if self.skip is None else self.skip(x)))


class VisionEncoder(nn.Module):
    """Maps `pixel_values` `[n, 3, 64, 64]` f32, normalised RGB, to `image_embeds` `[n, 192]`, not normalised."""

    def __init__(self, widths=(32, 64, 128, 256), depths=(1, 2, 3, 1), embedding=EMBEDDING):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, widths[0], 3, 2, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU())
        blocks, width = [], widths[0]
        for stage, (out, depth) in enumerate(zip(widths, depths)):
            for index in range(depth):
                blocks.append(Block(width, out, 2 if index == 0 and stage > 0 else 1))
                width = out
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(2 * width, embedding)

    def forward(self, pixel_values):
        x = self.blocks(self.stem(pixel_values))
        return self.head(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1))


class Layer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 3 * width), nn.Linear(3 * width, width)

    def forward(self, x, bias):
        n, t, width = x.shape
        q, k, v = self.qkv(self.norm_attention(x)).reshape(n, t, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        weights = torch.softmax(q @ k.transpose(-1, -2) * (width // self.heads) ** -0.5 + bias, -1)
        x = x + self.out((weights @ v).transpose(1, 2).reshape(n, t, width))
        return x + self.down(F.gelu(self.up(self.norm_mlp(x))))


class TextEncoder(nn.Module):
    """Maps `input_ids` and `attention_mask` `[n, t]` i64 to `text_embeds` `[n, 192]`, not normalised; padding changes nothing."""

    def __init__(self, vocabulary, width=192, layers=2, heads=4, embedding=EMBEDDING):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(MAX_TOKENS, width)
        nn.init.normal_(self.tokens.weight, std=0.05)
        nn.init.normal_(self.positions.weight, std=0.02)
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, embedding, bias=False)

    def forward(self, input_ids, attention_mask):
        keep = attention_mask.to(torch.float32)
        x = self.tokens(input_ids) + self.positions.weight[: input_ids.shape[1]]
        bias = (keep - 1)[:, None, None, :] * 10000.0
        for layer in self.layers:
            x = layer(x, bias)
        x = self.norm(x) * keep[..., None]
        return self.head(x.sum(1) / keep.sum(1, keepdim=True).clamp(min=1))


class DualEncoder(nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.vision, self.text = VisionEncoder(), TextEncoder(vocabulary)
        self.log_scale = nn.Parameter(torch.tensor(2.66))  # the logit scale starts at 14.3, as CLIP's
