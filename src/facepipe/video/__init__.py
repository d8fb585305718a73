"""The only home of PyAV: films in, films out."""

from facepipe.video.compatibility.check import Fit, check_target
from facepipe.video.compatibility.differences import Loss
from facepipe.video.damage import DecodeReport
from facepipe.video.decode import decode
from facepipe.video.encode import EncodeSettings, check_encoder, encode, output_pix_fmt
from facepipe.video.muxing.mux import mux
from facepipe.video.muxing.smart_render import Copying, copyable, joining
from facepipe.video.probe import probe

__all__ = [
    "Copying",
    "DecodeReport",
    "EncodeSettings",
    "Fit",
    "Loss",
    "check_encoder",
    "check_target",
    "copyable",
    "decode",
    "encode",
    "joining",
    "mux",
    "output_pix_fmt",
    "probe",
]
