"""Weights of a ConvNeXt that somebody else trained, put where they fit by name and shape.

Understood are the names of the original repository (which are ours), of timm and of torchvision. Where WADM stands in
place of the depthwise convolution, its own 7x7 convolution takes those weights. A head for other classes, a stem for
other channels and all of wavelet attention keep their fresh weights.
"""

import re
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from bowam_model.errors import WeightsError

TIMM = (
    (r"^stem\.", "downsample_layers.0."),
    (r"^stages\.(\d+)\.downsample\.", r"downsample_layers.\1."),
    (r"^stages\.(\d+)\.blocks\.", r"stages.\1."),
    (r"\.conv_dw\.", ".dwconv."),
    (r"\.mlp\.fc([12])\.", r".pwconv\1."),
    (r"^head\.norm\.", "norm."),
    (r"^head\.fc\.", "head."),
)
TORCHVISION = (
    (r"\.block\.0\.", ".dwconv."),
    (r"\.block\.2\.", ".norm."),
    (r"\.block\.3\.", ".pwconv1."),
    (r"\.block\.5\.", ".pwconv2."),
    (r"\.layer_scale$", ".gamma"),
    (r"^classifier\.0\.", "norm."),
    (r"^classifier\.2\.", "head."),
)


def load_pretrained(network: nn.Module, path: Path) -> tuple[int, int]:
    """Put the weights of a .safetensors file into `network` in place, where name and shape fit.

    Returns:
        How many of the network's tensors came from the file, and how many it has.
    Raises:
        WeightsError: the file is missing, no safetensors, or nothing in it fits.
    """
    if path.suffix != ".safetensors":
        raise WeightsError(f"{path} is no .safetensors file: convert it first, other formats can run code when opened")
    try:
        found = safetensors.torch.load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"can't read pretrained weights from {path}: {error}") from error
    wanted = network.state_dict()
    fitting: dict[str, Tensor] = {}
    for name, value in found.items():
        ours = our_name(name)
        for candidate in (ours, ours.replace(".dwconv.", ".dwconv.conv.")):
            like = wanted.get(candidate)
            if like is None:
                continue
            # torchvision's layer scale is (C, 1, 1), ours (C,): only sides of length 1 may differ.
            if [n for n in value.shape if n != 1] == [n for n in like.shape if n != 1]:
                fitting[candidate] = value.reshape(like.shape).to(like.dtype)
    if not fitting:
        raise WeightsError(f"nothing in {path} fits this network by name and shape: is it a ConvNeXt of this size?")
    with torch.no_grad():
        for name, value in fitting.items():
            wanted[name].copy_(value)
    return len(fitting), len(wanted)


def our_name(name: str) -> str:
    """A tensor's name in the original ConvNeXt, which is ours, from that of timm or torchvision."""
    if part := re.match(r"^features\.(\d+)\.(\d+)\.", name):
        # torchvision counts stem, stage, step, stage, ...: features.0 and .2 are downsample_layers.0 and .1.
        stage, rest = int(part[1]) // 2, name[part.end() :]
        name = f"{'stages' if int(part[1]) % 2 else 'downsample_layers'}.{stage}.{part[2]}.{rest}"
    for pattern, ours in (*TIMM, *TORCHVISION):
        name = re.sub(pattern, ours, name)
    return name
