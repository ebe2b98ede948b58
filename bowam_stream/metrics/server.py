"""The HTTP server beside a process: what Prometheus scrapes, and whether the process lives and is ready."""

import contextlib
import errno
import http.server
import io
import socket as socketlib
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import choose_encoder

from bowam_stream import clock
from bowam_stream.addresses import Endpoint
from bowam_stream.bounds import Refused, nobody_counts
from bowam_stream.clock import NS_PER_SECOND
from bowam_stream.errors import AddressInUse, TransportError

CLIENT_TIMEOUT_S = 5.0  # of a whole request, and of its answer: a client that stalls must not keep a thread
MAX_CLIENTS = 32  # at a time; one more ends the connection of the oldest
WAITING_CLIENTS = 128  # connections that the kernel holds for us
CLOSE_WITHIN_S = 0.1  # how often the server looks whether it should end

Check = Callable[[], str | None]
"""None: all is well; otherwise the reason why not, one line for people."""


class HasRegistry(Protocol):
    """CaptureMetrics, WorkerMetrics, or whatever else collects."""

    @property
    def registry(self) -> CollectorRegistry: ...


class Heartbeat:
    """A Check that is well as long as somebody beats."""

    def __init__(self, limit_s: float, now_ns: Callable[[], int] = clock.monotonic_ns) -> None:
        self._limit_s = limit_s
        self._now_ns = now_ns
        self._last_ns = now_ns()

    def beat(self) -> None:
        """Say that work goes on."""
        self._last_ns = self._now_ns()

    def __call__(self) -> str | None:
        silent_s = (self._now_ns() - self._last_ns) / NS_PER_SECOND
        return None if silent_s <= self._limit_s else f"no heartbeat for {silent_s:.0f} s"


def _well() -> str | None:
    return None


class _Request(io.RawIOBase):
    """What a client sends, as long as it takes no longer than `CLIENT_TIMEOUT_S` in all."""

    def __init__(self, connection: socketlib.socket) -> None:
        self._connection = connection
        self._until_s = time.monotonic() + CLIENT_TIMEOUT_S

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left_s = self._until_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the request takes too long")
        self._connection.settimeout(left_s)
        try:
            return self._connection.recv_into(buffer)
        finally:
            self._connection.settimeout(CLIENT_TIMEOUT_S)


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers GET and HEAD."""

    timeout = CLIENT_TIMEOUT_S
    server: "_Server"

    def setup(self) -> None:
        """A client that sends a byte now and then has no more time than another."""
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(_Request(self.connection))

    def handle_one_request(self) -> None:
        """One request; what is none is counted."""
        self.answered = False
        try:
            super().handle_one_request()
        finally:
            if not self.answered:
                self.server.refused()

    def do_GET(self) -> None:
        """/metrics, /livez, /healthz, /readyz."""
        match urlsplit(self.path).path:
            case "/metrics":
                encode, content_type = choose_encoder(self.headers.get("Accept", ""))
                self._answer(200, encode(self.server.registry), content_type)
            case "/livez" | "/healthz":
                self._answer_check(self.server.alive)
            case "/readyz":
                self._answer_check(self.server.ready)
            case _:
                self._answer(404, b"try /metrics, /livez or /readyz\n", "text/plain; charset=utf-8")

    do_HEAD = do_GET

    def _answer_check(self, check: Check) -> None:
        reason = check()
        body = f"{reason or 'ok'}\n".encode()
        self._answer(200 if reason is None else 503, body, "text/plain; charset=utf-8")

    def _answer(self, status: int, body: bytes, content_type: str) -> None:
        self.answered = True
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Scrapes are not news."""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = WAITING_CLIENTS

    def __init__(
        self, address: tuple[str, int], registry: CollectorRegistry, alive: Check, ready: Check, refused: Refused
    ) -> None:
        self.refused = refused
        self._clients: dict[socketlib.socket, None] = {}  # in the order in which they came
        self._lock = threading.Lock()
        self.registry = registry
        self.alive = alive
        self.ready = ready
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own. Where too many are connected, the oldest has had its time."""
        with self._lock:
            self._clients[request] = None
            if len(self._clients) > MAX_CLIENTS:
                oldest = next(iter(self._clients))
                del self._clients[oldest]
                with contextlib.suppress(OSError):
                    oldest.shutdown(socketlib.SHUT_RDWR)  # wakes its thread, which closes it
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """The end of a connection."""
        with self._lock:
            self._clients.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away in the middle is no event."""


class MetricsServer:
    """Serves /metrics, /livez (also /healthz) and /readyz from a thread until it is closed.

    Alerts see readiness in /metrics as well: `bowam_ready`.

    Port 0 takes a free one: see `port` and `address`. Raises AddressInUse, or TransportError where the host is not of
    this machine, or is beyond it without `insecure`.
    """

    def __init__(
        self,
        metrics: HasRegistry,
        *,
        port: int,
        host: str = "127.0.0.1",
        insecure: bool = False,
        alive: Check = _well,
        ready: Check = _well,
        refused: Refused = nobody_counts,
    ) -> None:
        """`refused` hears of every connection that brought no request that could be answered."""
        if not insecure and not Endpoint(scheme="tcp", host=host).local:
            raise TransportError(
                f"metrics at {host} can be read from other machines; listen on 127.0.0.1, or allow it with "
                "`insecure = true` in [metrics], or --insecure"
            )
        try:
            self._server = _Server((host, port), metrics.registry, alive, ready, refused)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise AddressInUse(
                    f"port {port} is in use by another process; stop that one or choose another metrics port"
                ) from error
            raise TransportError(f"can't serve metrics on {host}:{port}: {error.strerror or error}") from error
        except OverflowError as error:
            raise TransportError(f"{port} is no port; choose one of 0 to 65535") from error
        self.port: int = self._server.server_address[1]
        self.address = f"http://{host}:{self.port}/metrics"
        self._registry = metrics.registry
        self._ready = Gauge("bowam_ready", "1 while /readyz says ok.", registry=self._registry)
        self._ready.set_function(lambda: ready() is None)
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": CLOSE_WITHIN_S},
            name="bowam-metrics",
            daemon=True,
        )
        self._thread.start()

    def close(self) -> None:
        """Stop serving. Closing twice does nothing."""
        if not self._thread.is_alive():
            return
        self._registry.unregister(self._ready)
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
