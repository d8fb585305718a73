"""The decoder of a stream: FFmpeg's first choice, but where that would leave something unread."""

from __future__ import annotations

import av
from av.stream import Stream

#: Decoders that read the alpha which Matroska keeps beside the packets; FFmpeg's own do not.
_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


def has_alpha_beside(stream: Stream) -> bool:
    """Whether a stream of VP8 or VP9 keeps transparency beside its packets."""
    told = {key.lower(): value for key, value in stream.metadata.items()}
    return told.get("alpha_mode") == "1"


def decoder_of(stream: av.VideoStream) -> av.VideoCodecContext:
    """The context that decodes all of the stream, alpha included where there is a decoder of it."""
    own = stream.codec_context
    name = _WITH_ALPHA.get(own.codec.canonical_name) if has_alpha_beside(stream) else None
    if name is None:
        return own
    try:
        context = av.CodecContext.create(name, "r")
    except ValueError:  # left out of this build of FFmpeg
        return own
    assert isinstance(context, av.VideoCodecContext)
    # What the container alone says, as far as it can be told.
    context.color_range, context.colorspace = own.color_range, own.colorspace
    context.color_primaries, context.color_trc = own.color_primaries, own.color_trc
    return context
