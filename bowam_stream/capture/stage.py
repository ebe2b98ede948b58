"""Frame in, aligned frame out: the stage of the capture process."""

from bowam_model.face import AlignedFace, FaceAligner, Found
from bowam_stream.messages import AlignedFrame, Face, FaceQuality, Frame


class FaceStage:
    """Aligns the faces of one session's frames and numbers what goes out. Owns no clock, socket or thread."""

    def __init__(self, aligner: FaceAligner, *, camera: str, session: str, first_seq: int = 0) -> None:
        """`aligner` must be fresh, so that faces are numbered from 0 in this session."""
        self._aligner, self._camera, self._session = aligner, camera, session
        self._seq = first_seq

    @property
    def next_seq(self) -> int:
        """One past the last frame's sequence number: what EndOfStream states."""
        return self._seq

    def push(self, frame: Frame) -> AlignedFrame:
        """One message for every frame, also for those without a face; `published_ns` is left to the sender."""
        return self.cut(frame, self.find(frame))

    def find(self, frame: Frame) -> Found:
        """The first part of `push`, which may run in a thread of its own, ahead of the second."""
        return self._aligner.find(frame.image, frame.moment.t_ns)

    def cut(self, frame: Frame, found: Found) -> AlignedFrame:
        """The second part of `push`."""
        faces = self._aligner.cut(found)
        aligned = AlignedFrame(
            camera=self._camera,
            session=self._session,
            seq=self._seq,
            moment=frame.moment,
            faces=tuple(_to_message(face) for face in faces),
            quality=frame.quality,
        )
        self._seq += 1
        return aligned


def _to_message(face: AlignedFace) -> Face:
    return Face(
        track=face.track,
        crop=face.crop,
        landmarks=face.landmarks,
        transform=face.transform,
        quality=FaceQuality(
            sharpness=face.sharpness,
            yaw_deg=face.yaw_deg,
            pitch_deg=face.pitch_deg,
            roll_deg=face.roll_deg,
            size_px=face.size_px,
            confidence=face.confidence,
        ),
    )
