"""However long the run and however much happened, the report stays below 10 MB and says what it left out."""

import re
from pathlib import Path

import pytest

from bowam_stream.messages import Triple
from bowam_stream.report import cards, html, refusals, write_report
from bowam_stream.report.pictures import EventPictures, Fineness, event_pictures
from tests.stream.report_hour import hour_in

LIMIT = 10_000_000


@pytest.fixture(autouse=True)
def _drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hour's few pictures come again and again: each is drawn once."""
    known: dict[tuple[bytes, Fineness], EventPictures] = {}

    def draw(triple: Triple, fineness: Fineness) -> EventPictures:
        key = (triple.apex.tobytes(), fineness)
        if key not in known:
            known[key] = event_pictures(triple, fineness)
        return known[key]

    monkeypatch.setattr(html, "event_pictures", draw)


def written(tmp_path: Path, rate_hz: int, events: int, length_s: float = 3600) -> str:
    record, told = hour_in(tmp_path / "record", rate_hz, events, length_s=length_s)
    write_report(tmp_path / "report.html", record, told)
    assert (tmp_path / "report.html").stat().st_size < LIMIT
    return (tmp_path / "report.html").read_text()


def test_of_an_hour_with_hundreds_of_events_the_most_confident_have_pictures(tmp_path: Path) -> None:
    page = written(tmp_path, 30, 600)
    said = re.search(r"Pictures of (\d+) of (\d+) events, the most confident first", page)
    assert said
    shown, wanted = map(int, said.groups())
    assert page.count('<article class="card') == shown > 200
    assert wanted > 500
    assert page.count('data-kind="micro"') - 1 == wanted  # rows; one is a button
    sure = [int(percent) for percent in re.findall(r"<b>(\d+)%</b></span></h3>", page)]
    rows = re.findall(r'<tr data-kind="micro" id=.*?<td class="n">(\d+)%</td>', page, re.DOTALL)
    assert len(sure) == shown
    assert len(rows) == wanted - shown
    assert min(sure) >= max(map(int, rows))


def test_an_hour_at_200_frames_per_second_is_no_larger(tmp_path: Path) -> None:
    page = written(tmp_path, 200, 600)
    assert "720,000 frames" in page
    assert page.count('<article class="card') > 200


def test_where_all_have_room_the_pictures_are_fine_and_nothing_is_said_to_be_missing(tmp_path: Path) -> None:
    page = written(tmp_path, 30, 10, length_s=100)
    assert page.count('<article class="card') == 10
    assert page.count('alt="Optical strain') == 10
    assert "Pictures of" not in page


def test_lists_without_end_keep_what_weighs_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record, told = hour_in(tmp_path / "record", 30, 30, length_s=300)
    monkeypatch.setattr(cards.listed, "__defaults__", (40,))
    monkeypatch.setattr(refusals.strongest, "__defaults__", (5,))
    write_report(tmp_path / "report.html", record, told)
    page = (tmp_path / "report.html").read_text()
    rows = re.findall(r'<tr data-kind="(\w+)"', page)
    assert (rows.count("micro"), rows.count("blink"), rows.count("refused")) == (30, 10, 0)
    assert "30 further events have no room here" in page
    assert re.search(r"The 5 strongest of \d+ refused movements", page)


def test_no_room_at_all_means_no_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "MAX_BYTES", 1_000)
    page = written(tmp_path, 30, 5, length_s=100)
    assert "<article" not in page
    assert page.count('<tr data-kind="micro"') == 5
