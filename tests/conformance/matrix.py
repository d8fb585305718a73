"""Print case x property: `python tests/conformance/matrix.py [--markdown FILE] [--only WORDS]`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import all_cases
from cases import Case
from properties import PROPERTIES
from runner import Row, run

_MARKS = {"pass": "ok", "limit": "limit", "fail": "FAIL", "-": "·"}
_NAMES = [*PROPERTIES, "faces"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen cases; the exit code is 1 where something differs unannounced."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--markdown", type=Path, help="write the table there too")
    parser.add_argument("--only", default="", help="cases whose name holds these words")
    chosen = parser.parse_args(arguments)
    rows = []
    for group, cases in all_cases.GROUPS.items():
        for case in cases:
            if chosen.only in f"{group}: {case.name}":
                row = _run(case)
                rows.append((group, row))
                print(_line(row), flush=True)
    print(_counts([row for _, row in rows]))
    if chosen.markdown:
        chosen.markdown.write_text(_markdown(rows), encoding="utf-8")
    return int(any(row.verdict == "fail" for _, row in rows))


def _run(case: Case) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        return run(case, Path(folder))


def _line(row: Row) -> str:
    told = " ".join(
        f"{name}={_MARKS[cell.verdict]}" for name, cell in row.cells.items() if cell.verdict != "-"
    )
    words = [row.words] if row.words else []
    words += [f"{n}: {c.words}" for n, c in row.cells.items() if c.words]
    return "\n      ".join([f"{row.verdict:5} {row.case.name}: {told}", *words])


def _counts(rows: Sequence[Row]) -> str:
    films = Counter(row.verdict for row in rows)
    cells = Counter(cell.verdict for row in rows for cell in row.cells.values())
    return (
        f"{len(rows)} cases: {films['pass']} pass, {films['limit']} with an announced limit, "
        f"{films['fail']} fail, {films['skip']} skipped; "
        f"{sum(cells.values()) - cells['-']} properties compared: {cells['pass']} pass, "
        f"{cells['limit']} limits, {cells['fail']} fail"
    )


if __name__ == "__main__":
    raise SystemExit(main())
