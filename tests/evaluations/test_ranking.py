"""quality.ranking: scikit-learn's NDCG, hand-worked lists, exposure."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.metrics import ndcg_score

from evaluations import catalogue
from evaluations.context import Context
from evaluations.data import dataset
from evaluations.quality.ranking_lists import Lists
from evaluations.quality.ranking_scores import per_user
from evaluations.spec import (
    EvaluationError,
    EvaluationResult,
    Metric,
    MetricStatus,
    Modality,
    Role,
    ShardState,
)
from tests.evaluations import kinds, make

EVALUATION = catalogue.get("quality.ranking")
REF = kinds.stand_in_ref(Modality.RECOMMENDER)


def run(
    folder: Path, table: pd.DataFrame, model: Any, roles: dict[str, Role] | None = None, **params: Any
) -> EvaluationResult:
    data = make.data_ref(table, folder, roles or kinds.RANKING_ROLES)
    return make.evaluate(EVALUATION, model, make.request(EVALUATION.name, data, REF, **params), folder)


def metric(result: EvaluationResult, name: str, part: str = "all") -> Metric:
    return next(m for m in result.metrics if (m.name, m.slice) == (name, part))


def fixed_scores(seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    held: dict[tuple[str, str], float] = {}
    return kinds.Liking(lambda user, item: held.setdefault((user, item), rng.random()), kinds.CATALOGUE)


@pytest.mark.parametrize("k", [1, 3, 10, 40])
@pytest.mark.parametrize("candidates", ["all", "listed"])
def test_ndcg_is_scikit_learns(candidates: str, k: int, tmp_path: Path) -> None:
    table, model = kinds.wishes(90), fixed_scores()
    result = run(tmp_path, table, model, k=k, candidates=candidates)
    expected = []
    for user, rows in table.groupby("user"):
        wanted = dict(zip(rows.item, rows.relevance, strict=True))
        if not any(wanted.values()):
            continue
        shown = list(kinds.CATALOGUE) if candidates == "all" else list(rows.item)
        truth = np.array([[wanted.get(item, 0) for item in shown]])
        scores = np.array([[model.score(user, item) for item in shown]])
        expected.append(ndcg_score(truth, scores, k=k))
    assert metric(result, "ndcg").value == pytest.approx(np.mean(expected))
    assert metric(result, "ndcg").n == len(expected)


def test_a_table_worked_by_hand() -> None:
    """Two people, k = 3. Ann wants a (3) and d (1); Bo wants c (2), e (1) and f (1)."""
    lists = Lists(
        k=3,
        users=("ann", "bo", "cy"),
        top=(("b", "a", "c"), ("c", "b", "e"), ("a", "b", "c")),
        relevance=({"a": 3, "d": 1, "b": 0}, {"c": 2, "e": 1, "f": 1}, {"a": 0}),
    )
    log3 = math.log2(3)
    ann = ((3 / log3) / (3 + 1 / log3), 1 / 2, 1 / 2)
    bo = ((2 + 1 / 2) / (2 + 1 / log3 + 1 / 2), 1.0, 2 / 3)
    assert per_user(lists)[:2] == pytest.approx(np.array([ann, bo]))
    assert np.isnan(per_user(lists)[2]).all()


def test_exposure_worked_by_hand(tmp_path: Path) -> None:
    """Everybody sees a red item first and a blue one second, and wants both alike."""
    rows = [
        {"id": f"{u}-{item}", "user": f"u{u}", "item": item, "sex": colour, "relevance": 1}
        for u in range(20)
        for item, colour in (("r", "red"), ("b", "blue"))
    ]
    model = kinds.Liking(lambda user, item: {"r": 2, "b": 1}[item], ("b", "r"))
    result = run(tmp_path, pd.DataFrame(rows), model, k=2)
    second = 1 / math.log2(3)
    red = 1 / (1 + second)
    assert metric(result, "exposure_share", "sex=red").value == pytest.approx(red)
    assert metric(result, "exposure_share", "sex=blue").value == pytest.approx(1 - red)
    ratio = metric(result, "exposure_ratio", "sex")
    assert ratio.value == pytest.approx(second)
    assert ratio.interval.low < second < ratio.interval.high


def test_equal_scores_are_in_random_order_whatever_the_order_of_items(tmp_path: Path) -> None:
    """A model that likes all items alike is worth what chance is worth, not what the order of its items is."""
    rows = [{"id": f"{u}", "user": f"u{u}", "item": "i00", "sex": "x", "relevance": 1} for u in range(400)]
    result = run(tmp_path, pd.DataFrame(rows), kinds.Liking(lambda user, item: 0.0, kinds.CATALOGUE), k=1)
    assert metric(result, "recall").interval.low < 1 / 12 < metric(result, "recall").interval.high


def test_what_a_person_has_seen_in_training_is_neither_shown_nor_judged(tmp_path: Path) -> None:
    rows = [
        ("u1", "i00", 3, "train"),
        ("u1", "i01", 2, "test"),
        ("u2", "i00", 1, "test"),
        ("u2", "i05", 1, "train"),
    ]
    table = pd.DataFrame(rows, columns=["user", "item", "relevance", "split"]).assign(id=["a", "b", "c", "d"])
    roles = {
        "id": Role.ID,
        "user": Role.USER,
        "item": Role.ITEM,
        "relevance": Role.TARGET,
        "split": Role.SPLIT,
    }
    by_number = kinds.Liking(lambda user, item: -int(item[1:]), kinds.CATALOGUE)
    result = run(tmp_path, table, by_number, roles, k=1)
    assert metric(result, "recall").value == 1.0
    assert result.coverage.attempted == 2


def test_people_that_the_model_does_not_know_count_in_both_bounds(tmp_path: Path) -> None:
    table = kinds.wishes(300)
    known = fixed_scores()
    partly = kinds.Liking(
        lambda user, item: np.nan if user == "u007" else known.score(user, item), kinds.CATALOGUE
    )
    whole, missing = run(tmp_path, table, known), run(tmp_path, table, partly, max_error_rate=0.05)
    assert missing.coverage.failed == 1
    a, b = metric(whole, "ndcg").interval, metric(missing, "ndcg").interval
    assert b.high - b.low > a.high - a.low
    assert metric(run(tmp_path, table, partly), "ndcg").value is not None  # 1 of 50 is within 2 %
    assert metric(run(tmp_path, table, partly, max_error_rate=0.01), "ndcg").value is None


def test_means_of_scores_between_0_and_1_cover(tmp_path: Path) -> None:
    """NDCG of random lists: the interval holds the value over very many people."""
    rng = np.random.default_rng(0)

    def scores(people: int) -> np.ndarray:
        tops, wants = [], []
        for _ in range(people):
            items = rng.permutation(12)
            tops.append(tuple(f"i{i}" for i in items[:5]))
            wants.append({f"i{i}": float(i % 3) for i in range(6)})
        return per_user(Lists(5, tuple(map(str, range(people))), tuple(tops), tuple(wants)))

    from evaluations.stats import unit_mean

    truth = scores(6_000).mean(axis=0)
    held = np.zeros(3)
    for _ in range(150):
        found = scores(40)
        for m in range(3):
            interval = unit_mean(found[:, m]).interval
            held[m] += interval.low <= truth[m] <= interval.high
    assert (held / 150 >= 0.92).all()


def test_unsound_data_are_said(tmp_path: Path) -> None:
    table = kinds.wishes(12)
    model = fixed_scores()
    for changed, code in (
        (table.assign(relevance=table.relevance - 3), "relevance"),
        (pd.concat([table, table.iloc[:1].assign(id="again")]), "relevance"),
        (table.assign(user=table.user.where(table.index != 4, None)), "user_missing"),
        (table.assign(sex=[*"ab" * 6], item="i01", user=table.id), "item_groups"),
    ):
        with pytest.raises(EvaluationError) as error:
            run(tmp_path, changed, model)
        assert error.value.code == code


def test_nobody_wanting_anything_is_not_estimable(tmp_path: Path) -> None:
    result = run(tmp_path, kinds.wishes(60).assign(relevance=0), fixed_scores())
    assert {m.status for m in result.metrics} == {MetricStatus.NOT_ESTIMABLE}


@pytest.mark.parametrize("top", [["i01", "i01"], [None], [f"i{i}" for i in range(11)]])
def test_lists_that_no_honest_run_writes_are_refused(top: list[str | None], tmp_path: Path) -> None:
    data = make.data_ref(kinds.wishes(6), tmp_path, kinds.RANKING_ROLES)
    asked = make.request(EVALUATION.name, data, REF)
    read = dataset.read(data, Modality.RECOMMENDER)
    lists = pa.array([top, [], [], [], [], []], pa.list_(pa.string()))
    state = ShardState(pa.table({"example_id": pa.array(read.ids.tolist()), "top": lists}))
    with pytest.raises(EvaluationError) as error:
        EVALUATION.merge([state], read, EVALUATION.Params(), Context(asked, tmp_path))
    assert error.value.code == "bad_records"


def test_lists_of_items_that_were_not_to_be_ranked_are_refused(tmp_path: Path) -> None:
    rows = [("u1", "i00", 3, "train"), ("u1", "i01", 2, "test"), ("u2", "i02", 1, "test")]
    table = pd.DataFrame(rows, columns=["user", "item", "relevance", "split"]).assign(
        id=["a", "b", "c"], sex="x"
    )
    data = make.data_ref(table, tmp_path, {**kinds.RANKING_ROLES, "split": Role.SPLIT})
    read = dataset.read(data, Modality.RECOMMENDER)
    asked = make.request(EVALUATION.name, data, REF)

    def merged(top: list[str], candidates: str) -> EvaluationResult:
        lists = pa.array([[], top, ["i02"]], pa.list_(pa.string()))
        state = ShardState(pa.table({"example_id": pa.array(["a", "b", "c"]), "top": lists}))
        params = EVALUATION.Params.model_validate({"candidates": candidates})
        return EVALUATION.merge([state], read, params, Context(asked, tmp_path))

    assert metric(merged(["i01", "i02"], "all"), "recall").value == 1
    for top, candidates in ((["i00", "i01"], "all"), (["i01", "i02"], "listed")):
        with pytest.raises(EvaluationError, match="not to be ranked"):
            merged(top, candidates)
