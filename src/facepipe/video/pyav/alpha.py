"""The decoder of a stream: FFmpeg's first choice, except where it would drop the alpha plane.

FFmpeg's own decoders of VP8 and VP9 do drop it.
"""

from __future__ import annotations

import av
from av.stream import Stream

#: Decoders that read the alpha that Matroska keeps in the packets' side data (BlockAdditions).
_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


def has_alpha_mode(stream: Stream) -> bool:
    """Whether a stream of VP8 or VP9 has its alpha in the packets' side data (AlphaMode is 1)."""
    metadata = {key.lower(): value for key, value in stream.metadata.items()}
    return metadata.get("alpha_mode") == "1"


def decoder_of(stream: av.VideoStream) -> av.VideoCodecContext:
    """The context that decodes all of the stream, with alpha where there is a decoder of it."""
    own = stream.codec_context
    name = _WITH_ALPHA.get(own.codec.canonical_name) if has_alpha_mode(stream) else None
    if name is None:
        return own
    try:
        context = av.CodecContext.create(name, "r")
    except ValueError:  # left out of this build of FFmpeg
        return own
    assert isinstance(context, av.VideoCodecContext)
    # Only the container says these, and the new context knows no container.
    context.color_range, context.colorspace = own.color_range, own.colorspace
    context.color_primaries, context.color_trc = own.color_primaries, own.color_trc
    return context
