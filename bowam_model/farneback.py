"""Farneback's optical flow for many pictures at once, on any device: what `flow.farneback` computes, in PyTorch.

    farneback = Farneback(240, 240)
    flow_B2HW = farneback(source_BHW, target_BHW)

Source: G. Farneback, "Two-Frame Motion Estimation Based on Polynomial Expansion", SCIA 2003. Around each pixel a
picture is a quadratic polynomial, p(x) = x'Ax + b'x + c (section 2). If the target's polynomial is the source's,
displaced by d, then A d = (b_source - b_target) / 2 (equation 8), which is solved by least squares over a window
(section 3.2), iterated, from coarse to fine (section 4.3). Parameters, borders and pyramid are those that OpenCV's
`calcOpticalFlowFarneback` shows. On a CPU that function is faster; this one lives where the network lives.

All that is linear (pyramid, expansion, averaging, enlarging) is separable, so each is a product with one matrix from
the left (rows) and one from the right (columns), in which the rule for the border is a case like any other.

Always float32: the determinants of flat skin are of the order of 1e-9. On CUDA leave
`torch.backends.cuda.matmul.allow_tf32` off, as it is by default.

Axis legend: B batch, H rows, W columns of the pictures; h, w those of a level of the pyramid. Vectors are (u, v):
pixels to the right and down. The five coefficients of an expansion: b_x, b_y, A_xx, A_yy, A_xy.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bowam_model.errors import ImageError, OptionError

SMALLEST_PX = 16  # below this side the window does not fit into the picture
COARSEST_PX = 32  # no level of the pyramid is smaller
TRUST_AT_BORDER = (0.14, 0.14, 0.4472, 0.4472, 0.4472)  # from the edge inwards; a pixel further in counts fully
REGULARISATION = 1e-3  # added to each determinant: where nothing is to be seen, the flow is 0

Border = Callable[[np.ndarray, int], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class FarnebackSettings:
    """OpenCV's parameters, under its names; the defaults are those of `flow.farneback`."""

    pyr_scale: float = 0.5  # from each level of the pyramid to the next
    levels: int = 3  # beside the full size, while they are large enough
    winsize: int = 15  # over which displacements are averaged, pixels
    iterations: int = 3  # at each level
    poly_n: int = 5  # radius of the expansion's neighbourhood, pixels
    poly_sigma: float = 1.2  # of its Gaussian weights, pixels
    gaussian: bool = False  # average with a Gaussian instead of a box

    def __post_init__(self) -> None:
        if not 0 < self.pyr_scale < 1:
            raise OptionError(f"pyr_scale is {self.pyr_scale}: it must lie between 0 and 1")
        if self.levels < 0 or min(self.winsize, self.iterations, self.poly_n) < 1 or self.poly_sigma <= 0:
            raise OptionError("winsize, iterations, poly_n and poly_sigma must be positive, levels not negative")


def replicate(index: np.ndarray, size: int) -> np.ndarray:
    """Beyond the border stands the outermost pixel."""
    return index.clip(0, size - 1)


def reflect(index: np.ndarray, size: int) -> np.ndarray:
    """Beyond the border stands the picture's mirror image; the outermost pixel is not repeated."""
    period = 2 * (size - 1)
    index = index % period
    return np.minimum(index, period - index)


def filter_matrix(size: int, kernel: np.ndarray, border: Border) -> np.ndarray:
    """(size, size): a product with it correlates a signal with an odd kernel."""
    radius = len(kernel) // 2
    matrix = np.zeros((size, size))
    rows = np.arange(size)
    for offset, weight in zip(range(-radius, radius + 1), kernel, strict=True):
        np.add.at(matrix, (rows, border(rows + offset, size)), weight)
    return matrix


def linear_matrix(size: int, resized: int) -> np.ndarray:
    """(resized, size): linear interpolation between the centres of pixels (OpenCV's INTER_LINEAR)."""
    position = (np.arange(resized) + 0.5) * (size / resized) - 0.5
    position = position.clip(0, size - 1)
    return np.maximum(0, 1 - np.abs(position[:, None] - np.arange(size)))


def area_matrix(size: int, resized: int) -> np.ndarray:
    """(resized, size) with resized <= size: the mean over what a new pixel covers (OpenCV's INTER_AREA)."""
    edges = np.arange(resized + 1) * (size / resized)
    pixels = np.arange(size)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return covered.clip(0) * (resized / size)


class Resize(nn.Module):
    """Maps to another size, by a matrix for rows and one for columns. (..., H, W) -> (..., h, w)."""

    rows: Tensor
    columns: Tensor

    def __init__(self, rows: np.ndarray, columns: np.ndarray) -> None:
        super().__init__()
        _keep(self, "rows", rows)
        _keep(self, "columns", columns.T)

    def forward(self, maps: Tensor) -> Tensor:
        return self.rows @ (maps @ self.columns)


