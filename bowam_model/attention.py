"""Wavelet attention (WADM, equations 2-6 of the paper): where to look in the low band, what to trust in the high bands.
Beside it STFA, which Table 11(b) puts in its place.

Axis legend: B batch, C channels, H rows, W columns.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from bowam_model.errors import OptionError
from bowam_model.wavelets import make_transform

Attention = Literal["wadm", "stfa"]
Mlp = Literal["shared", "separate"]

STFA_BANDS = 4  # rings of equal width between standstill and half a cycle per pixel


@dataclass(frozen=True, kw_only=True)
class WadmSettings:
    """One row of Tables 4, 6 to 9 and 11(b); the defaults are the paper's best."""

    attention: Attention = "wadm"  # Table 11(b): "stfa" stands in its place, and nothing below has a meaning
    wavelet: str = "haar"  # Table 7: haar, db4, sym5, bior, coif5; Table 11(b): fourier
    spatial: bool = True  # Table 4: attention on the low band
    spatial_kernel: int = 3  # Table 9: 3, 5 or 7; any odd side works
    channel: bool = True  # Table 4: attention on the high bands
    channel_ratio: int = 16  # Table 8: 4, 8, 16 or 32, how far the perceptron narrows
    channel_mlp: Mlp = "shared"  # Table 6: one perceptron for average and maximum, or one for each

    def __post_init__(self) -> None:
        if self.attention not in get_args(Attention):
            raise OptionError(f"unknown attention {self.attention!r}: use one of {', '.join(get_args(Attention))}")
        if self.spatial_kernel < 1 or self.spatial_kernel % 2 == 0:
            raise OptionError(f"spatial_kernel is {self.spatial_kernel}: it must be odd, such as 3, 5 or 7")
        if self.channel_ratio < 1:
            raise OptionError(f"channel_ratio is {self.channel_ratio}: it must be at least 1")
        if self.channel_mlp not in get_args(Mlp):
            raise OptionError(f"unknown channel_mlp {self.channel_mlp!r}: use one of {', '.join(get_args(Mlp))}")


class SpatialAttention(nn.Module):
    """Weighs places: sigmoid of a convolution over the channels' mean and maximum."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        summary = torch.cat([x_BCHW.mean(1, keepdim=True), x_BCHW.amax(1, keepdim=True)], dim=1)
        return x_BCHW * torch.sigmoid(self.conv(summary))


class ChannelAttention(nn.Module):
    """Weighs channels: sigmoid of a perceptron of their mean plus a perceptron of their maximum, without biases."""

    def __init__(self, channels: int, ratio: int, mlp: Mlp) -> None:
        super().__init__()
        narrow = max(1, channels // ratio)

        def perceptron() -> nn.Sequential:
            return nn.Sequential(
                nn.Linear(channels, narrow, bias=False), nn.ReLU(), nn.Linear(narrow, channels, bias=False)
            )

        self.mlp = perceptron()
        self.max_mlp = perceptron() if mlp == "separate" else None

    def forward(self, x_BCHW: Tensor) -> Tensor:
        max_mlp = self.mlp if self.max_mlp is None else self.max_mlp
        weight_BC = torch.sigmoid(self.mlp(x_BCHW.mean((2, 3))) + max_mlp(x_BCHW.amax((2, 3))))
        return x_BCHW * weight_BC[:, :, None, None]


class Wadm(nn.Module):
    """Transform, attention on the bands, inverse transform at the input's resolution, then a learnt convolution.

    Args:
        channels: of the map that comes in.
        conv: the convolution; depthwise 7x7 within a block, strided between stages. Batch norm and ReLU follow it.
        settings: which transform and which attentions.

    (B, channels, H, W) -> what `conv` makes of such a map.
    """

    def __init__(self, channels: int, conv: nn.Conv2d, settings: WadmSettings) -> None:
        super().__init__()
        self.transform = make_transform(settings.wavelet)
        high_channels = self.transform.high_bands * channels
        self.spatial = SpatialAttention(settings.spatial_kernel) if settings.spatial else nn.Identity()
        self.channel = (
            ChannelAttention(high_channels, settings.channel_ratio, settings.channel_mlp)
            if settings.channel
            else nn.Identity()
        )
        self.conv = conv
        self.norm = nn.BatchNorm2d(conv.out_channels)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        height, width = x_BCHW.shape[-2:]
        low, high = self.transform.split(x_BCHW)
        x = self.transform.merge(self.spatial(low), self.channel(high), height, width)
        return torch.relu(self.norm(self.conv(x)))


class Stfa(nn.Module):
    """Spectral attention: each channel's map is weighed ring by ring of its spectrum, then convolved as in `Wadm`.

    Freq-HD (Tao et al., ACM MM 2023) scores the frames of a video by their spectra, and the paper puts its module STFA
    into WADM's place without a formula. Our reading: the spectrum of a map falls into rings of radial frequency; a
    ring's dynamic value is its share of the channel's spectral amplitude; its weight is twice the sigmoid of gain x
    value + bias, learnt for each channel and ring. Fresh ones are 0, so that all weights are 1 and the map passes.

    (B, channels, H, W) -> what `conv` makes of such a map.
    """

    def __init__(self, channels: int, conv: nn.Conv2d) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(channels, STFA_BANDS))
        self.bias = nn.Parameter(torch.zeros(channels, STFA_BANDS))
        self.conv = conv
        self.norm = nn.BatchNorm2d(conv.out_channels)

    def weigh(self, x_BCHW: Tensor) -> Tensor:
        """The map with its rings weighed, (B, C, H, W)."""
        height, width = x_BCHW.shape[-2:]
        spectrum = torch.fft.rfft2(x_BCHW.float(), norm="forward")  # no FFT in half precision
        rows = torch.fft.fftfreq(height, device=x_BCHW.device)
        columns = torch.fft.rfftfreq(width, device=x_BCHW.device)
        radius = torch.sqrt(rows[:, None] ** 2 + columns**2)
        ring = (radius * (2 * STFA_BANDS)).long().clamp(max=STFA_BANDS - 1)  # the corners belong to the outermost
        # The half of the spectrum that is left out mirrors the other, but for the columns that mirror themselves.
        alone = (columns == 0) | (columns == 0.5)
        power = (spectrum.real**2 + spectrum.imag**2) * torch.where(alone, 1.0, 2.0)
        rings = [(ring == k).to(power.dtype) for k in range(STFA_BANDS)]
        amplitude_BCK = torch.stack([(power * mask).sum((2, 3)) for mask in rings], dim=2).add(1e-12).sqrt()
        value_BCK = amplitude_BCK / amplitude_BCK.sum(2, keepdim=True)
        weight_BCK = 2 * torch.sigmoid(self.gain * value_BCK + self.bias)
        weight_BCHW = sum(weight_BCK[:, :, k, None, None] * mask for k, mask in enumerate(rings))
        return torch.fft.irfft2(spectrum * weight_BCHW, s=(height, width), norm="forward").to(x_BCHW.dtype)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return torch.relu(self.norm(self.conv(self.weigh(x_BCHW))))


def make_attention(channels: int, conv: nn.Conv2d, settings: WadmSettings) -> Wadm | Stfa:
    """What stands before the convolution, by `settings.attention`."""
    return Stfa(channels, conv) if settings.attention == "stfa" else Wadm(channels, conv, settings)
