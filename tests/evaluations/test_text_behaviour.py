"""Behavioural tests: each change by hand and against TextAttack's lists, each failure against a model made to fail."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest

from evaluations import catalogue
from evaluations.models.protocol import Generation
from evaluations.robustness import behaviours_contractions as contractions
from evaluations.robustness import behaviours_words as words
from evaluations.robustness.behaviours import BEHAVIOURS, changed
from evaluations.robustness.text_behaviour import Directional, Invariance, TextBehaviourParams
from evaluations.robustness.text_behaviour_scores import failures
from evaluations.spec import EvaluationError, EvaluationResult, MetricStatus, Role
from evaluations.stats import wilson
from tests.evaluations import make, seq
from tests.evaluations.cases.robustness_text_behaviour import READER, Reading, counting

TEXTATTACK = Path(importlib.util.find_spec("textattack").origin).parent  # type: ignore[union-attr, arg-type]  # it is installed
SENTENCE = "I don't think that Emily's film is very good, but John was not wrong."


def textattacks(file: str, name: str) -> Any:
    """A literal of one of TextAttack's modules, read and not run: importing it would load torch and more."""
    for node in ast.walk(ast.parse((TEXTATTACK / file).read_text())):
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(getattr(target, "id", getattr(target, "attr", "")) == name for target in targets):
            return ast.literal_eval(node.value)  # type: ignore[attr-defined]  # an Assign has a value
    raise LookupError(name)


def made_of(test: str, text: str, seed: int = 0) -> str | None:
    return changed(BEHAVIOURS[test], text, np.random.default_rng(seed))


# --- the changes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("test", "text", "new"),
    [
        ("lower_case", "The BEST film.", "the best film."),
        ("upper_case", "It's naïve.", "IT'S NAÏVE."),
        ("title_case", "they DON'T say why.", "They Don't Say Why."),
        ("spacing", "one two", "one  two"),
        ("full_stop", "A fine film. ", "A fine film"),
        ("full_stop", "A fine film", "A fine film."),
        ("full_stop", "A fine film!", None),
        ("full_stop", "To be continued...", None),
        ("contractions", "They're sure it won't.", "They are sure it will not."),
        ("contractions", "DON'T GO. We’ve time", "DO NOT GO. We have time"),
        ("contractions", "Do not go, I am sure.", "Don't go, I'm sure."),
        ("contractions", "That is who they are.", None),  # nothing follows: it cannot be contracted
        ("contractions", "Don't you see? It's John's.", None),  # a question; is or has, or somebody's
        ("negated_praise", "The film is very good.", "The film is not very good."),
        ("negated_praise", "IT WAS GREAT", "IT WAS NOT GREAT"),
        ("negated_praise", "Nothing is good. It isn't good, and it is not great.", None),  # turned already
        ("negated_praise", "Nothing came. It is good, is bad.", "Nothing came. It is not good, is bad."),
        ("negated_blame", "It is good, is bad.", "It is good, is not bad."),
        (
            "negated_praise",
            "IT'S A REALLY GOOD FILM, John's nice friend.",
            "IT'S NOT A REALLY GOOD FILM, John's nice friend.",
        ),
        ("negated_praise", "It’s great, they're a good pair.", "It’s not great, they're not a good pair."),
        ("negated_praise", "It cannot be enjoyed, since it is nice.", None),
        ("names", "Nobody of the name of Will or Grace.", None),  # words as well as names
    ],
)
def test_each_change_is_the_one_that_is_meant(test: str, text: str, new: str | None) -> None:
    assert made_of(test, text) == new


def test_contractions_are_those_of_textattack_and_go_both_ways() -> None:
    known = textattacks("shared/data.py", "EXTENSION_MAP")
    for long, short in contractions.PAIRS.items():
        assert known[short] == long
        for sentence in (f"Well, {short} say so.", f"{short[0].upper()}{short[1:]} say so."):
            longer = contractions.expanded(sentence)
            assert longer.lower() == sentence.lower().replace(short.lower(), long.lower())
            assert contractions.contracted(longer) == sentence


def test_keys_are_those_that_textattack_holds_for_neighbours() -> None:
    known = textattacks("transformations/word_swaps/word_swap_qwerty.py", "_keyboard_adjacency")
    for key, near in words.KEYS.items():
        assert all(other in known[key] or key in known[other] for other in near)  # its map lacks some one way
        assert all(key in words.KEYS[other] for other in near)
    assert set(words.KEYS) == set("abcdefghijklmnopqrstuvwxyz")


