"""Access: who may speak to the page's server. Every request and every websocket passes here first.

A page of another origin can make a browser send requests to this machine, under any name that leads
here. So the name (Host) must be this machine's own, the origin (Origin) must be this page's, and a
cookie must say that the address with the token was opened. Else the answer is 403.
"""

from __future__ import annotations

import hmac
import secrets

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: The address that the server listens on; no other machine reaches it.
LOOPBACK = "127.0.0.1"
_NAMES = (LOOPBACK, "localhost")
#: Methods that change nothing.
_SAFE = ("GET", "HEAD")
#: Of the page and of all that it fetches; results that are downloaded bring stricter ones.
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


class Keys:
    """What opens the page: a token in its address, then a cookie, each random and of one server.

    A browser that is started with an address shows it to all users of the machine, in the list of
    processes. So it gets one with a token that opens the page once.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.token = secrets.token_urlsafe(32)
        self._once: set[str] = set()
        self._cookie = secrets.token_urlsafe(32)
        self._cookie_name = f"facepipe-{port}"

    @property
    def address(self) -> str:
        """The address to open, with the token."""
        return self._address(self.token)

    def address_for_once(self) -> str:
        """An address that can be opened once."""
        token = secrets.token_urlsafe(32)
        self._once.add(token)
        return self._address(token)

    def _address(self, token: str) -> str:
        return f"http://{LOOPBACK}:{self.port}/?token={token}"

    @property
    def set_cookie(self) -> str:
        """The header that gives a browser the cookie: no script reads it, no other site sends it.

        It ends with the browser, and is worth nothing once this server has ended.
        """
        return f"{self._cookie_name}={self._cookie}; Path=/; HttpOnly; SameSite=Strict"

    def fits_token(self, given: str) -> bool:
        """Whether that token opens the page."""
        known = [self.token, *self._once]
        return any(hmac.compare_digest(given.encode(), one.encode()) for one in known)

    def use_token(self, given: str) -> bool:
        """Whether that token opens the page; one that does it once does it no more."""
        fits = self.fits_token(given)
        self._once.discard(given)
        return fits

    def refusal(self, asked: HTTPConnection) -> str | None:
        """Why a request or a websocket is refused; None: it is not."""
        if asked.headers.getlist("host") not in [[name] for name in self._hosts()]:
            return "this server answers to its own address alone"
        if self._brings_token(asked):
            return None
        if not self._fits_origin(asked):
            return "this server answers to its own page alone"
        if hmac.compare_digest(
            asked.cookies.get(self._cookie_name, "").encode(), self._cookie.encode()
        ):
            return None
        return "open the address that facepipe printed: it has a token that this one lacks"

    def _brings_token(self, asked: HTTPConnection) -> bool:
        """Whether the page is opened by its address, as a link on another page may do too."""
        if asked.scope["type"] != "http" or asked.scope["method"] != "GET":
            return False
        if asked.url.path != "/" or "origin" in asked.headers:
            return False
        return self.fits_token(asked.query_params.get("token", ""))

    def _hosts(self) -> list[str]:
        bare = list(_NAMES) if self.port == 80 else []  # browsers leave out that port
        return [*bare, *(f"{name}:{self.port}" for name in _NAMES)]

    def _fits_origin(self, asked: HTTPConnection) -> bool:
        """Whether it comes from this page. Browsers name the origin of all but simple requests."""
        origins = asked.headers.getlist("origin")
        if origins:
            return origins in [[f"http://{name}"] for name in self._hosts()]
        if asked.scope["type"] == "websocket" or asked.scope["method"] not in _SAFE:
            return False
        return asked.headers.get("sec-fetch-site", "none") in ("same-origin", "none")


class Guard:
    """Refuses what does not come from the page, and sets the headers of every answer."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403, or pass the request on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refused = self._keys.refusal(HTTPConnection(scope))
        if refused is None:
            await self._app(scope, receive, with_headers)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # before it is accepted: 403
        else:
            await PlainTextResponse(f"{refused}\n", 403)(scope, receive, with_headers)
