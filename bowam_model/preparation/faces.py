"""Faces of one clip in one common alignment: that of live use, since the network sees nothing else later."""

from collections.abc import Collection

import cv2
import numpy as np

from bowam_model.datasets.sample import Sample
from bowam_model.face import CROP_PX, FaceAligner, align_still
from bowam_model.preparation.pictures import Unusable, frame_numbers, pictures

FEW = 3  # a clip of onset, apex and offset alone tells nothing of how the head moved in between


def face_crops(sample: Sample, wanted: Collection[int], *, steady: bool) -> tuple[dict[int, np.ndarray], list[str]]:
    """The aligned faces of these frames, uint8 (240, 240) grey by frame number, and what was odd.

    With `steady`, every frame from onset to offset goes through `face.FaceAligner` in its media time, so that onset,
    apex and offset lie in the low-pass filtered alignment that a live run gives them; only the second before the onset
    is not there to settle the filter. Where the clip has no other frames, or the face is lost on the way, each frame
    is aligned by its own landmarks. A face that is not found in an already cropped picture is scaled to 240 px.

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


def _followed(sample: Sample, numbers: Collection[int], wanted: Collection[int]) -> dict[int, np.ndarray] | None:
    """Crops under the steadied alignment; None if a frame that is wanted shows no face, or another one."""
    crops, tracks = {}, set()
    with FaceAligner() as aligner:  # a new one for each clip: nothing of the last one stays
        for picture in pictures(sample, numbers):
            faces = aligner.align(picture.image, picture.t_ns)
            if faces and picture.number in wanted:
                crops[picture.number] = faces[0].crop
                tracks.add(faces[0].track)
    return crops if len(crops) == len(wanted) and len(tracks) == 1 else None


def _whole(image: np.ndarray) -> np.ndarray:
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    smaller = max(grey.shape) > CROP_PX
    return cv2.resize(grey, (CROP_PX, CROP_PX), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
