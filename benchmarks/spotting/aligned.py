"""Clips as the spotter meets them: rendered or decoded, aligned once, and kept on disk for the next run.

The aligned frames are what costs; with them at hand a changed spotter is judged in a minute or two.
"""

import hashlib
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks.spotting.injection import inject
from benchmarks.spotting.suite import Case
from bowam_model.face import FaceAligner
from bowam_model.synthesis import load_identity, make_clip
from bowam_model.synthesis.truth import Truth
from bowam_stream.capture import FaceStage, open_source
from bowam_stream.messages import AlignedFrame, Frame, Hello
from bowam_stream.transport import codec

VERSION = 2  # of the clips: raise it when synthesis, alignment or injection change, or old ones are found in the cache


class Clip(msgspec.Struct, frozen=True, kw_only=True):
    """What is known beside the frames."""

    hello: Hello
    truth: Truth | None  # None: nobody labelled it; no micro-expression is in it
    seconds: float


def aligned(case: Case, cache: Path) -> tuple[Clip, Iterator[AlignedFrame]]:
    """The clip and its frames, from the cache if they were made before. Raises SourceError for what is no video."""
    key = hashlib.sha256(repr((case, VERSION)).encode()).hexdigest()[:12]
    about, frames = cache / f"{case.name}-{key}.json", cache / f"{case.name}-{key}.frames"
    if not about.exists():
        cache.mkdir(parents=True, exist_ok=True)
        unfinished = frames.with_suffix(".part")
        clip = _make(case, unfinished)
        unfinished.replace(frames)
        about.write_bytes(msgspec.json.encode(clip))
    return msgspec.json.decode(about.read_bytes(), type=Clip), _read(frames)


def _make(case: Case, file: Path) -> Clip:
    with tempfile.TemporaryDirectory() as scratch:
        truth = None
        video = case.video
        if case.plan is not None:
            assert case.photo is not None
            truth = make_clip(case.plan, load_identity(case.photo), Path(scratch), crf=case.crf)
            video = Path(scratch) / "clip.mp4"
        assert video is not None
        source = open_source(str(video))
        hello = Hello(
            camera="cam0",
            session="bench",
            source=case.name,
            rate_hz=source.rate_hz,
            lossless=True,
            quality=source.quality,
        )
        frames: Iterator[Frame] = iter(source)
        if case.group == "injected":
            truth, changed = inject(list(frames), source.rate_hz or 25.0, case.seed)
            frames = iter(changed)
        t_ns = 0
        with file.open("wb") as out, FaceAligner() as aligner:
            stage = FaceStage(aligner, camera="cam0", session="bench")
            for frame in frames:
                t_ns = frame.moment.t_ns
                parts = codec.encode(stage.push(frame))
                out.write(struct.pack(f"<{len(parts) + 1}q", len(parts), *map(len, map(bytes, parts))))
                out.writelines(parts)
    return Clip(hello=hello, truth=truth, seconds=t_ns / 1e9)


def _read(file: Path) -> Iterator[AlignedFrame]:
    with file.open("rb") as opened:
        while head := opened.read(8):
            (count,) = struct.unpack("<q", head)
            sizes = struct.unpack(f"<{count}q", opened.read(8 * count))
            message = codec.decode([opened.read(size) for size in sizes])
            assert isinstance(message, AlignedFrame)
            yield message
