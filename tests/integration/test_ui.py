"""The page as people use it: the server with its guards, and the whole way in a browser."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

import cv2
import numpy as np
import pytest
from websockets.sync.client import connect
from websockets.typing import Origin

from facepipe.configs.settings import load_settings
from facepipe.pipeline.analysis_file import read_analysis
from facepipe.ui.app import MOST_BODY
from facepipe.video import probe
from media import browser
from media.devtools import Page, open_page

needs_chromium = pytest.mark.skipif(
    browser.chromium() is None, reason="this machine has no Chromium"
)
needs_axe = pytest.mark.skipif(browser.axe_source() is None, reason="axe-core is not installed")


@dataclass
class Running:
    """A `facepipe ui` at work."""

    process: subprocess.Popen[str]
    address: str
    folder: Path
    cookie: str = ""
    printed: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        port = urlsplit(self.address).port
        assert port is not None
        return port

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of an answer; the page's own headers are sent too."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        sent = {"cookie": self.cookie}
        if method != "GET":
            sent |= {"origin": self.origin, "content-type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        if not isinstance(body, (bytes, type(None))):
            body = json.dumps(body).encode()
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        content = answer.read()
        connection.close()
        return answer.status, found, content

    def listens(self, **headers: str) -> int:
        """The status with which a websocket is answered; 101: it is open."""
        upgrade = {
            "connection": "Upgrade", "upgrade": "websocket", "origin": self.origin,
            "sec_websocket_version": "13", "sec_websocket_key": "MDEyMzQ1Njc4OWFiY2RlZg==",
        }  # fmt: skip
        return self.ask("GET", "/events", **(upgrade | headers))[0]

    def end(self, how: int = signal.SIGINT) -> str:
        """End it; what it printed on stderr."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        _, errors = self.process.communicate(timeout=600)
        return errors


@contextlib.contextmanager
def running(folder: Path, *options: str) -> Iterator[Running]:
    command = [sys.executable, "-m", "facepipe", "ui", str(folder), "--no-open", *options]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, process.communicate()[1]
        ui = Running(process, address, folder)
        token = urlsplit(address).query
        status, headers, _ = ui.ask("GET", f"/?{token}")
        assert status == 200
        ui.cookie = headers["set-cookie"].partition(";")[0]
        yield ui
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=600)


