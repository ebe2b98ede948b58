"""Where a run may write: nothing that it reads is ever overwritten, and no device is replaced by a file."""

import errno
import os
from pathlib import Path

import pytest

from bowam_stream.cli.outputs import Outputs
from bowam_stream.errors import ConfigError, ReportError
from bowam_stream.report.files import written_whole


def outputs(*others: Path, events: Path | None = None, report: Path | None = None) -> Outputs:
    """The outputs of a run that uses `others` besides."""
    return Outputs(events=events, report=report, overlay=None, others=others)


def test_a_run_never_writes_over_what_it_reads_or_writes_already(tmp_path: Path) -> None:
    """By whatever name: relative, through a link, or twice the same."""
    video = tmp_path / "clip.mp4"
    video.write_bytes(b"precious")
    link = tmp_path / "link.jsonl"
    link.symlink_to(video)
    for place in (video, tmp_path / "x" / ".." / "clip.mp4", link):
        with pytest.raises(ConfigError, match="something else"):
            outputs(video, events=place)
    with pytest.raises(ConfigError, match="something else"):
        outputs(events=tmp_path / "same", report=tmp_path / "same")
    assert video.read_bytes() == b"precious"


def test_an_image_of_the_recording_is_not_written_over(tmp_path: Path) -> None:
    """Events may lie beside the images; an image may not be replaced."""
    (tmp_path / "img1.png").touch()
    outputs(tmp_path, events=tmp_path / "events.jsonl")
    with pytest.raises(ConfigError, match="image of the recording"):
        outputs(tmp_path, report=tmp_path / "img1.png")


def test_what_is_no_ordinary_file_is_refused(tmp_path: Path) -> None:
    """A device that is replaced by a file is lost for the whole machine."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "here").symlink_to(tmp_path / "there")
    (tmp_path / "there").symlink_to(tmp_path / "here")
    for place in (tmp_path / "pipe", Path("/dev/null"), tmp_path / "here"):
        with pytest.raises(ConfigError, match="name an ordinary file"):
            outputs(events=place)


def test_a_link_stays_and_leads_to_the_new_file(tmp_path: Path) -> None:
    """Also for a name as long as the file system takes."""
    target, link = tmp_path / ("n" * 255), tmp_path / "latest"
    link.symlink_to(target)
    with written_whole(link) as part:
        part.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert sorted(tmp_path.iterdir()) == sorted((target, link))


def _fill_the_disk(part: Path) -> None:
    part.write_text("half")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_what_goes_wrong_leaves_the_old_file(tmp_path: Path) -> None:
    """And nothing beside it."""
    file = tmp_path / "report.html"
    file.write_text("old")
    with pytest.raises(ReportError, match=r"report\.html: No space"), written_whole(file) as part:
        _fill_the_disk(part)
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]
