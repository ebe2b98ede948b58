"""What happens inside a network when it looks at one picture: feature maps, Grad-CAM, wavelet bands and attention.

Everything is read through module hooks; the network's own code does not know of it.

Axis legend: C channels, h, w rows and columns of a map, K classes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bowam_model.attention import ChannelAttention, SpatialAttention, Wadm
from bowam_model.errors import ImageError
from bowam_model.network import Network

BAND_NAMES = {3: ("LH", "HL", "HH"), 1: ("high",)}  # of wavelets; of the Fourier split, whose low band is "low"


@dataclass(frozen=True, eq=False)
class Bands:
    """What one WADM made of its input. All arrays float32."""

    module: str  # its name in the network, such as stages.0.0.dwconv
    stage: int  # from 0; between stages, the one that follows
    taken: np.ndarray  # (C, H, W): what came in
    names: tuple[str, ...]  # low band first, such as LL, LH, HL, HH
    before: tuple[np.ndarray, ...]  # for each band (C, h, w)
    after: tuple[np.ndarray, ...]  # the same after attention
    place_weights: np.ndarray | None  # (h, w), 0..1: spatial attention on the low band; None if switched off
    channel_weights: np.ndarray | None  # (high bands, C), 0..1; None if switched off
    merged: np.ndarray  # (C, H, W): the inverse transform of `after`, which the convolution takes


@dataclass(frozen=True, eq=False)
class Inside:
    """One picture's way through a network. All arrays float32."""

    logits: np.ndarray  # (K,)
    probabilities: np.ndarray  # (K,)
    stages: tuple[np.ndarray, ...]  # what each stage gives, (C, h, w)
    gradients: tuple[np.ndarray, ...]  # of each logit by each stage's map, (K, C, h, w)
    bands: tuple[Bands, ...]  # of every WADM, in order; empty for a network without

    def cam(self, stage: int, label: int) -> np.ndarray:
        """Grad-CAM of a class at a stage, float32 (h, w), not normalised.

        relu(sum over C of mean(dlogit/dA_c) A_c): Selvaraju et al. 2017, equations 1 and 2.
        """
        return grad_cam(self.stages[stage], self.gradients[stage][label])


def grad_cam(maps_CHW: np.ndarray, gradients_CHW: np.ndarray) -> np.ndarray:
    """(C, h, w), (C, h, w) -> (h, w): where the maps speak for a class."""
    weights_C = gradients_CHW.mean(axis=(1, 2))
    return np.maximum(np.tensordot(weights_C, maps_CHW, axes=1), 0.0).astype(np.float32)


def look_inside(network: Network, picture_CHW: np.ndarray) -> Inside:
    """Show a network one picture and write down what it does.

    Args:
        network: in evaluation mode; its weights need no gradient and are not touched.
        picture_CHW: float32 (in_channels, H, W), as `flow.network_input` makes it.
    Raises:
        ImageError: the picture has another number of channels.
    """
    if picture_CHW.ndim != 3 or picture_CHW.shape[0] != network.settings.in_channels:
        raise ImageError(
            f"picture of shape {picture_CHW.shape}: the network takes {network.settings.in_channels} channels"
        )
    stages: list[Tensor] = []
    seen: dict[str, dict[str, Any]] = {}
    x = torch.from_numpy(np.ascontiguousarray(picture_CHW, np.float32))[None].requires_grad_()
    was_training = network.training
    network.eval()
    try:
        with torch.enable_grad(), _hooks(network, stages, seen):
            logits = network(x)[0]
    finally:
        network.train(was_training)
    gradients = [torch.autograd.grad(logit, stages, retain_graph=True) for logit in logits]
    return Inside(
        logits=_array(logits),
        probabilities=_array(logits.softmax(0)),
        stages=tuple(_array(stage[0]) for stage in stages),
        gradients=tuple(np.stack([_array(by_label[i][0]) for by_label in gradients]) for i in range(len(stages))),
        bands=tuple(_bands(name, dict(network.named_modules())[name], parts) for name, parts in seen.items()),
    )


@contextmanager
def _hooks(network: Network, stages: list[Tensor], seen: dict[str, dict[str, Any]]) -> Iterator[None]:
    """While inside: stages' outputs are appended to `stages`, parts of each WADM put into `seen` under its name."""
    handles = [stage.register_forward_hook(lambda _, __, out: stages.append(out)) for stage in network.stages]

    def keep(name: str, part: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(module: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
            seen.setdefault(name, {})[part] = (given[0], out)

        return hook

    def add(name: str, part: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(module: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
            parts = seen.setdefault(name, {})  # a shared perceptron is asked twice: for the mean and for the maximum
            parts[part] = parts[part] + out if part in parts else out

        return hook

    for name, module in network.named_modules():
        if isinstance(module, Wadm):
            for part in ("spatial", "channel", "conv"):
                handles.append(module.get_submodule(part).register_forward_hook(keep(name, part)))
            handles.append(module.register_forward_hook(keep(name, "whole")))
            if isinstance(module.spatial, SpatialAttention):
                handles.append(module.spatial.conv.register_forward_hook(keep(name, "places")))
            if isinstance(module.channel, ChannelAttention):
                for perceptron in filter(None, (module.channel.mlp, module.channel.max_mlp)):
                    handles.append(perceptron.register_forward_hook(add(name, "channels")))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _bands(name: str, wadm: nn.Module, parts: dict[str, Any]) -> Bands:
    assert isinstance(wadm, Wadm)
    high_bands = wadm.transform.high_bands
    high_names = BAND_NAMES.get(high_bands, tuple(f"high {i + 1}" for i in range(high_bands)))
    (low_in, low_out), (high_in, high_out) = parts["spatial"], parts["channel"]

    def apart(low: Tensor, high: Tensor) -> tuple[np.ndarray, ...]:
        return tuple(_array(band[0]) for band in (low, *high.chunk(high_bands, dim=1)))

    places, channels = parts.get("places"), parts.get("channels")
    return Bands(
        module=name,
        stage=int(name.split(".")[1]),
        taken=_array(parts["whole"][0][0]),
        names=("low" if high_bands == 1 else "LL", *high_names),
        before=apart(low_in, high_in),
        after=apart(low_out, high_out),
        place_weights=None if places is None else _array(places[1][0, 0].sigmoid()),
        channel_weights=None if channels is None else _array(channels[0].sigmoid().reshape(high_bands, -1)),
        merged=_array(parts["conv"][0][0]),
    )


def _array(values: Tensor) -> np.ndarray:
    return values.detach().cpu().numpy().astype(np.float32)
