"""MDMO, the main directional mean optical flow of Liu et al. 2015 (IEEE Transactions on Affective Computing 7(4)), as
numbers for an SVM and as maps for a network.

Axis legend: N examples, H rows, W columns, C values of a flow, R regions (36).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from bowam_model.errors import OptionError
from bowam_model.face import CROP_PX
from bowam_model.rivals.biwoof import paint
from bowam_model.rivals.features import direction_bins, vectors
from bowam_model.rivals.svm import SvmLearner

DIRECTIONS = 8
REACH_PX = 24.0  # a pixel that is farther than this from every centre belongs to no region

# Where Face Mesh finds these points in an aligned crop of 240 px: x, y in crop pixels, mean of 51 neutral, frontal
# faces (Face Research Lab London Set), made symmetric about x = 120. Each pair is given by its left half, as seen.
_PAIRS = (
    (101, 38), (68, 43),  # forehead, inner and outer (Face Mesh 108, 104)
    (106, 66), (76, 60), (59, 68),  # brow, inner, middle, outer (55, 52, 46)
    (98, 92), (74, 97),  # lower lid, inner and outer (232, 229)
    (105, 109), (97, 123),  # side and wing of the nose (198, 129)
    (65, 120), (60, 136),  # cheek, upper and lower (50, 187)
    (104, 151), (92, 159), (105, 167),  # upper lip, mouth corner, lower lip (39, 61, 181)
    (95, 190),  # side of the chin (32)
)  # fmt: skip
_MIDDLE = (57, 92, 117, 149, 170, 208)  # y of glabella, bridge, tip of the nose, upper lip, lower lip, chin
CENTRES = np.array(
    [*_PAIRS, *((CROP_PX - x, y) for x, y in _PAIRS), *((CROP_PX / 2, y) for y in _MIDDLE)]
)  # float64 (36, 2)


@dataclass(frozen=True, kw_only=True)
class Mdmo:
    """The mean vector of the main direction of each of 36 regions: 36 magnitudes, then 36 angles.

    In each region the vectors vote for eight directions; the fullest is the main one, and the mean of the vectors in it
    stands for the region, in polar form. Magnitudes are divided by the face's largest; magnitudes are weighted by
    `weight`, angles (in units of pi, -1..1) by 1 - `weight`.

    Our reading: the paper draws its 36 regions between 66 landmarks; here a pixel belongs to the nearest of 36 points
    of the aligned face, so that brows, lids, nose, cheeks, lips and chin have their own. The paper averages over the
    frames of the clip, whose first it aligns all others to; here the one flow of the clip is taken, of aligned faces. A
    vector of length 0 has no direction and does not vote; at a tie the first direction from -u on wins.
    """

    name: ClassVar[str] = "mdmo"
    weight: float = 0.7  # of the magnitudes against the angles, 0..1

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise OptionError(f"weight is {self.weight}: it must lie between 0 and 1")

    @property
    def recipe(self) -> dict[str, Any]:
        return {"weight": self.weight}

    def __call__(self, flows_NHWC: np.ndarray, fusion: str) -> np.ndarray:
        mean = main_vectors(flows_NHWC, fusion)
        magnitude, angle = np.hypot(mean[..., 0], mean[..., 1]), np.arctan2(mean[..., 1], mean[..., 0])
        largest = magnitude.max(axis=1, keepdims=True)
        magnitude /= np.where(largest > 0, largest, 1)
        row = np.concatenate([self.weight * magnitude, (1 - self.weight) * angle / np.pi], axis=1)
        return row.astype(np.float32)


def main_vectors(flows_NHWC: np.ndarray, fusion: str) -> np.ndarray:
    """Mean of the vectors in the main direction of each region, float64 (N, R, 2).

    Raises:
        OptionError: the flow has no single direction, is not of an aligned face, or too small for the regions.
    """
    if fusion == "picture":
        raise OptionError("MDMO needs to know where the face is: prepare flows from frames, not from ready pictures")
    count, height, width = flows_NHWC.shape[:3]
    region_HW = regions(height, width)
    inside = region_HW >= 0
    flow_NM2 = vectors(flows_NHWC, fusion)[:, inside]
    direction_NM = direction_bins(flow_NM2, DIRECTIONS)
    regional_NM = np.arange(count)[:, None] * len(CENTRES) + region_HW[inside]
    place = (regional_NM * DIRECTIONS + direction_NM).ravel()
    size = count * len(CENTRES) * DIRECTIONS
    u, v = flow_NM2[..., 0].ravel(), flow_NM2[..., 1].ravel()
    votes, sum_u, sum_v = (
        np.bincount(place, weights, size).reshape(count, len(CENTRES), DIRECTIONS)
        for weights in (u**2 + v**2 > 0, u, v)
    )
    main = votes.argmax(axis=2)[..., None]
    number, x, y = (np.take_along_axis(values, main, axis=2)[..., 0] for values in (votes, sum_u, sum_v))
    return np.stack([x, y], axis=2) / np.maximum(number, 1)[..., None]


@lru_cache(maxsize=8)
def regions(height: int, width: int) -> np.ndarray:
    """Which region each pixel of an aligned face belongs to, int64 (H, W), -1 for none. Read-only.

    Raises:
        OptionError: a region would be without a pixel.
    """
    # Pixel i of a smaller flow covers crop pixels i * step - 0.5 to (i + 1) * step - 0.5.
    y, x = ((np.arange(size) + 0.5) * (CROP_PX / size) - 0.5 for size in (height, width))
    distance = np.hypot(x[None, :, None] - CENTRES[:, 0], y[:, None, None] - CENTRES[:, 1])
    region = np.where(distance.min(axis=2) <= REACH_PX, distance.argmin(axis=2), -1)
    if len(np.unique(region[region >= 0])) < len(CENTRES):
        raise OptionError(f"flows of {width}x{height} leave some of MDMO's regions empty: use a larger side")
    region.flags.writeable = False
    return region


def paint_mdmo(flow_HW2: np.ndarray, fusion: str = "traditional") -> np.ndarray:
    """MDMO as a picture, float32 (H, W, 3): each region shows (cos, sin, magnitude) of its mean vector, the largest
    magnitude being 1; nothing is painted outside of the regions. For Table 11(a); our reading, see `paint_biwoof`."""
    mean = main_vectors(flow_HW2[None], fusion)[0]
    colour = paint(np.arctan2(mean[:, 1], mean[:, 0]), np.hypot(mean[:, 0], mean[:, 1]))
    region = regions(*flow_HW2.shape[:2])
    return np.where(region[..., None] >= 0, colour[region], np.float32(0))


def mdmo(*, weight: float = 0.7, C: float = 1.0, gamma: float = 36.0) -> SvmLearner:
    """MDMO with a machine. Standardising would undo `weight`, so the numbers stay as they are. For `svm_grid`, gammas
    between 10 and 100 suit numbers of this size."""
    return SvmLearner(features=Mdmo(weight=weight), kernel="rbf", C=C, gamma=gamma, standardise=False)
