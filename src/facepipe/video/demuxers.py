"""FFmpeg's demuxers: all are used but those that do more than to read a video from the named file.

What is refused is refused for what it does. So recorders' own formats, old formats and bare streams
are read without being named anywhere.
"""

from __future__ import annotations

from functools import cache
from types import MappingProxyType

import av

_REFERENCES = "it names other files, which facepipe does not open; give the video file itself"
_NETWORK = "it leads to a network, which facepipe does not use; give a video file"
_DEVICE = "it is a device or a script and no file; give a video file"
_HEADERLESS = "its pictures have no header, so that their size is not known; wrap them, as in mkv"
_TEXT = "it draws text; give a video file"
_STILL = "it is a still image"

#: Demuxers that are not used, and why. Of a device it is enough that it has a name on some system.
_REFUSED_FOR = {
    _REFERENCES: "hls dash concat webm_dash_manifest imf vobsub mlv image2 image2pipe alias_pix",
    _NETWORK: "rtp rtsp sap sdp",
    _DEVICE: "alsa android_camera avfoundation avisynth bktr decklink dshow dvdvideo fbdev gdigrab "
    "iec61883 jack kmsgrab lavfi libcdio libdc1394 openal oss pulse sndio v4l2 vapoursynth vfwcap "
    "video4linux2,v4l2 x11grab xcbgrab",
    _HEADERLESS: "rawvideo bitpacked v210 v210x",
    _TEXT: "tty bin xbin adf idf",
    _STILL: "brender_pix ico",
}  # fmt: skip
REFUSED = MappingProxyType(
    {name: why for why, names in _REFUSED_FOR.items() for name in names.split()}
)

#: Demuxers of bare streams whose packets have no times: frames are shown in another order than they
#: are decoded in, and nothing says when.
UNTIMED = frozenset(["h264", "hevc", "vvc"])
#: Demuxers of bare streams: FFmpeg works out the times of the others by a frame rate.
BARE = UNTIMED | {
    *("av1", "avs2", "avs3", "cavsvideo", "dirac", "dnxhd", "evc", "h261", "h263", "ingenient"),
    *("ipu", "m4v", "mjpeg", "mjpeg_2000", "mpegvideo", "obu", "vc1"),
}
#: Demuxers that find no place by its time, or give other times after they have: they are read from
#: the beginning.
UNSEEKABLE = UNTIMED | {"dhav"}
#: Demuxers whose clock counts to 2^33 ticks and goes on at 0.
WRAPPING = frozenset(["mpegts", "mpeg"])
#: Demuxers of broadcasts and recorders: where no stream has anything for long, the clock jumped. In
#: other containers the index says when each packet is shown, and a pause is meant.
JUMPING = frozenset(["mpegts", "mpeg", "flv"])
#: Demuxers that go on at any packet whose byte position is known.
SOUGHT_BY_POSITION = frozenset(["mpegts", "mpeg", "flv"])
#: Demuxers that count the frames one by one: their times cannot begin anew.
COUNTING = BARE | {"avi", "gif", "apng", "yuv4mpegpipe", "ivf", "dv", "mxf"}

#: Demuxers whose tick is a frame. One that is left out, because the one before it stays, has a tick
#: too, and counts among the frames that the header tells.
TICK_A_FRAME = frozenset(["avi"])


def refusal(demuxer: str) -> str | None:
    """Why a demuxer of that name is not used; None: it is."""
    return REFUSED.get(demuxer) or (_STILL if demuxer.endswith("_pipe") else None)


@cache
def readable() -> str:
    """The names of the demuxers that are used, as FFmpeg takes a list of them."""
    return ",".join(sorted(name for name in av.formats_available if refusal(name) is None))
