"""The half of fairness.counterfactual that holds the model: asks about each row, again, and about its swaps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from evaluations import records, scoring, written_labels
from evaluations.data.sampling import stratified_sample
from evaluations.fairness import counterfactual_refusals as refusals
from evaluations.fairness.counterfactual_columns import Flipper
from evaluations.fairness.counterfactual_models import Classified, Table, Written
from evaluations.fairness.counterfactual_swaps import Balance, Sizes, has_place, measured, versions
from evaluations.models.protocol import TokenReader
from evaluations.scoring import probs_column
from evaluations.spec import Access, EvaluationError, Modality, Role, Shard, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.fairness.counterfactual import CounterfactualParams
    from evaluations.fairness.counterfactual_models import Answers

MADE = b"counterfactual"  # key of the schema metadata: what the swaps were made with, as JSON
COLUMNS = {
    "base": pa.list_(pa.float64()),
    "again": pa.list_(pa.float64()),
    "swapped": pa.list_(pa.list_(pa.float64())),
    "words": pa.list_(pa.int64()),  # of the answer, and of those to the swaps; empty where none is counted
}
POOL = 10  # times as many texts are searched for something to swap as are asked about
FEW_CLASSES, SHORT = 20, 60  # a target with more values, or longer ones, holds texts and no labels


def sample(data: Dataset, params: CounterfactualParams, ctx: Context) -> NDArray[np.int64]:
    """The rows that are asked about: seeded, the same in run and merge; of texts first those with a word to swap."""
    alike = np.full(data.rows, "")
    if data.modality is Modality.TABULAR:
        return stratified_sample(data.ids, alike, params.examples, ctx.seed)
    drawn = stratified_sample(data.ids, alike, POOL * params.examples, ctx.seed)
    with_place = np.array([has_place(data.texts[i], params.swaps) for i in drawn], dtype=bool)
    chosen, rest = drawn[with_place], drawn[~with_place]
    first = _of(chosen, data, params.examples, ctx)
    more = _of(rest, data, params.examples - len(first), ctx)
    both = np.concatenate([first, more])
    return both[np.argsort(data.ids[both], kind="stable")]


def _of(rows: NDArray[np.int64], data: Dataset, size: int, ctx: Context) -> NDArray[np.int64]:
    return rows[stratified_sample(data.ids[rows], np.full(len(rows), ""), size, ctx.seed)]


def reads_labels(data: Dataset, params: CounterfactualParams, ctx: Context) -> bool:
    """Whether what a language model writes is read for a label, not for a refusal."""
    if params.outcome != "auto":
        return params.outcome == "label"
    if ctx.request.model.labels:
        return True
    if not data.ref.columns(Role.TARGET):
        return False
    names = {str(label) for label in data.truth}
    return 2 <= len(names) <= FEW_CLASSES and max(map(len, names)) <= SHORT


def labels_to_read(data: Dataset, params: CounterfactualParams, ctx: Context) -> tuple[str, ...]:
    """The classes that a language model's answers are read for."""
    if not reads_labels(data, params, ctx):
        return refusals.LABELS
    if not ctx.request.model.labels and not data.ref.columns(Role.TARGET):
        raise EvaluationError(
            "labels_missing",
            "The answers are to be read for a label, and neither the model nor a target column names any. Register the "
            "model with its class names, or read the answers for refusal.",
        )
    return written_labels.labels_to_read(data, ctx)


def favourable_of(
    data: Dataset, params: CounterfactualParams, labels: Sequence[str], refused: bool
) -> int | None:
    """Index of the favourable class; None where none is named. Of answers read for refusal it is an answer."""
    if refused:
        return refusals.LABELS.index("answered")
    label = params.favourable or data.ref.favourable_label
    if label is None:
        return None
    if label not in labels:
        raise EvaluationError(
            "favourable_label_unknown",
            f"The favourable class {label[:60]!r} is not one of the classes "
            f"{', '.join(repr(name[:60]) for name in labels[:20])}. Correct it.",
        )
    return list(labels).index(label)


def made_with(model: Any, data: Dataset) -> dict[str, Any]:
    """What the swaps depend on beside the data: how many tokens words have, which columns the model asks for."""
    if data.modality is Modality.TABULAR:
        return {"reads": list(model.columns or data.ref.columns(Role.INPUT))}
    sizes = sizes_of(model)
    return {"sizes": None if sizes is None else {word: list(size) for word, size in sizes.items()}}


