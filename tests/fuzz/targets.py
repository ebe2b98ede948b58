"""What is fuzzed: each decoder and state machine behind a socket or a file, and what may come out of it.

A target takes a conversation and returns a word for what became of it, by which inputs that lead somewhere new are
recognised. Only the errors of errors.py may come out, as one short printable line; everything else is a finding.
"""

import contextlib
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import msgspec
import numpy as np

from bowam_stream.clock import NS_PER_MS
from bowam_stream.config import load_config
from bowam_stream.errors import ConfigError, TransportError
from bowam_stream.events import Journal
from bowam_stream.events.merge import Merge
from bowam_stream.events.replay_socket import answer
from bowam_stream.events.schema import from_json, to_json
from bowam_stream.events.wire import PageHeader, read_message, read_page, read_request
from bowam_stream.messages import AlignedFrame, EndOfStream, Hello, Moment
from bowam_stream.spotting import Spotter, SpottingSettings
from bowam_stream.transport import Drops, TransportSettings
from bowam_stream.transport.codec import decode, encode
from bowam_stream.transport.control import read_control, write_control
from bowam_stream.transport.inbox import Inbox
from tests.fuzz import seeds
from tests.fuzz.mutations import Conversation, Message

LINE_CHARS = 1000  # of an error: more would fill a log
_NUMBERS = re.compile(r"/\S+|\d+|'.*?'|`.*?`")


class Unsound(AssertionError):
    """Something came out that must not."""


def line_of(error: Exception) -> str:
    """The error's text, if it is what a person can be shown."""
    text = str(error)
    if not text.isprintable() or not 0 < len(text) <= LINE_CHARS:
        raise Unsound(f"an error that is no short printable line: {text[:300]!r}") from error
    return _NUMBERS.sub("", text)[:40]


class Target:
    """One thing to fuzz."""

    name: ClassVar[str]
    share: ClassVar[int]  # of a thousand messages
    most: ClassVar[int] = 64  # messages of a conversation
    errors: tuple[type[Exception], ...] = (TransportError,)

    def seeds(self) -> list[Conversation]:
        """Valid conversations."""
        raise NotImplementedError

    def take(self, conversation: Conversation) -> str:
        """Give it to what is fuzzed. Raises one of `errors`, or finds something."""
        raise NotImplementedError

    def close(self) -> None:
        """Remove what lies on the disk."""

    def run(self, conversation: Conversation) -> str:
        """What became of it."""
        try:
            return self.take(conversation)
        except self.errors as error:
            return line_of(error)


class Frames(Target):
    """Messages on the frames socket. What is taken can be sent on and is the same."""

    name, share, most = "frames", 200, 1

    def seeds(self) -> list[Conversation]:
        return [[message] for message in seeds.frames()]

    def take(self, conversation: Conversation) -> str:
        word = ""
        for parts in conversation:
            message = decode(parts)
            if [bytes(part) for part in encode(message)][2:] != parts[2:]:
                raise Unsound("the payload changed on the way")
            word += type(message).__name__
        return word


class Controls(Target):
    """Control messages of a recording's two ends."""

    name, share, most = "control", 150, 1

    def seeds(self) -> list[Conversation]:
        return [[message] for message in seeds.controls()]

    def take(self, conversation: Conversation) -> str:
        word = ""
        for parts in conversation:
            for part in parts:
                control = read_control(part)
                word += type(control).__name__
                if control is not None and read_control(write_control(control)) != control:
                    raise Unsound("a control message that can't be written again")
        return word[:80]


class Topic(Target):
    """Messages of the event topic."""

    name, share, most = "topic", 150, 1

    def seeds(self) -> list[Conversation]:
        return [[seeds.topic_event(3)], [seeds.topic_status(3)]]

    def take(self, conversation: Conversation) -> str:
        return " ".join(read_message(parts).kind for parts in conversation)


