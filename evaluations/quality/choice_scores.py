"""The numbers of quality.multiple_choice: which choice is right, which the model holds for likely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from evaluations import likelihoods, records, stats
from evaluations.prompting import prompt_of
from evaluations.records import not_estimable, too_many_errors
from evaluations.spec import Coverage, EvaluationError, Example, Metric, Role, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import LanguageModel
    from evaluations.quality.multiple_choice import MultipleChoiceParams

NAMES = ("acc", "acc_norm", "brier")
SHOWN, SHOWN_CHARACTERS = 20, 2000


def write_shard(
    model: LanguageModel,
    data: Dataset,
    params: MultipleChoiceParams,
    ctx: Context,
    rows: NDArray[np.int64],
) -> ShardState:
    """ln p of every choice of `rows` after its prompt."""
    right_choices(data)  # refuse a target that is no choice before the work, not after it
    contexts = data.contexts
    asked = []
    for i in rows:
        prompt = prompt_of(params.prompt, data.texts[i], contexts[i] if contexts else None)
        asked.append([(prompt, params.delimiter + choice) for choice in data.choices[i]])
    return likelihoods.of_pairs(model, data, ctx, rows, asked)


def right_choices(data: Dataset) -> NDArray[np.int64]:
    """Index of the right choice of every row. A number is an index from 0; a text is a choice, or else an index."""
    column = data.table.column(data.ref.columns(Role.TARGET)[0])
    by_index = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    found = []
    for row, (target, choices) in enumerate(zip(data.truth.tolist(), data.choices, strict=True)):
        if len(choices) < 2:
            raise EvaluationError(
                "choices_few",
                f"Row {row + 1} (id {str(data.ids[row])[:60]!r}) offers a single choice; at least two are needed.",
            )
        if not by_index and target in choices:
            found.append(choices.index(target))
        elif target.isdecimal() and len(target) < 10 and int(target) < len(choices):
            found.append(int(target))
        else:
            raise EvaluationError(
                "target_no_choice",
                f"Row {row + 1} (id {str(data.ids[row])[:60]!r}) has the target {target[:60]!r}, which is neither one "
                f"of its {len(choices)} choices nor the index of one, from 0. Correct the target or the choices.",
            )
    return np.array(found, dtype=np.int64)


@dataclass(frozen=True)
class Chosen:
    """Log-likelihoods of the choices beside the right ones, ascending by example id."""

    rows: NDArray[np.int64]  # row numbers in the data set
    logprobs: list[NDArray[np.float64] | None]
    lengths: list[NDArray[np.float64]]  # characters of each choice
    right: NDArray[np.int64]
    clusters: NDArray[np.str_] | None

    @property
    def n(self) -> int:
        return len(self.rows)

    @property
    def answered(self) -> NDArray[np.bool_]:
        return np.array([held is not None for held in self.logprobs])

    def coverage(self) -> Coverage:
        failed = int((~self.answered).sum())
        return Coverage(attempted=self.n, scored=self.n - failed, failed=failed)


def collect(states: Sequence[ShardState], data: Dataset) -> Chosen:
    """What the shards answered, checked, beside the truth."""
    rows = records.rows_by_id(data, np.arange(data.rows))
    offered = [data.choices[i] for i in rows]
    held = likelihoods.collect(states, data, rows, [len(choices) for choices in offered])
    return Chosen(
        rows=rows,
        logprobs=[None if one is None else np.array(one) for one in held],
        lengths=[np.array([float(len(choice)) for choice in choices]) for choices in offered],
        right=right_choices(data)[rows],
        clusters=None if data.clusters is None else data.clusters[rows],
    )


def measure(chosen: Chosen, max_error_rate: float) -> list[Metric]:
    """Every metric of quality.multiple_choice."""
    answered = chosen.answered
    reason = too_many_errors(int((~answered).sum()), chosen.n, max_error_rate)
    if reason:
        return [not_estimable(name, chosen.n, reason) for name in NAMES]
    found = []
    for name, picked in (("acc", most_likely(chosen)), ("acc_norm", most_likely(chosen, by_length=True))):
        share = stats.proportion(picked == chosen.right, chosen.clusters, answered)
        found.append(
            Metric(
                name=name,
                value=share.value,
                interval=share.interval,
                n=chosen.n,
                n_effective=share.n_effective,
            )
        )
    return [*found, _brier(chosen)]


def most_likely(chosen: Chosen, by_length: bool = False) -> NDArray[np.int64]:
    """Index of the choice with the largest log-likelihood, first on ties; -1 where there is no answer."""
    found = []
    for held, lengths in zip(chosen.logprobs, chosen.lengths, strict=True):
        # An empty choice has no length to divide by: one character.
        scale = np.maximum(lengths, 1.0) if by_length else 1.0
        found.append(-1 if held is None else int(np.argmax(held / scale)))
    return np.array(found, dtype=np.int64)


def _brier(chosen: Chosen) -> Metric:
    errors = np.array(
        [
            np.nan if held is None else squared_distance(held, int(right))
            for held, right in zip(chosen.logprobs, chosen.right, strict=True)
        ]
    )
    return brier_metric("brier", errors, chosen.clusters)


def squared_distance(logprobs: NDArray[np.float64], right: int) -> float:
    """Σ_k (p_k − [k is right])², p the softmax of the log-likelihoods of the choices."""
    return float(((softmax(logprobs) - (np.arange(len(logprobs)) == right)) ** 2).sum())


def brier_metric(name: str, errors: NDArray[np.float64], clusters: NDArray[np.str_] | None) -> Metric:
    """Mean of squared distances between 0 and 2, NaN where not known, of which at least one is known."""
    half = stats.unit_mean(errors / 2, clusters)  # between 0 and 1
    ends = half.interval
    return Metric(
        name=name,
        value=2 * half.value,
        interval=ends.model_copy(update={"low": 2 * ends.low, "high": 2 * ends.high}),
        n=half.n,
        n_effective=half.n_effective,
    )


def softmax(logprobs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of the choices, given that it is one of them."""
    p = np.exp(logprobs - logprobs.max())
    return np.asarray(p / p.sum())


def worst(chosen: Chosen, data: Dataset) -> list[Example]:
    """Wrong choices that the model held for most more likely than the right one."""
    picked = most_likely(chosen)
    gaps = []
    for i, (held, right) in enumerate(zip(chosen.logprobs, chosen.right, strict=True)):
        if held is not None and picked[i] != right:
            gaps.append((float(held[right] - held[picked[i]]), str(data.ids[chosen.rows[i]]), i))
    found = []
    for gap, name, i in sorted(gaps)[:SHOWN]:
        row = int(chosen.rows[i])
        choices = data.choices[row]
        found.append(
            Example(
                id=name,
                kind="worst_answer",
                before=data.texts[row][:SHOWN_CHARACTERS],
                after=choices[picked[i]][:SHOWN_CHARACTERS],
                facts={
                    "expected": choices[int(chosen.right[i])][:SHOWN_CHARACTERS],
                    "log_odds": round(-gap, 4),
                },
            )
        )
    return found
