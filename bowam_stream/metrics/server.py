"""The HTTP server beside a process: what Prometheus scrapes, and whether the process lives and is ready."""

import errno
import http.server
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import choose_encoder

from bowam_stream import clock
from bowam_stream.clock import NS_PER_SECOND
from bowam_stream.errors import AddressInUse, TransportError

CLIENT_TIMEOUT_S = 5.0  # of one read or write: a client that stalls must not keep a thread
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


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers GET and HEAD."""

    timeout = CLIENT_TIMEOUT_S
    server: "_Server"

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

    def __init__(self, address: tuple[str, int], registry: CollectorRegistry, alive: Check, ready: Check) -> None:
        self.registry = registry
        self.alive = alive
        self.ready = ready
        super().__init__(address, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away in the middle is no event."""


class MetricsServer:
    """Serves /metrics, /livez (also /healthz) and /readyz from a thread until it is closed.

    Alerts see readiness in /metrics as well: `bowam_ready`.

    Port 0 takes a free one: see `port` and `address`. Raises AddressInUse, or TransportError where the host is not of
    this machine.
    """

    def __init__(
        self,
        metrics: HasRegistry,
        *,
        port: int,
        host: str = "127.0.0.1",
        alive: Check = _well,
        ready: Check = _well,
    ) -> None:
        try:
            self._server = _Server((host, port), metrics.registry, alive, ready)
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
