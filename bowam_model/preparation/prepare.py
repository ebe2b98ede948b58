"""A corpus becomes examples: what lacks in the cache is made, by several processes if asked, and all of it is gathered.

Axis legend: N examples, V readings of one clip, H rows, W columns, C values of a flow.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from bowam_model.datasets.sample import Corpus, Finding, FlowImage, Sample
from bowam_model.errors import DatasetError, ImageError, ModelError
from bowam_model.flow import ALIGNED_PX, bidirectional_flow
from bowam_model.learning import Examples
from bowam_model.preparation.cache import Entry, Faces, find, load, load_faces, save, save_faces
from bowam_model.preparation.faces import face_crops
from bowam_model.preparation.pictures import Unusable, moments, read_picture
from bowam_model.preparation.settings import PreparationSettings
from bowam_model.work import Local, Outcome, Piece

MAPPED_BYTES = 2 << 30  # more than that is not held in memory but mapped from a file of the cache
PICTURE_CENTRE = 127.5  # a ready flow picture's 0..255 become -1..1

OnProgress = Callable[[int, int], None]
"""Called with how many samples are done, and how many there are."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The examples, and what was not simply taken on the way."""

    examples: Examples
    findings: tuple[Finding, ...]


def prepare(
    corpus: Corpus,
    settings: PreparationSettings,
    cache: Path,
    *,
    workers: int = 1,
    on_progress: OnProgress | None = None,
) -> Prepared:
    """The flows of all micro-expressions of a corpus, in its order.

    Faces are aligned and cropped (see `faces.face_crops`) and their flow is computed at 240 px, once; it is then taken
    from `cache`, which may be shared. A run that was killed goes on where it was; the number of workers changes
    nothing. A sample that fails becomes a finding "skipped". Flows that together exceed 2 GiB are mapped from a file
    under `cache` (copy on write) instead of being held in memory.

    Ready flow pictures (`FlowImage`) are read as they are, whatever the settings: fusion "picture", one reading, three
    channels value / 127.5 - 1.

    Raises:
        DatasetError: nothing is left, pictures differ in size, ready flows and clips are mixed, the cache cannot be
            written.
        MissingDependency: mediapipe or PyAV is needed and not installed.
    """
    samples = [sample for sample in corpus.samples if sample.kind == "micro"]
    findings = [
        Finding(action="skipped", where=corpus.title, what=f"{count} of kind {kind}", reason="no micro-expressions")
        for kind, count in sorted(corpus.kinds().items())
        if kind != "micro"
    ]
    ready = [sample for sample in samples if isinstance(sample.media, FlowImage)]
    if ready and len(ready) < len(samples):
        raise DatasetError(f"{corpus.title} mixes {len(ready)} ready flows with clips: use one manifest for each")
    taken: list[Sample] = []
    flows: np.ndarray
    if ready:
        taken, flows = _read_ready(samples, findings, on_progress)
    else:
        findings += _apexes(samples)
        paths = _make_all(samples, settings, cache, workers, findings, on_progress)
        taken = [sample for sample, path in zip(samples, paths, strict=True) if path]
        flows = _gather(taken, [path for path in paths if path], settings, cache, findings)
    if not taken:
        why = next((f": {one.what}: {one.reason}" for one in reversed(findings) if one.action == "skipped"), "")
        raise DatasetError(f"not one of {len(samples)} micro-expressions of {corpus.title} can be used{why}")
    fusion = "picture" if ready else settings.fusion
    return Prepared(examples=_examples(corpus, taken, flows, fusion), findings=tuple(findings))


def flows_of(sample: Sample, settings: PreparationSettings, faces: Path) -> Entry:
    """The flows of one clip, float16 (V, H, W, C), from the faces that lie in that file, or come to lie there.

    Raises Unusable, ImageError, MissingDependency.
    """
    when = moments(sample, settings.readings)
    known = load_faces(faces)
    if known is None or not set(when.all) <= known.crops.keys():
        crops, notes = face_crops(sample, when.all, steady=settings.steady)
        known = Faces(crops, tuple(notes))
        save_faces(faces, known)
    crops = known.crops
    made: dict[int, np.ndarray] = {}  # readings at the edge of a clip fall together
    for apex in when.apexes:
        if apex not in made:
            flow = bidirectional_flow(crops[when.onset], crops[apex], crops[when.offset], settings.fusion)
            if settings.side_px < ALIGNED_PX:
                flow = cv2.resize(flow, (settings.side_px, settings.side_px), interpolation=cv2.INTER_AREA)
            made[apex] = flow.astype(np.float16)
    return Entry(np.stack([made[apex] for apex in when.apexes]), known.notes)


