"""Attacks by misspelling: what counts as a success, what is shown and kept of it, and what a damaged record does."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from evaluations import catalogue
from evaluations.context import Context
from evaluations.data import dataset
from evaluations.data.dataset import Dataset
from evaluations.models.loader import load
from evaluations.models.protocol import Scores, Usage
from evaluations.robustness import attack_outcomes, attack_result, textattack_setup
from evaluations.robustness.attack_specs import Search
from evaluations.spec import (
    Access,
    EvaluationError,
    MetricStatus,
    Modality,
    ModelRef,
    Params,
    Role,
    Shard,
    ShardState,
)
from tests.evaluations import make


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> ModelRef:
    return make.tiny_bert(tmp_path_factory.mktemp("bert"))


def test_outcomes_do_not_depend_on_shards_and_are_made_of_the_truth(bert: ModelRef, tmp_path: Path) -> None:
    evaluation = catalogue.get("robustness.text_char")
    ref = make.data_ref(make.sentences(30), tmp_path, make.TEXT_ROLES)
    asked = make.request("robustness.text_char", ref, bert, examples=20)
    model = load(bert)
    whole = make.evaluate(evaluation, model, asked, tmp_path)
    pieces = make.evaluate(evaluation, model, asked, tmp_path, cuts=[1, 3, 6, 10, 13, 18])
    assert make.values(whole) == make.values(pieces)
    assert whole.examples == pieces.examples

    got = make.values(whole)
    before, under = got["original_accuracy", "all"], got["accuracy_under_attack", "all"]
    assert before is not None
    assert under is not None
    assert got["attack_success_rate", "all"] == pytest.approx((before - under) / before)
    assert whole.coverage.attempted == 20
    for example in whole.examples:
        assert example.before != example.after
        old, new = example.before.split(), example.after.split()
        assert example.changed == tuple((i, i) for i in range(len(old)) if old[i] != new[i])


def shard_of(bert: ModelRef, folder: Path, **params: Any) -> tuple[ShardState, Dataset, Params, Context]:
    """A run over thirty sentences in one shard, and what merge reads it with."""
    evaluation = catalogue.get("robustness.text_char")
    ref = make.data_ref(make.sentences(30), folder, make.TEXT_ROLES)
    asked = make.request("robustness.text_char", ref, bert, examples=20, **params)
    chosen = evaluation.Params.model_validate(asked.params)
    data, ctx = dataset.read(ref, Modality.TEXT_CLASSIFIER), Context(asked, folder)
    return evaluation.run_shard(load(bert), data, chosen, ctx, Shard(0, 0, 20)), data, chosen, ctx


def forged(state: ShardState, column: str, values: pa.Array) -> ShardState:
    at = state.records.column_names.index(column)
    return ShardState(state.records.set_column(at, column, values), state.counters)


def test_a_success_that_does_not_hold_when_scored_again_is_a_failure(bert: ModelRef, tmp_path: Path) -> None:
    state, data, params, ctx = shard_of(bert, tmp_path)
    key = Search("deepwordbug", False)
    honest = attack_outcomes.collect([state], data, params, ["deepwordbug"], ctx).tried[key]
    assert honest.won.any()
    # as if the changed texts were answered like the original ones
    state = forged(state, "deepwordbug_own_probs", state.records.column("probs").combine_chunks())
    outcomes = attack_outcomes.collect([state], data, params, ["deepwordbug"], ctx)
    assert not outcomes.tried[key].won.any()
    assert outcomes.tried[key].unconfirmed == honest.won.sum()
    assert "did not hold" in " ".join(attack_result.warnings(outcomes, params, ctx))


def test_records_that_no_honest_run_writes_are_refused(bert: ModelRef, tmp_path: Path) -> None:
    state, data, params, ctx = shard_of(bert, tmp_path)
    evaluation, n = catalogue.get("robustness.text_char"), state.records.num_rows
    tokens = state.records.column("tokens_before").to_pylist()
    assert any(tokens)
    wrong: dict[str, pa.Array] = {
        "deepwordbug_own_queries": pa.array([-1] * n, pa.int64()),
        "deepwordbug_own_text": pa.array(["x" * 100_000] * n, pa.string()),
        "deepwordbug_adjusted_text": pa.array(
            ["Another text of ordinary length, which nobody made of it."] * n
        ),
        "deepwordbug_adjusted_probs": pa.array([[0.9, 0.9]] * n, pa.list_(pa.float64())),
        "heat_before": pa.array([[0.1]] * n, pa.list_(pa.float64())),
        "heat_after": pa.array([t and [math.nan] * len(t) for t in tokens], pa.list_(pa.float64())),
        "tokens_before": pa.array([t and ["x" * 2000] * len(t) for t in tokens], pa.list_(pa.string())),
    }
    for column, values in wrong.items():
        with pytest.raises(EvaluationError) as refused:
            evaluation.merge([forged(state, column, values)], data, params, ctx)
        assert refused.value.code == "bad_records", column


def test_a_success_needs_another_text_and_a_question(bert: ModelRef, tmp_path: Path) -> None:
    """A model that answers at random would yield to its own text; a success without queries has no place on a curve."""
    state, data, params, ctx = shard_of(bert, tmp_path)
    evaluation = catalogue.get("robustness.text_char")
    found = state.records.column("deepwordbug_own_text").to_pylist()
    rows = dict(zip(data.ids, data.inputs(np.arange(data.rows), None), strict=True))
    same = [f and rows[i] for f, i in zip(found, state.records.column("example_id").to_pylist(), strict=True)]
    asked = state.records.column("deepwordbug_own_queries").to_pylist()
    unasked = [None if f else q for f, q in zip(found, asked, strict=True)]
    for column, values in (
        ("deepwordbug_own_text", pa.array(same, pa.string())),
        ("deepwordbug_own_queries", pa.array(unasked, pa.int64())),
    ):
        with pytest.raises(EvaluationError) as refused:
            evaluation.merge([forged(state, column, values)], data, params, ctx)
        assert refused.value.code == "bad_records", column


def test_a_text_that_breaks_the_attack_counts_against_and_for_the_model(
    bert: ModelRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    textattack_setup.prepare(make.RESOURCES)
    from evaluations.robustness import attack_run

    evaluation, model = catalogue.get("robustness.text_char"), load(bert)
    table = make.sentences(20)
    answers = model.predict_proba(list(table.text)).probs.argmax(axis=1)
    table["label"] = [model.labels[a] for a in answers]  # right everywhere, so that each is attacked
    asked = make.request(evaluation.name, make.data_ref(table, tmp_path, make.TEXT_ROLES), bert)
    clean = {m.name: m for m in make.evaluate(evaluation, model, asked, tmp_path).metrics}
    genuine = attack_run.attack_texts

    def breaking(model: Any, build: Any, texts: list[str], *rest: Any) -> Iterator[tuple[int, Any]]:
        for position, found in genuine(model, build, texts, *rest):
            yield position, IndexError("no such word") if texts[position] == table.text[3] else found

    monkeypatch.setattr(attack_run, "attack_texts", breaking)
    strict = make.evaluate(evaluation, model, asked, tmp_path)
    told = {m.name: m.status for m in strict.metrics}
    assert told.pop("original_accuracy") is MetricStatus.OK  # what came before the attack is known
    means = ("perturbed_words", "queries", "recipe_perturbed_words", "recipe_queries")
    assert {told.pop(name) for name in means} == {MetricStatus.OK}
    assert set(told.values()) == {MetricStatus.NOT_ESTIMABLE}  # 1 of 20 is more than 2 %
    assert strict.coverage.failed == 1
    lenient = asked.model_copy(update={"params": {"max_error_rate": 0.1}})
    broken = {m.name: m for m in make.evaluate(evaluation, model, lenient, tmp_path).metrics}
    for name in ("accuracy_under_attack", "attack_success_rate", "attack_success_rate_adjusted"):
        one, other = broken[name].interval, clean[name].interval
        assert one is not None
        assert other is not None
        assert one.low <= other.low
        assert one.high >= other.high


def test_a_text_that_is_wrong_when_asked_again_has_withstood_nothing(
    bert: ModelRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that wavers is skipped by the attack: that is no failure of the attack."""
    textattack_setup.prepare(make.RESOURCES)
    from evaluations.robustness import attack_run
    from evaluations.robustness.attacking import Attacked

    def skipping(model: Any, build: Any, texts: list[str], *rest: Any) -> Iterator[tuple[int, Any]]:
        yield from ((i, Attacked(None, 1, skipped=True)) for i in range(len(texts)))

    monkeypatch.setattr(attack_run, "attack_texts", skipping)
    evaluation = catalogue.get("robustness.text_char")
    data = make.data_ref(make.sentences(20), tmp_path, make.TEXT_ROLES)
    result = make.evaluate(evaluation, load(bert), make.request(evaluation.name, data, bert), tmp_path)
    rate = next(m for m in result.metrics if m.name == "attack_success_rate")
    assert rate.status is MetricStatus.NOT_ESTIMABLE
    assert result.coverage.failed > 0
    assert result.coverage.scored == 0