@pytest.fixture(scope="module")
def ui(portrait_video: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server for a folder with a video and a text, and a secret beside the folder."""
    around = tmp_path_factory.mktemp("ui")
    (around / "videos").mkdir()
    shutil.copy(portrait_video, around / "videos/v.mp4")
    shutil.copy(portrait_video, around / "secret.mp4")
    (around / "videos/note.txt").write_text("a text")
    with running(around / "videos") as made:
        yield made


def test_the_address_is_one_line_on_this_machine_alone(ui: Running) -> None:
    found = urlsplit(ui.address)
    assert (found.scheme, found.hostname, found.path) == ("http", "127.0.0.1", "/")
    assert len(found.query) > len("token=") + 40
    own = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in own - {"127.0.0.1"}:
        if not address.startswith("127."):
            with pytest.raises(OSError, match=r"refused|timed out|unreachable"):
                socket.create_connection((str(address), ui.port), timeout=5)


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:80"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"cookie": ""},
        {"cookie": "facepipe-1=x"},
    ],
    ids=str,
)
def test_what_is_foreign_gets_403_on_http_and_websocket(
    ui: Running, headers: dict[str, str]
) -> None:
    for method, path in (("GET", "/api/videos"), ("GET", "/"), ("GET", "/static/main.js"),
                         ("POST", "/api/tracks"), ("PUT", "/api/upload?name=a.mp4")):  # fmt: skip
        status, found, _ = ui.ask(method, path, **headers)
        assert (method, path, status) == (method, path, 403)
        assert "access-control-allow-origin" not in found
    assert ui.listens(**headers) == 403
    assert sorted(path.name for path in ui.folder.iterdir() if path.name[0] != ".") == [
        "note.txt", "v.mp4",
    ]  # fmt: skip


def test_the_page_itself_is_answered_on_both(ui: Running) -> None:
    assert ui.ask("GET", "/api/videos")[0] == 200
    assert ui.listens() == 101
    with connect(
        f"ws://127.0.0.1:{ui.port}/events",
        origin=Origin(ui.origin),
        additional_headers={"cookie": ui.cookie},
    ) as opened:
        assert json.loads(opened.recv(timeout=600)) == {"jobs": [], "mark": ""}
    assert ui.ask("OPTIONS", "/api/tracks", origin="http://evil.example")[0] == 403


@pytest.mark.parametrize(
    "name",
    ["../secret.mp4", "/etc/passwd", "note.txt", "nothing.mp4", "%2e%2e/secret.mp4",
     "..%2fsecret.mp4", ".facepipe-ui/queue.json", "", "v.mp4%00"],
)  # fmt: skip
def test_files_outside_the_folder_are_not_found(ui: Running, name: str) -> None:
    for path in ("/api/video?video=", "/api/frame?frame=0&video=", "/api/result?name=",
                 "/api/thumbnail?track=1&video=", "/static/"):  # fmt: skip
        assert (path, ui.ask("GET", f"{path}{name}")[0]) in ((path, 404), ("/static/", 307))
    for path, body in (
        ("/api/jobs", {"video": name, "kind": "analyze"}),
        ("/api/tracks", {"video": name, "numbers": [1], "enhance": True}),
        ("/api/settings", {"video": name, "values": {}}),
    ):
        assert (path, ui.ask("POST", path, body)[0]) == (path, 404)


def test_a_source_is_not_downloaded_as_a_result(ui: Running) -> None:
    assert ui.ask("GET", "/api/result?name=v.mp4")[0] == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/tracks", b"not json"),
        ("/api/tracks", {"video": "v.mp4"}),
        ("/api/tracks", {"video": "v.mp4", "numbers": ["1"], "enhance": True}),
        ("/api/tracks", {"video": "v.mp4", "numbers": [1], "enhance": True}),  # not searched
        ("/api/tracks", {"video": "v.mp4", "numbers": [1], "enhance": True, "x": 1}),
        ("/api/settings", {"video": "v.mp4", "values": {"output.scale": 3}}),
        ("/api/settings", {"video": "v.mp4", "values": {"workers": 1}}),
        ("/api/jobs", {"video": "v.mp4", "kind": "shell"}),
        ("/api/jobs", {"video": "v.mp4", "kind": "render"}),  # not searched
        ("/api/jobs/7/stop", {}),
        ("/api/tracks", b"[" * (MOST_BODY + 1)),
    ],
)
def test_bad_requests_are_answered_in_words(ui: Running, path: str, body: object) -> None:
    status, _, content = ui.ask("POST", path, body)
    assert status == 400
    assert json.loads(content)["error"]
    assert b"Traceback" not in content


def test_a_form_of_another_page_changes_nothing(ui: Running) -> None:
    body = json.dumps({"video": "v.mp4", "kind": "analyze"}).encode()
    assert ui.ask("POST", "/api/jobs", body, content_type="text/plain")[0] == 400


def test_frames_out_of_range_are_not_found(ui: Running) -> None:
    for frame in ("40", "-1", "x", "1e3", "", "9" * 30):
        assert ui.ask("GET", f"/api/frame?video=v.mp4&frame={frame}")[0] == 404


def test_uploads_have_a_limit_and_leave_nothing(ui: Running) -> None:
    def put(name: str, content: bytes, **headers: str) -> int:
        return ui.ask("PUT", f"/api/upload?name={quote(name)}", content, **headers)[0]

    before = sorted(path.name for path in ui.folder.iterdir())
    assert put("a.mp4", b"x", content_length=str(10**13)) == 400
    assert put("a.html", b"<script>") == 400
    assert put("../a.mp4", b"x") == 400
    assert put("v.mp4", (ui.folder / "v.mp4").read_bytes()) == 400  # it is there
    assert sorted(path.name for path in ui.folder.iterdir()) == before


def cut_upload_short(ui: Running) -> None:
    """Close the connection in the midst of an upload, and wait until nothing is left of it."""
    connection = http.client.HTTPConnection("127.0.0.1", ui.port, timeout=600)
    connection.putrequest("PUT", "/api/upload?name=cut.mp4")
    for name, value in (("cookie", ui.cookie), ("origin", ui.origin), ("content-length", "9999")):
        connection.putheader(name, value)
    connection.endheaders(b"\0\0\0\x18ftypisom" + bytes(500))
    end = time.monotonic() + 60
    while not list(ui.folder.glob(".cut*")):
        assert time.monotonic() < end
    connection.close()
    while list(ui.folder.glob(".cut*")):
        assert time.monotonic() < end
    assert not (ui.folder / "cut.mp4").exists()


@pytest.mark.skipif(os.name == "nt", reason="this machine has other signals")
def test_it_ends_by_a_signal_and_leaves_nothing(portrait_video: Path, tmp_path: Path) -> None:
    shutil.copy(portrait_video, tmp_path / "v.mp4")
    for how, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        with running(tmp_path) as ui:
            assert ui.ask("GET", "/api/frame?video=v.mp4&frame=3")[0] == 200
            cut_upload_short(ui)
            assert "Traceback" not in ui.end(how)
            assert ui.process.returncode == code
        assert [path.name for path in tmp_path.iterdir()] == ["v.mp4"]


def test_what_cannot_be_served_is_refused(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for words, code, fault in (
            ([str(tmp_path / "nothing")], 3, "no such video or folder"),
            ([str(tmp_path), "--port", port], 2, f"--port {port}"),
        ):
            done = subprocess.run(
                [sys.executable, "-m", "facepipe", "ui", "--no-open", *words],
                capture_output=True, text=True, timeout=600,
            )  # fmt: skip
            assert (done.returncode, done.stdout) == (code, "")
            assert fault in done.stderr
            assert "Traceback" not in done.stderr


def press_button(page: Page, selector: str) -> None:
    page.tab_to(selector)
    page.press("Enter")


def check_looks(page: Page, folder: Path, name: str) -> None:
    """Nothing serious by axe, nothing sideways, and the theme followed, at both widths."""
    for width in (1280, 390):
        corners = []
        for dark in (False, True):
            page.look(width=width, dark=dark)
            assert page.value("document.documentElement.scrollWidth <= innerWidth")
            assert page.serious_findings() == [], (name, width, dark)
            shot = cv2.imread(str(page.screenshot(folder / f"{name}-{width}-{dark}.png")))
            corners.append(int(shot[3, 3].mean()))
            assert len(np.unique(shot.reshape(-1, 3), axis=0)) > 500
        assert corners[0] > 200
        assert corners[1] < 60
    page.look(width=1280)


@pytest.mark.long
@needs_chromium
@needs_axe
def test_from_upload_to_download_by_keyboard_alone(portrait_video: Path, tmp_path: Path) -> None:
    """Upload, search, strike and take, choose settings by looking, enhance, download."""
    folder, downloads = tmp_path / "videos", tmp_path / "downloads"
    folder.mkdir()
    downloads.mkdir()
    source = Path(shutil.copy(portrait_video, tmp_path / "my video.mp4"))
    with running(folder) as ui, open_page(downloads) as page:
        page.look(width=1280)
        page.open(ui.address)
        page.wait("document.querySelector('#status').textContent.includes('no video')")
        assert "token" not in page.value("location.href")
        page.tab_to("#upload")
        page.choose_file("#upload", source)
        page.wait("document.querySelector('#stage').dataset.pts !== undefined")
        video = folder / "my video.mp4"
        assert video.read_bytes() == source.read_bytes()
        info = probe(video)

        press_button(page, "#analyze")
        page.wait("document.querySelectorAll('.track').length >= 2", 600)
        page.wait("document.querySelector('[data-job=\"1\"]')?.dataset.state == 'done'", 600)
        page.tab_to("#frame")
        page.press("End")
        page.wait(f"document.querySelector('#stage').dataset.pts == '{info.pts[-1]}'")
        page.press("ArrowLeft", "ArrowLeft")
        page.wait(f"document.querySelector('#stage').dataset.pts == '{info.pts[-3]}'")
        assert page.value("document.querySelectorAll('#overlay .yes').length") >= 1

        analysis = folder / "my video.mp4.analysis.json"
        number = read_analysis(analysis).tracks[0].number
        page.tab_to(f"#track-{number}")
        page.press(" ")
        page.wait(
            f"document.querySelector('#status').textContent.includes('Track {number} is left')"
        )
        assert not read_analysis(analysis).tracks[0].enhance
        assert page.value("document.activeElement.id") == f"track-{number}"  # the focus stays
        page.press(" ")
        page.wait("document.querySelector('#status').textContent.includes('to be enhanced')")
        assert read_analysis(analysis).tracks[0].enhance

        press_button(page, f".track:has(#track-{number}) .thumb")
        page.wait("document.querySelector('.track.chosen') !== null")
        page.wait("document.querySelector('#overlay .chosen') !== null")
        page.tab_to("#show-after")
        page.press(" ")
        page.wait("document.querySelector('#stage').dataset.after !== undefined", 600)
        page.tab_to("#split")
        page.press("ArrowRight")
        left = page.value("document.querySelector('#line').style.left")
        assert float(left.removesuffix("%")) == pytest.approx(51, abs=0.5)
        page.tab_to("#strength")
        page.press("ArrowLeft")
        page.wait("document.querySelector('#status').textContent == 'The settings are saved.'")
        page.wait("document.querySelector('#stage').dataset.after !== undefined", 600)
        settings = load_settings(config=folder / "my video.mp4.settings.toml")
        assert settings.restore.strength == 0.95
        check_looks(page, tmp_path, "searched")

        press_button(page, "#render")
        page.wait("document.querySelector('[data-job=\"2\"]')?.dataset.state == 'done'", 600)
        check_looks(page, tmp_path, "done")
        for suffix in ("mp4", "html"):
            made = folder / f"my video-enhanced.{suffix}"
            press_button(page, f"a[download$='{suffix}']")
            wait_for_file(downloads / made.name, made.stat().st_size)
            assert (downloads / made.name).read_bytes() == made.read_bytes()
        assert len(probe(downloads / "my video-enhanced.mp4").pts) == len(info.pts)
        assert page.faults == []
    assert not list(folder.glob(".*"))


def wait_for_file(path: Path, size: int) -> None:
    end = time.monotonic() + 120
    while not path.is_file() or path.stat().st_size != size:
        assert time.monotonic() < end, path
        time.sleep(0.05)


@pytest.mark.long
@needs_chromium
def test_with_the_mouse_and_beside_the_command_line(portrait_video: Path, tmp_path: Path) -> None:
    """Boxes are clicked, a region is drawn, and what the command line writes is seen."""
    video = Path(shutil.copy(portrait_video, tmp_path / "v.mp4"))
    analysis = tmp_path / "v.mp4.analysis.json"
    with running(video) as ui, open_page(tmp_path) as page:
        page.look(width=1280)
        page.open(ui.address)
        page.wait("document.querySelector('#stage').dataset.pts !== undefined")
        assert page.value("document.querySelector('#upload-field').hidden")
        command = [sys.executable, "-m", "facepipe", "analyze", str(video), "-o", str(analysis)]
        subprocess.run(command, check=True, capture_output=True)
        page.wait("document.querySelectorAll('.track').length >= 2")
        page.click("#overlay rect.yes")
        page.wait("document.querySelector('#status').textContent.includes('left as it is')")
        assert sum(not track.enhance for track in read_analysis(analysis).tracks) == 1

        page.value("document.querySelector('#zoom').value = '8'")
        page.value("document.querySelector('#zoom').dispatchEvent(new Event('change'))")
        page.click(".thumb")
        page.wait("document.querySelector('#scroll').scrollLeft > 0")
        middle = page.value(
            "(([box, scroll]) => [box.x + box.width / 2 - scroll.x, scroll.width / 2])"
            "(['#overlay rect.chosen', '#scroll'].map("
            "name => document.querySelector(name).getBoundingClientRect()))"
        )
        assert middle[0] == pytest.approx(middle[1], abs=20)
        page.value("document.querySelector('#zoom').value = '1'")
        page.value("document.querySelector('#zoom').dispatchEvent(new Event('change'))")

        page.value("document.querySelector('#draw').closest('details').open = true")
        page.click("#draw")
        place = page.value(
            "(e => { e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect();"
            " return [r.x, r.y, r.width, r.height]; })(document.querySelector('#scroll'))"
        )
        x, y, width, height = place
        page.drag((x + width / 4, y + height / 4), (x + width / 2, y + height * 3 / 4))
        page.wait("document.querySelector('#status').textContent == 'The settings are saved.'")
        region = load_settings(config=tmp_path / "v.mp4.settings.toml").choose.region
        assert region == pytest.approx((60, 34, 60, 68), abs=2)
        page.wait("document.querySelector('#overlay .region') !== null")
        (tmp_path / "v.mp4.settings.toml").write_text("restore.strength = 0.25\n")
        page.wait("document.querySelector('#strength').value == '0.25'")
        page.wait("document.querySelector('#overlay .region') === null")

        status = page.value(
            f"fetch('http://localhost:{ui.port}/api/videos').then(() => 1, () => 0)"
        )
        assert status == 0  # another origin, by the page's own policy
