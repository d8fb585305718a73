"""What each container holds, found by putting it there: the tables of docs/containers.md.

    python benchmarks/quality/containers.py [--markdown docs/containers.md]

Each line is a small video that holds one thing; each cell says what becomes of it in a container,
as `facepipe.video.check_target` finds it, which writes the video's beginning and reads it back.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path

from av.stream import Disposition

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from facepipe.errors import MediaError
from facepipe.video import EncodeSettings, check_target, probe
from media import rich_videos, synthetic
from media.container_tables import SUFFIXES, markdown, rows_table, with_table
from media.rich_videos import Track

X264 = EncodeSettings("libx264", (("preset", "ultrafast"),))
X265 = EncodeSettings("libx265", (("preset", "ultrafast"),))
VP9 = EncodeSettings("libvpx-vp9", (("deadline", "realtime"), ("cpu-used", "8")))
AV1 = EncodeSettings("libsvtav1", (("preset", "11"),))
FFV1, PRORES = EncodeSettings("ffv1"), EncodeSettings("prores_ks")
Make = Callable[[Path], Path]


@dataclass(frozen=True)
class Row:
    """One thing: a video in a file of `suffix` that holds it, and the encoder of its frames."""

    name: str
    make: Make
    suffix: str = ".mkv"
    settings: EncodeSettings | None = None  # None: what the container usually has
    web: Make | None = None  # the same with audio that WebM takes


def _with(*tracks: Track, **how: object) -> Make:
    return partial(rich_videos.rich_video, tracks=tracks, **how)  # type: ignore[arg-type]


def _coloured(path: Path) -> Path:
    return synthetic.video(path, colour=(2, 9, 9, 16), frames=4)


def _close(path: Path) -> Path:
    return synthetic.video(path, pts=[0, 9, 18, 27], time_base=Fraction(1, 20000))


def _transparent(path: Path) -> Path:
    return synthetic.video(path, codec="ffv1", pix_fmt="yuva420p", frames=4)


def _of_audio(name: str, track: Track) -> Row:
    """A row whose audio codec does not matter."""
    first = replace(track, language=None, disposition=rich_videos.NO_DISPOSITION, metadata=None)
    tracks = (first, track)
    web = [replace(one, codec="libopus") for one in tracks]
    return Row(name, _with(*tracks), web=_with(*web))


def rows() -> Iterator[tuple[str, Row]]:
    """All rows, each with the heading that it stands under."""
    plain = synthetic.plain
    for name, settings in (
        ("H.264", X264), ("HEVC", X265), ("AV1", AV1), ("VP9", VP9), ("FFV1", FFV1),
        ("ProRes", PRORES),
    ):  # fmt: skip
        yield "Video", Row(name, plain, settings=settings)
    for name, settings in (("H.264", X264), ("VP9", VP9), ("FFV1", FFV1)):
        yield "Video", Row(f"pixel aspect ratio, {name}", synthetic.anamorphic, ".mp4", settings)
    for name, settings in (("H.264", X264), ("VP9", VP9), ("FFV1", FFV1)):
        yield "Video", Row(f"colour tags, {name}", _coloured, ".mp4", settings)
    for name, settings in (("HEVC", X265), ("AV1", AV1)):
        yield "Video", Row(f"mastering display, {name}", synthetic.hdr, ".mp4", settings)
    for name, settings in (("VP9", VP9), ("FFV1", FFV1), ("ProRes", PRORES)):
        yield "Video", Row(f"alpha, {name}", _transparent, settings=settings)
    yield "Video", Row("interlacing, H.264", synthetic.interlaced, ".mp4", X264)
    yield "Video", Row("rotated", synthetic.rotated, ".mp4")
    yield "Video", Row("mirrored", _with(mirrored=True), ".mp4")
    yield "Video", Row("frames 0.45 ms apart", _close, ".mp4")
    for name, codec, suffix in (
        ("AAC", "aac", ".mkv"), ("AC-3", "ac3", ".mkv"), ("E-AC-3", "eac3", ".mkv"),
        ("MP2", "mp2", ".mkv"), ("MP3", "libmp3lame", ".mkv"), ("Opus", "libopus", ".mkv"),
        ("FLAC", "flac", ".mkv"), ("ALAC", "alac", ".mkv"), ("TTA", "tta", ".mkv"),
        ("WavPack", "wavpack", ".mkv"), ("PCM of 16 bits", "pcm_s16le", ".mkv"),
        ("PCM of 32 bits, float", "pcm_f32le", ".mkv"), ("PCM of 8 bits", "pcm_u8", ".mkv"),
        ("A-law", "pcm_alaw", ".mov"), ("ADPCM (MS)", "adpcm_ms", ".nut"),
    ):  # fmt: skip
        yield "Audio", Row(name, _with(Track(codec)), suffix)
    for name, codec, suffix in (
        ("SubRip", "subrip", ".mkv"), ("ASS", "ass", ".mkv"), ("WebVTT", "webvtt", ".mkv"),
        ("mov_text", "mov_text", ".mp4"), ("PGS", "hdmv_pgs_subtitle", ".mkv"),
        ("DVB", "dvb_subtitle", ".ts"),
    ):  # fmt: skip
        yield "Subtitles", Row(name, _with(Track(codec)), suffix)
    yield "Other", Row("fonts and other files", _with(font=True))
    yield "Other", Row("cover", _with(cover=True))
    yield "Other", Row("chapters", _with(chapters=True))
    yield "Other", Row("title of the file", _with(metadata={"title": "A video"}))
    yield "Other", Row("keys of one's own", _with(metadata={"com.example.reel": "7"}))
    titled = Track("ac3", None, metadata={"title": "one"})
    yield "Other", _of_audio("titles of streams", titled)
    yield "Other", _of_audio("languages of audio", Track("ac3", "deu"))
    for flag in ("forced", "hearing_impaired", "visual_impaired", "comment", "original"):
        track = Track("ac3", None, Disposition[flag])
        yield "Other", _of_audio(f"disposition: {flag.replace('_', ' ')}", track)
    yield "Other", Row("time code", _with(metadata={"timecode": "01:02:03:04"}), ".mp4")
    yield "Other", Row("data of action cameras", _with(Track("bin_data")), ".mp4")
    yield "Other", Row("KLV", _with(Track("klv")), ".ts")


def cell(row: Row, suffix: str, source: Path) -> str:
    """What becomes of a row's thing in a container: yes, what it becomes, or nothing."""
    settings = row.settings or (VP9 if suffix == ".webm" else X264)
    target = source.with_name(f"made{suffix}")
    try:
        found = check_target(source, probe(source), target, settings=settings, allow_loss=True)
    except MediaError:  # the container does not take the encoder's video
        return ""
    became = [change.rpartition("becomes ")[2] for change in found.changes if "becomes" in change]
    lost = found.incompatibilities
    if any(one.stream is not None or one.part_of is None for one in lost):
        return ""
    if lost:
        return f"{became[0]}, without its styles" if became else ""
    return f"as {became[0]}" if became else "yes"


def measured() -> Iterator[list[str]]:
    """The lines of the table of measurements."""
    above = ""
    for heading, row in rows():
        if heading != above:
            yield [f"**{heading}**", *("" for _ in SUFFIXES)]
            above = heading
        with tempfile.TemporaryDirectory() as folder:
            source = row.make(Path(folder) / f"source{row.suffix}")
            web = (row.web or row.make)(Path(folder) / f"web{row.suffix}")
            yield [row.name, *(cell(row, s, web if s == ".webm" else source) for s in SUFFIXES)]


def main() -> None:
    """Print both tables, or write them to a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there")
    page = parser.parse_args().markdown
    tables = {
        "rows": rows_table(),
        "measurements": markdown(["", *SUFFIXES], list(measured())),
    }
    for name, table in tables.items():
        print(table)
        if page is not None:
            page.write_text(with_table(page.read_text(), name, table))


if __name__ == "__main__":
    main()