def test_a_model_without_weights_that_only_names_classes_is_attacked(bert: ModelRef, tmp_path: Path) -> None:
    """As an endpoint answers: the attacks see which class, and nothing of how near the other is."""
    evaluation = catalogue.get("robustness.text_char")
    table = make.sentences(20)
    asked = make.request(evaluation.name, make.data_ref(table, tmp_path, make.TEXT_ROLES), bert)
    result = make.evaluate(evaluation, NamesOnly(load(bert)), asked, tmp_path)
    by_name = make.values(result)
    assert by_name["attack_success_rate", "all"]
    assert "states no probabilities" in " ".join(result.warnings)
    assert result.examples
    assert not any(example.heat for example in result.examples)
    assert not any(fact.startswith("probability") for example in result.examples for fact in example.facts)


def test_a_model_that_is_sure_of_everything_blinds_the_attacks_and_gets_no_rate(tmp_path: Path) -> None:
    """Outputs scaled up: the same answers, and no way to tell that one misspelt word is half the way."""

    def praise(scale: float) -> Any:
        def answer(texts: Any) -> Any:
            left = np.array([sum(word in ("lovely", "superb") for word in text.split()) for text in texts])
            yes = 1 / (1 + np.exp(-scale * (left - 0.5)))
            return np.column_stack([1 - yes, yes])

        return Reader(answer, ("neg", "pos"))

    evaluation = catalogue.get("robustness.text_char")
    texts = [f"some {noun} had a lovely plot and superb acting" for noun in ("film", "play", "show", "drama")]
    table = pd.DataFrame({"id": list("abcd"), "text": texts, "label": "pos"})
    asked = make.request(evaluation.name, make.data_ref(table, tmp_path, make.TEXT_ROLES), MODEL)
    plain, sure = (make.evaluate(evaluation, praise(scale), asked, tmp_path) for scale in (1, 1000))
    rates = [make.values(result)["attack_success_rate", "all"] for result in (plain, sure)]
    assert rates == [1, None]  # never a pass: the search saw nothing, which is not that there is nothing
    assert "4 of 4 right answers state a probability of 1" in " ".join(sure.warnings)
    assert "probability of 1" not in " ".join(plain.warnings)


