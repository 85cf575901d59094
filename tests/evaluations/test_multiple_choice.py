"""quality.multiple_choice: lm-eval's own numbers on the same model and data, targets of every kind, errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

from evaluations import catalogue
from evaluations.models.loader import load
from evaluations.spec import EvaluationError, EvaluationResult, MetricStatus, Role
from tests.evaluations import lm, make, tasks

EVALUATION = catalogue.get("quality.multiple_choice")


def questions(n: int = 40) -> pd.DataFrame:
    """Passages with three or four answers of unlike lengths; every fifth question ends in a space."""
    rng = np.random.default_rng(0)
    texts = list(make.sentences(n, seed=3).text)
    choices = [
        [" ".join(rng.choice(make.WORDS, rng.integers(1, 6))) for _ in range(3 + i % 2)] for i in range(n)
    ]
    return pd.DataFrame(
        {
            "id": [f"q{i:03d}" for i in range(n)],
            "text": [text + " " * (i % 5 == 0) for i, text in enumerate(texts)],
            "choices": choices,
            "answer": [int(k) for k in rng.integers(0, 3, n)],
        }
    )


def run(
    table: pd.DataFrame, folder: Path, model: Any, roles: dict[str, Role] | None = None, **params: Any
) -> EvaluationResult:
    data = make.data_ref(table, folder, roles or tasks.ROLES)
    return make.evaluate(
        EVALUATION, model, make.request(EVALUATION.name, data, tasks.SPEAKER, **params), folder
    )


def test_numbers_are_lm_evals_on_the_same_model_and_data(tmp_path: Path) -> None:
    model: Any = load(lm.causal_lm(tmp_path / "model"))
    table = questions()
    got = make.values(run(table, tmp_path, model))
    expected = by_lm_eval(model, table, tmp_path)
    assert got["acc", "all"] == pytest.approx(expected["acc,none"], abs=1e-12)
    assert got["acc_norm", "all"] == pytest.approx(expected["acc_norm,none"], abs=1e-12)


def by_lm_eval(model: Any, table: pd.DataFrame, folder: Path) -> dict[str, float]:
    """lm-evaluation-harness over a local task file, without its network."""
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    here = folder / "tasks"
    here.mkdir()
    rows = [json.dumps(row) for row in table.to_dict("records")]
    (here / "data.jsonl").write_text("\n".join(rows))
    task = {
        "task": "local_choices",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(here / "data.jsonl")}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{text}}",
        "doc_to_target": "answer",
        "doc_to_choice": "choices",
        "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
    }
    (here / "local_choices.yaml").write_text(json.dumps(task))  # JSON is YAML
    found = lm_eval.simple_evaluate(
        model=HFLM(pretrained=model.network, tokenizer=model.tokenizer, batch_size=8, device="cpu"),
        tasks=["local_choices"],
        task_manager=TaskManager(include_path=str(here), include_defaults=False),
        bootstrap_iters=0,
    )
    return dict(found["results"]["local_choices"])


def test_length_is_in_characters_without_the_delimiter(tmp_path: Path) -> None:
    table = tasks.questions(1).assign(choices=[["ab", "abcd"]], answer=["abcd"])
    model = tasks.Speaking(lambda context, text: {"--ab": -4.0, "--abcd": -7.9}[text])
    got = make.values(run(table, tmp_path, model, delimiter="--"))
    assert got["acc", "all"] == 0  # −4 > −7.9
    assert got["acc_norm", "all"] == 1  # −7.9/4 > −4/2, though not with the delimiter: −7.9/6 < −4/4 …


def test_brier_is_the_squared_distance_of_the_softmax(tmp_path: Path) -> None:
    table = tasks.questions(2).assign(choices=[["a", "b", "c"]] * 2, answer=["c", "a"])
    of = {" a": np.log(0.2), " b": np.log(0.3), " c": np.log(0.5)}
    got = make.values(run(table, tmp_path, tasks.Speaking(lambda context, text: float(of[text]) - 3)))
    by_hand = [(0.2**2 + 0.3**2 + 0.5**2), (0.8**2 + 0.3**2 + 0.5**2)]
    assert got["brier", "all"] == pytest.approx(np.mean(by_hand))


@pytest.mark.parametrize(
    "answers", [[0, 1, 1, 0], [0.0, 1.0, 1.0, 0.0], ["0", "1", "1", "0"], ["yes", "no", "no", "yes"]]
)
def test_a_target_is_the_index_or_the_text_of_the_right_choice(answers: list[Any], tmp_path: Path) -> None:
    table = tasks.questions(4).assign(choices=[["yes", "no"]] * 4, answer=answers)
    model = tasks.Speaking(lambda context, text: -1.0 if text == " no" else -2.0)
    assert make.values(run(table, tmp_path, model))["acc", "all"] == 0.5


def test_numbers_as_choices_are_matched_as_texts_where_the_target_is_text(tmp_path: Path) -> None:
    table = tasks.questions(1).assign(choices=[["2", "1", "0"]], answer=["2"])
    model = tasks.Speaking(lambda context, text: -1.0 if text == " 2" else -2.0)
    assert make.values(run(table, tmp_path, model))["acc", "all"] == 1
    assert make.values(run(table.assign(answer=[2]), tmp_path, model))["acc", "all"] == 0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"answer": ["red0", "purple"]}, "target_no_choice"),
        ({"answer": ["1", "2"]}, "target_no_choice"),
        ({"answer": ["0", "9" * 400]}, "target_no_choice"),
        ({"choices": [["pale blue0", "blue"], ["red1"]]}, "choices_few"),
    ],
)
def test_rows_that_cannot_be_judged_are_named(change: dict[str, Any], code: str, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="Row 2") as error:
        run(tasks.questions(2).assign(**change), tmp_path, tasks.Speaking(tasks.fickle))
    assert error.value.code == code


def test_prompts_are_passage_and_question_or_what_the_template_says(tmp_path: Path) -> None:
    table = tasks.questions(2).assign(passage="A passage.")
    roles = {**tasks.ROLES, "passage": Role.CONTEXT}
    plain, by_template = tasks.Speaking(tasks.fickle), tasks.Speaking(tasks.fickle)
    run(table, tmp_path, plain, roles)
    run(table, tmp_path, by_template, roles, prompt="{input} ({context})\nAnswer:", delimiter="\t")
    assert plain.asked[0] == ("A passage.\n\nWhat colour is box 0?", " red0")
    assert by_template.asked[1] == ("What colour is box 0? (A passage.)\nAnswer:", "\tpale blue0")


def test_intervals_are_wilsons_and_widen_with_clusters(tmp_path: Path) -> None:
    table = tasks.questions(60).assign(passage=[f"p{i // 12}" for i in range(60)])
    right = {f"box {i}?": i // 12 < 3 for i in range(60)}  # all right or all wrong within a passage

    def score(context: str, text: str) -> float:
        number = context.rsplit("box ", 1)[1]
        good = (text == f" pale blue{number[:-1]}") == (int(number[:-1]) % 3 == 0)
        return -1.0 if good == right[f"box {number}"] else -2.0

    alone = run(table, tmp_path, tasks.Speaking(score)).metrics[0]
    low, high = proportion_confint(36, 60, method="wilson")
    assert alone.value == 0.6
    assert alone.interval is not None
    assert (alone.interval.low, alone.interval.high) == pytest.approx((low, high))
    together = run(table, tmp_path, tasks.Speaking(score), {**tasks.ROLES, "passage": Role.CLUSTER}).metrics[
        0
    ]
    assert together.value == 0.6
    assert together.interval is not None
    assert together.interval.high - together.interval.low > 2 * (high - low)
    assert together.n_effective is not None
    assert together.n_effective < 10


def test_a_question_without_an_answer_counts_against_and_for(tmp_path: Path) -> None:
    def score(context: str, text: str) -> float | None:
        return None if "box 7?" in context and "red" in text else -1.0

    result = run(tasks.questions(60), tmp_path, tasks.Speaking(score))
    acc = result.metrics[0]
    first = [i % 3 != 0 for i in range(60) if i != 7]
    assert acc.value == pytest.approx(np.mean(first))
    assert acc.interval is not None
    assert acc.interval.low == pytest.approx(proportion_confint(sum(first), 60, method="wilson")[0])
    assert acc.interval.high == pytest.approx(proportion_confint(sum(first) + 1, 60, method="wilson")[1])
    assert (result.coverage.scored, result.coverage.failed) == (59, 1)
    few = run(tasks.questions(20), tmp_path, tasks.Speaking(score))
    assert {m.status for m in few.metrics} == {MetricStatus.NOT_ESTIMABLE}


@pytest.mark.parametrize(
    "held", [[0.5, -1.0], [float("nan"), -1.0], [-1.0], [None, -1.0], [-float("inf"), -1.0]]
)
def test_hostile_records_are_refused(held: list[float | None], tmp_path: Path) -> None:
    import pyarrow as pa

    from evaluations.context import Context
    from evaluations.data import dataset
    from evaluations.spec import ShardState

    asked = make.request(
        EVALUATION.name, make.data_ref(tasks.questions(1), tmp_path, tasks.ROLES), tasks.SPEAKER
    )
    data = dataset.read(asked.data, asked.model.modality)
    records = pa.table({"example_id": ["q000"], "logprob": pa.array([held], pa.list_(pa.float64()))})
    with pytest.raises(EvaluationError) as error:
        EVALUATION.merge([ShardState(records)], data, EVALUATION.Params(), Context(asked, tmp_path))
    assert error.value.code == "bad_records"
