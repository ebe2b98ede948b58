"""From a plan and a photo to pictures.

The photo is brought once to SUPERSAMPLING times the size of the picture; every frame is *one* warp of it, expression
and head together, which is then scaled down by averaging. A displacement of a tenth of a pixel is therefore a real one.
"""

from collections.abc import Iterator

import cv2
import numpy as np

from bowam_model.synthesis.fields import (
    CROP_PX,
    GRID_ORIGIN_PX,
    GRID_SHAPE,
    Action,
    Expression,
    FaceFields,
    grid,
    lip_seam,
    smoothstep,
)
from bowam_model.synthesis.identity import Identity
from bowam_model.synthesis.occlusion import LID_LEFT, LID_RIGHT, Eyelid, mouth_colour, open_mouth
from bowam_model.synthesis.plan import ClipPlan, Scene

SUPERSAMPLING = 2
PIVOT_PX = (120.0, 260.0)  # the head turns about the neck
MAINS_HZ = 100.3  # light flickers at twice the mains frequency, which is never quite 50 Hz


class Head:
    """How a head wanders and nods; similarity within the outline of the head, fading to nothing in the background."""

    def __init__(self, plan: ClipPlan) -> None:
        x, y = grid()
        away = np.hypot((x - 120.0) / 220.0, (y - 115.0) / 235.0)
        self._weight = 1.0 - smoothstep(away, 0.55, 0.98)
        self._weight[[0, -1], :] = 0.0
        self._weight[:, [0, -1]] = 0.0
        self._arm = np.stack([x - PIVOT_PX[0], y - PIVOT_PX[1]], axis=-1)
        bulge = np.sqrt(np.clip(1.0 - ((x - 120.0) / 130.0) ** 2 - ((y - 130.0) / 170.0) ** 2, 0.0, 1.0))
        self._nearness = 0.6 + 0.4 * bulge  # a nod moves the nose further than the ears
        self._plan = plan
        rng = np.random.default_rng((plan.seed, 1))
        self._drift_hz, self._drift_phase = rng.uniform(0.05, 0.35, (4, 3)), rng.uniform(0, 2 * np.pi, (4, 3))
        self._tremor_hz, self._tremor_phase = rng.uniform(5, 11, (2, 3)), rng.uniform(0, 2 * np.pi, (2, 3))

    def field(self, t_ms: float) -> np.ndarray:
        """Displacement of the head at `t_ms`, float32 (rows, columns, 2), pixels of the crop."""
        scene = self._plan.scene
        root = np.sqrt(2.0 / 3.0)  # three sines of amplitude 1 have a standard deviation of sqrt(3 / 2)
        drift = root * np.sin(2e-3 * np.pi * self._drift_hz * t_ms + self._drift_phase).sum(axis=1) * scene.drift_px
        tremor = root * np.sin(2e-3 * np.pi * self._tremor_hz * t_ms + self._tremor_phase).sum(axis=1) * scene.tremor_px
        shift = drift[:2] + tremor
        turn, growth = drift[2] * 0.0025, drift[3] * 0.0015  # radians and share, per pixel of drift
        field = np.empty((*GRID_SHAPE, 2), np.float32)
        field[..., 0] = shift[0] + growth * self._arm[..., 0] - turn * self._arm[..., 1]
        field[..., 1] = shift[1] + growth * self._arm[..., 1] + turn * self._arm[..., 0]
        for nod in self._plan.nods:
            if level := nod.level(t_ms):
                field[..., 0] += level * nod.yaw_px * self._nearness
                field[..., 1] += level * nod.pitch_px * self._nearness
        field *= self._weight[..., None]
        return field


class Performer:
    """The face of one identity doing what a plan says. `field` and `closure` are the closed form of the truth."""

    def __init__(self, plan: ClipPlan, landmarks: np.ndarray) -> None:
        fields = FaceFields(landmarks)
        self._plan = plan
        self._still = Expression(
            field=np.zeros((*GRID_SHAPE, 2), np.float32), lip_gap=np.zeros(len(lip_seam(landmarks)[0]), np.float32)
        )
        self._expressions = [(m, fields.expression(m.actions)) for m in plan.movements if m.actions]
        if plan.speech:
            self._jaw, self._width = fields.expression([Action(26)]), fields.expression([Action(14)])

    def expression(self, t_ms: float) -> Expression:
        """What the skin does at `t_ms`, in pixels of the crop."""
        parts = []
        for movement, expression in self._expressions:
            if level := float(movement.level(t_ms)):
                parts.append((level * movement.amplitude_px, expression))
        for speech in self._plan.speech:
            jaw_px, width_px = speech.jaw_and_width(t_ms)
            if jaw_px or width_px:
                parts += [(jaw_px, self._jaw), (width_px, self._width)]
        if not parts:
            return self._still
        return Expression(
            field=sum(np.float32(px) * e.field for px, e in parts),  # type: ignore[arg-type]
            lip_gap=sum(px * e.lip_gap for px, e in parts),  # type: ignore[arg-type]
        )

    def closure(self, t_ms: float) -> float:
        """How far the eyes are closed at `t_ms`, 0..1."""
        return max((float(m.level(t_ms)) for m in self._plan.movements if m.kind == "blink"), default=0.0)


