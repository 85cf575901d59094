"""quality.slices: a planted slice is found, nothing is found where there is nothing, scipy's tests as witness."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats as scipy_stats

from evaluations import catalogue
from evaluations.data import dataset
from evaluations.quality import halves, slice_search
from evaluations.quality.slice_conditions import conditions
from evaluations.spec import EvaluationResult, Metric, Modality, Role
from tests.evaluations import make

SLICES = catalogue.get("quality.slices")


def wrong_at(chosen: Any) -> Any:
    """Right with probability .9 by a digest of x, wrong wherever `chosen` says so."""

    def answer(rows: pd.DataFrame) -> np.ndarray:
        lucky = halves.uniforms(rows.x.astype(str).to_numpy().astype(np.str_), 0, "luck") < 0.9
        yes = (rows.x > 0).to_numpy() == (lucky & ~chosen(rows))
        return np.where(yes[:, None], [0.2, 0.8], [0.8, 0.2])

    return make.Answering(answer)


def people(n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    return pd.DataFrame(
        {
            "id": [f"e{i:05d}" for i in range(n)],
            "x": x,
            "z": rng.normal(size=n),
            "sex": rng.choice(["Female", "Male"], n),
            "label": np.where(x > 0, "yes", "no"),
        }
    )


def measured(
    table: pd.DataFrame,
    folder: Path,
    model: Any,
    roles: dict[str, Role] | None = None,
    seed: int = 7,
    **params: Any,
) -> EvaluationResult:
    ref = make.data_ref(table, folder, roles)
    return make.evaluate(SLICES, model, make.request(SLICES.name, ref, seed=seed, **params), folder)


def named(result: EvaluationResult, name: str) -> dict[str, Metric]:
    return {m.slice: m for m in result.metrics if m.name == name}


def nowhere(rows: pd.DataFrame) -> np.ndarray:
    return np.zeros(len(rows), dtype=bool)


def test_a_planted_slice_is_found_with_its_rate(tmp_path: Path) -> None:
    table = people(2000)
    edges = np.quantile(table.z, [0.25, 0.5, 0.75])
    result = measured(table, tmp_path, wrong_at(lambda rows: (rows.z > edges[2]).to_numpy()), pairs=False)
    top = f"z={table.z[table.z > edges[2]].min():.4g} to {table.z.max():.4g}"
    assert set(named(result, "slice_error_rate")) == {top}
    confirming = ~halves.first_half(table.id.to_numpy().astype(np.str_), 7, "slices")
    held = confirming & (table.z > edges[2]).to_numpy()
    rate = named(result, "slice_error_rate")[top]
    assert rate.value == 1.0
    assert rate.n == held.sum()
    gap = named(result, "slice_gap")[top]
    assert gap.value == pytest.approx(0.9, abs=0.05)
    assert named(result, "worst_gap")["all"].value == gap.value
    assert result.examples
    assert all(e.facts["slice"] == top for e in result.examples)


def test_p_values_are_fishers_over_the_confirming_half_adjusted_for_all_tested(tmp_path: Path) -> None:
    table = people(1500, seed=2)
    model = wrong_at(lambda rows: ((rows.z > 0.6) & (rows.x > -1)).to_numpy())
    result = measured(table, tmp_path, model, pairs=False, most=3)
    half = table[~halves.first_half(table.id.to_numpy().astype(np.str_), 7, "slices")]
    wrong = (model.predict_proba(half).probs[:, 1] > 0.5) != (half.label == "yes")
    (m,) = {named(result, "slices_tested")["all"].value}
    for where, metric in named(result, "slice_p").items():
        column, _, span = where.partition("=")
        low, _, high = span.partition(" to ")
        inside = half[column].between(
            float(low) - 5e-4 * abs(float(low)), float(high) + 5e-4 * abs(float(high))
        )
        table_2x2 = [
            [(wrong & inside).sum(), (~wrong & inside).sum()],
            [(wrong & ~inside).sum(), (~wrong & ~inside).sum()],
        ]
        p = scipy_stats.fisher_exact(table_2x2, alternative="greater").pvalue
        assert p * 0.999 <= metric.value <= min(1.0, p * m * 1.001)  # type: ignore[operator]


def test_nothing_is_confirmed_where_errors_fall_at_random(tmp_path: Path) -> None:
    confirmed = [
        named(measured(people(400, seed), tmp_path, wrong_at(nowhere), seed=seed), "slices_confirmed")[
            "all"
        ].value
        for seed in range(40)
    ]
    assert np.mean([c > 0 for c in confirmed]) <= 0.15  # type: ignore[operator]  # 5 % are promised


def test_intervals_of_confirmed_slices_hold_their_level(tmp_path: Path) -> None:
    """Three of ten groups are wrong 40 % of the time, the others 10 %: the true rates are known."""
    rng, missed, said = np.random.default_rng(5), 0, 0
    for seed in range(60):
        table = people(1500, seed)
        table["sex"] = rng.integers(0, 10, 1500).astype(str)
        rate = np.where(table.sex.astype(int) < 3, 0.4, 0.1)
        wrong = dict(zip(table.x, rng.random(1500) < rate, strict=True))
        model = make.Answering(
            lambda rows, wrong=wrong: np.array(
                [[1.0, 0.0] if (x > 0) == wrong[x] else [0.0, 1.0] for x in rows.x]
            )
        )
        roles = {"id": Role.ID, "x": Role.INPUT, "sex": Role.SENSITIVE, "label": Role.TARGET}
        model.columns = ("x",)
        for where, metric in named(
            measured(table, tmp_path, model, roles, pairs=False), "slice_error_rate"
        ).items():
            if where.startswith("sex="):
                true = 0.4 if int(where[4:]) < 3 else 0.1
                assert metric.interval is not None
                said += 1
                missed += not metric.interval.low <= true <= metric.interval.high
    assert said > 100
    assert missed / said <= 0.08


def test_words_lengths_and_pairs_become_conditions(tmp_path: Path) -> None:
    table = make.sentences(200)
    ref = make.data_ref(table, tmp_path, make.TEXT_ROLES)
    data = dataset.read(ref, Modality.TEXT_CLASSIFIER)
    made = conditions(data, np.arange(200), 10)
    index = made.names.index("word=good")
    held = np.array(["good" in t.lower().rstrip(".").split() for t in table.text])
    assert np.array_equal(made.mask(index, 200), held)
    lengths = [name for name in made.names if name.startswith("words in the text=")]
    assert len(lengths) == 5
    assert sum(made.mask(made.names.index(name), 200).sum() for name in lengths) == 200


def test_a_pair_is_offered_only_where_it_is_worse_than_both(tmp_path: Path) -> None:
    table = people(3000, seed=4)
    table["kind"] = np.random.default_rng(1).choice(["a", "b", "c"], 3000)
    roles = {**make.TABULAR_ROLES, "kind": Role.SENSITIVE}
    kinds = dict(zip(table.x, table.kind, strict=True))
    sexes = dict(zip(table.x, table.sex, strict=True))

    def both(rows: pd.DataFrame) -> np.ndarray:
        return np.array([kinds[x] == "a" and sexes[x] == "Male" for x in rows.x])

    result = measured(table, tmp_path, wrong_at(both), roles)
    worst = max(named(result, "slice_gap").values(), key=lambda m: m.value or 0)
    assert worst.slice == "sex=Male & kind=a"
    assert worst.value == pytest.approx(0.9, abs=0.05)


def test_clustered_rows_are_tested_over_clusters() -> None:
    rng = np.random.default_rng(0)
    clusters = np.repeat([f"c{i}" for i in range(40)], 10)
    inside = np.repeat(rng.random(40) < 0.5, 10)
    wrong = np.repeat(rng.random(40) < 0.3, 10) ^ (rng.random(400) < 0.1)
    half = slice_search.Half(np.arange(400), wrong, np.ones(400, dtype=bool), clusters)
    design = np.column_stack([np.ones(400), inside.astype(float)])
    fit = sm.OLS(wrong.astype(float), design).fit(cov_type="cluster", cov_kwds={"groups": clusters})
    z = float(fit.params[1] / fit.bse[1])
    fewer = min(inside[::10].sum(), 40 - inside[::10].sum())
    z *= np.sqrt(40 / 39 * (fewer - 1) / fewer)
    # statsmodels adds the factor (n − 1)/(n − 2)
    assert slice_search._p(half, inside) == pytest.approx(scipy_stats.t.sf(z, fewer - 1), rel=0.02)
    alone = slice_search.Half(np.arange(400), wrong, np.ones(400, dtype=bool), None)
    assert slice_search._p(alone, inside) != slice_search._p(half, inside)


@pytest.mark.parametrize("people_inside", [1, 2, 3])
def test_a_slice_of_few_people_is_not_confirmed_by_chance(people_inside: int) -> None:
    rng = np.random.default_rng(people_inside)
    clusters, found = np.repeat([f"c{i}" for i in range(40)], 20), 0
    for _ in range(400):
        wrong = rng.random((40, 20)) < rng.beta(2, 6, 40)[:, None]
        half = slice_search.Half(np.arange(800), wrong.ravel(), np.ones(800, dtype=bool), clusters)
        found += slice_search._p(half, np.repeat(np.arange(40) < people_inside, 20)) <= 0.05
    assert found / 400 <= 0.08