def sizes_of(model: Any) -> Sizes | None:
    """How many tokens a text has with each word at its start, and further on; None where no tokenizer is at hand."""
    count = model.token_ids if isinstance(model, TokenReader) else _ids_of(getattr(model, "tokenizer", None))
    if count is None:
        return None
    held = measured()
    ids = count([text for word in held for text in (f"{word} is here.", f"Now {word} is here.")])
    return {word: (len(ids[2 * k]), len(ids[2 * k + 1])) for k, word in enumerate(held)}


def _ids_of(tokenizer: Any) -> Any:
    if tokenizer is None:
        return None
    return lambda texts: tokenizer(list(texts), add_special_tokens=False)["input_ids"]


def ask_shard(
    model: Any, data: Dataset, params: CounterfactualParams, ctx: Context, shard: Shard
) -> ShardState:
    """Probabilities of the row, of the same row again, and of each of its swaps; null: no answer, or nothing asked."""
    rows = sample(data, params, ctx)[shard.start : shard.stop]
    made = made_with(model, data)
    ask: Table | Classified | Written
    swaps: list[Sequence[Any]]
    labels: tuple[str, ...]
    if data.modality is Modality.TABULAR:
        flipper = Flipper(data, params, tuple(made["reads"]))
        _ = flipper.levels  # refuse what cannot be measured before the work, not after it
        ask, labels = Table(model, data, ctx, flipper), tuple(model.labels)
        swaps = [flipper.flips(int(row), ctx) for row in rows]
    else:
        found = [
            versions(
                data.texts[i], str(data.ids[i]), params.swaps, params.per_row, Balance(made_sizes(made)), ctx
            )
            for i in rows
        ]
        swaps = [one.swaps for one in found]
        if data.modality is Modality.TEXT_CLASSIFIER:
            ask, labels = Classified(model, data, ctx, found), tuple(model.labels)
        else:
            labels = labels_to_read(data, params, ctx)
            ask = Written(model, data, params, ctx, labels, found)
    refused = isinstance(ask, Written) and not reads_labels(data, params, ctx)
    favourable_of(data, params, labels, refused)
    has: NDArray[np.int64] = np.flatnonzero([len(held) > 0 for held in swaps])
    asked = [ask.clean(rows, has, k) if len(has) else _nothing(len(labels)) for k in (0, 1)]
    base, again = (_spread(answers, has, len(rows), len(labels)) for answers in asked)
    where = np.array([i for i in has for _ in swaps[i]], dtype=np.int64)
    after = _nothing(len(labels))
    if len(has):
        after = ask.swapped(rows, where, [swap for i in has for swap in swaps[i]])
    table = records.table_of(
        data,
        rows,
        {
            "base": probs_column(*base[:2]),
            "again": probs_column(*again[:2]),
            "swapped": _nested(after, [len(held) for held in swaps]),
            "words": _words(base[2], after[2], [len(held) for held in swaps])
            if refused
            else _none(len(rows)),
        },
    )
    graded = not isinstance(ask, Written) and Access.PROBS in model.access
    table = scoring.with_labels(table, labels, graded)
    table = table.replace_schema_metadata({**table.schema.metadata, MADE: json.dumps(made).encode()})
    return ShardState(table, {"errors": int(base[1][has].sum() + after[1].sum()), "swaps": len(where)})


def made_sizes(made: dict[str, Any]) -> Sizes | None:
    sizes = made["sizes"]
    return None if sizes is None else {word: (size[0], size[1]) for word, size in sizes.items()}


def _spread(answers: Answers, has: NDArray[np.int64], n: int, classes: int) -> Answers:
    """The answers to the rows `has`, among n rows."""
    probs: NDArray[np.float64] = np.full((n, classes), np.nan)
    errors: NDArray[np.bool_] = np.ones(n, dtype=bool)
    probs[has], errors[has] = answers[0], answers[1]
    words: list[int | None] = [None] * n
    for place, count in zip(has.tolist(), answers[2], strict=True):
        words[place] = count
    return probs, errors, words


def _nothing(classes: int) -> Answers:
    return np.empty((0, classes)), np.empty(0, dtype=bool), []


def _nested(after: Answers, counts: Sequence[int]) -> pa.Array:
    ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), probs_column(after[0], after[1]))


def _words(base: Sequence[int | None], after: Sequence[int | None], counts: Sequence[int]) -> pa.Array:
    held, start = [], 0
    for first, count in zip(base, counts, strict=True):
        held.append([first, *after[start : start + count]] if count else [])
        start += count
    return pa.array(held, COLUMNS["words"])


def _none(n: int) -> pa.Array:
    return pa.array([[]] * n, COLUMNS["words"])
