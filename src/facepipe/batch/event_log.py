"""The event log of a batch: lines of JSON with the numbers of items and tasks."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from facepipe.contract.events import event_line

_item: ContextVar[int] = ContextVar("item")
#: What a record may hold besides its message: the ids of item and task, and their counts.
_KEYS = ("item", "source", "task", "stage", "span", "node", "attempt", "frames", "faces")


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "job": os.getpid(),
            "level": record.levelname.lower(),
            "said": record.getMessage(),
        }
        if (number := _item.get(None)) is not None:
            line["item"] = number
        line |= {key: getattr(record, key) for key in _KEYS if hasattr(record, key)}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return event_line("log", line, at=record.created)


@contextmanager
def log_item(number: int) -> Iterator[None]:
    """Give all that this thread logs within the block the number of an item."""
    token = _item.set(number)
    try:
        yield
    finally:
        _item.reset(token)


@contextmanager
def event_log(path: Path) -> Iterator[None]:
    """Append all that facepipe logs within the block to `path`."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(_JsonLines())
    logger = logging.getLogger("facepipe")
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate
        handler.close()
