"""A report card to draw, sign and break: the income classifier under `release-gate`, with invented figures."""

from __future__ import annotations

from typing import Any

from auditor.reports.build import CardFacts

TITLES = {  # metric -> title, unit, plain sentence
    "balanced_accuracy": (
        "Balanced accuracy",
        "proportion",
        "Averaged over the classes, the model was right for {value} of the examples.",
    ),
    "ece_debiased": (
        "Calibration error",
        "probability",
        "Stated probabilities are off by {value} on average.",
    ),
    "selection_rate_ratio": (
        "Selection-rate ratio",
        "ratio",
        "The least selected group is selected {value} times as often as the most selected.",
    ),
    "attack_success_rate": (
        "Attack success rate",
        "proportion",
        "Small spelling changes turned {value} of the right answers wrong.",
    ),
    "accuracy_under_attack": (
        "Accuracy under attack",
        "proportion",
        "Under attack the model was right for {value} of the examples.",
    ),
}


def measured(
    name: str, value: float | None, low: float | None, high: float | None, n: int, slice_: str = "all"
) -> dict[str, Any]:
    title, unit, template = TITLES[name]
    return {
        "metric": name,
        "metric_title": title,
        "slice": slice_,
        "value": value,
        "ci_low": low,
        "ci_high": high,
        "interval_method": "percentile_bootstrap" if low is not None else "",
        "interval_level": 0.95 if low is not None else None,
        "n": n,
        "unit": unit,
        "direction": "higher",
        "plain_template": template,
        "formula": "mean over classes of recall",
        "reference": "Brodersen et al. 2010, ICPR",
    }


def control(
    id_: str,
    area: str,
    comparison: str,
    limit: float,
    outcome: str,
    code: str,
    facts: dict[str, Any],
    **changes: Any,
) -> dict[str, Any]:
    return {
        "control": id_,
        "title": facts["metric_title"],
        "area": area,
        "severity": "high",
        "required": True,
        "outcome": outcome,
        "reason_code": code,
        "reason": "",
        "item": "groups" if area == "fairness" else "classification",
        "evaluation": "fairness.group" if area == "fairness" else "quality.classification",
        "comparison": comparison,
        "limit": limit,
        "decide_by": "interval",
        "min_n": 200,
        "more_examples": None,
        **facts,
        **changes,
    }


def run(id_: str, item: str, evaluation: str, title: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": id_,
        "item": item,
        "evaluation": evaluation,
        "evaluation_title": title,
        "evaluation_version": "1",
        "attempt": 1,
        "status": "succeeded",
        "reason_code": "",
        "reason": "",
        "params": {"max_error_rate": 0.02},
        "seed": 3141592653589793,
        "started_at": "2026-11-22T02:58:00Z",
        "finished_at": "2026-11-22T02:58:21Z",
        "device": "cpu",
        "isolation": {
            "summary": "sandboxed",
            "filesystem": "landlock",
            "network": "none (own namespace)",
            "syscalls": "seccomp",
            "account": "nobody",
        },
        "environment": {
            "python": "3.11.2",
            "numpy": "2.4.6",
            "scikit-learn": "1.9.1",
            "platform": "linux-x86_64",
        },
        "coverage": {"attempted": 16281, "scored": 16281, "failed": 0, "skipped": 0, "blocked": 0},
        "cost": {
            "wall_seconds": 20.4,
            "cpu_seconds": 31.2,
            "queries": 16281,
            "tokens": 0,
            "peak_rss_bytes": 412000000,
        },
        "warnings": [],
        "metrics": [],
        "charts": [],
        "artifacts": [],
        **changes,
    }


def metric(
    name: str, title: str, slice_: str, value: float | None, low: float | None, high: float | None, n: int
) -> dict[str, Any]:
    return {
        "name": name,
        "title": title,
        "slice": slice_,
        "value": value,
        "ci_low": low,
        "ci_high": high,
        "interval_method": "wilson",
        "n": n,
        "unit": "proportion",
        "direction": "context",
        "status": "ok" if value is not None else "suppressed",
        "reason": "" if value is not None else "Fewer than 10 examples.",
    }


