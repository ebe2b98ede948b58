"""What the spotter takes for micro-expressions where there are none, for the class none of the shipped network.

    BOWAM_TEST_MEDIA=... python -m benchmarks.spotting.false_alarms FILE.npz

One clip without a micro-expression for every photo, with all that may be mistaken for one, and the real videos of the
tuning part. The spotter's doubts are turned down, so that it claims what it would otherwise refuse: the network is to
know these without leaning on the spotter's judgement. `bowam train --identities ... --false-alarms FILE.npz` learns
them, but for the people of its validation and test parts.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as in every `bowam` process

import numpy as np

from benchmarks.spotting.aligned import aligned
from benchmarks.spotting.judge import quiet_threads
from benchmarks.spotting.suite import BUSY, Case, cases
from bowam_model.recipes.false_alarms import FalseAlarms, write_false_alarms
from bowam_model.synthesis.plan import plan_clip
from bowam_stream.errors import SourceError
from bowam_stream.messages import EndOfStream
from bowam_stream.spotting import Spotter, SpottingSettings

CREDULOUS = SpottingSettings(
    threshold=4.0, rest_share=0.6, rest_px=1.0, blink_leak_px=0.2, head_leak=0.05, speech_leak=0.05,
    flicker_leak_px=0.5, micro_max_px=6.0,
)  # fmt: skip
SECONDS, SEED = 20.0, 500_000
RATES_HZ = (30.0, 60.0, 30.0, 100.0)


def clips(media: Path) -> Iterator[tuple[str, Case]]:
    """Who is seen, and the clip."""
    for number, photo in enumerate(sorted((media / "identities" / "neutral").glob("*.jpg"))):
        rate_hz = RATES_HZ[number % len(RATES_HZ)]
        what = (*BUSY, "low_light") if number % 3 == 2 else BUSY
        plan = plan_clip(SEED + number, rate_hz=rate_hz, seconds=SECONDS, events=0, nuisances=what)
        crf = 28 if number % 4 == 3 else 20
        yield (
            photo.stem,
            Case(name=f"none-{photo.stem}", group="none", rate_hz=rate_hz, plan=plan, photo=photo, crf=crf),
        )
    for case in cases(media, "tuning"):
        if case.group == "real":
            yield f"real {case.name}", case


def claims(who: str, case: Case, cache: Path) -> FalseAlarms:
    """All that the spotter claims in one clip."""
    triples: list[np.ndarray] = []
    rate_hz = 0.0
    try:
        clip, frames = aligned(case, cache)
    except SourceError:
        frames = iter(())
    else:
        rate_hz = clip.hello.rate_hz or 0.0
        spotter, count = Spotter(CREDULOUS, clip.hello), 0
        said = []
        for frame in frames:
            count += 1
            said += spotter.push(frame)
        said += spotter.finish(EndOfStream(camera="cam0", session="bench", seq=count, frames=count))
        for one in said:
            if one.phase == "final" and one.triple is not None:
                triples.append(np.stack([one.triple.onset, one.triple.apex, one.triple.offset]))
    count = len(triples)
    return FalseAlarms(
        np.array(triples, np.uint8).reshape(count, 3, 240, 240), np.full(count, who), np.full(count, rate_hz)
    )


def main() -> int:
    media = os.environ.get("BOWAM_TEST_MEDIA")
    if not media or len(sys.argv) != 2:
        print("usage: BOWAM_TEST_MEDIA=... python -m benchmarks.spotting.false_alarms FILE.npz", file=sys.stderr)
        return 2
    people, chosen = zip(*clips(Path(media)), strict=True)
    with tempfile.TemporaryDirectory(prefix="bowam-") as scratch:
        cache = Path(os.environ.get("BOWAM_BENCH_CACHE") or scratch)
        with ProcessPoolExecutor(2, get_context("spawn"), quiet_threads) as pool:
            found = list(pool.map(claims, people, chosen, repeat(cache)))
    for who, some in zip(people, found, strict=True):
        print(f"  {who:<70} {len(some.triples)}")
    alarms = FalseAlarms(
        *(np.concatenate([getattr(some, name) for some in found]) for name in ("triples", "people", "rates_hz"))
    )
    write_false_alarms(Path(sys.argv[1]), alarms)
    print(f"{len(alarms.triples)} false alarms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
