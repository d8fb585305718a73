from __future__ import annotations

import asyncio

import pytest
from starlette.requests import HTTPConnection
from starlette.types import Message, Receive, Scope, Send

from facepipe.ui.access import Guard, Keys

PORT = 8123
HOST, ORIGIN = f"127.0.0.1:{PORT}", f"http://127.0.0.1:{PORT}"


def scope(
    keys: Keys, *, kind: str = "http", method: str = "GET", path: str = "/api/videos",
    query: str = "", signed_in: bool = True, **headers: str | list[str] | None,
) -> Scope:  # fmt: skip
    """A request as the page itself sends it, but for the headers that are given."""
    sent: dict[str, str | list[str] | None] = {"host": HOST, "sec_fetch_site": "same-origin"}
    if kind == "websocket" or method != "GET":
        sent["origin"] = ORIGIN
    if signed_in:
        sent["cookie"] = keys.set_cookie.partition(";")[0]
    sent |= headers
    lines = [
        (name.replace("_", "-").encode(), value.encode())
        for name, values in sent.items()
        for value in ([values] if isinstance(values, str) else values or ())
    ]
    made: Scope = {
        "type": kind, "path": path, "query_string": query.encode(), "headers": lines,
        "scheme": "http", "server": ("127.0.0.1", PORT),
    }  # fmt: skip
    return made | ({"method": method} if kind == "http" else {})


def answer(keys: Keys, asked: Scope) -> list[Message]:
    """What the guard sends, or what the page behind it does: an empty 200."""
    sent: list[Message] = []

    async def page(_scope: Scope, _receive: Receive, send: Send) -> None:
        start = "http.response.start" if _scope["type"] == "http" else "websocket.accept"
        await send({"type": start, "status": 200, "headers": []})

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(Guard(page, keys)(asked, receive, send))
    return sent


KINDS = [("http", "GET"), ("http", "POST"), ("http", "PUT"), ("websocket", "GET")]
by_kind = pytest.mark.parametrize(("kind", "method"), KINDS)


@by_kind
def test_the_page_itself_is_answered(kind: str, method: str) -> None:
    keys = Keys(PORT)
    first = answer(keys, scope(keys, kind=kind, method=method))[0]
    assert first["type"] in ("http.response.start", "websocket.accept")
    assert first["status"] == 200


@by_kind
@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": f"evil.example:{PORT}"},
        {"host": "127.0.0.1"},
        {"host": "127.0.0.1:1"},
        {"host": f"127.0.0.1:{PORT}.evil.example"},
        {"host": f"[::1]:{PORT}"},
        {"host": None},
        {"host": [HOST, "evil.example"]},
        {"origin": "http://evil.example"},
        {"origin": f"http://evil.example:{PORT}"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": f"https://127.0.0.1:{PORT}"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": [ORIGIN, "http://evil.example"]},
        {"cookie": None},
        {"cookie": f"facepipe-{PORT}="},
        {"cookie": f"facepipe-{PORT}=wrong"},
        {"cookie": "other=1"},
    ],
    ids=str,
)
def test_what_is_foreign_is_refused(kind: str, method: str, headers: dict[str, str]) -> None:
    keys = Keys(PORT)
    sent = answer(keys, scope(keys, kind=kind, method=method, **headers))
    if kind == "websocket":
        assert sent == [{"type": "websocket.close", "code": 1008}]  # which becomes 403
    else:
        assert sent[0]["status"] == 403


@pytest.mark.parametrize(
    "asked", [{"kind": "websocket"}, {"method": "POST"}, {"method": "PUT"}, {"method": "DELETE"}]
)
def test_what_changes_something_must_name_its_origin(asked: dict[str, str]) -> None:
    keys = Keys(PORT)
    refused = keys.refusal(HTTPConnection(scope(keys, origin=None, **asked)))
    assert refused == "this server answers to its own page alone"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_sites_get_no_pictures(site: str) -> None:
    keys = Keys(PORT)
    assert keys.refusal(HTTPConnection(scope(keys, sec_fetch_site=site)))


def test_the_token_opens_the_page_and_nothing_else() -> None:
    keys = Keys(PORT)

    def refused(path: str, query: str) -> bool:
        asked = scope(keys, path=path, query=query, signed_in=False, sec_fetch_site="none")
        return keys.refusal(HTTPConnection(asked)) is not None

    assert not refused("/", f"token={keys.token}")
    assert refused("/", "")
    assert refused("/", f"token={keys.token}x")
    assert refused("/", "token=é")
    assert refused("/api/videos", f"token={keys.token}")


def test_an_address_for_once_opens_the_page_once() -> None:
    keys = Keys(PORT)
    token = keys.address_for_once().partition("token=")[2]
    assert token != keys.token
    assert not keys.use_token("")
    assert keys.fits_token(token)
    assert keys.use_token(token)
    assert not keys.use_token(token)
    assert keys.use_token(keys.token)
    assert keys.use_token(keys.token)


def test_a_link_on_another_page_opens_the_page_by_its_token_alone() -> None:
    keys = Keys(PORT)

    def refused(**how: str) -> bool:
        asked = {"path": "/", "query": f"token={keys.token}", "sec_fetch_site": "cross-site"} | how
        return keys.refusal(HTTPConnection(scope(keys, **asked, signed_in=False))) is not None

    assert not refused()
    assert refused(query="token=wrong")
    assert refused(host="evil.example")
    assert refused(origin="http://evil.example")
    assert refused(method="POST")
    assert refused(kind="websocket")


def test_the_cookie_of_another_server_is_worth_nothing() -> None:
    keys, other = Keys(PORT), Keys(PORT)
    cookie = other.set_cookie.partition(";")[0]
    assert keys.refusal(HTTPConnection(scope(keys, cookie=cookie)))
    assert keys.token != other.token
    assert keys.token not in keys.set_cookie
    assert {"HttpOnly", "SameSite=Strict"} <= set(keys.set_cookie.split("; "))


@pytest.mark.parametrize("cookie", [True, False])
def test_every_answer_has_strict_headers(cookie: bool) -> None:
    keys = Keys(PORT)
    headers = dict(answer(keys, scope(keys, signed_in=cookie))[0]["headers"])
    policy = headers[b"content-security-policy"].decode()
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert headers[b"referrer-policy"] == b"no-referrer"
    assert headers[b"cross-origin-resource-policy"] == b"same-origin"
