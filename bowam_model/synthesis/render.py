"""From a plan and a photo to pictures.

The photo is brought once to SUPERSAMPLING times the size of the picture; every frame is *one* warp of it, expression
and head together, which is then scaled down by averaging. A displacement of a tenth of a pixel is therefore a real one.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache

import cv2
import numpy as np

from bowam_model.synthesis.fields import (
    CROP_PX,
    GRID_ORIGIN_PX,
    GRID_SHAPE,
    LIP_SEAM,
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
STILL = Expression(field=np.zeros((*GRID_SHAPE, 2), np.float32), lip_gap=np.zeros(len(LIP_SEAM), np.float32))


class Head:
    """How a head wanders and nods: a similarity within its outline, fading to nothing in the background."""

    def __init__(self, plan: ClipPlan) -> None:
        self._plan = plan
        self._weight, self._arm, self._nearness = _head_shape()
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
    """What the skin of one face does in a plan. `expression` and `closure` are the closed form of the truth."""

    def __init__(self, plan: ClipPlan, fields: FaceFields) -> None:
        self._plan = plan
        self._expressions = [(m, fields.expression(m.actions)) for m in plan.movements if m.actions]
        if plan.speech:
            self._jaw, self._width = fields.expression([Action(26)]), fields.expression([Action(14)])

    def expression(self, t_ms: float) -> Expression:
        """Displacement of the skin on the head at `t_ms`, in pixels of the crop; STILL where nothing moves."""
        parts = []
        for movement, expression in self._expressions:
            if level := float(movement.level(t_ms)):
                parts.append((level * movement.amplitude_px, expression))
        for speech in self._plan.speech:
            jaw_px, width_px = speech.jaw_and_width(t_ms)
            if jaw_px or width_px:
                parts += [(jaw_px, self._jaw), (width_px, self._width)]
        if not parts:
            return STILL
        return Expression(
            field=sum(np.float32(px) * e.field for px, e in parts),  # type: ignore[arg-type]
            lip_gap=sum(px * e.lip_gap for px, e in parts),  # type: ignore[arg-type]
        )

    def closure(self, t_ms: float) -> float:
        """How far the eyes are closed at `t_ms`, 0..1."""
        return max((float(m.level(t_ms)) for m in self._plan.movements if m.kind == "blink"), default=0.0)


class Stage:
    """One identity before the camera: shows it with any expression, closure of the eyes and position of the head."""

    def __init__(self, identity: Identity, size: tuple[int, int], zoom: float) -> None:
        width, height = size
        zoom, origin = _framing(identity, size, zoom)
        self._scale = scale = SUPERSAMPLING * zoom  # texture pixels for one pixel of the crop
        self._origin = origin
        self.to_picture = np.array([[zoom, 0, -zoom * origin[0]], [0, zoom, -zoom * origin[1]]])  # crop -> picture
        self._texture = _texture(identity, scale, origin, (SUPERSAMPLING * width, SUPERSAMPLING * height))
        self._eyelids = [Eyelid(rows, identity.landmarks, scale, origin) for rows in (LID_RIGHT, LID_LEFT)]
        self._seam = np.stack(lip_seam(identity.landmarks), axis=-1)
        self._mouth_colour = mouth_colour(self._texture, (self._seam - origin) * scale)
        self._background = _shrink(self._texture)
        # The part of the texture that the grid of fields covers, cut to whole pixels of the picture.
        first = np.array(GRID_ORIGIN_PX) - origin
        low = np.floor(first * zoom).astype(int).clip(0, (width, height))
        high = np.ceil((first + GRID_SHAPE[::-1]) * zoom).astype(int).clip(0, (width, height))
        self._box = (slice(low[1], high[1]), slice(low[0], high[0]))  # in the picture
        self._corner = SUPERSAMPLING * low
        columns, rows = SUPERSAMPLING * (high - low)
        x, y = np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32)
        self._at_rest = np.stack(np.meshgrid(x + self._corner[0], y + self._corner[1]), axis=-1)
        shift = self._corner / scale + origin - GRID_ORIGIN_PX
        self._to_grid = np.array([[1 / scale, 0, shift[0]], [0, 1 / scale, shift[1]]])

    def show(self, expression: Expression, closure: float, head: np.ndarray) -> np.ndarray:
        """The picture, uint8 (H, W, 3), or (H, W) for a grey photo. `head` is a field like that of `expression`."""
        texture = self._texture
        if closure:
            texture = texture.copy()
            for eyelid in self._eyelids:
                texture[eyelid.box] = eyelid.close(self._texture, closure)
        fine = cv2.warpAffine(
            displace(expression, head),
            self._to_grid,
            self._at_rest.shape[1::-1],
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
        )
        warped = _sample(texture, cv2.scaleAdd(fine, -self._scale, self._at_rest))
        if expression.lip_gap.any():
            columns, rows = np.rint(self._seam - GRID_ORIGIN_PX).astype(int).T
            seam = (self._seam + head[rows, columns] - self._origin) * self._scale - self._corner
            open_mouth(warped, seam, expression.lip_gap * self._scale, self._mouth_colour)
        picture = self._background.copy()
        picture[self._box] = _shrink(warped)
        return picture


class Camera:
    """Light, flicker and the sensor's noise, which follows from the seed and the frame's number."""

    def __init__(self, scene: Scene, seed: int, shape: tuple[int, ...], margin: int = 96) -> None:
        self._scene, self._seed = scene, seed
        # One sheet larger than the picture, of which every frame shows another part: cheaper than new noise.
        if scene.noise:
            rng = np.random.default_rng((seed, 3))
            large = (shape[0] + margin, shape[1] + margin)
            grey = cv2.GaussianBlur(rng.standard_normal(large, dtype=np.float32), (0, 0), 0.5)
            sheet = (grey / grey.std()).reshape(*large, *(1 for _ in shape[2:]))
            if len(shape) == 3:
                colour = cv2.GaussianBlur(rng.standard_normal((*large, 3), dtype=np.float32), (0, 0), 0.8)
                sheet = sheet + 0.5 * colour / colour.std()
            self._grain = np.rint(sheet * scene.noise).astype(np.int16)

    def expose(self, picture: np.ndarray, frame: int, t_ms: float) -> np.ndarray:
        """The picture as the sensor sees it at `t_ms`."""
        scene, seconds = self._scene, t_ms / 1000.0
        wave = 0.7 * np.sin(2 * np.pi * MAINS_HZ * seconds) + 0.3 * np.sin(2 * np.pi * 0.4 * seconds)
        gain = scene.light * (1.0 + scene.flicker * wave)
        if gain != 1.0:
            picture = cv2.convertScaleAbs(picture, alpha=gain)
        if scene.noise:
            height, width = picture.shape[:2]
            rng = np.random.default_rng((self._seed, 2, frame))
            y, x = rng.integers(0, (self._grain.shape[0] - height + 1, self._grain.shape[1] - width + 1))
            picture = cv2.add(picture, self._grain[y : y + height, x : x + width], dtype=cv2.CV_8U)
        return picture


class Renderer:
    """Pictures of one identity at any frame of a plan."""

    def __init__(self, plan: ClipPlan, identity: Identity) -> None:
        self._plan = plan
        self._stage = Stage(identity, plan.size, plan.zoom)
        self._performer, self._head = Performer(plan, FaceFields(identity.landmarks)), Head(plan)
        self._camera = Camera(plan.scene, plan.seed, (plan.size[1], plan.size[0], 3))
        self.to_picture = self._stage.to_picture  # float64 (2, 3): crop -> picture

    def displacement(self, t_ms: float) -> np.ndarray:
        """What is applied to the photo at `t_ms`: float32 (rows, columns, 2) on the grid, pixels of the crop."""
        return displace(self._performer.expression(t_ms), self._head.field(t_ms))

    def picture(self, frame: int) -> np.ndarray:
        """Frame `frame` of the clip, uint8 (H, W, 3) RGB."""
        t_ms = self._plan.time_ms(frame)
        performer = self._performer
        picture = self._stage.show(performer.expression(t_ms), performer.closure(t_ms), self._head.field(t_ms))
        return self._camera.expose(picture, frame, t_ms)


def render(plan: ClipPlan, identity: Identity, *, threads: int = 1) -> Iterator[np.ndarray]:
    """The frames of a plan in order, uint8 (H, W, 3) RGB. The same plan and photo give the same pixels.

    With more than one thread, some frames are made ahead while the caller works with the one that it has.
    """
    renderer = Renderer(plan, identity)
    if threads == 1:
        yield from map(renderer.picture, range(plan.frames))
        return
    with ThreadPoolExecutor(threads) as pool:
        ahead: deque[Future[np.ndarray]] = deque()
        for frame in range(plan.frames + 2 * threads):
            if frame < plan.frames:
                ahead.append(pool.submit(renderer.picture, frame))
            if frame >= 2 * threads:
                yield ahead.popleft().result()


def displace(expression: Expression, head: np.ndarray) -> np.ndarray:
    """Both together: the skin moves on the head, and the head moves with it."""
    if expression is STILL:
        return head
    return head + _sample(expression.field, _grid_indices() - head)


@lru_cache(maxsize=1)
def _grid_indices() -> np.ndarray:
    x, y = grid()
    return np.stack([x - GRID_ORIGIN_PX[0], y - GRID_ORIGIN_PX[1]], axis=-1)


@lru_cache(maxsize=1)
def _head_shape() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How much of the head's movement a place takes part in, its arm to the pivot, its nearness to the camera."""
    x, y = grid()
    weight = 1.0 - smoothstep(np.hypot((x - 120.0) / 220.0, (y - 115.0) / 235.0), 0.55, 0.98)
    weight[[0, -1], :] = 0.0
    weight[:, [0, -1]] = 0.0
    arm = np.stack([x - PIVOT_PX[0], y - PIVOT_PX[1]], axis=-1)
    bulge = np.sqrt(np.clip(1.0 - ((x - 120.0) / 130.0) ** 2 - ((y - 130.0) / 170.0) ** 2, 0.0, 1.0))
    return weight, arm, 0.6 + 0.4 * bulge  # a nod moves the nose further than the ears


