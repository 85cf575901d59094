"""BLEU and chrF of a corpus as sacrebleu defines them, from counts per example: resampled without scoring anew."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

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
    width: int  # m

    def read(self, references: Sequence[Sequence[str]]) -> list[Any]:
        """What is to be found in the references of each example, which is most of the work."""
        widest = max((len(r) for r in references), default=1)
        padded = [[*r, *[None] * (widest - len(r))] for r in references]
        return list(self.scorer._cache_references(list(zip(*padded, strict=True))))

    def counts(self, texts: Sequence[str], read: Sequence[Any]) -> NDArray[np.float64]:
        """(n, m) counts of n examples."""
        if not len(texts):
            return np.zeros((0, self.width))
        self.scorer._ref_cache = list(read)
        return np.array(self.scorer._extract_corpus_statistics(list(texts), None), dtype=np.float64)

    def can_score(self, references: Sequence[Sequence[str]]) -> bool:
        """Whether a perfect text would score above 0 for some example."""
        firsts = (self.counts([r[0]], self.read([r]))[0] for r in references)
        return any(float(self.score(counts)) > 0 for counts in firsts)

    @property
    def signature(self) -> str:
        """What sacrebleu prints with a score, so that it can be compared. After `read` only."""
        return str(self.scorer.get_signature())


def bleu(tokenizer: str) -> Measure:
    from sacrebleu.metrics import BLEU

    return Measure(BLEU(tokenize=tokenizer, force=True), bleu_of, 2 + 2 * ORDER)


def chrf() -> Measure:
    from sacrebleu.metrics import CHRF

    return Measure(CHRF(), chrf_of, 3 * CHARACTERS)


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
    """n examples of one text each, or of several; None is a text that is missing."""

    texts: list[list[str | None]]
    references: list[tuple[str, ...]]
    clusters: NDArray[np.str_] | None = None


def estimate(
    measure: Measure, corpus: Corpus, rng: np.random.Generator, draws: int = stats.DRAWS
) -> tuple[float, Interval | None]:
    """The corpus score of the texts that are there, and its interval over examples or clusters; None for a single one.

    The wider ends of the percentile bootstrap and of the jackknife with Student's t, as `intervals_of_sums` has them.

    A missing text is empty in the lower end, and as its first reference in the upper one. One empty text joins
    what is resampled where every text is perfect, and one perfect text where none has anything right:
    otherwise the interval would have no width.
    """
    read = measure.read(corpus.references)
    firsts = [r[0] for r in corpus.references]
    total = np.zeros(measure.width)
    worst, best = (np.zeros((len(read), measure.width)) for _ in range(2))
    for texts in zip(*corpus.texts, strict=True):  # the first text of every example, then the second, …
        missing = np.flatnonzero([text is None for text in texts])
        said = measure.counts([text or "" for text in texts], read)
        total += np.delete(said, missing, axis=0).sum(axis=0)
        worst += said
        said[missing] = measure.counts([firsts[i] for i in missing], [read[i] for i in missing])
        best += said
    value = float(measure.score(total))
    worst, best = (_by_cluster(counts, corpus.clusters) for counts in (worst, best))
    if len(worst) < 2:
        return value, None
    if value >= FULL - 1e-9:
        worst = np.vstack([worst, measure.counts([""] * len(read), read).mean(axis=0)])
    if value <= 1e-9:
        best = np.vstack([best, measure.counts(firsts, read).mean(axis=0)])
    seed = int(rng.integers(2**63))  # the same examples are drawn for both ends
    low, high = _ends(measure.score, worst, seed, draws)
    if worst.shape != best.shape or not np.array_equal(worst, best):
        _, high = _ends(measure.score, best, seed, draws)
    method = "percentile_or_jackknife_t" + ("_clustered" if corpus.clusters is not None else "")
    return value, Interval(low=min(low, value), high=max(high, value), method=method)


def _ends(score: OfCounts, counts: NDArray[np.float64], seed: int, draws: int) -> tuple[float, float]:
    low, high = stats.percentile(_resampled(score, counts, seed, draws))
    n, total = len(counts), counts.sum(axis=0)
    left_out = score(total - counts)
    se = math.sqrt((n - 1) / n * float(((left_out - left_out.mean()) ** 2).sum()))
    value, half = float(score(total)), float(special.stdtrit(n - 1, (1 + stats.LEVEL) / 2)) * se
    return max(0.0, min(low, value - half)), min(FULL, max(high, value + half))


def _by_cluster(counts: NDArray[np.float64], clusters: NDArray[np.str_] | None) -> NDArray[np.float64]:
    """Counts summed within clusters, which are then resampled as a whole."""
    if clusters is None:
        return counts
    codes, number = stats.cluster_codes(clusters)
    summed = np.zeros((number, counts.shape[1]))
    np.add.at(summed, codes, counts)
    return summed


def _resampled(score: OfCounts, counts: NDArray[np.float64], seed: int, draws: int) -> NDArray[np.float64]:
    """(draws,) scores of corpora drawn with replacement, each as a vector of multiplicities times the counts."""
    n, rng = len(counts), np.random.Generator(np.random.PCG64(seed))
    step = max(1, 4_000_000 // n)
    found = []
    for start in range(0, draws, step):
        size = min(step, draws - start)
        picked = rng.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
        times = np.bincount(picked.ravel(), minlength=size * n).reshape(size, n)
        found.append(score(times.astype(np.float64) @ counts))
    return np.concatenate(found)
