"""Everything beside the pictures: sounds, captions, chapters, files, data, tags, more pictures."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from av.stream import Disposition

from conformance import clips
from conformance.cases import FFV1, VP9, Case, Make, refused
from conformance.clips import Attached, Captions, Cover, Data, Extra, Marks, Second, Sound, assemble
from media import synthetic
from media.patches import measured

_VIDEO = partial(synthetic.video, frames=25)
_VP9 = {"cpu-used": "8", "deadline": "realtime", "crf": "10", "b": "0"}
_VP9_VIDEO = partial(synthetic.video, codec="libvpx-vp9", options=_VP9, frames=25)
_AVI_VIDEO = partial(
    synthetic.video,
    codec="mpeg4",
    pts=range(25),
    time_base=Fraction(1, 25),
    options={"b": "4000000"},
)
_STEREO: dict[str, Any] = {"rate": 48000, "layout": "stereo"}
_SURROUND: dict[str, Any] = {"rate": 48000, "layout": "5.1"}
_PGS = Captions("hdmv_pgs_subtitle", clips.pgs(96, 64), "eng")
_PNG = Attached("cover.png", "image/png", clips.still("png"))
_CHAPTERS = Marks(chapters=[(0.0, 0.4, "Beginning"), (0.4, 1.0, "Ende - schön")])
_TAGS = {
    "title": "A video - ein Video",
    "artist": "Somebody",
    "comment": "first cut",
    "date": "1999",
    "creation_time": "2001-02-03T04:05:06.000000Z",
}
_OWN = {"my_own_key": "what nobody else has"}
_ALL_FLAGS = Disposition.default | Disposition.original
_DEAF = Disposition.hearing_impaired
_HOMELESS = "fits no container and is left out"


def _with(*extras: Extra, video: Make = _VIDEO, **how: Any) -> Make:
    return lambda path: assemble(path, video, *extras, **how)


def _heard(name: str, suffix: str, *sounds: Sound, target: str | None = None) -> Case:
    where = suffix[1:] + (f" to {target[1:]}" if target else "")
    return Case(f"{name} in {where}", _with(*sounds), suffix, target, shows=("streams", "sync"))


def _read(name: str, suffix: str, *extras: Extra, **how: Any) -> Case:
    return Case(f"{name} in {suffix[1:]}", _with(*extras), suffix, shows=("streams",), **how)


def _previewed(name: str, suffix: str, *sounds: Sound, **how: Any) -> Case:
    """A small copy of the pictures ahead of them, as cameras write it."""
    small = partial(synthetic.video, frames=25, size=(48, 32))
    make = _with(*sounds, before=(Second(small),), **how)
    return Case(f"preview ahead of the video in {name}", make, suffix, shows=("streams", "sync"))


def _in_transport(*extras: Extra) -> Make:
    return _with(*extras, options={"mpegts_copyts": "1"}, shift=1.0)


def _left_out(case: Case, muxer: str, *beside: str) -> list[Case]:
    words = "left out: stream 1"
    lost = dict.fromkeys(("streams", "dispositions", *beside), words)
    return refused(case, f"{muxer} cannot hold stream 1", **lost)


def _in_avi(sound: Sound) -> Make:
    return _with(sound, video=_AVI_VIDEO, through=".avi")


def _sidelong(path: Path) -> Path:
    return synthetic.video(path, frames=25, codec="libx265")


SOUNDS = [
    _heard("aac", ".mp4", Sound()),
    _heard("aac", ".mkv", Sound()),
    _heard("aac", ".mov", Sound()),
    _heard("aac", ".mp4", Sound(), target=".mkv"),
    _heard("aac", ".mkv", Sound(), target=".mp4"),
    _heard("mp3", ".mp4", Sound("libmp3lame", **_STEREO)),
    _heard("mp3", ".mkv", Sound("libmp3lame", **_STEREO)),
    _heard("ac3 5.1", ".mp4", Sound("ac3", **_SURROUND)),
    _heard("ac3 5.1", ".mkv", Sound("ac3", **_SURROUND)),
    _heard("eac3 5.1", ".mkv", Sound("eac3", **_SURROUND)),
    _heard("opus", ".mkv", Sound("libopus", **_STEREO)),
    _heard("opus", ".mp4", Sound("libopus", **_STEREO)),
    Case("opus in webm", _with(Sound("libopus", **_STEREO), video=_VP9_VIDEO), ".webm",
         settings=VP9, shows=("streams", "sync")),
    Case("vorbis in webm", _with(Sound("vorbis", **_STEREO), video=_VP9_VIDEO), ".webm",
         settings=VP9, shows=("streams", "sync")),
    _heard("flac", ".mkv", Sound("flac")),
    _heard("flac", ".mp4", Sound("flac")),
    _heard("alac", ".mov", Sound("alac")),
    _heard("pcm", ".mov", Sound("pcm_s16le")),
    _heard("pcm 24 bit", ".mkv", Sound("pcm_s24le", **_STEREO)),
    _heard("pcm big endian", ".mov", Sound("pcm_s24be", **_STEREO)),
    Case("pcm in avi to mkv", _in_avi(Sound("pcm_s16le")), ".avi", ".mkv", shows=("streams",)),
    Case("pcm in avi to mp4", _in_avi(Sound("pcm_s16le")), ".avi", ".mp4", shows=("streams",)),
    *(
        Case(f"{codec} in avi to {target[1:]}", _in_avi(Sound(codec)), ".avi", target,
             shows=("streams",), limits={"streams": "becomes pcm_s16le"})
        for codec in ("pcm_alaw", "adpcm_ima_wav") for target in (".mkv", ".mov", ".nut")
        if (codec, target) not in (("pcm_alaw", ".mov"), ("adpcm_ima_wav", ".nut"))
    ),
    Case("mp3 in avi to mkv", _in_avi(Sound("libmp3lame", **_STEREO)), ".avi", ".mkv",
         shows=("streams",)),
    Case("aac in flv to mp4", _with(Sound("aac", **_STEREO)), ".flv", ".mp4", shows=("streams",)),
    Case("aac in ts", _in_transport(Sound(start=1.0)), ".ts", shows=("streams", "sync")),
    Case("mp2 in ts", _in_transport(Sound("mp2", start=1.0, **_STEREO)), ".ts",
         shows=("streams", "sync")),
    Case("ac3 in ts", _in_transport(Sound("ac3", start=1.0, **_STEREO)), ".ts",
         shows=("streams", "sync")),
    Case("aac in ts to mp4", _in_transport(Sound(start=1.0)), ".ts", ".mp4",
         shows=("streams", "sync")),
    Case("ac3 in ts to mkv", _in_transport(Sound("ac3", start=1.0, **_STEREO)), ".ts", ".mkv",
         shows=("streams", "sync")),
    *_left_out(Case("flac to ts", _with(Sound("flac")), ".mkv", ".ts"), "mpegts"),
    *_left_out(Case("aac to webm", _with(Sound(), video=_VP9_VIDEO), ".mkv", ".webm", VP9), "webm"),
    _heard("three sounds", ".mp4", Sound(language="eng"), Sound("ac3", language="deu", **_STEREO),
           Sound(language="fra", title="Commentary")),
    _heard("six sounds", ".mkv", *(Sound(language=x) for x in
                                   ("eng", "deu", "fra", "ita", "spa", "jpn"))),
    _heard("late sound", ".mp4", Sound(start=0.5, seconds=0.5)),
    _heard("late sound", ".mkv", Sound("flac", start=0.5, seconds=0.5)),
    _heard("late sound", ".mov", Sound("pcm_s16le", start=0.5, seconds=0.5)),
    _heard("sound longer than the pictures", ".mp4", Sound(seconds=3.0)),
    _heard("sound longer than the pictures", ".mkv", Sound(seconds=3.0)),
    _heard("sound shorter than the pictures", ".mp4", Sound(seconds=0.3)),
    Case("sound ahead of the pictures in the file", _with(before=(Sound(),)), ".mp4",
         shows=("streams", "sync")),
    Case("sound ahead of the pictures in ts", _with(before=(Sound(start=1.0),), shift=1.0,
         options={"mpegts_copyts": "1"}), ".ts", shows=("streams", "sync")),
    Case("no sound", _VIDEO),
]  # fmt: skip

CAPTIONS = [
    _read("mov_text", ".mp4", Captions("mov_text", language="deu")),
    _read("mov_text", ".mov", Captions("mov_text", language="deu")),
    _read("srt", ".mkv", Captions("subrip", language="deu")),
    _read("ass", ".mkv", Captions("ass", language="jpn"), Attached()),
    _read("pgs", ".mkv", _PGS),
    _read("webvtt", ".mkv", Captions("webvtt")),
    Case("webvtt in webm", _with(Captions("webvtt"), video=_VP9_VIDEO), ".webm", settings=VP9,
         shows=("streams",)),
    Case("pgs in m2ts", _in_transport(_PGS), ".m2ts", shows=("streams",)),
    Case("dvb subtitles in ts", _in_transport(Captions("dvbsub", [
        (200, 0, b"\x0f\x10\x00\x01\x00\x02\x1e\x00\x0f\x80\x00\x01\x00\x00")])), ".ts",
        shows=("streams",)),
    Case("srt to mp4", _with(Captions(language="deu")), ".mkv", ".mp4",
         limits={"streams": "becomes mov_text"}),
    Case("mov_text to mkv", _with(Captions("mov_text", language="deu")), ".mp4", ".mkv",
         limits={"streams": "becomes subrip"}),
    Case("srt to webm", _with(Captions(), video=_VP9_VIDEO), ".mkv", ".webm", VP9,
         limits={"streams": "becomes webvtt"}),
    *refused(Case("ass to mp4", _with(Captions("ass")), ".mkv", ".mp4"),
             "mp4 cannot hold the styles and places of stream 1", streams="becomes mov_text"),
    *_left_out(Case("pgs to mp4", _with(_PGS), ".mkv", ".mp4"), "mp4", "languages"),
    *_left_out(Case("srt to ts", _with(Captions()), ".mkv", ".ts"), "mpegts"),
    _read("captions for the deaf and forced ones", ".mkv",
          Captions(language="eng", disposition=_DEAF, title="SDH"),
          Captions(language="deu", disposition=Disposition.forced)),
]  # fmt: skip

REST = [
    *(Case(f"chapters in {s[1:]}", _with(Sound(), marks=_CHAPTERS), s, shows=("chapters",))
      for s in (".mp4", ".mov", ".mkv")),
    Case("chapters in webm", _with(video=_VP9_VIDEO, marks=_CHAPTERS), ".webm", settings=VP9,
         shows=("chapters",)),
    Case("chapters mkv to mp4", _with(marks=_CHAPTERS), ".mkv", ".mp4", shows=("chapters",)),
    Case("chapters mp4 to mkv", _with(marks=_CHAPTERS), ".mp4", ".mkv", shows=("chapters",)),
    *refused(Case("chapters to ts", _with(marks=_CHAPTERS), ".mp4", ".ts"),
             "mpegts cannot hold the chapters", chapters="lost: the chapters"),
    Case("font in mkv", _with(Attached()), ".mkv", shows=("attachments",)),
    Case("two files in mkv", _with(Attached(), Attached("a b.txt", "text/plain", b"words")),
         ".mkv", shows=("attachments",)),
    *refused(Case("font to mp4", _with(Attached()), ".mkv", ".mp4"), "mp4 cannot hold stream 1",
             attachments="left out: stream 1"),
    Case("cover in mp4", _with(Sound(), Cover()), shows=("attachments",)),
    *refused(Case("cover mp4 to mov", _with(Cover()), ".mp4", ".mov"), "mov cannot hold stream 1",
             attachments="left out: stream 1"),
    Case("cover in mkv", _with(Sound(), _PNG), ".mkv", shows=("attachments",)),
    Case("cover mp4 to mkv", _with(Cover()), ".mp4", ".mkv", shows=("attachments",)),
    Case("cover mkv to mp4", _with(_PNG), ".mkv", ".mp4", shows=("attachments",)),
    Case("cover ahead of the pictures", _with(before=(Cover(),)), shows=("attachments",)),
    Case("timecode in mov", _with(Sound("pcm_s16le"), marks=Marks(
        video={"timecode": "01:02:03:04"})), ".mov", shows=("streams",)),
    Case("timecode mov to mp4", _with(Sound(), marks=Marks(video={"timecode": "01:02:03:04"})),
         ".mov", ".mp4", shows=("streams",)),
    Case("timecode in mov to mkv", _with(Sound("pcm_s16le"), marks=Marks(
        video={"timecode": "01:02:03:04"})), ".mov", ".mkv",
        limits=dict.fromkeys(("streams", "languages", "dispositions"), "becomes the metadata")),
    Case("klv in ts", _in_transport(Data("klv")), ".ts", shows=("streams",)),
    *_left_out(Case("klv in ts to mp4", _in_transport(Data("klv")), ".ts", ".mp4"), "mp4"),
    Case("id3 in ts", _in_transport(Data("timed_id3", [(1200, 0, b"ID3\x04\0\0\0\0\0\0")])), ".ts",
         shows=("streams",)),
    Case("measurements in mp4", partial(measured, make=_with(Sound(), Captions("mov_text"))),
         limits=dict.fromkeys(("streams", "languages", "dispositions"), _HOMELESS),
         shows=("streams",)),
    Case("tags in mp4", _with(Sound(title="Tone"), marks=Marks(_TAGS | _OWN))),
    Case("tags in mov", _with(Sound(), marks=Marks(_TAGS | _OWN)), ".mov"),
    Case("tags in mkv", _with(Sound(title="Tone"), marks=Marks(_TAGS | _OWN, {"title": "Shots"})),
         ".mkv"),
    Case("tags mkv to mp4", _with(marks=Marks(_TAGS | _OWN)), ".mkv", ".mp4"),
    Case("tags mp4 to mkv", _with(marks=Marks(_TAGS | _OWN)), ".mp4", ".mkv"),
    Case("tags in ts", _in_transport(Sound(language="deu", start=1.0)), ".ts",
         shows=("languages",)),
    Case("languages in mp4", _with(Sound(language="eng"), Sound(language="deu"),
         marks=Marks(video={"language": "jpn"})), shows=("languages",)),
    Case("languages in mkv", _with(Sound(language="eng"), Sound(language="deu"),
         marks=Marks(video={"language": "jpn"})), ".mkv", shows=("languages",)),
    Case("languages mkv to mp4", _with(Sound(language="eng"), Sound(language="deu")), ".mkv",
         ".mp4", shows=("languages",)),
    Case("dispositions in mp4", _with(Sound(), Sound(disposition=Disposition.default)),
         shows=("dispositions",)),
    Case("dispositions in mkv", _with(Sound(disposition=Disposition.comment),
         Sound(disposition=_ALL_FLAGS), Captions(disposition=Disposition.forced)), ".mkv",
         shows=("dispositions",)),
    Case("two video streams in mkv", _with(Sound(), Second(_sidelong)), ".mkv",
         shows=("streams", "sync")),
    Case("two video streams in mp4", _with(Second(_sidelong), Sound()), shows=("streams", "sync")),
    Case("two video streams in ts", _in_transport(Second(_VIDEO), Sound(start=1.0)), ".ts",
         shows=("streams",)),
    _previewed("mp4", ".mp4", Sound()),
    _previewed("mov", ".mov", Sound()),
    _previewed("mkv", ".mkv", Sound("flac")),
    _previewed("ts", ".ts", Sound(start=1.0), shift=1.0, options={"mpegts_copyts": "1"}),
    Case("all at once in mkv", _with(Sound("flac", language="eng"), Sound("ac3", **_STEREO),
         Captions(language="deu"), Captions("ass"), _PGS, Second(_VIDEO), Attached(), _PNG,
         marks=Marks(_TAGS, {"language": "jpn"}, 0, _CHAPTERS.chapters)), ".mkv",
         shows=("streams", "sync", "chapters", "attachments", "languages")),
    Case("all at once in mp4", _with(Sound(language="eng"), Sound("ac3", **_STEREO),
         Captions("mov_text", language="deu"), Cover(),
         marks=Marks(_TAGS, {"language": "jpn"}, 0, _CHAPTERS.chapters)),
         shows=("streams", "sync", "chapters", "attachments", "languages")),
    Case("ffv1 and flac in mkv", _with(Sound("flac"), video=partial(
        synthetic.video, codec="ffv1", frames=12)), ".mkv", settings=FFV1, shows=("streams",)),
]  # fmt: skip