class Level(nn.Module):
    """One level of the pyramid: expands pictures at its scale, and improves a flow.

    Args:
        picture: (H, W) of what `expand` takes.
        size: (h, w) of this level.
        blur: what the pictures are smoothed with before they shrink; odd.
    """

    rows: Tensor
    columns: Tensor
    average_rows: Tensor
    average_columns: Tensor
    trust: Tensor
    place_2hw: Tensor

    def __init__(
        self, picture: tuple[int, int], size: tuple[int, int], blur: np.ndarray, settings: FarnebackSettings
    ) -> None:
        super().__init__()
        self.size = size
        smoothed = [
            linear_matrix(full, part) @ filter_matrix(full, blur, reflect)
            for full, part in zip(picture, size, strict=True)
        ]
        kernels = _expansion_kernels(settings.poly_n, settings.poly_sigma)
        rows, columns = (
            [filter_matrix(part, kernel, replicate) @ smooth for kernel in kernels]
            for part, smooth in zip(size, smoothed, strict=True)
        )
        averages = [filter_matrix(part, _window(settings), replicate) for part in size]
        _keep(self, "rows", np.concatenate(rows))
        _keep(self, "columns", np.stack(columns).transpose(0, 2, 1))
        _keep(self, "average_rows", averages[0])
        _keep(self, "average_columns", averages[1].T)
        _keep(self, "trust", np.outer(_trust(size[0]), _trust(size[1])) ** 2)
        _keep(self, "place_2hw", np.stack(np.meshgrid(np.arange(size[1]), np.arange(size[0]))))

    def expand(self, pictures_BHW: Tensor) -> Tensor:
        """Polynomials around each pixel: (B, 5, h, w)."""
        mean, slope, curve = (self.rows @ pictures_BHW).unflatten(1, (3, -1)).unbind(1)
        mean_x, slope_x, curve_x = self.columns.unbind(0)
        parts = (mean @ slope_x, slope @ mean_x, mean @ curve_x, curve @ mean_x, (slope @ slope_x) / 2)
        return torch.stack(parts, dim=1)

    def improve(self, flow_B2hw: Tensor, source_B5hw: Tensor, target_B5hw: Tensor) -> Tensor:
        """One iteration: look where the flow leads, and solve for the displacement that explains the difference."""
        warped = self._look(flow_B2hw, source_B5hw, target_B5hw)
        xx, yy, xy = ((source_B5hw[:, 2:] + warped[:, 2:]) / 2).unbind(1)
        b_x, b_y = ((source_B5hw[:, :2] - warped[:, :2]) / 2).unbind(1)
        u, v = flow_B2hw.unbind(1)
        b_x, b_y = b_x + xx * u + xy * v, b_y + xy * u + yy * v  # the displacement that is left, and the one before
        equations = (xx * xx + xy * xy, (xx + yy) * xy, yy * yy + xy * xy, xx * b_x + xy * b_y, xy * b_x + yy * b_y)
        weighed = torch.stack(equations, dim=1) * self.trust
        g_xx, g_xy, g_yy, h_x, h_y = (self.average_rows @ (weighed @ self.average_columns)).unbind(1)
        determinant = g_xx * g_yy - g_xy * g_xy + REGULARISATION
        return torch.stack([g_yy * h_x - g_xy * h_y, g_xx * h_y - g_xy * h_x], dim=1) / determinant[:, None]

    def _look(self, flow_B2hw: Tensor, source_B5hw: Tensor, target_B5hw: Tensor) -> Tensor:
        """The target's polynomials at the places to which the flow leads. Where it leads out of the picture, and in its
        last row and column, there is nothing to interpolate: the target is flat there and curved like the source."""
        x, y = (self.place_2hw + flow_B2hw).unbind(1)
        height, width = self.size
        inside = (x >= 0) & (x < width - 1) & (y >= 0) & (y < height - 1)
        grid = torch.stack([x * (2 / (width - 1)) - 1, y * (2 / (height - 1)) - 1], dim=3)
        seen = F.grid_sample(target_B5hw, grid, mode="bilinear", padding_mode="border", align_corners=True)
        alone = torch.cat([torch.zeros_like(source_B5hw[:, :2]), source_B5hw[:, 2:]], dim=1)
        return torch.where(inside[:, None], seen, alone)


