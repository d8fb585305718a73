"""Films that one can see through: WebM keeps alpha as a second picture beside the first."""

from __future__ import annotations

import av

#: Decoders that read the second picture; FFmpeg's own leave it.
_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


def keeps_alpha_beside(codec: str) -> bool:
    """Whether packets of that codec have their alpha in side data."""
    return codec in _DECODERS


def alpha_decoder(stream: av.VideoStream) -> av.VideoCodecContext | None:
    """A decoder of both pictures of a stream that says it has alpha so; None for others."""
    name = _DECODERS.get(stream.codec_context.codec.canonical_name)
    says = {key.lower(): value for key, value in stream.metadata.items()}
    if name is None or says.get("alpha_mode") != "1":
        return None
    try:
        decoder = av.CodecContext.create(name, "r")
    except ValueError:  # built without libvpx
        return None
    assert isinstance(decoder, av.VideoCodecContext)
    tags = stream.codec_context
    # What the container says of colours: the codec itself has no word for them.
    decoder.color_range, decoder.colorspace = tags.color_range, tags.colorspace
    decoder.color_primaries, decoder.color_trc = tags.color_primaries, tags.color_trc
    return decoder
