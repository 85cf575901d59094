"""quality.ood: scikit-learn and brute force as witnesses, coverage of the intervals by simulation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from evaluations import catalogue
from evaluations.models.loader import load
from evaluations.quality import ood_scores
from evaluations.spec import EvaluationError, EvaluationResult, Metric, Role
from tests.evaluations import make
from tests.evaluations.cases.quality_ood import with_foreign

OOD = catalogue.get("quality.ood")
ROLES = {**make.TABULAR_ROLES, "part": Role.SPLIT}


def with_training(n: int) -> pd.DataFrame:
    table = with_foreign(n)
    return table.assign(part=table.part.mask((np.arange(n) % 7 == 0) & (table.part == "test"), "train"))


def measured(
    table: pd.DataFrame,
    folder: Path,
    answer: Any = make.logistic,
    roles: dict[str, Role] | None = None,
    **params: Any,
) -> EvaluationResult:
    ref = make.data_ref(table, folder, roles or ROLES)
    return make.evaluate(OOD, make.Answering(answer), make.request(OOD.name, ref, **params), folder)


def at(result: EvaluationResult, name: str) -> Metric:
    (found,) = (m for m in result.metrics if m.name == name)
    return found


def test_values_are_scikit_learns_and_the_definitions(tmp_path: Path) -> None:
    table = with_training(400)
    result = measured(table, tmp_path)
    used = table[table.part != "train"]
    foreign, p = (used.part == "ood").to_numpy(), make.logistic(used)
    for end, score in (("", p.max(axis=1)), ("_entropy", (p * np.log(p)).sum(axis=1))):
        assert at(result, f"auroc{end}").value == pytest.approx(roc_auc_score(~foreign, score))
        own = np.sort(score[~foreign])
        t = max(v for v in own if (own >= v).mean() >= 0.95)
        assert at(result, f"fpr95{end}").value == pytest.approx((score[foreign] >= t).mean())
    assert at(result, "aupr").value == pytest.approx(average_precision_score(foreign, -p.max(axis=1)))
    assert result.coverage.skipped == (table.part == "train").sum()


def test_without_a_split_named_test_all_but_train_is_own(tmp_path: Path) -> None:
    table = with_training(200)
    table["part"] = table.part.replace("test", "held out")
    assert at(measured(table, tmp_path), "auroc").n == (table.part != "train").sum()


@pytest.mark.parametrize("part", ["test", "ood"])
def test_data_without_foreign_or_own_rows_is_skipped(part: str, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="named ood") as error:
        measured(make.frame(20).assign(part=part), tmp_path)
    assert error.value.skipped


def test_the_threshold_bounds_hold_the_true_quantile() -> None:
    rng, held = np.random.default_rng(0), 0
    for _ in range(1000):
        t, low, high = ood_scores.thresholds(rng.random(300), 0.975)
        assert low <= t <= high
        held += low <= 0.05 <= high
    assert held >= 0.97 * 1000
    assert ood_scores.thresholds(rng.random(20), 0.975)[1] == -np.inf
    assert ood_scores.thresholds(rng.random(1), 0.975)[1:] == (-np.inf, np.inf)


def test_intervals_cover() -> None:
    """Own scores N(1, 1), foreign N(0, 1): AUC Φ(1/√2), FPR95 Φ(−(1 − 1.645))."""
    from scipy.stats import norm

    rng, runs = np.random.default_rng(1), 500
    true = {"auroc": norm.cdf(1 / np.sqrt(2)), "fpr95": norm.sf(1 - norm.ppf(0.95))}
    held = dict.fromkeys(true, 0)
    foreign = np.repeat([False, True], [200, 100])
    for _ in range(runs):
        ranking = ood_scores.Ranking(rng.normal(size=300) + ~foreign, foreign, None)
        for metric in (ranking.auroc("auroc"), ranking.fpr("fpr95")):
            assert metric.interval is not None
            held[metric.name] += metric.interval.low <= true[metric.name] <= metric.interval.high
    assert min(held.values()) >= 0.935 * runs, held


def test_clusters_widen_the_intervals() -> None:
    rng = np.random.default_rng(2)
    foreign = np.repeat([False, True], [200, 100])
    clusters = np.array([f"c{i // 10}" for i in range(300)])
    score = np.repeat(rng.normal(size=30), 10) + ~foreign
    alone, together = (ood_scores.Ranking(score, foreign, c) for c in (None, clusters))
    for a, b in ((alone.auroc("a"), together.auroc("a")), (alone.fpr("f"), together.fpr("f"))):
        assert a.interval is not None
        assert b.interval is not None
        assert b.interval.high - b.interval.low > 1.3 * (a.interval.high - a.interval.low)


def test_rows_without_an_answer_count_against_and_for(tmp_path: Path) -> None:
    table = with_foreign(400)

    def shy(rows: pd.DataFrame) -> np.ndarray:
        return np.where((np.arange(len(rows)) % 40 == 0)[:, None], np.nan, make.logistic(rows))

    full, less = measured(table, tmp_path), measured(table, tmp_path, shy, max_error_rate=0.1)
    for name in ("auroc", "fpr95", "aupr"):
        a, b = at(full, name).interval, at(less, name).interval
        assert a is not None
        assert b is not None
        assert b.low < a.low
        assert b.high > a.high
    with_all = ood_scores.Ranking(
        np.array([0.9, 0.8, 0.1, np.nan]), np.array([False, False, True, True]), None
    )
    assert with_all.worst[3] > 0.9
    assert with_all.best[3] < 0.1


def test_the_energy_of_a_text_model_is_that_of_its_logits(tmp_path: Path) -> None:
    ref = make.tiny_bert(tmp_path / "model")
    model: Any = load(ref)
    table = make.sentences(60).assign(part=["ood" if i % 3 == 0 else "test" for i in range(60)])
    data = make.data_ref(table, tmp_path, {**make.TEXT_ROLES, "part": Role.SPLIT})
    result = make.evaluate(OOD, model, make.request(OOD.name, data, ref, energy=True), tmp_path)
    with torch.inference_mode():
        energies = [
            float(torch.logsumexp(model.network(**model.tokenizer(text, return_tensors="pt")).logits, 1))
            for text in table.text
        ]
    assert at(result, "auroc_energy").value == pytest.approx(roc_auc_score(table.part != "ood", energies))
    plain = make.evaluate(OOD, model, make.request(OOD.name, data, ref), tmp_path)
    assert at(plain, "auroc_energy").value is None
    assert "not asked for" in at(plain, "auroc_energy").reason
    assert at(plain, "auroc").value == at(result, "auroc").value


def test_a_model_without_logits_says_so(tmp_path: Path) -> None:
    result = measured(with_foreign(60), tmp_path, energy=True)
    assert "no logits" in at(result, "fpr95_energy").reason


@pytest.mark.parametrize(("missing", "foreign_alone"), [(10, False), (50, True)])
def test_a_score_that_too_many_rows_lack_says_nothing(missing: int, foreign_alone: bool) -> None:
    rng = np.random.default_rng(0)
    foreign = np.arange(100) < 50
    p = rng.random(100)
    energy = rng.normal(size=100)
    energy[:missing] = np.nan  # all or some of the foreign ones
    rows = ood_scores.Rows(foreign, np.column_stack([p, 1 - p]), energy, np.zeros(100, bool), None, 100, 0)
    params: Any = OOD.Params(energy=True, max_error_rate=0.99 if foreign_alone else 0.02)
    found = {m.name: m for m in ood_scores.measure(rows, params)}
    assert found["auroc"].value is not None
    assert found["auroc_energy"].value is None
    assert found["fpr95_energy"].value is None
    assert ("any foreign" if foreign_alone else "10 of 100") in found["auroc_energy"].reason


def test_clustered_own_rows_leave_the_threshold_less_certain() -> None:
    """40 people with 15 rows each, a person's rows alike: the true 5 % quantile is held as often as claimed."""
    rng = np.random.default_rng(7)
    together = np.repeat(np.arange(40), 15).astype(str)
    true, held, alone = -1.6448536269514722, 0, 0
    for _ in range(300):
        own = np.repeat(rng.normal(size=40), 15) * 0.8 + rng.normal(size=600) * 0.6  # N(0, 1)
        _, low, high = ood_scores.thresholds(own, 0.95, together)
        held += low <= true <= high
        _, low, high = ood_scores.thresholds(own, 0.95)
        alone += low <= true <= high
    assert held / 300 >= 0.92
    assert alone / 300 < 0.8
