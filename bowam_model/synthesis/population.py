"""Who is in a synthetic corpus and what they do: subjects and clips in the proportions of MEGC2019, and their sheets.

Nothing is drawn here but numbers; `corpus` turns them into pictures.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np

from bowam_model.errors import OptionError
from bowam_model.labels import MEGC2019, MEGC2019_COUNTS
from bowam_model.synthesis.plan import STRATA, ClipPlan, Nod, Scene, blink, micro
from bowam_model.synthesis.truth import TruthEvent, truth_of

START_MS = 60.0  # of every expression, so that there are frames before its onset
BLINKS, NODS = 0.15, 0.15  # share of the clips in which something else happens too
WORDS = {  # the sheets' emotions for a class of the composite
    "negative": ("disgust", "repression"),
    "positive": ("happiness",),
    "surprise": ("surprise",),
}


@dataclass(frozen=True, kw_only=True)
class CorpusSettings:
    """How large, and which one."""

    clips: int = sum(samples for samples, _, _ in MEGC2019_COUNTS.values())
    subjects: int = sum(subjects for _, subjects, _ in MEGC2019_COUNTS.values())
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Release:
    """How one of the three data sets looks on disk."""

    image: str
    rate_hz: float
    size: tuple[int, int]  # smaller than the real ones, so that the whole corpus is small
    zoom: float  # pixels of a picture for one of the 240 px face
    grey: bool = False
    around: int = 3  # frames before onset and after offset
    first: tuple[int, int]  # frame numbers begin somewhere here


RELEASES = {
    "casme2": Release(
        image="casme2/Cropped/sub{person:02d}/{clip}/reg_img{number}.jpg",
        rate_hz=200.0, size=(280, 340), zoom=1.5, first=(1, 300),
    ),
    "samm": Release(
        image="samm/{person:03d}/{clip}/{person:03d}_{number:05d}.jpg",
        rate_hz=200.0, size=(480, 324), zoom=1.1, grey=True, first=(1000, 9000),
    ),
    "smic": Release(  # real ones are bmp, ten times as large; the folder is the clip, from onset to offset
        image="smic/SMIC_all_cropped/HS/s{person}/micro/{label}/{clip}/reg_image{number:06d}.jpg",
        rate_hz=100.0, size=(160, 192), zoom=0.9, around=0, first=(1000, 90_000),
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Actor:
    """One subject."""

    dataset: str
    person: int  # number in its data set, from 1
    photo: Path | None  # None: the portrait
    mirrored: bool  # the photo serves a second subject
    seed: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One sample of the corpus."""

    actor: Actor
    name: str
    label: str
    emotion: str
    plan: ClipPlan
    event: TruthEvent  # its frames count from the start of the plan
    shift: int  # from there to the numbers in sheet and file names

    @property
    def frames(self) -> range:
        """Frames of the plan that are written."""
        around = RELEASES[self.actor.dataset].around
        return range(max(self.event.onset - around, 0), min(self.event.offset + around + 1, self.plan.frames))

    def path(self, frame: int) -> Path:
        """Where a frame of the plan lies below the corpus."""
        image = RELEASES[self.actor.dataset].image
        return Path(image.format(person=self.actor.person, clip=self.name, label=self.label, number=frame + self.shift))


def scaled_counts(settings: CorpusSettings) -> dict[str, tuple[int, int, tuple[int, ...]]]:
    """Samples, subjects, and samples by class of each data set, in the proportions of MEGC2019. Raises OptionError."""
    cells = [count for _, _, counts in MEGC2019_COUNTS.values() for count in counts]
    people = [subjects for _, subjects, _ in MEGC2019_COUNTS.values()]
    if settings.clips < len(cells) or not len(people) <= settings.subjects <= settings.clips:
        raise OptionError(
            f"{settings.clips} clips of {settings.subjects} subjects: it takes at least {len(cells)} clips, so that "
            f"no class of a data set is empty, and {len(people)} subjects, each with a clip"
        )
    shared, members = _share(settings.clips, cells), _share(settings.subjects, people)
    classes = len(MEGC2019)
    counts = {}
    for index, dataset in enumerate(MEGC2019_COUNTS):
        mine = tuple(shared[classes * index : classes * (index + 1)])
        counts[dataset] = (sum(mine), members[index], mine)
        if members[index] > sum(mine):
            raise OptionError(f"{members[index]} subjects of {dataset} and {sum(mine)} clips: ask for fewer subjects")
    return counts


