"""Bi-WOOF, the bi-weighted oriented optical flow of Liong et al. 2018 ("Less is more: micro-expression recognition from
video using apex frame", Signal Processing: Image Communication 62), as numbers for an SVM and as maps for a network.

Axis legend: N examples, H rows, W columns, C values of a flow, G blocks along a side, B directions.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from bowam_model.errors import OptionError
from bowam_model.rivals.features import direction_bins, vectors
from bowam_model.rivals.svm import SvmLearner


@dataclass(frozen=True, kw_only=True)
class BiWoof:
    """Histograms of directions over blocks, weighted twice.

    Each pixel counts for its direction by its length (the local weight); each block's histogram is multiplied by the
    block's mean optical strain (the global weight); all are put in one row of length 1. The paper tries 5 to 8
    blocks and says neither how the row is normalised nor where the first direction begins: both are our reading.
    The paper's flow is TV-L1 from onset to apex: Farneback's with fusion "traditional" comes nearest.
    """

    name: ClassVar[str] = "biwoof"
    blocks: int = 8  # along each side; borders between pixels, as equal as the size allows
    bins: int = 8  # directions

    def __post_init__(self) -> None:
        if self.blocks < 1 or self.bins < 2 or self.bins % 2:
            raise OptionError(f"{self.blocks} blocks and {self.bins} bins: use at least 1 block and 2, 4, 6, ... bins")

    @property
    def recipe(self) -> dict[str, Any]:
        return {"blocks": self.blocks, "bins": self.bins}

    def __call__(self, flows_NHWC: np.ndarray, fusion: str) -> np.ndarray:
        rows = self.histograms(flows_NHWC, fusion).reshape(len(flows_NHWC), -1)
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        return (rows / np.where(length > 0, length, 1)).astype(np.float32)

    def histograms(self, flows_NHWC: np.ndarray, fusion: str) -> np.ndarray:
        """The weighted histograms, float64 (N, G, G, B).

        Raises:
            OptionError: the flow has no single direction, or fewer pixels a side than there are blocks.
        """
        flow = vectors(flows_NHWC, fusion)
        count, height, width = flow.shape[:3]
        if min(height, width) < self.blocks:
            raise OptionError(f"flows of {width}x{height} can't be cut into {self.blocks} blocks a side: use fewer")
        block_HW = _block_of(height, self.blocks)[:, None] * self.blocks + _block_of(width, self.blocks)
        blocks = self.blocks**2
        place = (np.arange(count)[:, None, None] * blocks + block_HW).ravel()
        strain = flows_NHWC[..., 2].astype(np.float32) if fusion == "picture" else _strain(flow)
        if fusion == "picture":  # stretched from its least value to its greatest: its least value is its zero
            strain -= strain.min(axis=(1, 2), keepdims=True, initial=np.inf)
        vote = place * self.bins + direction_bins(flow, self.bins).ravel()
        length = np.hypot(flow[..., 0], flow[..., 1]).ravel()
        histogram = np.bincount(vote, length, count * blocks * self.bins).reshape(count, blocks, self.bins)
        sum_strain = np.bincount(place, strain.ravel(), count * blocks).reshape(count, blocks, 1)
        pixels = np.bincount(block_HW.ravel(), minlength=blocks)[:, None]
        return (histogram * (sum_strain / pixels)).reshape(count, self.blocks, self.blocks, self.bins)


def paint_biwoof(flow_HWC: np.ndarray, fusion: str = "traditional", features: BiWoof = BiWoof()) -> np.ndarray:
    """Bi-WOOF as a picture, float32 (H, W, 3): each block shows (cos, sin, magnitude) of its weighted histogram.

    The magnitude is the histogram's sum for each of the block's pixels, the strongest block being 1. The direction is
    that of the sum of its sectors' middles, each by its weight; a block where nothing moves is 0. Table 11(a) feeds
    such a map to the network; how it was painted is published nowhere.
    """
    height, width = flow_HWC.shape[:2]
    histogram = features.histograms(flow_HWC[None], fusion)[0]
    rows, columns = _block_of(height, features.blocks), _block_of(width, features.blocks)
    total = histogram.sum(2) / (np.bincount(rows)[:, None] * np.bincount(columns))
    middle = -np.pi + (np.arange(features.bins) + 0.5) * 2 * np.pi / features.bins
    x, y = histogram @ np.cos(middle), histogram @ np.sin(middle)
    return paint(np.arctan2(y, x), total)[rows[:, None], columns]


def paint(angle: np.ndarray, magnitude: np.ndarray) -> np.ndarray:
    """(cos, sin, magnitude), float32 (..., 3): the greatest magnitude becomes 1, a place without any is 0.

    In this order the values behave as u, v and strain of a ready flow picture: a mirror negates the first, and a
    rotation turns the first two.
    """
    strength = magnitude / (magnitude.max(initial=0) or 1)
    moving = strength > 0
    return np.stack([np.cos(angle) * moving, np.sin(angle) * moving, strength], axis=-1).astype(np.float32)


def biwoof(*, blocks: int = 8, C: float = 1.0) -> SvmLearner:
    """Bi-WOOF with the linear machine of its paper. The rows have one length, so they are not standardised."""
    return SvmLearner(features=BiWoof(blocks=blocks), kernel="linear", C=C, standardise=False)


def _block_of(size: int, blocks: int) -> np.ndarray:
    """The block of each pixel along a side, int64 (size,)."""
    return np.arange(size) * blocks // size


def _strain(flow_NHW2: np.ndarray) -> np.ndarray:
    """The paper's optical strain, float32 (N, H, W): sqrt(exx^2 + eyy^2 + (exy^2 + eyx^2) / 2), where exy = eyx."""
    u_y, u_x = np.gradient(flow_NHW2[..., 0], axis=(1, 2))
    v_y, v_x = np.gradient(flow_NHW2[..., 1], axis=(1, 2))
    return np.sqrt(u_x**2 + v_y**2 + ((u_y + v_x) / 2) ** 2)
