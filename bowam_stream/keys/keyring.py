"""The keys of a process, and how its sockets get them: nothing else binds or connects a socket of ours."""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import zmq

from bowam_stream import addresses, clock
from bowam_stream.addresses import parse
from bowam_stream.errors import ConfigError, TransportError
from bowam_stream.keys.files import ALLOWED, OWN, SERVER, SERVERS, read_certificate, read_pair
from bowam_stream.keys.guard import HANDSHAKE_MS, ZAP_DOMAIN, AllowList, Guard

log = logging.getLogger(__name__)

LOG_EVERY_NS = 60 * clock.NS_PER_SECOND  # strangers must not fill the log


class KeySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys for all ZeroMQ sockets of a process: those on which it listens, and those with which it connects."""

    folder: str | None = None  # own.key_secret, allowed/*.key, server.key, servers/HOST.key; None: no keys
    server: str | None = None  # file in `folder` with the key of everybody that we connect to, instead of the last two


class Keys:
    """The keys of this process."""

    def __init__(
        self, folder: Path, *, server: str | None = None, refused: Callable[[str], None] = lambda reason: None
    ) -> None:
        """`refused` hears the reason of every handshake that fails, from any thread. Raises ConfigError."""
        self.folder = folder
        self._server = server
        self._refused = refused
        self._public, self._secret = read_pair(folder / OWN)
        self._allowed = AllowList(folder / ALLOWED)
        self._lock = threading.Lock()
        self._refusals: Counter[str] = Counter()
        self._log_ns = -LOG_EVERY_NS

    def introduce(self, socket: Any, endpoint: str) -> None:
        """Let `socket` prove who it is, and ask the same of `endpoint`, when it connects. Raises ConfigError."""
        socket.set(zmq.CURVE_SERVERKEY, self._key_of(endpoint))
        socket.set(zmq.CURVE_PUBLICKEY, self._public)
        socket.set(zmq.CURVE_SECRETKEY, self._secret)

    def guard(self, socket: Any) -> Guard:
        """Let only those connect to `socket` who are allowed. It must be the only such socket of its context."""
        socket.set(zmq.CURVE_SERVER, 1)
        socket.set(zmq.CURVE_SECRETKEY, self._secret)
        socket.set(zmq.ZAP_DOMAIN, ZAP_DOMAIN.encode())
        socket.set(zmq.ZAP_ENFORCE_DOMAIN, 1)  # without the guard nobody would be asked for a key that is allowed
        socket.set(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        return Guard(socket, self, self.refuse)

    def callback(self, domain: str, key: bytes) -> bool:
        """Whether the owner of this public key (Z85) may connect now; zmq.auth calls it."""
        return key == self._public or self._allowed.callback(domain, key)

    def refuse(self, endpoint: str, reason: str) -> None:
        """A handshake at `endpoint` failed."""
        self._refused(reason)
        now_ns = clock.monotonic_ns()
        with self._lock:
            self._refusals[reason] += 1
            if now_ns - self._log_ns < LOG_EVERY_NS:
                return
            self._log_ns = now_ns
            counts = ", ".join(f"{count} {name}" for name, count in sorted(self._refusals.items()))
        log.warning("refused a handshake at %s: %s (so far: %s)", endpoint, reason, counts)

    def _key_of(self, endpoint: str) -> bytes:
        address = parse(endpoint)
        if self._server is not None:
            return read_certificate(self.folder / self._server)[0]
        places = [self.folder / SERVER]
        if address.scheme == "tcp":
            places.insert(0, self.folder / SERVERS / f"{address.host}.key")
        for place in places:
            if place.exists():
                return read_certificate(place)[0]
        if address.local:
            return self._public
        where = " or at ".join(map(str, places))
        raise ConfigError(f"whose key does {endpoint} have? put its public key (own.key there) at {where}")


def open_keys(settings: KeySettings, refused: Callable[[str], None] = lambda reason: None) -> Keys | None:
    """The keys that a process was given, or None. Raises ConfigError where a file is missing or is none."""
    return Keys(Path(settings.folder), server=settings.server, refused=refused) if settings.folder else None


def bind(socket: Any, endpoint: str, *, keys: Keys | None = None, insecure: bool = False) -> str:
    """Listen on `endpoint`, for those alone who are allowed if there are `keys`; tells the true address.

    Raises what `addresses.bind` raises. Keys are as good as `insecure`, on any network.
    """
    if keys is None:
        return addresses.bind(socket, endpoint, insecure=insecure)
    guard = keys.guard(socket)
    try:
        return addresses.bind(socket, endpoint, insecure=True)
    except BaseException:
        guard.end()
        raise


def connect(socket: Any, endpoint: str, keys: Keys | None = None) -> None:
    """Connect now or as soon as somebody listens there. Raises TransportError for what is no address, ConfigError for
    a server whose key is not known."""
    address = parse(endpoint)
    if address.scheme == "tcp":
        socket.set(zmq.IPV6, int(":" in address.host))
    if keys is not None:
        keys.introduce(socket, endpoint)
    try:
        socket.connect(str(address))
    except zmq.ZMQError as error:
        raise TransportError(f"can't connect to {endpoint}: {zmq.strerror(error.errno or 0)}") from error
