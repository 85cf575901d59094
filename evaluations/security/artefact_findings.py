"""The half of security.artefact that counts: what was found, by kind, from records that are checked first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evaluations.intake.inspection import MAX_FILES
from evaluations.intake.model_folder import MAX_REASONS
from evaluations.intake.pickle_scan import ENGINES
from evaluations.records import not_estimable
from evaluations.security.artefact_scan import LONGEST_MESSAGE, LONGEST_PATH, SCHEMA
from evaluations.spec import Coverage, EvaluationError, Metric, ModelFormat

if TYPE_CHECKING:
    from evaluations.spec import ShardState

MAX_ROWS = 5000

# What a reason of the intake says of a file. What is in none of these could not be read as what its name says.
KINDS: dict[str, frozenset[str]] = {
    "pickles": frozenset({"pickle"}),
    "hidden_code": frozenset(
        {
            *("code", "shadow", "auto_map", "code_hook", "skops_type", "onnx_domain", "onnx_operator"),
            *("template", "template_dunder", "template_import", "template_loop"),
        }
    ),
    "outside_references": frozenset(
        {
            *("symlink", "special_file", "index", "adapter", "onnx_external", "archive_link", "archive_path"),
        }
    ),
    "secrets": frozenset({"secret"}),
}
# A folder that lacks a part, or is another kind of model: it cannot be loaded, which harms nobody.
MISFIT = frozenset(
    {
        *("no_model", "many_models", "no_config", "no_tokenizer", "no_preprocessor", "no_ids", "no_kind"),
        *("wrong_format", "wrong_architecture", "protocol", "ids", "factors", "empty"),
    }
)
TITLES = {
    "pickles": "Pickle",
    "hidden_code": "Hidden code",
    "outside_references": "Points elsewhere",
    "secrets": "Credential",
    "unreadable": "Unknown or damaged",
    "misfit": "Incomplete",
    "note": "Note",
    "scan": "Scanner",
}
_CODE = re.compile(r"[a-z][a-z0-9_]{0,39}")
_GRAVE = ("malicious", "suspicious")
_SOURCES = ("reason", "note", "scan", *ENGINES)


@dataclass(frozen=True)
class Finding:
    """One row of the records. `source` is reason, note, scan or the name of a scanner."""

    source: str
    code: str
    path: str
    message: str

    @property
    def kind(self) -> str:
        if self.source == "note":
            return "note"
        if self.source != "reason":
            return "scan"
        if self.code in MISFIT:
            return "misfit"
        return next((kind for kind, codes in KINDS.items() if self.code in codes), "unreadable")


@dataclass(frozen=True)
class Found:
    files: int
    findings: tuple[Finding, ...]

    def of(self, kind: str) -> list[Finding]:
        return [finding for finding in self.findings if finding.kind == kind]

    def coverage(self) -> Coverage:
        return Coverage(attempted=self.files, scored=self.files)


def collect(states: Sequence[ShardState]) -> Found:
    """What the records say. Raises `bad_records` for what no look at a folder gives."""
    findings = []
    for state in states:
        if not state.records.schema.equals(SCHEMA):
            raise _bad("have the wrong columns")
        if state.records.num_rows > MAX_ROWS:
            raise _bad("are too many")
        for row in state.records.to_pylist():
            finding = Finding(row["source"], row["code"], row["path"], row["message"])
            if (
                None in row.values()
                or finding.source not in _SOURCES
                or not _CODE.fullmatch(finding.code)
                or len(finding.path) > LONGEST_PATH
                or len(finding.message) > LONGEST_MESSAGE
                or not (finding.path + finding.message).isprintable()
            ):
                raise _bad("hold an impossible finding")
            findings.append(finding)
    files = sum(state.counters.get("files", 0) for state in states)
    most = MAX_FILES + MAX_REASONS + 1
    if not findings or not 0 <= files <= most:  # whether a licence is named is always noted
        raise _bad("tell of no folder")
    return Found(files, tuple(findings))


def _bad(what: str) -> EvaluationError:
    return EvaluationError("bad_records", f"The records of the files {what}. Run it again.")


def measure(found: Found) -> list[Metric]:
    reasons = [finding for finding in found.findings if finding.source == "reason"]
    unsafe = {finding.path for finding in reasons if finding.kind != "misfit"}

    def metric(name: str, value: int) -> Metric:
        return Metric(name=name, value=float(value), n=found.files)

    known = any(finding.code == "licence" for finding in found.of("note"))
    return [
        metric("unsafe_files", len(unsafe)),
        *(metric(kind, len({finding.path for finding in found.of(kind)})) for kind in KINDS),
        _scanned(found),
        metric("accepted", int(not reasons)),
        metric("licence_known", int(known)),
    ]


def _scanned(found: Found) -> Metric:
    scans = found.of("scan")
    if found.of("pickles") and not any(finding.code != "not_scanned" for finding in scans):
        return not_estimable("scanner_findings", found.files, "No scanner for pickles could read them.")
    return Metric(
        name="scanner_findings",
        value=float(sum(finding.code in _GRAVE for finding in scans)),
        n=found.files,
    )


def by_kind(found: Found) -> list[tuple[str, int]]:
    """Each kind of reason with the number of its files."""
    kinds = (*KINDS, "unreadable", "misfit")
    return [(TITLES[kind], len({finding.path for finding in found.of(kind)})) for kind in kinds]


def table(found: Found) -> list[tuple[str, str, str, str]]:
    """One row a finding: the kind, its code, the file, what is wrong and how to mend it."""
    rows = []
    for finding in found.findings:
        scanner = finding.kind == "scan"
        message = f"{finding.source}: {finding.message}" if scanner else finding.message
        rows.append((TITLES[finding.kind], finding.code, finding.path, message))
    return rows


def warnings(found: Found, format_: ModelFormat) -> list[str]:
    said = []
    if len([finding for finding in found.findings if finding.source == "reason"]) >= MAX_REASONS:
        said.append(f"Looking ended at {MAX_REASONS} reasons to refuse the folder: there may be more.")
    if format_ is ModelFormat.ENDPOINT:
        said.append(
            "The model is served elsewhere: endpoint.json and what lies beside it was read, and not what the service "
            "loads."
        )
    if not any(finding.code in ("licence", "licence_unknown") for finding in found.of("note")):
        said.append("No licence is named, so that nobody may use the model.")
    return said
