"""Videos that do not go on as they began: sizes, formats, shapes of pixels, colours, fields."""

from __future__ import annotations

from fractions import Fraction

from conformance.cases import DEFAULT, FFV1, VP9, X264, X265, Case, Make, refused
from conformance.format_cases import BT709, HLG, MASTERED, PQ
from media import synthetic
from media.sections import Section, captions, progressive_up_to, sectioned

_TFF, _BFF = ("setfield=tff",), ("setfield=bff",)
_SIZES = (Section(), Section(size=(144, 96)), Section(size=(192, 128)))
_SHRUNK = (Section(size=(192, 128)), Section(), Section(size=(192, 128)))
_TURNED = (Section(size=(96, 64)), Section(size=(64, 96)))
_WIDER = (Section(aspect=Fraction(16, 15)), Section(aspect=Fraction(64, 45)))
_MIXED = (Section(), Section(interlaced=True, filters=_TFF), Section())
_FIELDED = (
    Section(interlaced=True, filters=_TFF),
    Section(),
    Section(interlaced=True, filters=_BFF),
)
#: No keyframe announces them: decoding alone finds them.
_LATE_FIELDS = Section(
    frames=40, interlaced=True, filters=_TFF, options={"g": "250"}, data=progressive_up_to(20)
)
_HDR = (Section(colour=BT709), Section(pix_fmt="yuv420p10le", colour=PQ))
_LIT = (
    Section(pix_fmt="yuv420p10le", colour=PQ),
    Section(pix_fmt="yuv420p10le", colour=PQ, options={"x265-params": MASTERED}),
)
_TOLD = {"pictures": "with bars where the shape is another"}
_FORMAT = {"pixel format": "all are written as"}
_CAPTIONED = (Section(), Section(data=captions), Section())


def _video(*sections: Section, codec: str = "libx264") -> Make:
    return lambda path: sectioned(path, *sections, codec=codec)


def _grown(name: str, suffix: str, codec: str, settings: tuple[str, ...], **how: object) -> Case:
    return Case(f"grown {name}", _video(*_SIZES, codec=codec), suffix, settings=settings, **how)  # type: ignore[arg-type]


CASES = [
    *(_grown(f"h264 in {s[1:]}", s, "libx264", X264) for s in (".mp4", ".mkv", ".ts")),
    _grown("vp8 in webm", ".webm", "libvpx", VP9),
    _grown("vp9 in webm", ".webm", "libvpx-vp9", VP9),
    _grown("hevc in ts", ".ts", "libx265", X265, lossy=True),
    _grown("mpeg4 in avi to mp4", ".avi", "mpeg4", X264, target=".mp4"),
    Case("smaller for a while", _video(*_SHRUNK), ".mkv"),
    Case("smaller for a while, untouched", _video(*_SHRUNK), ".ts", settings=DEFAULT),
    Case("turned on the way vp8 in webm", _video(*_TURNED, codec="libvpx"), ".webm", settings=VP9,
         limits=_TOLD),
    Case("turned on the way in mp4", _video(*_TURNED), limits=_TOLD),
    *(Case(f"4:3 then 16:9 in {s[1:]}", _video(*_WIDER), s, shows=("aspect",))
      for s in (".ts", ".mp4", ".mkv")),
    Case("4:3 then 16:9 hevc in ts", _video(*_WIDER, codec="libx265"), ".ts", settings=X265,
         shows=("aspect",)),
    *refused(Case("4:3 then 16:9 to ffv1", _video(*_WIDER), ".mp4", settings=FFV1,
                  shows=("aspect",)),
             "mp4 cannot hold the pixel aspect ratio", aspect="lost: the pixel aspect ratio"),
    *(Case(f"progressive then interlaced in {s[1:]}", _video(*_MIXED), s, shows=("fields",))
      for s in (".ts", ".mp4", ".mkv")),
    Case("interlaced then progressive in mp4", _video(*_FIELDED), shows=("fields",)),
    Case("progressive then interlaced mpeg2", _video(*_MIXED, codec="mpeg2video"), ".ts",
         shows=("fields",)),
    Case("interlaced within a group of pictures", _video(_LATE_FIELDS), ".mp4", shows=("fields",)),
    Case("progressive then interlaced, untouched", _video(*_MIXED), ".ts", settings=DEFAULT,
         shows=("fields",)),
    *refused(Case("progressive then interlaced to hevc", _video(*_MIXED), ".ts", settings=X265,
                  shows=("fields",)),
             "mpegts cannot hold the interlacing flags", fields="lost: the interlacing flags"),
    *(Case(f"sdr then hdr hevc in {s[1:]}", _video(*_HDR, codec="libx265"), s, settings=X265,
           limits=_FORMAT, lossy=True) for s in (".mkv", ".ts")),
    *refused(Case("sdr then hdr hevc in mp4", _video(*_HDR, codec="libx265"), ".mp4", settings=X265,
                  limits=_FORMAT, lossy=True),
             "mp4 cannot hold the colour primaries",
             colour="lost: the colour primaries", pictures="lost: the colour primaries"),
    Case("sdr then hdr h264", _video(*_HDR), limits=_FORMAT),
    Case("pq then hlg hevc", _video(Section(pix_fmt="yuv420p10le", colour=PQ),
         Section(pix_fmt="yuv420p10le", colour=HLG), codec="libx265"), ".mkv", settings=X265,
         lossy=True),
    *refused(Case("sdr then hdr to ffv1", _video(*_HDR, codec="libx265"), ".mkv", settings=FFV1,
                  limits=_FORMAT),
             "matroska cannot hold the colour primaries",
             colour="lost: the colour primaries", pictures="lost: the colour primaries"),
    Case("light levels that begin late", _video(*_LIT, codec="libx265"), ".mkv", settings=X265,
         lossy=True, shows=("light",)),
    Case("alpha that begins late", _video(Section(pix_fmt="rgb24"), Section(pix_fmt="rgba",
         pictures=synthetic.shape), codec="png"), ".mov", ".mkv", FFV1, limits=_FORMAT),
    *(Case(f"captions that begin late in {s[1:]}", _video(*_CAPTIONED), s, shows=("captions",))
      for s in (".mp4", ".mkv", ".ts")),
    Case("captions that begin late in mpeg2", _video(*_CAPTIONED, codec="mpeg2video"), ".ts",
         shows=("captions",)),
    *refused(Case("captions that begin late to vp9", _video(*_CAPTIONED), ".mkv", ".webm", VP9,
                  shows=("captions",)),
             "webm cannot hold the closed captions", captions="lost: the closed captions"),
]  # fmt: skip
