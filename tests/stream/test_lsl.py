"""Markers in Lab Streaming Layer: what they say, and that their times are those of the frames."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from bowam_stream import clock
from bowam_stream.cli.app import app
from bowam_stream.errors import ConfigError
from bowam_stream.events import EventLedger, EventPublisher, Journal, ReplaySocket
from bowam_stream.formats import lsl
from bowam_stream.messages import Event, Moment
from bowam_stream.pipeline.tap import Status
from tests.stream.small_events import micro_event

PATIENCE_S = 20.0  # nothing waits so long unless it fails
SECOND_NS = 10**9
QUIET = "[multicast]\nResolveScope = machine\n[log]\nlevel = -3\n"  # nobody else hears of these streams


@pytest.fixture(scope="module")
def pylsl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The library, if there is one: its wheel brings it for the usual machines."""
    try:
        import pylsl
    except (ImportError, RuntimeError, OSError) as error:
        pytest.skip(f"no Lab Streaming Layer: {error}")
    config = tmp_path_factory.mktemp("lsl") / "lsl_api.cfg"
    config.write_text(QUIET)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LSLAPICFG", str(config))  # for this process, and those that it starts
        yield pylsl


def seen(onset_ns: int, *, utc_ns: int | None = None, **changes: Any) -> Event:
    """A micro-expression whose apex comes 0.1 s and whose offset comes 0.25 s after its onset."""

    def moment(later_ns: int) -> Moment:
        return Moment(frame=0, t_ns=onset_ns + later_ns, utc_ns=None if utc_ns is None else utc_ns + later_ns)

    placed = {"onset": moment(0), "apex": moment(SECOND_NS // 10), "offset": moment(SECOND_NS // 4)}
    return msgspec.structs.replace(
        micro_event((1, 2, 3), "negative", 30.0), **({"camera": "cam0", "session": "s"} | placed | changes)
    )


@pytest.fixture
def inlet(pylsl: Any) -> Iterator[Any]:
    """A recorder that is connected to `markers`, under a name that nobody else uses."""
    endpoint = f"ipc:///{time.monotonic_ns()}"
    markers = lsl.Markers(endpoint)
    (found,) = pylsl.resolve_byprop("source_id", lsl.source_id(endpoint), 1, PATIENCE_S)
    listening = pylsl.StreamInlet(found)
    listening.open_stream(PATIENCE_S)
    yield markers, listening
    listening.close_stream()
    markers.close()


def pulled(inlet: Any, count: int) -> list[tuple[str, float]]:
    """The next markers, and their times on the sender's clock in seconds."""
    found = []
    for _ in range(count):
        (text,), at_s = inlet.pull_sample(PATIENCE_S)
        found.append((text, at_s))
    return found


def test_a_final_event_says_what_it_was_three_times() -> None:
    """Short words between slashes, by which MNE selects; a slash in a label does not pass for one of them."""
    event = seen(5, label="happily/ever")
    assert [(moment.t_ns, text) for moment, text in lsl.texts(event)] == [
        (5, "micro/happily_ever/onset/cam0/face0"),
        (5 + SECOND_NS // 10, "micro/happily_ever/apex/cam0/face0"),
        (5 + SECOND_NS // 4, "micro/happily_ever/offset/cam0/face0"),
    ]
    blink = seen(5, kind="blink", label=None, face=1)
    assert [text for _, text in lsl.texts(blink)][1] == "blink/apex/cam0/face1"


@pytest.mark.parametrize("phase", ["provisional", "retracted"])
def test_what_may_be_or_was_taken_back_is_no_marker(phase: str) -> None:
    """A recorder can't forget."""
    assert list(lsl.texts(seen(5, phase=phase, kind=None, label=None))) == []


def test_a_marker_has_the_time_of_its_frame_to_the_microsecond(pylsl: Any, inlet: Any) -> None:
    """The frame is dated by the kernel's monotonic clock, as a camera does it; a signal beside it by LSL itself."""
    markers, listening = inlet
    before_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    beside_s = pylsl.local_clock()  # what an amplifier's sample of this moment would carry
    after_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    markers.status("cam0", "s", clock.clock_id())
    markers.push(seen(before_ns, utc_ns=1))  # a wall clock that stands in 1970 does not matter
    onset, apex, offset = pulled(listening, 3)
    assert [text.split("/")[2] for text, _ in (onset, apex, offset)] == ["onset", "apex", "offset"]
    for (_, at_s), later_ns in ((onset, 0), (apex, SECOND_NS // 10), (offset, SECOND_NS // 4)):
        assert abs(at_s * SECOND_NS - (before_ns + later_ns)) < 1000
    assert -1000 <= (beside_s - onset[1]) * SECOND_NS <= after_ns - before_ns + 1000


def test_a_camera_elsewhere_is_placed_by_the_wall_clocks(inlet: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Its own clock says nothing here: another machine's, another session's, or one that nobody told of. Said once."""
    markers, listening = inlet
    markers.status("cam1", "s", "another machine")
    markers.status("cam2", "the session before", clock.clock_id())
    for camera in ("cam1", "cam2", "cam3"):
        for _ in range(2):
            low_ns = time.monotonic_ns()
            event = seen(7, utc_ns=time.time_ns() - 3 * SECOND_NS, camera=camera)
            markers.push(event)
            high_ns = time.monotonic_ns()
            at_ns = pulled(listening, 3)[0][1] * SECOND_NS
            assert low_ns - 1_000_000 <= at_ns + 3 * SECOND_NS <= high_ns + 1_000_000
    assert [record.args for record in caplog.records] == [("cam1",), ("cam2",), ("cam3",)]


def test_a_recording_is_refused_in_one_line(inlet: Any) -> None:
    """With what to do instead."""
    markers, _ = inlet
    with pytest.raises(ConfigError, match="bowam live --lsl --source VIDEO"):
        markers.push(seen(5))


def test_a_recorder_knows_what_it_records(inlet: Any) -> None:
    """Type and name by convention, no rate, one channel of text, who made it."""
    _, listening = inlet
    info = listening.info(PATIENCE_S)
    assert (info.name(), info.type(), info.channel_count(), info.nominal_srate()) == ("BOWAM", "Markers", 1, 0.0)
    channel = info.desc().child("channels").child("channel")
    assert channel.child_value("unit") == "kind/label/moment/camera/face"
    assert info.desc().child("acquisition").child_value("manufacturer") == "BOWAM stream"


def test_what_was_pushed_last_is_heard_although_the_stream_ends(pylsl: Any) -> None:
    """As with `subscribe --count`."""
    endpoint = f"ipc:///{time.monotonic_ns()}"
    with lsl.Markers(endpoint) as markers:
        (found,) = pylsl.resolve_byprop("source_id", lsl.source_id(endpoint), 1, PATIENCE_S)
        listening = pylsl.StreamInlet(found)
        listening.open_stream(PATIENCE_S)
        for number in range(100):
            markers.push(seen(number, utc_ns=time.time_ns()))
    assert len(pulled(listening, 300)) == 300


def test_the_stream_keeps_its_name_from_start_to_start() -> None:
    """A recorder that lost it finds it again; that of another worker is another one."""
    assert lsl.source_id("tcp://127.0.0.1:5556") == lsl.source_id("tcp://127.0.0.1:5556")
    assert lsl.source_id("tcp://127.0.0.1:5556") != lsl.source_id("tcp://127.0.0.1:6556")


@pytest.mark.parametrize("why", [ImportError("No module named 'pylsl'"), RuntimeError("LSL binary library not found")])
def test_a_missing_library_is_named_with_its_extra(why: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package, or the C library behind it."""

    class Missing:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "pylsl":
                raise why

    for name in [name for name in sys.modules if name.partition(".")[0] == "pylsl"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    with pytest.raises(ConfigError, match=r"pip install 'bowam-stream\[lsl\]'"):
        lsl.Markers("tcp://127.0.0.1:5556")


@pytest.mark.system
def test_subscribe_pushes_what_a_worker_publishes(pylsl: Any, tmp_path: Path) -> None:
    """The real command beside a worker's event side: recorder first, then the event, with the time of its frames."""
    endpoint, missed = f"ipc://{tmp_path}/events", f"ipc://{tmp_path}/missed"
    command = [sys.executable, "-m", "bowam_stream.cli", "subscribe", "--lsl", "--count=3"]
    command += [f"--endpoint={endpoint}", f"--journal-endpoint={missed}"]
    with (
        Journal(tmp_path / "j.sqlite") as journal,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process,
    ):
        publisher = EventPublisher(endpoint, journal=journal.name, heads=journal.heads())
        server = ReplaySocket(journal.path, missed)
        try:
            ledger = EventLedger(journal, publisher)
            (found,) = pylsl.resolve_byprop("source_id", lsl.source_id(endpoint), 1, PATIENCE_S)
            listening = pylsl.StreamInlet(found)
            listening.open_stream(PATIENCE_S)
            onset_ns = time.monotonic_ns()
            event = seen(onset_ns, utc_ns=time.time_ns(), event_id="a")
            pending = msgspec.structs.replace(event, phase="provisional", kind=None, label=None, offset=None)
            heard = None
            end_s = time.monotonic() + PATIENCE_S
            for number in range(10_000):
                publisher.poll()
                ledger.status("cam0", {"camera": "cam0", "session": "s", "clock": clock.clock_id()})
                if number == 0:
                    ledger.record(pending)
                    ledger.record(event)
                heard, at_s = listening.pull_sample(0.02)
                if heard or time.monotonic() > end_s:
                    break
            assert heard == ["micro/negative/onset/cam0/face0"]
            assert abs(at_s * SECOND_NS - onset_ns) < 1000
            assert [text.split("/")[2] for text, _ in pulled(listening, 2)] == ["apex", "offset"]
            ledger.record(seen(onset_ns, utc_ns=time.time_ns(), event_id="b"))
            out, told = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
            server.close()
            publisher.close()
    assert told == b""
    assert out.count(b"\n") == 3


def test_live_hands_on_what_its_terminal_shows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The clock of a camera before its events; without --lsl nothing is loaded."""
    heard: list[tuple[object, ...]] = []

    class Recorder:
        def __init__(self, endpoint: str) -> None:
            heard.append((endpoint,))

        def __enter__(self) -> "Recorder":
            return self

        def __exit__(self, *_: object) -> None:
            heard.append(("closed",))

        def status(self, *told: str) -> None:
            heard.append(told)

        def push(self, event: Event) -> None:
            heard.append((event.event_id,))

    def watch(*_: object, on_event: Any, on_status: Any, **__: object) -> None:
        on_status(Status(camera="cam0", session="s", clock="here"))
        on_event(seen(5, utc_ns=5, event_id="a"))

    monkeypatch.setattr("bowam_stream.pipeline.living.live", watch)
    monkeypatch.setattr(lsl, "Markers", Recorder)
    for options, told in (
        ([], []),
        (["--lsl"], [("tcp://127.0.0.1:5556",), ("cam0", "s", "here"), ("a",), ("closed",)]),
    ):
        done = CliRunner().invoke(app, ["live", "--source", str(tmp_path), *options])
        assert done.exit_code == 0, done.output
        assert heard == told
