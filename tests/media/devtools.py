"""A page in use: headless Chromium held by the DevTools protocol, with real keys and clicks."""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from media.browser import axe_source, chromium

#: Seconds within which the browser answers, and what a page waits for comes.
PATIENCE = 120
_OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-extensions"),
    "--remote-debugging-pipe",
)
#: Name of a key: its code and the text that it writes.
_KEYS = {
    "Tab": (9, ""), "Enter": (13, "\r"), " ": (32, " "), "ArrowLeft": (37, ""),
    "ArrowUp": (38, ""), "ArrowRight": (39, ""), "ArrowDown": (40, ""), "Home": (36, ""),
    "End": (35, ""),
}  # fmt: skip


class Page:
    """The one page of a browser."""

    def __init__(self, to: int, back: int, downloads: Path) -> None:
        self._to, self._back = to, back
        self._waiting, self._number, self._session = b"", 0, ""
        self.faults: list[str] = []  # what the page threw, and what its policy refused
        self.downloads = downloads
        self.ask("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "DOM"):
            self.ask(f"{domain}.enable")

    def open(self, address: str) -> None:
        """Go to an address."""
        self.ask("Page.navigate", url=address)
        self.wait("document.readyState == 'complete'")

    def look(self, *, width: int, height: int = 900, dark: bool = False) -> None:
        """Make the window another size, and the theme light or dark."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height,
                 deviceScaleFactor=1, mobile=width < 600)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])

    def value(self, expression: str) -> Any:
        """What an expression gives in the page; AssertionError where it throws."""
        answer = self.ask(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, expression: str, patience: float = PATIENCE) -> Any:
        """Wait until an expression is true, and give what it is."""
        end = time.monotonic() + patience
        while not (value := self.value(expression)):
            assert time.monotonic() < end, f"{expression}: {self.value('document.body.innerText')}"
            time.sleep(0.05)
        return value

    def press(self, *keys: str) -> None:
        """Press keys one after the other; a single character is typed."""
        for key in keys:
            code, text = _KEYS.get(key, (ord(key[0].upper()), key))
            shown = {"key": key, "windowsVirtualKeyCode": code}
            kind = "keyDown" if text else "rawKeyDown"
            self.ask("Input.dispatchKeyEvent", type=kind, text=text, **shown)
            self.ask("Input.dispatchKeyEvent", type="keyUp", **shown)

    def tab_to(self, selector: str, most: int = 200) -> None:
        """Press Tab until an element has the focus, as someone without a mouse does."""
        here = f"document.activeElement?.matches({json.dumps(selector)})"
        for _ in range(most):
            if self.value(here):
                return
            self.press("Tab")
        raise AssertionError(f"{selector} is not reached by Tab")

    def drag(self, first: tuple[float, float], last: tuple[float, float]) -> None:
        """Press the mouse at one point of the window, move it to another, and let go."""
        for kind, (x, y) in (
            ("mousePressed", first),
            ("mouseMoved", last),
            ("mouseReleased", last),
        ):
            self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left",
                     buttons=int(kind != "mouseReleased"), clickCount=1)  # fmt: skip

    def click(self, selector: str) -> None:
        """Click in the middle of an element."""
        place = self.value(
            f"(e => {{ e.scrollIntoView({{block: 'center'}}); const b = e.getBoundingClientRect();"
            f" return [b.x + b.width / 2, b.y + b.height / 2]; }})"
            f"(document.querySelector({json.dumps(selector)}))"
        )
        self.drag((place[0], place[1]), (place[0], place[1]))

    def choose_file(self, selector: str, path: Path) -> None:
        """Choose a file, as the dialog of a file field does."""
        root = self.ask("DOM.getDocument")["root"]["nodeId"]
        node = self.ask("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.ask("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def screenshot(self, target: Path) -> Path:
        """Write what the whole page shows as a PNG."""
        shot = self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        target.write_bytes(base64.b64decode(shot["data"]))
        return target

    def serious_findings(self) -> list[Any]:
        """What axe finds that keeps people from using the page."""
        source = axe_source()
        assert source is not None
        self.value(f"{source}; 0")
        found = self.value("axe.run({resultTypes: ['violations']}).then(f => JSON.stringify(f))")
        result = json.loads(found)
        assert len(result["passes"]) > 15
        serious = [v for v in result["violations"] if v["impact"] in ("serious", "critical")]
        return [(v["id"], [node["html"] for node in v["nodes"][:3]]) for v in serious]

    def ask(self, method: str, **params: object) -> dict[str, Any]:
        """Send a command of the protocol, and give its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message()
            self._note(answer)
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                result: dict[str, Any] = answer["result"]
                return result

    def _note(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self.faults.append(json.dumps(params["exceptionDetails"]))
        elif message.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.faults.append(params["entry"]["text"])

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._waiting:
            ready, _, _ = select.select([self._back], [], [], PATIENCE)
            got = os.read(self._back, 2**20) if ready else b""
            assert got, "the browser does not answer"
            self._waiting += got
        line, self._waiting = self._waiting.split(b"\0", 1)
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def open_page(downloads: Path) -> Iterator[Page]:
    """A page of a browser of its own, which is ended afterwards."""
    program = chromium()
    assert program is not None
    read_by_it, to = os.pipe()
    back, written_by_it = os.pipe()

    def at_three_and_four() -> None:
        for own, wanted in ((read_by_it, 103), (written_by_it, 104), (103, 3), (104, 4)):
            os.dup2(own, wanted)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [program, *_OPTIONS, f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=at_three_and_four,
            close_fds=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read_by_it)
        os.close(written_by_it)
        try:
            yield Page(to, back, downloads)
        finally:
            process.kill()
            process.wait()
            os.close(to)
            os.close(back)
