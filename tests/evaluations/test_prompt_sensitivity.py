"""Prompt sensitivity: spreads known by construction, its statistics against enumeration, tables and simulation."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluations import catalogue, stats
from evaluations.context import Context
from evaluations.data import dataset
from evaluations.models.protocol import Generation
from evaluations.robustness import prompt_sensitivity_spread as spread
from evaluations.robustness.prompt_sensitivity import PromptSensitivityParams
from evaluations.robustness.prompt_sensitivity_answers import contains
from evaluations.robustness.prompt_sensitivity_templates import BUILT_IN, filled
from evaluations.spec import EvaluationError, EvaluationResult, Metric, MetricStatus, Role, ShardState
from tests.evaluations import make, seq, tasks
from tests.evaluations.cases.robustness_prompt_sensitivity import knowing_under

EVALUATION = catalogue.get("robustness.prompt_sensitivity")


def audit(
    folder: Path, table: pd.DataFrame, roles: dict[str, Role], model: Any, **params: Any
) -> EvaluationResult:
    asked = make.request(EVALUATION.name, make.data_ref(table, folder, roles), tasks.SPEAKER, **params)
    return make.evaluate(EVALUATION, model, asked, folder)


def by_place(result: EvaluationResult) -> dict[tuple[str, str], Metric]:
    return {(m.name, m.slice): m for m in result.metrics}


def none_of(right: np.ndarray) -> np.ndarray:
    return np.zeros(right.shape, dtype=bool)


# --- the statistics -------------------------------------------------------------------------------------


def test_the_mean_range_is_that_of_the_tables() -> None:
    """d2 of control charts: Tippett 1925; Montgomery, Statistical Quality Control, appendix VI."""
    for count, d2 in {2: 1.128, 3: 1.693, 4: 2.059, 5: 2.326, 6: 2.534, 10: 3.078, 12: 3.258}.items():
        assert spread.mean_range(count) == pytest.approx(d2, abs=6e-4)


def test_two_templates_have_newcombes_interval() -> None:
    pairs = [(1, 1)] * 36 + [(1, 0)] * 12 + [(0, 1)] * 2
    right = np.array(pairs, dtype=bool)
    low, high = spread.spread_bounds(right, none_of(right), none_of(right), None)
    assert (low, high) == pytest.approx((0.0569, 0.3404), abs=5e-5)  # golden, Newcombe 1998
    assert spread.spread_of(right) == pytest.approx(0.2)


def test_chance_is_the_mean_over_all_exchanges() -> None:
    right = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1], [1, 1, 1], [1, 0, 1]], dtype=bool)
    rows = [list(itertools.permutations(row)) for row in right.astype(int).tolist()]
    exact = np.array([np.ptp(np.sum(drawn, axis=0)) / len(right) for drawn in itertools.product(*rows)])
    drawn = spread.chance_spreads(right, None, np.random.default_rng(1), 40_000)
    assert len(drawn) == 40_000
    assert drawn.mean() == pytest.approx(exact.mean(), abs=4 * exact.std() / 200)
    for value in np.unique(exact):
        assert (drawn >= value - 1e-9).mean() == pytest.approx((exact >= value - 1e-9).mean(), abs=0.012)


def test_two_templates_give_the_p_of_mcnemars_exact_test() -> None:
    right = np.array([(1, 0)] * 9 + [(0, 1)] * 2 + [(1, 1)] * 20, dtype=bool)
    null = spread.chance_spreads(right, None, np.random.default_rng(2), 40_000)
    p = stats.permutation_p(spread.spread_of(right), null)
    assert p == pytest.approx(stats.mcnemar_exact(9, 2), abs=0.006)


def test_rows_of_one_cluster_are_exchanged_together() -> None:
    right = np.repeat(np.array([[1, 0], [0, 1], [1, 0]], dtype=bool), 10, axis=0)
    clusters = np.repeat(["a", "b", "c"], 10)
    null = spread.chance_spreads(right, clusters, np.random.default_rng(3), 4000)
    assert set(np.round(null, 9)) == {round(1 / 3, 9), 1.0}  # three clusters on one side, or two against one
    assert (null == 1).mean() == pytest.approx(1 / 4, abs=0.03)
    assert spread.chance_spreads(right, None, np.random.default_rng(3), 4000).max() < 0.9


def test_unread_answers_widen_the_upper_end_alone_and_missing_ones_both() -> None:
    rng = np.random.default_rng(4)
    right = np.column_stack([rng.random(200) < 0.9, rng.random(200) < 0.5])
    lost = none_of(right)
    lost[:30, 1] = True
    right[:30, 1] = False
    plain = spread.spread_bounds(right, none_of(right), none_of(right), None)
    unread = spread.spread_bounds(right, none_of(right), lost, None)
    missing = spread.spread_bounds(right, lost, none_of(right), None)
    assert unread[0] == plain[0]
    assert unread[1] >= plain[1]
    assert missing[0] < plain[0]
    mute = np.ones(right.shape, dtype=bool)
    assert spread.spread_bounds(none_of(right), none_of(right), mute, None)[1] == 1.0, (
        "saying nothing passes nothing"
    )


def indifferent(rng: np.random.Generator, n: int, count: int) -> np.ndarray:
    """Right and wrong that differ between templates by chance alone: each example has a probability of its own."""
    return np.asarray(rng.random((n, count)) < rng.beta(1.2, 0.8, size=(n, 1)))


def test_where_templates_do_not_matter_the_excess_is_near_nought_and_alarms_are_rare() -> None:
    rng = np.random.default_rng(5)
    excess, raw, alarms, above = [], [], 0, 0
    for _ in range(200):
        right = indifferent(rng, 150, 6)
        null = spread.chance_spreads(right, None, rng, 299)
        value = spread.spread_of(right)
        low, high = spread.spread_bounds(right, none_of(right), none_of(right), None)
        raw.append(value)
        excess.append(value - null.mean())
        alarms += stats.permutation_p(value, null) < 0.05
        above += not low <= 0.0 <= high
    assert np.mean(raw) > 0.07, "the raw spread is biased: that is why chance is taken off"
    assert abs(np.mean(excess)) < 0.006
    assert alarms <= 15  # of 200, 7.5 %
    assert above <= 10


def test_the_interval_covers_a_spread_that_is_there() -> None:
    rng = np.random.default_rng(6)
    shifts = np.array([0.0, 0.03, 0.05, 0.15])
    covered = 0
    for _ in range(200):
        hard = rng.random((160, 1))  # one threshold for each example: answers to it hang together
        noise = rng.random((160, 4))
        right = np.where(noise < 0.3, rng.random((160, 4)), hard) < 0.8 - shifts
        low, high = spread.spread_bounds(right, none_of(right), none_of(right), None)
        covered += low <= 0.15 <= high
    assert covered >= 190


# --- known by construction ------------------------------------------------------------------------------


def test_a_model_that_knows_more_under_some_templates_has_that_spread(tmp_path: Path) -> None:
    table = tasks.questions(60)
    model = knowing_under(table, {1, 2, 4, 5, 6})
    always = knowing_under(table, range(1, 7))
    easy = {text for i, text in enumerate(table.text) if i % 4 == 0}  # a quarter is known however it is asked

    def score(prompt: str, continuation: str) -> float:
        knows = always if any(text in prompt for text in easy) else model
        return float(knows.score(prompt, continuation))

    result = audit(tmp_path, table, tasks.ROLES, tasks.Speaking(score))
    got = by_place(result)
    easily = len([t for t in table.text if any(e in t for e in easy)]) / 60
    assert got["accuracy", "template=3"].value == pytest.approx(easily)
    assert {got["accuracy", f"template={k}"].value for k in (1, 2, 4, 5, 6)} == {1.0}
    assert got["spread", "all"].value == got["disagreement", "all"].value == pytest.approx(1 - easily)
    assert got["worst_accuracy", "all"].value == pytest.approx(easily)
    assert got["spread_p", "all"].value == 1e-4
    above, whole = got["spread_excess", "all"], got["spread", "all"]
    assert above.value is not None
    assert whole.value is not None
    assert above.interval is not None
    assert whole.interval is not None
    assert 0 < above.value < whole.value
    assert above.interval.high == whole.interval.high, "what chance makes is never taken off a bound"
    shown = result.examples[0]
    assert shown.kind == "prompt_sensitive"
    assert shown.facts["right_templates"] == "1, 2, 4, 5, 6"
    assert shown.facts["template_1"] == shown.facts["expected"] != shown.facts["template_3"]


def test_accuracies_by_likelihood_are_those_of_quality_multiple_choice(tmp_path: Path) -> None:
    table = tasks.questions(40)
    templates = ["{input}\nA:", "Well: {input} =", "{input}"]
    got = by_place(audit(tmp_path, table, tasks.ROLES, tasks.Speaking(tasks.fickle), templates=templates))
    other = catalogue.get("quality.multiple_choice")
    for number, prompt in enumerate(templates, start=1):
        data = make.data_ref(table, tmp_path, tasks.ROLES)
        asked = make.request(other.name, data, tasks.SPEAKER, prompt=prompt)
        found = make.evaluate(other, tasks.Speaking(tasks.fickle), asked, tmp_path).metrics[0]
        mine = got["accuracy", f"template={number}"]
        assert (mine.value, mine.interval) == (found.value, found.interval)


def test_written_choices_are_read_and_what_names_none_is_wrong_and_counted(tmp_path: Path) -> None:
    table = tasks.questions(30)
    answers = dict(zip(table.text, table.answer, strict=True))

    def write(prompt: str, seed: int) -> str:
        question = prompt.split("? ")[0].split("\n")[-1].removeprefix("Q ") + "?"
        return "Hard to say." if prompt.startswith("Hm") else f"{answers[question.removeprefix('Hm ')]}."

    result = audit(
        tmp_path,
        table,
        tasks.ROLES,
        seq.Writing(write),
        templates=["Q {input} \n{choices}", "Hm {input} \n{choices}"],
    )
    got = by_place(result)
    assert got["accuracy", "template=1"].value == 1.0
    assert got["unparsed_rate", "template=1"].value == 0.0
    blank = got["accuracy", "template=2"]
    assert blank.interval is not None
    assert (blank.value, blank.interval.high) == (0.0, 1.0)
    assert got["unparsed_rate", "template=2"].value == 1.0
    assert got["spread", "all"].value == 1.0
    assert any("under the templates 2 (100%)" in warning for warning in result.warnings)
    assert got["disagreement", "all"].value == 1.0

    mute = by_place(audit(tmp_path, table, tasks.ROLES, seq.Writing(lambda prompt, seed: "Hm.")))
    for name in ("spread", "spread_excess", "disagreement"):
        whole = mute[name, "all"].interval
        assert whole is not None
        assert (mute[name, "all"].value, whole.high) == (0.0, 1.0), "what says nothing of use passes nothing"


def test_labels_and_free_answers_are_told_apart_by_the_data(tmp_path: Path) -> None:
    films = pd.DataFrame(
        {
            "id": [f"f{i}" for i in range(20)],
            "text": [f"Film {i}" for i in range(20)],
            "label": ["good", "bad"] * 10,
        }
    )
    roles = {"id": Role.ID, "text": Role.INPUT, "label": Role.TARGET}
    labelled = audit(tmp_path, films, roles, seq.Writing(lambda prompt, seed: "Label: good"))
    assert "class names" in labelled.warnings[0]
    assert by_place(labelled)["accuracy", "template=1"].value == 0.5
    free = audit(
        tmp_path, films, roles, seq.Writing(lambda prompt, seed: "It is a good one."), task="answers"
    )
    assert "free text" in free.warnings[0]
    assert by_place(free)["accuracy", "template=1"].value == 0.5
    questions = seq.questions(20)
    open_ended = audit(tmp_path, questions, seq.ROLES, seq.Writing(seq.wavering))
    assert "free text" in open_ended.warnings[0]


def test_an_accepted_answer_must_stand_there_whole() -> None:
    assert contains("The answer is: Lisbon.", ["Porto", "lisbon"])
    assert not contains("Lisbonne", ["Lisbon"])
    assert not contains("Anything", ["the", "!"])
    assert not contains("", ["Lisbon"])


def test_the_floor_is_the_noise_of_the_same_question_asked_again(tmp_path: Path) -> None:
    table = tasks.questions(400)
    answers = dict(zip(table.text, table.answer, strict=True))

    def write(prompt: str, seed: int) -> str:
        drawn = np.random.default_rng([seed % 2**32, len(prompt)]).random() < 0.7
        return answers[prompt.split("\n")[-1]] if drawn else "grey"

    result = audit(
        tmp_path,
        table,
        tasks.ROLES,
        seq.Writing(write),
        templates=["A\n{input}", "BB\n{input}", "CCC\n{input}"],
        repeats=4,
        settings={"temperature": 1.0},
        examples=400,
    )
    got = by_place(result)
    floor = got["repeatability_floor", "all"]
    assert floor.value == pytest.approx(1.693 * np.sqrt(0.7 * 0.3 / 400), rel=0.06)
    assert floor.interval is not None
    assert floor.interval.low < 1.693 * np.sqrt(0.7 * 0.3 / 400) < floor.interval.high
    again = got["repeat_disagreement", "all"].value
    assert again == pytest.approx(1 - 0.7**4 - 0.3**4, abs=0.06)
    excess = got["spread_excess", "all"].value
    assert excess is not None
    assert excess < 0.04
    assert (got["spread_p", "all"].value or 0) > 0.01


def test_answers_that_are_missing_count_against_and_for(tmp_path: Path) -> None:
    table = tasks.questions(100)
    answers = dict(zip(table.text, table.answer, strict=True))

    def write(prompt: str, seed: int) -> str | Generation | None:
        if prompt == "Q: What colour is box 7?":
            return None
        if prompt == "Q: What colour is box 8?":
            return Generation("", "blocked", "a filter")
        return answers[prompt.split(": ")[1]]

    params: dict[str, Any] = {"templates": ["Q: {input}", "A: {input}"]}
    result = audit(tmp_path, table, tasks.ROLES, seq.Writing(write), **params)
    got = by_place(result)
    one = got["accuracy", "template=1"].interval
    assert one is not None
    assert (one.low, one.high) == (stats.wilson(98, 100).low, 1.0)
    assert (got["spread", "all"].value, got["spread", "all"].n) == (0.0, 100)
    assert (result.coverage.failed, result.coverage.blocked, result.coverage.scored) == (1, 1, 98)
    strict = by_place(audit(tmp_path, table, tasks.ROLES, seq.Writing(write), max_error_rate=0.01, **params))
    assert strict["spread", "all"].status is MetricStatus.NOT_ESTIMABLE
    assert strict["accuracy", "template=1"].status is MetricStatus.NOT_ESTIMABLE
    assert strict["accuracy", "template=2"].value == 1.0


# --- what is given by others -----------------------------------------------------------------------------


def test_templates_are_texts_and_nothing_more() -> None:
    assert (
        filled("{input}|{choices}", "{choices} {context}", None, ["a", "b"]) == "{choices} {context}|- a\n- b"
    )
    assert filled("{input.__class__} {0} {{input}}", "x", None, ()) == "{input.__class__} {0} {x}"
    assert filled("Q: {input}", "who?", "A passage.", ()) == "Q: A passage.\n\nwho?"
    assert filled("{context}; {input}", "who?", "A passage.", ()) == "A passage.; who?"
    for (kind, likely), templates in BUILT_IN.items():
        assert len(set(templates)) == 6
        assert all(template.count("{input}") == 1 for template in templates)
        lists = [("{choices}" in template) for template in templates]
        assert len(set(lists)) == 1, "each tells as much as the others"
        assert lists[0] is (kind == "labels" or (kind == "choices" and not likely))


@pytest.mark.parametrize("templates", [["{input}"], ["{input}", "{input}"], ["{input}", "no place"]])
def test_templates_that_ask_nothing_different_are_refused(templates: list[str]) -> None:
    with pytest.raises(ValueError, match=r"(T|t)emplate"):
        PromptSensitivityParams(templates=tuple(templates))


def test_what_the_task_needs_is_said(tmp_path: Path) -> None:
    table = tasks.questions(12)
    with pytest.raises(EvaluationError, match="no log-probabilities") as error:
        audit(tmp_path, table, tasks.ROLES, seq.Writing(seq.fickle), scoring="likelihood")
    assert error.value.skipped
    with pytest.raises(EvaluationError, match="Template 2 asks for"):
        audit(
            tmp_path, table, tasks.ROLES, seq.Writing(seq.fickle), templates=["{input}", "{context}{input}"]
        )
    answers = table.drop(columns=[c for c, role in tasks.ROLES.items() if role is Role.CHOICES])
    with pytest.raises(EvaluationError, match="Template 1 asks for"):
        audit(
            tmp_path,
            answers,
            {c: role for c, role in tasks.ROLES.items() if role is not Role.CHOICES},
            seq.Writing(seq.fickle),
            task="answers",
            templates=["{choices}{input}", "{input}"],
        )
    alike = pd.DataFrame({"id": ["a", "b"], "text": ["x", "y"], "label": ["good", "good"]})
    roles = {"id": Role.ID, "text": Role.INPUT, "label": Role.TARGET}
    with pytest.raises(EvaluationError, match="at least two"):
        audit(tmp_path, alike, roles, seq.Writing(seq.fickle), task="labels")


def test_odd_texts_are_asked_like_any_other(tmp_path: Path) -> None:
    odd = ["", "👩‍👩‍👧‍👦", "中文電影很好看", "هذا فيلم جيد", "word " * 10_000, "{input}"]
    table = tasks.questions(len(odd)).assign(text=odd)
    result = audit(tmp_path, table, tasks.ROLES, tasks.Speaking(tasks.fickle))
    assert by_place(result)["spread", "all"].value is not None


def test_records_that_no_honest_run_writes_are_refused(tmp_path: Path) -> None:
    import pyarrow as pa

    data_ref = make.data_ref(tasks.questions(6), tmp_path, tasks.ROLES)
    asked = make.request(EVALUATION.name, data_ref, tasks.SPEAKER)
    data, params = dataset.read(data_ref, tasks.SPEAKER.modality), PromptSensitivityParams()
    ctx = Context(asked, tmp_path)
    (shard,) = EVALUATION.plan(6, params).shards
    honest = EVALUATION.run_shard(tasks.Speaking(tasks.fickle), data, params, ctx, shard).records
    place = honest.column_names.index("logprob_0_0")
    three = honest.set_column(place, "logprob_0_0", pa.array([[-1.0, -2.0, -3.0]] * 6))
    certain = honest.set_column(place, "logprob_0_0", pa.array([[-1.0, 5.0]] * 6))
    for records in (honest.slice(0, 5), honest.drop_columns("logprob_5_0"), three, certain):
        with pytest.raises(EvaluationError, match="Run"):
            EVALUATION.merge([ShardState(records)], data, params, ctx)
    written = EVALUATION.run_shard(seq.Writing(seq.fickle), data, params, ctx, shard).records
    place = written.column_names.index("status_0_0")
    with pytest.raises(EvaluationError, match="no valid texts"):
        EVALUATION.merge(
            [ShardState(written.set_column(place, "status_0_0", pa.array(["fine"] * 6)))], data, params, ctx
        )
    for scoring, other in (("written", honest), ("likelihood", written)):
        chosen = params.model_copy(update={"scoring": scoring})
        with pytest.raises(EvaluationError, match="has the columns"):
            EVALUATION.merge([ShardState(other)], data, chosen, ctx)
