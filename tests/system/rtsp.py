"""A network camera with a password: a recording as an MPEG transport stream in RTP, within RTSP (RFC 2326)."""

import base64
import contextlib
import itertools
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

TS_BYTES, TS_PER_PACKET, MP2T = 188, 7, 33  # RFC 2250, RFC 3551
CLOCK_HZ = 90_000
SDP = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\na=control:*\r\nm=video 0 RTP/AVP 33\r\na=control:track\r\n"


def transport_stream(video: Path, to: Path) -> tuple[bytes, float]:
    """The packets of a recording, and how many seconds they last."""
    import av

    with av.open(str(video)) as source, av.open(str(to), "w", format="mpegts") as sink:
        one = source.streams.video[0]
        other = sink.add_stream_from_template(one)
        for packet in source.demux(one):
            if packet.dts is not None:
                packet.stream = other
                sink.mux(packet)
        return to.read_bytes(), float(one.duration * one.time_base)  # type: ignore[operator]


class PasswordCamera:
    """Listens, asks for user and password, and plays; with `holds`, it takes the password and says nothing more."""

    def __init__(
        self, user: str, password: str, stream: tuple[bytes, float] = (b"", 1.0), *, holds: bool = False
    ) -> None:
        self.greeted = 0  # how often somebody came with the password
        self._basic = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self._stream, self._holds = stream, holds
        self._ends = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, client.makefile("rb") as lines:
            while request := lines.readline():
                headers = {}
                while line := lines.readline().strip():
                    name, _, value = line.decode().partition(":")
                    headers[name.lower()] = value.strip()
                self._answer(client, request.split()[0].decode(), headers)

    def _answer(self, client: socket.socket, method: str, headers: dict[str, str]) -> None:
        body, more, status = "", "", "200 OK"
        if method != "OPTIONS" and headers.get("authorization") != self._basic:
            status, more = "401 Unauthorized", 'WWW-Authenticate: Basic realm="camera"\r\n'
        elif method == "DESCRIBE":
            self.greeted += 1
            if self._holds:
                return
            body, more = SDP, "Content-Type: application/sdp\r\n"
        elif method == "SETUP":
            more = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n"
        elif method == "PLAY":
            more = "Session: 1\r\n"
            threading.Thread(target=self._play, args=(client,), daemon=True).start()
        head = f"RTSP/1.0 {status}\r\nCSeq: {headers.get('cseq', 0)}\r\n{more}Content-Length: {len(body)}\r\n\r\n"
        client.sendall((head + body).encode())

    def _play(self, client: socket.socket) -> None:
        data, lasts_s = self._stream
        step = TS_BYTES * TS_PER_PACKET
        chunks = [data[at : at + step] for at in range(0, len(data), step)]
        every_s = lasts_s / len(chunks)
        with contextlib.suppress(OSError):
            for number, chunk in _forever(chunks):
                if self._ends.wait(every_s):
                    return
                stamp = int(number * every_s * CLOCK_HZ) & 0xFFFFFFFF
                packet = struct.pack(">BBHII", 0x80, MP2T, number & 0xFFFF, stamp, 1) + chunk
                client.sendall(b"$\0" + struct.pack(">H", len(packet)) + packet)

    def __enter__(self) -> "PasswordCamera":
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def _forever(chunks: list[bytes]) -> Iterator[tuple[int, bytes]]:
    return enumerate(itertools.cycle(chunks))
