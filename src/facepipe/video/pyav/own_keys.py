"""Keys of one's own in the metadata of mp4 and mov, as QuickTime stores them (mdta).

FFmpeg's muxer writes either all keys so or those alone that it has fields for. Players look for
titles and the like in the fields. So the muxer writes these, and here are the others.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from facepipe.video.pyav.isobmff import boxed

_TEXT, _FLOAT = 1, 23  # types of values
_NUMBERS = ("com.android.capture.fps",)


def keys_box(keys: Mapping[str, str], *, quicktime: bool) -> bytes:
    """The box in an index that holds those keys, whole; `quicktime`: as in mov, without a version.

    Nothing where there are no keys.
    """
    if not keys:
        return b""
    handler = boxed(b"hdlr", bytes(8) + b"mdta" + bytes(13))
    names = b"".join(boxed(b"mdta", key.encode("utf-8", "surrogateescape")) for key in keys)
    values = b"".join(
        boxed(struct.pack(">I", number), boxed(b"data", _value(key, value)))
        for number, (key, value) in enumerate(keys.items(), 1)
    )
    listed = boxed(b"keys", bytes(4) + struct.pack(">I", len(keys)) + names)
    version = b"" if quicktime else bytes(4)
    return boxed(b"meta", version + handler + listed + boxed(b"ilst", values))


def _value(key: str, value: str) -> bytes:
    if key in _NUMBERS:
        try:
            return struct.pack(">IIf", _FLOAT, 0, float(value))
        except (ValueError, OverflowError):
            pass
    return struct.pack(">II", _TEXT, 0) + value.encode("utf-8", "surrogateescape")
