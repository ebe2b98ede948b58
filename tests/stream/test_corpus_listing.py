"""What a corpus is: folders, manifests, addresses; and what its recordings are called as cameras."""

import re
from pathlib import Path

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bowam_stream.cli.options import CAMERA
from bowam_stream.corpus.listing import is_corpus, list_corpus
from bowam_stream.corpus.names import camera_names
from bowam_stream.corpus.places import VIDEOS, at_hand, stamp
from bowam_stream.errors import SourceError


def touch(folder: Path, *names: str) -> None:
    """Files with their own name in them."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def test_a_folder_is_all_its_videos_in_order_and_says_what_else_is_there(tmp_path: Path) -> None:
    """At any depth; hidden files and folders do not count, links do, once."""
    touch(tmp_path, "b.MP4", "a/z.mov", "a/notes.txt", "a-b.avi", ".hidden.mp4", ".cache/x.mp4", "a/._z.mov", "LICENSE")
    (tmp_path / "c").symlink_to(tmp_path)  # a circle
    listing = list_corpus(str(tmp_path))
    assert [entry.name for entry in listing.entries] == ["a/z.mov", "a-b.avi", "b.MP4"]
    assert [entry.camera for entry in listing.entries] == ["a-z", "a-b", "b"]
    assert [Path(entry.path).read_text() for entry in listing.entries] == ["a/z.mov", "a-b.avi", "b.MP4"]
    assert listing.left_out == ("2 files that are no video by name: 1 .txt, 1 without an ending",)
    assert [entry.camera for entry in list_corpus(str(tmp_path), but=tmp_path / "a").entries] == ["a-b", "b"]


def test_folders_of_numbered_images_are_recordings_if_their_rate_is_given(tmp_path: Path) -> None:
    touch(tmp_path, "s01/EP1/img1.jpg", "s01/EP1/img2.jpg", "s02/EP1/img1.jpg", "s02/talk.mp4")
    assert is_corpus(str(tmp_path))
    without = list_corpus(str(tmp_path))
    assert [entry.name for entry in without.entries] == ["s02/talk.mp4"]
    assert without.left_out == ("2 folders of numbered images, which need their frame rate: --rate",)
    given_rate = list_corpus(str(tmp_path), images=True)
    assert [entry.camera for entry in given_rate.entries] == ["s01-EP1", "s02-EP1", "s02-talk"]
    assert given_rate.left_out == ()


def test_one_recording_is_told_from_many(tmp_path: Path) -> None:
    """A folder of images stays one recording; videos beside images make it a corpus."""
    touch(tmp_path, "images/1.png", "both/1.png", "both/a.mp4", "one.mp4", "list.csv", "list.jsonl")
    (tmp_path / "empty").mkdir()
    many = {"both", "list.csv", "list.jsonl", ""}
    for name in ("images", "both", "one.mp4", "list.csv", "list.jsonl", "empty", "missing", ""):
        assert is_corpus(str(tmp_path / name)) == (name in many), name
    assert is_corpus("s3://bucket/talks/")
    assert not is_corpus("test://pattern")
    assert not is_corpus("rtsp://camera/1")


def test_a_corpus_without_a_video_is_one_clear_error(tmp_path: Path) -> None:
    touch(tmp_path, "x/notes.txt")
    with pytest.raises(SourceError, match=r"there is no video in it \(1 file that is no video by name: 1 \.txt\)"):
        list_corpus(str(tmp_path))


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_manifest_names_recordings_relative_to_itself(tmp_path: Path, kind: str) -> None:
    """With a camera, a rate and consent of their own where they are given."""
    text = {
        "csv": "path,camera,rate_hz,consent\nday 1/a.mp4,,,\nb.avi,anna,200,yes\n\n/abs/c.mkv,,,no\ns3://k/d.mp4,,,\n",
        "jsonl": '{"path": "day 1/a.mp4"}\n{"path": "b.avi", "camera": "anna", "rate_hz": 200, "consent": true}\n\n'
        '{"path": "/abs/c.mkv", "consent": false}\n{"path": "s3://k/d.mp4", "consent": null}\n',
    }
    manifest = tmp_path / f"list.{kind}"
    manifest.write_text(text[kind])
    entries = list_corpus(str(manifest)).entries
    assert [entry.path for entry in entries] == [
        f"{tmp_path}/day 1/a.mp4",
        f"{tmp_path}/b.avi",
        "/abs/c.mkv",
        "s3://k/d.mp4",
    ]
    assert [entry.camera for entry in entries] == ["day_1-a", "anna", "abs-c", "k-d"]
    assert [(entry.rate_hz, entry.consent) for entry in entries] == [
        (None, None),
        (200.0, True),
        (None, False),
        (None, None),
    ]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("m.csv", "file\na.mp4\n", "looked for the column path, found file"),
        ("m.csv", "", "found no table"),
        ("m.csv", "path,fps\na.mp4,25\n", "row 2: looked for path, camera, rate_hz, consent; unknown: fps"),
        ("m.csv", "path,camera\na.mp4,x\nb.mp4,x\n", "camera x stands there twice"),
        ("m.csv", "path,camera\na.mp4,an na\n", "row 2: a camera has up to 64"),
        ("m.csv", "path,rate_hz\na.mp4,fast\n", "row 2: rate_hz 'fast' is no frame rate"),
        ("m.csv", "path,rate_hz\na.mp4,0\n", "is no frame rate"),
        ("m.csv", "path,rate_hz\na.mp4,nan\n", "is no frame rate"),
        ("m.csv", "path,consent\na.mp4,maybe\n", "row 2: consent is yes, no"),
        ("m.csv", "path\na.mp4\na.mp4\n", "row 3: a.mp4 stands there already"),
        ("m.csv", "path\na.mp4,x\n", "row 2: it has more cells"),
        ("m.csv", "path,camera\n,x\n", "row 2: no path"),
        ("m.jsonl", '{"path": 3}\n', "row 1: no path"),
        ("m.jsonl", '{"path": "a.mp4"}\nnonsense\n', "row 2: it is no JSON object"),
        ("m.jsonl", '{"path": "a.mp4", "consent": 3}', "row 1: consent is yes"),
        ("m.jsonl", '{"path": "a.mp4", "consent": [1]}', "row 1: consent is yes"),
        ("m.jsonl", '{"path": "a.mp4", "rate_hz": [1]}', "is no frame rate"),
        ("m.jsonl", "\n", "there is no video in it"),
    ],
)
def test_a_manifest_that_is_wrong_is_one_clear_error(tmp_path: Path, name: str, text: str, words: str) -> None:
    """With the row, as an editor counts them."""
    (tmp_path / name).write_text(text)
    with pytest.raises(SourceError, match=re.escape(words)):
        list_corpus(str(tmp_path / name))


def test_a_name_depends_on_the_path_alone_unless_it_collides() -> None:
    paths = ["day 1/talk.mp4", "day_1/talk.mp4", "day_1-talk.mov", "-x/ü.mkv", ".a.mp4", "notes.2024/b.mp4", "9.mp4"]
    names = camera_names(paths, VIDEOS)
    assert names[3:] == ["_-x-_", "_.a", "notes.2024-b", "9"]
    assert all(re.fullmatch(r"day_1-talk-[0-9a-f]{8}", name) for name in names[:3])
    assert len(set(names)) == len(paths)
    assert camera_names(paths[::-1], VIDEOS) == names[::-1]
    long = camera_names(["x/" * 50 + "end.mp4"], VIDEOS)[0]
    assert len(long) == 64
    assert long.endswith("-x-x-x-end")
    assert camera_names(["a.mp4"], VIDEOS, taken=["a"])[0].startswith("a-")


@settings(deadline=None)
@given(st.lists(st.text(min_size=1, max_size=90), unique=True, max_size=8), st.lists(st.text("ab-_", min_size=1)))
def test_every_name_is_legal_and_no_two_are_the_same(paths: list[str], taken: list[str]) -> None:
    names = camera_names(paths, VIDEOS, taken)
    assert all(CAMERA.fullmatch(name) for name in names)
    assert len(set(names)) == len(paths)
    assert not set(names) & set(taken)


def test_an_address_is_listed_and_fetched_and_its_change_is_noticed() -> None:
    """One file at a time lies here; it is checked against what it was."""
    memory = fsspec.filesystem("memory")
    memory.pipe("/talks/b/x.mp4", b"one")
    memory.pipe("/talks/a.mp4", b"two")
    memory.pipe("/talks/list.txt", b"")
    memory.pipe("/talks/list.csv", b"path\nb/x.mp4\n")
    try:
        listing = list_corpus("memory://talks/")
        assert [(entry.name, entry.camera) for entry in listing.entries] == [("a.mp4", "a"), ("b/x.mp4", "b-x")]
        assert listing.left_out == ("2 files that are no video by name: 1 .csv, 1 .txt",)
        assert [entry.camera for entry in list_corpus("memory://talks/list.csv").entries] == ["b-x"]
        assert [entry.camera for entry in list_corpus("memory://talks/a.mp4").entries] == ["a"]
        with at_hand(listing.entries[0].path) as first:
            assert first.read_bytes() == b"two"
            assert first.name == "a.mp4"
        with at_hand(listing.entries[1].path) as second:
            assert second.read_bytes() == b"one"
        assert not first.exists()
        before = stamp(listing.entries[1].path)
        with (
            pytest.raises(SourceError, match="has changed since it was surveyed"),
            at_hand(listing.entries[1].path, "ab"),
        ):
            pass
        assert not second.exists()
        memory.pipe("/talks/b/x.mp4", b"other")
        assert stamp(listing.entries[1].path) != before
        memory.rm("/talks/b/x.mp4")
        with pytest.raises(SourceError, match="there is no such file"), at_hand(listing.entries[1].path):
            pass
    finally:
        memory.rm("/talks", recursive=True)


def test_a_missing_driver_is_named() -> None:
    """With the package that brings it, as fsspec knows it."""
    fsspec.register_implementation("tape", "no_such_package.Tape", errtxt="Install tapefs to access tapes")
    with pytest.raises(SourceError, match="tape needs another package: Install tapefs to access tapes"):
        list_corpus("tape://x/y")
    with pytest.raises(SourceError, match="Protocol not known: nonsense"):
        list_corpus("nonsense://x/y.mp4")


def test_a_file_that_changed_has_another_stamp(tmp_path: Path) -> None:
    """A file, and a folder of images."""
    touch(tmp_path, "a.mp4", "i/1.png")
    for path, changed in ((tmp_path / "a.mp4", tmp_path / "a.mp4"), (tmp_path / "i", tmp_path / "i" / "2.png")):
        before = stamp(str(path))
        assert stamp(str(path)) == before
        changed.write_text("longer than before")
        assert stamp(str(path)) != before
    with pytest.raises(SourceError, match="no such file"):
        stamp(str(tmp_path / "gone.mp4"))