class Events(Target):
    """Events as JSON. What is taken can be written, and comes back equal."""

    name, share, most = "event", 150, 1

    def seeds(self) -> list[Conversation]:
        some = (seeds.event(1), seeds.event(2, kind=None, phase="provisional", offset=None, label=None, model=None))
        return [
            [[to_json(event)]] for event in (*some, seeds.event(3, delivery=None, probabilities=None, confidence=None))
        ]

    def take(self, conversation: Conversation) -> str:
        for parts in conversation:
            for part in parts:
                written = to_json(from_json(part))
                if to_json(from_json(written)) != written:
                    raise Unsound("an event that changes each time it is written")
        return "event"


class Pages(Target):
    """Answers of the journal socket."""

    name, share, most = "page", 100, 1

    def seeds(self) -> list[Conversation]:
        return [[seeds.page(1, 2)], [seeds.page(3, 2)], [seeds.refusal()]]

    def take(self, conversation: Conversation) -> str:
        return " ".join(f"{read_page(parts)[0].complete}" for parts in conversation)


class Requests(Target):
    """Questions to the journal socket, answered from a journal."""

    name, share, most = "request", 50, 1

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bowam-fuzz-")
        self._journal = Journal(Path(self._folder.name) / "journal.sqlite")
        for seq in range(1, 6):
            self._journal.append(seeds.event(seq, delivery=None))

    def close(self) -> None:
        self._journal.close()
        self._folder.cleanup()

    def seeds(self) -> list[Conversation]:
        return [[message] for message in seeds.requests()]

    def take(self, conversation: Conversation) -> str:
        word = ""
        for parts in conversation:
            for part in parts:
                page = answer(self._journal, read_request(part))
                word += f"{len(page)}"
        return word[:20]


class Merging(Target):
    """A subscription that hears strangers, and then an honest worker with a journal of its own."""

    name, share = "merge", 110
    SAY, ANSWER = b"m", b"p"  # first part of each message: said on the topic, or answered by the journal socket

    def seeds(self) -> list[Conversation]:
        say, answered = self.SAY, self.ANSWER
        return [
            [[answered, *seeds.page(1, 0)], [say, *seeds.topic_event(1)], [say, *seeds.topic_event(2)]],
            [[answered, *seeds.page(1, 0)], [say, *seeds.topic_status(2)], [answered, *seeds.page(1, 2)]],
            [
                [answered, *seeds.page(1, 3)],
                [answered, *seeds.page(1, 3, journal="other")],
                [say, *seeds.topic_event(9)],
            ],
            [[say, *seeds.topic_event(5, camera="cam1")], [answered, *seeds.page(1, 2, complete=False)]],
        ]

    def take(self, conversation: Conversation) -> str:
        merge, word = Merge(since=0), ""
        for parts in conversation:
            if not parts:
                continue
            try:
                hear = merge.on_page if parts[0][:1] == self.ANSWER else merge.on_message
                word += f"{len(hear(parts[1:]))}"
            except TransportError as error:
                line_of(error)
                word += "e"
            if len(merge.request()) > 1 << 16:
                raise Unsound("a question that no journal socket takes")
        self._honest(merge)
        return word

    def _honest(self, merge: Merge) -> None:
        """From now on an honest worker speaks: its five events must come, each once, in order."""
        story: list[int] = []

        def ask() -> None:
            for _ in range(20):
                if not merge.behind:
                    return
                wanted = read_request(merge.request())
                first = wanted.since.get("cam0", 0) + 1
                last = min(5, first + min(2, wanted.credit) - 1)
                header = PageHeader(journal="honest", heads={"cam0": 5}, complete=last >= 5)
                bodies = [to_json(seeds.event(seq)) for seq in range(first, last + 1)]
                story.extend(event.seq for event in merge.on_page([msgspec.json.encode(header), *bodies]))
            raise Unsound("a subscription that asks the journal for ever")

        story += [event.seq for event in merge.on_message(seeds.topic_status(5, journal="honest"))]
        ask()
        story += [event.seq for event in merge.on_message(seeds.topic_event(6, journal="honest"))]
        if story != [1, 2, 3, 4, 5, 6]:
            raise Unsound(f"after strangers, the honest events came as {story}")


