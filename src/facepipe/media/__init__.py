"""The only home of PyAV: films in, films out."""

from facepipe.media.damage import DecodeReport
from facepipe.media.decode import decode
from facepipe.media.differences import Loss
from facepipe.media.encode import EncodeSettings, check_encoder, encode, output_pix_fmt
from facepipe.media.joining import Copying, copyable, joining
from facepipe.media.losses import Fit, check_target
from facepipe.media.mux import mux
from facepipe.media.probe import probe

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
