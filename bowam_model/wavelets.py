"""Two-dimensional wavelet transforms of feature maps, and the Fourier split that Table 11(b) compares them with.

Every `Transform` cuts a map into a low band and high bands that carry the rest: `merge(*split(x), size of x)` is x.
Borders are PyWavelets' mode "zero": the map is surrounded by zeros, and any size, odd ones too, comes back whole.

Axis legend: B batch, C channels, H rows, W columns; h, w the same at half the resolution.
"""

import pywt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bowam_model.errors import OptionError

# Table 7. The paper says "biorthogonal" without an order: 2.2 is the 5/3 pair of JPEG 2000, the shortest after Haar.
BASES = {"haar": "haar", "db4": "db4", "sym5": "sym5", "bior": "bior2.2", "coif5": "coif5"}
FOURIER_CUTOFF = 0.25  # cycles per pixel: half the band, what one level of wavelets keeps in its low band


class Transform(nn.Module):
    """Splits a map into a low and a high part, and merges them again."""

    high_bands: int
    """How many maps of C channels `high` holds."""

    def split(self, x_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) -> low (B, C, h, w), high (B, high_bands * C, h, w)."""
        raise NotImplementedError

    def merge(self, low: Tensor, high: Tensor, height: int, width: int) -> Tensor:
        """The inverse of `split`: -> (B, C, height, width)."""
        raise NotImplementedError


class Haar(Transform):
    """Haar's wavelet as sums and differences of neighbours: several times faster than a convolution or a product.

    High bands in PyWavelets' order: (cH, cV, cD), which the paper calls LH, HL, HH. Channels lie last while it works,
    as they do in memory: pixels are parted and interleaved fastest that way.
    """

    high_bands = 3

    def split(self, x_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        channels, height, width = x_BCHW.shape[1:]
        x = F.pad(x_BCHW, (0, width % 2, 0, height % 2)) if height % 2 or width % 2 else x_BCHW
        even, odd = x.permute(0, 2, 3, 1).unflatten(1, (-1, 2)).unbind(2)
        rows = torch.cat([even + odd, even - odd], dim=3)
        even, odd = rows.unflatten(2, (-1, 2)).unbind(3)
        bands = torch.cat([even + odd, even - odd], dim=3).permute(0, 3, 1, 2) / 2
        return bands[:, :channels], bands[:, channels:]

    def merge(self, low: Tensor, high: Tensor, height: int, width: int) -> Tensor:
        total, step = (torch.cat([low, high], dim=1).permute(0, 2, 3, 1) / 2).chunk(2, dim=3)
        rows = torch.cat([total + step, total - step], dim=3).unflatten(3, (2, -1)).flatten(2, 3)
        total, step = rows.chunk(2, dim=3)
        x_BHWC = torch.stack([total + step, total - step], dim=2).flatten(1, 2)
        return x_BHWC[:, :height, :width].permute(0, 3, 1, 2)


class Wavelet(Transform):
    """Any discrete wavelet, as two products with a band matrix: rows, then columns.

    At the sizes of feature maps a product beats strided convolutions, the more the longer the filters, and it is
    exact for odd sizes without a case of its own. Bands in the order of `Haar`.

    Args:
        name: what `pywt.Wavelet` knows.
    """

    high_bands = 3
    decompose: Tensor
    reconstruct: Tensor

    def __init__(self, name: str) -> None:
        super().__init__()
        bank = torch.tensor(pywt.Wavelet(name).filter_bank)
        self.register_buffer("decompose", bank[:2], persistent=False)  # low, high
        self.register_buffer("reconstruct", bank[2:], persistent=False)

    def split(self, x_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        height, width = x_BCHW.shape[-2:]
        bands = _analysis(self.decompose, height) @ x_BCHW @ _analysis(self.decompose, width).T
        upper, lower = bands.chunk(2, dim=2)
        (cA, cV), (cH, cD) = upper.chunk(2, dim=3), lower.chunk(2, dim=3)
        return cA, torch.cat([cH, cV, cD], dim=1)

    def merge(self, low: Tensor, high: Tensor, height: int, width: int) -> Tensor:
        cH, cV, cD = high.chunk(3, dim=1)
        bands = torch.cat([torch.cat([low, cV], dim=3), torch.cat([cH, cD], dim=3)], dim=2)
        return _synthesis(self.reconstruct, height) @ bands @ _synthesis(self.reconstruct, width).T


class Fourier(Transform):
    """Table 11(b): what a radial low-pass keeps, and the rest, both at full resolution.

    The paper names neither cutoff nor edge; here the disc is sharp and its radius is half of the band.
    """

    high_bands = 1

    def split(self, x_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        height, width = x_BCHW.shape[-2:]
        rows = torch.fft.fftfreq(height, device=x_BCHW.device)
        columns = torch.fft.rfftfreq(width, device=x_BCHW.device)
        disc = (rows[:, None] ** 2 + columns**2 <= FOURIER_CUTOFF**2).float()
        # No FFT in half precision: mixed precision brings such maps.
        low = torch.fft.irfft2(torch.fft.rfft2(x_BCHW.float()) * disc, s=(height, width)).to(x_BCHW.dtype)
        return low, x_BCHW - low

    def merge(self, low: Tensor, high: Tensor, height: int, width: int) -> Tensor:
        return low + high


def make_transform(name: str) -> Transform:
    """A transform by its name in the paper: a base of Table 7, or "fourier".

    Raises:
        OptionError: the name is unknown.
    """
    if name == "haar":
        return Haar()
    if name in BASES:
        return Wavelet(BASES[name])
    if name == "fourier":
        return Fourier()
    raise OptionError(f"unknown wavelet {name!r}: use one of {', '.join([*BASES, 'fourier'])}")


def _analysis(filters: Tensor, size: int) -> Tensor:
    """(2 K, size): rows that take a signal surrounded by zeros to K low and K high coefficients."""
    taps = filters.shape[1]
    k = torch.arange((size + taps - 1) // 2, device=filters.device)
    i = torch.arange(size, device=filters.device)
    return _taps_at(filters, 2 * k[:, None] + 1 - i).flatten(0, 1)


def _synthesis(filters: Tensor, size: int) -> Tensor:
    """(size, 2 K): rows that take K low and K high coefficients back to the signal."""
    taps = filters.shape[1]
    k = torch.arange((size + taps - 1) // 2, device=filters.device)
    i = torch.arange(size, device=filters.device)
    return torch.cat([*_taps_at(filters, i[:, None] - 2 * k + taps - 2)], dim=1)


def _taps_at(filters: Tensor, index: Tensor) -> Tensor:
    """(2, taps), (N, M) -> (2, N, M): the filters' taps at these positions, zero beyond their ends."""
    last = filters.shape[1] - 1
    return filters[:, index.clamp(0, last)] * ((index >= 0) & (index <= last))
