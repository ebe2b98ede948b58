"""The report of a corpus: figures that add up, nothing that can run, and a page that stays small."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bowam_stream.config import Config
from bowam_stream.messages import Model
from bowam_stream.report.corpus import COUNTED, MOST_FAILURES, MOST_ROWS, PAGE_ROWS, Row, rates, write_corpus_report

HOUR_S = 3600.0
MODEL = Model(name="bowam-nano", weights="sha256:0123456789", backend="eager")


def row(number: int = 0, micro: int = 0, **changes: Any) -> Row:
    """An hour at 100 Hz, half of it with a face."""
    usual: dict[str, Any] = {
        "name": f"{number}.mp4",
        "camera": f"c{number}",
        "duration_s": HOUR_S,
        "frames": 360_000,
        "frames_with_face": 180_000,
        "faces": 1,
        "rate_hz": 100.0,
        "counts": dict.fromkeys(COUNTED, 0) | {"micro": micro},
        "labels": {"positive": micro} if micro else {},
        "model": MODEL,
    }
    return Row(**usual | changes)


def written(path: Path, rows: list[Row], **options: Any) -> str:
    write_corpus_report(path, rows, title="interviews", settings=Config(), **options)
    return path.read_text()


def words(page: str) -> str:
    """What a person reads."""
    return " ".join(re.sub(r"(?s)<(script|style).*?</\1>|<[^>]+>", " ", page).split())


def test_rates_count_the_time_with_a_face_and_the_middle_of_recordings() -> None:
    """Two hours, one with a face; a recording with a face for a second has no rate of its own."""
    short = row(3, micro=1, duration_s=2.0)
    micro = next(rate for rate in rates([row(1, micro=3), row(2, micro=6), short]) if rate.what == "micro")
    assert micro.count == 10
    assert micro.per_hour == pytest.approx(10 / (1 + 1 / 3600))
    assert micro.quartiles == pytest.approx((7.5, 9.0, 10.5))
    alone = rates([short])[0]
    assert (alone.per_hour, alone.quartiles) == (None, None)
    assert rates([])[0].per_hour is None


def test_totals_failures_and_doubts_are_said(tmp_path: Path) -> None:
    rows = [
        row(1, micro=2, rate_hz=25.0, consent=True, counts={"micro": 2, "macro": 1, "blink": 40, "refused": 7}),
        row(2, frames_with_face=0, quality=("truncated",), model=Model(name="x", weights="sha256:2", backend="other")),
        Row(name="broken.mp4", camera="broken", failure="survey: no video"),
    ]
    text = words(written(tmp_path / "r.html", rows, left_out=["3 files that are no video by name: 3 .txt"]))
    for said in (
        "2 recordings of 3, 1 failed",
        "2 micro-expressions 2 positive",
        "1 macro-expression ",
        "40 blinks",
        "7 taken back",
        "1 recording failed and counted nowhere",
        "No face was found in 1 recording",
        "short movements may be missed, times are coarse (1 recording)",
        "The file is cut off or damaged; it was read as far as it goes (1 recording)",
        "Not all machines computed the network alike",
        "Left out: 3 files that are no video by name: 3 .txt",
        "broken.mp4 broken survey: no video",
        "differs between the recordings",
        "How to cite",
    ):
        assert said in text, said


def test_ten_thousand_recordings_are_a_small_page(tmp_path: Path) -> None:
    """A page of lines is laid out; the others are data."""
    page = written(tmp_path / "r.html", [row(n, micro=n % 7) for n in range(10_000)])
    assert len(page) < 2_000_000
    assert page.count("<tr>") < PAGE_ROWS + 20
    data = re.search(r'(?s)<script type="application/json" id="lines"[^>]*>(.*?)</script>', page)
    assert data is not None
    lines = json.loads(data[1])
    assert len(lines) == 10_000
    heads = re.findall(r"<th scope=\"col\"[^>]*>", page.partition('<table id="rows">')[2].partition("</thead>")[0])
    assert {len(line) for line in lines} == {len(heads)}
    assert lines[6] == ["6.mp4", "c6", 3600.0, 50, 6, 0, 0, 0, 12.0, 1, 100.0, ""]


def test_what_has_no_room_is_said(tmp_path: Path) -> None:
    failed = [Row(name=f"f{n}", camera=f"f{n}", failure="survey: no") for n in range(MOST_FAILURES + 1)]
    text = words(written(tmp_path / "r.html", [row(n) for n in range(MOST_ROWS + 1)] + failed))
    assert f"The first {MOST_ROWS:,} of {MOST_ROWS + 1:,} are here" in text
    assert f"The first {MOST_FAILURES} of {MOST_FAILURES + 1}; all are in failures.csv" in text


def test_names_can_not_run_and_nothing_is_loaded(tmp_path: Path) -> None:
    """Whatever a file is called."""
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    rows = [row(1, name=evil, quality=(evil,)), Row(name=evil, camera="c", failure=evil)]
    page = written(tmp_path / "r.html", rows, left_out=[evil])
    assert "<img" not in page
    assert "alert(1)</script><img" not in page
    assert page.count("<script") == 3
    assert not re.findall(r'(?:src|href)="(?!#|https://doi\.org/)', re.sub(r"(?s)<script.*?</script>", "", page))
    assert "default-src 'none'" in page


def test_no_recording_at_all_is_a_report_too(tmp_path: Path) -> None:
    assert "No recording could be watched" in words(written(tmp_path / "r.html", []))


def test_the_same_rows_give_the_same_file(tmp_path: Path) -> None:
    rows = [row(1, micro=1), row(2)]
    assert written(tmp_path / "a.html", rows) == written(tmp_path / "b.html", rows)
