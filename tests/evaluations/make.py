"""Small models, data sets and requests that the evaluation tests share. Everything is made here, nothing fetched."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from evaluations.context import Context
from evaluations.data import dataset
from evaluations.engine.score_store import ScoreStore
from evaluations.merge import for_judge, for_parent, for_reference
from evaluations.models.protocol import Scores, Usage
from evaluations.spec import (
    Access,
    DataRef,
    Evaluation,
    EvaluationResult,
    Modality,
    ModelFormat,
    ModelRef,
    Params,
    Role,
    RunRequest,
    Shard,
    ShardState,
)

RESOURCES = Path(os.environ.get("AUDITOR_RESOURCES", "var/resources")).resolve()

WORDS = tuple(
    "the a film movie plot story actor is was and but not very really quite rather good great fine lovely "  # noqa: SIM905  # words read better so
    "superb bad poor awful dull boring it this that with for of in on to one never always funny sad".split()
)


def frame(n: int, seed: int = 0, labels: Sequence[str] = ("no", "yes")) -> pd.DataFrame:
    """n rows: id, features x and z, a group and a label that depends on both."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=n), rng.normal(size=n)
    sex = rng.choice(["Female", "Male"], n)
    score = x + 0.4 * (sex == "Male") + rng.normal(scale=0.7, size=n)
    cut = np.quantile(score, np.linspace(0, 1, len(labels) + 1)[1:-1]) if n else []
    label = np.array(labels, dtype=object)[np.digitize(score, cut)]
    return pd.DataFrame({"id": [f"e{i:05d}" for i in range(n)], "x": x, "z": z, "sex": sex, "label": label})


TABULAR_ROLES = {
    "id": Role.ID,
    "x": Role.INPUT,
    "z": Role.INPUT,
    "sex": Role.SENSITIVE,
    "label": Role.TARGET,
}
TEXT_ROLES = {"id": Role.ID, "text": Role.INPUT, "label": Role.TARGET}


def data_ref(table: pd.DataFrame, folder: Path, roles: dict[str, Role] | None = None, **more: Any) -> DataRef:
    path = folder / "data.parquet"
    table.to_parquet(path, index=False)
    return DataRef(path=str(path), digest="data", format="parquet", roles=roles or TABULAR_ROLES, **more)


def request(
    evaluation: str, data: DataRef, model: ModelRef | None = None, seed: int = 7, **params: Any
) -> RunRequest:
    return RunRequest(
        run_id="run_test",
        evaluation=evaluation,
        params=params,
        model=model or STAND_IN,
        data=data,
        seed=seed,
        resources=str(RESOURCES),
    )


STAND_IN = ModelRef(path="/nowhere", digest="model", modality=Modality.TABULAR, format=ModelFormat.SKOPS)


class Answering:
    """A stand-in for a model: gives each row the probabilities that `answer` computes from the frame."""

    modality: ClassVar[Modality] = Modality.TABULAR
    adapter: ClassVar[str] = "stand_in/1"
    access: ClassVar[Access] = Access.LABEL | Access.PROBS
    columns: tuple[str, ...] | None = ("x", "z")
    device = "cpu"

    def __init__(self, answer: Any, labels: Sequence[str] = ("no", "yes")) -> None:
        self.answer = answer
        self.labels = tuple(labels)
        self.usage = Usage()

    def predict_proba(self, rows: pd.DataFrame) -> Scores:
        self.usage.queries += len(rows)
        return Scores.checked(self.answer(rows))


def logistic(rows: pd.DataFrame) -> np.ndarray:
    p = 1 / (1 + np.exp(-2 * rows["x"].to_numpy()))
    return np.column_stack([1 - p, p])


def never(rows: pd.DataFrame) -> np.ndarray:
    """No answer to anything."""
    return np.full((len(rows), 2), np.nan)


def always(*probs: float) -> Any:
    """The same probabilities for every row."""
    return lambda rows: np.tile(probs, (len(rows), 1))


def oracle(table: pd.DataFrame, right: bool) -> Any:
    """Answers that are certain, and all right or all wrong."""
    truth = dict(zip(table.x, table.label == "yes", strict=True))

    def answer(rows: pd.DataFrame) -> np.ndarray:
        p = np.array([float(truth[x] == right) for x in rows.x])
        return np.column_stack([1 - p, p])

    return answer


def softmax_of(classes: int) -> Any:
    def answer(rows: pd.DataFrame) -> np.ndarray:
        logits = np.outer(rows["x"].to_numpy(), np.linspace(-1.5, 1.5, classes))
        logits += np.outer(rows["z"].to_numpy(), np.cos(np.arange(classes))) * 0.3
        e = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(e / e.sum(axis=1, keepdims=True))

    return answer


