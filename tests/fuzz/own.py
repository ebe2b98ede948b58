"""One target in a process of its own: so many messages, the slowest of them, the growth of memory, what was found.

    python -m tests.fuzz.own frames --messages 100000 --seed 1

Conversations that lead somewhere new join the ones that are damaged next. Written to stdout as JSON.
"""

import argparse
import base64
import gc
import os
import sys
import time
import traceback
from pathlib import Path
from random import Random

import msgspec

from tests.fuzz.mutations import Conversation, Mutator
from tests.fuzz.targets import TARGETS, Target

SLOW_S = 0.1  # processor time of one message: more would hold up frames
WARM_SHARE = 0.5  # the fuzzer's own corpus and caches fill in the first half: growth is measured in the second
ENOUGH_MESSAGES = 100_000  # to tell whether memory grows
CORPUS = 2000  # conversations that led somewhere new
DEEPER = 2  # how often in four a damaged conversation is damaged again rather than a valid one
MINIMISE_S = 10.0
FINDINGS = 20  # different ones; the rest is counted only


class Finding(msgspec.Struct, kw_only=True):
    """What must not happen, and the shortest conversation that makes it happen."""

    what: str  # exception and place, or how slow it was
    conversation: list[list[str]]  # base64
    times: int = 1
    trace: str = ""


class Result(msgspec.Struct, kw_only=True):
    """Of one target."""

    target: str
    seed: int
    messages: int = 0
    conversations: int = 0
    seconds: float = 0.0
    processor_seconds: float = 0.0
    outcomes: int = 0  # different things that became of them
    slowest_ms: float = 0.0  # of one message, processor time
    rss_first_mib: float = 0.0
    rss_peak_mib: float = 0.0
    rss_last_mib: float = 0.0
    growth_mib_per_million: float | None = None  # None: too few messages to tell
    engine: str = "structure"
    findings: list[Finding] = []


def rss_mib() -> float:
    """Memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


def text_of(conversation: Conversation) -> list[list[str]]:
    """As it is written down."""
    return [[base64.b64encode(part).decode() for part in message] for message in conversation]


def failure_of(target: Target, conversation: Conversation, seen: set[str] | None = None) -> tuple[str, str] | None:
    """What is wrong with what became of it: exception and place, and the traceback. `seen` takes what became of it."""
    try:
        outcome = target.run(conversation)
        if seen is not None:
            seen.add(outcome)
    except Exception as error:  # whatever comes out is what we look for
        frames = [f for f in traceback.extract_tb(error.__traceback__) if "bowam_" in f.filename] or [None]
        place = "" if frames[-1] is None else f"{Path(frames[-1].filename).name}:{frames[-1].name}"
        said = "" if place else f" {str(error)[:60]}"
        return f"{type(error).__name__} {place}{said}", traceback.format_exc()[-3000:]
    return None


def minimised(target: Target, conversation: Conversation, what: str) -> Conversation:
    """A smaller conversation that goes wrong in the same way."""

    until_s = time.monotonic() + MINIMISE_S

    def same(smaller: Conversation) -> bool:
        failure = None if time.monotonic() > until_s else failure_of(target, smaller)
        return failure is not None and failure[0] == what

    best = conversation
    for i in reversed(range(len(best))):
        if len(best) > 1 and same(shorter := best[:i] + best[i + 1 :]):
            best = shorter
    for m in range(len(best)):
        for p in reversed(range(len(best[m]))):
            step = len(best[m][p])
            while step:
                at = 0
                while at < len(best[m][p]) and len(best[m][p]) < 1 << 16:
                    cut = best[m][p][:at] + best[m][p][at + step :]
                    if same(shorter := [*best[:m], [*best[m][:p], cut, *best[m][p + 1 :]], *best[m + 1 :]]):
                        best = shorter
                    else:
                        at += step
                step //= 2
    return best


def fuzz(name: str, messages: int, seed: int, seconds: float = float("inf")) -> Result:
    """Give `messages` damaged messages to a target, for `seconds` at most."""
    target, result = TARGETS[name](), Result(target=name, seed=seed)
    random = Random(f"{name} {seed}")
    valid = target.seeds()
    mutator = Mutator(random, valid)
    corpus: list[Conversation] = []
    seen: set[str] = set()
    for conversation in valid:
        if failure := failure_of(target, conversation):
            raise SystemExit(f"{name}: a valid conversation fails: {failure[1]}")
    started_s, processor_s = time.monotonic(), time.process_time()
    findings: dict[str, Finding] = {}
    warm, first = messages * WARM_SHARE, messages
    while result.messages < messages and time.monotonic() - started_s < seconds:
        deeper = corpus and random.randrange(4) < DEEPER
        conversation = mutator.conversation(random.choice(corpus if deeper else valid), most=target.most)
        before_s = time.thread_time()
        try:
            outcome, failed = target.run(conversation), False
        except Exception:
            outcome, failed = "", True
        took_s = (time.thread_time() - before_s) / max(1, len(conversation))
        if took_s > SLOW_S:  # the machine may have stumbled: it must be slow again
            before_s = time.thread_time()
            failed = failed or failure_of(target, conversation) is not None
            took_s = min(took_s, (time.thread_time() - before_s) / max(1, len(conversation)))
        result.messages += len(conversation)
        result.conversations += 1
        result.slowest_ms = max(result.slowest_ms, took_s * 1000)
        if failed or took_s > SLOW_S:
            what, trace = failure_of(target, conversation) or ("slow", f"{took_s:.3f} s for each message")
            if what in findings:
                findings[what].times += 1
            elif len(findings) < FINDINGS:
                shortest = conversation if what == "slow" else minimised(target, conversation, what)
                findings[what] = Finding(what=what, conversation=text_of(shortest), trace=trace)
        elif outcome not in seen and len(corpus) < CORPUS:
            seen.add(outcome)
            corpus.append(conversation)
        if result.conversations % 1000 == 0 or not result.rss_first_mib:
            if not result.rss_first_mib and result.messages >= warm:
                gc.collect()
                result.rss_first_mib, first = rss_mib(), result.messages
            result.rss_peak_mib = max(result.rss_peak_mib, rss_mib())
    target.close()
    gc.collect()
    result.rss_last_mib = rss_mib()
    if result.messages - first >= ENOUGH_MESSAGES:
        result.growth_mib_per_million = (result.rss_last_mib - result.rss_first_mib) / (result.messages - first) * 1e6
    result.seconds = time.monotonic() - started_s
    result.processor_seconds = time.process_time() - processor_s
    result.outcomes, result.findings = len(seen), list(findings.values())
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    given = parser.parse_args()
    result = fuzz(given.target, given.messages, given.seed, given.seconds)
    sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")


if __name__ == "__main__":
    main()
