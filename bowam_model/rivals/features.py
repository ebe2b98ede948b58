"""What a support vector machine gets to see of a flow: a row of numbers for each example.

Axis legend: N examples, H rows, W columns, C values of a flow, M maps, D numbers of a row.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import cv2
import numpy as np

from bowam_model.errors import OptionError
from bowam_model.flow import optical_strain


class Features(Protocol):
    """Numbers by which flows are told apart: of each flow by itself. Picklable and hashable; equal ones give equal
    numbers."""

    @property
    def name(self) -> str: ...

    @property
    def recipe(self) -> dict[str, Any]:
        """Its settings, as plain values that JSON can hold."""
        ...

    def __call__(self, flows_NHWC: np.ndarray, fusion: str) -> np.ndarray:
        """Flows of `learning.Examples` -> float32 (N, D).

        Raises:
            OptionError: these features can't be had from this fusion or size.
        """
        ...


def mirror(flows_NHWC: np.ndarray, fusion: str) -> np.ndarray:
    """The flows of the mirrored faces: columns turn round, and u changes its sign.

    Exact for ready pictures too: value / 127.5 - 1 of 255 - u is -u. Products of two u ("multiply") keep their sign.
    """
    signs = np.ones(flows_NHWC.shape[3], flows_NHWC.dtype)
    if fusion == "picture":
        signs[0] = -1
    elif fusion != "multiply":
        signs[::2] = -1
    return flows_NHWC[:, :, ::-1] * signs


def vectors(flows_NHWC: np.ndarray, fusion: str) -> np.ndarray:
    """Displacements, float32 (N, H, W, 2).

    In a ready picture the zeros of u and v are unknown: their medians take their place, as most of a face is still.

    Raises:
        OptionError: a fusion without a direction ("multiply") or with two ("concat").
    """
    if fusion == "picture":
        return centred(flows_NHWC[..., :2].astype(np.float32))
    if fusion not in ("add", "traditional"):
        raise OptionError(f"fusion {fusion!r} has no single direction of motion: use 'traditional' or 'add'")
    return flows_NHWC.astype(np.float32)


def direction_bins(vectors_NHW2: np.ndarray, bins: int) -> np.ndarray:
    """Which of `bins` equal sectors of the circle each vector points into, int64 (N, H, W); the first begins at -u.

    With an even number a mirror takes sectors to sectors. Float32 pi may exceed pi: the last sector takes it.
    """
    angle = np.arctan2(vectors_NHW2[..., 1], vectors_NHW2[..., 0])
    return np.minimum(((angle + np.pi) * (bins / (2 * np.pi))).astype(np.int64), bins - 1)


def centred(maps_NHWM: np.ndarray) -> np.ndarray:
    """Each map less its median over the picture, float32."""
    count, height, width, maps = maps_NHWM.shape
    median = np.median(maps_NHWM.reshape(count, height * width, maps), axis=1)
    return (maps_NHWM - median[:, None, None]).astype(np.float32)


def area_means(maps_NHWM: np.ndarray, grid: int) -> np.ndarray:
    """Means over grid x grid equal areas, float32 (N, grid, grid, M); a pixel on a border counts for both by its share.

    Raises:
        OptionError: the maps are smaller than the grid.
    """
    count, height, width, maps = maps_NHWM.shape
    if min(height, width) < grid:
        raise OptionError(f"flows of {width}x{height} have no {grid}x{grid} areas: use a grid of at most their size")
    planes = maps_NHWM.astype(np.float32).transpose(0, 3, 1, 2).reshape(-1, height, width)
    means = [cv2.resize(np.ascontiguousarray(p), (grid, grid), interpolation=cv2.INTER_AREA) for p in planes]
    return np.array(means, np.float32).reshape(count, maps, grid, grid).transpose(0, 2, 3, 1)


def derivatives(u_NHW: np.ndarray, v_NHW: np.ndarray) -> np.ndarray:
    """Divergence, curl, and both kinds of shear, float32 (N, H, W, 4), by central differences.

    No shift of u or v changes them; in a ready picture, though, the unknown gains of u and v weigh their two terms.
    """
    u_y, u_x = np.gradient(u_NHW, axis=(1, 2))
    v_y, v_x = np.gradient(v_NHW, axis=(1, 2))
    return np.stack([u_x + v_y, v_x - u_y, u_x - v_y, u_y + v_x], axis=3).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class GridMeans:
    """Means of u, v, strain and derivatives over a grid, the plain features that a network has to beat.

    "multiply" is taken as one vector field, "concat" as two: two times the numbers.
    """

    name: ClassVar[str] = "means"
    grid: int = 7  # areas along each side
    centre: bool = True  # each of u, v and strain less its median over the picture
    derivatives: bool = True  # divergence, curl and both shears beside u, v and strain

    @property
    def recipe(self) -> dict[str, Any]:
        return {"grid": self.grid, "centre": self.centre, "derivatives": self.derivatives}

    def __call__(self, flows_NHWC: np.ndarray, fusion: str) -> np.ndarray:
        flows = flows_NHWC.astype(np.float32)
        if fusion == "picture":
            fields = [(flows[..., :2], flows[..., 2:3])]
        else:
            pairs = [flows[..., start : start + 2] for start in range(0, flows.shape[3], 2)]
            fields = [(uv, _each(optical_strain, uv)[..., None]) for uv in pairs]
        rows = []
        for uv, strain in fields:
            maps = np.concatenate([uv, strain], axis=3)
            maps = centred(maps) if self.centre else maps
            if self.derivatives:
                maps = np.concatenate([maps, derivatives(uv[..., 0], uv[..., 1])], axis=3)
            rows.append(area_means(maps, self.grid).reshape(len(flows), self.grid**2 * maps.shape[3]))
        return np.concatenate(rows, axis=1)


def _each(paint: Callable[[np.ndarray], np.ndarray], fields_NHWC: np.ndarray) -> np.ndarray:
    return np.array([paint(field) for field in fields_NHWC], np.float32).reshape(fields_NHWC.shape[:3])
