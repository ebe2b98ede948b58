"""MediaPipe behind two calls: where are faces (`FaceFinder`), and the 468 points of each (`FaceMesh`).

Only the legacy solutions of mediapipe 0.10.21 carry their models in the wheel, so they work offline. They write to the
process's standard error from C++ whenever a graph starts; those lines are kept away from the user, all others pass.
"""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from bowam_model.errors import MissingDependency

POINTS = 468
# A serialised NormalizedLandmark is 17 bytes: length prefix, then tag + float32 for x, y and z. Reading the whole list
# at once takes 0.01 ms; parsing it and asking each object for its attributes takes 0.2 ms, a tenth of the mesh itself.
_LANDMARK = np.dtype({"names": ["x", "y", "z"], "formats": ["<f4"] * 3, "offsets": [3, 8, 13], "itemsize": 17})
_NOISE = re.compile(rb"INFO: Created TensorFlow Lite|WARNING: All log messages before absl|[IW]\d{4} ")
_BLACK = np.zeros((64, 64, 3), np.uint8)


@dataclass(frozen=True)
class Box:
    """A face found in a picture, in its pixels."""

    x: float  # left edge
    y: float  # upper edge
    width: float
    height: float
    score: float  # 0.5..1: how much it looks like a face to MediaPipe's detector

    @property
    def centre(self) -> np.ndarray:
        return np.array([self.x + self.width / 2, self.y + self.height / 2])


class FaceFinder:
    """MediaPipe's short-range face detector: faces within about two metres of a webcam. Has no memory."""

    def __init__(self) -> None:
        """Raise MissingDependency if mediapipe or one of its system libraries is not installed."""
        solutions = _load()
        with _without_start_up_noise():
            self._finder: Any = solutions.face_detection.FaceDetection(model_selection=0)
            self._finder.process(_BLACK)

    def find(self, image: np.ndarray) -> list[Box]:
        """Faces in `image`, uint8 (H, W, 3) RGB."""
        height, width = image.shape[:2]
        boxes = []
        for detection in self._finder.process(image).detections or ():
            box = detection.location_data.relative_bounding_box
            boxes.append(
                Box(box.xmin * width, box.ymin * height, box.width * width, box.height * height, detection.score[0])
            )
        return boxes

    def close(self) -> None:
        self._finder.close()


class FaceMesh:
    """Face Mesh: after the first picture it follows a face instead of searching for it.

    `still=True` searches in every picture. Not for use from several threads at once.
    """

    def __init__(self, max_faces: int, *, still: bool = False) -> None:
        """Raise MissingDependency if mediapipe or one of its system libraries is not installed."""
        solutions = _load()
        self._bindings = _bindings()
        self._t_us = 0
        with _without_start_up_noise():
            self._mesh: Any = solutions.face_mesh.FaceMesh(
                static_image_mode=still, max_num_faces=max_faces, refine_landmarks=False
            )
            self._process(_BLACK)
        self._quiet = False  # the graph's last message comes with its first face

    def find(self, image: np.ndarray) -> list[np.ndarray]:
        """Points of each face, float64 (468, 3): x, y and z in pixels of `image`, z towards the back of the head.

        `image` is uint8 (H, W, 3) RGB.
        """
        with contextlib.nullcontext() if self._quiet else _without_start_up_noise():
            found = self._process(image)
        self._quiet = self._quiet or bool(found)
        height, width = image.shape[:2]
        return [_points(face, width, height) for face in found]

    def forget(self) -> None:
        """Stop following: the next picture is searched anew.

        A black picture shows no face to follow. Starting the graph again does the same and takes four times longer.
        """
        self._process(_BLACK)

    def close(self) -> None:
        self._mesh.close()

    def _process(self, image: np.ndarray) -> list[bytes]:
        """The faces, serialised: mediapipe's `process` (0.10.21) without the class that it makes for every picture."""
        outputs, graph = self._mesh._graph_outputs, self._mesh._graph
        outputs.clear()
        self._t_us += 33_333  # as mediapipe counts: its graph never looks at the time, but wants it to grow
        packet = self._bindings.create_image_frame(image, image_format=self._bindings.ImageFormat.SRGB)
        graph.add_packet_to_input_stream(stream="image", packet=packet.at(self._t_us))
        graph.wait_until_idle()
        found = outputs.get("multi_face_landmarks")
        return [] if found is None or found.is_empty() else self._bindings.serialised(found)


def _points(face: bytes, width: int, height: int) -> np.ndarray:
    raw = np.frombuffer(face, dtype=_LANDMARK, count=POINTS)
    # Face Mesh scales z like x: by the width of the picture.
    return np.stack([raw["x"] * float(width), raw["y"] * float(height), raw["z"] * float(width)], axis=1)


def _bindings() -> Any:
    """What `FaceMesh._process` calls."""
    from mediapipe import ImageFormat
    from mediapipe.python import packet_creator
    from mediapipe.python._framework_bindings import _packet_getter

    return SimpleNamespace(
        ImageFormat=ImageFormat,
        create_image_frame=packet_creator.create_image_frame,
        serialised=_packet_getter._get_serialized_proto_list,
    )


def _load() -> ModuleType:
    try:
        import mediapipe
    except ImportError as error:
        if re.search(r"lib\w+\S*\.so", str(error)):
            raise MissingDependency(
                f"a system library is missing ({error}): apt-get install libgl1 libglib2.0-0"
            ) from error
        raise MissingDependency(
            f"Face Mesh needs the extra [capture] ({error}): pip install 'bowam-stream[capture]'"
        ) from error
    solutions: ModuleType = mediapipe.solutions
    return solutions


@contextlib.contextmanager
def _without_start_up_noise() -> Iterator[None]:
    """Hold back what C++ writes to file descriptor 2, and let through whatever is not a start-up message."""
    if sys.stderr is not None:
        sys.stderr.flush()
    keep = os.dup(2)
    try:
        with tempfile.TemporaryFile() as held:
            os.dup2(held.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(keep, 2)
                held.seek(0)
                for line in held:
                    if not _NOISE.match(line):
                        os.write(2, line)
    finally:
        os.close(keep)
