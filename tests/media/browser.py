"""A page as a browser shows it: headless Chromium, where there is one; axe-core's findings."""

from __future__ import annotations

import html
import importlib.util
import json
import re
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

#: The page's own width in CSS px, and what axe finds that keeps people from using a page.
_SCRIPT = """
axe.run({resultTypes: ['violations']}).then(found => {
  const serious = found.violations.filter(v => ['serious', 'critical'].includes(v.impact));
  const result = {
    width: document.documentElement.scrollWidth, room: window.innerWidth,
    serious: serious.map(v => [v.id, v.help, v.nodes.length, v.nodes[0].html.slice(0, 200)]),
    all: found.violations.map(v => v.id), checked: found.passes.length,
  };
  const shown = document.createElement('pre');
  shown.id = 'found-by-axe';
  shown.textContent = JSON.stringify(result);
  (window.parent || window).document.body.append(shown);
});
"""


def chromium() -> str | None:
    """The path of a Chromium, None: there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


def axe_source() -> str | None:
    """The script of axe-core, out of the package that brings it; None: it is not installed."""
    for package in ("axe_playwright_python", "axe_core_python"):
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            for script in Path(folder).rglob("axe.min.js"):
                return script.read_text(encoding="utf-8")
    return None


def _run(page: Path, folder: Path, *options: str) -> str:
    program = chromium()
    assert program is not None
    profile = folder / "profile"
    command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--user-data-dir={profile}", "--host-resolver-rules=MAP * ~NOTFOUND", *options]
    done = subprocess.run(
        [*command, page.absolute().as_uri()],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    shutil.rmtree(profile, ignore_errors=True)
    return done.stdout


def _framed(text: str, target: Path, width: int, height: int) -> Path:
    """Write a page that holds another in a frame: windows have a least width, frames have none."""
    frame = (
        f'<iframe srcdoc="{html.escape(text)}" title="page" style="border:0;display:block;'
        f'width:{width}px;height:{height}px"></iframe>'
    )
    whole = f'<!doctype html><html lang="en"><title>f</title><body style="margin:0">{frame}</body>'
    target.write_text(whole, encoding="utf-8")
    return target


def screenshot(page: Path, target: Path, *, width: int, height: int, dark: bool = False) -> Path:
    """Write what a window of that size shows as a PNG."""
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    size = f"--window-size={width},{height}"
    text = page.read_text(encoding="utf-8")
    page = _framed(text, target.with_suffix(".html"), width, height)
    _run(page, target.parent, scheme, size, f"--screenshot={target}")
    return target


def printed(page: Path, target: Path) -> Path:
    """Write the page as it is printed, as a PDF."""
    _run(page, target.parent, "--no-pdf-header-footer", f"--print-to-pdf={target}")
    return target


def findings(page: Path, folder: Path, *, width: int, dark: bool = False) -> dict[str, Any]:
    """What axe finds on a page: `serious` findings, and the page's `width` beside its `room`."""
    source = axe_source()
    assert source is not None
    text = page.read_text(encoding="utf-8")
    text = re.sub(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>", "", text)
    text = text.replace("</body>", f"<script>{source}</script><script>{_SCRIPT}</script></body>")
    copy = _framed(text, folder / "with-axe.html", width, 900)
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    options = (scheme, f"--window-size={width},900", "--virtual-time-budget=60000", "--dump-dom")
    shown = _run(copy, folder, *options)
    found = re.search(r'<pre id="found-by-axe">(.*?)</pre>', shown, re.DOTALL)
    assert found, "axe did not end"
    result: dict[str, Any] = json.loads(html.unescape(found[1]))
    return result


def served_findings(folder: Path, name: str, *, width: int, dark: bool = False) -> dict[str, Any]:
    """What axe finds on a page of a site, as `findings`; the site is served, so its scripts run.

    `dark` is in the result too: whether the page's background is dark.
    """
    source, program = axe_source(), chromium()
    assert source is not None
    assert program is not None
    dark_too = "dark: (getComputedStyle(document.body).backgroundColor.match(/\\d+/g)[0] < 100),"
    script = _SCRIPT.replace("const result = {", f"const result = {{{dark_too}")
    text = (folder / name).read_text(encoding="utf-8")
    ready = f"setTimeout(() => {{{script}}}, 500)"  # fades in from the other theme's colours
    text = text.replace("</body>", f"<script>{source}</script><script>{ready}</script></body>")
    (folder / f"axe-{name}").write_text(text, encoding="utf-8")
    frame = f'<iframe src="axe-{name}" title="page" style="width:{width}px;height:900px"></iframe>'
    (folder / "axe-frame.html").write_text(f"<!doctype html><body>{frame}", encoding="utf-8")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Silent, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            done = subprocess.run(
                [
                    *(program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                    *(f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=60000"),
                    f"--blink-settings=preferredColorScheme={0 if dark else 1}",
                    *(f"--window-size={max(width, 500)},900", "--dump-dom"),
                    f"http://127.0.0.1:{server.server_port}/axe-frame.html",
                ],
                capture_output=True, text=True, timeout=300, check=True,
            )  # fmt: skip
        finally:
            server.shutdown()
    shutil.rmtree(folder / "profile", ignore_errors=True)
    found = re.search(r'<pre id="found-by-axe">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, "axe did not end"
    result: dict[str, Any] = json.loads(html.unescape(found[1]))
    return result


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of each request."""