def test_what_a_service_said_once_is_no_success_before_it_says_it_again(tmp_path: Path) -> None:
    """It answers changed texts wrongly the first time; identical requests share an answer within one question."""
    service = Wavering()
    table = pd.DataFrame(
        {"id": list("abcd"), "text": [f"a lovely {n}" for n in ("film", "play", "show", "drama")]}
    )
    asked = make.request(
        "robustness.text_char", make.data_ref(table.assign(label="pos"), tmp_path, make.TEXT_ROLES), MODEL
    )
    result = make.evaluate(catalogue.get("robustness.text_char"), service, asked, tmp_path)
    assert make.values(result)["attack_success_rate", "all"] == 0
    assert "did not hold when scored again" in " ".join(result.warnings)


MODEL = make.STAND_IN.model_copy(update={"modality": Modality.TEXT_CLASSIFIER, "labels": ("neg", "pos")})


class Reader(make.Answering):
    """A stand-in that reads texts."""

    modality = Modality.TEXT_CLASSIFIER
    columns = None


class Wavering(Reader):
    """A service."""

    question = identity = ""
    stopped = None
    at_once = 8

    def __init__(self) -> None:
        self.first: dict[str, str] = {}  # the question in which each text was met

        def answer(texts: Any) -> Any:
            fresh = [self.first.setdefault(text, self.question) == self.question for text in texts]
            wrong = np.array([new and "lovely" not in text for new, text in zip(fresh, texts, strict=True)])
            return np.column_stack([wrong, ~wrong]) * 0.8 + 0.1

        super().__init__(answer, ("neg", "pos"))

    def probe(self, data: object) -> dict[str, str | tuple[float, ...]]:
        return {}


