"""Augmentation that keeps flow flow: a mirror also negates u, and a rotation also turns the vectors.

What is random is drawn by NumPy beforehand, so that it is the same on every device; the work is done in batches.

Axis legend: B batch, C channels of a flow or of a picture, H rows, W columns.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from bowam_model.encoding import vectors
from bowam_model.training.settings import TrainingSettings


@dataclass(frozen=True, eq=False)
class Changes:
    """What happens to each example of a batch."""

    mirrored_B: np.ndarray  # bool
    angle_deg_B: np.ndarray  # clockwise, as seen on the screen
    gain_B: np.ndarray  # of the vectors' length
    top_B: np.ndarray  # of the crop, pixels
    left_B: np.ndarray


def draw(settings: TrainingSettings, count: int, side_HW: tuple[int, int], input_px: int,
         rng: np.random.Generator) -> Changes:  # fmt: skip
    """Changes for `count` flows of side `side_HW`, of which a square of `input_px` is cut out."""
    spare = np.array(side_HW) - input_px
    corners = rng.integers(0, spare + 1, (count, 2)) if settings.shift else np.tile(spare // 2, (count, 1))
    return Changes(
        mirrored_B=rng.random(count) < (0.5 if settings.mirror else 0.0),
        angle_deg_B=rng.uniform(-settings.rotation_deg, settings.rotation_deg, count),
        gain_B=1 + rng.uniform(-settings.stretch, settings.stretch, count),
        top_B=corners[:, 0],
        left_B=corners[:, 1],
    )


def move(flows_BCHW: Tensor, changes: Changes, fusion: str) -> Tensor:
    """Mirror, turn about the middle and stretch. Zero comes in from outside; a ready picture's strain only moves.

    A product of "multiply" has no direction: mirrored it keeps its sign, stretched it changes by the gain's square. The
    turn mixes in products of one direction's u with the other's v, which are lost, so its values stay as they are;
    what they miss is of the order of the angle's sine.
    """
    flows_BCHW = torch.where(_each(changes.mirrored_B, flows_BCHW, bool), mirror(flows_BCHW, fusion), flows_BCHW)
    if np.any(changes.angle_deg_B):
        flows_BCHW = rotate(flows_BCHW, changes.angle_deg_B, fusion)
    gain = changes.gain_B**2 if fusion == "multiply" else changes.gain_B
    if np.any(gain != 1):
        moving = vectors(flows_BCHW)
        stretched = flows_BCHW[:, :moving] * _each(gain, flows_BCHW, np.float32)
        flows_BCHW = torch.cat([stretched, flows_BCHW[:, moving:]], dim=1)
    return flows_BCHW


def mirror(flows_BCHW: Tensor, fusion: str) -> Tensor:
    """The flows of the mirrored faces."""
    sign = torch.ones(flows_BCHW.shape[1], device=flows_BCHW.device)
    if fusion != "multiply":
        sign[: vectors(flows_BCHW) : 2] = -1
    return flows_BCHW.flip(3) * sign[:, None, None]


def rotate(flows_BCHW: Tensor, angle_deg_B: np.ndarray, fusion: str) -> Tensor:
    """The flows of the faces turned clockwise about the middle: pictures and vectors turn."""
    height, width = flows_BCHW.shape[2:]
    cos, sin = (
        torch.from_numpy(f(np.radians(angle_deg_B)).astype(np.float32)).to(flows_BCHW.device) for f in (np.cos, np.sin)
    )
    zero = torch.zeros_like(cos)
    # From where each pixel comes, in coordinates that are -1 and 1 at the outermost pixels' centres.
    tall, wide = max(height - 1, 1), max(width - 1, 1)
    back = torch.stack(
        [torch.stack([cos, sin * (tall / wide), zero], 1), torch.stack([-sin * (wide / tall), cos, zero], 1)], 1
    )
    grid = F.affine_grid(back, list(flows_BCHW.shape), align_corners=True)
    turned = F.grid_sample(flows_BCHW, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
    if fusion == "multiply":
        return turned
    moving = vectors(flows_BCHW)
    u, v = turned[:, 0:moving:2], turned[:, 1:moving:2]
    cos, sin = cos[:, None, None, None], sin[:, None, None, None]
    both = torch.stack([cos * u - sin * v, sin * u + cos * v], dim=2).flatten(1, 2)
    return torch.cat([both, turned[:, moving:]], dim=1)


def crop(pictures_BCHW: Tensor, changes: Changes, input_px: int) -> Tensor:
    """A square out of each picture."""
    corners = zip(changes.top_B.tolist(), changes.left_B.tolist(), strict=True)
    return torch.stack(
        [p[:, y : y + input_px, x : x + input_px] for p, (y, x) in zip(pictures_BCHW, corners, strict=True)]
    )


def jitter_colours(pictures_B3HW: Tensor, factors_B3: np.ndarray) -> Tensor:
    """Brightness, contrast about the mean grey, and saturation about each pixel's grey, each by its factor.

    In this order, clamped after each, as torchvision's `adjust_*` do. Pictures of -1..1, colours "hsv", channels by
    threes for "concat".
    """
    rgb = (pictures_B3HW.unflatten(1, (-1, 3)) + 1) / 2
    weight = rgb.new_tensor([0.2989, 0.587, 0.114])[:, None, None]  # of red, green and blue in grey: ITU-R BT.601
    brightness, contrast, saturation = (
        torch.from_numpy(f.astype(np.float32)).to(rgb.device)[:, None, None, None, None] for f in factors_B3.T
    )
    rgb = (rgb * brightness).clamp(0, 1)
    mean = (rgb * weight).sum(2, keepdim=True).mean((3, 4), keepdim=True)
    rgb = (rgb * contrast + mean * (1 - contrast)).clamp(0, 1)
    grey = (rgb * weight).sum(2, keepdim=True)
    rgb = (rgb * saturation + grey * (1 - saturation)).clamp(0, 1)
    return (rgb * 2 - 1).flatten(1, 2)


def _each(values_B: np.ndarray, like: Tensor, dtype: type) -> Tensor:
    return torch.from_numpy(values_B.astype(dtype)).to(like.device)[:, None, None, None]
