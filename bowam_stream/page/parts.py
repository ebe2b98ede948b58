"""The elements of our own that the page is made of: small scripts in assets/, fed by packets (see desk.py).

Whatever comes from a browser is checked here: it is a stranger's until then.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from nicegui.element import Element
from nicegui.events import GenericEventArguments

from bowam_stream.errors import ConfigError
from bowam_stream.events.judgements import MAX_NOTE, EventId, Verdict
from bowam_stream.report import html as report

ASSETS = Path(__file__).with_name("assets")
REPORT_STYLE = Path(report.__file__).parent / "page" / "style.css"


class Said(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A judgement as a browser sends it."""

    id: EventId
    verdict: Verdict
    label: str = ""
    note: str = ""
    by: str = ""


def checked(said: object, shape: Any) -> Any:
    """`said` if it has this shape. Raises ConfigError with words for whoever typed it."""
    try:
        return msgspec.convert(said, shape)
    except msgspec.ValidationError as error:
        raise ConfigError(f"that can't be taken: {error}") from None


def bounded(said: Said) -> Said:
    """Raises ConfigError for a label, note or name that is too long."""
    for name, words, most in (("label", said.label, 64), ("note", said.note, MAX_NOTE), ("name", said.by, 64)):
        if len(words) > most:
            raise ConfigError(f"the {name} has {len(words):,} characters; {most:,} are the most")
    return said


def _listener(shape: Any, take: Callable[..., object]) -> Callable[[GenericEventArguments], object]:
    """Call `take` with what an element says, if it has this shape; anything else is passed over."""

    def heard(event: GenericEventArguments) -> object:
        try:
            return take(checked(event.args, shape))
        except ConfigError:
            return None

    return heard


class Feed(Element, component="assets/feed.js"):
    """Takes packets, and hands them to the other elements."""

    def __init__(self, on_ack: Callable[[int], None], on_came: Callable[[dict[str, str | None]], None]) -> None:
        super().__init__()
        self.on("ack", _listener(int, on_ack))
        self.on("came", _listener(dict[str, str | None], on_came))

    def send(self, packet: dict[str, Any]) -> None:
        """One packet."""
        self.run_method("take", packet)

    def keep_theme(self, theme: str) -> None:
        """Remember it in the browser."""
        self.run_method("keep", theme)


class Signal(Element, component="assets/signal.js"):
    """The motion signal."""


class Timeline(Element, component="assets/timeline.js"):
    """The whole length, with a slider."""

    def __init__(self, on_seek: Callable[[float], None], on_step: Callable[[int], None]) -> None:
        super().__init__()
        self.on("seek", _listener(float, on_seek))
        self.on("step", _listener(int, on_step))


class Face(Element, component="assets/face.js"):
    """Regions, and with `preview` the face."""

    def __init__(self, *, preview: bool, how: str) -> None:
        super().__init__()
        self._props["preview"] = preview
        self._props["how"] = how


class Cards(Element, component="assets/cards.js"):
    """The events."""

    def __init__(
        self,
        labels: list[str],
        *,
        on_judge: Callable[[Any], object],
        on_turn: Callable[[int], None],
        on_pause: Callable[[], None],
        on_moment: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._props["labels"] = labels
        self.on("judge", lambda event: on_judge(event.args))
        self.on("turn", _listener(int, on_turn))
        self.on("pause", lambda _: on_pause())
        self.on("moment", _listener(EventId, on_moment))


def style() -> str:
    """The style sheet of the page, with the colours of the report in light and dark."""
    sheet = REPORT_STYLE.read_text(encoding="utf-8")
    light, dark = re.findall(r"^\s*:root(?::not\(\.paper\))? \{\n(.*?)\n\s*\}", sheet, re.DOTALL | re.MULTILINE)[:2]
    edges = "--edge: color-mix(in srgb, var(--faint) 62%, var(--sheet));"
    return f".body--light {{ {light} {edges} }}\n.body--dark {{ {dark} {edges} }}\n" + (ASSETS / "page.css").read_text(
        encoding="utf-8"
    )