class Renderer:
    """Pictures of one identity at any instant of a plan."""

    def __init__(self, plan: ClipPlan, identity: Identity) -> None:
        width, height = plan.size
        self._plan = plan
        self._performer, self._head = Performer(plan, identity.landmarks), Head(plan)
        zoom, origin = _framing(plan, identity)
        self._scale = scale = SUPERSAMPLING * zoom  # texture pixels for one pixel of the crop
        self._origin = origin
        self.to_picture = np.array([[zoom, 0, -zoom * origin[0]], [0, zoom, -zoom * origin[1]]])  # crop -> picture
        self._texture = _texture(identity, scale, origin, (SUPERSAMPLING * width, SUPERSAMPLING * height))
        self._eyelids = [Eyelid(rows, identity.landmarks, scale, origin) for rows in (LID_RIGHT, LID_LEFT)]
        self._seam = np.stack(lip_seam(identity.landmarks), axis=-1)
        self._mouth_colour = mouth_colour(self._texture, (self._seam - origin) * scale)
        self._background = self._shrink(self._texture)
        # The part of the texture that the grid of fields covers, cut to whole pixels of the picture.
        low = np.floor((np.array(GRID_ORIGIN_PX) - origin) * zoom).astype(int).clip(0, (width, height))
        high = (
            np.ceil((np.array(GRID_ORIGIN_PX) + GRID_SHAPE[::-1] - origin) * zoom).astype(int).clip(0, (width, height))
        )
        self._box = (slice(low[1], high[1]), slice(low[0], high[0]))  # in the picture
        self._corner = SUPERSAMPLING * low
        columns, rows = SUPERSAMPLING * (high - low)
        x, y = np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32)
        self._at_rest = np.stack(np.meshgrid(x + self._corner[0], y + self._corner[1]), axis=-1)
        shift = self._corner / scale + origin - GRID_ORIGIN_PX
        self._to_grid = np.array([[1 / scale, 0, shift[0]], [0, 1 / scale, shift[1]]])
        grid_x, grid_y = grid()
        self._grid = np.stack([grid_x - GRID_ORIGIN_PX[0], grid_y - GRID_ORIGIN_PX[1]], axis=-1)
        self._grain = _grain(plan.scene, plan.seed, plan.size)

    def displacement(self, t_ms: float) -> np.ndarray:
        """Expression and head together, on the grid: what `picture` applies, float32 (rows, columns, 2)."""
        return self._displace(self._performer.expression(t_ms), self._head.field(t_ms))

    def picture(self, frame: int) -> np.ndarray:
        """Frame `frame` of the clip, uint8 (H, W, 3) RGB."""
        t_ms = self._plan.time_ms(frame)
        expression, head = self._performer.expression(t_ms), self._head.field(t_ms)
        texture = self._texture
        if closure := self._performer.closure(t_ms):
            texture = texture.copy()
            for eyelid in self._eyelids:
                texture[eyelid.box] = eyelid.close(self._texture, closure)
        size = self._at_rest.shape[1::-1]
        fine = cv2.warpAffine(
            self._displace(expression, head), self._to_grid, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
        )  # fmt: skip
        source = cv2.scaleAdd(fine, -self._scale, self._at_rest)
        warped = _sample(texture, source)
        if expression.lip_gap.any():
            columns, rows = np.rint(self._seam - GRID_ORIGIN_PX).astype(int).T
            seam = (self._seam + head[rows, columns] - self._origin) * self._scale - self._corner
            open_mouth(warped, seam, expression.lip_gap * self._scale, self._mouth_colour)
        picture = self._background.copy()
        picture[self._box] = self._shrink(warped)
        return self._expose(picture, frame)

    def _displace(self, expression: Expression, head: np.ndarray) -> np.ndarray:
        """The skin moves on the head, and the head moves with it."""
        if expression is self._performer._still:
            return head
        return head + _sample(expression.field, self._grid - head)

    def _shrink(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        return cv2.resize(image, (width // SUPERSAMPLING, height // SUPERSAMPLING), interpolation=cv2.INTER_AREA)

    def _expose(self, picture: np.ndarray, frame: int) -> np.ndarray:
        """Light, flicker and the sensor's noise."""
        scene, seconds = self._plan.scene, self._plan.time_ms(frame) / 1000.0
        wave = 0.7 * np.sin(2 * np.pi * MAINS_HZ * seconds) + 0.3 * np.sin(2 * np.pi * 0.4 * seconds)
        gain = scene.light * (1.0 + scene.flicker * wave)
        if gain != 1.0:
            picture = cv2.convertScaleAbs(picture, alpha=gain)
        if scene.noise:
            height, width = picture.shape[:2]
            rng = np.random.default_rng((self._plan.seed, 2, frame))
            y, x = rng.integers(0, (self._grain.shape[0] - height + 1, self._grain.shape[1] - width + 1))
            picture = cv2.add(picture, self._grain[y : y + height, x : x + width], dtype=cv2.CV_8U)
        return picture


def render(plan: ClipPlan, identity: Identity) -> Iterator[np.ndarray]:
    """The frames of a plan in order, uint8 (H, W, 3) RGB. The same arguments give the same pixels."""
    renderer = Renderer(plan, identity)
    for frame in range(plan.frames):
        yield renderer.picture(frame)


def _sample(image: np.ndarray, where: np.ndarray) -> np.ndarray:
    """`image` at the places `where` (H, W, 2), bilinear."""
    return cv2.remap(image, where, np.empty(0), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


def _framing(plan: ClipPlan, identity: Identity) -> tuple[float, np.ndarray]:
    """Zoom, and the point of the crop at the picture's upper left corner.

    The face is in the middle, but the picture stays within the photo where it can, at up to 1.3 times the plan's zoom.
    """
    size = np.array(plan.size, float)
    photo_px = np.array(identity.photo.shape[1::-1], float) * np.sqrt(abs(np.linalg.det(identity.transform[:, :2])))
    zoom = min(max(plan.zoom, *(size / photo_px)), 1.3 * plan.zoom)
    origin = np.array([CROP_PX / 2, 110.0]) - size / zoom / 2
    corner = identity.transform[:, 2]  # where the photo's upper left corner lies in the crop (its tilt neglected)
    spare = photo_px - size / zoom
    inside = np.clip(origin, corner, corner + np.maximum(spare, 0.0))
    return float(zoom), np.where(spare > 0, inside, corner + spare / 2)


def _texture(identity: Identity, scale: float, origin: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The photo at rest in the texture's frame, uint8 (height, width, 3)."""
    to_texture = scale * (identity.transform - np.array([[0, 0, origin[0]], [0, 0, origin[1]]]))
    photo = identity.photo
    reduction = 1.0 / np.sqrt(abs(np.linalg.det(to_texture[:, :2])))
    if reduction > 1.5:  # a large photo: average first, or the warp would skip pixels
        photo = cv2.resize(photo, None, fx=1 / reduction, fy=1 / reduction, interpolation=cv2.INTER_AREA)
        to_texture = to_texture @ np.diag([identity.photo.shape[1] / photo.shape[1]] * 2 + [1.0])
    return cv2.warpAffine(photo, to_texture, size, flags=cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REFLECT_101)


def _grain(scene: Scene, seed: int, size: tuple[int, int], margin: int = 96) -> np.ndarray:
    """Noise on a sheet larger than the picture, of which every frame shows another part: int16 (H + m, W + m, 3)."""
    if not scene.noise:
        return np.zeros((0, 0, 3), np.int16)
    rng = np.random.default_rng((seed, 3))
    shape = (size[1] + margin, size[0] + margin)
    grey = cv2.GaussianBlur(rng.standard_normal(shape, dtype=np.float32), (0, 0), 0.5)
    colour = cv2.GaussianBlur(rng.standard_normal((*shape, 3), dtype=np.float32), (0, 0), 0.8)
    sheet = grey[..., None] / grey.std() + 0.5 * colour / colour.std()
    return np.rint(sheet * scene.noise).astype(np.int16)
