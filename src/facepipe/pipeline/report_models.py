"""Models of reports: their base, and what they say of a manifest and of an analysis."""

from __future__ import annotations

import hashlib
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)


class ReportModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WithOptionalKeys(ReportModel):
    """A model whose keys are left out of the JSON where they are None."""

    @model_serializer(mode="wrap")
    def _without_none(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in serialize(self).items() if value is not None}


class ManifestReport(WithOptionalKeys):
    """The signed manifest of the output (C2PA)."""

    embedded: bool = Field(description="whether it lies in the output file itself")
    name: str | None = Field(default=None, description="its own file, beside the output")
    sha256: str | None = Field(default=None, description="SHA-256 of that file, hexadecimal")

    @classmethod
    def of(cls, manifest: bytes | None, name: str) -> ManifestReport:
        """Of a manifest's own file of that `name`; None: it lies in the output."""
        if manifest is None:
            return cls(embedded=True)
        return cls(embedded=False, name=name, sha256=hashlib.sha256(manifest).hexdigest())


class AnalysisReport(ReportModel):
    """The analysis that was rendered, as `facepipe render` was given it."""

    name: str = Field(description="file name, without its folder")
    sha256: str = Field(description="SHA-256 of the file, hexadecimal")
