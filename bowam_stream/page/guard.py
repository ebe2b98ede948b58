"""Stands before everything that the page serves, sockets included: who asks, from where, and how many there are."""

import asyncio
import html
import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from bowam_stream.page.access import Access, names_of_this_machine

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE = "bowam_page"
MOST_BODY = 64 * 1024  # of a request
MOST_URL = 4096
WRONG_TOKEN_S = 0.5  # how long an answer to a wrong token takes
PATHS = ("/_nicegui/", "/_nicegui_ws/", "/pictures/")  # and "/", "/favicon.ico"

# NiceGUI's own page needs inline scripts and compiles templates in the browser; nothing may come from elsewhere.
HEADERS = {
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; font-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """ASGI: lets through to `app` who may see the page. `full` tells whether one more browser is too many."""

    def __init__(self, app: App, access: Access, full: Callable[[], str | None]) -> None:
        self._app, self._access, self._full = app, access, full
        self._names = names_of_this_machine() | {access.host.lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or one socket."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = _headers(scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _refuse(scope, receive, send, *refusal)
            return
        scope["headers"] = [pair for pair in scope["headers"] if not pair[0].lower().startswith(b"x-forwarded")]
        if not self._access.carries(_cookie(headers.get("cookie", ""))):
            await self._ask_for_token(scope, headers, receive, send)
            return
        if scope["type"] == "http" and scope["path"] == "/":
            if "token" in parse_qs(scope["query_string"].decode("latin-1")):
                await self._ask_for_token(scope, headers, receive, send)  # known already; away with it from the address
                return
            if (words := self._full()) is not None:
                await _answer(send, 503, _document("BOWAM stream", html.escape(words)))
                return
        await self._app(scope, receive, _with_headers(send) if scope["type"] == "http" else send)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        """Status and words for whoever has no business here."""
        if scope["type"] not in ("http", "websocket"):
            return 400, "not understood"
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MOST_URL:
            return 414, "the address is too long"
        if not self._our_name(headers.get("host", "")):
            return 421, "this page is not called that; use its own address, such as http://127.0.0.1:8080"
        origin = headers.get("origin")
        if origin is not None and not _same_origin(origin, headers["host"], self._access.scheme):
            return 403, "another page may not talk to this one"
        path = scope["path"]
        if path not in ("/", "/favicon.ico") and not path.startswith(PATHS):
            return 404, "there is nothing here; the page is at /"
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:12]) > MOST_BODY or "chunked" in headers.get("transfer-encoding", ""):
            return 413, "that is too much"
        return None

    def _our_name(self, host: str) -> bool:
        """Against other names that lead here (DNS rebinding): a token in a cookie guards as well, under any name."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        if self._access.token is not None and name:
            return True
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    async def _ask_for_token(self, scope: Scope, headers: dict[str, str], receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" or scope["path"] != "/":
            await _refuse(scope, receive, send, 401, "show the token first")
            return
        query = parse_qs(scope["query_string"].decode("latin-1"))
        given = query.pop("token", [""])[0]
        if scope["method"] == "POST":
            given = parse_qs((await _body(receive)).decode("latin-1"), max_num_fields=4).get("token", [""])[0].strip()
        if self._access.token is None or self._access.knows(given):
            rest = f"/?{urlencode(query, doseq=True)}" if query else "/"
            secure = "; Secure" if self._access.scheme == "https" else ""
            cookie = f"{COOKIE}={self._access.cookie}; Path=/; HttpOnly; SameSite=Strict{secure}"
            extra = {"location": rest} | ({"set-cookie": cookie} if self._access.cookie else {})
            await _answer(send, 303, "", extra)
            return
        wrong = bool(given)
        if wrong:
            await asyncio.sleep(WRONG_TOKEN_S)
        await _answer(send, 401, _document("BOWAM stream: token", _form(wrong)))


def _headers(scope: Scope) -> dict[str, str]:
    """Lower case; the first of each counts, and two hosts are none."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        if key == "host" and key in found:
            return {**found, "host": ""}
        found.setdefault(key, value.decode("latin-1"))
    return found


def _same_origin(origin: str, host: str, scheme: str) -> bool:
    try:
        said = urlsplit(origin)
    except ValueError:
        return False
    return said.netloc.lower() == host.lower() and said.scheme == scheme


def _cookie(header: str) -> str:
    try:
        morsel = SimpleCookie(header[:MOST_URL]).get(COOKIE)
    except CookieError:
        return ""
    return "" if morsel is None else morsel.value


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more and len(body) <= MOST_BODY:
        message = await receive()
        body += message.get("body", b"")
        more = bool(message.get("more_body", False)) and message["type"] == "http.request"
    return body


def _with_headers(send: Send) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            message["headers"] = [*message.get("headers", ()), *own]
        await send(message)

    return sending


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, words: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": words})
    else:
        await _answer(send, status, words + "\n", {"content-type": "text/plain; charset=utf-8"})


async def _answer(send: Send, status: int, body: str, extra: dict[str, str] | None = None) -> None:
    headers = {"content-type": "text/html; charset=utf-8", "cache-control": "no-store", **(extra or {})}
    content = body.encode()
    headers["content-length"] = str(len(content))
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await _with_headers(send)({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": content})


def _form(wrong: bool) -> str:
    words = "<p role=alert>That is not the token.</p>" if wrong else ""
    return (
        f"{words}<form method=post action='/'><label>Token <input name=token type=password "
        "autocomplete=current-password maxlength=1024 required autofocus></label> <button>Open the page</button></form>"
        "<p>It stands in the file that <code>[page] token</code> names, on the machine of the worker.</p>"
    )


def _document(title: str, content: str) -> str:
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{html.escape(title)}</title><style>:root{{color-scheme:light dark}}body{{font:16px/1.6 system-ui,"
        "sans-serif;max-width:34rem;margin:16vh auto;padding:0 20px}input,button{font:inherit;padding:6px 10px}</style>"
        f"<h1>BOWAM stream</h1><p>{content}</p></html>"
    )
