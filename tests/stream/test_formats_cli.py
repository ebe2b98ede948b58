"""`bowam events`: from a journal or a file to a file, standard output or a folder."""

import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bowam_stream.cli.events import app
from bowam_stream.errors import StreamError
from bowam_stream.events import Journal, SessionAccount, to_json
from bowam_stream.events.judgements import Judgement, judge
from bowam_stream.messages import Event
from tests.stream import format_readers as read
from tests.stream.small_events import micro_event

STORY = [
    micro_event((10, 20, 30), "negative", 30.0, event_id="0a"),
    micro_event((15, 20, 45), None, 30.0, event_id="0b", kind="blink"),
    micro_event((60, 65, None), None, 30.0, event_id="0c", kind=None, phase="retracted", reason="nod"),
    micro_event((80, 85, None), None, 30.0, event_id="0d", kind=None, phase="provisional"),
]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal with a judgement and the books of its session."""
    path = tmp_path / "j.sqlite"
    with Journal(path) as opened:
        for event in STORY:
            opened.append(event, SessionAccount(camera="clip", session="s", source="a.mp4"))
        judge(opened, Judgement(event_id="0a", verdict="true", note="clear"))
    return path


def run(*arguments: object) -> tuple[bytes, str]:
    """What `bowam events ...` writes to standard output and to standard error. Raises what it raises."""
    done = CliRunner().invoke(app, [str(one) for one in arguments])
    if isinstance(done.exception, StreamError):
        raise done.exception
    assert done.exit_code == 0, done.stderr
    return done.stdout_bytes, done.stderr


@pytest.mark.parametrize("name", ["csv", "jsonl", "elan", "textgrid", "boris", "bids"])
def test_a_journal_and_its_own_lines_give_the_same_file(name: str, journal: Path, tmp_path: Path) -> None:
    """Byte for byte, while a worker holds the journal open."""
    lines = tmp_path / "lines.jsonl"
    with Journal(journal, cameras=["clip"]):
        run("export", journal, "--format", "jsonl", "--include-retracted", "--out", lines)
        for source, folder in ((journal, "one"), (lines, "two")):
            run("export", source, "--format", name, "--include-retracted", "--out", f"{tmp_path / folder}/")
    one, two = ({file.name: file.read_bytes() for file in (tmp_path / folder).iterdir()} for folder in ("one", "two"))
    assert one == two
    assert len(one) == (2 if name == "bids" else 1)


@pytest.mark.parametrize("version", [1, 2])
def test_an_older_journal_is_read(version: int, journal: Path) -> None:
    """It is not upgraded; it knows no judgements, and the oldest no sources."""
    with contextlib.closing(sqlite3.connect(journal)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        kept = {"journal", "cameras", "events", "open", "sqlite_sequence"} | ({"sessions"} if version > 1 else set())
        for name in set(tables) - kept:
            database.execute(f"DROP TABLE {name}")
        database.execute(f"PRAGMA user_version = {version}")
    content, _ = run("export", journal)
    assert read.of_csv(content) == {"0a": (333, 667, 1000), "0b": (500, 667, 1500)}
    assert (b"a.mp4" in content) == (version > 1)


def test_a_replays_file_of_events_gives_the_same_times(journal: Path, tmp_path: Path) -> None:
    """It lacks the name of the source and the judgements, and nothing else."""
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"".join(to_json(event) + b"\n" for event in STORY))
    of_journal, _ = run("export", journal)
    of_file, told = run("export", file)
    assert read.of_csv(of_journal) == read.of_csv(of_file) == {"0a": (333, 667, 1000), "0b": (500, 667, 1500)}
    assert told == "left out: 1 provisional, not closed yet\nleft out: 1 withdrawn (--include-retracted)\n"


def test_a_file_keeps_its_old_content_until_the_new_one_is_whole(
    journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk takes nothing away."""
    out = tmp_path / "events.csv"
    run("export", journal, "--out", out)
    before = out.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StreamError, match="No space left"):
        run("export", journal, "--out", out)
    assert out.read_bytes() == before
    assert [file.name for file in tmp_path.glob(".*")] == []


def test_events_are_listed_by_session(journal: Path) -> None:
    """Times in seconds, what it was, what was said."""
    told, _ = run("list", journal)
    lines = told.decode().splitlines()
    assert lines[0] == "clip  session s  a.mp4: 2 events"
    assert " ".join(lines[1].split()) == "0.333 0.667 1.000 face 0 micro negative 0a judged true (clear)"
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"hello\n", "line 1"),
        (b'{"a": 1}\n', "line 1"),
        (b"\x89PNG\r\n", "line 1"),
        (b"SQLite format 3\x00 and no more", "journal"),
        (to_json(STORY[0]) + b"\n" + to_json(STORY[1])[:50] + b"\n", "line 2"),
        (to_json(STORY[0])[:-1] + b', "judgement": {"verdict": "perhaps"}}\n', "line 1"),
        (b"[" * 100_000 + b"\n", "line 1"),
    ],
)
def test_what_is_no_source_is_one_clear_line(content: bytes, word: str, tmp_path: Path) -> None:
    """It names the file."""
    file = tmp_path / "x.jsonl"
    file.write_bytes(content)
    with pytest.raises(StreamError, match=word) as refused:
        run("export", file)
    assert "x.jsonl" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_recording_in_which_nothing_happened_is_an_empty_table(tmp_path: Path) -> None:
    """As `replay` writes it; a format that wants a time line has none to write."""
    file = tmp_path / "events.jsonl"
    file.touch()
    table, told = run("export", file)
    assert table.startswith(b"camera,session,")
    assert table.count(b"\n") == 1
    assert told == f"{file} holds no events\n"
    with pytest.raises(StreamError, match="no session"):
        run("export", file, "--format", "elan")


