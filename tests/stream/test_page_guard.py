"""Who may look at the page: names, origins, tokens, and addresses beyond this machine."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bowam_stream.config import PageSettings
from bowam_stream.errors import AddressInUse, ConfigError
from bowam_stream.page.access import Access, access_of, listen
from bowam_stream.page.guard import COOKIE, MOST_BODY, Guard

TOKEN = "a-word-of-sixteen-letters"


def asked(
    guard: Guard, path: str = "/", query: str = "", kind: str = "http", **headers: str
) -> tuple[Any, dict[str, str]]:
    """Status of an answer (None: a socket was closed) and its headers."""
    sent: list[dict[str, Any]] = []
    lines = {"host": "127.0.0.1:8080"} | {name.replace("_", "-"): value for name, value in headers.items()}
    scope = {
        "type": kind,
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in lines.items()],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect" if kind == "websocket" else "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(guard(scope, receive, send))
    status = sent[0].get("status") if kind == "http" else {"websocket.close": None}.get(sent[0]["type"], 101)
    return status, {name.decode(): value.decode() for name, value in sent[0].get("headers", ())}


async def _page(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def guard(token: str | None = None, full: str | None = None, scheme: str = "http") -> Guard:
    certificate = "c.pem" if scheme == "https" else None
    access = Access(host="127.0.0.1", token=token, certificate=certificate, certificate_key=certificate)
    return Guard(_page, access, lambda: full)


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:1", "[::1]:8080", "192.0.2.7", "LOCALHOST"])
def test_our_own_names_and_numbers_are_answered(host: str) -> None:
    assert asked(guard(), host=host)[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "a b", "[::1", "localhost.evil.example"]
)
def test_another_name_that_leads_here_is_not_answered(host: str) -> None:
    """DNS rebinding."""
    assert asked(guard(), host=host)[0] == 421


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:8081", "https://127.0.0.1:8080", "["]
)
def test_another_origin_may_not_talk_to_the_page_nor_to_its_socket(origin: str) -> None:
    assert asked(guard(), origin=origin)[0] == 403
    assert asked(guard(), "/_nicegui_ws/socket.io/", kind="websocket", origin=origin)[0] is None
    assert asked(guard(), "/_nicegui_ws/socket.io/", kind="websocket", origin="http://127.0.0.1:8080")[0] == 101


def test_what_is_not_there_too_long_or_too_much_is_refused() -> None:
    assert asked(guard(), "/elsewhere")[0] == 404
    assert asked(guard(), query="a" * 5000)[0] == 414
    assert asked(guard(), content_length=str(MOST_BODY + 1))[0] == 413
    assert asked(guard(), content_length="-1")[0] == 413
    assert asked(guard(), transfer_encoding="chunked")[0] == 413


def test_one_browser_too_many_is_told_so() -> None:
    assert asked(guard(full="close one"))[0] == 503


def test_nothing_may_be_loaded_from_elsewhere_and_no_frame_may_hold_the_page() -> None:
    policy = asked(guard())[1]["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "http" not in policy


def test_the_token_opens_the_page_and_a_cookie_remembers_it_without_telling_it() -> None:
    assert asked(guard(TOKEN))[0] == 401
    assert asked(guard(TOKEN), "/_nicegui_ws/x", kind="websocket")[0] is None
    assert asked(guard(TOKEN), query="token=wrong")[0] == 401
    status, headers = asked(guard(TOKEN, scheme="https"), query=f"token={TOKEN}&camera=cam1")
    assert (status, headers["location"]) == (303, "/?camera=cam1")
    cookie = headers["set-cookie"].partition(";")[0]
    assert TOKEN not in headers["set-cookie"]
    assert all(word in headers["set-cookie"] for word in ("HttpOnly", "SameSite=Strict", "Secure"))
    assert asked(guard(TOKEN), cookie=cookie)[0] == 200
    assert asked(guard(TOKEN), cookie=cookie, host="a.name.of.ours")[0] == 200
    assert asked(guard(TOKEN), cookie=f"{COOKIE}=guessed")[0] == 401
    assert asked(guard(TOKEN), cookie="\xe4=;,")[0] == 401


def test_beyond_this_machine_token_and_https_are_needed_or_said_to_be_unwanted(tmp_path: Path) -> None:
    token, pem = tmp_path / "token", tmp_path / "c.pem"
    token.write_text(TOKEN)
    pem.write_text("")
    with pytest.raises(ConfigError, match="set token and certificate"):
        access_of(PageSettings(host="0.0.0.0"))
    with pytest.raises(ConfigError, match="set certificate"):
        access_of(PageSettings(host="192.0.2.1", token=str(token)))
    whole = PageSettings(host="::", token=str(token), certificate=str(pem), certificate_key=str(pem))
    assert access_of(whole).scheme == "https"
    assert access_of(PageSettings(host="0.0.0.0", insecure=True)).token is None
    assert access_of(PageSettings(host="127.0.0.2")).token is None


@pytest.mark.parametrize("word", ["short", "", "two words of some length", "ä" * 20])
def test_a_token_that_can_be_guessed_or_typed_wrongly_is_refused(word: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(word)
    with pytest.raises(ConfigError, match="openssl rand"):
        access_of(PageSettings(token=str(file)))


def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    held = listen("127.0.0.1", 0)
    try:
        with pytest.raises(AddressInUse, match="choose another with --port"):
            listen("127.0.0.1", held.getsockname()[1])
    finally:
        held.close()