def test_names_are_names_in_textattacks_list_of_them() -> None:
    known = {name.lower() for name in textattacks("shared/data.py", "PERSON_NAMES")["first"]}
    assert {name.lower() for name in (*words.WOMEN, *words.MEN)} <= known
    assert not set(words.WOMEN) & set(words.MEN)
    assert min(len(words.WOMEN), len(words.MEN)) >= 30


def test_typing_errors_are_one_swap_or_one_key_in_one_word() -> None:
    for seed in range(60):
        swapped, slipped = (str(made_of(test, SENTENCE, seed)) for test in ("swapped_letters", "slipped_key"))
        assert len(swapped) == len(slipped) == len(SENTENCE)
        at = [i for i, (a, b) in enumerate(zip(SENTENCE, swapped, strict=True)) if a != b]
        assert at == [at[0], at[0] + 1]
        assert (swapped[at[0]], swapped[at[1]]) == (SENTENCE[at[1]], SENTENCE[at[0]])
        (one,) = [i for i, (a, b) in enumerate(zip(SENTENCE, slipped, strict=True)) if a != b]
        assert slipped[one].lower() in words.KEYS[SENTENCE[one].lower()]
        assert SENTENCE[one - 1].isalpha(), "the first letter of a word stays"
    assert len({made_of("slipped_key", SENTENCE, seed) for seed in range(60)}) > 20
    assert made_of("swapped_letters", "an ox is up") is None
    assert made_of("slipped_key", "see www.example.org or @somebody") is None


def test_a_name_becomes_another_of_the_same_sex_wherever_it_stands() -> None:
    for seed in range(40):
        new = str(made_of("names", "Emily met John. Then Emily's Johnson left John.", seed))
        found = re.fullmatch(r"(\w+) met (\w+)\. Then (\w+)'s Johnson left (\w+)\.", new)
        assert found, new
        her, him, hers, himself = found.groups()
        assert her == hers in words.WOMEN
        assert him == himself in words.MEN
        assert her != "Emily"
        assert him != "John"
    assert made_of("names", " ".join(words.WOMEN)) is None


def test_added_phrases_are_sentences_of_their_own() -> None:
    said = {str(made_of("added_praise", "We went", seed)) for seed in range(40)}
    assert said == {f"We went. {phrase}" for phrase in words.PRAISE}
    assert str(made_of("added_blame", "We went!")).startswith("We went! ")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "👩‍👩‍👧‍👦 🎬🎬",
        "中文電影很好看",
        "هذا فيلم جيد جدا",
        "中文電影很好看 OK",
        "1234 5678",
        "\u0000\ud7ff",
        "!?…",
    ],
)
def test_what_is_not_english_is_left_alone(text: str) -> None:
    assert [made_of(test, text) for test in BEHAVIOURS] == [None] * len(BEHAVIOURS)


def test_the_tests_of_the_form_are_the_tests_there_are() -> None:
    assert [*get_args(Invariance), *get_args(Directional)] == list(BEHAVIOURS)
    assert {b.name for b in BEHAVIOURS.values() if b.must == "stay"} == set(get_args(Invariance))
    with pytest.raises(ValueError, match="once"):
        TextBehaviourParams(invariance=("spacing", "spacing"))


# --- the failures --------------------------------------------------------------------------------------


def test_a_direction_fails_beyond_the_margin_only_and_on_one_side() -> None:
    before, after = (
        np.array([[0.5, 0.5]] * 4),
        np.array([[0.41, 0.59], [0.39, 0.61], [0.61, 0.39], [0.5, 0.5]]),
    )
    assert failures("not_rise", before, after, 1, 0.1).tolist() == [False, True, False, False]
    assert failures("not_fall", before, after, 1, 0.1).tolist() == [False, False, True, False]
    assert failures("not_fall", before, after, 0, 0.1).tolist() == [False, True, False, False]
    assert failures("stay", before, after, 1, 0.1).tolist() == [True, True, False, False]


def audit(
    folder: Path,
    texts: list[str],
    model: Any,
    favourable: str | None = "pos",
    ref: Any = READER,
    **params: Any,
) -> EvaluationResult:
    table = pd.DataFrame({"id": [f"t{i:04d}" for i in range(len(texts))], "text": texts})
    roles = {"id": Role.ID, "text": Role.INPUT}
    if "label" in params:
        table, roles = table.assign(label=params.pop("label")), {**roles, "label": Role.TARGET}
    data = make.data_ref(table, folder, roles, favourable_label=favourable)
    asked = make.request("robustness.text_behaviour", data, ref, **params)
    return make.evaluate(catalogue.get("robustness.text_behaviour"), model, asked, folder)


def rates(result: EvaluationResult) -> dict[str, float | None]:
    return {m.slice.removeprefix("test=") if m.slice != "all" else m.name: m.value for m in result.metrics}


