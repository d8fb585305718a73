"""ExifTool: a parser of its own for everything; validates MP4, QuickTime, JPEG, TIFF and others."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from conformance.readers.base import CONTAINERS, Facts, Reader, first_line, output_of
from conformance.readers.photographs import SUFFIXES

#: Of the file itself, of how bytes are laid out, and of what encodes.
_LAYOUT = re.compile(
    r"(SourceFile|QuickTime:TimeScale|(ExifTool|System|File|Composite|JFIF|IFD1):.*)$|Track\d+:(HandlerVendorID)|Thumbnail|Size$|Offset|"
    r"BitRate|Bitrate|CreateDate|ModifyDate|Encod|WritingApp|MuxingApp|SegmentUID|TrackUID|"
    r"MajorBrand|MinorVersion|CompatibleBrands|Compressor|BufferSize|HandlerVendor|DateTimeOriginal$|"
    r"TrackID|NextTrackID|TagTrackUID|DocType|EBML|Seek|Cue|Void|CRC|TagString|TagName|Duration$|"
    r"DigitalSourceType|XMPToolkit|Comment|Crc|CodecPrivate|TrackTimecodeScale|TimecodeScale|"
    r"MediaHeaderVersion|ChapterUID|EditionUID|SourceImage|Description|ExifByteOrder|PreviewImage"
)
_TIMES = re.compile(r"Duration$")
_WIDTHS = re.compile(
    r"Width$|Height$|ImageSize|Orientation|Megapixels|SubjectArea|Region|ColorType|Interlace|Filter|"
    r"BitsPer|Compression|Strip|RowsPer|Planar|Predictor|Photometric|SamplesPer"
)


class ExifTool(Reader):
    """The exiftool program."""

    name = "ExifTool"
    suffixes = CONTAINERS | SUFFIXES

    def version(self) -> str | None:
        return first_line("exiftool", "-ver")

    def facts(self, path: Path) -> Facts:
        (told,) = json.loads(
            output_of("exiftool", "-j", "-G1", "-n", "-api", "LargeFileSupport=1", path)
        )
        pixels = path.suffix in SUFFIXES
        found = {}
        for key, value in told.items():
            if _TIMES.search(key) and isinstance(value, int | float):
                found[key] = f"{value:.2f} s"
            elif not _LAYOUT.search(key) and not (pixels and _WIDTHS.search(key)):
                found[key] = str(value)
        return found

    def complaints(self, path: Path) -> Sequence[str]:
        said = output_of("exiftool", "-validate", "-warning", "-a", "-s3", path)
        return [line for line in said.splitlines() if line != "OK" and "Warnings" not in line]
