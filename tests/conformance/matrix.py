"""Print case x property: `python tests/conformance/matrix.py [--markdown FILE] [--only WORDS]`.

Exit code 1 where something differs that the program did not announce.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("SVT_LOG", "1")  # errors alone
    sys.path[0] = str(Path(__file__).parents[1])

from conformance import reader_cases, reader_runner
from conformance.all_cases import GROUPS
from conformance.cases import Case
from conformance.properties import PROPERTIES
from conformance.readers import missing, versions
from conformance.runner import Cell, Row, run

NAMES = (*PROPERTIES, "faces", "copied", "told")
#: The group that is shown to other programs; its properties are what each of them sees.
READERS = "In other programs"
_MARKS = {"pass": "ok", "limit": "L", "fail": "X", "-": "."}
_SIGNS = {"pass": "✓", "limit": "L", "fail": "✗", "-": ""}
_ABSENT = Cell("-")
_HEAD = """# Conformance

Each case is a short video that is made on the spot, written by the real program, and held against
its source, property by property: by PyAV, and by the ffprobe and ffmpeg programs where they are
installed. Other programs open further videos and photographs ([below](#in-other-programs)).
`make conformance`, or

```
python tests/conformance/matrix.py --markdown docs/conformance.md
```

makes this page; `--only WORDS` runs the cases whose group or name holds the words. Every eighth
case runs in `make test` too, all of them in `.ci/run`.

✓ is the same as in the source; L differs, and the program said so in the words below the table;
✗ differs and was not announced; nothing: the video has nothing of the kind. Where the encoder is
asked to lose nothing, "pictures" means that every sample of every picture is equal.

"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen cases and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there too")
    parser.add_argument("--only", default="", metavar="WORDS", help="cases that hold these words")
    chosen = parser.parse_args(arguments)
    done: dict[str, list[Row]] = {}
    for group, cases in {**GROUPS, READERS: reader_cases.CASES}.items():
        wanted = [case for case in cases if chosen.only in f"{group}: {case.name}"]
        if wanted:
            _say(f"\n{group:44} " + " ".join(name[:4].ljust(4) for name in _names(group)))
        if wanted and group == READERS and missing():
            _say(f"not installed: {', '.join(missing())}")
        for case in wanted:
            row = _run(group, case)
            done.setdefault(group, []).append(row)
            _say(*_lines(row, _names(group)))
    rows = [row for group in done.values() for row in group]
    _say(f"\n{counts(rows)}")
    if chosen.markdown:
        chosen.markdown.write_text(markdown(done), encoding="utf-8")
    return int(any(row.verdict == "fail" for row in rows))


def _run(group: str, case: Case) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        return (reader_runner.run if group == READERS else run)(case, Path(folder))


def _names(group: str) -> Sequence[str]:
    """The properties of a group: in other programs, those programs."""
    return list(versions()) if group == READERS else NAMES


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def counts(rows: Sequence[Row]) -> str:
    """How many cases and properties passed, in one sentence each."""
    videos = Counter(row.verdict for row in rows)
    cells = Counter(cell.verdict for row in rows for cell in row.cells.values())
    refused = sum(row.verdict == "limit" and not row.cells for row in rows)
    return (
        f"{len(rows)} cases: {videos['pass']} pass in full, {videos['limit'] - refused} with a "
        f"limit that is announced, {refused} are refused before the work, {videos['fail']} fail, "
        f"{videos['skip']} were skipped.\n"
        f"{sum(cells.values()) - cells['-']} properties compared: {cells['pass']} pass, "
        f"{cells['limit']} are announced limits, {cells['fail']} fail."
    )


def markdown(done: Mapping[str, Sequence[Row]]) -> str:
    """The page in docs."""
    rows = [row for group in done.values() for row in group]
    parts = [_HEAD + counts(rows).replace("\n", " ")]
    for group, members in done.items():
        names = _names(group)
        used = [n for n in names if any(_cell(row, n).verdict != "-" for row in members)]
        lines = [
            f"## {group}",
            "",
            *(_about_readers() if group == READERS else ()),
            "| | " + " | ".join(used) + " |",
            "|---" * (len(used) + 1) + "|",
            *(_table_row(row, used) for row in members),
        ]
        said = [line for row in members for line in _said(row)]
        parts.append("\n".join([*lines, "", *said]).rstrip())
    return "\n\n".join(parts) + "\n"


def _cell(row: Row, name: str) -> Cell:
    return row.cells.get(name, _ABSENT)


def _about_readers() -> Iterator[str]:
    """What the table of other programs shows, and which they are."""
    yield (
        "Each video has a number on every frame and two faces in its middle; the rest is copied. "
        "Each program opens source and result. Players seek to twenty places, the joints among "
        "them, and must show the same frames. All must tell the same tags, times, rates, languages "
        "and flags, and find nothing wrong that they do not find in the source. L: a difference "
        "that is known and not mended yet. Empty: the program does not open the source."
    )
    yield ""
    yield from (f"- {name}: {version}" for name, version in versions().items())
    if missing():
        yield f"- not installed: {', '.join(missing())}"
    yield ""


def _lines(row: Row, names: Sequence[str]) -> Iterator[str]:
    if not row.cells:
        yield f"{row.case.name:44} {row.verdict}: {row.words}"
        return
    marks = " ".join(_MARKS[_cell(row, name).verdict].ljust(4) for name in names)
    yield f"{row.case.name:44} {marks}".rstrip()
    for name, cell in row.cells.items():
        if cell.words:
            yield f"    {cell.verdict}: {name}: {cell.words}"
    if row.verdict == "fail":
        yield from (f"    told: {words}" for words in row.warnings)


def _table_row(row: Row, used: Sequence[str]) -> str:
    if not row.cells:
        word = {"limit": "refused", "skip": "skipped"}.get(row.verdict, row.verdict)
        return f"| {row.case.name} | {word} |" + " |" * (len(used) - 1)
    signs = (_SIGNS[_cell(row, name).verdict] for name in used)
    return f"| {row.case.name} | " + " | ".join(signs) + " |"


def _said(row: Row) -> Iterator[str]:
    if row.words:
        yield f"- {row.case.name}: {' '.join(row.words.split())}"
    by_words: dict[str, list[str]] = {}
    for name, cell in row.cells.items():
        if cell.words and cell.verdict != "-":
            by_words.setdefault(cell.words, []).append(name)
    for words, names in by_words.items():
        yield f"- {row.case.name} ({', '.join(names)}): {words}"


if __name__ == "__main__":
    raise SystemExit(main())
