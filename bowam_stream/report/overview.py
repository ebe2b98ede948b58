"""The top of the report: the figures, and what a reader must know before believing anything below."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from bowam_stream.events.judgements import VERDICTS, Judgement
from bowam_stream.messages import Event, Kind
from bowam_stream.report.matching import Score
from bowam_stream.report.record import Record
from bowam_stream.report.refusals import Refusal
from bowam_stream.report.trace import Trace
from bowam_stream.report.words import KINDS, QUALITY, plain

LOW_RATE_HZ = 59.0  # below, a warning; 59.94 Hz is 60

Tile = tuple[str, str, str]
"""Number, what it counts, more about it."""


def tiles(
    events: Sequence[Event], refused: Sequence[Refusal], result: Score | None, judgements: Mapping[str, Judgement]
) -> list[Tile]:
    """The figures at the top."""
    kinds = Counter(event.kind for event in events if event.phase == "final")
    labels = Counter(event.label for event in events if event.phase == "final" and event.kind == "micro")
    said = ", ".join(f"{count} {label}" for label, count in sorted(labels.items(), key=lambda item: str(item[0])))

    def counted(kind: Kind) -> tuple[str, str]:
        return str(kinds[kind]), plain(kind, KINDS) + ("" if kinds[kind] == 1 else "s")

    taken_back = sum(bool(one.event_id) for one in refused)
    shown = [
        (*counted("micro"), said or "none recognised"),
        (*counted("macro"), "longer than half a second"),
        (*counted("blink"), "confined to the eyes"),
        (str(len(refused)), "refused", f"{taken_back} taken back, {len(refused) - taken_back} never announced"),
    ]
    if result is not None:
        found, true = len(result.found), len(result.found) + len(result.missed)
        shown.insert(0, (f"{result.f1:.2f}", "F1 score", f"{found} of {true} found, {len(result.false)} false"))
    verdicts = Counter(judgements[event.event_id].verdict for event in events if event.event_id in judgements)
    if verdicts:
        counts = ", ".join(f"{verdicts[verdict]} {verdict}" for verdict in VERDICTS if verdicts[verdict])
        shown.append((f"{verdicts.total()} of {len(events)}", "judged by a person", counts))
    return shown


def quality_of_run(record: Record, trace: Trace) -> frozenset[str]:
    """The words of quality that hold for the whole run."""
    words = {*record.hello.quality, *(record.end.quality if record.end else ())}
    if trace.rate_hz is not None and trace.rate_hz < LOW_RATE_HZ:
        words.add("low_frame_rate")
    return frozenset(words)


def warnings(record: Record, trace: Trace, events: Sequence[Event], known: Collection[str]) -> list[str]:
    """What limits this run, in plain words."""
    lines = [plain(word, QUALITY) for word in sorted(known)]
    single = Counter(word for event in events for word in event.quality if word not in known)
    lines += [
        f"{plain(word, QUALITY).rstrip('.')} ({count} of {len(events)} events)."
        for word, count in sorted(single.items())
    ]
    if trace.frames_with_face == 0:
        lines.append("No face was found in any frame: nothing could be looked at.")
    elif trace.frames_with_face < 0.9 * trace.frames:
        lines.append(f"A face was found in {trace.frames_with_face / trace.frames:.0%} of the frames only.")
    if record.end is None:
        lines.append("The run did not reach the end of the recording.")
    return lines


def books(record: Record) -> list[tuple[str, str]]:
    """What became of every frame that was decoded, as far as the end of the stream told."""
    if record.end is None:
        return []
    dropped = [(f"dropped, {place}", f"{count:,}") for place, count in sorted(record.end.dropped.items())]
    return [
        ("frames decoded", f"{record.end.frames:,}"),
        ("sent to the spotter", f"{record.end.seq:,}"),
        *(dropped or [("dropped", "0")]),
    ]
