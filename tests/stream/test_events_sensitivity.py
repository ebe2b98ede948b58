"""What a person asks for on the page reaches the worker through the journal, and can be looked up later."""

import pytest

from bowam_stream.errors import JournalError
from bowam_stream.events.journal import Journal
from bowam_stream.events.sensitivity import Sensitivity, ask, asked, forget_wishes, history


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "journal.sqlite") as journal:
        yield journal


def test_the_last_wish_of_each_camera_holds(journal):
    """All of them are kept, each with its time."""
    for camera, threshold in (("cam0", 4.0), ("cam1", 6.0), ("cam0", 5.5)):
        ask(journal, Sensitivity(camera=camera, threshold=threshold, false_alarms_per_hour=3.0))
    assert {camera: wish.threshold for camera, wish in asked(journal).items()} == {"cam0": 5.5, "cam1": 6.0}
    assert [wish.threshold for wish in history(journal)] == [4.0, 6.0, 5.5]
    assert all(wish.asked_utc_ns > 0 for wish in history(journal))


def test_a_fresh_worker_begins_with_its_settings_and_says_so(journal):
    """Once, and only of cameras that were asked about."""
    ask(journal, Sensitivity(camera="cam0", threshold=4.0))
    forget_wishes(journal)
    forget_wishes(journal)
    assert asked(journal)["cam0"].threshold is None
    assert [wish.threshold for wish in history(journal)] == [4.0, None]


@pytest.mark.parametrize("threshold", [0.0, -1.0, float("nan"), float("inf")])
def test_a_threshold_that_makes_no_sense_is_refused(journal, threshold):
    """In one line, and nothing is kept."""
    with pytest.raises(JournalError, match="above 0"):
        ask(journal, Sensitivity(camera="cam0", threshold=threshold))
    assert history(journal) == []


def test_who_watches_the_file_notices_a_wish(journal):
    """The number changes when another connection writes, and not when nothing happens."""
    before = journal.changes()
    assert journal.changes() == before
    with Journal(journal.path) as page:
        ask(page, Sensitivity(camera="cam0", threshold=4.0))
    assert journal.changes() != before
