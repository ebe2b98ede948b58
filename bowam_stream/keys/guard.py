"""Who may connect to a listening socket: its ZAP handler (zmq.auth's), the list of allowed keys, and the refusals."""

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq
from zmq.utils.monitor import parse_monitor_message

from bowam_stream.errors import ConfigError
from bowam_stream.keys.files import read_certificate

log = logging.getLogger(__name__)

HANDSHAKE_MS = 10_000  # a stranger who says nothing holds a file descriptor for so long
ZAP_DOMAIN = "bowam"

UNKNOWN_KEY, WRONG_KEY, NO_KEY, MALFORMED, BROKEN_OFF = "unknown_key", "wrong_key", "no_key", "malformed", "broken_off"
REFUSALS = (UNKNOWN_KEY, WRONG_KEY, NO_KEY, MALFORMED, BROKEN_OFF)
"""Why a handshake fails: a key that is not allowed; meant for a server with another key; no CURVE at all; not ZeroMQ;
gone, or silent, before it was over."""

_PROTOCOL_ERRORS = {
    zmq.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC.value: WRONG_KEY,
    zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH.value: NO_KEY,
}
FAILED = zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL


class AllowList:
    """The public keys in a folder, as they are at this moment; zmq.auth asks its `callback` at every handshake."""

    def __init__(self, folder: Path) -> None:
        """Raises ConfigError for a file that is no key: better now than when its owner is refused."""
        self._folder = folder
        self._seen: object = None
        self._keys: frozenset[bytes] = frozenset()
        for file in folder.glob("*.key"):
            read_certificate(file)

    def callback(self, _domain: str, key: bytes) -> bool:
        """Whether the owner of this public key (Z85) may connect."""
        seen = self._look()
        if seen != self._seen:
            self._keys, self._seen = self._read(), seen
        return key in self._keys

    def _look(self) -> object:
        """Something that changes with the folder and is cheap to get."""
        try:
            with os.scandir(self._folder) as entries:
                return sorted(_state(entry) for entry in entries if entry.name.endswith(".key"))
        except OSError:  # no folder
            return ()

    def _read(self) -> frozenset[bytes]:
        keys = set()
        for file in self._folder.glob("*.key"):
            try:
                keys.add(read_certificate(file)[0])
            except ConfigError as error:
                log.warning("%s; its owner is refused", error)
        return frozenset(keys)


def _state(entry: "os.DirEntry[str]") -> tuple[str, int, int, int]:
    try:
        status = entry.stat()
    except OSError:  # a link to nowhere
        return entry.name, 0, 0, 0
    return entry.name, status.st_mtime_ns, status.st_ino, status.st_size


class Guard:
    """Answers for one listening socket who may connect, and counts who may not. Its thread ends with the socket."""

    def __init__(self, socket: Any, allowed: Any, refused: Callable[[str, str], None]) -> None:
        """`allowed` is what zmq.auth calls a credentials provider; `refused` hears the endpoint and the reason."""
        from zmq.auth.base import Authenticator

        self._refused = refused
        self._socket = socket
        self._monitor = socket.get_monitor_socket(FAILED | zmq.EVENT_MONITOR_STOPPED)
        quiet = logging.getLogger(f"{__name__}.zap")  # it would tell every handshake, and every key
        quiet.disabled = True
        self._authenticator = Authenticator(socket.context, log=quiet)
        self._authenticator.configure_curve_callback(ZAP_DOMAIN, allowed)
        self._authenticator.start()
        self._thread = threading.Thread(target=self._run, name="bowam-keys", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """End the thread before the socket ends."""
        self._socket.disable_monitor()
        self._thread.join()

    def _run(self) -> None:
        """The thread. It alone touches its two sockets."""
        zap, monitor, loop = self._authenticator.zap_socket, self._monitor, asyncio.new_event_loop()
        poller = zmq.Poller()
        poller.register(zap, zmq.POLLIN)
        poller.register(monitor, zmq.POLLIN)
        try:
            while True:
                ready = dict(poller.poll())
                if zap in ready:
                    self._answer(zap, zap.recv_multipart(), loop)
                if monitor in ready and not self._hear(parse_monitor_message(monitor.recv_multipart())):
                    return
        except zmq.ContextTerminated:
            pass
        finally:
            self._authenticator.stop()
            monitor.close(0)
            loop.close()

    def _answer(self, zap: Any, question: list[bytes], loop: asyncio.AbstractEventLoop) -> None:
        try:
            loop.run_until_complete(self._authenticator.handle_zap_message(question))
        except zmq.ContextTerminated:
            raise
        except Exception:  # this thread must live: a socket stops when nobody hears its monitor
            log.exception("a key can't be checked; its owner is refused")
            zap.send_multipart([b"1.0", question[1], b"500", b"", b"", b""])  # RFC 27

    def _hear(self, event: Any) -> bool:
        """Take note of what the socket tells; False once it is closed."""
        match event["event"]:
            case zmq.EVENT_MONITOR_STOPPED:
                return False
            case zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                reason = UNKNOWN_KEY
            case zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
                reason = _PROTOCOL_ERRORS.get(event["value"], MALFORMED)
            case _:
                reason = BROKEN_OFF
        self._refused(event["endpoint"].decode(errors="replace"), reason)
        return True
