"""Reading and writing of videos; the only room that uses PyAV (besides training data)."""

from facepipe.video.compatibility.check import Compatibility, check_target
from facepipe.video.compatibility.differences import Incompatibility
from facepipe.video.damage import DecodeReport
from facepipe.video.decode import decode
from facepipe.video.encode import EncodeSettings, check_encoder, encode, output_pix_fmt
from facepipe.video.muxing.extra_boxes import may_move
from facepipe.video.muxing.fragments import is_to_be_fragmented
from facepipe.video.muxing.mux import mux
from facepipe.video.muxing.smart_render import SmartRender, joinable_settings, smart_render_of
from facepipe.video.muxing.xmp_boxes import told_source_type
from facepipe.video.probe import probe

__all__ = [
    "SmartRender",
    "DecodeReport",
    "EncodeSettings",
    "Compatibility",
    "Incompatibility",
    "check_encoder",
    "check_target",
    "decode",
    "encode",
    "is_to_be_fragmented",
    "joinable_settings",
    "may_move",
    "mux",
    "output_pix_fmt",
    "probe",
    "smart_render_of",
    "told_source_type",
]
