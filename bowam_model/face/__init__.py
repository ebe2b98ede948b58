"""From a picture to aligned faces: the only alignment there is, for live use and for training. Never loads torch.

    with FaceAligner() as aligner:
        for image, t_ns in frames:
            for face in aligner.align(image, t_ns):
                face.track, face.crop, face.landmarks, face.transform

`align_still` does the same for a single photo, without any memory. MediaPipe is loaded on first use.
"""

from bowam_model.face.aligner import FaceAligner, FaceSettings
from bowam_model.face.cutting import Found
from bowam_model.face.geometry import CROP_PX, TEMPLATE
from bowam_model.face.portrait import AlignedFace, align_still

__all__ = ["CROP_PX", "TEMPLATE", "AlignedFace", "FaceAligner", "FaceSettings", "Found", "align_still"]
