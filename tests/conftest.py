"""What every test shares: videos with real faces, the user's clips, no unseen fault.

A machine may run the tests in two goes: FACEPIPE_NOTE_PASSED names a file in which the first notes
what passed, FACEPIPE_LEAVE_OUT the same file for the second, which leaves that out. `fuller` tests
are run in both, as they check more where more is installed.

Two things fail a test here: an error that is logged and swallowed, and,
where FACEPIPE_FAIL_ON_SKIP is set, a test that was skipped although this machine has what it needs
(`.ci/run` installs all of that and sets the variable).
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from facepipe.video.pyav.scheduling import real_time_threads
from media import portraits

#: Beginnings of reasons to skip that installing something does not change.
_OTHER_MACHINES = ("this machine", "FACEPIPE_TEST_MEDIA names no folder")


# Started in the background or by nohup, this process ignores signals, and so would those that tests
# start and send them to.
for _kind in (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if os.name == "posix" else [])):
    if signal.getsignal(_kind) is signal.SIG_IGN:
        signal.signal(
            _kind, signal.default_int_handler if _kind == signal.SIGINT else signal.SIG_DFL
        )

#: How the system schedules this process: policy and priority.
_ORDINARY = (os.sched_getscheduler(0), os.sched_getparam(0)) if sys.platform == "linux" else None


@pytest.fixture(autouse=True)
def _no_error_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """An error that is logged and swallowed is a silent fallback."""
    yield
    errors = [r for r in caplog.get_records("call") if r.levelno >= logging.ERROR]
    assert not errors, [r.getMessage() for r in errors]


@pytest.fixture(autouse=True)
def _no_test_takes_the_machine() -> Iterator[None]:
    """SVT-AV1, which tests also open without facepipe, makes this process real-time under root."""
    _be_ordinary()  # a fixture of more than one test may have opened it
    yield
    _be_ordinary()


def _be_ordinary() -> None:
    """Schedule all threads of this process as its first one was when it began."""
    for thread in real_time_threads() if _ORDINARY is not None else ():
        with suppress(OSError):  # it has ended meanwhile
            os.sched_setscheduler(thread, *_ORDINARY)


@pytest.fixture(scope="session")
def portrait_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two faces of about 24 and 34 px that drift for 40 frames, with sound; made once."""
    return portraits.video(tmp_path_factory.mktemp("videos") / "portraits.mp4")


@pytest.fixture(scope="session")
def media() -> Path:
    """The folder of real clips that FACEPIPE_TEST_MEDIA names; skips where there is none."""
    folder = os.environ.get("FACEPIPE_TEST_MEDIA")
    if not folder:
        pytest.skip("FACEPIPE_TEST_MEDIA names no folder of clips")
    return Path(folder)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    noted = os.environ.get("FACEPIPE_LEAVE_OUT")
    passed = set(Path(noted).read_text(encoding="utf-8").splitlines()) if noted else set()
    left_out = [
        one for one in items if _name(one) in passed and not one.get_closest_marker("fuller")
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [one for one in items if one not in set(left_out)]


def _name(item: pytest.Item) -> str:
    """The name of a test, without the group that pytest-xdist puts after it."""
    group = item.get_closest_marker("xdist_group")
    return item.nodeid if group is None else item.nodeid.removesuffix(f"@{group.args[0]}")


#: Tests whose call passed.
_passed: set[str] = set()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" and report.passed:
        _passed.add(report.nodeid)
    elif report.failed:
        _passed.discard(report.nodeid)


def pytest_sessionfinish() -> None:
    noted = os.environ.get("FACEPIPE_NOTE_PASSED")
    if noted and "PYTEST_XDIST_WORKER" not in os.environ:
        Path(noted).write_text("\n".join(sorted(_passed)), encoding="utf-8")


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure where FACEPIPE_FAIL_ON_SKIP is set and a package would mend it."""
    if (
        report.outcome != "skipped"
        or hasattr(report, "wasxfail")
        or not os.environ.get("FACEPIPE_FAIL_ON_SKIP")
    ):
        return
    reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if not reason.startswith(_OTHER_MACHINES):
        report.outcome = "failed"
        report.longrepr = f"FACEPIPE_FAIL_ON_SKIP is set, and this was skipped: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_skipped(report)
    return report
