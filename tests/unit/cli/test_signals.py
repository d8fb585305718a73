"""A request to end the process holds until it is met, and never interrupts cleanup."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import av
import pytest

from facepipe.cli import signals
from facepipe.cli.signals import Interrupted, graceful_shutdown
from facepipe.video.source_cache import SourceCache
from media import synthetic

if sys.platform == "win32":
    pytest.skip("this machine has no POSIX signals", allow_module_level=True)

RETRY_SECONDS = 0.1


@pytest.fixture(autouse=True)
def _handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(signals, "_RETRY_SECONDS", RETRY_SECONDS)
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    kinds = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
    before = {kind: signal.getsignal(kind) for kind in kinds}
    for kind in kinds:  # whatever started the tests may have had them ignored, as nohup does SIGHUP
        signal.signal(kind, signal.SIG_DFL)
    yield
    for kind, handler in before.items():
        signal.signal(kind, handler)


def _ask(kind: signal.Signals = signal.SIGINT) -> None:
    signal.raise_signal(kind)


def _work() -> None:
    """Work until the request interrupts it, or the test fails."""
    time.sleep(100 * RETRY_SECONDS)
    pytest.fail("the request was lost")


class _AskedAtItsEnd:
    def __del__(self) -> None:
        _ask()


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_request_raises_where_it_finds_the_work(kind: signal.Signals) -> None:
    with pytest.raises(Interrupted) as raised, graceful_shutdown():
        _ask(kind)
    assert raised.value.exit_code == 128 + kind
    assert signal.getsignal(kind) is signal.SIG_IGN
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_without_a_request_all_is_as_before() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyError), graceful_shutdown():
        raise KeyError("its own")
    assert signal.getsignal(signal.SIGTERM) is before


def test_one_that_is_ignored_stays_so() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with graceful_shutdown():
        _ask(signal.SIGHUP)


def test_one_that_a_finalizer_drops_is_made_again(capfd: pytest.CaptureFixture[str]) -> None:
    @graceful_shutdown()
    def run() -> None:
        _AskedAtItsEnd()
        _work()

    with pytest.raises(Interrupted):
        run()
    assert capfd.readouterr().err == ""


def test_one_that_another_error_hides_is_made_again() -> None:
    @graceful_shutdown()
    def run() -> None:
        with suppress(ValueError):
            _fail_to_close()
        _work()

    with pytest.raises(Interrupted):
        run()


def test_one_that_another_error_hides_to_the_end_leaves_as_interrupted() -> None:
    with pytest.raises(Interrupted) as raised, graceful_shutdown():
        _fail_to_close()
    assert raised.value.exit_code == 128 + signal.SIGINT
    assert isinstance(raised.value.__cause__, ValueError)


def _fail_to_close() -> None:
    try:
        _ask()
    finally:
        raise ValueError("what was open could not be closed")


def test_a_callback_of_ffmpeg_ends_first(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    video = synthetic.video(tmp_path / "video.mp4", frames=30)
    packets = 0

    class Asked(SourceCache):
        def keep(self, number: int, data: bytes) -> None:
            super().keep(number, data)
            _ask()

    @graceful_shutdown()
    def run() -> None:
        nonlocal packets
        with av.open(Asked(video).open()) as container:  # each read that opens it is asked to end
            packets = sum(1 for packet in container.demux(video=0) if packet.size)
        _work()

    with pytest.raises(Interrupted):
        run()
    assert packets in (0, 30)  # stopped, or whole: never a video that seems to end early
    assert capfd.readouterr().err == ""


def test_cleanup_is_not_interrupted() -> None:
    cleaned = []

    @graceful_shutdown()
    def run() -> None:
        try:
            _ask()
        finally:
            _ask(signal.SIGTERM)
            time.sleep(3 * RETRY_SECONDS)
            cleaned.append("before another error")
            with suppress(ValueError):
                raise ValueError
            time.sleep(3 * RETRY_SECONDS)
            cleaned.append("after it")

    with pytest.raises(Interrupted) as raised:
        run()
    assert cleaned == ["before another error", "after it"]
    assert raised.value.exit_code == 128 + signal.SIGINT


def test_a_generator_that_is_closed_is_not_interrupted() -> None:
    cleaned = []

    def frames() -> Iterator[int]:
        try:
            yield 0
        finally:
            _ask()
            time.sleep(3 * RETRY_SECONDS)
            cleaned.append("frames")

    @graceful_shutdown()
    def run() -> None:
        for _ in frames():
            break
        _work()

    with pytest.raises(Interrupted):
        run()
    assert cleaned == ["frames"]
