"""Where a stream's chroma samples lie between its luma samples.

PyAV 18 has no name for it, but Matroska's header has: it is written to memory and read back. PyAV
19 has one, and then this file goes.
"""

from __future__ import annotations

import io

import av

_HORIZONTAL, _VERTICAL = b"\x55\xb7\x81", b"\x55\xb8\x81"  # ChromaSiting, of one byte each
#: By Matroska's numbers (1: on the left or the top luma sample, 2: between two), FFmpeg's names.
_NAMES = {(1, 1): "topleft", (1, 2): "left", (2, 1): "top", (2, 2): "center"}
#: Codecs of which FFmpeg's decoders alone know it.
_KNOWN = {"mpeg1video": "center", "h263": "center", "dvvideo": "topleft"}


def chroma_location(stream: av.VideoStream) -> str | None:
    """FFmpeg's name of the place; None where the stream or Matroska does not say it."""
    name = stream.codec_context.codec.canonical_name
    if name in _KNOWN:
        return _KNOWN[name]
    header = io.BytesIO()
    try:
        with av.open(header, "w", format="matroska") as container:
            container.add_stream_from_template(stream, opaque=True)
            container.start_encoding()
            written = header.getvalue()
    except (ValueError, av.FFmpegError):  # a codec that Matroska does not take
        return None
    return _NAMES.get((_number(written, _HORIZONTAL), _number(written, _VERTICAL)))


def _number(header: bytes, element: bytes) -> int:
    at = header.find(element)
    return header[at + len(element)] if at >= 0 else 0
