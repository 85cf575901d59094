"""Attacks by synonyms: rates of outcomes worked out by hand, over recipes together and each alone."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from evaluations import catalogue
from evaluations.context import Context
from evaluations.data import dataset
from evaluations.models.loader import load
from evaluations.robustness import attack_metrics, attack_outcomes
from evaluations.robustness.attack_specs import searches
from evaluations.scoring import LABELS
from evaluations.spec import EvaluationError, EvaluationResult, Metric, Modality, ModelRef, Role, ShardState
from tests.evaluations import make

RECIPES = ("pwws", "textfooler_variant")
NEG, POS = [0.8, 0.2], [0.3, 0.7]
TEXT = "a fine film for many people"
# Per example: the first answer (all are pos in truth), then (text, answer, queries) of each search in order.
# None is no answer to the text; a search without queries broke off.
KEPT = (None, None, 30)
FOUND = ("a fine movie for many people", NEG, 10)
TWO_WORDS = ("a nice movie for many people", NEG, 20)
UNCONFIRMED = ("a fine movie for many people", POS, 12)
BROKE = (None, None, None)
HAND: dict[str, tuple[Any, ...]] = {
    #         before  pwws   adjusted  textfooler  adjusted
    "a-wrong": (NEG, BROKE, BROKE, BROKE, BROKE),  # wrong before any change: not attacked
    "b-pwws": (POS, TWO_WORDS, KEPT, KEPT, KEPT),  # the one recipe finds two words
    "c-both": (POS, TWO_WORDS, KEPT, FOUND, FOUND),  # the other finds one, also under adjusted constraints
    "d-holds": (POS, KEPT, KEPT, KEPT, KEPT),
    "e-unconfirmed": (POS, UNCONFIRMED, KEPT, KEPT, KEPT),  # did not hold when scored again
    "f-silent": (None, BROKE, BROKE, BROKE, BROKE),  # no answer to the text
    "g-broke": (POS, BROKE, KEPT, KEPT, KEPT),  # one search broke off and the other found nothing
    "h-settled": (POS, BROKE, BROKE, FOUND, KEPT),  # one broke off, the other won all the same
}


def by_hand(folder: Path, **roles: Role) -> tuple[ShardState, dataset.Dataset, Any, Context]:
    """The records above, as a shard."""
    table = pd.DataFrame(
        {"id": list(HAND), "text": TEXT, "label": "pos", "passage": [i[0] < "e" for i in HAND]}
    )
    ref = make.data_ref(table, folder, {**make.TEXT_ROLES, **roles}, languages=("en",))
    evaluation = catalogue.get("robustness.text_synonym")
    asked = make.request(evaluation.name, ref, MODEL, max_error_rate=0.5)
    wanted = searches(RECIPES)
    columns: dict[str, list[Any]] = {"probs": [row[0] for row in HAND.values()]}
    for number, search in enumerate(wanted, 1):
        for k, name in enumerate(("text", "probs", "queries")):
            columns[f"{search.key}_{name}"] = [row[number][k] for row in HAND.values()]
    schema = attack_outcomes.schema_of(wanted)
    columns |= {name: [None] * len(HAND) for name in schema if name not in columns}
    records = pa.table(
        {"example_id": list(HAND), **{n: pa.array(columns[n], kind) for n, kind in schema.items()}}
    )
    records = records.replace_schema_metadata({LABELS: json.dumps(["neg", "pos"]).encode()})
    data = dataset.read(ref, Modality.TEXT_CLASSIFIER)
    params = evaluation.Params.model_validate(asked.params)
    return ShardState(records), data, params, Context(asked, folder)


MODEL = make.STAND_IN.model_copy(update={"modality": Modality.TEXT_CLASSIFIER})


def merged(folder: Path, **roles: Role) -> EvaluationResult:
    state, data, params, ctx = by_hand(folder, **roles)
    return catalogue.get("robustness.text_synonym").merge([state], data, params, ctx)


def metrics_of(result: EvaluationResult) -> dict[tuple[str, str], Metric]:
    return {(m.name, m.slice.removeprefix("recipe=")): m for m in result.metrics}


def score_interval(hits: float, n: float) -> tuple[float, float]:
    """Wilson 1927, from the roots of (p − θ)² = z²·θ(1 − θ)/n."""
    z2, p = 1.959963984540054**2, hits / n
    a, b, c = 1 + z2 / n, -(2 * p + z2 / n), p * p
    root = math.sqrt(b * b - 4 * a * c)
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


@pytest.mark.parametrize(
    ("name", "where", "hits", "answered", "unknown"),
    [
        # f gave no answer: 6 of 7 are right
        ("original_accuracy", "all", 6, 7, 1),
        # d, e withstand all; g and f are not known; a is wrong; b, c, h fell
        ("accuracy_under_attack", "all", 2, 6, 2),
        # of b, c, d, e, h; g and f may have fallen
        ("attack_success_rate", "all", 3, 5, 2),
        # c of b, c, d, e, g; h and f may have fallen
        ("attack_success_rate_adjusted", "all", 1, 5, 2),
        # b, c of b, c, d, e; f, g, h not known
        ("recipe_success_rate", "pwws", 2, 4, 3),
        ("recipe_success_rate_adjusted", "pwws", 0, 5, 2),
        ("recipe_accuracy_under_attack", "pwws", 2, 5, 3),
        # c, h of b, c, d, e, g, h
        ("recipe_success_rate", "textfooler_variant", 2, 6, 1),
        ("recipe_success_rate_adjusted", "textfooler_variant", 1, 6, 1),
        ("recipe_accuracy_under_attack", "textfooler_variant", 4, 7, 1),
    ],
)
def test_rates_are_those_worked_out_by_hand(
    tmp_path: Path, name: str, where: str, hits: int, answered: int, unknown: int
) -> None:
    metric = metrics_of(merged(tmp_path))[name, where]
    assert metric.value == pytest.approx(hits / answered)
    assert metric.n == answered + unknown
    assert metric.interval is not None
    assert metric.interval.low == pytest.approx(score_interval(hits, answered + unknown)[0], abs=1e-9)
    assert metric.interval.high == pytest.approx(
        score_interval(hits + unknown, answered + unknown)[1], abs=1e-9
    )


def test_means_take_the_least_change_and_the_queries_of_every_recipe(tmp_path: Path) -> None:
    got = metrics_of(merged(tmp_path))
    # b two of six words; c the smaller of two and one; h one
    assert got["perturbed_words", "all"].value == pytest.approx((2 / 6 + 1 / 6 + 1 / 6) / 3)
    assert got["recipe_perturbed_words", "pwws"].value == pytest.approx(2 / 6)
    assert got["recipe_perturbed_words", "textfooler_variant"].value == pytest.approx(1 / 6)
    # examples that both recipes searched to the end: b, c, d, e
    assert got["queries", "all"].value == pytest.approx((20 + 30 + 20 + 10 + 30 + 30 + 12 + 30) / 4)
    assert got["recipe_queries", "pwws"].value == pytest.approx((20 + 20 + 30 + 12) / 4)
    assert got["recipe_queries", "textfooler_variant"].value == pytest.approx(
        (30 + 10 + 30 + 30 + 30 + 10) / 6
    )


def test_similarity_is_that_of_minilm_and_the_best_counts(tmp_path: Path) -> None:
    from evaluations.robustness import sentence_vectors

    got = metrics_of(merged(tmp_path))
    one, two = sentence_vectors.encoder(make.RESOURCES).similarities([(TEXT, FOUND[0]), (TEXT, TWO_WORDS[0])])
    assert 0.7 < two < one < 1
    assert got["recipe_similarity", "pwws"].value == pytest.approx(two, abs=1e-6)
    assert got["recipe_similarity", "textfooler_variant"].value == pytest.approx(one, abs=1e-6)
    assert got["similarity", "all"].value == pytest.approx((two + one + one) / 3, abs=1e-6)


def test_curves_count_successes_within_so_many_queries(tmp_path: Path) -> None:
    state, data, params, ctx = by_hand(tmp_path)
    outcomes = attack_outcomes.collect([state], data, params, RECIPES, ctx)
    found = attack_metrics.curves(outcomes, 0.5)
    assert list(found) == ["pwws", "pwws+adjusted", "textfooler_variant", "textfooler_variant+adjusted"]
    # pwws searched b, c, d, e to the end, with 20, 20, 30, 12 queries; b and c fell
    assert [(q, share) for q, share, *_ in found["pwws"]] == [(12, 0), (20, 0.5), (30, 0.5)]
    for q, share, low, high in found["pwws"]:
        assert (low, high) == pytest.approx(score_interval(share * 4, 4), abs=1e-9), q


def test_what_is_shown_comes_from_the_tightest_search(tmp_path: Path) -> None:
    result = merged(tmp_path)
    shown = {e.id: (e.facts["recipe"], e.facts["constraints"], e.changed) for e in result.examples}
    assert shown == {
        "b-pwws": ("pwws", "own", ((1, 1), (2, 2))),
        "c-both": ("textfooler_variant", "adjusted", ((2, 2),)),
        "h-settled": ("textfooler_variant", "own", ((2, 2),)),
    }
    assert (result.coverage.attempted, result.coverage.skipped, result.coverage.failed) == (8, 1, 3)


def test_too_many_errors_leave_the_rates_open(tmp_path: Path) -> None:
    state, data, params, ctx = by_hand(tmp_path)
    strict = params.model_copy(update={"max_error_rate": 0.2})
    result = catalogue.get("robustness.text_synonym").merge([state], data, strict, ctx)
    got = metrics_of(result)
    assert got["original_accuracy", "all"].value is not None  # 1 of 8
    assert got["attack_success_rate", "all"].value is None  # 2 of 7
    assert "for 2 of 7 examples, more than the 20%" in got["attack_success_rate", "all"].reason
    assert got["recipe_success_rate", "textfooler_variant"].value is not None  # 1 of 7
    [curves] = [c for c in result.charts if c.name == "success_by_queries"]
    assert {row[0] for row in curves.rows} == {"textfooler_variant", "textfooler_variant+adjusted"}


def test_errors_are_held_against_the_examples_that_a_rate_is_over(tmp_path: Path) -> None:
    """Where a model is seldom right, few errors among all examples are many among those that can be attacked."""
    state, data, params, ctx = by_hand(tmp_path)
    between = params.model_copy(update={"max_error_rate": 0.26})
    got = metrics_of(catalogue.get("robustness.text_synonym").merge([state], data, between, ctx))
    assert got["accuracy_under_attack", "all"].value is not None  # 2 of 8
    assert got["attack_success_rate", "all"].value is None  # 2 of 7


def test_rows_of_one_passage_count_as_what_they_are_worth(tmp_path: Path) -> None:
    loose = metrics_of(merged(tmp_path))["original_accuracy", "all"]
    tied = metrics_of(merged(tmp_path, passage=Role.CLUSTER))["original_accuracy", "all"]
    assert loose.interval is not None
    assert tied.interval is not None
    assert tied.interval.method == "wilson_clustered"
    assert tied.n_effective is not None
    assert tied.n_effective < loose.n
    assert tied.interval.high - tied.interval.low > loose.interval.high - loose.interval.low


def test_a_folder_without_wordnet_names_the_command(tmp_path: Path) -> None:
    ref = make.tiny_bert(tmp_path / "bert")
    table = make.sentences(6)
    asked = make.request("robustness.text_synonym", make.data_ref(table, tmp_path, make.TEXT_ROLES), ref)
    stopwords = "nltk_data/corpora/stopwords/english"
    (tmp_path / stopwords).parent.mkdir(parents=True)
    (tmp_path / stopwords).write_bytes((make.RESOURCES / stopwords).read_bytes())
    asked = asked.model_copy(update={"resources": str(tmp_path)})
    with pytest.raises(EvaluationError, match="make setup") as missing:
        make.evaluate(catalogue.get("robustness.text_synonym"), load(ref), asked, tmp_path)
    assert missing.value.code == "resource_missing"


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> ModelRef:
    return make.tiny_bert(tmp_path_factory.mktemp("bert"))


def test_new_words_are_other_words_and_successes_are_like_the_original(
    bert: ModelRef, tmp_path: Path
) -> None:
    table = make.sentences(40)
    asked = make.request("robustness.text_synonym", make.data_ref(table, tmp_path, make.TEXT_ROLES), bert)
    result = make.evaluate(catalogue.get("robustness.text_synonym"), load(bert), asked, tmp_path)
    adjusted = [e for e in result.examples if e.facts["constraints"] == "adjusted"]
    assert adjusted
    assert len(adjusted) < len(result.examples)
    from evaluations.robustness import sentence_vectors

    texts = [(e.before, e.after) for e in adjusted]
    assert sentence_vectors.encoder(make.RESOURCES).similarities(texts).min() >= 0.9 - 1e-6
    assert "do not compare with published ones" in " ".join(result.warnings)
