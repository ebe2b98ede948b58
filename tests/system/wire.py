"""What goes over the wire: a relay that records, and a packet capture."""

import contextlib
import socket
import threading
from collections.abc import Iterator

ETH_P_ALL = 0x0003
CHUNK = 1 << 16


class Relay:
    """Passes connections to `port` of this machine on, and keeps every byte by direction."""

    def __init__(self, port: int) -> None:
        self.sent: list[bytearray] = []  # by connection: from the client
        self.answered: list[bytearray] = []  # to the client
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = [self._listener]
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def bytes(self) -> bytes:
        """All that was seen."""
        return b"\n".join(bytes(part) for part in (*self.sent, *self.answered))

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                try:
                    server = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    client.close()
                    continue
                self._sockets.append(server)
                for source, sink, record in ((client, server, self.sent), (server, client, self.answered)):
                    record.append(bytearray())
                    threading.Thread(target=self._pass, args=(source, sink, record[-1]), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, record: bytearray) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(CHUNK):
                record += chunk
                sink.sendall(chunk)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> "Relay":
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


class Packets:
    """Every packet of the loopback interface that goes from or to one of these ports."""

    def __init__(self, ports: set[int]) -> None:
        """Raises PermissionError for whoever may not look."""
        self._ports = ports
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 26)
        self._socket.bind(("lo", 0))
        self._socket.settimeout(0.1)
        self._ends = threading.Event()
        self.seen = bytearray()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ends.is_set():
            with contextlib.suppress(TimeoutError):
                packet = self._socket.recv(CHUNK + 100)
                if payload := self._payload(packet):
                    self.seen += payload

    def _payload(self, packet: bytes) -> bytes:
        """The TCP payload of an IPv4 packet of ours; lo has Ethernet headers of zeros."""
        if packet[12:14] != b"\x08\x00" or packet[23] != socket.IPPROTO_TCP:
            return b""
        tcp = 14 + (packet[14] & 15) * 4
        ports = {int.from_bytes(packet[tcp : tcp + 2], "big"), int.from_bytes(packet[tcp + 2 : tcp + 4], "big")}
        return packet[tcp + (packet[tcp + 12] >> 4) * 4 :] if ports & self._ports else b""

    def __enter__(self) -> "Packets":
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()
        self._socket.close()


@contextlib.contextmanager
def packets(ports: set[int]) -> Iterator[Packets | None]:
    """A packet capture; None where the system allows none."""
    try:
        capture = Packets(ports)
    except PermissionError:
        yield None
        return
    with capture:
        yield capture
