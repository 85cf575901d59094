"""Audits as they stand after their runs, made through the services without running a model; figures are examples."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from auditor.accounts.models import Team, User
from auditor.accounts.services import principal_of
from auditor.audits import leases, services
from auditor.audits.models import Audit, EvaluationRun, RunStatus
from auditor.core import store
from auditor.policies.models import PolicyVersion
from auditor.registry.models import Dataset, DatasetVersion, Model, ModelVersion
from auditor.reports import services as reports
from auditor.reports.models import ReportCard
from evaluations import charts, stats
from evaluations.quality.calibration_error import Bins
from evaluations.spec import (
    Chart,
    Cost,
    Coverage,
    EvaluationResult,
    Example,
    Heat,
    Interval,
    Metric,
    MetricStatus,
    Picture,
)
from tests import png_files

WORKER = "worker-1:4711"
SANDBOX = {
    "summary": "full",
    "filesystem": "landlock-7",
    "network": "netns",
    "syscalls": "seccomp",
    "signals": "landlock",
    "account": "uid 65534",
}


@dataclass(frozen=True)
class Found:
    """What a run is to have found."""

    metrics: tuple[Metric, ...]
    charts: tuple[Chart, ...] = ()
    examples: tuple[Example, ...] = ()
    warnings: tuple[str, ...] = ()
    n: int = 1000
    attacks: bytes = b""  # Parquet, as an evaluation leaves it


def metric(
    name: str,
    low: float | None,
    value: float | None,
    high: float | None,
    n: int,
    slice_: str = "all",
    method: str = "wilson",
) -> Metric:
    if value is None:
        return Metric(
            name=name,
            value=None,
            n=n,
            slice=slice_,
            status=MetricStatus.SUPPRESSED,
            reason=f"Only {n} examples.",
        )
    interval = Interval(low=low, high=high, method=method) if low is not None and high is not None else None
    return Metric(name=name, value=value, interval=interval, n=n, slice=slice_)


def rate(name: str, hits: int, n: int, slice_: str) -> Metric:
    return Metric(name=name, value=hits / n, interval=stats.wilson(hits, n), n=n, slice=slice_)


def a_model(team: Team, owner: User, name: str = "income", **changes: str) -> Model:
    facts: dict[str, object] = {
        "modality": "tabular",
        "description": "Estimates whether a person's yearly income exceeds 50,000 dollars.",
        "risk_tier": "high",
        "intended_use": "Ranking survey answers for follow-up, with a person deciding.",
        "out_of_scope_use": "Any decision on credit, work or housing.",
        **changes,
    }
    return Model.objects.create(name=name, team=team, owner=owner, **facts)


def a_version(model: Model, version: str = "1.0.0", digest: str = "9f2c") -> ModelVersion:
    return ModelVersion.objects.create(
        model=model,
        version=version,
        digest="sha256:" + digest * 16,
        format="skops",
        size=1_482_101,
        files=[{"path": "model.skops", "size": 1_482_101, "sha256": digest * 16}],
        labels=["<=50K", ">50K"],
        provenance={"commit": "1f3a9c"},
        submitted_by=model.owner,
    )


def adult_data(team: Team, who: User, *, held_out: bool = True) -> DatasetVersion:
    dataset = Dataset.objects.create(
        name="adult",
        team=team,
        description="UCI Adult, test part.",
        licence="CC BY 4.0",
        source="UCI Machine Learning Repository",
    )
    roles = {
        "age": "input",
        "education": "input",
        "hours_per_week": "input",
        "occupation": "input",
        "sex": "sensitive",
        "race": "sensitive",
        "income": "target",
        "fnlwgt": "ignore",
    }
    return DatasetVersion.objects.create(
        dataset=dataset,
        version="2026.1",
        digest="sha256:" + "71ab" * 16,
        format="csv",
        size=2_003_131,
        rows=16_281,
        roles=roles,
        favourable_label=">50K",
        held_out=held_out,
        submitted_by=who,
        summary={
            "classes": {"<=50K": 12_435, ">50K": 3_846},
            "groups": {
                "sex": {"Male": 10_860, "Female": 5_421},
                "race": {
                    "White": 13_946,
                    "Black": 1_561,
                    "Asian-Pac-Islander": 480,
                    "Amer-Indian-Eskimo": 159,
                    "Other": 135,
                },
            },
        },
    )


def text_data(team: Team, who: User) -> DatasetVersion:
    dataset = Dataset.objects.create(
        name="sentences", team=team, description="Pang & Lee movie sentences.", licence="research use"
    )
    return DatasetVersion.objects.create(
        dataset=dataset,
        version="1",
        digest="sha256:" + "0be4" * 16,
        format="csv",
        size=131_072,
        rows=1_000,
        roles={"text": "input", "label": "target"},
        held_out=False,
        languages=["en"],
        submitted_by=who,
        summary={"classes": {"negative": 500, "positive": 500}, "groups": {}},
    )


def quality(low: float, value: float, high: float, n: int = 16_281) -> Found:
    truth = np.repeat([0, 1], [12_435, 3_846]) if n == 16_281 else np.repeat([0, 1], n // 2)
    answer = truth.copy()
    answer[:: max(2, round(1 / (1 - value)))] ^= 1
    return Found(
        (
            metric("balanced_accuracy", low, value, high, n, method="mover_wilson"),
            metric("accuracy", value + 0.04, value + 0.05, value + 0.06, n),
            metric("auroc", 0.9, 0.91, 0.92, n, method="newcombe_auc"),
        ),
        tuple(charts.confusion(truth, answer, ["<=50K", ">50K"])),
        n=n,
    )


def calibration(low: float, value: float, high: float, n: int = 16_281) -> Found:
    counts = np.array([410, 520, 610, 790, 980, 1310, 2240, 4100, 5321])
    confidence = np.linspace(0.52, 0.98, 9)
    right = np.clip(
        confidence + np.array([0.01, -0.02, 0.015, -0.01, 0.02, -0.015, 0.01, 0.004, -0.003]), 0, 1
    )
    bins = Bins(counts=counts, right=counts * right, confidence=counts * confidence)
    return Found(
        (metric("ece_debiased", low, value, high, n, method="ece_inversion"),),
        tuple(charts.reliability(bins)),
        n=n,
    )


def groups(ratio_sex: tuple[float, float, float], ratio_race: tuple[float, float, float] | None) -> Found:
    by_sex = [
        rate("selection_rate", 447, 5_421, "sex=Female"),
        rate("selection_rate", 2_782, 10_860, "sex=Male"),
    ]
    by_race = [
        rate("selection_rate", 2_930, 13_946, "race=White"),
        rate("selection_rate", 152, 1_561, "race=Black"),
        rate("selection_rate", 124, 480, "race=Asian-Pac-Islander"),
        rate("selection_rate", 14, 159, "race=Amer-Indian-Eskimo"),
        metric("selection_rate", None, None, None, 8, "race=Other"),
    ]
    positives = [
        rate("tpr", 336, 590, "sex=Female"),
        rate("tpr", 2_156, 3_256, "sex=Male"),
    ]
    ratios = [metric("selection_rate_ratio", *ratio_sex, 16_281, "sex", "pairwise_mover_wilson")]
    ratios.append(
        metric("selection_rate_ratio", *ratio_race, 16_281, "race", "pairwise_mover_wilson")
        if ratio_race
        else metric("selection_rate_ratio", None, None, None, 8, "race")
    )
    return Found(
        (*ratios, *by_sex, *positives, *by_race),
        tuple(
            charts.group_bars("selection_rate_1", "Selection rate by sex", [(m.slice[4:], m) for m in by_sex])
        ),
        warnings=("The group Other of race has 8 examples; its rates are not shown.",),
        n=16_281,
    )


def misspelling() -> Found:
    curve = [
        (q, *(lambda i, p: (p, i.low, i.high))(stats.wilson(h, 81), h / 81))
        for q, h in ((5, 4), (10, 19), (15, 33), (20, 46), (30, 58), (40, 63))
    ]
    return Found(
        (
            metric("original_accuracy", 0.722, 0.81, 0.875, 100),
            metric("accuracy_under_attack", 0.117, 0.18, 0.267, 100),
            metric("attack_success_rate", 0.676, 0.778, 0.855, 81),
            metric("queries", 16.2, 18.9, 21.7, 81, method="percentile_bootstrap"),
        ),
        tuple(charts.success_by_queries(curve)),
        (
            Example(
                id="sentence-17",
                kind="attack_success",
                before="a thoughtful , provocative , insistently humanizing film .",
                after="a thoughful , provcative , insistently humanizing film .",
                changed=((1, 1), (3, 3)),
                facts={
                    "true_label": "positive",
                    "answer_before": "positive",
                    "probability_before": 0.9812,
                    "answer_after": "negative",
                    "probability_after": 0.6127,
                    "queries": 14,
                },
            ),
            Example(
                id="sentence-41",
                kind="attack_success",
                before="the plot is paper-thin and the <b>jokes</b> are stale .",
                after="the plot is paper-tihn and the <b>jokes</b> are sstale .",
                changed=((3, 3), (8, 8)),
                facts={
                    "true_label": "negative",
                    "answer_before": "negative",
                    "probability_before": 0.9441,
                    "answer_after": "positive",
                    "probability_after": 0.5519,
                    "queries": 11,
                },
            ),
        ),
        n=100,
    )


def attacks(*texts: str, recipe: str = "deepwordbug", label: str = "positive") -> bytes:
    """Texts that misled a model, as an evaluation leaves them."""
    columns = {
        "id": [f"{recipe}:{i}" for i in range(len(texts))],
        "text": list(texts),
        "label": [label] * len(texts),
        "original_text": [text.lower() for text in texts],
        "original_id": [f"sentence-{i}" for i in range(len(texts))],
        "recipe": [recipe] * len(texts),
        "kind": ["text_attack"] * len(texts),
    }
    return parquet_bytes(pa.table(columns))


def explained() -> tuple[Example, ...]:
    """An attacked text with what speaks for the answer before and after, a row of a table, and an attacked image."""
    before = ("a", "thoughtful", ",", "pro", "##voca", "##tive", "human", "##izing", "film", ".")
    after = ("a", "thou", "##ful", ",", "pro", "##vca", "##tive", "human", "##izing", "film", ".")
    grid = tuple(f"row {r}, column {c}" for r in range(1, 5) for c in range(1, 5))
    pictures = (("Before", 90), ("After", 110), ("Difference, 10 times amplified", 200))
    return (
        Example(
            id="sentence-17",
            kind="attack_success",
            before="a thoughtful , provocative humanizing film .",
            after="a thouful , provcative humanizing film .",
            changed=((1, 1), (3, 3)),
            heat=(
                Heat(
                    answer="positive",
                    features=before,
                    values=(0.01, 0.31, 0.0, 0.08, 0.05, 0.04, 0.12, 0.1, -0.06, 0.0),
                ),
                Heat(
                    side="after",
                    answer="positive",
                    features=after,
                    values=(0.0, -0.14, -0.22, 0.0, 0.03, -0.09, 0.02, 0.11, 0.08, -0.04, 0.0),
                ),
            ),
            facts={"true_label": "positive", "answer_before": "positive", "answer_after": "negative"},
        ),
        Example(
            id="person-3",
            kind="attribution",
            heat=(
                Heat(
                    answer=">50K",
                    features=("age", "education", "hours_per_week"),
                    values=(0.21, -0.34, 0.02),
                    text=False,
                ),
            ),
        ),
        Example(
            id="image-5",
            kind="image_attack",
            heat=(
                Heat(
                    answer="cat", features=grid, values=tuple(0.02 * (i - 6) for i in range(16)), text=False
                ),
            ),
            pictures=tuple(
                Picture(
                    title=title,
                    alt=f"{title} of the attack",
                    png=png_files.text(png_files.png(32, 32, value)),
                )
                for title, value in pictures
            ),
        ),
        Example(
            id="image-6",
            kind="image_attack",
            pictures=(Picture(title="Before", alt="An image", png=png_files.text(b"<svg/>")),),
        ),
    )


def parquet_bytes(table: pa.Table) -> bytes:
    written = io.BytesIO()
    parquet.write_table(table, written)
    return written.getvalue()


def failing() -> dict[str, Found]:
    """The income model as it is: unequal selection, and balanced accuracy too close to its limit to tell."""
    return {
        "classification": quality(0.788, 0.796, 0.804),
        "calibration": calibration(0.0051, 0.0092, 0.0143),
        "groups": groups((0.292, 0.320, 0.349), None),
    }


def passing() -> dict[str, Found]:
    return {
        "classification": quality(0.841, 0.849, 0.857),
        "calibration": calibration(0.0031, 0.0066, 0.0104),
        "groups": groups((0.861, 0.902, 0.944), (0.812, 0.883, 0.957)),
    }


def text() -> dict[str, Found]:
    """A sentiment model: too few examples to tell, and easily misled."""
    return {
        "classification": quality(0.785, 0.811, 0.834, 1_000),
        "calibration": calibration(0.0102, 0.0313, 0.0588, 1_000),
        "misspelling": misspelling(),
    }


def explained_card(team: Team, owner: User, policy: PolicyVersion) -> ReportCard:
    """A text model's, with explained examples, and with attacks that can be kept."""
    model = a_model(team, owner, "sentiment", modality="text_classifier")
    found = text()
    found["misspelling"] = replace(
        found["misspelling"], examples=explained(), attacks=attacks("A gud film", "Grand")
    )
    return audited(a_version(model, "1.1.0", "88ff"), text_data(team, owner), [policy], found)[0]