def test_a_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A missing file, and a folder."""
    for path in (tmp_path / "no.sqlite", tmp_path):
        with pytest.raises(StreamError, match="name a journal or a file of events"):
            run("export", path)


def test_nothing_that_is_read_is_written_over(journal: Path, tmp_path: Path) -> None:
    """Not the journal, by whatever name, and not the video."""
    (tmp_path / "link.csv").symlink_to(journal)
    video = tmp_path / "a.eaf"
    video.touch()
    for arguments in (
        ("--out", journal),
        ("--out", tmp_path / "link.csv"),
        ("--format", "elan", "--video", video, "--out", video),
    ):
        with pytest.raises(StreamError, match="reads that file"):
            run("export", journal, *arguments)
    with Journal.open_readonly(journal) as opened:
        assert opened.heads() == {"clip": 4}


def test_a_file_where_a_folder_should_be_is_said(journal: Path, tmp_path: Path) -> None:
    """In the way, or above it."""
    (tmp_path / "file").touch()
    for out in ("file/", "file/below/"):
        with pytest.raises(StreamError, match="name another"):
            run("export", journal, "--format", "bids", "--out", f"{tmp_path}/{out}")


def test_several_files_want_a_folder(journal: Path, tmp_path: Path) -> None:
    """Both files of BIDS, and one for each session."""
    with pytest.raises(StreamError, match="name a folder"):
        run("export", journal, "--format", "bids")
    with Journal(journal) as opened:
        opened.append(micro_event((10, 20, 30), "negative", 30.0, event_id="1a", session="t"))
    for out in ("-", tmp_path / "one.eaf"):
        with pytest.raises(StreamError, match="name a folder"):
            run("export", journal, "--format", "elan", "--out", out)
    run("export", journal, "--format", "elan", "--out", f"{tmp_path}/new/folder/")
    assert {file.name for file in (tmp_path / "new" / "folder").iterdir()} == {"clip_s.eaf", "clip_t.eaf"}
    run("export", journal, "--format", "elan", "--session", "t", "--out", tmp_path / "one.eaf")
    assert read.of_elan((tmp_path / "one.eaf").read_bytes(), tmp_path) == {"1a": (333, 667, 1000)}


@pytest.mark.parametrize("name", ["elan", "textgrid"])
def test_a_missing_package_is_named_with_its_extra(name: str, journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other formats need nothing."""
    for module in ("pympi", "pympi.Elan", "pympi.Praat"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(StreamError, match=r"pip install 'bowam-stream\[formats\]'"):
        run("export", journal, "--format", name)
    for other in ("csv", "boris"):
        run("export", journal, "--format", other)


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (("--kind", "smile"), "none of micro"),
        (("--since", "yesterday"), "--since"),
        (("--zero", "noon"), "--zero"),
        (("--format", "xlsx"), "xlsx"),
    ],
)
def test_wrong_usage_is_said_as_such(wrong: tuple[str, str], word: str, journal: Path) -> None:
    """Status 2."""
    done = CliRunner().invoke(app, ["export", str(journal), *wrong])
    assert done.exit_code == 2
    assert word in done.stderr


@pytest.mark.parametrize("option", [("--video", "v.mp4"), ("--bids-prefix", "sub-1_task-a")])
def test_an_option_of_another_format_is_refused(option: tuple[str, str], journal: Path) -> None:
    """Rather than ignored."""
    with pytest.raises(StreamError, match=option[0]):
        run("export", journal, *option)


@pytest.mark.system
def test_who_stops_reading_ends_the_export_without_a_word(tmp_path: Path) -> None:
    """As in `| head -1`."""
    file = tmp_path / "many.jsonl"
    with file.open("wb") as out:
        out.writelines(to_json(numbered(n)) + b"\n" for n in range(3000))
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "bowam_stream.cli", "events", "export", str(file)]
    with subprocess.Popen(command, stdout=writing, stderr=subprocess.PIPE) as process:
        os.close(writing)
        assert os.read(reading, 6) == b"camera"
        os.close(reading)
        _, told = process.communicate(timeout=60)
    assert told == b""


def numbered(n: int) -> Event:
    return micro_event((n * 100, n * 100 + 10, n * 100 + 20), "negative", 100.0, event_id=f"{n:x}")
