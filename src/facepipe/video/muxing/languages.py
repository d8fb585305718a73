"""Languages of streams: names of ISO 639-2, of which some languages have two."""

from __future__ import annotations

import io
from fractions import Fraction
from functools import cache

import av
from av.stream import Stream

from facepipe.video.containers import MOV

#: The two names that a language has: its own, and the English one.
_TWO_NAMES = (
    *(("sqi", "alb"), ("hye", "arm"), ("eus", "baq"), ("mya", "bur"), ("zho", "chi")),
    *(("ces", "cze"), ("nld", "dut"), ("fra", "fre"), ("kat", "geo"), ("deu", "ger")),
    *(("ell", "gre"), ("isl", "ice"), ("mkd", "mac"), ("mri", "mao"), ("msa", "may")),
    *(("fas", "per"), ("ron", "rum"), ("slk", "slo"), ("bod", "tib"), ("cym", "wel")),
)


def same_language(one: str, other: str) -> bool:
    """Whether two names are of one language."""
    return one == other or any({one, other} == set(pair) for pair in _TWO_NAMES)


@cache
def mov_language(language: str) -> str:
    """A language by the one of its names that QuickTime's list has; as it is where there is none.

    FFmpeg's muxer does not say what it knows, so it is asked.
    """
    names: tuple[str, ...] = next((pair for pair in _TWO_NAMES if language in pair), ())
    return next((name for name in (language, *names) if _is_written(name)), language)


def _is_written(language: str) -> bool:
    file = io.BytesIO()
    with av.open(file, "w", format=MOV.muxer) as trial:
        stream = trial.add_mux_stream("pcm_s16le", rate=8000, time_base=Fraction(1, 8000))
        stream.metadata["language"] = language
        packet: av.Packet[Stream] = av.Packet(b"\0\0")
        packet.stream, packet.time_base = stream, Fraction(1, 8000)
        packet.pts, packet.dts, packet.duration = 0, 0, 1
        trial.mux_one(packet)
    file.seek(0)
    with av.open(file) as written:
        return written.streams[0].metadata.get("language") == language
