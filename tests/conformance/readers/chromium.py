"""Chromium: plain playback, and MediaSource as streaming players use it; decodes by FFmpeg, libvpx
and dav1d, and demuxes MediaSource by itself.
"""

from __future__ import annotations

import atexit
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from conformance.readers.base import (
    PATIENCE,
    Facts,
    Reader,
    ReaderError,
    Shown,
    first_line,
    seconds,
)
from conformance.readers.codec_words import mime_type

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--autoplay-policy=no-user-gesture-required", "--mute-audio"),
    *("--allow-file-access-from-files", "--disable-web-security", "--remote-debugging-pipe"),
)
_PAGE = Path(__file__).with_name("players") / "browser_page.js"
_PIECE = 2**16  # bytes that are appended at a time


class Chromium(Reader):
    """A page's video element."""

    name = "Chromium"
    suffixes = frozenset([".mp4", ".m4v", ".mov", ".mkv", ".webm"])

    def version(self) -> str | None:
        return first_line(program(), "--version") if program() else None

    def facts(self, path: Path) -> Facts:
        told = _browser().run("told", path.as_uri())
        return {"duration": seconds(told["duration"]), "size": told["size"]}

    def frames(self, path: Path, times: Sequence[float]) -> Sequence[Shown | None]:
        return [_array(shot) for shot in _browser().run("framesAt", path.as_uri(), list(times))]


class MediaSource(Reader):
    """The same page, fed in pieces."""

    name = "MediaSource"
    suffixes = frozenset([".mp4", ".webm"])

    def version(self) -> str | None:
        return Chromium().version()

    def facts(self, path: Path) -> Facts:
        streamed = self._streamed(path, ())
        first = streamed["ranges"][0][0] if streamed["ranges"] else -1.0
        return {"ranges that can be played": str(len(streamed["ranges"])),
                "begins at": seconds(first), "ends": seconds(streamed["duration"])}  # fmt: skip

    def frames(self, path: Path, times: Sequence[float]) -> Sequence[Shown | None]:
        return [_array(shot) for shot in self._streamed(path, times)["shots"]]

    def _streamed(self, path: Path, times: Sequence[float]) -> dict[str, Any]:
        found: dict[str, Any] = _browser().run(
            "streamed", path.as_uri(), mime_type(path), list(times), _PIECE
        )
        return found


def program() -> str:
    """Where the browser is; empty: it is not installed."""
    return next(filter(None, map(shutil.which, _PROGRAMS)), "")


def _array(shot: Sequence[Any]) -> Shown:
    width, height, content = shot
    return np.frombuffer(base64.b64decode(content), np.uint8).reshape(height, width)


#: One page answers one question at a time.
_turn = threading.RLock()


class _Browser:
    """One browser with one page, held by the DevTools protocol over pipes."""

    def __init__(self) -> None:
        self._profile = tempfile.TemporaryDirectory()
        read_by_it, self._to = os.pipe()
        self._from, written_by_it = os.pipe()

        def at_three_and_four() -> None:
            for own, wanted in ((read_by_it, 103), (written_by_it, 104), (103, 3), (104, 4)):
                os.dup2(own, wanted)

        self._process = subprocess.Popen(
            [program(), *_OPTIONS, f"--user-data-dir={self._profile.name}", "about:blank"],
            preexec_fn=at_three_and_four,
            close_fds=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read_by_it)
        os.close(written_by_it)
        self._waiting, self._number, self._session = b"", 0, ""
        page = Path(self._profile.name) / "page.html"
        script = _PAGE.read_text(encoding="utf-8")
        page.write_text(f"<!doctype html><script>{script}</script>", encoding="utf-8")
        target = self._ask("Target.createTarget", url=page.as_uri())["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        self._wait_for_the_page()

    def run(self, function: str, *arguments: object) -> Any:
        """What a function of the page gives; ReaderError: it failed there."""
        words = ", ".join(map(json.dumps, arguments))
        with _turn:
            answer = self._evaluate(f"{function}({words})")
        if "exceptionDetails" in answer:
            told = answer["exceptionDetails"].get("exception", {})
            raise ReaderError(str(told.get("description", "it failed")).splitlines()[0])
        return answer["result"].get("value")

    def end(self) -> None:
        """Close the browser."""
        os.close(self._to)
        self._process.kill()
        self._process.wait()
        self._profile.cleanup()

    def _wait_for_the_page(self) -> None:
        ready = "new Promise(good => document.readyState == 'complete' ? good() : (onload = good))"
        self._evaluate(f"{ready}.then(() => 1)")
        while "exceptionDetails" in self._evaluate("framesAt.name"):
            pass

    def _evaluate(self, expression: str) -> dict[str, Any]:
        return self._ask(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )

    def _ask(self, method: str, **params: object) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise ReaderError(str(answer["error"]))
                result: dict[str, Any] = answer["result"]
                return result

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._waiting:
            ready, _, _ = select.select([self._from], [], [], PATIENCE)
            got = os.read(self._from, 2**20) if ready else b""
            if not got:
                raise ReaderError("the browser does not answer")
            self._waiting += got
        line, self._waiting = self._waiting.split(b"\0", 1)
        answer: dict[str, Any] = json.loads(line)
        return answer


def _browser() -> _Browser:
    with _turn:
        return _started()


@cache
def _started() -> _Browser:
    browser = _Browser()
    atexit.register(browser.end)
    return browser
