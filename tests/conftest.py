"""Fixtures that every test may use."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bowam_stream.logs import RecordFilter


@pytest.fixture(scope="session")
def media() -> Path:
    """Folder of openly licensed face videos; not part of the project."""
    folder = os.environ.get("BOWAM_TEST_MEDIA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("BOWAM_TEST_MEDIA does not name a folder with the test media")
    return Path(folder)


@pytest.fixture(autouse=True)
def _no_log_of_another_test() -> Iterator[None]:
    """A command that ran within a test has sent the logs to a standard error that is closed by now."""
    yield
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if any(isinstance(one, RecordFilter) for one in handler.filters):
            root.removeHandler(handler)
    root.setLevel(logging.WARNING)
