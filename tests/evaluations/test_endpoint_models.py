"""Adapters of endpoints: texts, labels, log-likelihoods, and REST predictors with a mapping."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluations.data import dataset
from evaluations.engine import fingerprint
from evaluations.models.endpoint import load
from evaluations.models.label_parsing import label_of
from evaluations.models.protocol import Remote
from evaluations.spec import (
    Access,
    EvaluationError,
    GenerationSettings,
    Modality,
    ModelFormat,
    ModelRef,
    Role,
)
from tests.endpoint_server import Answer, Handler, Service, chat, completion, serving
from tests.evaluations import make

LABELS = ("negative", "positive")


@pytest.fixture(autouse=True)
def no_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUDITOR_ENDPOINT_KEY", raising=False)


@contextmanager
def model_at(
    handler: Handler,
    folder: Path,
    modality: Modality = Modality.CAUSAL_LM,
    labels: tuple[str, ...] = (),
    **spec: Any,
) -> Iterator[tuple[Any, Service]]:
    """The adapter of a folder with endpoint.json, and the service that it asks."""
    with serving(handler) as service:
        described = {
            "schema": "endpoint/1",
            "protocol": "openai_chat",
            "url": service.url,
            "model": "tiny",
            **spec,
        }
        (folder / "endpoint.json").write_text(json.dumps(described))
        ref = ModelRef(
            path=str(folder), digest="d", modality=modality, format=ModelFormat.ENDPOINT, labels=labels
        )
        model: Any = load(folder, ref)
        try:
            yield model, service
        finally:
            model.client.close()


def written(model: Any, *prompts: str, **settings: Any) -> list[Any]:
    found: list[Any] = model.generate(prompts, GenerationSettings(**settings), list(range(len(prompts))))
    return found


# --- chat ---------------------------------------------------------------------------------------------


def test_a_chat_model_writes_what_the_service_answers_and_sends_no_seed_where_nothing_is_drawn(
    tmp_path: Path,
) -> None:
    with model_at(chat(lambda asked: f"<{asked}> END more"), tmp_path) as (model, service):
        first, second = written(model, "a b", "c", system="Be brief.", stop=("END",), max_new_tokens=9)
        assert (first.text, second.text) == ("<a b> ", "<c> ")
        assert (first.prompt_tokens, first.output_tokens, first.cut) == (2, 2, False)
        _, body = service.seen[0]
        assert body == {
            "model": "tiny",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "a b"}],
            "max_tokens": 9,
            "temperature": 0.0,
            "stop": ["END"],
        }
        written(model, "a b", temperature=0.7, top_p=0.9)
        assert service.seen[-1][1]["seed"] == 0
        assert service.seen[-1][1]["top_p"] == 0.9
        assert model.access == Access.GENERATE
        assert isinstance(model, Remote)


@pytest.mark.parametrize(
    ("choice", "status", "cut"),
    [
        ({"message": {"content": "x"}, "finish_reason": "length"}, "ok", True),
        ({"message": {"content": "x"}, "finish_reason": "content_filter"}, "blocked", False),
        ({"message": {"content": [{"type": "text", "text": "x"}]}}, "ok", False),
        ({"message": {"content": None}}, "ok", False),
        ({"message": {"content": 5}}, "error", False),
        ({"message": "x"}, "error", False),
        ({}, "error", False),
    ],
)
def test_what_is_no_text_is_an_error_and_a_filtered_one_is_blocked(
    tmp_path: Path, choice: dict[str, Any], status: str, cut: bool
) -> None:
    with model_at(lambda path, body: (200, {}, completion(choice)), tmp_path) as (model, _):
        (found,) = written(model, "a")
        assert (found.status, found.cut) == (status, cut)


@pytest.mark.parametrize("answer", [[], "text", {"choices": []}, {"choices": [1]}, None, {"error": "x"}])
def test_an_answer_of_another_shape_is_an_error_of_its_example(tmp_path: Path, answer: Any) -> None:
    with model_at(lambda path, body: (200, {}, answer), tmp_path) as (model, _):
        assert written(model, "a")[0].status == "error"


def test_log_probabilities_of_what_was_written_are_summed_where_offered(tmp_path: Path) -> None:
    told = {"content": [{"token": "a", "logprob": -0.5}, {"token": "b", "logprob": -0.25}]}

    def handler(path: str, body: Any) -> Answer:
        return (
            200,
            {},
            completion({"message": {"content": "ab"}, "logprobs": told if body.get("logprobs") else None}),
        )

    with model_at(handler, tmp_path, logprobs=True) as (model, _):
        assert written(model, "x")[0].logprob == -0.75
    with model_at(handler, tmp_path) as (model, _):
        assert written(model, "x")[0].logprob is None


# --- a chat model as a classifier ---------------------------------------------------------------------


def test_a_chat_classifier_gives_labels_and_claims_no_probabilities(tmp_path: Path) -> None:
    def answer(text: str) -> str:
        return {"good": "Positive.", "bad": "**negative**", "odd": "I cannot say"}.get(
            text, "positive or negative"
        )

    with model_at(chat(answer), tmp_path, Modality.TEXT_CLASSIFIER, LABELS) as (model, service):
        scores = model.predict_proba(["good", "bad", "odd", "both", "good"])
        assert scores.probs[:2].tolist() == [[0, 1], [1, 0]]
        assert scores.errors.tolist() == [False, False, True, True, False]
        assert Access.PROBS not in model.access
        assert Access.LABEL in model.access
        assert "negative\npositive" in service.seen[0][1]["messages"][0]["content"]
        assert len(service.seen) == 4  # the two that are the same are asked once


def test_the_instruction_of_a_chat_classifier_can_be_its_own(tmp_path: Path) -> None:
    told = {"instruction": "One of: {labels}!"}
    with model_at(chat(lambda text: "positive"), tmp_path, Modality.TEXT_CLASSIFIER, LABELS, **told) as (
        model,
        service,
    ):
        model.predict_proba(["x"])
        assert service.seen[0][1]["messages"][0]["content"] == "One of: negative\npositive!"


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("good", "good"),
        (" Very Good. ", "very good"),
        ("The answer is: very good", "very good"),
        ("Label: bad", "bad"),
        ("bad\n\nBecause it is dull and not good.", "bad"),
        ("Let me think. It has good parts.\nbad", "bad"),
        ("This is not good", None),
        ("It isn't bad", None),
        ("good and bad", None),
        ("goodness", None),
        ("", None),
        ("no", "no"),
        ("ＧＯＯＤ", "good"),
        ("very good, good", None),
        ("very good " * 20_000, "very good"),  # an answer as long as a hostile model likes is read at once
    ],
)
def test_an_answer_means_one_label_or_none(answer: str, label: str | None) -> None:
    labels = ("good", "very good", "bad", "no")
    found = label_of(answer, labels)
    assert (None if found is None else labels[found]) == label


# --- completions --------------------------------------------------------------------------------------


def toy_completions(shown_start: str = "", refuses: int = 10**9) -> Handler:
    """A service whose tokens are words with the space before them: ln p is minus the number of letters."""

    def handler(path: str, body: Any) -> Answer:
        assert path == "/completions"
        prompt = body["prompt"]
        if len(prompt) > refuses:
            return 400, {}, {"error": {"message": "the prompt is longer than the model reads"}}
        if not body.get("echo"):
            return 200, {}, completion({"text": f" then {prompt.split()[-1]}"})
        names = [*[shown_start] * bool(shown_start), *re.findall(r"<s>| ?[^ <]+", prompt), " more"]
        values: list[float | None] = [-float(len(name.strip())) for name in names]
        values[0] = None
        offsets = np.cumsum([0, *(len(name) for name in names)])[:-1].tolist()
        tops = [
            None if v is None else {name: v, "other": -3.5} for name, v in zip(names, values, strict=True)
        ]
        told = {"tokens": names, "token_logprobs": values, "text_offset": offsets, "top_logprobs": tops}
        return 200, {}, completion({"text": prompt + " more", "logprobs": told})

    return handler


@pytest.mark.parametrize("shown_start", ["", "<s>"])
def test_log_likelihoods_are_those_of_the_continuation_alone(tmp_path: Path, shown_start: str) -> None:
    pairs = [("one two", " three four"), ("one two ", "six"), ("one", " go on")]
    spec = {"protocol": "openai_completions", "logprobs": True}
    with model_at(toy_completions(shown_start), tmp_path, **spec) as (model, _):
        found = model.loglikelihoods(pairs)
        assert [(f.logprob, f.tokens, f.greedy) for f in found] == [
            (-9.0, 2, False),  # " three" (-5) and " four" (-4), where "other" is -3.5
            (-3.0, 1, True),  # the space at the end belongs to the continuation
            (-4.0, 2, True),
        ]
        assert model.access == Access.GENERATE | Access.LOGPROBS
        (text,) = written(model, "one two")
        assert text.text == " then two"


def test_the_first_token_of_a_text_needs_a_start_token(tmp_path: Path) -> None:
    spec = {"protocol": "openai_completions", "logprobs": True}
    with model_at(toy_completions(), tmp_path, **spec) as (model, _):
        assert model.loglikelihoods([("", "one two")]) == [None]
        with pytest.raises(EvaluationError, match="start_token"):
            model.rolling_loglikelihoods(["one two"])
    with model_at(toy_completions(), tmp_path, start_token="<s>", **spec) as (model, _):
        (found,) = model.rolling_loglikelihoods(["one two"])
        assert (found.logprob, found.tokens) == (-6.0, 2)


@pytest.mark.parametrize("shown_start", ["", "<s>"])
def test_tokens_are_told_one_by_one_and_the_first_where_it_follows_a_start(
    tmp_path: Path, shown_start: str
) -> None:
    spec = {"protocol": "openai_completions", "logprobs": True}
    with model_at(toy_completions(shown_start), tmp_path, **spec) as (model, _):
        found = model.token_logprobs(["one two three", "", "one"])
        assert [None if told is None else told.logprobs.tolist() for told in found] == (
            [[-3.0, -3.0, -5.0], None, [-3.0]] if shown_start else [[-3.0, -5.0], None, None]
        )
        assert found[0].means is None
    with model_at(toy_completions(), tmp_path, start_token="<s>", **spec) as (model, _):
        (told,) = model.token_logprobs(["one two"])
        assert told.logprobs.tolist() == [-3.0, -3.0]
    with (
        model_at(toy_completions(), tmp_path, protocol="openai_completions") as (model, _),
        pytest.raises(EvaluationError, match="logprobs: true"),
    ):
        model.token_logprobs(["one two"])


def test_a_pair_that_the_service_refuses_has_no_answer_and_the_others_do(tmp_path: Path) -> None:
    spec = {"protocol": "openai_completions", "logprobs": True}
    with model_at(toy_completions(refuses=40), tmp_path, **spec) as (model, _):
        found = model.loglikelihoods([("a", " b"), ("a " * 30, "b"), ("c", " d")])
        assert [f is None for f in found] == [False, True, False]


def test_without_log_probabilities_they_are_not_offered(tmp_path: Path) -> None:
    with model_at(toy_completions(), tmp_path, protocol="openai_completions") as (model, _):
        assert model.access == Access.GENERATE
        with pytest.raises(EvaluationError, match="logprobs: true"):
            model.loglikelihoods([("a", " b")])


@pytest.mark.parametrize(
    "told",
    [
        {"tokens": ["a", " b"], "token_logprobs": [None, None], "text_offset": [0, 1]},
        {"tokens": ["a", " b"], "token_logprobs": [None, -1.0]},
        {"tokens": ["a", " b"], "token_logprobs": [None], "text_offset": [0, 1]},
        {"tokens": ["a", " b"], "token_logprobs": [None, "x"], "text_offset": [0, 1]},
        {"tokens": ["a", " b"], "token_logprobs": [None, -1.0], "text_offset": [0, "x"]},
    ],
)
def test_log_probabilities_that_do_not_fit_are_no_answer(tmp_path: Path, told: Any) -> None:
    answer = completion({"text": "a b", "logprobs": told})
    spec = {"protocol": "openai_completions", "logprobs": True}
    with model_at(lambda path, body: (200, {}, answer), tmp_path, **spec) as (model, _):
        assert model.loglikelihoods([("a", " b")]) == [None]


def test_a_service_that_offers_no_log_probabilities_against_its_description_is_told(tmp_path: Path) -> None:
    spec = {"protocol": "openai_completions", "logprobs": True}
    with (
        model_at(lambda path, body: (200, {}, completion({"text": "a b"})), tmp_path, **spec) as (model, _),
        pytest.raises(EvaluationError, match="logprobs: false"),
    ):
        model.loglikelihoods([("a", " b"), ("a", " c")])


# --- REST ---------------------------------------------------------------------------------------------


def rest(rest_mapping: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"protocol": "rest", "model": "", "rest": rest_mapping, **more}


def p_of(row: Any) -> float:
    x = row["x"] if isinstance(row, dict) else row[0]
    return 1 / (1 + math.exp(-2 * x))


def frame(n: int = 50) -> pd.DataFrame:
    return make.frame(n)[["x", "z"]]


Shape = tuple[dict[str, Any], Callable[[Any], Any]]
SHAPES: dict[str, Shape] = {
    "TensorFlow Serving, named inputs": (
        {},
        lambda body: {"predictions": [[1 - p_of(row), p_of(row)] for row in body["instances"]]},
    ),
    "TensorFlow Serving, one tensor": (
        {"body": {"instances": {"$each": "$values"}}, "columns": ["x", "z"]},
        lambda body: {"predictions": [[1 - p_of(row), p_of(row)] for row in body["instances"]]},
    ),
    "MLflow's dataframe_split, probability of the second class": (
        {"body": {"dataframe_split": {"columns": "$columns", "data": {"$each": "$values"}}}},
        lambda body: {
            "predictions": [
                p_of(dict(zip(body["dataframe_split"]["columns"], row, strict=True)))
                for row in body["dataframe_split"]["data"]
            ]
        },
    ),
    "KServe v2, a flat list": (
        {
            "body": {"inputs": [{"name": "x", "data": {"$each": {"value": "$row.x"}}}]},
            "answers": "outputs.0.data",
        },
        lambda body: {
            "outputs": [
                {
                    "data": [
                        q
                        for r in body["inputs"][0]["data"]
                        for q in (1 - p_of([r["value"]]), p_of([r["value"]]))
                    ]
                }
            ]
        },
    ),
    "objects by label": (
        {"body": {"rows": "$rows"}, "answers": ""},
        lambda body: [{"yes": p_of(row), "no": 1 - p_of(row)} for row in body["rows"]],
    ),
    "labels and scores": (
        {"body": {"rows": "$rows"}, "answers": "a.b"},
        lambda body: {
            "a": {
                "b": [
                    [{"label": "yes", "score": p_of(row)}, {"label": "no", "score": 1 - p_of(row)}]
                    for row in body["rows"]
                ]
            }
        },
    ),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_a_rest_classifier_is_asked_and_read_as_its_mapping_says(tmp_path: Path, shape: Shape) -> None:
    mapping, answer = shape

    def handler(path: str, body: Any) -> Answer:
        return (200, {}, answer(body)) if path == "/models/m:predict" else (404, {}, None)

    spec = rest({**mapping, "path": "/models/m:predict", "rows_per_request": 7})
    with model_at(handler, tmp_path, Modality.TABULAR, ("no", "yes"), **spec) as (model, service):
        scores = model.predict_proba(frame())
        np.testing.assert_allclose(scores.probs, make.logistic(frame()), rtol=0, atol=1e-12)
        assert len(service.seen) == math.ceil(50 / 7)
        assert model.usage.queries == 50
        assert model.access == Access.LABEL | Access.PROBS


def test_a_rest_classifier_that_names_labels_claims_no_probabilities(tmp_path: Path) -> None:
    def handler(path: str, body: Any) -> Answer:
        return 200, {}, {"predictions": [["yes" if row["x"] > 0 else "no"][0] for row in body["instances"]]}

    spec = rest({"gives": "labels"})
    with model_at(handler, tmp_path, Modality.TABULAR, ("no", "yes"), **spec) as (model, _):
        scores = model.predict_proba(frame())
        assert (scores.probs[:, 1] == (frame().x > 0)).all()
        assert model.access == Access.LABEL


def test_a_row_that_spoils_its_batch_is_found_and_the_others_keep_their_answers(tmp_path: Path) -> None:
    table = frame(40)
    table.loc[17, "x"] = np.nan

    def handler(path: str, body: Any) -> Answer:
        if any(row["x"] is None for row in body["instances"]):
            return 422, {}, {"error": "x is missing"}
        return 200, {}, {"predictions": [[1 - p_of(row), p_of(row)] for row in body["instances"]]}

    with model_at(handler, tmp_path, Modality.TABULAR, ("no", "yes"), **rest({})) as (model, _):
        scores = model.predict_proba(table)
        assert np.flatnonzero(scores.errors).tolist() == [17]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"outputs": []}, "has no 'predictions'"),
        ({"predictions": 5}, "'5', not a list"),
        ({"predictions": [[0.5, 0.5]]}, "1 entries for 50 inputs"),
    ],
)
def test_a_reply_that_the_mapping_does_not_fit_says_what_is_there(
    tmp_path: Path, answer: Any, says: str
) -> None:
    spec = rest({"rows_per_request": 50})
    with (
        model_at(lambda path, body: (200, {}, answer), tmp_path, Modality.TABULAR, ("no", "yes"), **spec) as (
            model,
            _,
        ),
        pytest.raises(EvaluationError, match="something else than endpoint") as raised,
    ):
        model.predict_proba(frame())
    assert says in raised.value.message


@pytest.mark.parametrize(
    "entry", [[0.5, 0.6], [0.5], "x", None, {"yes": 1.0}, [0.2, 0.3, 0.5], [True, False]]
)
def test_an_entry_that_is_no_distribution_is_an_error_row(tmp_path: Path, entry: Any) -> None:
    def handler(path: str, body: Any) -> Answer:
        return 200, {}, {"predictions": [entry, *([[0.25, 0.75]] * (len(body["instances"]) - 1))]}

    with model_at(handler, tmp_path, Modality.TABULAR, ("no", "yes"), **rest({})) as (model, _):
        scores = model.predict_proba(frame(5))
        expected = [
            entry != [0.5],
            False,
            False,
            False,
            False,
        ]  # alone it is the probability of the second class
        assert scores.errors.tolist() == expected


def test_a_rest_regressor_predicts_numbers(tmp_path: Path) -> None:
    def handler(path: str, body: Any) -> Answer:
        return (
            200,
            {},
            {"predictions": [[2 * row["x"]] if row["x"] > -1 else ["?"] for row in body["instances"]]},
        )

    with model_at(handler, tmp_path, Modality.TABULAR_REGRESSION, **rest({"gives": "values"})) as (model, _):
        found, x = model.predict(frame()), frame().x.to_numpy()
        np.testing.assert_allclose(found.values[x > -1], 2 * x[x > -1])
        assert found.errors.tolist() == (x <= -1).tolist()


def test_texts_and_images_go_to_rest_predictors_too(tmp_path: Path) -> None:
    def handler(path: str, body: Any) -> Answer:
        return (
            200,
            {},
            {"predictions": [1.0 if row in ("good", {"b64": "aGk="}) else 0.0 for row in body["instances"]]},
        )

    for modality, rows in (
        (Modality.TEXT_CLASSIFIER, ["good", "bad"]),
        (Modality.IMAGE_CLASSIFIER, [b"hi", b"ho"]),
    ):
        with model_at(handler, tmp_path, modality, LABELS, **rest({})) as (model, _):
            assert model.predict_proba(rows).probs.tolist() == [[0, 1], [1, 0]]


def test_what_does_not_fit_together_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    def nothing(path: str, body: Any) -> Answer:
        raise AssertionError("asked")

    for modality, spec, code in (
        (Modality.TABULAR, {}, "model_unsupported"),
        (Modality.TEXT_CLASSIFIER, {"protocol": "openai_completions"}, "model_unsupported"),
        (Modality.TABULAR_REGRESSION, rest({}), "endpoint_spec"),
        (Modality.TEXT_CLASSIFIER, {}, "labels_unknown"),
        (Modality.CAUSAL_LM, {"url": "http://user:secret@host"}, "endpoint_spec"),
    ):
        with pytest.raises(EvaluationError) as raised, model_at(nothing, tmp_path, modality, **spec):
            pass
        assert raised.value.code == code


# --- fingerprints -------------------------------------------------------------------------------------


def some_data(folder: Path) -> dataset.Dataset:
    roles = {"id": Role.ID, "x": Role.INPUT, "z": Role.INPUT, "label": Role.TARGET}
    return dataset.read(make.data_ref(make.frame(20), folder, roles), Modality.TABULAR)


def test_a_service_that_stays_the_same_has_the_same_fingerprint_and_another_one_has_not(
    tmp_path: Path,
) -> None:
    data = some_data(tmp_path)
    with model_at(chat(str, system_fingerprint="fp_1"), tmp_path) as (model, _):
        before = fingerprint.take(model, data)
        assert before.parts["system"] == "fp_1"
        assert before.parts["model"] == "tiny"
        assert fingerprint.changed(model, data, before) == []
        assert fingerprint.take(model, data).digest == before.digest
    for other, part in (
        (chat(str, system_fingerprint="fp_2"), "system"),
        (chat(str, "tiny-2", system_fingerprint="fp_1"), "model"),
        (chat(lambda asked: asked.replace("2", "3"), system_fingerprint="fp_1"), "number"),
    ):
        with model_at(other, tmp_path) as (model, _):
            assert fingerprint.changed(model, data, before) == [part]


def test_an_answer_that_wavers_is_no_part_of_a_fingerprint_and_one_slip_is_no_change(tmp_path: Path) -> None:
    data, count = some_data(tmp_path), 0

    def answer(asked: str) -> str:
        nonlocal count
        count += 1
        return f"{count}" if "rain" in asked else asked

    with model_at(chat(answer), tmp_path) as (model, _):
        before = fingerprint.take(model, data)
        assert set(before.parts) == {"model", "capital", "number", "echo"}
    slips = iter(["slip"])
    with model_at(chat(lambda asked: next(slips, asked)), tmp_path) as (model, _):
        assert fingerprint.changed(model, data, before) == []


def test_a_rest_predictor_is_known_by_its_answers_to_the_first_rows(tmp_path: Path) -> None:
    data = some_data(tmp_path)
    shift = 0.0

    def handler(path: str, body: Any) -> Answer:
        return 200, {}, {"predictions": [p_of(row) * 0.9 + shift for row in body["instances"]]}

    with model_at(handler, tmp_path, Modality.TABULAR, ("no", "yes"), **rest({})) as (model, service):
        before = fingerprint.take(model, data)
        assert sorted(before.parts) == sorted(data.ids)[:4]
        shift = 1e-6  # an accelerator's rounding
        assert fingerprint.changed(model, data, before) == []
        shift = 0.05
        assert fingerprint.changed(model, data, before) == sorted(data.ids)[:4]
        assert len(service.seen) == 2 + 1 + 3
