"""The numbers of quality.perplexity: log-likelihoods of documents over their words and bytes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evaluations import likelihoods, records, stats
from evaluations.records import not_estimable, too_many_errors
from evaluations.spec import Coverage, Interval, Metric, ShardState
from evaluations.stats.sums import intervals_of_sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset

NAMES = ("word_perplexity", "byte_perplexity", "bits_per_byte")
LARGEST = 700.0  # exponents beyond it are no finite number


@dataclass(frozen=True)
class Documents:
    """Log-likelihoods of documents (NaN: no answer), ascending by example id, beside their words and bytes."""

    logprobs: NDArray[np.float64]
    words: NDArray[np.float64]
    bytes: NDArray[np.float64]
    clusters: NDArray[np.str_] | None

    @property
    def n(self) -> int:
        return len(self.logprobs)

    @property
    def missing(self) -> int:
        return int(np.isnan(self.logprobs).sum())

    def coverage(self) -> Coverage:
        return Coverage(attempted=self.n, scored=self.n - self.missing, failed=self.missing)


def collect(states: Sequence[ShardState], data: Dataset) -> Documents:
    """What the shards answered, checked, beside the texts' own lengths."""
    rows = records.rows_by_id(data, np.arange(data.rows))
    held = likelihoods.collect(states, data, rows, [1] * len(rows))
    texts = [data.texts[i] for i in rows]
    return Documents(
        logprobs=np.array([np.nan if one is None else one[0] for one in held], dtype=np.float64),
        words=np.array([words_of(text) for text in texts], dtype=np.float64),
        bytes=np.array([len(text.encode("utf-8", "surrogatepass")) for text in texts], dtype=np.float64),
        clusters=None if data.clusters is None else data.clusters[rows],
    )


def words_of(text: str) -> int:
    """Words as lm-eval counts them: the parts between white space, an empty text being one."""
    return len(re.split(r"\s+", text))


def measure(read: Documents, max_error_rate: float, ctx: Context) -> list[Metric]:
    """Every metric of quality.perplexity."""
    reason = too_many_errors(read.missing, read.n, max_error_rate)
    if not reason and read.missing:
        reason = (
            f"{read.missing} of {read.n} texts could not be scored. How unlikely a text is has no bound, so that a "
            "single one may change the whole: take them out of the data."
        )
    if not reason and not read.bytes.sum():
        reason = "The texts are empty."
    if reason:
        return [not_estimable(name, read.n, reason) for name in NAMES]
    sums = np.stack([-read.logprobs, read.words, read.bytes], axis=1)
    if read.clusters is not None:
        codes, count = stats.cluster_codes(read.clusters)
        by_cluster = np.zeros((count, 3))
        np.add.at(by_cluster, codes, sums)
        sums = by_cluster
    by_word, by_byte = exponents(sums.sum(axis=0)[None])[0].tolist()
    of_words, of_bytes = intervals_of_sums(sums, exponents, ctx.rng("bootstrap:perplexity"))
    return [
        _metric("word_perplexity", perplexity, by_word, of_words, read.n),
        _metric("byte_perplexity", perplexity, by_byte, of_bytes, read.n),
        _metric("bits_per_byte", bits, by_byte, of_bytes, read.n),
    ]


def exponents(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """(b, 3) sums of −ln p, words and bytes to (b, 2) nats per word and per byte; NaN where there are none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(sums[:, 1:] > 0, sums[:, :1] / sums[:, 1:], np.nan))


def perplexity(nats: float) -> float:
    return math.exp(min(nats, LARGEST))


def bits(nats: float) -> float:
    return nats / math.log(2)


def bits_by_document(read: Documents) -> NDArray[np.float64]:
    """Bits per byte of every document that was scored and is not empty."""
    kept = ~np.isnan(read.logprobs) & (read.bytes > 0)
    return np.asarray(-read.logprobs[kept] / read.bytes[kept] / math.log(2))


def _metric(name: str, shown: Callable[[float], float], nats: float, ends: Interval | None, n: int) -> Metric:
    interval = None
    if ends is not None:
        low, high = shown(max(0.0, ends.low)), shown(ends.high)
        interval = ends.model_copy(update={"low": min(low, shown(nats)), "high": max(high, shown(nats))})
    return Metric(name=name, value=shown(nats), interval=interval, n=n)
