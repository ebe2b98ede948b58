"""Where sockets live: ZeroMQ endpoints, who may reach them, and what a person is told when one can't be used.

tcp://127.0.0.1:5556        one machine (the default)
tcp://*:5556                every network: only with an explicit `insecure`, or behind keys
ipc:///run/bowam/events     one machine, guarded by the file's permissions
inproc://events             one process
"""

import contextlib
import errno
import ipaddress
import os
import socket as socketlib
import stat
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

if TYPE_CHECKING:
    import zmq

from bowam_stream.credentials import redact as redact
from bowam_stream.errors import AddressInUse, TransportError

LOCAL_NAMES = frozenset({"localhost", "lo"})  # libzmq takes an interface's name where it takes a host
IPC_PATH_BYTES = 107  # sockaddr_un.sun_path without its terminating zero (unix(7))


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A ZeroMQ address, taken apart."""

    scheme: str  # "tcp", "ipc" or "inproc"
    host: str  # tcp: name, IPv4, IPv6 without brackets, interface, or "*"; ipc: the path; inproc: the name
    port: int | None = None  # tcp only; 0 lets the system choose (bind only)

    def __str__(self) -> str:
        if self.port is None:
            return f"{self.scheme}://{self.host}"
        return f"tcp://[{self.host}]:{self.port}" if ":" in self.host else f"tcp://{self.host}:{self.port}"

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it."""
        if self.scheme != "tcp" or self.host in LOCAL_NAMES:
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse(endpoint: str) -> Endpoint:
    """Take `endpoint` apart. TransportError names what is wrong and shows an address that works."""
    try:
        parts = urlsplit(endpoint)
        scheme, rest = parts.scheme, endpoint.partition("://")[2]
        if scheme in ("ipc", "inproc") and rest:
            if scheme == "ipc" and len(rest.encode()) > IPC_PATH_BYTES:
                raise TransportError(
                    f"{redact(endpoint)!r}: the path is longer than the {IPC_PATH_BYTES} bytes of a Unix socket; "
                    "choose a shorter folder"
                )
            return Endpoint(scheme=scheme, host=rest)
        host, colon, port = rest.rpartition(":")
        if scheme == "tcp" and host and colon and not parts.path:
            number = 0 if port == "*" else int(port)
            if port.lstrip("*").isascii() and 0 <= number <= 65535 and (":" not in host or host[0] + host[-1] == "[]"):
                return Endpoint(scheme=scheme, host=host.strip("[]"), port=number)
    except ValueError:
        pass
    raise TransportError(
        f"{redact(endpoint)!r} is not an address; write it like tcp://127.0.0.1:5556 or ipc:///run/bowam"
    )


def require_loopback(endpoint: str, insecure: bool) -> None:
    """Refuse an address that strangers can reach, unless it was asked for in so many words.

    Raises TransportError. `insecure` is True for `--insecure`, or where keys guard the socket.
    """
    if not insecure and not parse(endpoint).local:
        raise TransportError(
            f"{redact(endpoint)} can be reached from other machines and has no keys; bind to 127.0.0.1, make keys with "
            "bowam keygen and say --keys, or say --insecure"
        )


def reachable(endpoint: str) -> str:
    """Where a process of this machine reaches a socket that listens on `endpoint`: on every network means here too."""
    address = parse(endpoint)
    here = {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
    return str(msgspec.structs.replace(address, host=here.get(address.host, address.host)))


def in_use(endpoint: str) -> AddressInUse:
    """The error for an address that another process holds."""
    return AddressInUse(f"{endpoint} is in use by another process; stop that process or choose another address")


def _answers(path: str) -> bool:
    """Whether a process listens on this Unix socket: libzmq would silently take the path away from it."""
    with contextlib.closing(socketlib.socket(socketlib.AF_UNIX)) as probe:
        return probe.connect_ex("\0" + path[1:] if path.startswith("@") else path) == 0


def _is_other_file(path: str) -> bool:
    """Whether something lies there that is no socket: libzmq would delete it to take its place."""
    try:
        return not stat.S_ISSOCK(os.lstat(path).st_mode)
    except OSError:
        return False


def notice_loss(socket: "zmq.Socket[Any]", timeout_ms: int) -> None:
    """Let a tcp connection end when the other machine is silent for `timeout_ms`; call it before bind or connect.

    The kernel finds out, by keep-alive and, while data are on their way, by retransmission. Not ZeroMQ's heartbeats:
    libzmq 4.3.5 aborts the process when one is due on a connection that broke while nobody read its full queue
    (libzmq issue 4841), and so a slow subscriber died with its worker.
    """
    import zmq

    idle_s = max(1, timeout_ms // 3000)
    socket.set(zmq.TCP_KEEPALIVE, 1)
    socket.set(zmq.TCP_KEEPALIVE_IDLE, idle_s)
    socket.set(zmq.TCP_KEEPALIVE_INTVL, idle_s)
    socket.set(zmq.TCP_KEEPALIVE_CNT, 2)
    socket.set(zmq.TCP_MAXRT, timeout_ms)


def bind(socket: "zmq.Socket[bytes]", endpoint: str, *, insecure: bool = False) -> str:
    """Bind `socket` and return its true address (with the port that the system chose).

    Raises AddressInUse, or TransportError where the address is malformed, forbidden or not of this machine.
    """
    import zmq  # not for whoever only wants `redact`: the command line's help, the log

    require_loopback(endpoint, insecure)
    address = parse(endpoint)
    if address.scheme == "ipc":
        if _is_other_file(address.host):
            raise TransportError(f"can't listen on {endpoint}: there is a file that is no socket; choose another")
        if _answers(address.host):
            raise in_use(endpoint)
    if address.scheme == "tcp":
        socket.set(zmq.IPV6, int(":" in address.host))
    try:
        socket.bind(str(address))
    except zmq.ZMQError as error:
        if error.errno == errno.EADDRINUSE:
            raise in_use(endpoint) from error
        reason = zmq.strerror(error.errno or 0)
        raise TransportError(f"can't listen on {endpoint}: {reason}; choose another address") from error
    return socket.get_string(zmq.LAST_ENDPOINT).rstrip("\0")
