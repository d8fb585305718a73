"""Bicubic enlargement as a restorer: it adds nothing."""

from __future__ import annotations

from facepipe.datatypes import Crops, Restored
from facepipe.models.contract import Contract


class BicubicRestorer:
    """Returns the crops as they were sampled: bicubic enlargement, the base of every comparison."""

    contract = Contract(mask="square", licence="none needed")
    description = "none"

    def __call__(self, crops: Crops) -> Restored:
        return Restored(pixels=crops.pixels, parse=None)
