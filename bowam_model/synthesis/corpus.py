"""A synthetic corpus that lies on disk like MEGC2019: three data sets, their sheets, and the official list.

Every clip is an animated photo, so that whatever runs on the real composite runs end to end without licensed data. Its
scores say nothing about real faces: SYNTHETIC.md and synthetic.json in its folder say so, to readers and to
`datasets.load_composite`.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from bowam_model.errors import DatasetError, RunError
from bowam_model.synthesis.fields import UNITS, FaceFields
from bowam_model.synthesis.identity import Identity, identity_of, load_identity, photo_paths
from bowam_model.synthesis.population import (
    RELEASES,
    Actor,
    Clip,
    CorpusSettings,
    official_list,
    plan_corpus,
    scaled_counts,
    sheets,
)
from bowam_model.synthesis.render import Camera, Head, Performer, Stage
from bowam_model.work import Local, Outcome, Piece

VERSION = 1  # goes up when the same settings and photos give other pictures
LIST, MARKER, NOTICE = "combined_3class_gt.csv", "synthetic.json", "SYNTHETIC.md"
QUALITY = 88  # of the JPEG images
WARNING = """# SYNTHETIC

These are no recordings. `bowam synth corpus` animated neutral photos, and laid the pictures out like the MEGC2019
composite (CASME II, SAMM, SMIC-HS). The sheets and the list hold invented rows. Whatever is measured here says that a
program runs; it says nothing about real faces, and must be called synthetic wherever it is shown.
"""


def make_corpus(
    out: Path,
    settings: CorpusSettings,
    identities: Path | None = None,
    *,
    workers: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write a corpus into `out` and return the number of its clips. The same arguments give the same pixels.

    Clips appear whole, list and sheets last of all: a run that was killed leaves nothing that loads, and goes on when
    it is called again. Photos of `identities` serve in turn, mirrored when they come round again; without it all
    subjects share the built-in portrait. `on_progress(done, clips)` is called after each clip.

    Raises:
        OptionError: the settings are out of range.
        DatasetError: `out` holds something else, or cannot be written.
        RunError: `out` holds another corpus, or clips cannot be made.
        ImageError, MissingDependency: a photo shows no face, or a package is not installed.
    """
    photos = () if identities is None else tuple(photo_paths(identities))
    counts, clips = scaled_counts(settings), plan_corpus(settings, photos)
    told = {
        "synthetic": True,
        "version": VERSION,
        "settings": asdict(settings),
        "photos": [hashlib.sha256(photo.read_bytes()).hexdigest() for photo in photos],
        "counts": counts,
    }
    try:
        _claim(out, json.dumps(told, indent=1) + "\n")
        (out / NOTICE).write_text(WARNING, encoding="utf-8")
        _make_clips(out, clips, workers, on_progress)
        for name, text in {**sheets(clips), LIST: official_list(clips)}.items():
            _replace(out / name, text)
    except OSError as error:
        raise DatasetError(f"can't write {error.filename or out}: {error.strerror}") from error
    return len(clips)


def write_clip_images(out: Path, clip: Clip) -> None:
    """The pictures of one clip, all of them or none; nothing is done where they are already."""
    folder = out / clip.path(0).parent
    if folder.exists():
        return
    part = folder.with_name(f".{folder.name}.part")
    if part.exists():
        shutil.rmtree(part)
    part.mkdir(parents=True)
    release, plan = RELEASES[clip.actor.dataset], clip.plan
    stage, fields = _on_stage(clip.actor)
    performer, head = Performer(plan, fields), Head(plan)
    camera: Camera | None = None
    for frame in clip.frames:
        t_ms = plan.time_ms(frame)
        picture = stage.show(performer.expression(t_ms), performer.closure(t_ms), head.field(t_ms))
        camera = camera or Camera(plan.scene, plan.seed, picture.shape)
        picture = camera.expose(picture, frame, t_ms)
        shown = picture if release.grey else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        coded = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
        (part / clip.path(frame).name).write_bytes(coded.tobytes())
    os.replace(part, folder)


def _write_alone(out: Path, clip: Clip) -> None:
    cv2.setNumThreads(1)  # in a process for each core
    write_clip_images(out, clip)


def _make_clips(out: Path, clips: Sequence[Clip], workers: int, on_progress: Callable[[int, int], None] | None) -> None:
    missing = [clip for clip in clips if not (out / clip.path(0).parent).exists()]
    done = len(clips) - len(missing)

    def advance() -> None:
        nonlocal done
        done += 1
        if on_progress:
            on_progress(done, len(clips))

    def hear(outcome: Outcome) -> None:
        if outcome.failure:
            raise RunError(f"a clip can't be made: {outcome.failure.strip().splitlines()[-1]}")
        advance()

    if workers == 1:
        for clip in missing:
            write_clip_images(out, clip)
            advance()
    elif missing:
        pieces = [Piece(str(index), _write_alone, (clip,)) for index, clip in enumerate(missing)]
        Local(min(workers, len(pieces))).run(pieces, shared=(out,), on_done=hear)


@lru_cache(maxsize=1)
def _on_stage(actor: Actor) -> tuple[Stage, FaceFields]:
    """A subject: a photo, and muscles that are a little off the book. Clips come subject by subject."""
    identity: Identity = load_identity(actor.photo)
    if actor.mirrored:
        identity = identity_of(np.ascontiguousarray(identity.photo[:, ::-1]), f"{identity.name}-mirrored")
    release, rng = RELEASES[actor.dataset], np.random.default_rng(actor.seed)
    if release.grey:
        identity = replace(identity, photo=cv2.cvtColor(identity.photo, cv2.COLOR_RGB2GRAY))
    fields = FaceFields(identity.landmarks, variation=rng)
    for unit in UNITS:  # all of them in one order, or a muscle would depend on which clip asks for it first
        for side in ("right", "left"):
            fields.unit(unit, side)
    return Stage(identity, release.size, release.zoom * float(np.exp(rng.normal(0.0, 0.04)))), fields


def _claim(out: Path, told: str) -> None:
    """Make the folder ours, or find it ours. Raises RunError, DatasetError."""
    marker = out / MARKER
    if marker.is_file():
        if marker.read_text(encoding="utf-8") != told:
            raise RunError(f"{out} holds another synthetic corpus (see {MARKER} there): name another folder")
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DatasetError(f"{out} holds something else: name a new folder for the corpus")
    out.mkdir(parents=True, exist_ok=True)
    _replace(marker, told)


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
