"""quality.data: planted faults, hand-worked tables, scipy and a known rate of wrong labels as witnesses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats as scipy_stats

from evaluations import catalogue, stats
from evaluations.quality import data_drift, data_labels, data_rows, halves, near_texts
from evaluations.scoring import Scored
from evaluations.spec import EvaluationResult, Metric, Modality, Role
from tests.evaluations import make, seq

DATA = catalogue.get("quality.data")
ROLES = {**make.TABULAR_ROLES, "part": Role.SPLIT}
TEXT_ROLES = {**make.TEXT_ROLES, "part": Role.SPLIT}


def measured(
    table: pd.DataFrame, folder: Path, roles: dict[str, Role], model: Any = None, seed: int = 7
) -> EvaluationResult:
    ref = make.data_ref(table, folder, roles)
    text = "text" in table
    model_ref = make.STAND_IN.model_copy(update={"modality": Modality.TEXT_CLASSIFIER}) if text else None
    undecided = make.Answering(make.always(0.5, 0.5), ("neg", "pos"))
    model = model or (undecided if text else make.Answering(make.logistic))
    return make.evaluate(DATA, model, make.request(DATA.name, ref, model_ref, seed=seed), folder)


def at(result: EvaluationResult, name: str, slice: str = "all") -> Metric:
    (found,) = (m for m in result.metrics if (m.name, m.slice) == (name, slice))
    return found


def films(*texts: str, labels: str = "", parts: str = "") -> pd.DataFrame:
    """Labels and splits as letters: p(os) or n(eg), t(rain) or (test) s."""
    names = {"p": "pos", "n": "neg", "t": "train", "s": "test"}
    return pd.DataFrame(
        {
            "id": [f"f{i}" for i in range(len(texts))],
            "text": texts,
            "label": [names[x] for x in labels or "p" * len(texts)],
            "part": [names[x] for x in parts or "s" * len(texts)],
        }
    )


def test_duplicates_conflicts_and_leakage_of_a_table_worked_by_hand(tmp_path: Path) -> None:
    table = films(
        "A fine film.",
        "A fine film.",
        "a FINE film",
        "Dull!",
        "dull",
        "Other",
        labels="pnpnnp",
        parts="tsssts",
    )
    result = measured(table, tmp_path, TEXT_ROLES)
    assert at(result, "duplicates").value == pytest.approx(1 / 6)
    assert at(result, "near_duplicates").value == pytest.approx(3 / 6)
    assert at(result, "conflicting_labels").value == pytest.approx(2 / 6)
    assert at(result, "leakage").value == pytest.approx(1 / 4)  # the second row
    assert at(result, "near_leakage").value == pytest.approx(3 / 4)  # and the third, and “Dull!”
    assert {(e.id, e.facts["same as"]) for e in result.examples if e.kind == "leaked"} == {
        ("f1", "f0"),
        ("f2", "f0"),
        ("f3", "f4"),
    }


def test_texts_that_share_most_of_their_runs_are_alike() -> None:
    rng = np.random.default_rng(0)
    texts = [[f"w{i}" for i in rng.integers(0, 5000, 40)] for _ in range(300)]
    edited = [list(words) for words in texts[:100]]
    for words in edited[:50]:
        words[20] = "changed"  # 3 of 38 runs: similarity 35/41
    for words in edited[50:]:
        words[10:30:4] = ["changed"] * 5  # 15 of 38 runs: 23/53
    found = near_texts.groups(texts + edited)
    same = found[:100] == found[300:]
    assert same[:50].all()
    assert not same[50:].any()
    assert len(set(found[:300].tolist())) == 300
    assert near_texts.groups([["a"], ["b"], ["a", "b", "c"]]).tolist() == [0, 1, 2]
    assert near_texts.groups([]).tolist() == []


def test_images_count_by_their_bytes_wherever_they_lay() -> None:
    images = [
        {"bytes": b"one", "path": "a.png"},
        {"bytes": b"one", "path": "b.png"},
        {"bytes": b"two", "path": "a.png"},
    ]
    lists = [["a", "b"], ["a", "b"], ["a"]]
    for column in (pa.array(images), pa.array([i["bytes"] for i in images]), pa.array(lists)):
        codes = data_rows._codes(pa.chunked_array([column]), near=False)
        assert codes[0] == codes[1] != codes[2]


def test_rows_of_numbers_are_alike_to_four_digits(tmp_path: Path) -> None:
    table = make.frame(40).assign(part="test")
    table.loc[1, ["x", "z"]] = table.loc[0, ["x", "z"]].to_numpy(float) * (1 + 1e-7)
    result = measured(table, tmp_path, ROLES)
    assert at(result, "duplicates").value == 0
    assert at(result, "near_duplicates").value == pytest.approx(1 / 40)
    assert at(result, "leakage").value is None


def test_clusters_on_both_sides_are_counted(tmp_path: Path) -> None:
    table = make.frame(60).assign(part=["train", "test"] * 30, person=[f"p{i // 3}" for i in range(60)])
    result = measured(table, tmp_path, {**ROLES, "person": Role.CLUSTER})
    train = set(table.person[table.part == "train"])
    assert at(result, "cluster_leakage").value == pytest.approx(
        table[table.part == "test"].person.isin(train).mean()
    )
    assert at(result, "drift_p", "x").value is None


def test_missing_values_of_every_kind_are_counted(tmp_path: Path) -> None:
    table = make.frame(20).assign(part="test", kind=["a", "", " ", None] + ["b"] * 16)
    table.loc[:4, "x"] = np.nan
    result = measured(table, tmp_path, {**ROLES, "kind": Role.INPUT})
    assert at(result, "missing_in_column", "kind").value == pytest.approx(3 / 20)
    assert at(result, "missing_in_column", "x").value == pytest.approx(5 / 20)
    assert at(result, "missing").value == pytest.approx(8 / 80)


# --- labels ---------------------------------------------------------------------------------------


def scored(probs: list[float], truth: list[int]) -> Scored:
    p = np.array(probs)
    n = len(p)
    return Scored(
        ("no", "yes"), np.arange(n), np.array(truth), np.column_stack([1 - p, p]), np.zeros(n, bool)
    )


def test_confident_learning_of_a_table_worked_by_hand() -> None:
    # Labelled no: p(no) .9 .8 .1 .7, mean .625. Labelled yes: p(yes) .95 .85 .3, mean .7.
    table = scored([0.1, 0.2, 0.9, 0.3, 0.95, 0.85, 0.3], [0, 0, 0, 0, 1, 1, 1])
    assert data_labels.confident_class(table).tolist() == [0, 0, 1, 0, 1, 1, 0]
    assert data_labels.joint(table).tolist() == [[3, 1, 0], [1, 2, 0]]
    assert data_labels.noise(data_labels.joint(table)) == pytest.approx((1 / 4 * 4 + 1 / 3 * 3) / 7)


def test_a_known_rate_of_wrong_labels_is_estimated(tmp_path: Path) -> None:
    table = make.frame(2000, seed=3).assign(part="test")
    right = table.x > 0
    flipped = halves.uniforms(table.id.to_numpy().astype(np.str_), 1, "flip") < 0.15
    table["label"] = np.where(right ^ flipped, "yes", "no")
    result = measured(table, tmp_path, ROLES)
    noise = at(result, "label_noise")
    assert noise.value == pytest.approx(flipped.mean(), abs=0.03)
    assert noise.interval is not None
    assert noise.interval.low <= flipped.mean() <= noise.interval.high
    doubtful = [e.id for e in result.examples if e.kind == "doubtful_label"]
    assert len(doubtful) == 20
    assert set(doubtful) <= set(table.id[flipped])
    assert any("trained on these rows" in w for w in result.warnings)


def test_labels_of_other_classes_cannot_be_doubted(tmp_path: Path) -> None:
    table = make.frame(60, labels=("low", "high")).assign(part="test")
    result = measured(table, tmp_path, ROLES)
    assert at(result, "label_noise").value is None
    assert at(result, "duplicates").value == 0


# --- drift ----------------------------------------------------------------------------------------


def test_psi_of_a_table_worked_by_hand() -> None:
    a, b = np.array([50, 30, 20]), np.array([20, 30, 50])
    p, q = (a + 0.5) / 101.5, (b + 0.5) / 101.5
    assert data_drift.psi(a, b) == pytest.approx(sum((q - p) * np.log(q / p)))
    assert data_drift.psi(a, a) == 0
    assert np.isfinite(data_drift.psi(np.array([10, 0]), np.array([0, 10])))


def test_p_values_are_scipys_adjusted_by_holm_and_a_shift_is_found(tmp_path: Path) -> None:
    table = make.frame(600, seed=1).assign(part=["train", "test"] * 300, kind=["a", "b", "c"] * 200)
    table["x"] += np.where(table.part == "test", 0.8, 0.0)
    result = measured(table, tmp_path, {**ROLES, "kind": Role.INPUT})
    train, test = table[table.part == "train"], table[table.part == "test"]
    p = [scipy_stats.ks_2samp(train[c], test[c]).pvalue for c in ("x", "z")]
    p.append(scipy_stats.chi2_contingency(pd.crosstab(table.part, table.kind)).pvalue)
    for name, adjusted in zip(("x", "z", "kind"), stats.holm(np.array(p)), strict=True):
        assert at(result, "drift_p", name).value == pytest.approx(adjusted)
    assert at(result, "psi", "x").value > 0.3  # type: ignore[operator]
    assert at(result, "psi", "z").value < 0.1  # type: ignore[operator]
    auc = at(result, "drift_auc")
    assert auc.interval is not None
    assert auc.interval.low > 0.5
    assert auc.value == pytest.approx(
        scipy_stats.norm.cdf(0.8 / np.sqrt(2)), abs=0.06
    )  # the best there is: Φ(δ/√2)


def test_alike_splits_cannot_be_told_apart(tmp_path: Path) -> None:
    held = 0
    for seed in range(5):
        table = make.frame(400, seed=seed).assign(part=["train", "test"] * 200)
        interval = at(measured(table, tmp_path, ROLES, seed=seed), "drift_auc").interval
        assert interval is not None
        held += interval.low <= 0.5 <= interval.high
    assert held >= 4


def test_texts_of_another_kind_are_told_apart(tmp_path: Path) -> None:
    table = make.sentences(120).assign(part=["train", "test"] * 60)
    table["text"] = np.where(table.part == "test", table.text + " ugh ugh", table.text)
    result = measured(table, tmp_path, TEXT_ROLES)
    assert at(result, "drift_auc").value > 0.95  # type: ignore[operator]
    assert at(result, "psi", "words in the text").value is not None


def test_a_data_set_for_a_generator_is_looked_through_without_asking_it(tmp_path: Path) -> None:
    ref = make.data_ref(seq.questions(30), tmp_path, seq.ROLES)
    model = seq.Writing(lambda prompt, seed: "")
    result = make.evaluate(DATA, model, make.request(DATA.name, ref, seq.WRITER), tmp_path)
    assert at(result, "duplicates").value == 0
    assert at(result, "label_noise").value is None
    assert model.usage.queries == 0
