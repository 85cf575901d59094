"""What an upload announces before its bytes arrive: the files with their digests, and what the version will say."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
)

from auditor.core.canonical import canonical_json
from auditor.core.errors import DomainError, Problem
from auditor.registry.egress import destination
from evaluations.intake import inspection, names
from evaluations.spec import Role

VERSION = r"^[0-9A-Za-z][0-9A-Za-z._+-]{0,39}$"
MAX_PROVENANCE = 64 * 1024

Label = Annotated[str, StringConstraints(min_length=1, max_length=120)]
Language = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,3}$")]
Destination = Annotated[str, StringConstraints(max_length=300), AfterValidator(destination)]
Reference = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,59}@[0-9A-Za-z][0-9A-Za-z._+-]{0,39}$")
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FileEntry(_Strict):
    """One file: its place, its size in bytes, and the hex SHA-256 that it must have on arrival."""

    path: str
    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    @field_validator("path")
    @classmethod
    def acceptable(cls, path: str) -> str:
        if fault := names.fault(path):
            raise ValueError(fault)
        return path


def _distinct(files: list[FileEntry]) -> list[FileEntry]:
    if clashing := names.clashes(file.path for file in files):
        raise ValueError(
            f"{clashing[0]!r} has the same name as another file but for case. Rename one of them."
        )
    return files


class ModelManifest(_Strict):
    """The upload of a model version."""

    version: str = Field(pattern=VERSION)
    files: list[FileEntry] = Field(min_length=1, max_length=inspection.MAX_FILES)
    labels: list[Label] = Field(default=[], max_length=1000)
    provenance: dict[str, Any] = {}
    parent: Reference | None = None

    distinct_files = field_validator("files")(_distinct)

    @field_validator("labels")
    @classmethod
    def distinct_labels(cls, labels: list[str]) -> list[str]:
        if len(set(labels)) != len(labels):
            raise ValueError("A class is named twice. Name one per output, in output order.")
        return labels

    @field_validator("provenance")
    @classmethod
    def bounded(cls, provenance: dict[str, Any]) -> dict[str, Any]:
        if len(canonical_json(provenance)) > MAX_PROVENANCE:
            raise ValueError(f"The provenance has at most {MAX_PROVENANCE // 1024} KiB. Shorten it.")
        return provenance


class DatasetManifest(_Strict):
    """The upload of a data set version: one parquet, csv or jsonl file, told by its ending."""

    version: str = Field(pattern=VERSION)
    files: list[FileEntry] = Field(min_length=1, max_length=1)
    roles: dict[str, Role] = Field(min_length=1, max_length=5000)
    favourable_label: str = Field(default="", max_length=120)
    languages: list[Language] = Field(default=[], max_length=50)
    held_out: bool = False
    egress: list[Destination] = Field(default=[], max_length=20)  # who may be shown its rows; [] = nobody

    @field_validator("files")
    @classmethod
    def known_format(cls, files: list[FileEntry]) -> list[FileEntry]:
        if file_format(files[0].path) is None:
            raise ValueError("A data set is one .parquet, .csv or .jsonl file. Convert it, and name it so.")
        return files


def file_format(path: str) -> Literal["parquet", "csv", "jsonl"] | None:
    """The table format that a file name claims."""
    formats: tuple[Literal["parquet", "csv", "jsonl"], ...] = ("parquet", "csv", "jsonl")
    return next((f for f in formats if path.lower().endswith(f".{f}")), None)


def parse(kind: str, manifest: dict[str, Any]) -> ModelManifest | DatasetManifest:
    """The validated manifest. Raises `invalid_manifest` with a JSON pointer to each fault."""
    try:
        return (ModelManifest if kind == "model" else DatasetManifest).model_validate(manifest)
    except ValidationError as error:
        problems = [
            Problem(
                "/manifest/" + "/".join(str(part) for part in e["loc"]),
                e["msg"].removeprefix("Value error, "),
            )
            for e in error.errors()
        ]
        raise DomainError(
            "invalid_manifest",
            f"The manifest is not valid: {problems[0].detail} ({problems[0].pointer})",
            errors=problems,
        ) from error
    except (RecursionError, ValueError) as error:  # provenance nested too deeply, or NaN in it
        raise DomainError(
            "invalid_manifest", f"The manifest cannot be stored: {str(error)[:200]}."
        ) from error
