"""DeepWordBug through our wrapper against TextAttack's own, and the rates that are made of its outcomes."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from evaluations import catalogue
from evaluations.context import Context
from evaluations.data import dataset
from evaluations.models.loader import load
from evaluations.robustness import text_char_scores, textattack_setup
from evaluations.spec import EvaluationError, MetricStatus, Modality, ModelRef
from tests.evaluations import make


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> ModelRef:
    return make.tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.mark.slow
def test_our_wrapper_finds_the_same_strings_with_the_same_queries_as_textattacks_own(bert: ModelRef) -> None:
    textattack_setup.prepare(make.RESOURCES)
    from textattack.attack_recipes import DeepWordBugGao2018
    from textattack.models.wrappers import HuggingFaceModelWrapper

    from evaluations.robustness.attacking import DynamicPaddingWrapper, attack_one
    from evaluations.robustness.recipes import deepwordbug

    model = load(bert)
    ours = deepwordbug(DynamicPaddingWrapper(model))
    theirs = DeepWordBugGao2018.build(HuggingFaceModelWrapper(model.network, model.tokenizer))
    table = make.sentences(24)
    truth = {"neg": 0, "pos": 1}
    successes = 0
    for text, label in zip(table.text, table.label, strict=True):
        seed = np.random.default_rng(len(text))
        mine = attack_one(ours, text, truth[label], np.random.default_rng(len(text)))
        drawn = int(seed.integers(2**32))
        random.seed(drawn)
        np.random.seed(drawn)
        result = theirs.attack(text, truth[label])
        assert mine.queries == result.num_queries
        succeeded = type(result).__name__ == "SuccessfulAttackResult"
        assert mine.text == (result.perturbed_text() if succeeded else None)
        successes += succeeded
    assert successes >= 3, "the comparison says nothing unless some attacks succeed"


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


def test_a_success_that_does_not_hold_when_scored_again_is_a_failure(bert: ModelRef, tmp_path: Path) -> None:
    evaluation = catalogue.get("robustness.text_char")
    ref = make.data_ref(make.sentences(30), tmp_path, make.TEXT_ROLES)
    asked = make.request("robustness.text_char", ref, bert, examples=20)
    params = evaluation.Params.model_validate(asked.params)
    data = dataset.read(ref, Modality.TEXT_CLASSIFIER)
    ctx = Context(asked, tmp_path)
    (shard,) = evaluation.plan(data.rows, params).shards
    state = evaluation.run_shard(load(bert), data, params, ctx, shard)
    honest = text_char_scores.collect([state], data, params, ctx)  # type: ignore[arg-type]  # params of this evaluation
    assert honest.succeeded.any()

    column = state.records.column_names.index("attacked_probs")
    unchanged = state.records.column("probs")  # as if the changed texts were answered like the original ones
    forged = type(state)(state.records.set_column(column, "attacked_probs", unchanged), state.counters)
    outcomes = text_char_scores.collect([forged], data, params, ctx)  # type: ignore[arg-type]  # as above
    assert not outcomes.succeeded.any()
    assert outcomes.unconfirmed == honest.succeeded.sum()


def test_a_text_that_breaks_the_attack_counts_against_and_for_the_model(
    bert: ModelRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    textattack_setup.prepare(make.RESOURCES)
    from evaluations.robustness import text_char_attack

    evaluation = catalogue.get("robustness.text_char")
    table = make.sentences(20)
    asked = make.request(evaluation.name, make.data_ref(table, tmp_path, make.TEXT_ROLES), bert)
    model = load(bert)
    clean = {m.name: m for m in make.evaluate(evaluation, model, asked, tmp_path).metrics}
    genuine = text_char_attack.attack_one

    def breaking(attack: object, text: str, truth: int, rng: np.random.Generator) -> object:
        if text == table.text[3]:
            raise IndexError("no such word")
        return genuine(attack, text, truth, rng)

    monkeypatch.setattr(text_char_attack, "attack_one", breaking)
    strict = make.evaluate(evaluation, model, asked, tmp_path)
    assert {m.status for m in strict.metrics} == {MetricStatus.NOT_ESTIMABLE}  # 1 of 20 is more than 2 %
    assert strict.coverage.failed == 1
    lenient = asked.model_copy(update={"params": {"max_error_rate": 0.1}})
    broken = {m.name: m for m in make.evaluate(evaluation, model, lenient, tmp_path).metrics}
    for name in ("accuracy_under_attack", "attack_success_rate"):
        one, other = broken[name].interval, clean[name].interval
        assert one is not None
        assert other is not None
        assert one.low <= other.low
        assert one.high >= other.high


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