class Farneback(nn.Module):
    """The flow of pictures of one size.

    Args:
        height, width: of the pictures.
    Raises:
        OptionError: the pictures would be too small.
    """

    def __init__(self, height: int, width: int, settings: FarnebackSettings | None = None) -> None:
        super().__init__()
        if min(height, width) < SMALLEST_PX:
            raise OptionError(f"pictures of {width}x{height}: flow needs at least {SMALLEST_PX} pixels a side")
        self.settings = settings = settings or FarnebackSettings()
        self.size = (height, width)
        scales = [1.0]
        while len(scales) <= settings.levels and min(self.size) * scales[-1] * settings.pyr_scale >= COARSEST_PX:
            scales.append(scales[-1] * settings.pyr_scale)
        sizes = [(round(height * scale), round(width * scale)) for scale in reversed(scales)]
        blurs = [_anti_alias(scale) for scale in reversed(scales)]
        self.levels = nn.ModuleList(
            Level(self.size, size, blur, settings) for size, blur in zip(sizes, blurs, strict=True)
        )
        self.enlarge = nn.ModuleList(
            Resize(linear_matrix(coarse[0], fine[0]), linear_matrix(coarse[1], fine[1]))
            for coarse, fine in pairwise(sizes)
        )

    @property
    def _levels(self) -> Sequence[Level]:
        return cast(Sequence[Level], self.levels)

    def expand(self, pictures_BHW: Tensor) -> tuple[Tensor, ...]:
        """Polynomials of each level, from coarse to fine: (B, 5, h, w) each. Those of a picture that takes part in
        several flows are computed once.

        Args:
            pictures_BHW: grey levels 0..255, uint8 or floating point.
        Raises:
            ImageError: the pictures have another size.
        """
        height, width = self.size
        if tuple(pictures_BHW.shape[1:]) != (height, width):
            raise ImageError(f"pictures of shape {tuple(pictures_BHW.shape)}: this flow takes (B, {height}, {width})")
        pictures_BHW = pictures_BHW.float()
        return tuple(level.expand(pictures_BHW) for level in self._levels)

    def match(self, source: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
        """The flow between expanded pictures, float32 (B, 2, H, W), pixels."""
        flow_B2hw = torch.zeros_like(source[0][:, :2])
        for index, level in enumerate(self._levels):
            if index:
                flow_B2hw = self.enlarge[index - 1](flow_B2hw) / self.settings.pyr_scale
            for _ in range(self.settings.iterations):
                flow_B2hw = level.improve(flow_B2hw, source[index], target[index])
        return flow_B2hw

    def forward(self, source_BHW: Tensor, target_BHW: Tensor) -> Tensor:
        """`source[y, x]` shows what `target[y + v, x + u]` shows: float32 (B, 2, H, W), pixels."""
        return self.match(self.expand(source_BHW), self.expand(target_BHW))


def _expansion_kernels(radius: int, sigma_px: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, slope and half the curvature around a sample: least squares of 1, x, x^2 under Gaussian weights.

    Since the weights of a picture are a product of two Gaussians, so are the quadratic's coefficients of these.
    """
    x = np.arange(-radius, radius + 1, dtype=np.float64)
    weight = np.exp(-(x**2) / (2 * sigma_px**2))
    weight /= weight.sum()
    second, fourth = (weight * x**2).sum(), (weight * x**4).sum()
    return weight, weight * x / second, weight * (x**2 - second) / (fourth - second**2)


def _window(settings: FarnebackSettings) -> np.ndarray:
    """What displacements are averaged with. An even box is one pixel wider than it says, and sums to more than 1."""
    radius = settings.winsize // 2
    if not settings.gaussian:
        return np.full(2 * radius + 1, 1 / settings.winsize)
    x = np.arange(-radius, radius + 1)
    weight = np.exp(-(x**2) / (2 * (0.3 * radius) ** 2))
    return weight / weight.sum()


def _anti_alias(scale: float) -> np.ndarray:
    """The Gaussian that a picture is smoothed with before it shrinks; at full size it is (1, 2, 1) / 4."""
    sigma_px = (1 / scale - 1) / 2
    return cv2.getGaussianKernel(max(round(5 * sigma_px) | 1, 3), sigma_px)[:, 0]


def _trust(size: int) -> np.ndarray:
    """How much each pixel of a row counts: those near an edge have guessed neighbours."""
    trust = np.ones(size)
    for distance, value in enumerate(TRUST_AT_BORDER):
        trust[distance] *= value
        trust[size - 1 - distance] *= value
    return trust


def _keep(module: nn.Module, name: str, values: np.ndarray) -> None:
    """As a constant of the module: it moves with it from device to device, and no weights file holds it."""
    module.register_buffer(name, torch.from_numpy(np.ascontiguousarray(values, np.float32)), persistent=False)
