"""Which clips the spotter is judged on. People, videos and seeds are split into tuning and test, by person.

A case with `events` asks for micro-expressions; one without is a negative, and its group is what might be mistaken.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Literal

from bowam_model.synthesis.plan import ClipPlan, plan_clip

Part = Literal["tuning", "test"]
RATES_HZ = (30.0, 60.0, 100.0, 200.0)
TEST_PEOPLE = 10  # the last by name: those whom the shipped network's recipe keeps for its own test
UNUSED_PEOPLE = 6  # those before them chose the network's temperature
QUIET = ("blink", "drift", "tremor", "noise")
BUSY = (*QUIET, "nod", "speech", "macro", "flicker")
DARK = (*QUIET, "low_light")
GROUPS = {  # name: (what else happens, compression)
    "quiet": (QUIET, 20),
    "distractors": (BUSY, 20),
    "compressed": (QUIET, 28),
    "dark": (DARK, 20),
    "poor picture": (DARK, 28),
}
TOGETHER = ((("quiet",), 4), (("distractors",), 4), (("compressed", "dark", "poor picture"), 2))
"""Groups that share their people and movements, and clips of each for each rate."""
SECONDS, EVENTS = 20.0, 6
CAUSES = {  # negatives: name: (what happens, compression)
    "still": (("noise",), 20),
    "drift": (("drift", "tremor", "noise"), 20),
    "nod": (("nod", "drift", "noise"), 20),
    "flicker": (("flicker", "noise"), 20),
    "blink": (("blink", "drift", "tremor", "noise"), 20),
    "speech": (("speech", "drift", "tremor", "noise"), 20),
    "macro": (("macro", "drift", "tremor", "noise"), 20),
    "low light": (("low_light", "drift", "tremor", "noise"), 20),
    "compression": (("drift", "tremor", "noise"), 28),
}
NEGATIVE_CLIPS = ((30.0, 45.0), (30.0, 45.0), (100.0, 30.0))  # of each cause: frames per second, seconds
REAL: dict[Part, tuple[str, ...]] = {  # untouched, and with micro-expressions put into them
    "tuning": ("talk/grid_s1/*", "talk/other/clm*"),
    "test": ("talk/other/[!c]*", "videos/grid/*", "videos/*.m*", "videos/misc/*"),
}
PROBES: tuple[str, ...] = ("robust/flicker_neutral.mp4", "robust/shake_neutral.mp4", "robust/occluded_mouth.mp4")
PROBES += ("robust/ten_speakers_33s.mp4", "robust/two_people_swap_at_40.mp4", "robust/cut_identity_change.mp4")
INJECTED_EVERY_MS = 3_000.0


@dataclass(frozen=True, kw_only=True)
class Case:
    """One clip."""

    name: str  # unique; tells everything that it is made of
    group: str  # key of GROUPS or CAUSES, or "injected", "real", "probe"
    rate_hz: float | None  # None: as the video has it
    plan: ClipPlan | None = None
    photo: Path | None = None
    crf: int = 20
    video: Path | None = None
    seed: int = 0  # of what is injected

    @property
    def positive(self) -> bool:
        return self.group in GROUPS or self.group == "injected"


def cases(media: Path, part: Part) -> Iterator[Case]:
    """All cases of one part."""
    photos = sorted((media / "identities" / "neutral").glob("*.jpg"))
    people = photos[-TEST_PEOPLE:] if part == "test" else photos[: -TEST_PEOPLE - UNUSED_PEOPLE]
    base = 900_000 if part == "test" else 100_000
    numbers = count(1)

    def synthetic(
        group: str, number: int, rate_hz: float, seconds: float, events: int, what: tuple[str, ...], crf: int
    ) -> Case:
        photo = people[number * 7 % len(people)]
        plan = plan_clip(base + number, rate_hz=rate_hz, seconds=seconds, events=events, nuisances=what)
        name = f"{part}-{group.replace(' ', '-')}-{rate_hz:.0f}-{number:03d}-{photo.stem}"
        return Case(name=name, group=group, rate_hz=rate_hz, plan=plan, photo=photo, crf=crf)

    for groups, clips in TOGETHER:
        for rate_hz in RATES_HZ:
            for number in islice(numbers, clips):
                yield from (synthetic(group, number, rate_hz, SECONDS, EVENTS, *GROUPS[group]) for group in groups)
    for cause, (what, crf) in CAUSES.items():
        for (rate_hz, seconds), number in zip(NEGATIVE_CLIPS, numbers, strict=False):
            yield synthetic(cause, number, rate_hz, seconds, 0, what, crf)
    for pattern in REAL[part]:
        for number, video in enumerate(sorted(media.glob(pattern))):
            stem = "-".join(video.relative_to(media).parts).replace(".", "-")
            yield Case(name=f"{part}-real-{stem}", group="real", rate_hz=None, video=video)
            if pattern != "talk/grid_s1/*" or number % 4 == 0:  # one man must not swamp the rest
                yield Case(
                    name=f"{part}-injected-{stem}", group="injected", rate_hz=None, video=video, seed=base + number
                )
    if part == "test":
        for probe in PROBES:
            yield Case(name=f"test-probe-{Path(probe).stem}", group="probe", rate_hz=None, video=media / probe)
