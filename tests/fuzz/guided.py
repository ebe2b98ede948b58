"""The same targets, steered by which lines of our code an input reaches (atheris, libFuzzer).

    python -m tests.fuzz.guided frames --messages 100000 --seed 1

A conversation travels through libFuzzer as a msgpack list; most of the time it is damaged by our own rules, which know
its structure, and else by libFuzzer's, in one part. Written to stdout as JSON, like `own.py`. libFuzzer leaves the
process when it is done or has found something, so the result is written by whoever sees it last.
"""

import argparse
import atexit
import contextlib
import gc
import importlib
import os
import sys
import tempfile
import time
from pathlib import Path
from random import Random

import msgspec

from tests.fuzz.mutations import Conversation, Mutator

OURS = ("bowam_stream.transport", "bowam_stream.events", "bowam_stream.config", "bowam_stream.spotting")
OURS_MODEL = ("bowam_model.predictor", "bowam_model.flow", "bowam_model.network")
BY_LIBFUZZER = 0.3  # share of the damages that libFuzzer's own rules make
MAX_BYTES = 1 << 18

_decoder = msgspec.msgpack.Decoder(list[list[bytes]])


def packed(conversation: Conversation) -> bytes:
    """As libFuzzer keeps it."""
    return msgspec.msgpack.encode(conversation)


def unpacked(data: bytes) -> Conversation | None:
    """A conversation, unless libFuzzer made something else."""
    with contextlib.suppress(msgspec.DecodeError):
        return _decoder.decode(data)
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    given = parser.parse_args()

    import atheris  # type: ignore[import-not-found, unused-ignore]

    with atheris.instrument_imports(include=[*OURS, *OURS_MODEL]):
        for module in (*OURS, *(OURS_MODEL if given.target == "weights" else ())):
            importlib.import_module(module)
        own = importlib.import_module("tests.fuzz.own")
        targets = importlib.import_module("tests.fuzz.targets")

    target = targets.TARGETS[given.target]()
    result = own.Result(target=given.target, seed=given.seed, engine="atheris")
    valid = target.seeds()
    seen: set[str] = set()
    started_s = time.monotonic()
    warm, first = given.messages * own.WARM_SHARE, given.messages
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libFuzzer says is no part of the result
    folder = tempfile.TemporaryDirectory(prefix="bowam-fuzz-")

    def told() -> None:
        gc.collect()
        result.rss_last_mib = own.rss_mib()
        if result.messages - first >= own.ENOUGH_MESSAGES:
            result.growth_mib_per_million = (
                (result.rss_last_mib - result.rss_first_mib) / (result.messages - first) * 1e6
            )
        result.seconds, result.processor_seconds = time.monotonic() - started_s, time.process_time()
        result.outcomes = len(seen)
        answer.write(msgspec.json.encode(result) + b"\n")
        answer.flush()
        folder.cleanup()
        target.close()
        os._exit(1 if result.findings else 0)  # libFuzzer would report the exit itself as a finding

    atexit.register(told)

    def one(data: bytes) -> None:
        nonlocal first
        if result.messages >= given.messages or time.monotonic() - started_s > given.seconds:
            told()
        conversation = unpacked(data)
        if conversation is None:
            return
        conversation = conversation[: target.most]
        before_s = time.thread_time()
        failure = own.failure_of(target, conversation, seen)
        took_s = (time.thread_time() - before_s) / max(1, len(conversation))
        result.messages += len(conversation)
        result.conversations += 1
        result.slowest_ms = max(result.slowest_ms, took_s * 1000)
        if took_s > own.SLOW_S:
            failure = failure or ("slow", f"{took_s:.3f} s for each message")
        if failure and len(result.findings) < own.FINDINGS and all(f.what != failure[0] for f in result.findings):
            finding = own.Finding(what=failure[0], conversation=own.text_of(conversation), trace=failure[1])
            result.findings.append(finding)
        if result.conversations % 1000 == 0 or not result.rss_first_mib:
            if not result.rss_first_mib and result.messages >= warm:
                gc.collect()
                result.rss_first_mib, first = own.rss_mib(), result.messages
            result.rss_peak_mib = max(result.rss_peak_mib, own.rss_mib())

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        random = Random(seed)
        conversation = unpacked(data) or [list(message) for message in random.choice(valid)]
        if conversation and conversation[0] and random.random() < BY_LIBFUZZER:
            message = random.choice(conversation)
            if message:
                i = random.randrange(len(message))
                message[i] = bytes(atheris.Mutate(message[i], len(message[i]) + 64))
        else:
            conversation = Mutator(random, valid).conversation(conversation, most=target.most)
        out = packed(conversation)
        return out if len(out) <= max_size else data

    for i, conversation in enumerate(valid):
        (Path(folder.name) / str(i)).write_bytes(packed(conversation))
    options = [f"-max_len={MAX_BYTES}", f"-seed={given.seed}", "-len_control=0", "-rss_limit_mb=0", "-timeout=60"]
    atheris.Setup([sys.argv[0], *options, folder.name], one, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
