"""Wavelet attention against the same formulas in NumPy and PyWavelets."""

import numpy as np
import pytest
import pywt
import torch
from scipy.signal import correlate2d
from torch import nn

from bowam_model.attention import ChannelAttention, SpatialAttention, Wadm, WadmSettings
from bowam_model.errors import OptionError

X = torch.randn(2, 8, 14, 14, generator=torch.Generator().manual_seed(3))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _spatial(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Equation 4, one picture (C, H, W): sigmoid of a convolution over mean and maximum of the channels."""
    score = correlate2d(x.mean(0), kernel[0], "same") + correlate2d(x.max(0), kernel[1], "same")
    return x * _sigmoid(score)


def _channel(x: np.ndarray, mean_mlp: list[np.ndarray], max_mlp: list[np.ndarray]) -> np.ndarray:
    """Equation 5, one picture (C, H, W): sigmoid of two perceptrons over mean and maximum of the places."""

    def run(mlp: list[np.ndarray], v: np.ndarray) -> np.ndarray:
        return mlp[1] @ np.maximum(mlp[0] @ v, 0)

    return x * _sigmoid(run(mean_mlp, x.mean((1, 2))) + run(max_mlp, x.max((1, 2))))[:, None, None]


def _depthwise() -> nn.Conv2d:
    return nn.Conv2d(8, 8, 7, padding=3, groups=8)


def _weights(module: nn.Module) -> list[np.ndarray]:
    return [parameter.detach().double().numpy() for parameter in module.parameters()]


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_spatial_attention(kernel: int) -> None:
    attention = SpatialAttention(kernel)
    (weight,) = _weights(attention)
    expected = np.stack([_spatial(x, weight[0]) for x in X.double().numpy()])
    np.testing.assert_allclose(attention(X).detach(), expected, atol=1e-5)


@pytest.mark.parametrize("ratio", [2, 4, 16])
def test_channel_attention_with_a_shared_perceptron(ratio: int) -> None:
    attention = ChannelAttention(8, ratio, "shared")
    mlp = _weights(attention)
    assert [weight.shape for weight in mlp] == [(max(1, 8 // ratio), 8), (8, max(1, 8 // ratio))]
    expected = np.stack([_channel(x, mlp, mlp) for x in X.double().numpy()])
    np.testing.assert_allclose(attention(X).detach(), expected, atol=1e-5)


def test_channel_attention_with_separate_perceptrons() -> None:
    attention = ChannelAttention(8, 4, "separate")
    weights = _weights(attention)
    assert len(weights) == 4
    expected = np.stack([_channel(x, weights[:2], weights[2:]) for x in X.double().numpy()])
    np.testing.assert_allclose(attention(X).detach(), expected, atol=1e-5)


@pytest.mark.parametrize("spatial", [True, False])
@pytest.mark.parametrize("channel", [True, False])
@pytest.mark.parametrize("wavelet", ["haar", "db4"])
def test_wadm_step_by_step(wavelet: str, channel: bool, spatial: bool) -> None:
    """Equations 2-6: spatial attention touches LL alone, channel attention LH, HL and HH alone, then convolution,
    batch norm and ReLU."""
    wadm = Wadm(
        8, _depthwise(), WadmSettings(wavelet=wavelet, channel=channel, spatial=spatial, channel_ratio=4)
    ).eval()
    nn.init.normal_(wadm.norm.running_mean)
    nn.init.uniform_(wadm.norm.running_var, 0.5, 2)
    rebuilt = []
    for x in X.double().numpy():
        low, high = pywt.dwt2(x, wavelet, mode="zero")
        if isinstance(wadm.spatial, SpatialAttention):
            low = _spatial(low, _weights(wadm.spatial)[0][0])
        if isinstance(wadm.channel, ChannelAttention):
            mlp = _weights(wadm.channel)
            high = tuple(np.split(_channel(np.concatenate(high), mlp, mlp), 3))
        rebuilt.append(pywt.idwt2((low, high), wavelet, mode="zero"))
    x = wadm.conv(torch.from_numpy(np.stack(rebuilt)).float())
    expected = nn.functional.batch_norm(x, wadm.norm.running_mean, wadm.norm.running_var).relu()
    torch.testing.assert_close(wadm(X), expected, atol=1e-5, rtol=0)
    assert isinstance(wadm.spatial, SpatialAttention) is spatial
    assert isinstance(wadm.channel, ChannelAttention) is channel


def test_fourier_weighs_a_single_high_band() -> None:
    wadm = Wadm(8, _depthwise(), WadmSettings(wavelet="fourier", channel_ratio=2))
    assert [tuple(weight.shape) for weight in wadm.channel.parameters()] == [(4, 8), (8, 4)]
    assert wadm(X).shape == X.shape


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"spatial_kernel": 4}, "spatial_kernel is 4"),
        ({"channel_ratio": 0}, "channel_ratio is 0"),
        ({"channel_mlp": "both"}, "unknown channel_mlp 'both': use one of shared, separate"),
    ],
)
def test_options_out_of_range_are_errors(options: dict, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        WadmSettings(**options)
