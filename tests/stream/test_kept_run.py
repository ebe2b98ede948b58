"""A replay that was kept: its report can be written again with what people have said, and no run takes that away."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bowam_stream.cli.app import app
from bowam_stream.cli.outputs import Outputs, keep_run
from bowam_stream.errors import ConfigError, ReportError
from bowam_stream.events import Journal
from bowam_stream.events.judgements import Judgement, judge
from tests.stream.test_report_html import EVENTS, record_in


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """What `bowam replay --keep` leaves."""
    record_in(tmp_path / "run" / "record")
    with Journal(tmp_path / "run" / "journal.sqlite") as journal:
        for event in EVENTS:
            journal.append(event)
    keep_run(tmp_path / "kept", tmp_path / "run" / "record", tmp_path / "run" / "journal.sqlite")
    return tmp_path / "kept"


def say(kept: Path) -> None:
    with Journal(kept / "journal.sqlite") as journal:
        judge(journal, Judgement(event_id="id20", verdict="false", label="surprise", note="she <b>spoke</b>", by="Ann"))


def test_the_report_is_written_again_with_what_people_said(kept: Path, tmp_path: Path) -> None:
    """Before it, there is no word of it; what they wrote stays text."""
    pages = []
    for number in range(2):
        out = tmp_path / f"{number}.html"
        done = CliRunner().invoke(app, ["events", "report", str(kept), "--out", str(out)])
        assert done.exit_code == 0, done.output
        pages.append(out.read_text())
        say(kept)
    assert "she &lt;b&gt;spoke" not in pages[0]
    assert "she &lt;b&gt;spoke" in pages[1]
    assert "<b>spoke" not in pages[1]


def test_a_folder_that_holds_no_replay_is_one_clear_error(tmp_path: Path) -> None:
    """It says where such a folder comes from."""
    done = CliRunner().invoke(app, ["events", "report", str(tmp_path), "--out", str(tmp_path / "r.html")])
    assert isinstance(done.exception, ReportError)
    assert "bowam replay --keep" in str(done.exception)


def test_a_new_run_takes_no_judgement_away(kept: Path) -> None:
    """Without judgements a folder may be used again: the same recording gives the same events."""

    def keep_there() -> Outputs:
        return Outputs(events=None, report=None, overlay=None, keep=kept)

    keep_there()
    say(kept)
    with pytest.raises(ConfigError, match="holds 1 judgements"):
        keep_there()
