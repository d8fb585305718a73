"""MediaInfo: parsers of its own for containers and codecs."""

from __future__ import annotations

import json
from pathlib import Path

from conformance.readers.base import Facts, Reader, first_line, output_of

_PLAIN = frozenset(
    (
        *("Format", "Title", "Movie", "Performer", "Album", "Genre", "Copyright", "Recorded_Date"),
        *("Description", "Language", "Default", "Forced", "ServiceKind", "Width", "Height"),
        *("DisplayAspectRatio", "Rotation", "FrameRate_Mode", "FrameRate", "ScanType", "ScanOrder"),
        *("ColorSpace", "ChromaSubsampling", "BitDepth", "colour_range", "colour_primaries"),
        *("transfer_characteristics", "matrix_coefficients", "HDR_Format", "MasteringDisplay"),
        *("SamplingRate", "Channels", "ChannelLayout", "Alignment", "Format_Profile"),
    )
)
_TIMES = frozenset(["Duration", "Delay", "Video_Delay"])
#: Where the profile of a container says which version wrote it, and MediaInfo guesses from a few
#: frames what is coded how.
_GUESSED = frozenset([("General", "Format_Profile"), ("General", "FrameRate_Mode")])


class MediaInfo(Reader):
    """The mediainfo program."""

    name = "MediaInfo"

    def version(self) -> str | None:
        said = first_line("mediainfo", "--Version")
        if said is None:
            return None
        return " ".join(output_of("mediainfo", "--Version", wanted=None).split())

    def facts(self, path: Path) -> Facts:
        told = json.loads(output_of("mediainfo", "--Output=JSON", path))
        found = {}
        for number, track in enumerate(told["media"]["track"]):
            kind = track["@type"]
            for key, value in track.items():
                name = f"{number} {kind} {key}"
                if key in _TIMES:
                    found[name] = f"{float(value):.2f} s"
                elif key in _PLAIN and (kind, key) not in _GUESSED:
                    found[name] = str(value)
        return found
