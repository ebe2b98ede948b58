"""What a network costs, counted on paper: on PyTorch's device "meta" a network has shapes, but no numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bowam_model.attention import ChannelAttention
from bowam_model.flow import NETWORK_PX
from bowam_model.network import create_model


@dataclass(frozen=True, kw_only=True)
class NetworkCost:
    """Table 10, counted."""

    parameters: int  # all of them
    parameters_as_printed: int  # as the paper's profiler counts: without layer norm and layer scale
    multiply_adds: int  # as that profiler counts, which the paper prints as FLOPs


def network_cost(
    architecture: str, options: Mapping[str, Any], num_classes: int = 3, side_px: int = NETWORK_PX
) -> NetworkCost:
    """Count a network for one picture of `side_px`. Raises OptionError for what `create_model` does not know.

    The paper's profiler charges 4 for each value that enters a batch norm and 1 for each that the channel attention
    averages; with these, Table 10 comes out to the printed digit.
    """
    with torch.device("meta"):
        network = create_model(architecture, num_classes, **options).eval()
    charged = 0

    def charge(module: nn.Module, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        nonlocal charged
        charged += inputs[0].numel() * (4 if isinstance(module, nn.BatchNorm2d) else 1)

    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | ChannelAttention):
            module.register_forward_hook(charge)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, network.settings.in_channels, side_px, side_px, device="meta"))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    norms = sum(p.numel() for m in network.modules() if isinstance(m, nn.LayerNorm) for p in m.parameters())
    scales = sum(p.numel() for name, p in network.named_parameters() if name.endswith("gamma"))
    return NetworkCost(
        parameters=parameters,
        parameters_as_printed=parameters - norms - scales,
        multiply_adds=counter.get_total_flops() // 2 + charged,
    )