class Waiting(Target):
    """Where live frames wait: bounded, every frame counted once, and open to a camera that is there already."""

    name, share = "inbox", 80
    SETTINGS = TransportSettings(max_age_ms=500, ring_frames=8, takeover_ms=2000)

    def seeds(self) -> list[Conversation]:
        def said(step_ms: int, message: Hello | AlignedFrame | EndOfStream) -> Message:
            return [step_ms.to_bytes(2, "big"), *seeds.wire(message)]

        streams = [("a", "cam0"), ("b", "cam0"), ("a", "cam1")]
        return [
            [
                said(9, seeds.hello(s, c)),
                *(said(33, seeds.frame(n, session=s, camera=c)) for n in range(6)),
                said(1, seeds.end(6, s, c)),
            ]
            for s, c in streams
        ] + [[[b"\0\1"]], [[b"\3\0"], [b"\0\1"]]]

    def take(self, conversation: Conversation) -> str:
        drops, now = Drops(), [10**9]
        inbox = Inbox(self.SETTINGS, drops, now_ns=lambda: now[0])
        came = taken = 0
        names: set[str] = set()
        word = ""
        for step, *parts in filter(None, conversation):
            now[0] += int.from_bytes(step[:2], "big") * NS_PER_MS
            if not parts:
                message = inbox.take(0)
                taken += isinstance(message, AlignedFrame)
                word += type(message).__name__[0]
                continue
            with contextlib.suppress(TransportError):
                message = decode(parts)
                came += isinstance(message, AlignedFrame)
                names.add(message.camera)
                inbox.push(message)
        waiting = sum(map(inbox.waiting, names))
        lost = sum(count for (_, _, reason), count in drops.frames.items() if reason != "lost")
        if came != taken + lost + waiting:
            raise Unsound(f"{came} frames came, {taken} were taken, {lost} dropped, {waiting} wait")
        if waiting > len(names) * self.SETTINGS.ring_frames:
            raise Unsound(f"{waiting} frames wait")
        return word + "".join(sorted({reason[0] for _, _, reason in drops.frames}))


class Spotting(Target):
    """Valid frames that make no sense: times that go back or leap, faces beyond the picture, numbers that jump.

    A message says what is made: [jump of seq, step in ns, faces - 1, first track, scale and shift of the points, crop].
    """

    name, share, most = "spotter", 3, 300

    def __init__(self) -> None:
        from tests.stream.test_spotting import bump, raised_cosine, stage

        brow = bump("brow_inner_left", 0.0, -3.0) + bump("brow_inner_right", 0.0, -3.0)
        film = stage(lambda t: raised_cosine(t, 600, 150, 150) * brow, seconds=1.2)
        self._faces = [frame.faces[0] for frame in film]
        noise, black = seeds.face(seed=1).crop, np.zeros((240, 240), np.uint8)
        self._crops = [face.crop for face in self._faces] + [noise, black]

    def seeds(self) -> list[Conversation]:
        rest, film, tick = list(range(20)), list(range(len(self._faces))), 10_000_000
        one = [[1, tick, 0, 0, 1.0, 0.0, n] for n in [*rest * 4, *film]]
        two = [[1, tick, 1, 0, 1.0, 0.0, n] for n in [*rest, *film]]
        crowd = [[1, 5_000_000, n % 16, 2**63 - 20, 1.0, float(n), n] for n in range(20)]
        return [[[msgspec.msgpack.encode(step)] for step in talk] for talk in (one, two, crowd)]

    def take(self, conversation: Conversation) -> str:
        spotter, word = Spotter(SpottingSettings(), seeds.hello(rate_hz=100.0)), ""
        seq, t_ns = 0, 0
        for parts in conversation:
            try:
                steps = msgspec.msgpack.decode(parts[0], type=tuple[int, int, int, int, float, float, int])
                frame = decode(seeds.wire(self._absurd(seq, t_ns, steps)))  # what it refuses gets to no spotter
            except (msgspec.DecodeError, IndexError, UnicodeError, OverflowError, TransportError):
                continue
            seq, t_ns = seq + steps[0], t_ns + steps[1]
            assert isinstance(frame, AlignedFrame)
            for candidate in spotter.push(frame):
                word += candidate.phase[0]
                if not np.isfinite(candidate.score):
                    raise Unsound(f"a score of {candidate.score}: no event can be made of it")
        spotter.finish(seeds.end(1))
        return word[:40]

    def _absurd(self, seq: int, t_ns: int, steps: tuple[int, int, int, int, float, float, int]) -> AlignedFrame:
        jump, step_ns, others, track, scale, shift, crop = steps
        with np.errstate(all="ignore"):
            points = (self._faces[0].landmarks * np.float32(scale) + np.float32(shift)).astype(np.float32)
        transform = np.array([[scale, 0.0, shift], [0.0, scale, shift]])
        faces = (
            msgspec.structs.replace(
                self._faces[0],
                track=track + n,
                crop=self._crops[(crop + n) % len(self._crops)],
                landmarks=points,
                transform=transform,
            )
            for n in range(1 + others % 16)
        )
        moment = Moment(frame=max(seq + jump, 0), t_ns=t_ns + step_ns)
        return seeds.frame(seq + jump, *faces, moment=moment)