def plan_corpus(settings: CorpusSettings, photos: Sequence[Path] = ()) -> list[Clip]:
    """Every clip, by data set and subject. Subjects have unequally many, as in the real sets. Raises OptionError."""
    clips, seen = [], 0
    for index, (dataset, (samples, subjects, by_label)) in enumerate(scaled_counts(settings).items()):
        rng = np.random.default_rng((settings.seed, index))
        sizes = 1 + rng.multinomial(samples - subjects, rng.dirichlet(np.full(subjects, 1.0)))
        labels = list(rng.permutation(np.repeat(MEGC2019, by_label)))
        for person, size in enumerate(sizes, start=1):
            actor = Actor(
                dataset=dataset,
                person=person,
                photo=photos[seen % len(photos)] if photos else None,
                mirrored=bool(seen // max(len(photos), 1) % 2),
                seed=(settings.seed, index, person),
            )
            clips += [_clip(actor, str(labels.pop()), nth) for nth in range(1, size + 1)]
            seen += 1
    return clips


def sheets(clips: Sequence[Clip]) -> dict[str, str]:
    """Contents of the two sheets (SMIC's cropped release has none), by path. Columns as in the real ones."""
    rows: dict[str, list[list[object]]] = {"casme2": [], "samm": []}
    for clip in clips:
        event, units = clip.event, "+".join(map(str, clip.event.aus))
        frames = [clip.shift + frame for frame in (event.onset, event.apex, event.offset)]
        person, name, word = clip.actor.person, clip.name, clip.emotion
        if clip.actor.dataset == "casme2":
            rows["casme2"].append([person, name, "", *frames, "", units, word])
        elif clip.actor.dataset == "samm":
            length = event.offset - event.onset + 1
            rows["samm"].append([person, name, "", *frames, length, "Micro - 1/2", units, word.title(), "", ""])
    casme2 = "Subject,Filename,,OnsetFrame,ApexFrame,OffsetFrame,,Action Units,Estimated Emotion"
    samm = (
        "Subject,Filename,Inducement Code,Onset Frame,Apex Frame,Offset Frame,Duration,Micro,"
        "Action Units,Estimated Emotion,Objective Classes,Notes"
    )
    prose = ["SYNTHETIC: rows invented by bowam synth corpus"] + 12 * [" "]  # the real header is in row 14
    return {
        "casme2/CASME2-coding-20140508.csv": _csv([casme2.split(","), *rows["casme2"]]),
        "samm/SAMM_Micro_FACS_Codes_v2.csv": _csv([*([line] for line in prose), samm.split(","), *rows["samm"]]),
    }


def official_list(clips: Sequence[Clip]) -> str:
    """Contents of combined_3class_gt.csv: data set, subject, file name, class."""
    subjects = {"casme2": "sub{:02d}", "samm": "{:03d}", "smic": "s{:02d}"}
    rows = []
    for clip in clips:
        dataset = clip.actor.dataset
        subject = subjects[dataset].format(clip.actor.person)
        # SMIC's own padding differs from the list's.
        name = clip.name if dataset != "smic" else subject + clip.name[clip.name.index("_") :]
        rows.append([dataset, subject, name, MEGC2019.index(clip.label)])
    return _csv(rows)


def _clip(actor: Actor, label: str, nth: int) -> Clip:
    release, rng = RELEASES[actor.dataset], np.random.default_rng((*actor.seed, nth))
    movement = micro(rng, label, str(rng.choice(list(STRATA))), START_MS)
    length_ms = movement.end_ms + START_MS
    movements, nods = [movement], []
    if rng.random() < BLINKS:
        movements.append(blink(rng, float(rng.uniform(0, length_ms / 2))))
    if rng.random() < NODS:
        pitch_px, yaw_px = rng.normal(0, (2.0, 1.0)).tolist()
        nods.append(Nod(start_ms=float(rng.uniform(0, 100)), duration_ms=600.0, pitch_px=pitch_px, yaw_px=yaw_px))
    plan = ClipPlan(
        seed=int(rng.integers(2**31)),
        rate_hz=release.rate_hz,
        duration_ms=length_ms,
        size=release.size,
        zoom=release.zoom,
        movements=tuple(movements),
        nods=tuple(nods),
        scene=Scene(
            drift_px=float(rng.uniform(0.0, 2.5)),
            tremor_px=float(rng.uniform(0.0, 0.15)),
            flicker=float(rng.uniform(0.0, 0.02)),
            noise=float(np.exp(rng.uniform(np.log(0.5), np.log(3.0)))),
            light=float(rng.uniform(0.6, 1.05)),
        ),
    )
    event = next(event for event in truth_of(plan).events if event.kind == "micro")
    first, scene = int(rng.integers(*release.first)), int(rng.integers(1, 8))
    name = {
        "casme2": f"EP{scene:02d}_{nth:02d}f",
        "samm": f"{actor.person:03d}_{scene}_{nth}",
        "smic": f"s{actor.person}_{label[:2]}_{nth:02d}",
    }[actor.dataset]
    emotion = str(rng.choice(WORDS[label]))
    shift = first - max(event.onset - release.around, 0)
    return Clip(actor=actor, name=name, label=label, emotion=emotion, plan=plan, event=event, shift=shift)


def _share(total: int, weights: Sequence[int]) -> list[int]:
    """`total` in these proportions, at least 1 each: largest remainders."""
    exact = [max(total * weight / sum(weights), 1.0) for weight in weights]
    shares = [int(share) for share in exact]
    while sum(shares) != total:
        step = 1 if sum(shares) < total else -1
        able = [index for index, share in enumerate(shares) if share + step >= 1]
        shares[max(able, key=lambda index: step * (exact[index] - shares[index]))] += step
    return shares


def _csv(rows: Sequence[Sequence[object]]) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