def _make(settings: PreparationSettings, cache: Path, sample: Sample) -> Path | str | ModelError:
    """Where its flows lie, why there are none, or what stops the whole run. Runs in any process."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        places = find(cache, sample, settings)
        assert places is not None
        if not places.flows.exists():
            save(places.flows, flows_of(sample, settings, places.faces))
        return places.flows
    except (Unusable, ImageError) as error:
        return str(error)
    except ModelError as error:
        return error
    finally:
        cv2.setNumThreads(before)


def _make_all(
    samples: Sequence[Sample],
    settings: PreparationSettings,
    cache: Path,
    workers: int,
    findings: list[Finding],
    on_progress: OnProgress | None,
) -> list[Path | None]:
    """The cache file of each sample; None where it was skipped."""
    paths: dict[int, Path] = {}
    failures: dict[int, str] = {}

    def take(index: int, made: Path | str | ModelError) -> None:
        if isinstance(made, ModelError):
            raise made
        if isinstance(made, Path):
            paths[index] = made
        else:
            failures[index] = made
        if on_progress:
            on_progress(len(paths) + len(failures), len(samples))

    missing = []
    for index, sample in enumerate(samples):
        try:
            places = find(cache, sample, settings, read=False)
        except Unusable as error:
            take(index, str(error))
            continue
        if places and places.flows.exists():
            take(index, places.flows)
        else:
            missing.append(index)
    if workers > 1 and len(missing) > 1:

        def hear(outcome: Outcome) -> None:
            failure = outcome.failure and outcome.failure.strip().splitlines()[-1]
            take(int(outcome.key), failure or outcome.value)

        pieces = [Piece(str(index), _make, (samples[index],)) for index in missing]
        Local(min(workers, len(pieces))).run(pieces, shared=(settings, cache), on_done=hear)
    else:
        for index in missing:
            take(index, _make(settings, cache, samples[index]))
    findings += [_finding("skipped", samples[index], reason) for index, reason in sorted(failures.items())]
    return [paths.get(index) for index in range(len(samples))]


def _gather(
    samples: Sequence[Sample],
    paths: Sequence[Path],
    settings: PreparationSettings,
    cache: Path,
    findings: list[Finding],
) -> np.ndarray:
    """All flows in one array, float16 (N, V, H, W, C)."""
    shape = (len(samples), settings.readings, settings.side_px, settings.side_px, settings.channels)
    large = int(np.prod(shape)) * 2 > MAPPED_BYTES
    digest = hashlib.sha256("".join(path.stem for path in paths).encode()).hexdigest()
    whole = cache / "corpora" / f"{digest}.npy"
    part = whole.with_name(f".{whole.name}.{os.getpid()}.part")
    try:
        if large:
            whole.parent.mkdir(parents=True, exist_ok=True)
            flows: np.ndarray = np.lib.format.open_memmap(part, "w+", np.float16, shape)
        else:
            flows = np.empty(shape, np.float16)
        for index, (sample, path) in enumerate(zip(samples, paths, strict=True)):
            entry = load(path)
            if entry is None or entry.flows_VHWC.shape != shape[1:] or entry.flows_VHWC.dtype != np.float16:
                path.unlink(missing_ok=True)
                made = _make(settings, cache, sample)
                entry = load(path)
                if entry is None:
                    raise (made if isinstance(made, ModelError) else DatasetError(f"{path} vanished: {made}"))
            flows[index] = entry.flows_VHWC
            findings += [_finding("kept", sample, note) for note in entry.notes]
        if not large:
            return flows
        flows.flush()  # type: ignore[attr-defined]  # a memmap
        os.replace(part, whole)
        return np.load(whole, mmap_mode="c")
    except OSError as error:
        raise DatasetError(f"can't write {whole}: {error.strerror}; name another folder with --cache") from error
    finally:
        part.unlink(missing_ok=True)


def _read_ready(
    samples: Sequence[Sample], findings: list[Finding], on_progress: OnProgress | None
) -> tuple[list[Sample], np.ndarray]:
    pictures: list[tuple[Sample, np.ndarray]] = []
    for done, sample in enumerate(samples, start=1):
        assert isinstance(sample.media, FlowImage)
        try:
            picture = read_picture(sample.media.path)
            if picture.ndim != 3:
                raise Unusable(f"{sample.media.path.name} is grey: red u, green v and blue strain are wanted")
            pictures.append((sample, picture))
        except Unusable as error:
            findings.append(_finding("skipped", sample, str(error)))
        if on_progress:
            on_progress(done, len(samples))
    for (_, usual), (sample, picture) in pairwise(pictures):
        if picture.shape != usual.shape:
            raise DatasetError(
                f"{sample.media.path} is {_size(picture)}, those before it are {_size(usual)}: "  # type: ignore[union-attr]
                "flow pictures of one manifest have one size"
            )
    scaled = [picture[None] / np.float32(PICTURE_CENTRE) - 1 for _, picture in pictures]
    flows = np.array(scaled, np.float16) if scaled else np.empty((0, 1, 1, 1, 3), np.float16)
    return [sample for sample, _ in pictures], flows


def _examples(corpus: Corpus, samples: Sequence[Sample], flows: np.ndarray, fusion: str) -> Examples:
    classes = tuple(sorted({sample.label for sample in samples}))
    persons = [f"{sample.dataset}/{sample.subject}" for sample in samples]
    people = tuple(sorted(set(persons)))
    return Examples(
        flows_NVHWC=flows,
        labels=np.array([classes.index(sample.label) for sample in samples], np.int64),
        classes=classes,
        subjects=np.array([people.index(person) for person in persons], np.int64),
        people=people,
        clips=tuple(f"{person}/{sample.clip}" for person, sample in zip(persons, samples, strict=True)),
        fusion=fusion,
        synthetic=corpus.synthetic,
    )


def _apexes(samples: Iterable[Sample]) -> list[Finding]:
    """How many have no apex, by data set."""
    lacking = Counter(sample.dataset for sample in samples if sample.apex is None)
    return [
        Finding(action="kept", where=name, what=f"{count} samples", reason="no apex is annotated; the middle is taken")
        for name, count in sorted(lacking.items())
    ]


def _finding(action: str, sample: Sample, reason: str) -> Finding:
    what = f"{sample.subject} {sample.clip}"
    return Finding(action=action, where=sample.dataset, what=what, reason=reason)  # type: ignore[arg-type]


def _size(picture: np.ndarray) -> str:
    return f"{picture.shape[1]}x{picture.shape[0]}"