def group_metrics() -> list[dict[str, Any]]:
    found = []
    for slice_, n, rates in (
        ("sex=Female", 5421, (0.082, 0.571, 0.021)),
        ("sex=Male", 10860, (0.256, 0.662, 0.094)),
        ("race=White", 13946, (0.210, 0.651, 0.074)),
        ("race=Black", 1561, (0.097, 0.583, 0.027)),
        ("race=Other", 135, (0.141, 0.600, 0.044)),
        ("race=Martian", 3, (None, None, None)),
    ):
        for name, title, value in zip(
            ("selection_rate", "tpr", "fpr"),
            ("Selection rate", "True positive rate", "False positive rate"),
            rates,
            strict=True,
        ):
            low = high = None
            if value is not None:
                half = 1.96 * (value * (1 - value) / n) ** 0.5
                low, high = round(value - half, 4), round(value + half, 4)
            found.append(metric(name, title, slice_, value, low, high, n))
    return found


GROUP_CHART: dict[str, Any] = {
    "name": "selection_rates",
    "title": "Selection rate by sex",
    "alt": "Bars of the selection rate: Female 0.082, Male 0.256, with 95% intervals.",
    "spec": {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": 420,
        "config": {"background": None, "axis": {"labelColor": "currentColor", "titleColor": "currentColor"}},
        "usermeta": {"auditor": {"value_axis": "x", "metric": "selection_rate"}},
        "data": {"values": [{"group": "Female", "rate": 0.082}, {"group": "Male", "rate": 0.256}]},
        "layer": [
            {
                "mark": {"type": "bar", "color": "#2f6fb3"},
                "encoding": {
                    "y": {"field": "group", "type": "nominal", "title": None},
                    "x": {"field": "rate", "type": "quantitative", "title": "Selection rate"},
                },
            }
        ],
    },
    "columns": ["Group", "Selection rate"],
    "rows": [["Female", 0.082], ["Male", 0.256]],
}


def facts(**changes: Any) -> CardFacts:
    """The facts of a card that does not meet its policy. `changes` replace whole fields of CardFacts."""
    controls = [
        control("QUAL-01", "quality", ">=", 0.8, "inconclusive", "interval_straddles_limit",
                measured("balanced_accuracy", 0.796, 0.788, 0.804, 16281), more_examples=53411),
        control("QUAL-02", "quality", "<=", 0.05, "pass", "interval_keeps_limit",
                measured("ece_debiased", 0.0092, 0.0051, 0.0143, 16281), item="calibration",
                evaluation="quality.calibration"),
        control("FAIR-01", "fairness", ">=", 0.8, "fail", "interval_violates_limit",
                measured("selection_rate_ratio", 0.3203, 0.2921, 0.3489, 16281, "sex")),
        control("FAIR-01", "fairness", ">=", 0.8, "not_assessed", "run_errored",
                measured("selection_rate_ratio", None, None, None, 0, "race"), reason="The child ran out of memory."),
    ]  # fmt: skip
    base: dict[str, Any] = {
        "id": "rc_01k0testcard00000000001",
        "revision": 1,
        "issued_at": "2026-11-22T03:00:00Z",
        "valid_until": "2027-05-21T03:00:00Z",
        "verdict": "does_not_meet",
        "software": {"name": "model-auditor", "version": "0.1.0"},
        "model": {
            "name": "income",
            "version": "3.2.0",
            "digest": "sha256:" + "9f2c" * 16,
            "format": "skops",
            "modality": "tabular",
            "size": 1482101,
            "files": [{"path": "model.skops", "size": 1482101, "sha256": "ab" * 32}],
            "labels": ["<=50K", ">50K"],
            "description": "Estimates whether a person's yearly income exceeds 50,000 dollars.",
            "risk_tier": "high",
            "intended_use": "Ranking survey answers for follow-up by a person.",
            "out_of_scope_use": "Any decision on credit, work or housing.",
            "languages": ["en"],
            "team": "Credit",
            "submitted_by": "Erin",
            "provenance": {"commit": "1f3a9c", "source": "train_income.py"},
            "parent": "income@3.1.0",
        },
        "data": {
            "name": "adult",
            "version": "2026.1",
            "digest": "sha256:" + "71ab" * 16,
            "rows": 16281,
            "licence": "CC BY 4.0",
            "source": "UCI Adult, test part",
            "roles": {
                "age": "input",
                "education": "input",
                "sex": "sensitive",
                "race": "sensitive",
                "income": "target",
            },
            "favourable_label": ">50K",
            "held_out": False,
            "summary": {
                "classes": {"<=50K": 12435, ">50K": 3846},
                "groups": {"sex": {"Female": 5421, "Male": 10860}},
            },
            "languages": ["en"],
        },
        "policy": {
            "name": "release-gate",
            "title": "Release gate",
            "number": 1,
            "digest": "sha256:" + "c0de" * 16,
            "published_at": "2026-11-01T00:00:00Z",
            "description": "Every classifier: balanced accuracy and calibration.",
        },
        "audit": {
            "id": "aud_01k0testaudit0000000001",
            "requested_by": "Erin",
            "requested_at": "2026-11-22T02:57:00Z",
            "started_at": "2026-11-22T02:57:10Z",
            "finished_at": "2026-11-22T02:59:58Z",
            "seed": 3141592653589793,
            "digest": "sha256:" + "5eed" * 16,
            "ordinal": 2,
            "judge": None,
            "reference": {"model": "income-base@1.0", "digest": "sha256:" + "ba5e" * 16},
        },
        "controls": controls,
        "reported": [
            {**measured("attack_success_rate", 0.47, 0.37, 0.571, 100), "item": "misspelling",
             "evaluation": "robustness.text_char", "area": "robustness", "status": "ok", "reason": ""},
            {**measured("accuracy_under_attack", None, None, None, 0), "item": "misspelling",
             "evaluation": "robustness.text_char", "area": "robustness", "status": "not_estimable",
             "reason": "The run was cancelled."},
        ],
        "runs": [
            run("run_1", "classification", "quality.classification", "Classification quality"),
            run("run_2", "groups", "fairness.group", "Group fairness", status="lost", reason_code="lease_expired",
                reason="The worker stopped answering.", finished_at="2026-11-22T02:58:40Z"),
            run("run_3", "groups", "fairness.group", "Group fairness", attempt=2, metrics=group_metrics(),
                warnings=["Three rows of the group Martian were left out of the ratio."],
                charts=[{"name": "selection_rates", "title": GROUP_CHART["title"], "alt": GROUP_CHART["alt"],
                         "columns": GROUP_CHART["columns"], "rows": GROUP_CHART["rows"], "sha256": "cd" * 32,
                         "svg_sha256": "ef" * 32}]),
            run("run_4", "misspelling", "robustness.text_char", "Misspelling attack",
                artifacts=[{"kind": "examples", "name": "examples", "sha256": "aa" * 32, "size": 2048}]),
        ],
        "waivers": [],
    }  # fmt: skip
    return CardFacts(**{**base, **changes})


