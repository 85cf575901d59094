"""quality.generation: how close the texts that a model writes come to the answers that are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from evaluations.planning import shards
from evaluations.prompting import PromptParams
from evaluations.spec import (
    Access,
    Direction,
    EvaluationResult,
    MetricSpec,
    Modality,
    Params,
    Plan,
    Requirements,
    Shard,
    ShardState,
)

if TYPE_CHECKING:
    from evaluations.context import Context
    from evaluations.data.dataset import Dataset

SHARD_ROWS = 512  # texts take long: what is lost when a run is killed


class GenerationParams(PromptParams):
    samples: int = Field(
        default=1,
        ge=1,
        le=256,
        title="Texts per example",
        description="More than one needs a temperature above 0. The texts of an example are averaged.",
    )
    pass_at: tuple[int, ...] = Field(
        default=(1,),
        min_length=1,
        max_length=10,
        title="k of pass@k",
        description="How often at least one of k texts is right. At most the number of texts per example.",
    )
    unanswerable: bool = Field(
        default=False,
        title="Some questions have no answer",
        description="Lets a model that finds answers in a passage say that there is none. The target is then empty.",
    )
    rouge_stem: bool = Field(default=False, title="Compare word stems in ROUGE", description="For English.")
    bleu_tokenizer: Literal["13a", "intl", "char", "zh", "none"] = Field(
        default="13a",
        title="How BLEU separates words",
        description="13a for languages with spaces, zh for Chinese, char for others without spaces.",
    )

    @model_validator(mode="after")
    def samples_differ(self) -> Self:
        if self.samples > 1 and self.settings.temperature == 0:
            raise ValueError(
                "Several texts per example need a temperature above 0: at 0 they are all the same."
            )
        if any(not 1 <= k <= self.samples for k in self.pass_at) or len(set(self.pass_at)) != len(
            self.pass_at
        ):
            raise ValueError(
                "Each k of pass@k is given once, and lies between 1 and the number of texts per example."
            )
        return self


def _score(name: str, title: str, formula: str, reference: str, plain: str, **more: Any) -> MetricSpec:
    return MetricSpec(
        **{
            "name": name,
            "title": title,
            "unit": "proportion",
            "direction": Direction.HIGHER,
            "formula": formula,
            "reference": reference,
            "plain": plain,
            **more,
        }
    )


INTERVAL = (
    "Wilson interval at the effective number of examples, n·p(1 − p)/s² over the design effect of clusters; a missing "
    "or unparsed answer counts as 0 in the lower end and as 1 in the upper one"
)
BOOTSTRAP = (
    "wider of the percentile bootstrap and the jackknife's t interval over examples or clusters; a missing answer is "
    "empty in the lower end, perfect in the upper"
)


class Generation:
    """Answers against one or several references, the best of which counts."""

    name: ClassVar[str] = "quality.generation"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Quality of generated text"
    question: ClassVar[str] = "How close do the model's texts come to the answers that are wanted?"
    Params: ClassVar[type[Params]] = GenerationParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.CAUSAL_LM, Modality.SEQ2SEQ, Modality.EXTRACTIVE_QA),
        access=Access.GENERATE.value,
    )
    tags: ClassVar[tuple[str, ...]] = ("accuracy", "text_quality")
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        _score(
            "exact_match",
            "Exact match",
            f"share of answers equal to a reference without case, punctuation, articles and extra spaces; {INTERVAL}",
            "Rajpurkar et al. 2016, arXiv 1606.05250, and their evaluation script",
            "The model's answer was exactly right for {value} of the examples.",
        ),
        _score(
            "token_f1",
            "Word F1",
            "mean of 2·common/(said + wanted) words, normalised as exact match, of the best reference; no words on "
            f"one side: 1 if on both, else 0; {INTERVAL}",
            "Rajpurkar et al. 2018, arXiv 1806.03822, and their evaluation script",
            "The words of the model's answers and of the references overlap to {value}.",
        ),
        _score(
            "rouge_l",
            "ROUGE-L",
            "mean F measure of the longest common subsequence of words (a–z, 0–9, lower case), of the best reference; "
            f"{INTERVAL}",
            "Lin 2004, ACL workshop Text Summarization Branches Out; words as rouge-score 0.1.2 has them",
            "In the same order, the words of the model's texts and of the references overlap to {value}.",
        ),
        _score(
            "bleu",
            "BLEU",
            "corpus BLEU, 0–100: brevity penalty × geometric mean of the precisions of runs of 1–4 words, zero counts "
            f"smoothed exponentially; {BOOTSTRAP}",
            "Papineni et al. 2002, ACL; Post 2018, arXiv 1804.08771 (sacrebleu; its signature is among the notes)",
            "The runs of words in the model's texts match the references at {value} of 100 (BLEU).",
            unit="score",
        ),
        _score(
            "chrf",
            "chrF",
            f"corpus chrF2, 0–100: F measure, β = 2, of runs of 1–6 characters; {BOOTSTRAP}",
            "Popović 2015, WMT; Post 2018, arXiv 1804.08771 (sacrebleu; its signature is among the notes)",
            "The runs of letters in the model's texts match the references at {value} of 100 (chrF).",
            unit="score",
        ),
        _score(
            "pass_at_k",
            "pass@k",
            f"mean of 1 − C(n − c, k)/C(n, k), c of the n texts of an example exactly right; {INTERVAL}",
            "Chen et al. 2021, arXiv 2107.03374, eq. 1",
            "With so many tries, at least one was exactly right for {value} of the examples.",
            sliced=True,
        ),
        _score(
            "empty_rate",
            "Empty texts",
            f"share of texts with nothing but white space; {INTERVAL}",
            "Wilson 1927, JASA 22:209",
            "{value} of the texts were empty.",
            direction=Direction.CONTEXT,
        ),
        _score(
            "repetition",
            "Repetition",
            f"mean share of runs of 4 words that occurred before in the same text; {INTERVAL}",
            "Welleck et al. 2020, arXiv 1908.04319 (seq-rep-4)",
            "{value} of the runs of four words repeat what the text had said already.",
            direction=Direction.LOWER,
        ),
        _score(
            "cut_rate",
            "Texts cut short",
            f"share of texts that ended at the limit of tokens; {INTERVAL}",
            "Wilson 1927, JASA 22:209",
            "{value} of the texts were not finished when the limit of tokens was reached.",
            direction=Direction.LOWER,
        ),
        _score(
            "unparsed_rate",
            "Texts without an answer",
            f"share of texts in which the answer pattern finds nothing; {INTERVAL}",
            "Wilson 1927, JASA 22:209",
            "{value} of the texts held no answer in the form that was asked for.",
            direction=Direction.LOWER,
        ),
        _score(
            "blocked_rate",
            "Blocked by the provider",
            f"share of texts that the provider's content filter withheld; {INTERVAL}",
            "Wilson 1927, JASA 22:209",
            "The provider's filter withheld {value} of the texts.",
            direction=Direction.CONTEXT,
        ),
    )

    def plan(self, data_rows: int, params: GenerationParams) -> Plan:
        from evaluations.stats import smallest_detectable_effect

        queries = data_rows * params.samples
        return Plan(
            shards=shards(data_rows, SHARD_ROWS),
            expected_queries=queries,
            expected_output_tokens=queries * params.settings.max_new_tokens,
            smallest_detectable_effect=smallest_detectable_effect(data_rows),
        )

    def run_shard(
        self, model: Any, data: Dataset, params: GenerationParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations import generating, records

        rows = records.all_rows(data, shard)
        return generating.write_shard(model, data, params, ctx, rows, params.samples, params.unanswerable)

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: GenerationParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations import charts, generating
        from evaluations.quality import generation_scores

        answers = generating.collect(states, data, params, params.samples)
        judged = generation_scores.Judged.of(answers, data, params)
        metrics, notes = generation_scores.measure(judged, ctx)
        titles = {
            spec.name: spec.title for spec in self.metrics if spec.unit == "proportion" and not spec.sliced
        }
        return ctx.result(
            self,
            params,
            metrics=metrics,
            charts=charts.group_bars(
                "scores", "Share or overlap", [(titles[m.name], m) for m in metrics if m.name in titles]
            ),
            coverage=answers.coverage(),
            examples=generation_scores.worst(judged),
            warnings=notes,
        )


EVALUATION = Generation()
