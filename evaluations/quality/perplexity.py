"""quality.perplexity: how unlikely a language model finds the texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from evaluations.planning import shards
from evaluations.spec import (
    Access,
    Direction,
    EvaluationResult,
    MetricSpec,
    Modality,
    Params,
    Plan,
    Requirements,
    Role,
    ScoredParams,
    Shard,
    ShardState,
)

if TYPE_CHECKING:
    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import LanguageModel

SHARD_ROWS = 512  # documents may be long: what is lost when a run is killed
HOW = (
    "disjoint windows, each token predicted once, the first from the start token; interval of the ratio of sums over "
    "documents, or clusters of them: wider of the BCa bootstrap and the jackknife's t interval, above 1,000 of them "
    "the latter alone, of the exponent"
)
LM_EVAL = "lm-evaluation-harness 0.4.13, api/metrics.py; Efron 1987, JASA 82:171 (interval)"


def _of_text(name: str, title: str, formula: str, plain: str, unit: str = "score") -> MetricSpec:
    return MetricSpec.model_validate(
        {
            "name": name,
            "title": title,
            "unit": unit,
            "direction": Direction.LOWER,
            "formula": f"{formula}; {HOW}",
            "reference": LM_EVAL,
            "plain": plain,
        }
    )


class Perplexity:
    """Log-likelihood of whole documents, by the words and bytes that they have."""

    name: ClassVar[str] = "quality.perplexity"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Perplexity"
    question: ClassVar[str] = "How well does the model foresee texts like these?"
    Params: ClassVar[type[Params]] = ScoredParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.CAUSAL_LM,), access=Access.LOGPROBS.value, roles=(Role.INPUT,)
    )
    tags: ClassVar[tuple[str, ...]] = ("language_modelling",)
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        _of_text(
            "word_perplexity",
            "Perplexity per word",
            "exp(−Σ ln p(text) ÷ Σ words), words between white space",
            "Per word, the model is as unsure as among {value} equally likely ones.",
        ),
        _of_text(
            "byte_perplexity",
            "Perplexity per byte",
            "exp(−Σ ln p(text) ÷ Σ UTF-8 bytes)",
            "Per byte, the model is as unsure as among {value} equally likely ones.",
        ),
        _of_text(
            "bits_per_byte",
            "Bits per byte",
            "−Σ log₂ p(text) ÷ Σ UTF-8 bytes",
            "The model would need {value} to write down one byte of the texts.",
            unit="bits",
        ),
    )

    def plan(self, data_rows: int, params: ScoredParams) -> Plan:
        return Plan(shards=shards(data_rows, SHARD_ROWS), expected_queries=data_rows)

    def run_shard(
        self, model: LanguageModel, data: Dataset, params: ScoredParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations import likelihoods
        from evaluations.records import all_rows

        rows = all_rows(data, shard)
        return likelihoods.of_texts(model, data, ctx, rows, [[data.texts[i]] for i in rows])

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: ScoredParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations import charts
        from evaluations.quality import perplexity_scores

        read = perplexity_scores.collect(states, data)
        return ctx.result(
            self,
            params,
            metrics=perplexity_scores.measure(read, params.max_error_rate, ctx),
            charts=charts.distributions(
                "bits_per_byte_by_document",
                "Bits per byte of single documents",
                "Bits per byte",
                {"documents": perplexity_scores.bits_by_document(read)},
            ),
            coverage=read.coverage(),
        )


EVALUATION = Perplexity()
