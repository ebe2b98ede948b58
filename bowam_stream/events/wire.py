"""What events look like on the wire, between a worker and its subscribers.

    event topic (PUB)        [event/v1/<camera>/,  header (msgpack), event (JSON, bowam.event/1)]
                             [status/v1/<camera>/, header (msgpack), status (JSON object)]
                             [view/v1/<camera>/,   header (msgpack), signal and pictures (msgpack): for a page; only
                                                   while somebody asks for it, never kept]
    journal socket (ROUTER)  request: {"since": {camera: seq}}                      answered by one page:
                             [{"type": "page", "journal": ..., "heads": ..., "complete": ...}, event, event, ...]
                             or [{"type": "refused", "error": ...}]

The header tells what a subscriber must know to notice that it missed something: which journal speaks, and how far
that camera has come. A request is worth `credit` events, so that the reader sets the pace and no side holds more than
one page.
"""

from typing import Annotated, Literal

import msgspec

from bowam_stream.errors import TransportError
from bowam_stream.events.journal import PAGE_EVENTS

EVENT_TOPIC = "event/v1/"
STATUS_TOPIC = "status/v1/"
VIEW_TOPIC = "view/v1/"
MAX_REQUEST_BYTES = 64 * 1024  # a cursor of some thousand cameras
MAX_MESSAGE_BYTES = 1024 * 1024  # a thousand times an event
GONE_MS = 3000  # a machine that does not answer for so long is gone

MAX_CAMERAS = 256  # of one worker
MAX_HEADER_BYTES = MAX_REQUEST_BYTES // 2  # of a page: a cursor made from it must fit into the next request

Camera = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\Z")]  # as on the frames socket
JournalName = Annotated[str, msgspec.Meta(max_length=256)]
Seq = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]  # SQLite's integers


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Goes with every event and every status."""

    journal: JournalName  # (`Journal.name`): a new one counts from 1 again
    camera: Camera
    seq: Seq  # of this event; with a status: of the camera's last event


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Asks the journal for the events after a cursor."""

    since: dict[str, Seq]  # camera -> last seq known; a camera that is not named starts from its first event
    cameras: tuple[str, ...] | None = None  # leave out all others
    credit: Annotated[int, msgspec.Meta(ge=0, le=PAGE_EVENTS)] = PAGE_EVENTS  # at most so many; 0 asks for heads only


class PageHeader(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="page"):
    """Opens a page of events."""

    journal: JournalName
    heads: Annotated[dict[Camera, Seq], msgspec.Meta(max_length=MAX_CAMERAS)]  # last seq of each camera
    complete: bool  # nothing more follows
    purged: Annotated[
        dict[Camera, Seq], msgspec.Meta(max_length=MAX_CAMERAS)
    ] = {}  # last seq of each camera that the journal no longer has


class Refusal(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="refused"):
    """The answer to what can't be answered."""

    error: str


class Refused(TransportError):
    """The journal socket answered that it can't answer, for now perhaps: its disk may come back."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message of the event topic, its body not yet interpreted."""

    kind: Literal["event", "status", "view"]
    header: Header
    body: bytes


def topic(prefix: str, camera: str) -> bytes:
    """The topic of one camera; it ends with a slash, since prefixes match (cam1 would match cam10)."""
    return f"{prefix}{camera}/".encode()


def read_message(parts: list[bytes]) -> Message:
    """Take a message of the event topic apart. Raises TransportError."""
    if len(parts) != 3:
        raise TransportError(
            f"a message of {len(parts)} parts came on the event topic; is this the port of something else?"
        )
    try:
        header = msgspec.msgpack.decode(parts[1], type=Header)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise TransportError(f"malformed header on the event topic: {error}") from None
    if parts[0] == topic(EVENT_TOPIC, header.camera):
        return Message(kind="event", header=header, body=parts[2])
    if parts[0] == topic(STATUS_TOPIC, header.camera):
        return Message(kind="status", header=header, body=parts[2])
    if parts[0] == topic(VIEW_TOPIC, header.camera):
        return Message(kind="view", header=header, body=parts[2])
    raise TransportError(f"unknown topic {parts[0][:100]!r}; is this the port of something else?")


def read_request(data: bytes) -> Request:
    """Read a request. Raises TransportError."""
    try:
        return msgspec.json.decode(data, type=Request)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise TransportError(f"malformed request: {error}") from None


def read_page(parts: list[bytes]) -> tuple[PageHeader, list[bytes]]:
    """Read an answer: its header and the events' JSON. Raises TransportError, also where the request was refused."""
    if not parts:
        raise TransportError("an empty answer of the journal socket; is this the port of something else?")
    if len(parts[0]) > MAX_HEADER_BYTES:
        raise TransportError(f"a page of the journal socket has a header of {len(parts[0])} bytes; is it ours?")
    try:
        header = msgspec.json.decode(parts[0], type=PageHeader | Refusal)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise TransportError(
            f"malformed answer of the journal socket: {error}; is this the port of something else?"
        ) from None
    if isinstance(header, Refusal):
        raise Refused(f"the journal socket refused: {header.error}")
    return header, parts[1:]
