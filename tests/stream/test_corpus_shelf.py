"""Pieces on the shelf: whole or not there, one run at a time."""

import pickle
from pathlib import Path

import pytest

from bowam_stream.corpus.shelf import PIECES, Kept, Shelf, held, piece_name
from bowam_stream.errors import ConfigError


def test_a_damaged_or_foreign_piece_is_not_there(tmp_path: Path) -> None:
    """A flipped bit, a lost end, another's content under its name."""
    with held(tmp_path / "run") as shelf:
        shelf.put("a", b"content")
        shelf.put("b", b"")
        assert (shelf.get("a"), shelf.get("b"), shelf.get("c")) == (b"content", b"", None)
        file = tmp_path / "run" / PIECES / "a"
        sound = file.read_bytes()
        for damaged in (sound[:-1], sound + b"x", sound[:-1] + b"X", b"", b"BOWAM", sound.replace(b"1", b"2", 1)):
            file.write_bytes(damaged)
            assert shelf.get("a") is None
        (tmp_path / "run" / PIECES / "c").write_bytes(sound)
        assert shelf.get("c") is None
        shelf.put("a", b"content")
        assert shelf.get("a") == b"content"
        shelf.drop("a")
        shelf.drop("a")
        assert shelf.get("a") is None


def test_a_piece_travels_as_its_content_and_is_read_as_it_is_sent(tmp_path: Path) -> None:
    with held(tmp_path / "run") as shelf:
        kept = Kept(shelf, "later")
        with pytest.raises(ConfigError, match="taken away or damaged"):
            pickle.dumps(kept)
        shelf.put("later", b"content")
        assert pickle.loads(pickle.dumps(kept)) == b"content"


def test_the_name_of_a_piece_depends_on_all_that_decides_it() -> None:
    names = [piece_name("watch", *decides) for decides in (("a", 1), ("a", 2), ("b", 1), ("a1",), ("a", (1, None)))]
    assert len({*names, piece_name("survey", "a", 1)}) == 6
    assert names[0] == piece_name("watch", "a", 1)


def test_one_run_at_a_time_has_a_folder_and_half_pieces_of_a_killed_one_go(tmp_path: Path) -> None:
    with held(tmp_path / "run"):
        with pytest.raises(ConfigError, match="another run writes to"), held(tmp_path / "run"):
            pass
        (tmp_path / "run" / PIECES / ".x.part").touch()
    with held(tmp_path / "run"):
        assert not list((tmp_path / "run" / PIECES).iterdir())


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ConfigError, match=r"holds other things \(thesis.tex\)"), held(tmp_path):
        pass
    with pytest.raises(ConfigError, match="can't write"), held(tmp_path / "thesis.tex"):
        pass


def test_a_disk_that_can_not_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the same command goes on"):
        Shelf(tmp_path / "gone").put("a", b"")
