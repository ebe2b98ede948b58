"""Transforms against PyWavelets and NumPy."""

import numpy as np
import pytest
import pywt
import torch

from bowam_model.errors import OptionError
from bowam_model.wavelets import BASES, make_transform

SIZES = [(56, 56), (28, 28), (14, 14), (7, 7), (15, 15), (9, 12), (1, 5)]


def _maps(height: int, width: int) -> torch.Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(height * 100 + width))


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", BASES)
class TestWavelets:
    def test_bands_equal_pywavelets(self, name: str, size: tuple[int, int]) -> None:
        x = _maps(*size)
        low, high = make_transform(name).split(x)
        cA, (cH, cV, cD) = pywt.dwt2(x.double().numpy(), BASES[name], mode="zero")
        np.testing.assert_allclose(low, cA, atol=1e-5)
        np.testing.assert_allclose(high, np.concatenate([cH, cV, cD], axis=1), atol=1e-5)

    def test_any_bands_merge_as_in_pywavelets(self, name: str, size: tuple[int, int]) -> None:
        """Also bands that no map has, as attention leaves them."""
        transform = make_transform(name)
        low, high = (torch.randn_like(band) for band in transform.split(_maps(*size)))
        bands = low.double().numpy(), tuple(band.double().numpy() for band in high.chunk(3, dim=1))
        expected = pywt.idwt2(bands, BASES[name], mode="zero")[..., : size[0], : size[1]]
        np.testing.assert_allclose(transform.merge(low, high, *size), expected, atol=1e-5)

    def test_the_map_comes_back(self, name: str, size: tuple[int, int]) -> None:
        transform = make_transform(name)
        x = _maps(*size)
        torch.testing.assert_close(transform.merge(*transform.split(x), *size), x, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", [*BASES, "fourier"])
def test_memory_order_does_not_matter(name: str) -> None:
    x = _maps(14, 14)
    transform = make_transform(name)
    for band, expected in zip(
        transform.split(x.contiguous(memory_format=torch.channels_last)), transform.split(x), strict=True
    ):
        torch.testing.assert_close(band, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", [*BASES, "fourier"])
def test_gradients_flow_through_both_ways(name: str) -> None:
    transform = make_transform(name)
    x = _maps(7, 7).double().requires_grad_()
    low, high = transform.double().split(x)
    weights = torch.randn_like(x)
    (transform.merge(2 * low, 2 * high, 7, 7) * weights).sum().backward()
    torch.testing.assert_close(x.grad, 2 * weights, atol=1e-6, rtol=0)


def test_fourier_keeps_slow_waves_and_leaves_fast_ones() -> None:
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    slow = torch.sin(2 * torch.pi * (3 * x + 4 * y) / 32)  # 5/32 cycles per pixel
    fast = torch.cos(2 * torch.pi * (9 * x - 2 * y) / 32)  # 9.2/32
    low, high = make_transform("fourier").split((slow + fast)[None, None])
    torch.testing.assert_close(low[0, 0], slow, atol=1e-5, rtol=0)
    torch.testing.assert_close(high[0, 0], fast, atol=1e-5, rtol=0)


def test_transforms_put_nothing_into_weights_files() -> None:
    assert [key for name in [*BASES, "fourier"] for key in make_transform(name).state_dict()] == []


def test_an_unknown_base_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(OptionError, match=r"unknown wavelet 'db9': use one of haar, db4, sym5, bior, coif5, fourier"):
        make_transform("db9")
