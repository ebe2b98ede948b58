"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def media() -> Path:
    """Folder of openly licensed face videos; not part of the project."""
    folder = os.environ.get("BOWAM_TEST_MEDIA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("BOWAM_TEST_MEDIA does not name a folder with the test media")
    return Path(folder)