class Configs(Target):
    """Settings files."""

    name, share, most = "config", 5, 1
    errors = (ConfigError,)

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(
            prefix="bowam-fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None
        )

    def close(self) -> None:
        self._folder.cleanup()

    def seeds(self) -> list[Conversation]:
        return seeds.configs()

    def take(self, conversation: Conversation) -> str:
        for parts in conversation:
            data, form = (*parts, b"", b"")[:2]
            path = Path(self._folder.name) / ("bowam.json" if form == b"json" else "bowam.toml")
            path.write_bytes(data)
            load_config(path)
        return "config"


class Weights(Target):
    """Weights files: the header of a safetensors file, its metadata and its tensors."""

    name, share, most = "weights", 2, 1

    def __init__(self) -> None:
        from bowam_model.errors import WeightsError
        from bowam_model.flow import Encoding
        from bowam_model.network import create_model
        from bowam_model.predictor import load, save

        self.errors = (WeightsError,)
        self._load = load
        self._folder = tempfile.TemporaryDirectory(prefix="bowam-fuzz-")
        self._path = Path(self._folder.name) / "w.safetensors"
        tiny = create_model("bowam-nano", 2, dims=[4, 4], depths=[1, 1], strides=[2])
        save(self._path, tiny, labels=("a", "b"), encoding=Encoding(), card="tiny")
        file = self._path.read_bytes()
        length = int.from_bytes(file[:8], "little")
        header = msgspec.json.decode(file[8 : 8 + length])
        meta = header.pop("__metadata__")
        self._valid = [
            msgspec.json.encode(meta),
            meta["options"].encode(),
            msgspec.json.encode(header),
            file[8 + length :],
        ]

    def close(self) -> None:
        self._folder.cleanup()

    def seeds(self) -> list[Conversation]:
        """[metadata, its options, tensors' places, tensors]; a fifth part is the header's length, if it is a lie."""
        return [[self._valid], [[*self._valid, (2**63 - 1).to_bytes(8, "little")]]]

    def take(self, conversation: Conversation) -> str:
        for parts in conversation:
            meta, options, places, tensors, *lie = (*parts, *self._valid[len(parts) :])
            header = meta
            try:
                fields = msgspec.json.decode(meta)
                if isinstance(fields, dict) and "options" in fields and options != self._valid[1]:
                    fields["options"] = options.decode(errors="replace")
                header = msgspec.json.encode({"__metadata__": fields, **msgspec.json.decode(places)})
            except (msgspec.DecodeError, UnicodeError, TypeError, RecursionError, OverflowError, ValueError):
                header = b'{"__metadata__":' + meta + b"," + places[1:]
            length = lie[0][:8] if lie and lie[0] else len(header).to_bytes(8, "little")
            self._path.write_bytes(length + header + tensors)
            self._load(self._path)
        return "weights"


TARGETS: dict[str, Callable[[], Target]] = {
    kind.name: kind
    for kind in (Frames, Controls, Topic, Events, Pages, Requests, Merging, Waiting, Spotting, Configs, Weights)
}