ATTACK_EXAMPLES: list[dict[str, Any]] = [
    {
        "id": "17",
        "kind": "attack_success",
        "before": "a smart , sweet and playful romantic comedy .",
        "after": "a smrat , sweet and plaful romantic comedy .",
        "changed": [[1, 1], [5, 5]],
        "facts": {
            "label": "positive",
            "answer before": "positive",
            "answer after": "negative",
            "queries": 23,
        },
    },
    {
        "id": "203",
        "kind": "attack_success",
        "before": "an intelligent , earnest film .",
        "after": "an intellignet , earnest film .",
        "changed": [[1, 1]],
        "facts": {"answer before": "positive", "answer after": "negative", "queries": 9},
    },
]

HOSTILE = (
    "#panic() *bold* $x^2$ \\ _u_ `raw` <script>alert(1)</script> @ref = head // no /* no */ "
    "\u202egnp.exe\u202c \u0007 \ue000 שלום مرحبا 😀 中文 " + "W" * 300
)


def hostile_facts() -> CardFacts:
    """The same card with hostile text wherever people or models may write any."""
    base = facts()
    model = {**base.model, "name": "income" * 10, "description": HOSTILE, "intended_use": HOSTILE * 5,
             "out_of_scope_use": HOSTILE, "labels": [HOSTILE, "中"], "provenance": {HOSTILE: {"deep": [HOSTILE]}},
             "files": [{"path": HOSTILE, "size": 0, "sha256": "ab" * 32}]}  # fmt: skip
    data = {
        **base.data,
        "source": HOSTILE,
        "licence": HOSTILE,
        "summary": {"classes": {HOSTILE: 3}, "groups": {HOSTILE: {HOSTILE: 1}}},
    }
    controls = [
        {**c, "title": HOSTILE[:120], "slice": HOSTILE[:200], "reason": HOSTILE} for c in base.controls
    ]
    runs = [{**r, "reason": HOSTILE, "warnings": [HOSTILE], "params": {HOSTILE: HOSTILE}} for r in base.runs]
    runs[2]["metrics"] = [
        {**m, "slice": f"sex={HOSTILE[:150]}{i // 3}"} for i, m in enumerate(base.runs[2]["metrics"])
    ]
    return facts(model=model, data=data, controls=controls, runs=runs)
