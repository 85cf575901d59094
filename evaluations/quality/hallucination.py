"""quality.hallucination: whether what a model says is in its sources, and whether it says the same when asked again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from evaluations.planning import shards
from evaluations.prompting import PromptParams
from evaluations.quality.generation import INTERVAL, SHARD_ROWS
from evaluations.spec import (
    Access,
    Direction,
    EvaluationResult,
    GenerationSettings,
    MetricSpec,
    Modality,
    Params,
    Plan,
    Requirements,
    Role,
    Shard,
    ShardState,
)

if TYPE_CHECKING:
    from evaluations.context import Context
    from evaluations.data.dataset import Dataset


class HallucinationParams(PromptParams):
    samples: int = Field(
        default=4,
        ge=0,
        le=64,
        title="Drawn answers",
        description="How often each question is asked again at the temperature below. 0 leaves consistency out.",
    )
    sample_temperature: float = Field(default=1.0, gt=0, le=2, title="Temperature of the drawn answers")
    judge_settings: GenerationSettings = Field(
        default=GenerationSettings(max_new_tokens=16), title="Generation by the judge"
    )


class Hallucination:
    """Words against the passage, answers against each other, true choices against false ones."""

    name: ClassVar[str] = "quality.hallucination"
    version: ClassVar[str] = "2"
    title: ClassVar[str] = "Hallucination"
    question: ClassVar[str] = "Does the model keep to its sources, to what it said before, and to the truth?"
    Params: ClassVar[type[Params]] = HallucinationParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.CAUSAL_LM, Modality.SEQ2SEQ),
        access=Access.GENERATE.value,
        roles=(Role.INPUT,),
        judge=True,
        judge_optional=True,
    )
    tags: ClassVar[tuple[str, ...]] = ("accuracy", "confabulation", "owasp_llm09_misinformation")
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec(
            name="knowledge_precision",
            title="Words found in the passage",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="mean share of the answer's words that are in the passage (K-Precision), normalised as SQuAD does; "
            f"answers without a word are left out; {INTERVAL}",
            reference="Adlakha et al. 2023, arXiv 2307.16877",
            plain="{value} of the words of an answer are in its passage.",
        ),
        MetricSpec(
            name="unsupported_number_rate",
            title="Answers with a number from nowhere",
            unit="proportion",
            direction=Direction.LOWER,
            formula=f"share of answers with a number in digits that neither passage nor question has; {INTERVAL}",
            reference="after Nan et al. 2021, arXiv 2102.09130 (precision-source), for numbers",
            plain="{value} of the answers give a number that is neither in the passage nor in the question.",
        ),
        MetricSpec(
            name="unsupported_name_rate",
            title="Answers with a name from nowhere",
            unit="proportion",
            direction=Direction.LOWER,
            formula="share of answers with a capitalised word, other than the first of a sentence, that neither "
            f"passage nor question has; {INTERVAL}",
            reference="after Nan et al. 2021, arXiv 2102.09130 (precision-source), capitals in place of a tagger",
            plain="{value} of the answers use a name that is neither in the passage nor in the question.",
        ),
        MetricSpec(
            name="ungrounded_rate",
            title="Answers that say what the passage does not",
            unit="proportion",
            direction=Direction.LOWER,
            formula="answers with a statement that the passage does not support, as a judge says or, where people "
            "judged some, as the detector of numbers and names from nowhere does / answers; Clopper–Pearson interval, "
            "clustered; a missing answer or verdict counts as one in the upper end alone, a withheld or empty answer "
            "as none. It spans the corrected interval too; with a judge whom nobody checked the upper end is 1",
            reference="after Rashkin et al. 2023, arXiv 2112.12870; Clopper & Pearson 1934, Biometrika 26:404",
            plain="{value} of the answers say something that their passage does not support.",
        ),
        MetricSpec(
            name="corrected_ungrounded_rate",
            title="Ungrounded answers, the errors of judge or detector allowed for",
            unit="proportion",
            direction=Direction.LOWER,
            formula="(p + Sp − 1)/(Se + Sp − 1), p the raw rate, Se and Sp on answers that people judged; all three "
            "resampled from Beta(x + ½, n − x + ½); the interval spans the raw one too",
            reference="Rogan & Gladen 1978, Am. J. Epidemiol. 107:71",
            plain="Allowing for the verdicts' errors, {value} of the answers say what their passage does not support.",
        ),
        MetricSpec(
            name="verdict_sensitivity",
            title="Unsupported answers that judge or detector finds",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="of the written answers that most people failed, the share found unsupported; Wilson interval",
            reference="Wilson 1927, JASA 22:209",
            plain="Of the answers that people found unsupported, {value} were found.",
        ),
        MetricSpec(
            name="verdict_specificity",
            title="Supported answers that judge or detector leaves alone",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="of the written answers that most people passed, the share not found unsupported; Wilson interval",
            reference="Wilson 1927, JASA 22:209",
            plain="Of the answers that people found supported, {value} were left alone.",
        ),
        MetricSpec(
            name="verdict_kappa",
            title="Agreement of judge or detector with people",
            unit="score",
            direction=Direction.HIGHER,
            formula="Cohen's κ = (p_o − p_e)/(1 − p_e) of the verdict and what most people said; large-sample interval",
            reference="Cohen 1960, Educ. Psychol. Meas. 20:37; Fleiss, Cohen & Everitt 1969, Psych. Bull. 72:323",
            plain="Beyond chance, verdicts and people agree at {value}; 1 is always, 0 is no more than by chance.",
        ),
        MetricSpec(
            name="self_agreement",
            title="Agreement with itself",
            unit="proportion",
            direction=Direction.HIGHER,
            formula=f"mean word F1 over all pairs of drawn answers to a question; {INTERVAL}",
            reference="after Manakul, Liusie & Gales 2023, arXiv 2303.08896; word F1 as Rajpurkar et al. 2016",
            plain="Asked again, the words of the model's answers agree to {value}.",
        ),
        MetricSpec(
            name="selfcheck_unigram",
            title="SelfCheckGPT, unigram (max)",
            unit="nats",
            direction=Direction.LOWER,
            formula="mean over sentences of max over words of −ln p, p the frequency among the words of the answer and "
            "of the drawn answers; t interval, clustered; a missing answer counts as 0 in the lower end and as a word "
            "used once in texts of full length in the upper",
            reference="Manakul, Liusie & Gales 2023, arXiv 2303.08896, §5.3",
            plain="The word least supported by the model's other answers surprises by {value} nats on average.",
        ),
        MetricSpec(
            name="mc1",
            title="TruthfulQA MC1",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="share of questions whose best true answer has a larger log-probability than every false one; "
            f"{INTERVAL}",
            reference="Lin, Hilton & Evans 2022, arXiv 2109.07958",
            plain="For {value} of the questions the model holds the true answer more likely than any false one.",
        ),
        MetricSpec(
            name="mc2",
            title="TruthfulQA MC2",
            unit="proportion",
            direction=Direction.HIGHER,
            formula=f"mean of Σ p(true answers) / Σ p(all choices), p from summed log-probabilities; {INTERVAL}",
            reference="Lin, Hilton & Evans 2022, arXiv 2109.07958",
            plain="Of its belief in all choices, the model gives {value} to the true ones.",
        ),
    )

    def plan(self, data_rows: int, params: HallucinationParams) -> Plan:
        from evaluations.stats import smallest_detectable_effect

        queries = data_rows * (1 + params.samples)
        return Plan(
            shards=shards(data_rows, SHARD_ROWS),
            expected_queries=queries,
            expected_output_tokens=queries * params.settings.max_new_tokens,
            judged=data_rows,
            smallest_detectable_effect=smallest_detectable_effect(data_rows),
        )

    def run_shard(
        self, model: Any, data: Dataset, params: HallucinationParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations.quality import hallucination_scores
        from evaluations.quality.judge_scores import Rows

        asked = Rows.of(data).asked
        here = asked[(asked >= shard.start) & (asked < shard.stop)]
        return hallucination_scores.ask(model, data, params, ctx, here)

    def judge_shard(
        self, judge: Any, data: Dataset, params: HallucinationParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations.quality import groundedness

        return groundedness.judge_shard(judge, data, params, ctx, shard)

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: HallucinationParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations import charts
        from evaluations.quality import groundedness, hallucination_scores

        told = hallucination_scores.collect(states, data, params)
        held = groundedness.collect(told, ctx)
        metrics = [*hallucination_scores.measure(told), *groundedness.measure(held, told, ctx)]
        titles = {
            spec.name: spec.title
            for spec in self.metrics
            if spec.unit == "proportion" and not spec.name.startswith("verdict_")
        }
        return ctx.result(
            self,
            params,
            metrics=metrics,
            charts=charts.group_bars(
                "support", "Share", [(titles[m.name], m) for m in metrics if m.name in titles]
            ),
            coverage=told.answers.coverage(),
            examples=groundedness.examples(held, told),
            warnings=groundedness.warnings(held),
        )


EVALUATION = Hallucination()
