"""Faces of one clip in one common alignment: that of live use, since the network sees nothing else later."""

from collections.abc import Collection

import cv2
import numpy as np

from bowam_model.datasets.sample import Sample
from bowam_model.face import CROP_PX, TEMPLATE, AlignedFace, FaceAligner, FaceSettings, align_still
from bowam_model.face.geometry import RIGID, crop_face, inverse, similarity
from bowam_model.face.steady import SteadyTransform
from bowam_model.preparation.pictures import NS_PER_SECOND, Unusable, frame_numbers, pictures

FEW = 3  # a clip of onset, apex and offset alone tells nothing of how the head moved in between
LEAD_IN_NS = NS_PER_SECOND  # the low-pass has settled after that: four of its time constants, 1 / (2 pi 0.6 Hz)


def face_crops(sample: Sample, wanted: Collection[int], *, steady: bool) -> tuple[dict[int, np.ndarray], list[str]]:
    """The aligned faces of these frames, uint8 (240, 240) grey by frame number, and what was odd.

    With `steady`, every frame from onset to offset goes through `face.FaceAligner`, and onset, apex and offset lie in
    the low-pass filtered alignment of a live run. A live run has watched the head before, a clip begins at its onset:
    the filter is led in by a second of the straight line that fits the head's way through the clip. On 14
    synthetic heads that drift, the flow differs from a live run's by 0.09 px (root mean square) that way, by 0.50 px if
    the filter starts cold, and by 0.35 px if each frame is aligned by itself.

    Where the clip has no other frames, or the face is lost on the way, each frame is aligned by its own landmarks. A
    face that is not found in an already cropped picture is scaled to 240 px.

    Raises Unusable where a frame shows no face or cannot be read.
    """
    numbers = frame_numbers(sample)
    notes = []
    if steady and len(numbers) > FEW:
        crops = _followed(sample, numbers, wanted)
        if crops is not None:
            return crops, []
        notes.append("the face is lost on the way from onset to offset; each frame is aligned by itself")
    crops, faceless = {}, []
    for picture in pictures(sample, wanted):
        face = align_still(picture.image)
        if face is None and not sample.cropped:
            raise Unusable(f"no face in frame {picture.number}")
        if face is None:
            faceless.append(picture.number)
        else:
            crops[picture.number] = face.crop
    if faceless:  # then none of them is aligned: one scale for all three
        crops = {picture.number: _whole(picture.image) for picture in pictures(sample, wanted)}
        notes = [f"no face found in the cropped frame {faceless[0]}; the whole pictures are scaled to {CROP_PX} px"]
    return crops, notes


def steadied(transforms: np.ndarray, times_ns: np.ndarray) -> list[np.ndarray]:
    """Low-pass filtered like a live run's: float64 (N, 2, 3) as measured, int64 (N,) -> N of (2, 3)."""
    seconds = (times_ns - times_ns[0]) / NS_PER_SECOND
    # Similarities are a linear space, so a line through their numbers consists of similarities.
    slope, start = np.polyfit(seconds, transforms.reshape(len(transforms), -1), 1)
    settings = FaceSettings()
    steady = SteadyTransform(
        settings.cutoff_hz, settings.follow_hz_per_px_s, settings.noise_px_s, settings.speed_cutoff_hz
    )
    period_ns = max(int(np.median(np.diff(times_ns))), 1)
    for before_ns in range(LEAD_IN_NS, 0, -period_ns):
        line = start - slope * before_ns / NS_PER_SECOND
        steady.push(line.reshape(2, 3), LEAD_IN_NS - before_ns)
    moments_ns = times_ns - times_ns[0] + LEAD_IN_NS  # no leg begins in a clip, wherever in its recording it lies
    return [steady.push(one, int(t_ns)) for one, t_ns in zip(transforms, moments_ns, strict=True)]


def _followed(sample: Sample, numbers: Collection[int], wanted: Collection[int]) -> dict[int, np.ndarray] | None:
    """Crops under the steadied alignment; None if a frame that is wanted shows no face, or another one."""
    images, seen, tracks = {}, [], set()
    with FaceAligner() as aligner:  # a new one for each clip: nothing of the last one stays
        for picture in pictures(sample, numbers):
            faces = aligner.align(picture.image, picture.t_ns)
            if faces:
                seen.append((picture.number, picture.t_ns, _measured(faces[0])))
                tracks.add(faces[0].track)
                if picture.number in wanted:
                    images[picture.number] = picture.image
    if len(images) < len(wanted) or len(tracks) != 1:
        return None
    steady = steadied(np.array([one for _, _, one in seen]), np.array([t_ns for _, t_ns, _ in seen]))
    found = {number: transform for (number, _, _), transform in zip(seen, steady, strict=True)}
    return {number: crop_face(image, found[number]) for number, image in images.items()}


def _measured(face: AlignedFace) -> np.ndarray:
    """The alignment of this frame alone: the aligner's own low-pass, which starts cold, is undone."""
    points = (face.landmarks[RIGID] - face.transform[:, 2]) @ inverse(face.transform[:, :2]).T
    return similarity(points, TEMPLATE[:, :2])


def _whole(image: np.ndarray) -> np.ndarray:
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    smaller = max(grey.shape) > CROP_PX
    return cv2.resize(grey, (CROP_PX, CROP_PX), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
