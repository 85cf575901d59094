"""security.artefact: what the files of a model could do to whoever loads them. Nothing is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from evaluations.spec import (
    Direction,
    EvaluationResult,
    MetricSpec,
    Modality,
    Params,
    Plan,
    Requirements,
    Shard,
    ShardState,
)

if TYPE_CHECKING:
    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.files import Files

COUNTED = "every file is read, and counted once, under the first thing found in it; so without an interval"
OWASP = "OWASP Top 10 for LLM Applications 2025, LLM03"


def _count(name: str, title: str, formula: str, reference: str, plain: str) -> MetricSpec:
    return MetricSpec(
        name=name,
        title=title,
        unit="count",
        direction=Direction.LOWER,
        formula=f"{formula}; {COUNTED}",
        reference=reference,
        plain=plain,
    )


class ArtefactParams(Params):
    """Nothing can be set: every file is read."""


class Artefact:
    """The intake of the registry, once more and with the rules of today; scanners say what a pickle would do."""

    name: ClassVar[str] = "security.artefact"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Files of the model"
    question: ClassVar[str] = "Could the model's files harm whoever loads them?"
    Params: ClassVar[type[Params]] = ArtefactParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=tuple(Modality), access=0, roles=(), files=True
    )
    tags: ClassVar[tuple[str, ...]] = (
        "sec.artifact_scan",
        "sec.supply_chain",
        "owasp-llm03",
        "owasp-llm04",
    )
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        _count(
            "unsafe_files",
            "Unsafe files",
            "files that hold or ask for code, point outside the folder, hold a credential, or cannot be read as what "
            "their name says; the folder itself counts where it is at fault",
            OWASP,
            "{value} files should not be loaded by anybody.",
        ),
        _count(
            "pickles",
            "Pickled files",
            "files that are pickles, or archives of them, whatever their name says",
            "Python library reference, pickle",
            "{value} files run code of their author when they are loaded.",
        ),
        _count(
            "hidden_code",
            "Files with hidden code",
            "programs, configurations that ask for code (auto_map), templates that do more than write a prompt, types "
            "and operators that nobody reviewed, names that stand in for a library's",
            "Zhu et al. 2025, My Model is Malware to You, arXiv 2504.07495",
            "{value} files bring code with them, or ask for some.",
        ),
        _count(
            "outside_references",
            "Files that point elsewhere",
            "links, devices, and files that name others outside the folder or another model",
            "MITRE CWE-22, CWE-59",
            "{value} files point to what is not part of the model.",
        ),
        _count(
            "secrets",
            "Files with a credential",
            "texts and configurations with a token, key or password in an address",
            "MITRE CWE-798",
            "{value} files hold what looks like a credential.",
        ),
        MetricSpec(
            name="scanner_findings",
            title="What scanners read out of the pickles",
            unit="count",
            direction=Direction.LOWER,
            formula="imports and calls that fickling, modelaudit-picklescan and picklescan call suspicious or "
            "malicious, over the first five pickles, each engine by itself, 20 at most a file; 0 where there is no "
            "pickle. For people to read: a pickle is refused whatever they say",
            reference="https://github.com/trailofbits/fickling; https://github.com/mmaitre314/picklescan",
            plain="The scanners object to {value} things that the pickles would do.",
        ),
        MetricSpec(
            name="accepted",
            title="Accepted by the intake",
            unit="score",
            direction=Direction.HIGHER,
            formula="1 where the folder is exactly one model of the kind it is registered as, in an allowed format, "
            "with no file refused; else 0",
            reference="—",
            plain="{value}, where 1 says that the files are accepted and 0 that they are refused.",
        ),
        MetricSpec(
            name="licence_known",
            title="Licence named",
            unit="score",
            direction=Direction.HIGHER,
            formula="1 where README, LICENSE or config.json name a licence that is in SPDX's list; else 0",
            reference="https://spdx.org/licenses/",
            plain="{value}, where 1 says that the files name a known licence and 0 that they do not.",
        ),
    )

    def plan(self, data_rows: int, params: ArtefactParams) -> Plan:
        return Plan(shards=(Shard(0, 0, 1),), expected_queries=0)

    def run_shard(
        self, model: Files, data: Dataset, params: ArtefactParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations.security import artefact_scan

        return artefact_scan.scan_shard(model, shard)

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: ArtefactParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations.charts.artefacts import findings_by_kind
        from evaluations.security import artefact_findings

        found = artefact_findings.collect(states)
        return ctx.result(
            self,
            params,
            metrics=artefact_findings.measure(found),
            charts=findings_by_kind(artefact_findings.by_kind(found), artefact_findings.table(found)),
            coverage=found.coverage(),
            warnings=artefact_findings.warnings(found, ctx.request.model.format),
        )


EVALUATION = Artefact()
