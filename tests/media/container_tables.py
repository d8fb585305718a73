"""The tables of docs/containers.md, which stand there between two comments with their name."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from facepipe.video.containers import CONTAINERS, SUGGESTED, Container

PAGE = Path(__file__).parents[2] / "docs" / "containers.md"
#: The suffixes that the table of measurements has columns for.
SUFFIXES = tuple(s for container in CONTAINERS for s in container.suffixes if s in SUGGESTED)
_FACTS: dict[str, Callable[[Container], str]] = {
    "suffixes": lambda c: ", ".join(c.suffixes),
    "video codecs": lambda c: ", ".join(c.video_codecs),
    "encoders of smart rendering": lambda c: ", ".join(c.joins),
    "text subtitles become": lambda c: c.subtitle_codec or "",
    "other audio becomes PCM": lambda c: _yes(c.pcm),
    "ticks of time": lambda c: f"1/{c.tick.denominator} s" if c.tick else "the stream's own",
    "times below zero": lambda c: _yes(c.negative_times),
    "a clock that begins anywhere": lambda c: _yes(c.keeps_clock),
    "delivered ahead of decoding": lambda c: f"{float(c.delivery)} s" if c.delivery else "",
    "equal decoding times": lambda c: _yes(c.equal_times),
    "encoder delay of audio in the header": lambda c: _yes(c.codec_delay),
    "alpha in side data of packets (VP9)": lambda c: _yes(c.block_additions),
    "pixel aspect ratio that the codec lacks": lambda c: _yes(c.pixel_aspect),
    "attachments": lambda c: _yes(c.attachments),
    "covers": lambda c: f"as {c.covers}" if c.covers else "",
    "time code": lambda c: f"as {c.timecode}" if c.timecode else "",
    "numbers and names of programs": lambda c: _yes(c.program_ids),
    "another header on the way, of": lambda c: ", ".join(c.header_changes),
}


def rows_table() -> str:
    """What the rows of `CONTAINERS` say, in Markdown."""
    lines = [[fact, *map(cell, CONTAINERS)] for fact, cell in _FACTS.items()]
    return markdown(["", *(container.muxer for container in CONTAINERS)], lines)


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    every = [head, ["---"] * len(head), *lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in every)


def read_table(page: str, name: str) -> str:
    """The table of that name on the page."""
    found = _between(name).search(page)
    assert found is not None, f"there is no table {name!r}"
    return found[2]


def with_table(page: str, name: str, table: str) -> str:
    """The page with another table of that name."""
    return _between(name).sub(lambda found: found[1] + table + found[3], page)


def cells(table: str) -> dict[str, dict[str, str]]:
    """The cells of a table, by the first word or words of their line, then by column."""
    lines = [[c.strip() for c in line.split("|")[1:-1]] for line in table.splitlines()]
    return {line[0]: dict(zip(lines[0][1:], line[1:], strict=True)) for line in lines[2:]}


def _between(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name} -->\n)(.*?)(<!-- end of {name} -->\n)", re.DOTALL)


def _yes(fact: bool) -> str:
    return "yes" if fact else ""
