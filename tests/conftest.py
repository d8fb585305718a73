"""What every test shares: films with real faces, the user's clips, and no error log unseen."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from media import portraits


@pytest.fixture(autouse=True)
def _no_error_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """An error that is logged and swallowed is a silent fallback."""
    yield
    errors = [r for r in caplog.get_records("call") if r.levelno >= logging.ERROR]
    assert not errors, [r.getMessage() for r in errors]


@pytest.fixture(scope="session")
def portrait_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two faces of about 24 and 34 px that drift for 40 frames, with sound; made once."""
    return portraits.film(tmp_path_factory.mktemp("films") / "portraits.mp4")


@pytest.fixture(scope="session")
def media() -> Path:
    """The folder of real clips that FACEPIPE_TEST_MEDIA names; skips where there is none."""
    folder = os.environ.get("FACEPIPE_TEST_MEDIA")
    if not folder:
        pytest.skip("FACEPIPE_TEST_MEDIA names no folder of clips")
    return Path(folder)
