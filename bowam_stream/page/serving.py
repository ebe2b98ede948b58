"""The page's process: a web server on a socket of ours, with the guard before it and the room behind it."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn

os.environ.setdefault("NICEGUI_STORAGE_PATH", os.devnull)  # nothing is ever stored in files
from fastapi import FastAPI, Response
from nicegui import Client, app, ui

from bowam_stream.config import Config
from bowam_stream.errors import ConfigError
from bowam_stream.keys import open_keys
from bowam_stream.page.access import access_of, listen
from bowam_stream.page.guard import Guard
from bowam_stream.page.kept import Kept
from bowam_stream.page.layout import Layout
from bowam_stream.page.room import MOST_BROWSERS, PICTURES, Room, Source
from bowam_stream.pipeline.notify import Notifier
from bowam_stream.pipeline.stop import StopFlag
from bowam_stream.report.record import JOURNAL_FILE

MOST_COMING = 32  # browsers that have fetched the page, or that a line was cut to, and are not here (any more)
CLOSE_S = 2.0
MOST_MESSAGE = 1 << 20  # from a browser, bytes
QUIET = ("uvicorn", "uvicorn.error", "uvicorn.access", "nicegui", "engineio", "socketio", "asyncio")


class Server(uvicorn.Server):
    """Leaves signals to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def source_of(place: Path | None, config: Config) -> Source:
    """What to show: nothing named, the worker of `config`; else a journal, or a folder that a replay left.

    Raises ConfigError, ReportError where there is neither.
    """
    if place is None:
        return Source(journal=Path(config.events.journal), worker=config.events.endpoint)
    if place.is_dir():
        if not (place / JOURNAL_FILE).exists():
            raise ConfigError(f"{place} holds no replay; make one with: bowam replay VIDEO --keep {place}")
        kept = Kept(place)
        return Source(journal=kept.journal, kept=kept)
    if not place.is_file():
        raise ConfigError(f"there is no journal {place}; name one, or a folder that bowam replay --keep wrote")
    return Source(journal=place)


def serve(source: Source, config: Config, stop: StopFlag, on_address: Callable[[str], None]) -> None:
    """Serve until told to stop. `on_address` hears where.

    Raises ConfigError, AddressInUse, TransportError before anything is served; StreamError where the worker's address
    can't be listened to.
    """
    access = access_of(config.page)
    keys = open_keys(config.keys) if source.worker is not None else None
    room = Room(source, config, keys)
    with contextlib.closing(listen(config.page.host, config.page.port)) as listening:
        port = listening.getsockname()[1]
        for name in QUIET:
            logging.getLogger(name).setLevel(max(logging.getLogger().level, logging.WARNING))
        web = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        _pages(web, room)
        server = Server(
            uvicorn.Config(
                Guard(web, access, _full),
                log_config=None,
                access_log=False,
                server_header=False,
                ws_max_size=MOST_MESSAGE,
                ws_max_queue=8,
                ws_per_message_deflate=False,
                timeout_graceful_shutdown=1,
                limit_concurrency=200,
                ssl_certfile=access.certificate,
                ssl_keyfile=access.certificate_key,
            )
        )
        host = f"[{access.host}]" if ":" in access.host else access.host
        asyncio.run(_run(server, room, stop, listening, lambda: on_address(f"{access.scheme}://{host}:{port}")))


async def _run(server: Server, room: Room, stop: StopFlag, listening: object, on_ready: Callable[[], None]) -> None:
    with Notifier() as notifier:
        serving = asyncio.create_task(server.serve(sockets=[listening]))  # type: ignore[list-item]
        while not server.started and not serving.done():
            await asyncio.sleep(0.02)
        if not serving.done():
            on_ready()
            notifier.ready()
        try:
            await room.run(lambda: bool(stop) or serving.done(), notifier.beat)
        finally:
            for client in tuple(Client.instances.values()):
                client.delete()
            server.should_exit = True
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(serving, CLOSE_S)


def _full() -> str | None:
    """Words for a browser that is one too many."""
    clients = tuple(Client.instances.values())
    if sum(client.has_socket_connection for client in clients) >= MOST_BROWSERS:
        return f"{MOST_BROWSERS} browsers look at this page already. Close one of them, and load the page again."
    if len(clients) >= MOST_COMING:
        return "Too many browsers come at once. Load the page again in a minute."
    return None


def _pages(web: FastAPI, room: Room) -> None:
    @ui.page("/", title="BOWAM stream", dark=None, reconnect_timeout=4.0, language="en-US")
    def _page(client: Client) -> None:
        layout = Layout(room)
        client.on_connect(lambda: room.desks.add(layout))
        client.on_delete(lambda: room.desks.discard(layout))

    @web.get("/pictures/{event_id}/{name}")
    async def _picture(event_id: str, name: str) -> Response:
        content = await room.picture(event_id, name) if name in PICTURES else None
        if content is None:
            return Response(status_code=404, headers={"cache-control": "no-store"})
        kind = "image/svg+xml" if name == "arrows" else "image/webp"
        return Response(content, media_type=kind, headers={"cache-control": "no-store"})

    app.storage.max_tab_storage_age = 3600
    ui.run_with(
        web,
        title="BOWAM stream",
        favicon="👁",
        dark=None,
        language="en-US",
        reconnect_timeout=4.0,
        message_history_length=0,
        tailwind=False,
        storage_secret=None,
        binding_refresh_interval=None,
        show_welcome_message=False,
    )