class NamesOnly:
    """A classifier behind a door: texts in, class names out."""

    modality = Modality.TEXT_CLASSIFIER
    adapter = "names_only/1"
    access = Access.LABEL
    columns = None
    device = "cpu"

    def __init__(self, model: Any) -> None:
        self.labels: tuple[str, ...] = model.labels
        self._answer = model.predict_proba
        self.usage = Usage()

    def predict_proba(self, texts: Any) -> Scores:
        self.usage.queries += len(texts)
        return Scores.checked(np.eye(len(self.labels))[self._answer(texts).probs.argmax(axis=1)])


def test_successes_are_explained_before_and_after(bert: ModelRef, tmp_path: Path) -> None:
    """Against the model asked directly about the text without one token."""
    evaluation, model = catalogue.get("robustness.text_char"), load(bert)
    data = make.data_ref(make.sentences(20), tmp_path, make.TEXT_ROLES)
    result = make.evaluate(evaluation, model, make.request(evaluation.name, data, bert), tmp_path)
    assert result.examples
    mask = model.tokenizer.mask_token_id
    for example in result.examples[:3]:
        before, after = example.heat
        sides = ((before, example.before, "answer_before"), (after, example.after, "answer_after"))
        for heat, text, answer in sides:
            assert heat.answer == example.facts[answer]
            target = model.labels.index(heat.answer)
            (ids,) = model.token_ids([text])
            assert len(heat.features) == len(ids) - 2  # all but [CLS] and [SEP]
            whole = model.probs_of_ids([ids])[0, target]
            for k in (0, len(heat.features) - 1):
                without = [mask if i == k + 1 else token for i, token in enumerate(ids)]
                assert heat.values[k] == pytest.approx(
                    whole - model.probs_of_ids([without])[0, target], abs=2e-6
                )
    unasked = make.request(evaluation.name, data, bert, explain=False)
    assert not any(e.heat for e in make.evaluate(evaluation, model, unasked, tmp_path).examples)


def test_every_success_is_kept_and_misleads_the_model(bert: ModelRef, tmp_path: Path) -> None:
    evaluation, model = catalogue.get("robustness.text_char"), load(bert)
    table = make.sentences(60)
    data = make.data_ref(table, tmp_path, make.TEXT_ROLES)
    asked = make.request(evaluation.name, data, bert, recipes=["deepwordbug", "pruthi", "input_reduction"])
    result = make.evaluate(evaluation, model, asked, tmp_path)
    kept = parquet.read_table(tmp_path / "artefacts" / "attacks.parquet").to_pylist()
    assert len(kept) > len([e for e in result.examples if e.kind == "attack_success"])
    assert len({row["id"] for row in kept}) == len(kept)
    assert len({(row["original_id"], row["text"]) for row in kept}) == len(kept)
    assert {row["recipe"] for row in kept} == {"deepwordbug", "deepwordbug+adjusted", "pruthi"}
    answers = [model.labels[i] for i in model.predict_proba([r["text"] for r in kept]).probs.argmax(axis=1)]
    originals = table.set_index("id")
    for row, answer in zip(kept, answers, strict=True):
        assert row["label"] == originals.label[row["original_id"]] != answer
        assert row["original_text"] == originals.text[row["original_id"]]
    once = (tmp_path / "artefacts" / "attacks.parquet").read_bytes()
    make.evaluate(evaluation, model, asked, tmp_path, cuts=[5, 20])
    assert (tmp_path / "artefacts" / "attacks.parquet").read_bytes() == once


def test_words_can_be_left_out_with_the_answer_kept(bert: ModelRef, tmp_path: Path) -> None:
    evaluation, model = catalogue.get("robustness.text_char"), load(bert)
    data = make.data_ref(make.sentences(20), tmp_path, make.TEXT_ROLES)
    asked = make.request(evaluation.name, data, bert, recipes=["input_reduction"])
    result = make.evaluate(evaluation, model, asked, tmp_path)
    by_name = {m.name: m for m in result.metrics}
    removable = by_name["removable_words"]
    assert removable.value is not None
    assert removable.interval is not None
    assert 0 < removable.value < 1
    assert by_name["attack_success_rate"].status is MetricStatus.NOT_ESTIMABLE  # it is no attack
    assert result.examples
    for example in result.examples:
        assert example.kind == "reduced_input"
        answers = model.predict_proba([example.before, example.after]).probs.argmax(axis=1)
        assert answers[0] == answers[1]
        old, new = (
            sum(any(c.isalnum() for c in w) for w in t.split()) for t in (example.before, example.after)
        )
        assert example.facts["left_out"] == pytest.approx(1 - new / old, abs=1e-4)


