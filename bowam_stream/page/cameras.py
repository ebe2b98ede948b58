"""How each camera is doing now: its signal, its last picture, its status. Pure: the time comes in."""

from bowam_stream.page.health import Drops
from bowam_stream.page.ring import Ring, shown_face
from bowam_stream.pipeline.tap import Status
from bowam_stream.pipeline.view import View
from bowam_stream.report.record import FaceRecord

MOST_CAMERAS = 64  # more are not shown: names come from strangers where the worker has no keys


class CameraNow:
    """One camera."""

    def __init__(self) -> None:
        self.ring = Ring()
        self.session = ""
        self.face: FaceRecord | None = None
        self.crop: bytes | None = None  # JPEG, where preview was asked for
        self.crop_number = 0
        self.utc_offset_ns: int | None = None  # to be added to t_ns
        self.status: Status | None = None
        self.heard_ns: int | None = None  # the last status
        self.drops = Drops()

    def view(self, view: View) -> None:
        """Something that the worker drew."""
        if view.session != self.session:
            self.session, self.ring, self.face, self.crop = view.session, Ring(), None, None
        for record in view.frames:
            self.ring.push(record)
        if view.frames:
            self.face = shown_face(view.frames[-1])
            if view.utc_ns and not view.lossless:
                self.utc_offset_ns = view.utc_ns - view.frames[-1].t_ns
        track = None if self.face is None else self.face.track
        crops = {crop.track: crop.jpeg for crop in view.crops}
        if crops:
            self.crop = crops.get(track, next(iter(crops.values()))) if track is not None else None
            self.crop_number += 1
        elif view.frames and (self.face is None or not self.face.points):
            self.crop = None

    def told(self, status: Status, now_ns: int) -> None:
        """A status came."""
        if self.status is not None and self.status.session != status.session:
            self.drops = Drops()
        self.status, self.heard_ns = status, now_ns
        self.drops.note(status.dropped, now_ns)

    def silent_ns(self, now_ns: int) -> int | None:
        """Since the last status."""
        return None if self.heard_ns is None else now_ns - self.heard_ns


class Cameras:
    """All cameras of a worker."""

    def __init__(self) -> None:
        self.now: dict[str, CameraNow] = {}

    def of(self, name: str) -> CameraNow | None:
        """A camera, made on its first word; None where there are too many."""
        if name not in self.now and len(self.now) < MOST_CAMERAS:
            self.now[name] = CameraNow()
        return self.now.get(name)
