"""The BOWAM network: a ConvNeXt in whose blocks wavelet attention takes the place of the depthwise convolution.

    from bowam_model import create_model
    create_model("bowam", num_classes=3)(torch.zeros(1, 3, 224, 224))      # -> logits (1, 3)

Axis legend: B batch, C channels, H rows, W columns, K classes. Modules carry the names of the public ConvNeXt
(`downsample_layers`, `stages`, `dwconv`, `pwconv1`, `gamma`, ...), so that its weights fit by name and shape.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from itertools import pairwise
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bowam_model.attention import WadmSettings, make_attention
from bowam_model.errors import OptionError

Placement = Literal["block", "downsample", "none"]


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """Size and shape of a network. The defaults are ConvNeXt-T's, and the paper's place for WADM."""

    num_classes: int = 3
    in_channels: int = 3  # 6 for the fusion "concat"
    patch: int = 4  # side and stride of the first convolution
    dims: tuple[int, ...] = (96, 192, 384, 768)  # channels of each stage
    depths: tuple[int, ...] = (3, 3, 9, 3)  # blocks of each stage
    strides: tuple[int, ...] = (2, 2, 2)  # from each stage to the next
    mlp_ratio: float = 4  # how far a block's perceptron widens
    layer_scale: float = 1e-6  # what a block's result is multiplied by at first
    weight_std: float | None = 0.02  # of fresh weights, but the head's, which is 0.02; None: 1 / sqrt(inputs)
    placement: Placement = "block"  # WADM in every block, between the stages, or nowhere (plain ConvNeXt)
    downsample_kernel: int = 2  # of the convolutions between stages
    wadm: WadmSettings = field(default_factory=WadmSettings)

    def __post_init__(self) -> None:
        if self.placement not in get_args(Placement):
            raise OptionError(f"unknown placement {self.placement!r}: use one of {', '.join(get_args(Placement))}")
        if not len(self.dims) == len(self.depths) == len(self.strides) + 1:
            raise OptionError("dims and depths need one value for each stage, strides one for each step between stages")
        counts = (self.num_classes, self.in_channels, self.patch, self.downsample_kernel, *self.dims, *self.strides)
        if min(counts) < 1 or min(self.depths) < 0 or self.mlp_ratio <= 0:
            raise OptionError("classes, channels, blocks, kernels and strides must be positive numbers")


MODELS: dict[str, dict[str, Any]] = {
    "bowam": {},
    # Table 10. Five stages: the last step keeps the resolution, as only that reproduces the table's operations.
    "bowam-3stage": {"dims": (96, 192, 384), "depths": (3, 3, 9), "strides": (2, 2)},
    "bowam-5stage": {"dims": (96, 192, 384, 768, 1536), "depths": (3, 3, 9, 3, 3), "strides": (2, 2, 2, 1)},
    # For CPUs. Of a dozen shapes, the one with the most weights among those that keep a quarter of the time of one
    # 240x240 Farneback call on the same core to spare, with cold caches on a busy machine: patches of 8, since flow is
    # smooth, and two blocks each at 14x14 and 7x7. ConvNeXt-T's small start holds back so few and narrow blocks: after
    # 75 steps on a toy of moving bumps it stood at a loss of 1.4, this one at 0.6 (tried with six blocks).
    "bowam-nano": {
        "patch": 8,
        "dims": (48, 128, 288),
        "depths": (1, 2, 2),
        "strides": (2, 2),
        "mlp_ratio": 3,
        "layer_scale": 1.0,
        "weight_std": None,
    },
    "convnext-tiny": {"placement": "none"},
}


class SteppingConv2d(nn.Conv2d):
    """A strided convolution that sees every pixel: zeros around the map (one more below and to the right where they
    are uneven) make its output ceil(size / stride)."""

    def forward(self, x_BCHW: Tensor) -> Tensor:
        padding: list[int] = []
        for size, kernel, stride in zip(x_BCHW.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            missing = max(0, (-(-size // stride) - 1) * stride + kernel - size)
            padding += [missing // 2, missing - missing // 2]
        return super().forward(F.pad(x_BCHW, padding) if any(padding) else x_BCHW)


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each pixel of (B, C, H, W)."""

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return super().forward(x_BCHW.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Block(nn.Module):
    """ConvNeXt's block: mix places, then mix channels, and add the result to the input. (B, C, H, W) -> same."""

    def __init__(self, dim: int, settings: NetworkSettings) -> None:
        super().__init__()
        wide = int(settings.mlp_ratio * dim)
        depthwise = nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
        self.dwconv = make_attention(dim, depthwise, settings.wadm) if settings.placement == "block" else depthwise
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.pwconv1 = nn.Linear(dim, wide)
        self.pwconv2 = nn.Linear(wide, dim)
        self.gamma = nn.Parameter(torch.full((dim,), settings.layer_scale))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        x_BHWC = self.norm(self.dwconv(x_BCHW).permute(0, 2, 3, 1))
        x_BHWC = self.gamma * self.pwconv2(F.gelu(self.pwconv1(x_BHWC)))
        return x_BCHW + x_BHWC.permute(0, 3, 1, 2)


class Network(nn.Module):
    """A ConvNeXt with or without wavelet attention. Made by `create_model`.

    Attributes:
        name, settings: what it was made from.
    """

    def __init__(self, name: str, settings: NetworkSettings) -> None:
        super().__init__()
        self.name = name
        self.settings = settings
        stem = SteppingConv2d(settings.in_channels, settings.dims[0], settings.patch, settings.patch)
        self.downsample_layers = nn.ModuleList([nn.Sequential(stem, ChannelNorm(settings.dims[0], eps=1e-6))])
        for (dim, next_dim), stride in zip(pairwise(settings.dims), settings.strides, strict=True):
            step = SteppingConv2d(dim, next_dim, settings.downsample_kernel, stride)
            self.downsample_layers.append(
                make_attention(dim, step, settings.wadm)
                if settings.placement == "downsample"
                else nn.Sequential(ChannelNorm(dim, eps=1e-6), step)
            )
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(dim, settings) for _ in range(depth)))
            for dim, depth in zip(settings.dims, settings.depths, strict=True)
        )
        self.norm = nn.LayerNorm(settings.dims[-1], eps=1e-6)
        self.head = nn.Linear(settings.dims[-1], settings.num_classes)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                std = 0.02 if module is self.head else self.settings.weight_std
                nn.init.trunc_normal_(module.weight, std=module.weight[0].numel() ** -0.5 if std is None else std)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    @property
    def options(self) -> dict[str, Any]:
        """All options but the number of classes, as `create_model` takes them: plain values that JSON can hold."""
        flat = asdict(self.settings)
        return flat.pop("wadm") | {key: value for key, value in flat.items() if key != "num_classes"}

    def features(self, x_BCHW: Tensor) -> Tensor:
        """The last stage's maps, (B, dims[-1], h, w)."""
        for downsample, stage in zip(self.downsample_layers, self.stages, strict=True):
            x_BCHW = stage(downsample(x_BCHW))
        return x_BCHW

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, in_channels, H, W), any size -> logits (B, K)."""
        return self.head(self.norm(self.features(x_BCHW).mean((2, 3))))


def create_model(name: str, num_classes: int = 3, **options: Any) -> Network:
    """A network with fresh weights (PyTorch's generator decides them), by name and options.

    Names: "bowam" (the paper's, 31.5 M parameters), "bowam-3stage" and "bowam-5stage" (Table 10), "convnext-tiny" (the
    baseline of Table 4), "bowam-nano" (for CPUs, and the weights that ship).

    Options: the fields of `NetworkSettings` and `WadmSettings`, such as wavelet="db4", channel_ratio=8,
    spatial_kernel=7, channel_mlp="separate", spatial=False, attention="stfa", placement="downsample" or in_channels=6.

    Raises:
        OptionError: the name or an option is unknown, or a value is out of range.
    """
    if name not in MODELS:
        raise OptionError(f"unknown model {name!r}: use one of {', '.join(MODELS)}")
    wadm_fields = [f.name for f in fields(WadmSettings)]
    network_fields = [f.name for f in fields(NetworkSettings) if f.name not in ("wadm", "num_classes")]
    if unknown := sorted(options.keys() - {*wadm_fields, *network_fields}):
        raise OptionError(f"unknown option {unknown[0]!r}: use one of {', '.join(network_fields + wadm_fields)}")
    chosen: Mapping[str, Any] = MODELS[name] | {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    wadm = WadmSettings(**{k: v for k, v in chosen.items() if k in wadm_fields})
    network = {k: v for k, v in chosen.items() if k in network_fields}
    return Network(name, NetworkSettings(num_classes=num_classes, wadm=wadm, **network))
