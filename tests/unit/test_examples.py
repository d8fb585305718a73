"""The examples do what they say, are short, and use no more than the public surface."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from types import ModuleType
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest

import facepipe
from facepipe import FaceEnhancer
from media import portraits

EXAMPLES = Path(__file__).parents[2] / "examples"
#: The demo draws its sheet with a room that is not public.
GUESTS = sorted(path for path in EXAMPLES.glob("*.py") if path.name != "demo.py")
PHOTO = portraits.scene(0)
MADE_OF = b"".join(portraits.scene(number).tobytes() for number in range(12))


@pytest.mark.parametrize("path", GUESTS, ids=lambda path: path.name)
def test_an_example_is_short_and_uses_the_public_surface_alone(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 100
    named: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("facepipe"):
            assert node.module == "facepipe"
            named |= {one.name for one in node.names}
        if isinstance(node, ast.Import):
            assert not any(one.name.startswith("facepipe.") for one in node.names)
    assert named <= set(facepipe.__all__)
    assert "no evidence" in text


def test_there_are_examples() -> None:
    assert {path.name for path in GUESTS} >= {"pipe.py", "service.py"}


def piped(*options: str, given: bytes = MADE_OF) -> subprocess.CompletedProcess[bytes]:
    size = f"{portraits.WIDTH}x{portraits.HEIGHT}"
    command = [sys.executable, str(EXAMPLES / "pipe.py"), "--size", size, *options]
    return subprocess.run(command, input=given, capture_output=True)


@pytest.mark.parametrize("options", [(), ("--latency", "24")])
def test_frames_go_through_a_pipe(options: tuple[str, ...]) -> None:
    done = piped(*options, given=MADE_OF + b"cut short")
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout) == len(MADE_OF)
    frames = [portraits.scene(number) for number in range(12)]
    with FaceEnhancer() as enhancer:
        made = enhancer.live(frames, latency=24) if options else enhancer.enhance(frames)
        assert done.stdout == b"".join(frame.tobytes() for frame in made)


def test_a_pipe_says_in_one_line_what_is_wrong() -> None:
    done = piped("--latency", "2")
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.startswith(b"pipe: latency is 2")
    assert done.stderr.count(b"\n") == 1


@pytest.fixture(scope="module")
def service() -> ModuleType:
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    spec = importlib.util.spec_from_file_location("service", EXAMPLES / "service.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["service"] = module  # FastAPI looks up its annotations there
    spec.loader.exec_module(module)
    return module


@contextmanager
def served(service: ModuleType) -> Iterator[str]:
    """The service on a free port, for as long as the context lasts; the address of its images."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(service.app, port=0, log_level="error"))
    thread = Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/images"
    finally:
        server.should_exit = True
        thread.join()


class Answer(NamedTuple):
    status: int
    headers: Any
    content: bytes


def post(address: str, content: bytes) -> Answer:
    try:
        with urllib.request.urlopen(address, data=content, timeout=60) as answer:
            return Answer(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, error.read())


def file_of(image: Any) -> bytes:
    return bytes(cv2.imencode(".png", image[..., ::-1])[1].tobytes())


def test_the_service_enhances_images_and_refuses_what_is_none(service: ModuleType) -> None:
    with served(service) as address:
        answer = post(address, file_of(PHOTO))
        assert answer.status == 200
        assert answer.headers["X-Notice"] == service.NOTICE
        made = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
        with FaceEnhancer() as enhancer:
            assert np.array_equal(made[..., ::-1], enhancer.enhance_image(PHOTO))
        assert (made[..., ::-1] != PHOTO).any()
        assert post(address, b"no image").status == 415


def test_who_finds_the_queue_full_is_told_to_come_again(
    service: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = Event()

    class Slow(FaceEnhancer):
        def enhance_image(self, frame: Any) -> Any:
            go_on.wait(60)
            return frame

    monkeypatch.setattr(service, "FaceEnhancer", Slow)
    monkeypatch.setattr(service, "MOST_WAITING", 1)
    with served(service) as address, ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(post, address, file_of(PHOTO)) for _ in range(3)]
        refused = next(as_completed(asked)).result()
        go_on.set()
        assert refused.status == 503
        assert refused.headers["Retry-After"] == "5"
        assert sorted(one.result().status for one in asked) == [200, 200, 503]
