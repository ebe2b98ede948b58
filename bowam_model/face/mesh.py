"""MediaPipe Face Mesh behind one call: picture in, 468 points per face out.

Only the legacy solution of mediapipe 0.10.21 carries its models in the wheel, so it works offline. It writes to the
process's standard error from C++ whenever a graph starts; those lines are kept away from the user, all others pass.
"""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from types import ModuleType, TracebackType
from typing import Any, Self

import numpy as np

from bowam_model.errors import MissingDependency

POINTS = 468
# A serialised NormalizedLandmark is 17 bytes: length prefix, then tag + float32 for x, y and z. Reading the whole list
# at once takes 0.01 ms; asking each protobuf object for its attributes takes 0.2 ms, a tenth of the mesh itself.
_LANDMARK = np.dtype({"names": ["x", "y", "z"], "formats": ["<f4"] * 3, "offsets": [3, 8, 13], "itemsize": 17})
_NOISE = re.compile(
    rb"^(INFO: Created TensorFlow Lite|WARNING: All log messages before absl|[IW]\d{4} |INFO: Initialized TensorFlow)"
)


class FaceMesh:
    """Face Mesh with a memory: after the first picture it follows the face instead of searching for it.

    `still=True` searches in every picture. Not for use from several threads at once.
    """

    def __init__(self, max_faces: int, *, still: bool = False) -> None:
        """Raise MissingDependency if mediapipe or one of its system libraries is not installed."""
        solutions = _load()
        self._quiet_from_now = False
        with _without_start_up_noise():
            self._mesh: Any = solutions.face_mesh.FaceMesh(
                static_image_mode=still, max_num_faces=max_faces, refine_landmarks=False
            )

    def find(self, image: np.ndarray) -> list[np.ndarray]:
        """Points of each face, float64 (468, 3): x, y and z in pixels of `image`, z towards the back of the head.

        `image` is uint8 (H, W, 3) RGB.
        """
        if self._quiet_from_now:
            found = self._mesh.process(image)
        else:
            with _without_start_up_noise():
                found = self._mesh.process(image)
            self._quiet_from_now = bool(found.multi_face_landmarks)
        height, width = image.shape[:2]
        return [_points(face, width, height) for face in found.multi_face_landmarks or ()]

    def forget(self) -> None:
        """Stop following: the next picture is searched anew.

        A black picture shows no face to follow. A restart of the graph has the same effect and takes four times longer.
        """
        self._mesh.process(np.zeros((64, 64, 3), np.uint8))

    def close(self) -> None:
        self._mesh.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()


def _points(face: Any, width: int, height: int) -> np.ndarray:
    raw = np.frombuffer(face.SerializeToString(), dtype=_LANDMARK, count=POINTS)
    # Face Mesh scales z like x: by the width of the picture.
    return np.stack([raw["x"] * float(width), raw["y"] * float(height), raw["z"] * float(width)], axis=1)


def _load() -> ModuleType:
    try:
        import mediapipe
    except ImportError as error:
        if "libGL" in str(error) or "libg" in str(error):
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
