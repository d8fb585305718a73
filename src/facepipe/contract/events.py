"""Events: what happens in a run or a batch, each as one line of JSON of a stated form."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

from facepipe.contract.schemas import VERSION

#: `progress` and `batch` say how far the work is, `item` what became of a source of a batch, `log`
#: what else happened.
Kind = Literal["progress", "batch", "item", "log"]


def event_line(kind: Kind, fields: Mapping[str, object], *, at: float | None = None) -> str:
    """One event as a line of JSON, without its end.

    The fields are those of its kind in event.schema.json. `at` is when it happened, seconds since
    1970; None: now.
    """
    moment = datetime.fromtimestamp(time.time() if at is None else at, UTC)
    head = {
        "schema_version": VERSION,
        "event": kind,
        "time": moment.isoformat(timespec="milliseconds"),
    }
    return json.dumps({**head, **fields})