def evaluate(
    evaluation: Evaluation,
    model: Any,
    asked: RunRequest,
    out: Path,
    cuts: Sequence[int] | None = None,
    parent: Any = None,
    killed_after: int | None = None,
    judge: Any = None,
    reference: Any = None,
) -> EvaluationResult:
    """Runs and merges in this process.

    `cuts` overrides the plan's shards with these boundaries; `parent` is the model of the request's
    parent, `judge` that of its judge, `reference` that of its reference; after `killed_after` shards a new process
    takes over, with what is on the disk.
    """
    params = evaluation.Params.model_validate(asked.params)
    data = dataset.read(asked.data, asked.model.modality)
    shards = evaluation.plan(data.rows, params).shards
    if cuts is not None:
        edges = [0, *cuts, max(s.stop for s in shards)]
        shards = tuple(Shard(i, a, b) for i, (a, b) in enumerate(itertools.pairwise(edges)))
    context = Context(asked, out)
    context.parent_states = (
        _states(evaluation, parent, for_parent(asked), data, params, shards, out / "parent") if parent else ()
    )
    context.reference_states = (
        _states(evaluation, reference, for_reference(asked), data, params, shards, out / "reference")
        if reference
        else ()
    )
    states = _states(evaluation, model, asked, data, params, shards, out, killed_after)
    for shard, state in zip(shards, states, strict=True) if judge else ():
        judging = Context(for_judge(asked), out, judged=state)
        context.judge_states = [
            *context.judge_states,
            evaluation.judge_shard(judge, data, params, judging, shard),  # type: ignore[attr-defined]
        ]
    return evaluation.merge(states, data, params, context)


def _states(
    evaluation: Evaluation,
    model: Any,
    asked: RunRequest,
    data: dataset.Dataset,
    params: Params,
    shards: Sequence[Shard],
    out: Path,
    killed_after: int | None = None,
) -> list[ShardState]:
    states: list[ShardState] = []
    kept = out / "scores" if killed_after is not None else None
    store = ScoreStore(kept)
    for number, shard in enumerate(shards):
        if number == killed_after:
            store = ScoreStore(kept)
        states.append(evaluation.run_shard(model, data, params, Context(asked, out, store=store), shard))
        store.flush()
    return states


def values(result: EvaluationResult) -> dict[tuple[str, str], float | None]:
    return {(m.name, m.slice): m.value for m in result.metrics}


def sentences(n: int, seed: int = 0) -> pd.DataFrame:
    """n short texts labelled by whether a praising word occurs, with odd Unicode now and then."""
    rng = np.random.default_rng(seed)
    praise = {"good", "great", "fine", "lovely", "superb"}
    texts = []
    for i in range(n):
        words = list(rng.choice(WORDS, rng.integers(4, 14)))
        if i % 17 == 5:
            words.append("naïve—“ﬁlm” 🎬")
        texts.append(" ".join(words).capitalize() + ".")
    labels = ["pos" if praise & set(t.lower().rstrip(".").split()) else "neg" for t in texts]
    return pd.DataFrame({"id": [f"t{i:03d}" for i in range(n)], "text": texts, "label": labels})


def tiny_bert(
    folder: Path, labels: Sequence[str] = ("neg", "pos"), seed: int = 0, longest: int = 64, width: int = 32
) -> ModelRef:
    """A random two-layer BERT with a WordPiece vocabulary of letters and a few words, as save_pretrained writes it."""
    import torch
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    letters = "abcdefghijklmnopqrstuvwxyz.,!?'-"
    vocabulary = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *letters,
        *(f"##{c}" for c in letters),
        *WORDS,
    ]
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(vocabulary)) + "\n")
    wordpiece = BertWordPieceTokenizer(str(folder / "vocab.txt"), lowercase=True)
    tokenizer = BertTokenizerFast(
        tokenizer_object=wordpiece._tokenizer,
        model_max_length=longest,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(dict.fromkeys(vocabulary)),
        hidden_size=width,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=2 * width,
        max_position_embeddings=longest,
        initializer_range=0.5,  # wide, so that a changed letter can change the answer
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
    )
    model = BertForSequenceClassification(config).eval()
    texts = tokenizer(list(sentences(60, seed=99).text), padding=True, return_tensors="pt")
    with torch.inference_mode():
        centre = model(**texts).logits.median(dim=0).values
    with torch.no_grad():  # each class is the answer about as often, so that answers are near the boundary
        model.classifier.bias -= centre
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return ModelRef(
        path=str(folder),
        digest="bert",
        modality=Modality.TEXT_CLASSIFIER,
        format=ModelFormat.SAFETENSORS,
        languages=("en",),
    )