def _sample(image: np.ndarray, where: np.ndarray) -> np.ndarray:
    """`image` at the places `where` (H, W, 2), bilinear."""
    return cv2.remap(image, where, np.empty(0), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


def _shrink(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    return cv2.resize(image, (width // SUPERSAMPLING, height // SUPERSAMPLING), interpolation=cv2.INTER_AREA)


def _framing(identity: Identity, size: tuple[int, int], zoom: float) -> tuple[float, np.ndarray]:
    """Zoom, and the point of the crop at the picture's upper left corner.

    The face is in the middle, but the picture stays within the photo where it can, at up to 1.3 times the zoom wanted.
    """
    picture_px = np.array(size, float)
    photo_px = np.array(identity.photo.shape[1::-1], float) * np.sqrt(abs(np.linalg.det(identity.transform[:, :2])))
    zoom = float(min(max(zoom, *(picture_px / photo_px)), 1.3 * zoom))
    origin = np.array([CROP_PX / 2, 110.0]) - picture_px / zoom / 2
    corner = identity.transform[:, 2]  # where the photo's upper left corner lies in the crop (its tilt neglected)
    spare = photo_px - picture_px / zoom
    inside = np.clip(origin, corner, corner + np.maximum(spare, 0.0))
    return zoom, np.where(spare > 0, inside, corner + spare / 2)


def _texture(identity: Identity, scale: float, origin: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The photo at rest in the texture's frame, uint8 (height, width[, 3])."""
    to_texture = scale * (identity.transform - np.array([[0, 0, origin[0]], [0, 0, origin[1]]]))
    photo = identity.photo
    reduction = 1.0 / np.sqrt(abs(np.linalg.det(to_texture[:, :2])))
    if reduction > 1.5:  # a large photo: average first, or the warp would skip pixels
        photo = cv2.resize(photo, None, fx=1 / reduction, fy=1 / reduction, interpolation=cv2.INTER_AREA)
        to_texture = to_texture @ np.diag([identity.photo.shape[1] / photo.shape[1]] * 2 + [1.0])
    return cv2.warpAffine(photo, to_texture, size, flags=cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REFLECT_101)
