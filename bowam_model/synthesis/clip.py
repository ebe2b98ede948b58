"""A clip on disk: clip.mp4 and truth.json, both complete or absent."""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from bowam_model.errors import DatasetError, MissingDependency
from bowam_model.synthesis.identity import Identity, load_identity
from bowam_model.synthesis.occlusion import lid_travel_px
from bowam_model.synthesis.plan import ClipPlan
from bowam_model.synthesis.render import render
from bowam_model.synthesis.truth import Truth, truth_of

VIDEO, TRUTH = "clip.mp4", "truth.json"


def make_clip(
    plan: ClipPlan,
    identity: Identity | None,
    folder: str | Path,
    *,
    crf: int = 18,
    on_frame: Callable[[int, int], None] | None = None,
) -> Truth:
    """Render `plan` into `folder`/clip.mp4 and `folder`/truth.json; see `write_clip`. None: the default portrait."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"can't make the folder {folder}: {error.strerror}") from error
    return write_clip(folder / VIDEO, folder / TRUTH, plan, identity or load_identity(), crf=crf, on_frame=on_frame)


def write_clip(
    video: Path,
    truth: Path,
    plan: ClipPlan,
    identity: Identity,
    *,
    crf: int = 18,
    on_frame: Callable[[int, int], None] | None = None,
) -> Truth:
    """Render, encode (H.264, yuv420p, constant rate factor `crf`: 0 lossless, 18 fine, 35 poor) and write the truth.

    `on_frame(done, frames)` is called after every frame. Files appear under their names only when they are complete.
    Raises MissingDependency (no PyAV) or DatasetError (can't write).
    """
    known = truth_of(plan, lid_travel_px=lid_travel_px(identity.landmarks), identity=identity.name)
    unfinished = video.with_name(f".{video.name}.part")
    try:
        _encode(unfinished, plan, identity, crf, on_frame)
        scrap = truth.with_name(f".{truth.name}.part")
        scrap.write_bytes(msgspec.json.format(msgspec.json.encode(known), indent=1) + b"\n")
        os.replace(unfinished, video)
        os.replace(scrap, truth)
    except OSError as error:
        raise DatasetError(f"can't write {video}: {error.strerror or error}") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return known


def _encode(
    path: Path, plan: ClipPlan, identity: Identity, crf: int, on_frame: Callable[[int, int], None] | None
) -> None:
    try:
        import av
    except ImportError as error:
        raise MissingDependency("writing video needs PyAV: pip install 'bowam-stream[capture]'") from error
    from fractions import Fraction

    rate = Fraction(plan.rate_hz).limit_denominator(1001)
    with av.open(str(path), "w", format="mp4") as container:
        # One thread, so that the same plan gives the same file on every machine.
        stream = container.add_stream(
            "libx264", rate=rate, options={"crf": str(crf), "preset": "veryfast", "threads": "1"}
        )
        stream.width, stream.height = plan.size
        stream.pix_fmt = "yuv420p"
        for index, picture in enumerate(render(plan, identity, threads=2)):
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
            if on_frame:
                on_frame(index + 1, plan.frames)
        for packet in stream.encode():
            container.mux(packet)