def audited(
    version: ModelVersion,
    data: DatasetVersion,
    policies: Sequence[PolicyVersion],
    found: Mapping[str, Found],
    *,
    errors: Mapping[str, str] | None = None,
) -> list[ReportCard]:
    """Submit as the model's owner, end every run as told (an item in `errors` with an error), issue the cards."""
    audit = submitted(version, data, policies)
    while (run := leases.claim(WORKER)) is not None:
        if errors and run.item in errors:
            fail(run, errors[run.item])
        else:
            succeed(run, found[run.item])
    audit.refresh_from_db()
    services.complete(audit)
    return reports.issue(audit)


def submitted(version: ModelVersion, data: DatasetVersion, policies: Sequence[PolicyVersion]) -> Audit:
    who = principal_of(version.model.owner)
    return services.submit(
        principal=who, model_version=version, dataset_version=data, policy_versions=policies
    )


def fail(run: EvaluationRun, reason: str) -> None:
    leases.fail(
        run,
        WORKER,
        RunStatus.ERRORED,
        code="out_of_memory",
        reason=reason,
        isolation=SANDBOX,
        log_tail="Killed\n",
    )


def succeed(run: EvaluationRun, found: Found) -> None:
    n = found.n
    result = EvaluationResult(
        evaluation=run.evaluation,
        version=run.evaluation_version,
        params=run.params,
        model_digest=run.audit.model_version.digest,
        data_digest=run.audit.dataset_version.digest,
        seed=run.audit.seed,
        environment={"python": "3.11.2", "numpy": "2.4.6", "scikit-learn": "1.9.1"},
        metrics=found.metrics,
        charts=found.charts,
        examples=found.examples,
        warnings=found.warnings,
        coverage=Coverage(attempted=n, scored=n),
        cost=Cost(wall_seconds=20.4, cpu_seconds=31.2, queries=n, peak_rss_bytes=412_000_000),
    )
    files = [_kept("chart", chart.name, chart.model_dump_json().encode()) for chart in found.charts]
    if found.examples:
        shown = json.dumps([e.model_dump(mode="json") for e in found.examples]).encode()
        files.append(_kept("examples", "examples", shown))
    if found.attacks:
        files.append(_kept("attacks", "attacks", found.attacks))
    leases.succeed(run, WORKER, result, files, device="cpu", isolation=SANDBOX)


def _kept(kind: str, name: str, data: bytes) -> leases.StoredFile:
    return leases.StoredFile(kind, name, "application/json", store.put(data), len(data))
