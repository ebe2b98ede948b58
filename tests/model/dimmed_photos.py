"""Five photos for recipes that need people: one portrait in five lights."""

from pathlib import Path

import cv2
import pytest


def dimmed_photos(folder: Path) -> Path:
    """Write 0.png to 4.png into a new folder."""
    data = pytest.importorskip("skimage.data", reason="the portrait of the test comes with scikit-image")
    folder.mkdir()
    for index in range(5):
        dimmed = cv2.convertScaleAbs(data.astronaut()[:256, 96:352, ::-1], alpha=1 - 0.05 * index)
        cv2.imwrite(str(folder / f"{index}.png"), dimmed)
    return folder
