"""Everything between three faces and probabilities as one module, for devices on which all of it should stay.

    graph = ServingGraph(predictor.network, encoding=predictor.encoding, temperature=predictor.temperature)
    probabilities_BK = graph(triples)

`Predictor` is the reference, and the choice for a CPU: there OpenCV's flow is several times faster.
"""

from dataclasses import replace
from typing import Self

import torch
from torch import Tensor, nn

from bowam_model.encoding import encode_batch
from bowam_model.errors import OptionError
from bowam_model.farneback import Farneback, Resize, area_matrix
from bowam_model.flow import Encoding
from bowam_model.network import Network

BISECTIONS = 30  # a median is found to the range of the flow times 2^-30, below float32's last bit


class ServingGraph(nn.Module):
    """Flow, encoding, network and softmax. The flow is always float32, also where `half` made the network smaller.

    Args:
        network: is used as it is, not copied.
        encoding: what the network was trained to see.
        temperature: of the softmax.
    Raises:
        OptionError: the encoding is one of ready flow pictures.
    """

    def __init__(self, network: Network, *, encoding: Encoding, temperature: float = 1.0) -> None:
        super().__init__()
        if encoding.fusion == "picture":
            raise OptionError("these weights read ready flow pictures, whose making is unknown: they can't read faces")
        self.network = network.eval()
        self.encoding = encoding
        self.temperature = temperature
        self.farneback = Farneback(encoding.aligned_px, encoding.aligned_px)
        shrink = area_matrix(encoding.aligned_px, encoding.side)
        self.shrink = Resize(shrink, shrink) if encoding.side != encoding.aligned_px else nn.Identity()

    def half(self) -> Self:
        """Half precision for the network, and for it alone."""
        self.network.half()
        return self

    def forward(self, triples_B3HW: Tensor) -> Tensor:
        """uint8 (B, 3, 240, 240), onset, apex, offset -> probabilities, float32 (B, K)."""
        logits = self.network(self.pictures(triples_B3HW).to(self.network.head.weight.dtype))
        return (logits.float() / self.temperature).softmax(1)

    def pictures(self, triples_B3HW: Tensor) -> Tensor:
        """The network's input, as `flow.network_input` makes it: float32 (B, C, 224, 224)."""
        flow_BCHW = self.shrink(self.flow(triples_B3HW))
        encoding = self.encoding
        if encoding.centre:
            flow_BCHW = flow_BCHW - median(flow_BCHW)
            encoding = replace(encoding, centre=False)
        painted = encode_batch(flow_BCHW, encoding)
        top = (encoding.side - encoding.input_px) // 2
        inner = slice(top, top + encoding.input_px)
        return painted[:, :, inner, inner]

    def flow(self, triples_B3HW: Tensor) -> Tensor:
        """`flow.bidirectional_flow`, channels first: float32 (B, 2, 240, 240), four channels for "concat"."""
        onset, apex, offset = triples_B3HW.unbind(1)
        if self.encoding.fusion == "traditional":
            return self.farneback(onset, apex)
        apex_levels = self.farneback.expand(apex)
        out, back = (self.farneback.match(apex_levels, self.farneback.expand(end)) for end in (onset, offset))
        if self.encoding.fusion == "add":
            return out + back
        if self.encoding.fusion == "multiply":
            return out * back
        return torch.cat([out, back], dim=1)


def median(maps_BCHW: Tensor) -> Tensor:
    """The median of each map, (B, C, 1, 1), by halving the range in which it lies: no engine sorts whole pictures.

    Of an even number of values, the lower of the two in the middle.
    """
    low = maps_BCHW.amin((2, 3), keepdim=True)
    high = maps_BCHW.amax((2, 3), keepdim=True)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        above = (maps_BCHW > middle).float().mean((2, 3), keepdim=True) > 0.5
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    return high