def test_a_model_that_minds_capitals_fails_that_test_and_no_other(tmp_path: Path) -> None:
    texts = [f"Film {i} is a good one." for i in range(30)] + [f"film {i}: none." for i in range(10)]
    shouting = Reading(lambda rows: np.array([[0.1, 0.9] if "F" in t else [0.9, 0.1] for t in rows]))
    result = audit(tmp_path, texts, shouting, directional=())
    got = rates(result)
    # The 30 capitals are lost in lower case; the 10 small letters gain one in upper and in title case.
    assert got["lower_case"] == 1.0, "only the texts with a capital have something to lose"
    assert (got["upper_case"], got["title_case"]) == (0.25, 0.25)
    assert got["spacing"] == got["full_stop"] == got["unchanged_flip_rate"] == 0.0
    by_place = {(m.name, m.slice): m for m in result.metrics}
    lower = by_place["failure_rate", "test=lower_case"]
    assert (lower.n, lower.interval) == (30, wilson(30, 30))
    assert by_place["failure_rate", "test=names"].status is MetricStatus.NOT_ESTIMABLE
    assert by_place["failure_rate", "test=names"].n == 0
    assert by_place["directional_failure_rate", "all"].reason == "No such test was asked for."
    assert by_place["invariance_failure_rate", "all"].value == 1.0
    shown = next(e for e in result.examples if e.facts["test"] == "Lower case")
    assert (shown.before, shown.after) == ("Film 0 is a good one.", "film 0 is a good one.")
    assert shown.changed == ((0, 0),)
    assert shown.facts["answer_before"] == "pos"


def test_a_model_that_reads_no_negation_passes_and_one_that_turns_it_round_fails(tmp_path: Path) -> None:
    texts = [f"Film {i} is good and the end is dull" for i in range(25)]
    blind = audit(tmp_path, texts, Reading(counting))
    assert rates(blind)["negated_praise"] == rates(blind)["negated_blame"] == 0.0, (
        "a word that is not read moves nothing"
    )
    glad = Reading(lambda rows: np.array([[0.2, 0.8] if "not" in t else [0.8, 0.2] for t in rows]))
    got = rates(audit(tmp_path, texts, glad))
    assert (got["negated_praise"], got["negated_blame"]) == (1.0, 0.0)
    assert got["directional_failure_rate"] == 1.0
    other = rates(audit(tmp_path, texts, glad, favourable="neg"))
    assert (other["negated_praise"], other["negated_blame"]) == (0.0, 1.0)


def test_no_test_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one test"):
        TextBehaviourParams(invariance=(), directional=())


def test_without_a_favourable_class_no_direction_is_right(tmp_path: Path) -> None:
    result = audit(tmp_path, ["It is good."] * 12, Reading(counting), favourable=None)
    assert "negated_praise" not in rates(result)
    (metric,) = [m for m in result.metrics if m.name == "directional_failure_rate"]
    assert "No favourable class is named" in metric.reason
    assert (
        rates(audit(tmp_path, ["It is good."] * 12, Reading(counting), favourable="pos"))["negated_praise"]
        == 0.0
    )
    with pytest.raises(EvaluationError, match="'neutral' is not one of the classes 'neg', 'pos'"):
        audit(tmp_path, ["It is good."] * 12, Reading(counting), favourable="neutral")


def test_an_answer_that_is_missing_counts_against_and_for(tmp_path: Path) -> None:
    texts = [f"Film {i} is fine." for i in range(100)]

    def mute(rows: list[str]) -> np.ndarray:
        return np.array(
            [[np.nan] * 2 if t.startswith("film 7") and "7 is" in t else [0.2, 0.8] for t in rows]
        )

    result = audit(tmp_path, texts, Reading(mute), invariance=("lower_case",), directional=())
    (one,) = [m for m in result.metrics if m.name == "failure_rate"]
    assert one.interval is not None
    assert (one.value, one.n) == (0.0, 100)
    assert (one.interval.low, one.interval.high) == (0.0, wilson(2, 100).high)  # films 7 and 77
    assert result.coverage.failed == 2
    strict = audit(
        tmp_path, texts, Reading(mute), invariance=("lower_case",), directional=(), max_error_rate=0.01
    )
    assert {m.status for m in strict.metrics if m.name == "failure_rate"} == {MetricStatus.NOT_ESTIMABLE}


