"""The journal of a batch: a line of JSON for what happens, with the numbers of its items."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path

_item: ContextVar[int] = ContextVar("item")
#: What a record may tell besides its message: ids of the item and of the task, and what they did.
_KEYS = ("item", "source", "task", "stage", "span", "attempt", "frames", "faces")


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "job": os.getpid(),
            "level": record.levelname.lower(),
            "said": record.getMessage(),
        }
        if (number := _item.get(None)) is not None:
            line["item"] = number
        line |= {key: getattr(record, key) for key in _KEYS if hasattr(record, key)}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


@contextmanager
def item(number: int) -> Iterator[None]:
    """Have all that this thread logs meanwhile told of item `number`."""
    token = _item.set(number)
    try:
        yield
    finally:
        _item.reset(token)


@contextmanager
def journal(path: Path) -> Iterator[None]:
    """Have all that facepipe logs meanwhile appended to `path`."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(_Lines())
    logger = logging.getLogger("facepipe")
    level, spread = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = spread
        handler.close()
