"""Markers in Lab Streaming Layer: what a face did, on the time line of EEG and everything else that a lab records.

One stream of type `Markers`, one channel of text, no rate. A final event gives three markers, in order of time:

    micro/negative/onset/cam0/face0        kind, label of a micro-expression, moment, camera, face
    micro/negative/apex/cam0/face0
    micro/negative/offset/cam0/face0

each with the time at which its frame was *captured*, in LSL's clock; they are pushed a fraction of a second later. On
Linux that clock is the monotonic one, so the times of a camera on this machine are LSL times already. Those of a camera
elsewhere are mapped by both wall clocks, and are as wrong as these differ.

What is provisional or withdrawn gives no marker: nobody can take one back.
"""

import contextlib
import hashlib
import logging
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bowam_stream import __version__, clock
from bowam_stream.errors import ConfigError
from bowam_stream.messages import Event, Moment

log = logging.getLogger(__name__)

NAME = "BOWAM"
CONFIGS = (Path("lsl_api.cfg"), Path("~/lsl_api/lsl_api.cfg"), Path("/etc/lsl_api/lsl_api.cfg"))  # where liblsl looks
UNIT = "kind/label/moment/camera/face"
LINGER_S = 0.5  # liblsl forgets what it has not sent when a stream ends, and does not say what that is


def texts(event: Event) -> Iterator[tuple[Moment, str]]:
    """The markers of an event: none, unless it is final."""
    if event.phase != "final":
        return
    what = [event.kind or "", *([event.label.replace("/", "_")] if event.label else [])]
    for name, moment in (("onset", event.onset), ("apex", event.apex), ("offset", event.offset)):
        if moment is not None:
            yield moment, "/".join([*what, name, event.camera, f"face{event.face}"])


def lsl_ns(moment: Moment, *, ours: bool, monotonic_ns: int, utc_ns: int) -> int:
    """`moment` in LSL's clock, nanoseconds. `ours`: its camera reads the monotonic clock of this machine.

    Raises ConfigError for a moment of a recording, which is on no clock.
    """
    if moment.utc_ns is None:
        raise ConfigError(
            "a recording's events are on no clock that runs, so LSL can't place them; play it as a camera: "
            "bowam live --lsl --source VIDEO"
        )
    return moment.t_ns if ours else monotonic_ns - (utc_ns - moment.utc_ns)


def source_id(endpoint: str) -> str:
    """The same after every start, so that a recorder finds the stream again."""
    return f"bowam-{hashlib.blake2b(f'{platform.node()} {endpoint}'.encode(), digest_size=8).hexdigest()}"


class Markers:
    """The stream. Pushing never waits: liblsl sends from threads of its own. As a context manager it closes itself.

    Raises ConfigError where pylsl or its library is missing.
    """

    def __init__(self, endpoint: str) -> None:
        """`endpoint` is where the events come from: it names the stream."""
        pylsl = _library()
        info = pylsl.StreamInfo(NAME, "Markers", 1, pylsl.IRREGULAR_RATE, pylsl.cf_string, source_id(endpoint))
        described = info.desc()
        channel = described.append_child("channels").append_child("channel")
        for key, value in (("label", "events"), ("type", "Marker"), ("unit", UNIT)):
            channel.append_child_value(key, value)
        acquisition = described.append_child("acquisition")
        for key, value in (("manufacturer", "BOWAM stream"), ("version", __version__), ("events", endpoint)):
            acquisition.append_child_value(key, value)
        self._outlet = pylsl.StreamOutlet(info)
        self._clocks: dict[str, tuple[str, str]] = {}  # camera -> its session, and the clock that it reads
        self._told: set[tuple[str, str]] = set()
        self._pushed_ns: int | None = None

    def status(self, camera: str, session: str, clock_id: str) -> None:
        """What the status topic says of a camera; `clock_id` as of `clock.clock_id()`."""
        self._clocks[camera] = (session, clock_id)

    def push(self, event: Event) -> None:
        """Push the markers of `event`, if it is final. Raises ConfigError for one of a recording."""
        ours = self._clocks.get(event.camera) == (event.session, clock.clock_id())
        monotonic_ns, utc_ns = clock.monotonic_ns(), clock.utc_ns()
        for moment, text in texts(event):
            time_ns = lsl_ns(moment, ours=ours, monotonic_ns=monotonic_ns, utc_ns=utc_ns)
            self._outlet.push_sample([text], time_ns / clock.NS_PER_SECOND)
            self._pushed_ns = monotonic_ns
            if not ours and (event.camera, event.session) not in self._told:
                self._told.add((event.camera, event.session))
                log.warning(
                    "%s is not known to run on this machine: its markers are placed by its wall clock and ours, and "
                    "are as wrong as these differ",
                    event.camera,
                )

    def close(self) -> None:
        """End the stream; what was pushed a moment ago still gets its time to reach a recorder."""
        if self._pushed_ns is not None and self._outlet.have_consumers():
            time.sleep(max(0.0, LINGER_S - (clock.monotonic_ns() - self._pushed_ns) / clock.NS_PER_SECOND))
        del self._outlet

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _library() -> Any:
    """pylsl, with a library that says only what went wrong, unless the user has configured it."""
    try:
        import pylsl
    except (ImportError, RuntimeError, OSError) as error:  # RuntimeError: no liblsl
        raise ConfigError(
            f"Lab Streaming Layer needs pylsl and its library: pip install 'bowam-stream[lsl]' ({error})"
        ) from None
    if "LSLAPICFG" not in os.environ and not any(path.expanduser().exists() for path in CONFIGS):
        with contextlib.suppress(NotImplementedError):  # an older library
            pylsl.set_config_content("[log]\nlevel = -2\n")
    return pylsl
