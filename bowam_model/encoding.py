"""`flow.encode` for many flows at once, on any device.

Axis legend: B batch, C channels, H rows, W columns; flows have the axes of `flow.bidirectional_flow`, channels first.
"""

import torch
from torch import Tensor

from bowam_model.errors import ImageError
from bowam_model.flow import Encoding


def encode_batch(flows_BCHW: Tensor, encoding: Encoding) -> Tensor:
    """Pictures of flows, as `flow.encode` makes them one by one; equal to them up to 1e-5.

    Args:
        flows_BCHW: float32 (B, encoding.values, H, W).
    Returns:
        float32 (B, encoding.channels, H, W).
    Raises:
        ImageError: the flows do not have the shape that the fusion makes.
    """
    if flows_BCHW.ndim != 4 or flows_BCHW.shape[1] != encoding.values or min(flows_BCHW.shape[2:]) < 2:
        raise ImageError(
            f"flows of shape {tuple(flows_BCHW.shape)} can't be encoded: "
            f"{encoding.fusion!r} makes (B, {encoding.values}, H, W)"
        )
    if encoding.centre:
        flows_BCHW = centred(flows_BCHW)
    if encoding.colours == "picture":
        return flows_BCHW
    fields = flows_BCHW[:, : vectors(flows_BCHW)].split(2, dim=1)
    return torch.cat([_paint(field, encoding) for field in fields], dim=1)


def vectors(flows_BCHW: Tensor) -> int:
    """How many of the channels are parts of vectors: all but the strain of a ready picture."""
    return flows_BCHW.shape[1] // 2 * 2


def centred(flows_BCHW: Tensor) -> Tensor:
    """Flows from whose u and v the median over the picture is subtracted."""
    moving = vectors(flows_BCHW)
    flat = flows_BCHW[:, :moving].flatten(2)
    pixels = flat.shape[2]
    # The mean of the two in the middle, as NumPy has it; torch.median would be the lower one.
    low, high = (flat.kthvalue(k, dim=2).values for k in ((pixels + 1) // 2, pixels // 2 + 1))
    return torch.cat([flows_BCHW[:, :moving] - ((low + high) / 2)[..., None, None], flows_BCHW[:, moving:]], dim=1)


def _paint(field_B2HW: Tensor, encoding: Encoding) -> Tensor:
    scaled = field_B2HW / encoding.unit
    if encoding.colours == "uv":
        return scaled
    if encoding.colours == "hsv":
        return _hsv(scaled)
    (u_y, v_y), (u_x, v_x) = (_slope(field_B2HW, dim).unbind(1) for dim in (2, 3))
    strain = torch.sqrt(u_x**2 + v_y**2 + 2 * ((u_y + v_x) / 2) ** 2)
    derivatives = [strain]
    if encoding.colours == "uv_derivatives":
        derivatives += [u_x + v_y, v_x - u_y, u_x - v_y, u_y + v_x]
    return torch.cat([scaled, torch.stack(derivatives, dim=1)], dim=1)


def _slope(maps: Tensor, dim: int) -> Tensor:
    """Central differences, as NumPy's gradient has them. `torch.gradient` fixes the size of the batch on export."""
    first, last = maps.narrow(dim, 0, 2).diff(dim=dim), maps.narrow(dim, -2, 2).diff(dim=dim)
    size = maps.shape[dim] - 2
    return torch.cat([first, (maps.narrow(dim, 2, size) - maps.narrow(dim, 0, size)) / 2, last], dim)


def _hsv(scaled_B2HW: Tensor) -> Tensor:
    u, v = scaled_B2HW.unbind(1)
    value = torch.sqrt(u**2 + v**2).clamp(max=1)  # TensorRT has no hypot
    sixths = torch.atan2(v, u) * (3 / torch.pi)
    wheel = [torch.remainder(sixths + start, 6) for start in (5, 3, 1)]
    rgb = torch.stack([value - value * torch.minimum(k, 4 - k).clamp(0, 1) for k in wheel], dim=1)
    return (rgb - 0.5) / 0.5
