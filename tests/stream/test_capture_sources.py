"""Recordings, image folders and the test pattern: true times, honest faults, one clear line if nothing can be read."""

import hashlib
import os
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from bowam_stream.capture import Source, SourceSettings, draw_frame_number, open_source, read_frame_number
from bowam_stream.capture.recording import Recording
from bowam_stream.capture.timeline import Timeline
from bowam_stream.errors import SourceError
from bowam_stream.messages import Frame

SECOND = 1_000_000_000


def write_video(
    path: Path,
    numbers: list[int],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    size: tuple[int, int] = (320, 240),
    stamps_ms: Callable[[int], int] = lambda k: 40 * k,
    options: dict[str, str] | None = None,
    rotation: int = 0,
) -> Path:
    """A video whose frames carry `numbers`; frame k is stamped `stamps_ms(k)`."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        if path.suffix not in (".mpg", ".avi"):  # these count frames
            stream.codec_context.time_base = Fraction(1, 1000)
        if rotation:
            stream.set_display_rotation(rotation)
        for k, number in enumerate(numbers):
            frame = av.VideoFrame.from_ndarray(draw_frame_number(number, *size), format="gray").reformat(format=pix_fmt)
            frame.pts, frame.time_base = stamps_ms(k), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def play(source: Source) -> list[Frame]:
    """All frames, after checking what holds for every recording."""
    frames = list(source)
    times = [frame.moment.t_ns for frame in frames]
    assert [frame.moment.frame for frame in frames] == list(range(len(frames)))
    assert times[0] == 0
    assert all(a < b for a, b in pairwise(times))
    assert all(frame.moment.utc_ns is None for frame in frames)
    return frames


def numbers_of(frames: list[Frame]) -> list[int | None]:
    return [read_frame_number(frame.image) for frame in frames]


@pytest.mark.parametrize("size", [(640, 480), (240, 240), (641, 361), (64, 48)])
def test_the_pattern_carries_its_number_at_any_size(size: tuple[int, int]) -> None:
    """Written and read again, also blurred, noisy, darker and scaled."""
    rng = np.random.default_rng(0)
    for number in (0, 1, 4711, 2**24 - 1):
        image = draw_frame_number(number, *size)
        assert read_frame_number(image) == number
        worse = np.clip(cv2.resize(image, (240, 240)) * 0.9 + rng.normal(0, 20, (240, 240)), 0, 255).astype(np.uint8)
        assert read_frame_number(cv2.cvtColor(worse, cv2.COLOR_GRAY2RGB)) == number


def test_a_picture_that_is_no_pattern_has_no_number() -> None:
    """The checksum lets only one in 256 wrong pictures through."""
    rng = np.random.default_rng(1)
    found = [read_frame_number(cv2.resize(rng.integers(0, 255, (4, 8), dtype=np.uint8), (64, 48))) for _ in range(300)]
    assert sum(number is not None for number in found) < 10


def test_the_pattern_source_keeps_its_promises() -> None:
    """Number, time, size and count are those of the address."""
    source = open_source("test://pattern?frames=50&rate=200&size=320x240")
    frames = play(source)
    assert (source.frames, source.rate_hz, source.live) == (50, 200.0, False)
    assert numbers_of(frames) == list(range(50))
    assert frames[7].moment.t_ns == 7 * SECOND // 200
    assert frames[0].image.shape == (240, 320)


@pytest.mark.parametrize(
    "spec",
    ["test://patern", "test://pattern?frames=0", "test://pattern?frames=x", "test://pattern?size=10x10",
     "test://pattern?color=red", "test://pattern?rate=0", "test://pattern?size=640"],
)  # fmt: skip
def test_a_wrong_pattern_address_is_explained(spec: str) -> None:
    """The line shows how an address looks."""
    with pytest.raises(SourceError, match="test://pattern"):
        open_source(spec)


def test_a_recording_gives_every_frame_with_its_own_time(tmp_path: Path) -> None:
    """Lossy, with B-frames and a variable rate that starts at ten seconds: order and times are the file's."""
    stamps = [10_000, 10_040, 10_070, 10_200, 10_210, 10_500, 10_540, 10_580, 10_620, 10_660]
    path = write_video(tmp_path / "vfr.mkv", list(range(10)), stamps_ms=lambda k: stamps[k])
    source = open_source(str(path))
    frames = play(source)
    assert numbers_of(frames) == list(range(10))
    assert [frame.moment.t_ns // 1_000_000 for frame in frames] == [t - 10_000 for t in stamps]
    assert (source.frames, source.live, source.quality, source.late_quality) == (10, False, (), ())
    assert source.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert source.name == "vfr.mkv"


def test_playing_again_starts_over(tmp_path: Path) -> None:
    """Two iterations are equal, bit by bit."""
    source = open_source(str(write_video(tmp_path / "clip.mp4", list(range(12)))))
    first, second = play(source), play(source)
    assert [f.moment for f in first] == [f.moment for f in second]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(first, second, strict=True))


