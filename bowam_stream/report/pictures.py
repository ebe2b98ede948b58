"""Pictures of one event: its three crops, the bidirectional flow over the apex with arrows, the optical strain."""

import base64

import cv2
import msgspec
import numpy as np

from bowam_model.flow import bidirectional_flow, optical_strain
from bowam_stream.messages import Triple

ARROW_STEP_PX = 12  # one arrow per cell of the crop
ARROW_REACH_PX = 20.0  # how long the longest arrows may become
MAGNIFICATIONS = (1, 2, 5, 10)
FULL_COLOUR_PX = 1.2  # movement is never drawn at full strength below this: noise must look like noise
PLAIN_GREY = 96  # what the flow is drawn over where no face may be seen
FULL_STRAIN = 0.1  # nor is strain


class Fineness(msgspec.Struct, frozen=True, kw_only=True):
    """How much space pictures may take."""

    side_px: int
    webp_quality: int  # crops are noisy: lossless PNG would take five times the space of the finest
    strain: bool  # whether there is a picture of the strain


# From the finest down: some 45, 25 and 15 kB per event, up to half as much again with a noisy camera.
FINENESSES = (
    Fineness(side_px=240, webp_quality=85, strain=True),
    Fineness(side_px=240, webp_quality=65, strain=False),
    Fineness(side_px=160, webp_quality=60, strain=False),
)


class EventPictures(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows of one event. Pictures are data URIs; those that are left out are ""."""

    onset: str
    apex: str
    offset: str
    flow: str  # direction as colour, length as strength, over the apex
    arrows: str  # path of an SVG in crop px, to be laid over `flow`
    magnification: int  # of the arrows
    largest_px: float  # 99th percentile of the movement
    strain: str
    largest_strain: float  # 99th percentile, px per px


def event_pictures(triple: Triple, fineness: Fineness = FINENESSES[0], *, faces: bool = True) -> EventPictures:
    """Compute the flow as the network sees it, and draw it over the apex; without `faces`, over plain grey."""
    # The flow points from the apex home, twice; people ask where the skin went.
    movement = bidirectional_flow(triple.onset, triple.apex, triple.offset) / -2.0
    length = np.linalg.norm(movement, axis=2)
    largest = float(np.percentile(length, 99))
    magnification = next((m for m in reversed(MAGNIFICATIONS) if m * largest <= ARROW_REACH_PX), 1)
    strain = optical_strain(movement)
    largest_strain = float(np.percentile(strain, 99))
    ground = triple.apex if faces else np.full_like(triple.apex, PLAIN_GREY)
    flow_picture = _over(ground, direction_colours(movement), length / max(largest, FULL_COLOUR_PX))
    strain_picture = _over(ground, *_heat(strain / max(largest_strain, FULL_STRAIN)))
    return EventPictures(
        onset=data_uri(triple.onset, fineness) if faces else "",
        apex=data_uri(triple.apex, fineness) if faces else "",
        offset=data_uri(triple.offset, fineness) if faces else "",
        flow=data_uri(flow_picture, fineness),
        arrows=arrows(movement, magnification, least_px=0.25 * max(largest, FULL_COLOUR_PX)),
        magnification=magnification,
        largest_px=largest,
        strain=data_uri(strain_picture, fineness) if fineness.strain else "",
        largest_strain=largest_strain,
    )


def data_uri(picture: np.ndarray, fineness: Fineness = FINENESSES[0]) -> str:
    """A uint8 picture, (H, W) grey or (H, W, 3) RGB, as WebP in a data URI; larger ones are reduced."""
    picture = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    if max(picture.shape[:2]) > fineness.side_px:
        picture = cv2.resize(picture, (fineness.side_px, fineness.side_px), interpolation=cv2.INTER_AREA)
    _, code = cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, fineness.webp_quality])
    return "data:image/webp;base64," + base64.b64encode(code.tobytes()).decode()


def direction_colours(vectors: np.ndarray) -> np.ndarray:
    """Float (H, W, 2) -> uint8 (H, W, 3) RGB: the hue is the direction, as on the wheel."""
    hue_deg = np.degrees(np.arctan2(vectors[..., 1], vectors[..., 0])) % 360.0
    hls = np.dstack([hue_deg, np.full_like(hue_deg, 0.55), np.full_like(hue_deg, 0.95)]).astype(np.float32)
    return np.rint(cv2.cvtColor(hls, cv2.COLOR_HLS2RGB) * 255).astype(np.uint8)


def colour_wheel(side_px: int = 96) -> str:
    """The legend of `direction_colours`: the colour of a movement from the middle to that point."""
    line = (np.arange(side_px) + 0.5) / side_px * 2 - 1
    vectors = np.dstack(np.meshgrid(line, line))
    length = np.linalg.norm(vectors, axis=2)
    alpha = np.clip((1 - length) * side_px / 4, 0, 1) * np.clip(length, 0, 1)
    rgba = np.dstack([direction_colours(vectors)[..., ::-1], np.rint(alpha * 255).astype(np.uint8)])
    _, code = cv2.imencode(".png", rgba)
    return "data:image/png;base64," + base64.b64encode(code.tobytes()).decode()


def arrows(vectors: np.ndarray, magnification: int, *, least_px: float) -> str:
    """SVG path of arrows (shaft and head) on a grid; movement shorter than `least_px` has none."""
    height, width = vectors.shape[:2]
    smooth = cv2.blur(vectors, (ARROW_STEP_PX // 2, ARROW_STEP_PX // 2))
    path = []
    for y in range(ARROW_STEP_PX // 2, height, ARROW_STEP_PX):
        for x in range(ARROW_STEP_PX // 2, width, ARROW_STEP_PX):
            u, v = smooth[y, x]
            length = float(np.hypot(u, v))
            if length < least_px:
                continue
            dx, dy = u * magnification, v * magnification
            tip_x, tip_y = x + dx, y + dy
            head = min(3.5, 0.5 * length * magnification) / (length * magnification)
            left = (tip_x - head * (dx + 0.6 * dy), tip_y - head * (dy - 0.6 * dx))
            right = (tip_x - head * (dx - 0.6 * dy), tip_y - head * (dy + 0.6 * dx))
            path.append(
                f"M{x} {y}L{tip_x:.1f} {tip_y:.1f}M{left[0]:.1f} {left[1]:.1f}L{tip_x:.1f} {tip_y:.1f}"
                f"L{right[0]:.1f} {right[1]:.1f}"
            )
    return "".join(path)


def _heat(share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colours and strength of a share 0..1."""
    share = np.clip(share, 0, 1)
    colours = cv2.applyColorMap(np.rint(share * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    return cv2.cvtColor(colours, cv2.COLOR_BGR2RGB), share * 1.15


def _over(grey: np.ndarray, colours: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Colours over a darkened face: as strong as the movement, and what is weak even weaker."""
    alpha = np.clip(strength, 0, 1)[:, :, None] ** 1.5 * 0.9
    base = np.repeat(grey[:, :, None] * 0.6, 3, axis=2)
    return np.rint(base * (1 - alpha) + colours * alpha).astype(np.uint8)