def test_a_model_that_is_not_repeatable_shows_its_floor(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    dice = Reading(lambda rows: np.eye(2)[(rng.random(len(rows)) < 0.3).astype(int)])
    result = audit(tmp_path, [f"Film {i} is fine." for i in range(400)], dice, directional=())
    (floor,) = [m for m in result.metrics if m.name == "unchanged_flip_rate"]
    assert floor.interval is not None
    assert floor.interval.low < 2 * 0.3 * 0.7 < floor.interval.high
    assert any("not repeatable" in warning for warning in result.warnings)


def test_a_language_model_is_asked_for_a_label_and_graded_by_label_alone(tmp_path: Path) -> None:
    texts = [f"Film {i} is good" for i in range(12)]

    def write(prompt: str, seed: int) -> str | Generation:
        assert prompt.startswith("Is this pos or neg? ")
        return "neg" if "not" in prompt or "terrible" in prompt or "awful" in prompt else "pos"

    result = audit(
        tmp_path,
        texts,
        seq.Writing(write),
        ref=seq.WRITER,
        label=["pos", "neg"] * 6,
        prompt="Is this pos or neg? {input}",
    )
    got = rates(result)
    assert got["invariance_failure_rate"] == got["directional_failure_rate"] == 0.0
    assert got["negated_praise"] == 0.0
    assert any("no probabilities" in warning for warning in result.warnings)
    unread = audit(
        tmp_path, texts, seq.Writing(lambda prompt, seed: "Hm."), ref=seq.WRITER, label=["pos", "neg"] * 6
    )
    assert {m.status for m in unread.metrics} == {MetricStatus.NOT_ESTIMABLE}


def test_texts_of_one_person_count_as_what_they_are_worth(tmp_path: Path) -> None:
    texts = [f"{'Film' if i // 10 % 2 else 'film'} {i} is fine." for i in range(200)]
    table = pd.DataFrame(
        {"id": [f"t{i:04d}" for i in range(200)], "text": texts, "who": [i // 10 for i in range(200)]}
    )
    shouting = Reading(lambda rows: np.array([[0.1, 0.9] if "F" in t else [0.9, 0.1] for t in rows]))
    roles = {"id": Role.ID, "text": Role.INPUT}
    params: dict[str, Any] = {"invariance": ("title_case",), "directional": ()}
    found = []
    for more in ({}, {"who": Role.CLUSTER}):
        data = make.data_ref(table, tmp_path, {**roles, **more})
        asked = make.request("robustness.text_behaviour", data, READER, **params)
        result = make.evaluate(catalogue.get("robustness.text_behaviour"), shouting, asked, tmp_path)
        found.append(next(m for m in result.metrics if m.name == "failure_rate"))
    apart, together = found
    assert apart.value == together.value == 0.5
    assert apart.interval == wilson(100, 200)
    assert together.interval is not None
    assert together.interval.method == "wilson_clustered"
    assert together.n_effective is not None
    assert together.n_effective < 21  # twenty people, each of whom answers alike


def test_odd_and_long_texts_end_with_a_status(tmp_path: Path) -> None:
    odd = ["", "👩‍👩‍👧‍👦", "中文電影很好看", "هذا فيلم جيد"]
    result = audit(tmp_path, odd, Reading(counting))
    assert {m.status for m in result.metrics if m.name != "unchanged_flip_rate"} == {
        MetricStatus.NOT_ESTIMABLE
    }
    assert result.coverage.skipped == len(odd)
    long = " ".join(["the film is good and I don't like Emily"] * 1250)
    assert rates(audit(tmp_path, [long, *odd], Reading(counting)))["lower_case"] is not None


def test_records_that_no_honest_run_writes_are_refused(tmp_path: Path) -> None:
    import pyarrow as pa

    from evaluations.context import Context
    from evaluations.data import dataset
    from evaluations.spec import ShardState

    evaluation = catalogue.get("robustness.text_behaviour")
    table = pd.DataFrame({"id": ["a", "b"], "text": ["It is good.", "It is bad."]})
    data_ref = make.data_ref(table, tmp_path, {"id": Role.ID, "text": Role.INPUT})
    asked = make.request(evaluation.name, data_ref, READER)
    data, params = dataset.read(data_ref, READER.modality), TextBehaviourParams()
    ctx = Context(asked, tmp_path)
    (shard,) = evaluation.plan(2, params).shards
    honest = evaluation.run_shard(Reading(counting), data, params, ctx, shard).records
    doubt = honest.set_column(1, "probs", pa.array([[0.9, 0.9], [0.1, 0.9]]))
    for records in (honest.slice(0, 1), honest.drop_columns("spacing"), doubt):
        with pytest.raises(EvaluationError, match="Run"):
            evaluation.merge(
                [ShardState(records.replace_schema_metadata(honest.schema.metadata))], data, params, ctx
            )