def test_loops_continue_time_and_numbers(tmp_path: Path) -> None:
    """Three times ten frames of 40 ms are thirty frames of 40 ms."""
    source = open_source(str(write_video(tmp_path / "clip.mp4", list(range(10)))), SourceSettings(loops=3))
    frames = play(source)
    assert source.frames == 30
    assert numbers_of(frames) == list(range(10)) * 3
    assert [f.moment.t_ns for f in frames] == [40_000_000 * k for k in range(30)]


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "name", "grey"),
    [("ffv1", "gray", "g.mkv", True), ("ffv1", "gray16le", "g16.mkv", True), ("mpeg2video", "yuv420p", "m.mpg", False),
     ("libx264", "yuv422p10le", "p10.mp4", False), ("ffv1", "yuv444p12le", "p12.mkv", False),
     ("gif", "gray", "a.gif", False)],
)  # fmt: skip
def test_every_pixel_format_becomes_eight_bits(tmp_path: Path, codec: str, pix_fmt: str, name: str, grey: bool) -> None:
    """Grey stays grey, the rest becomes RGB, and the picture is the same."""
    frames = play(open_source(str(write_video(tmp_path / name, list(range(8)), codec=codec, pix_fmt=pix_fmt))))
    assert numbers_of(frames) == list(range(8))
    assert all(frame.image.dtype == np.uint8 and frame.image.ndim == (2 if grey else 3) for frame in frames)
    assert abs(int(frames[0].image.max()) - 224) < 12


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_rotation_tags_are_applied(tmp_path: Path, rotation: int) -> None:
    """A picture stored lying on its side and tagged so is upright when it comes out."""
    path = write_video(tmp_path / "phone.mp4", [5] * 4, rotation=rotation)
    frame = play(open_source(str(path)))[0]
    assert frame.image.shape[:2] == ((240, 320) if rotation == 180 else (320, 240))
    stored = np.ascontiguousarray(np.rot90(frame.image, -rotation // 90))
    assert read_frame_number(stored) == 5
    assert read_frame_number(frame.image) != 5


def test_pixels_that_are_not_square_are_made_square(tmp_path: Path) -> None:
    """Anamorphic 720 x 576 is shown as 1024 x 576, and so it is aligned."""
    path = tmp_path / "wide.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 720, 576, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(64, 45)
        frame = av.VideoFrame.from_ndarray(draw_frame_number(9, 720, 576), format="gray").reformat(format="yuv420p")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (frame,) = play(open_source(str(path)))
    assert frame.image.shape == (576, 1024, 3)
    assert read_frame_number(frame.image) == 9


def test_a_bare_bit_stream_gets_its_times_from_the_rate(tmp_path: Path) -> None:
    """No timestamps are said to be none, and --rate decides."""
    path = write_video(tmp_path / "raw.h264", list(range(10)))
    assert play(open_source(str(path)))[3].moment.t_ns == 3 * SECOND // 25
    source = open_source(str(path), SourceSettings(rate_hz=100))
    frames = play(source)
    assert (source.quality, source.rate_hz) == (("no_timestamps",), 100)
    assert [f.moment.t_ns for f in frames] == [10_000_000 * k for k in range(10)]
    assert numbers_of(frames) == list(range(10))


@pytest.mark.parametrize(("name", "codec"), [("cut.mkv", "mpeg4"), ("cut.avi", "mpeg4"), ("cut.mp4", "mpeg4")])
def test_a_file_without_its_end_is_played_as_far_as_it_goes(tmp_path: Path, name: str, codec: str) -> None:
    """That its end is missing is known before the first frame."""
    options = {"movflags": "faststart"} if name.endswith("mp4") else {}
    path = write_video(tmp_path / name, list(range(100)), codec=codec, options=options)
    assert open_source(str(path)).quality == ()
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    source = open_source(str(path))
    assert source.quality == ("truncated",)
    found = numbers_of(play(source))
    assert 30 < len(found) < 90
    assert found[:30] == list(range(30))


def test_damage_in_the_middle_is_skipped_and_marked(tmp_path: Path) -> None:
    """Noise over some packets: they are counted, the rest is shown, and the frame after the damage says so."""
    path = write_video(tmp_path / "bad.mp4", list(range(60)))
    data = bytearray(path.read_bytes())
    middle, length = len(data) // 2, len(data) // 8
    data[middle : middle + length] = np.random.default_rng(0).bytes(length)
    path.write_bytes(data)
    source = open_source(str(path))
    assert isinstance(source, Recording)
    frames = list(source)
    assert len(frames) + source.skipped_packets == 60
    assert source.skipped_packets > 0
    assert source.late_quality == ("damaged",)
    assert any("damaged" in frame.quality for frame in frames)
    assert frames[0].quality == ()


def test_interlaced_pictures_lose_their_comb(tmp_path: Path) -> None:
    """Of two fields taken one after the other only one is kept."""
    path = tmp_path / "tv.mpg"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.codec_context.flags |= 0x20000000 | 0x00040000  # AV_CODEC_FLAG_INTERLACED_ME | _DCT
        stream.codec_context.bit_rate = 8_000_000
        for _ in range(3):
            woven = np.full((240, 320), 60, np.uint8)
            woven[0::2, 100:120], woven[1::2, 140:160] = 200, 200
            container.mux(stream.encode(av.VideoFrame.from_ndarray(woven, format="gray").reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    frame = play(open_source(str(path)))[1]
    grey = frame.image.mean(axis=2)
    assert grey[40:200, 105:115].min() > 150
    assert grey[40:200, 145:155].max() < 100


def make_audio_only(path: Path) -> None:
    with av.open(str(path), "w", format="wav") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty.mp4": (lambda path: path.touch(), "empty"),
    "text.mp4": (lambda path: path.write_text("this is no video\n" * 50), "no video"),
    "notes.txt": (lambda path: path.write_text("hello\nworld\n"), "no video"),
    "noise.mp4": (lambda path: path.write_bytes(np.random.default_rng(0).bytes(20_000)), "no video"),
    "sound.mp4": (make_audio_only, "sound"),
    "folder": (lambda path: path.mkdir(), "no numbered images"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_video_is_named_in_one_line(tmp_path: Path, name: str) -> None:
    """Never a traceback, never a guess."""
    make, words = BAD[name]
    make(tmp_path / name)
    with pytest.raises(SourceError, match=words) as caught:
        list(open_source(str(tmp_path / name)))
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_an_unknown_address_are_named(tmp_path: Path) -> None:
    """And a password in an address is not."""
    with pytest.raises(SourceError, match="no such file"):
        open_source(str(tmp_path / "nowhere.mp4"))
    with pytest.raises(SourceError, match="unknown kind") as caught:
        open_source("ftp://anna:secret@host/clip.mp4")
    assert "secret" not in str(caught.value)
    with pytest.raises(SourceError, match="--rate"):
        open_source(str(write_video(tmp_path / "clip.mp4", [1, 2])), SourceSettings(rate_hz=-1))


def test_odd_names_are_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A colon is no protocol, a tilde no user, and a name need not be UTF-8."""
    monkeypatch.chdir(tmp_path)
    for name in ("a:b.mp4", "~nobody-of-that-name.mp4", os.fsdecode(b"bad\xff.mp4"), "-dash ?#%d.mp4"):
        write_video(tmp_path / "clip.mp4", [1, 2]).rename(name)
        source = open_source(name)
        assert len(play(source)) == 2
        source.name.encode()
    for spec, words in (("", "empty"), ("n" * 300, "too long"), ("~nobody-of-that-name/x.mp4", "no such file")):
        with pytest.raises(SourceError, match=words):
            open_source(spec)


def write_images(folder: Path, names: list[str]) -> None:
    folder.mkdir()
    for name in names:
        number = int("".join(ch for ch in Path(name).stem if ch.isdigit()))
        assert cv2.imwrite(str(folder / name), draw_frame_number(number, 64, 48))


def test_images_are_sorted_by_the_last_number_of_their_name(tmp_path: Path) -> None:
    """img2 comes before img10, whatever the padding, and a missing number is a gap in time."""
    write_images(tmp_path / "clip", ["img10.png", "img2.png", "img3.png", "img0004.png", "img9.png"])
    (tmp_path / "clip" / "notes.txt").write_text("not an image")
    source = open_source(str(tmp_path / "clip"), SourceSettings(rate_hz=200, loops=2))
    frames = play(source)
    assert numbers_of(frames) == [2, 3, 4, 9, 10] * 2
    assert [frame.moment.t_ns // 5_000_000 for frame in frames] == [0, 1, 2, 7, 8, 9, 10, 11, 16, 17]
    assert (source.frames, source.rate_hz, source.name) == (10, 200, "clip")


def test_images_of_sixteen_bits_keep_their_upper_byte(tmp_path: Path) -> None:
    """A grey 16-bit image is as bright as its 8-bit copy."""
    (tmp_path / "clip").mkdir()
    cv2.imwrite(str(tmp_path / "clip" / "1.png"), draw_frame_number(1, 64, 48).astype(np.uint16) * 257)
    (frame,) = play(open_source(str(tmp_path / "clip"), SourceSettings(rate_hz=25)))
    np.testing.assert_array_equal(frame.image, draw_frame_number(1, 64, 48))


def test_the_digest_of_a_folder_follows_its_content(tmp_path: Path) -> None:
    """The same images elsewhere have the same digest; another pixel has another."""
    settings = SourceSettings(rate_hz=25)
    for name in ("a", "b"):
        write_images(tmp_path / name, ["1.png", "2.png"])
    a, b = (open_source(str(tmp_path / name), settings).digest for name in ("a", "b"))
    assert a == b
    cv2.imwrite(str(tmp_path / "b" / "2.png"), draw_frame_number(3, 64, 48))
    assert open_source(str(tmp_path / "b"), settings).digest != a


def test_images_need_a_rate_and_one_file_per_number(tmp_path: Path) -> None:
    """Both are said in one line that tells what to do; an unreadable image is skipped and marked."""
    write_images(tmp_path / "clip", ["1.png", "2.png", "3.png"])
    with pytest.raises(SourceError, match="--rate"):
        open_source(str(tmp_path / "clip"))
    (tmp_path / "clip" / "2.png").write_bytes(b"broken")
    source = open_source(str(tmp_path / "clip"), SourceSettings(rate_hz=10))
    frames = play(source)
    assert [frame.moment.t_ns for frame in frames] == [0, 200_000_000]
    assert [frame.quality for frame in frames] == [(), ("damaged",)]
    assert source.late_quality == ("damaged",)
    (tmp_path / "clip" / "b1.png").write_bytes(b"")
    with pytest.raises(SourceError, match="same number"):
        open_source(str(tmp_path / "clip"), SourceSettings(rate_hz=10))


def test_dates_are_no_frame_numbers(tmp_path: Path) -> None:
    """Their distance would be years of video."""
    write_images(tmp_path / "clip", ["1.png", "2.png"])
    (tmp_path / "clip" / "2.png").rename(tmp_path / "clip" / "20250101120000.png")
    with pytest.raises(SourceError, match=r"20250101120000\.png would be more than a day"):
        open_source(str(tmp_path / "clip"), SourceSettings(rate_hz=10))
    (tmp_path / "clip" / "1.png").unlink()
    assert len(play(open_source(str(tmp_path / "clip"), SourceSettings(rate_hz=10)))) == 1


def test_a_timeline_mends_what_cannot_be_true() -> None:
    """Missing, repeated, joined and absurd timestamps; gaps are left alone."""
    timeline = Timeline(period_ns=40_000_000)
    stamps = [
        Fraction(5),
        None,
        Fraction("5.08"),
        Fraction("5.08"),
        Fraction("5.12"),
        Fraction(9),
        Fraction(0),
        Fraction("0.04"),
        Fraction(10**9),
        Fraction(10**9) + Fraction("0.04"),
    ]
    found = [timeline.push(stamp) for stamp in stamps]
    ms = [t_ns / 1e6 for t_ns, _ in found]
    assert ms == [0, 40, 80, 80.001, 120, 4000, 4040, 4080, 4120, 4160]
    assert [mended for _, mended in found] == [False, True, False, True, False, False, True, False, True, False]


OUTCOME = {
    "truncated_no_moov.mp4": "no video",
    "zero_bytes.mp4": "empty",
    "text_renamed.mp4": "no video",
    "zero_frames.mp4": "no video stream",
    "video_02_audio_only.mp4": "sound but no video",
}
COUNTS = {"fps_200.mp4": 400, "one_frame.mp4": 1, "vfr_dropped.mp4": 56, "truncated_faststart.mp4": 33, "av1.mkv": 15}


@pytest.mark.media
def test_every_difficult_recording_plays_or_says_why_not(media: Path) -> None:
    """All files that were made to break readers, in one go."""
    for path in sorted((media / "robust").iterdir()):
        if path.name in OUTCOME:
            with pytest.raises(SourceError, match=OUTCOME[path.name]):
                open_source(str(path))
            continue
        source = open_source(str(path))
        frames = play(source)
        assert len(frames) == COUNTS.get(path.name, source.frames), path.name
        assert ("truncated" in source.quality) == (path.name == "truncated_faststart.mp4")
        assert ("damaged" in source.late_quality) == (path.name in ("truncated_faststart.mp4", "bitflips_light.mp4"))


@pytest.mark.media
def test_a_late_start_changes_nothing(media: Path) -> None:
    """The same clip stamped from ten seconds on gives the same frames at the same times."""
    a, b = (play(open_source(str(media / p))) for p in ("videos/single_face.mp4", "robust/start_at_10s.mp4"))
    assert [f.moment for f in a] == [f.moment for f in b]
    assert all(np.array_equal(x.image, y.image) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.mpg", "mpeg2video")])
@pytest.mark.parametrize("number", [0, 1, 37, 60, 99])
def test_a_recording_can_be_begun_anywhere(tmp_path: Path, name: str, codec: str, number: int) -> None:
    """The same frames with the same times as for who begins at the first one, also in the middle of a group."""
    path = write_video(tmp_path / name, list(range(100)), codec=codec)
    recording = Recording(path, SourceSettings())
    times_ns = recording.times_ns
    if times_ns is None:
        assert name == "a.mpg", "its packets don't all bear a time"
        with pytest.raises(SourceError, match="begin with the first"):
            next(recording.since(number))
        return
    whole = list(recording)
    assert times_ns.tolist() == [frame.moment.t_ns for frame in whole]
    part = list(recording.since(number))
    assert [frame.moment for frame in part] == [frame.moment for frame in whole[number:]]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(part, whole[number:], strict=True))


def test_an_index_that_leads_astray_costs_time_and_no_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeking ends behind the frame that is wanted: the recording is decoded from its beginning."""
    recording = Recording(write_video(tmp_path / "a.mp4", list(range(60))), SourceSettings())
    decode = Recording._decode
    sought: list[int | None] = []

    def late(self: Recording, stamp: int | None = None):
        sought.append(stamp)
        decoded = decode(self, None)
        return decoded if stamp is None else (one for one in decoded if one[0] > Fraction(2))

    monkeypatch.setattr(Recording, "_decode", late)
    assert [frame.moment.frame for frame in recording.since(40)] == list(range(40, 60))
    assert sought[0] is not None
    assert sought[1] is None


def test_where_each_frame_is_can_t_be_told_of_loops_and_bare_streams(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", list(range(10)))
    assert Recording(path, SourceSettings(loops=2)).times_ns is None
    bare = write_video(tmp_path / "a.h264", list(range(10)))
    assert Recording(bare, SourceSettings()).times_ns is None
