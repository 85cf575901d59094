"""BLEU and chrF of a corpus as sacrebleu defines them, from counts per example: resampled without scoring anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations import stats
from evaluations.spec import Interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

    OfCounts = Callable[[NDArray[np.float64]], NDArray[np.float64]]

ORDER = 4  # of BLEU's runs of words
CHARACTERS = 6  # of chrF's runs of characters
FULL = 100.0


@dataclass(frozen=True)
class Measure:
    """One corpus measure: how an example is counted, and the score of summed counts, (…, m) to (…,)."""

    scorer: Any  # of sacrebleu
    score: OfCounts

    def counts(self, texts: Sequence[str], references: Sequence[Sequence[str]]) -> NDArray[np.float64]:
        """(n, m) counts of n examples."""
        widest = max((len(r) for r in references), default=1)
        padded = [[*r, *[None] * (widest - len(r))] for r in references]
        found = self.scorer._extract_corpus_statistics(list(texts), list(zip(*padded, strict=True)))
        return np.array(found, dtype=np.float64).reshape(len(texts), -1)

    @property
    def signature(self) -> str:
        """What sacrebleu prints with a score, so that it can be compared. After `counts` only."""
        return str(self.scorer.get_signature())


def bleu(tokenizer: str) -> Measure:
    from sacrebleu.metrics import BLEU

    return Measure(BLEU(tokenize=tokenizer, force=True), bleu_of)


def chrf() -> Measure:
    from sacrebleu.metrics import CHRF

    return Measure(CHRF(), chrf_of)


def bleu_of(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """BLEU of summed counts (length, reference length, right × 4, all × 4), zero counts smoothed as mteval does."""
    length, wanted = counts[..., 0], counts[..., 1]
    right, every = counts[..., 2 : 2 + ORDER], counts[..., 2 + ORDER :]
    halved = 2.0 ** np.cumsum((right == 0) & (every > 0), axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(right > 0, right, 1 / halved) / every
        brevity = np.where(length < wanted, np.exp(1 - wanted / length), 1.0)
        score = FULL * brevity * np.exp(np.log(precision).mean(axis=-1))
    return np.where((every > 0).all(axis=-1) & (right > 0).any(axis=-1), score, 0.0)


def chrf_of(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """chrF with β = 2 of summed counts (written, wanted, in common) × 6, over the orders that both sides have."""
    written, wanted, common = np.moveaxis(counts.reshape(*counts.shape[:-1], CHARACTERS, 3), -1, 0)
    used = (written > 0) & (wanted > 0)
    orders = np.maximum(1, used.sum(axis=-1))
    precision = (np.where(used, common, 0) / np.where(used, written, 1)).sum(axis=-1) / orders
    recall = (np.where(used, common, 0) / np.where(used, wanted, 1)).sum(axis=-1) / orders
    both = 4 * precision + recall
    return np.asarray(FULL * 5 * precision * recall / np.where(both > 0, both, 1))


@dataclass(frozen=True)
class Corpus:
    """Counts of n examples: of what was answered, and with missing answers as empty or as a reference."""

    answered: NDArray[np.float64]  # (a, m), the examples with an answer
    worst: NDArray[np.float64]  # (n, m)
    best: NDArray[np.float64]  # (n, m)
    empty: NDArray[np.float64]  # (m,) mean counts of empty texts
    perfect: NDArray[np.float64]  # (m,) mean counts of the references themselves


def estimate(
    score: OfCounts,
    corpus: Corpus,
    clusters: NDArray[np.str_] | None,
    rng: np.random.Generator,
    draws: int = stats.DRAWS,
) -> tuple[float, Interval]:
    """The corpus score with a percentile interval over resampled examples, or clusters of them.

    One empty text joins what is resampled where every text is perfect, and one perfect text where none
    has anything right: otherwise the interval would have no width.
    """
    value = float(score(corpus.answered.sum(axis=0)))
    worst, best = (_by_cluster(counts, clusters) for counts in (corpus.worst, corpus.best))
    low_pool = np.vstack([worst, corpus.empty]) if value >= FULL - 1e-9 else worst
    high_pool = np.vstack([best, corpus.perfect]) if value <= 1e-9 else best
    if low_pool.shape == high_pool.shape and np.array_equal(low_pool, high_pool):
        low, high = stats.percentile(_resampled(score, low_pool, rng, draws))
    else:
        low, _ = stats.percentile(_resampled(score, low_pool, rng, draws))
        _, high = stats.percentile(_resampled(score, high_pool, rng, draws))
    method = "percentile_bootstrap" + ("_clustered" if clusters is not None else "")
    return value, Interval(low=min(low, value), high=max(high, value), method=method)


def _by_cluster(counts: NDArray[np.float64], clusters: NDArray[np.str_] | None) -> NDArray[np.float64]:
    """Counts summed within clusters, which are then resampled as a whole."""
    if clusters is None:
        return counts
    codes, number = stats.cluster_codes(clusters)
    summed = np.zeros((number, counts.shape[1]))
    np.add.at(summed, codes, counts)
    return summed


def _resampled(
    score: OfCounts, counts: NDArray[np.float64], rng: np.random.Generator, draws: int
) -> NDArray[np.float64]:
    """(draws,) scores of corpora drawn with replacement, each as a vector of multiplicities times the counts."""
    n = len(counts)
    step = max(1, 4_000_000 // n)
    found = []
    for start in range(0, draws, step):
        size = min(step, draws - start)
        picked = rng.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
        times = np.bincount(picked.ravel(), minlength=size * n).reshape(size, n)
        found.append(score(times.astype(np.float64) @ counts))
    return np.concatenate(found)