def test_searches_that_begin_alike_ask_the_model_once(
    bert: ModelRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    textattack_setup.prepare(make.RESOURCES)
    from evaluations.robustness import attack_run

    costs, results = [], []
    for forgetful in (False, True):
        if forgetful:
            monkeypatch.setattr(attack_run, "remembered", lambda model: model)
        evaluation, model = catalogue.get("robustness.text_char"), load(bert)
        data = make.data_ref(make.sentences(20), tmp_path, make.TEXT_ROLES)
        asked = make.request(evaluation.name, data, bert, explain=False)
        results.append(make.values(make.evaluate(evaluation, model, asked, tmp_path)))
        costs.append(model.usage.queries)
    assert results[0] == results[1]
    assert costs[0] < 0.8 * costs[1]


def test_rows_that_hang_together_widen_the_interval(bert: ModelRef, tmp_path: Path) -> None:
    """Each text four times: as much is known as from the texts once."""
    evaluation, model = catalogue.get("robustness.text_char"), load(bert)
    single = make.sentences(25)
    table = pd.concat([single.assign(id=single.id + f"-{k}", passage=single.id) for k in range(4)])
    table = table.reset_index(drop=True)
    loose, tied = ({**make.TEXT_ROLES, "passage": role} for role in (Role.IGNORE, Role.CLUSTER))
    widths = []
    for roles in (loose, tied):
        asked = make.request(evaluation.name, make.data_ref(table, tmp_path, roles), bert, explain=False)
        result = make.evaluate(evaluation, model, asked, tmp_path)
        rate = next(m for m in result.metrics if m.name == "original_accuracy")
        assert rate.interval is not None
        widths.append(rate.interval.high - rate.interval.low)
    assert widths[1] > 1.7 * widths[0]  # √4, less what the score interval's centre gives


def test_a_model_that_is_always_wrong_leaves_nothing_to_attack(bert: ModelRef, tmp_path: Path) -> None:
    table = make.sentences(12)
    model = load(bert)
    answers = model.predict_proba(list(table.text)).probs.argmax(axis=1)
    table["label"] = [model.labels[1 - a] for a in answers]
    ref = make.data_ref(table, tmp_path, make.TEXT_ROLES)
    asked = make.request("robustness.text_char", ref, bert, examples=12)
    result = make.evaluate(catalogue.get("robustness.text_char"), model, asked, tmp_path)
    by_name = {m.name: m for m in result.metrics}
    assert by_name["original_accuracy"].value == 0
    assert by_name["attack_success_rate"].status is MetricStatus.NOT_ESTIMABLE
    assert result.coverage.skipped == 12


def test_changed_stopwords_are_refused(tmp_path: Path) -> None:
    path = tmp_path / textattack_setup.STOPWORDS
    with pytest.raises(EvaluationError, match="make setup"):
        textattack_setup.prepare(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_text("the\n")
    with pytest.raises(EvaluationError, match="not the expected one"):
        textattack_setup.prepare(tmp_path)


def test_the_stand_in_replaces_flairs_sentence_tokenizer_and_tagger_and_nothing_else() -> None:
    import sys

    textattack_setup.prepare(make.RESOURCES)
    assert {name for name in sys.modules if name.split(".")[0] == "flair"} == set(textattack_setup.STAND_IN)
    import flair.data
    import flair.models

    with pytest.raises(ImportError, match="not installed"):
        flair.data.Sentence("a sentence")
    with pytest.raises(ImportError, match="not installed"):
        flair.models.SequenceTagger.load("upos-fast")
    assert flair.data.Tokenizer()


def test_preparing_textattack_leaves_the_environment_as_it_was() -> None:
    import os

    before = dict(os.environ)
    textattack_setup.prepare(make.RESOURCES)
    assert dict(os.environ) == before


@pytest.mark.slow
def test_importing_textattack_leaves_other_loggers_speaking() -> None:
    code = (
        "import logging, pathlib, os; theirs = logging.getLogger('somebody.else');"
        "from evaluations.robustness import textattack_setup;"
        "textattack_setup.prepare(pathlib.Path(os.environ['AUDITOR_RESOURCES'])); print(theirs.disabled)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "False"
