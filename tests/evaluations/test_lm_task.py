"""quality.lm_task: values worked by hand or by another library, and what is asked of the model."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml

from evaluations.context import Context
from evaluations.data import dataset
from evaluations.engine.score_store import ScoreStore
from evaluations.models.protocol import Likelihood
from evaluations.quality.lm_task import EVALUATION, LmTaskParams
from evaluations.spec import Access, EvaluationError, EvaluationResult, Role, Shard, ShardState
from evaluations.stats import wilson
from tests.evaluations import make, tasks
from tests.evaluations.tasks import Speaking

CHOICE = {"output_type": "multiple_choice", "doc_to_text": "q", "doc_to_target": "a", "doc_to_choice": "c"}
WRITE = {"output_type": "generate_until", "doc_to_text": "q", "doc_to_target": "a"}
ROLES = {
    "id": Role.ID,
    "q": Role.INPUT,
    "c": Role.CHOICES,
    "a": Role.TARGET,
    "g": Role.CLUSTER,
    "s": Role.SPLIT,
}


def last() -> dict[str, Any]:
    return {"function": "regex", "regex_pattern": "[a-z]$"}


def metrics(*names: str) -> dict[str, Any]:
    return {"metric_list": [{"metric": name} for name in names]}


def run(
    folder: Path, table: pd.DataFrame, model: Any, config: dict[str, Any], **params: Any
) -> EvaluationResult:
    roles = {column: role for column, role in ROLES.items() if column in table}
    asked = make.request(
        EVALUATION.name,
        make.data_ref(table, folder, roles),
        tasks.SPEAKER,
        task=yaml.safe_dump(config),
        **params,
    )
    return make.evaluate(EVALUATION, model, asked, folder)


def metric(result: EvaluationResult, name: str) -> Any:
    return next(m for m in result.metrics if m.name == name)


def by_table(likelihoods: dict[tuple[str, str], float]) -> Callable[[str, str], float]:
    return lambda context, text: likelihoods[context, text]


def test_the_accuracies_divide_by_nothing_characters_bytes_and_what_is_likely_anyway(tmp_path: Path) -> None:
    """Two questions with the choices "ab" (2 characters, 2 bytes) and "éééé" (4 characters, 8 bytes), which is right.

    p:  −3 / −4 per character −1.5 / −1.0, per byte −1.5 / −0.5, above −1 / −3: −2 / −1
    q:  −3 / −8 per character −1.5 / −2.0, per byte −1.5 / −1.0, above −5 / −8: +2 / 0
    """
    table = pd.DataFrame({"id": ["1", "2"], "q": ["p", "q"], "c": [["ab", "éééé"]] * 2, "a": [1, 1]})
    said = {("p", " ab"): -3.0, ("p", " éééé"): -4.0, ("q", " ab"): -3.0, ("q", " éééé"): -8.0}
    alone = iter([-1.0, -3.0, -5.0, -8.0])
    model = Speaking(lambda context, text: said[context, text] if context else next(alone))
    names = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info", "brier_score")
    result = run(tmp_path, table, model, CHOICE | metrics(*names))
    values = [metric(result, name).value for name in names]
    p, q = 1 / (1 + math.exp(-1)), 1 / (1 + math.exp(-5))  # of the wrong choice
    assert values == pytest.approx([0, 0.5, 1, 0.5, (2 * p**2 + 2 * q**2) / 2])
    worst = result.examples[0]
    assert (worst.id, worst.before, worst.after, worst.facts["expected"]) == ("2", "q", "ab", "éééé")


def test_f1_and_matthews_correlation_are_those_of_scikit_learn(tmp_path: Path) -> None:
    from sklearn.metrics import f1_score, matthews_corrcoef

    rng = np.random.default_rng(1)
    right, chosen = rng.integers(0, 2, 80), rng.integers(0, 2, 80)
    table = pd.DataFrame({"id": [str(i) for i in range(80)], "c": [["n", "y"]] * 80, "a": right})
    table["q"] = [f"q{i}" for i in range(80)]
    model = Speaking(lambda context, text: -1.0 if text == (" n", " y")[chosen[int(context[1:])]] else -2.0)
    result = run(tmp_path, table, model, CHOICE | metrics("f1", "mcc"))
    assert metric(result, "f1").value == pytest.approx(f1_score(right, chosen))
    assert metric(result, "mcc").value == pytest.approx(matthews_corrcoef(right, chosen))
    for name in ("f1", "mcc"):
        found = metric(result, name)
        assert found.interval.low < found.value < found.interval.high


@pytest.mark.parametrize("clustered", [False, True])
def test_perplexities_and_their_intervals_are_those_of_a_regression_through_the_origin(
    tmp_path: Path, clustered: bool
) -> None:
    """Σy ÷ Σx is weighted least squares of y on x with weights 1/x; its robust standard error is ours."""
    import statsmodels.api as sm
    from scipy import stats as scipy_stats

    rng = np.random.default_rng(2)
    n = 40
    texts = [" ".join(["wé"] * k) for k in rng.integers(1, 9, n)]
    said = -rng.gamma(3, 2, n)
    table = pd.DataFrame({"id": [f"{i:02}" for i in range(n)], "q": texts})
    if clustered:
        table["g"] = [f"g{i // 3}" for i in range(n)]
    answers = iter(said)
    result = run(
        tmp_path,
        table,
        Speaking(lambda context, text: float(next(answers))),
        {"output_type": "loglikelihood_rolling", "doc_to_target": "q"},
    )
    for name, units in (
        ("word_perplexity", np.array([len(text.split()) for text in texts], float)),
        ("byte_perplexity", np.array([len(text.encode()) for text in texts], float)),
    ):
        how = {"cov_type": "HC1"}
        if clustered:
            how = {"cov_type": "cluster", "cov_kwds": {"groups": np.arange(n) // 3}}  # type: ignore[dict-item]  # statsmodels
        fit = sm.WLS(said, units, weights=1 / units).fit(**how)
        ratio, se = float(fit.params[0]), float(fit.bse[0])
        t = scipy_stats.t.ppf(0.975, (len(set(table.g)) if clustered else n) - 1)
        found = metric(result, name)
        assert found.value == pytest.approx(math.exp(-ratio))
        assert (found.interval.low, found.interval.high) == pytest.approx(
            (math.exp(-ratio - t * se), math.exp(-ratio + t * se))
        )
    bits = metric(result, "bits_per_byte")
    assert 2**bits.value == pytest.approx(metric(result, "byte_perplexity").value)


def test_one_continuation_has_a_perplexity_and_is_right_where_it_is_the_most_probable(tmp_path: Path) -> None:
    table = pd.DataFrame({"id": ["1", "2"], "q": ["p", "q"], "a": ["x", "y"]})
    model = Speaking(lambda context, text: Likelihood(-1.0 if text == "x" else -3.0, 1, text == "x"))
    result = run(tmp_path, table, model, CHOICE | {"output_type": "loglikelihood", "doc_to_choice": None})
    assert model.asked == [("p", "x"), ("q", "y")]  # no delimiter of its own
    assert metric(result, "acc").value == 0.5
    assert metric(result, "perplexity").value == pytest.approx(math.exp(2))


def test_texts_are_compared_without_what_the_task_ignores(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"id": ["1", "2", "3"], "q": ["p", "q", "r"], "a": [["Four!", "IV"], ["Five"], ["six 6"]]}
    )
    written = {"p": "the FOUR", "q": "fi ve", "r": "six"}
    model = Speaking(tasks.fickle, lambda prompt, seed: written[prompt])
    plain = run(tmp_path, table, model, WRITE)
    assert metric(plain, "exact_match").value == 0
    ignoring = {
        "metric": "exact_match", "ignore_case": True, "ignore_punctuation": True, "ignore_numbers": True,
        "regexes_to_ignore": ["^the ", r"\s+$", " 6"],
    }  # fmt: skip
    result = run(tmp_path, table, model, WRITE | {"metric_list": [ignoring]})
    assert metric(result, "exact_match").value == pytest.approx(2 / 3)
    assert [(e.id, e.after, e.facts["expected"]) for e in result.examples] == [("2", "fi ve", "Five")]


def test_bleu_and_chrf_are_those_of_sacrebleu(tmp_path: Path) -> None:
    import sacrebleu

    wanted = ["the cat sat on the mat today", "a dog barked at the moon", "it rained all day long in town"]
    written = ["the cat sat on a mat today", "a dog barked at the sun", "it rained all day in the town"]
    table = pd.DataFrame({"id": ["1", "2", "3"], "q": ["0", "1", "2"], "a": wanted})
    model = Speaking(tasks.fickle, lambda prompt, seed: written[int(prompt)])
    result = run(tmp_path, table, model, WRITE | metrics("bleu", "chrf"))
    assert metric(result, "bleu").value == pytest.approx(sacrebleu.corpus_bleu(written, [wanted]).score)
    assert metric(result, "chrf").value == pytest.approx(sacrebleu.corpus_chrf(written, [wanted]).score)


def test_votes_are_taken_over_texts_drawn_anew_and_other_filters_ask_nothing_anew(tmp_path: Path) -> None:
    table = pd.DataFrame({"id": ["1"], "q": ["p"], "a": ["b"]})
    drawn = iter(["it is a", "it is b", "it is b"])
    model = Speaking(tasks.fickle, lambda prompt, seed: next(drawn))
    config = WRITE | {
        "repeats": 3,
        "generation_kwargs": {"temperature": 0.7, "until": ["#"]},
        "filter_list": [
            {"name": "vote", "filter": [last(), {"function": "majority_vote"}, {"function": "take_first"}]},
            {"name": "first", "filter": [last(), {"function": "take_first"}]},
        ],
    }
    ref = make.data_ref(table, tmp_path, {c: r for c, r in ROLES.items() if c in table})
    store, values = ScoreStore(), []
    for pipeline in ("", "first"):
        asked = make.request(
            EVALUATION.name, ref, tasks.SPEAKER, task=yaml.safe_dump(config), pipeline=pipeline
        )
        params = LmTaskParams.model_validate(asked.params)
        ctx, data = Context(asked, tmp_path, store=store), dataset.read(ref, tasks.SPEAKER.modality)
        state = EVALUATION.run_shard(model, data, params, ctx, Shard(0, 0, 1))
        result = EVALUATION.merge([state], data, params, ctx)
        values.append(metric(result, "exact_match").value)
        assert any("other answer filters" in warning for warning in result.warnings)
    assert values == [1, 0]
    assert len(model.asked) == 3
    assert EVALUATION.plan(10, params).expected_queries == 30


# --- rows and worked examples ---------------------------------------------------------------------------------


def split_table() -> pd.DataFrame:
    table = tasks.questions(12).rename(columns={"text": "q", "choices": "c", "answer": "a"})
    return table.assign(s=["train"] * 5 + ["test"] * 7)


def test_only_the_tasks_split_is_judged_and_worked_examples_come_from_the_other(tmp_path: Path) -> None:
    model = Speaking(tasks.fickle)
    config = CHOICE | {"training_split": "train", "test_split": "test"}
    result = run(tmp_path, split_table(), model, config, num_fewshot=3)
    assert result.coverage.attempted == metric(result, "acc").n == 7
    for context, _ in model.asked:
        *shots, question = context.split("\n\n")
        boxes = [int(text.split("box ")[1].split("?")[0]) for text in shots]
        assert len(set(boxes)) == 3
        assert max(boxes) < 5 <= int(question.split("box ")[1].split("?")[0])
    assert result.warnings == ()
    with pytest.raises(EvaluationError, match="split 'dev'; the data set has 'test', 'train'"):
        run(tmp_path, split_table(), model, CHOICE | {"test_split": "dev"})


@pytest.mark.parametrize("draws", ["by_example", "as_lm_eval"])
@pytest.mark.parametrize("sampler", ["default", "first_n"])
def test_a_row_is_never_its_own_worked_example(tmp_path: Path, draws: str, sampler: str) -> None:
    table = split_table().drop(columns="s")
    model = Speaking(tasks.fickle)
    config = CHOICE | {"fewshot_config": {"sampler": sampler}, "fewshot_split": "test", "test_split": "test"}
    result = run(tmp_path, table, model, config, num_fewshot=4, draws=draws)
    for context, _ in model.asked:
        texts = context.split("\n\n")
        asked = [text.split("?")[0] for text in texts]
        assert len(set(asked)) == len(asked) == 5
        if sampler == "first_n":
            assert [int(text.split("box ")[1]) for text in asked[:4]] == [
                i for i in range(5) if i != int(asked[4].split("box ")[1])
            ][:4]
    assert "though never the row in question" in result.warnings[0]


@pytest.mark.parametrize("draws", ["by_example", "as_lm_eval"])
def test_worked_examples_do_not_depend_on_shards(tmp_path: Path, draws: str) -> None:
    config = CHOICE | {"test_split": "test", "fewshot_split": "test"}
    ref = make.data_ref(split_table(), tmp_path, {c: r for c, r in ROLES.items() if c in split_table()})
    asked = make.request(
        EVALUATION.name, ref, tasks.SPEAKER, task=yaml.safe_dump(config), num_fewshot=2, draws=draws
    )
    prompts = []
    for cuts in ([], [1, 6, 9]):
        model = Speaking(tasks.fickle)
        make.evaluate(EVALUATION, model, asked, tmp_path, cuts=cuts)
        prompts.append(model.asked)
    assert prompts[0] == prompts[1]


def test_a_task_may_bring_its_own_worked_examples_and_too_few_are_said(tmp_path: Path) -> None:
    model = Speaking(tasks.fickle)
    samples = [{"q": "S1", "c": ["u", "v"], "a": 0}, {"q": "S2", "c": ["u", "v"], "a": 1}]
    config = CHOICE | {"fewshot_config": {"samples": samples, "sampler": "first_n"}}
    run(tmp_path, split_table(), model, config, num_fewshot=2)
    assert all(context.startswith("S1 u\n\nS2 v\n\nWhat") for context, _ in model.asked)
    with pytest.raises(EvaluationError, match="needs 3 worked examples, and there are 2"):
        run(tmp_path, split_table(), model, config, num_fewshot=3)
    with pytest.raises(EvaluationError, match="needs 12 worked examples"):
        run(tmp_path, split_table(), model, CHOICE, num_fewshot=12)


def test_prompts_may_be_made_of_several_input_columns(tmp_path: Path) -> None:
    table = pd.DataFrame({"id": ["1"], "q": ["p"], "number": [7], "a": ["x"]})
    ref = make.data_ref(table, tmp_path, {**{c: ROLES[c] for c in ("id", "q", "a")}, "number": Role.INPUT})
    config = WRITE | {"doc_to_text": "{{q}}{{number + 1}}"}
    model = Speaking(tasks.fickle, lambda prompt, seed: "x")
    asked = make.request(EVALUATION.name, ref, tasks.SPEAKER, task=yaml.safe_dump(config))
    result = make.evaluate(EVALUATION, model, asked, tmp_path)
    assert model.asked == ["p8"]
    assert metric(result, "exact_match").value == 1


# --- what is missing, wrong or hostile ------------------------------------------------------------------------


def test_a_missing_answer_counts_against_in_the_lower_end_and_for_in_the_upper(tmp_path: Path) -> None:
    n = 100
    table = pd.DataFrame(
        {
            "id": [f"{i:03}" for i in range(n)],
            "q": [str(i) for i in range(n)],
            "c": [["x", "y"]] * n,
            "a": [0] * n,
        }
    )

    def score(context: str, text: str) -> float | None:
        if context == "99":
            return None
        return -1.0 if (text == " x") is (int(context) < 60) else -2.0

    result = run(tmp_path, table, Speaking(score), CHOICE | metrics("acc", "mcc", "brier_score"))
    acc = metric(result, "acc")
    assert acc.value == pytest.approx(60 / 99)
    assert (acc.interval.low, acc.interval.high) == (wilson(60, n).low, wilson(61, n).high)
    assert (result.coverage.scored, result.coverage.failed) == (99, 1)
    assert "no answer" in metric(result, "mcc").reason
    rolling = {"output_type": "loglikelihood_rolling", "doc_to_target": "q"}
    silent_once = Speaking(lambda context, text: None if text == "99" else -1.0)
    found = metric(run(tmp_path, table, silent_once, rolling), "word_perplexity")
    assert (found.value, "no bound" in found.reason) == (None, True)


def test_rows_whose_right_answer_is_none_of_the_choices_count_as_wrong_and_are_said(tmp_path: Path) -> None:
    table = pd.DataFrame({"id": ["1", "2"], "q": ["p", "q"], "c": [["x", "y"]] * 2, "a": ["x", "z"]})
    result = run(tmp_path, table, Speaking(lambda context, text: -1.0), CHOICE)
    assert metric(result, "acc").value == 0.5
    assert "1 rows name a right answer that is none" in result.warnings[0]


def test_a_model_without_log_probabilities_is_skipped_where_they_are_compared(tmp_path: Path) -> None:
    table = pd.DataFrame({"id": ["1"], "q": ["p"], "c": [["x", "y"]], "a": ["x"]})
    model = Speaking(tasks.fickle, lambda prompt, seed: "x")
    model.access = Access.GENERATE
    with pytest.raises(EvaluationError) as error:
        run(tmp_path, table, model, CHOICE)
    assert (error.value.code, error.value.skipped) == ("no_logprobs", True)
    assert metric(run(tmp_path, table, model, WRITE), "exact_match").value == 1


def test_a_number_for_a_prompt_is_refused_where_it_names_no_choice(tmp_path: Path) -> None:
    table = pd.DataFrame({"id": ["1"], "q": ["p"], "c": [["x", "y"]], "a": [0]})
    with pytest.raises(EvaluationError, match="names a choice in multiple_choice tasks alone"):
        run(tmp_path, table, Speaking(tasks.fickle), WRITE | {"doc_to_text": "a", "doc_to_choice": "c"})


@pytest.mark.parametrize(
    ("logprobs", "greedy"),
    [
        ([-1.0], [True]),
        ([-1.0, 5.0], [True, True]),
        ([-1.0, math.nan], [True, True]),
        ([-1.0, -math.inf], [True, True]),
        ([-1.0, None], [True, True]),
        ([-1.0, -1.0], [True, None]),
        ([-1.0, -1.0], None),
        (None, [True, True]),
    ],
)
def test_records_that_no_honest_run_writes_are_refused(logprobs: Any, greedy: Any, tmp_path: Path) -> None:
    table = pd.DataFrame({"id": ["1"], "q": ["p"], "c": [["x", "y"]], "a": ["x"]})
    ref = make.data_ref(table, tmp_path, {c: r for c, r in ROLES.items() if c in table})
    asked = make.request(EVALUATION.name, ref, tasks.SPEAKER, task=yaml.safe_dump(CHOICE))
    records = pa.table(
        {
            "example_id": ["1"],
            "logprob": pa.array([logprobs], pa.list_(pa.float64())),
            "greedy": pa.array([greedy], pa.list_(pa.bool_())),
        }
    )
    data = dataset.read(ref, tasks.SPEAKER.modality)
    params = LmTaskParams.model_validate(asked.params)
    with pytest.raises(EvaluationError) as error:
        EVALUATION.merge([ShardState(records)], data, params, Context(asked, tmp_path))
    assert error.value.code == "bad_records"
