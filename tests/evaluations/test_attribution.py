"""explainability.attribution: what is explained, for each kind of model; what cannot be; records that lie."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from evaluations import catalogue
from evaluations.context import Context
from evaluations.data import dataset
from evaluations.explainability.attribution_scores import rank_agreement
from evaluations.explainability.games import TextGame
from evaluations.explainability.integrated_gradients import explain as integrated
from evaluations.models.loader import load
from evaluations.spec import Access, EvaluationError, EvaluationResult, MetricStatus, Role, ShardState
from tests.evaluations import kinds, lm, make

EVALUATION = catalogue.get("explainability.attribution")
FAST = {"max_evals": 60, "seeds": 2, "background": 8}


def run(
    model: Any, ref: Any, table: pd.DataFrame, roles: Any, folder: Path, **params: Any
) -> EvaluationResult:
    data = make.data_ref(table, folder, roles)
    return make.evaluate(EVALUATION, model, make.request(EVALUATION.name, data, ref, **FAST | params), folder)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Any:
    ref = make.tiny_bert(tmp_path_factory.mktemp("text"))
    return load(ref), ref


def test_a_column_that_is_not_read_gets_nothing_and_the_other_one_all(tmp_path: Path) -> None:
    result = run(make.Answering(make.logistic), make.STAND_IN, make.frame(12), make.TABULAR_ROLES, tmp_path)
    assert make.values(result)["completeness_gap", "all"] == pytest.approx(0, abs=1e-9)
    for example in result.examples:
        heat = example.heat[0]
        assert heat.features == ("x", "z")
        assert not heat.text
        assert heat.values[1] == pytest.approx(0, abs=1e-9)
        change = example.facts["with_everything_present"] - example.facts["with_nothing_present"]  # type: ignore[operator]
        assert heat.values[0] == pytest.approx(change, abs=2e-4)
    assert any("permutation_shap" in said for said in result.warnings)
    assert result.charts[0].rows[0][0] == "x"


def test_odd_texts_end_with_a_typed_status_each(text: Any, tmp_path: Path) -> None:
    texts = [
        "",
        "good",
        "good film " * 5000,
        "🎬🎬🎬",
        "שלום עולם טוב",
        "中文電影很好看",
        "!?!",
        "a good film",
    ]
    table = pd.DataFrame({"id": list("abcdefgh"), "text": texts, "label": ["neg", "pos"] * 4})
    result = run(*text, table, make.TEXT_ROLES, tmp_path, max_evals=40)
    assert (result.coverage.scored, result.coverage.skipped, result.coverage.failed) == (7, 1, 0)
    by_id = {example.id: example for example in result.examples}
    assert "a" not in by_id  # no token, nothing to explain
    assert len(by_id["c"].heat[0].features) == 62  # as much as the model reads
    assert by_id["h"].heat[0].features == ("a", "good", "film")
    assert by_id["h"].heat[0].text
    assert any("no feature" in said for said in result.warnings)


def test_texts_with_too_many_tokens_are_skipped(text: Any, tmp_path: Path) -> None:
    result = run(*text, make.sentences(5), make.TEXT_ROLES, tmp_path, most_features=2)
    assert {m.status for m in result.metrics} == {MetricStatus.NOT_ESTIMABLE}
    assert result.coverage.skipped == 5
    assert not result.charts


@pytest.mark.parametrize(
    "method", ["partition_shap", "permutation_shap", "integrated_gradients", "occlusion"]
)
def test_texts_are_explained_by_every_method_that_reads_them(method: str, text: Any, tmp_path: Path) -> None:
    result = run(*text, make.sentences(3), make.TEXT_ROLES, tmp_path, method=method)
    found = make.values(result)
    assert result.coverage.scored == 3
    if method.endswith("shap"):
        assert found["largest_gap", "all"] == pytest.approx(0, abs=1e-9)
    assert (found["convergence_delta", "all"] is not None) is (method == "integrated_gradients")
    drawn = method == "permutation_shap"
    assert (found["seed_rank_correlation", "all"] < 1) is drawn  # type: ignore[operator]


@pytest.mark.parametrize("kind", ["vit", "resnet"])
@pytest.mark.parametrize("method", ["auto", "integrated_gradients"])
def test_images_are_shown_with_what_speaks_for_and_against(kind: str, method: str, tmp_path: Path) -> None:
    from PIL import Image

    ref = kinds.tiny_image_network(tmp_path / "model", kind)
    result = run(load(ref), ref, kinds.pictures(2), kinds.IMAGE_ROLES, tmp_path, method=method, max_evals=80)
    assert result.coverage.scored == 2
    seen, heated = (Image.open(io.BytesIO(base64.b64decode(p.png))) for p in result.examples[0].pictures)
    assert seen.size == heated.size == (32, 32) if kind == "vit" else seen.size == heated.size
    assert np.asarray(seen).tolist() != np.asarray(heated).tolist()
    assert len(result.examples[0].heat[0].features) == 49


def test_a_language_models_own_continuation_is_explained(tmp_path: Path) -> None:
    import torch

    ref = lm.causal_lm(tmp_path / "model", corpus=["the cat sat on the mat"] * 20)
    model: Any = load(ref)
    table = pd.DataFrame({"id": ["a", "b"], "text": ["the cat sat on the", ""]})
    roles = {"id": Role.ID, "text": Role.INPUT}
    result = run(model, ref, table, roles, tmp_path, continuation=3)
    assert (result.coverage.scored, result.coverage.skipped) == (1, 1)
    ids, logprob = model.tokenizer(table.text[0])["input_ids"], 0.0
    for _ in range(3):
        with torch.inference_mode():
            scores = torch.log_softmax(
                model.network(input_ids=torch.tensor([ids], device=model.device)).logits[0, -1], dim=0
            )
        ids = [*ids, int(scores.argmax())]
        logprob += float(scores.max())
    shown = result.examples[0]
    assert shown.facts["with_everything_present"] == pytest.approx(np.exp(logprob / 3), abs=1e-4)
    assert shown.heat[0].answer == model.tokenizer.decode(ids[-3:])
    assert "".join(shown.heat[0].features) == table.text[0]
    assert make.values(result)["largest_gap", "all"] == pytest.approx(0, abs=1e-9)


def test_gradients_are_asked_only_of_networks(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="safetensors") as error:
        run(
            make.Answering(make.logistic),
            make.STAND_IN,
            make.frame(3),
            make.TABULAR_ROLES,
            tmp_path,
            method="integrated_gradients",
        )
    assert error.value.skipped


def test_a_model_that_names_classes_alone_is_not_explained(tmp_path: Path) -> None:
    model = make.Answering(make.logistic)
    model.access = Access.LABEL  # type: ignore[misc]
    with pytest.raises(EvaluationError, match="predict_proba") as error:
        run(model, make.STAND_IN, make.frame(3), make.TABULAR_ROLES, tmp_path)
    assert error.value.skipped


def test_a_service_is_not_asked_thousands_of_times(tmp_path: Path) -> None:
    model: Any = make.Answering(make.logistic)
    model.question, model.identity, model.at_once, model.stopped, model.probe = "", "", 8, None, dict
    with pytest.raises(EvaluationError, match="service") as error:
        run(model, make.STAND_IN, make.frame(3), make.TABULAR_ROLES, tmp_path)
    assert error.value.skipped
    assert model.usage.queries == 0


def test_integrated_gradients_of_a_model_that_is_linear_in_its_embedding_have_a_closed_form(
    text: Any,
) -> None:
    import torch

    torch.manual_seed(0)
    table = torch.nn.Embedding(len(text[0].tokenizer), 5)
    weights = torch.randn(5)

    class Linear(torch.nn.Module):
        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            score = (table(input_ids) @ weights).sum(dim=1)
            return type("Out", (), {"logits": torch.stack([torch.zeros_like(score), score], dim=1)})

        def get_input_embeddings(self) -> Any:
            return table

    class Reader:
        labels, device, access = ("no", "yes"), "cpu", Access.GRAD | Access.PROBS
        tokenizer, usage, network, token_ids = text[0].tokenizer, text[0].usage, Linear(), text[0].token_ids

    game = TextGame(Reader(), "a good film was bad")  # type: ignore[arg-type]
    found = integrated(game, 1)
    with torch.inference_mode():
        worth = (table.weight @ weights).double().numpy()
    steps = worth[game.ids[game.positions]] - worth[game.filler]
    whole = worth[game.ids].sum()
    ends = 1 / (1 + np.exp(-np.array([whole - steps.sum(), whole])))
    np.testing.assert_allclose(found.values, steps * (ends[1] - ends[0]) / steps.sum(), atol=1e-4)
    assert found.delta == pytest.approx(found.values.sum() - (ends[1] - ends[0]), abs=1e-5)
    assert abs(found.delta or 1) < 1e-4


def test_rank_agreement_is_spearmans_over_pairs() -> None:
    from scipy.stats import spearmanr

    values = np.random.default_rng(0).normal(size=(3, 9)).round(1)
    pairs = [spearmanr(values[i], values[j]).statistic for i, j in ((0, 1), (0, 2), (1, 2))]
    assert rank_agreement(values) == pytest.approx(np.mean(pairs))
    assert np.isnan(rank_agreement(np.ones((3, 4))))


def _replaced(column: str, change: Any) -> Any:
    def of(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index(column)
        values = [change(value) for value in table.column(column).to_pylist()]
        return table.set_column(
            place, table.schema.field(place), pa.array(values, table.schema.field(place).type)
        )

    return of


LIES = {
    "too many values": _replaced("values", lambda v: [*v, 0.0]),
    "no number": _replaced("values", lambda v: [float("nan"), *v[1:]]),
    "endless": _replaced("values", lambda v: [1e300, *v[1:]]),
    "another class": _replaced("answer", lambda _: "yes or no"),
    "another output": _replaced("end", lambda v: [e + 0.2 for e in v]),
    "an unknown method": _replaced("method", lambda _: "made up"),
    "another method": _replaced("method", lambda _: "tree_shap"),
    "an unknown unit": _replaced("unit", lambda _: "dollars"),
    "a picture of a row": _replaced("picture", lambda _: b"\x89PNG"),
    "a convergence delta": _replaced("delta", lambda _: [0.1]),
    "no probability": _replaced("start", lambda v: [-0.5 for _ in v]),
    "more seeds": _replaced("start", lambda v: [*v, 0.5]),
    "more features": _replaced("features", lambda v: v * 1000),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_records_that_no_honest_run_writes_are_refused(lie: Any, tmp_path: Path) -> None:
    data = make.data_ref(make.frame(4), tmp_path)
    asked = make.request(EVALUATION.name, data, **FAST, method="permutation_shap")
    params, rows = EVALUATION.Params.model_validate(asked.params), dataset.read(data, asked.model.modality)
    ctx = Context(asked, tmp_path)
    (shard,) = EVALUATION.plan(rows.rows, params).shards
    state = EVALUATION.run_shard(make.Answering(make.logistic), rows, params, ctx, shard)
    EVALUATION.merge([state], rows, params, ctx)
    lied = ShardState(lie(state.records), state.counters)
    with pytest.raises(EvaluationError) as error:
        EVALUATION.merge([lied], rows, params, ctx)
    assert error.value.code == "bad_records"


def test_what_auto_does_not_stand_for_is_refused(tmp_path: Path) -> None:
    data = make.data_ref(make.frame(4), tmp_path)
    asked = make.request(EVALUATION.name, data, **FAST)
    params, rows = EVALUATION.Params.model_validate(asked.params), dataset.read(data, asked.model.modality)
    ctx = Context(asked, tmp_path)
    (shard,) = EVALUATION.plan(rows.rows, params).shards
    state = EVALUATION.run_shard(make.Answering(make.logistic), rows, params, ctx, shard)
    EVALUATION.merge([state], rows, params, ctx)
    once = _replaced("values", lambda v: v[: len(v) // 2])(state.records)
    for name in ("start", "end"):
        once = _replaced(name, lambda v: v[:1])(once)
    with pytest.raises(EvaluationError, match="not asked for"):
        EVALUATION.merge([ShardState(_replaced("method", lambda _: "random")(once))], rows, params, ctx)


def test_a_picture_must_have_the_size_that_it_claims(tmp_path: Path) -> None:
    ref = kinds.tiny_image_network(tmp_path / "model")
    data = make.data_ref(kinds.pictures(2), tmp_path, kinds.IMAGE_ROLES)
    asked = make.request(EVALUATION.name, data, ref, **FAST, method="occlusion")
    params, rows = EVALUATION.Params.model_validate(asked.params), dataset.read(data, ref.modality)
    ctx = Context(asked, tmp_path)
    (shard,) = EVALUATION.plan(rows.rows, params).shards
    state = EVALUATION.run_shard(load(ref), rows, params, ctx, shard)
    EVALUATION.merge([state], rows, params, ctx)
    for lie in (
        _replaced("grid", lambda v: [*v[:2], 10**6, 10**6]),
        _replaced("grid", lambda v: [1, 1, *v[2:]]),
        _replaced("grid", lambda v: [-7, -7, *v[2:]]),
        _replaced("grid", lambda v: [None, *v[1:]]),
        _replaced("picture", lambda v: v[:-1]),
    ):
        with pytest.raises(EvaluationError) as error:
            EVALUATION.merge([ShardState(lie(state.records))], rows, params, ctx)
        assert error.value.code == "bad_records"


def test_a_token_is_named_where_different_texts_hold_it(text: Any, tmp_path: Path) -> None:
    model, ref = text
    roles = {"id": Role.ID, "text": Role.INPUT}
    held = ["the good film"] * 6 + [f"the {word} plot" for word in ("bad", "dull", "great", "fun", "slow")]
    table = pd.DataFrame({"id": [f"t{i:02d}" for i in range(len(held))], "text": held})
    result = run(model, ref, table, roles, tmp_path, method="occlusion")
    assert {row[0] for chart in result.charts for row in chart.rows} == {"the", "plot"}
