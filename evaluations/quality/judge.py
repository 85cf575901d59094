"""quality.judge: how many answers another model, or a fixed rule, finds good, corrected by people's verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from evaluations.planning import shards
from evaluations.prompting import PromptParams
from evaluations.quality.generation import INTERVAL, SHARD_ROWS
from evaluations.quality.rubrics import Rubric
from evaluations.spec import (
    Access,
    Direction,
    EvaluationError,
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


class JudgeParams(PromptParams):
    criterion: str = Field(
        default="The answer is correct, and answers the question in full.",
        min_length=1,
        max_length=4000,
        title="Criterion",
        description="What an answer must fulfil to pass, as the judge is told.",
    )
    rubric: Rubric | None = Field(
        default=None,
        title="Fixed rule",
        description="Judges in place of a model: contains, matches, number or json.",
    )
    judge_settings: GenerationSettings = Field(
        default=GenerationSettings(max_new_tokens=16), title="Generation by the judge"
    )


class Judge:
    """The model answers the rows without a person's verdict; the judge judges these and the answers with one."""

    name: ClassVar[str] = "quality.judge"
    version: ClassVar[str] = "2"
    title: ClassVar[str] = "Judged quality"
    question: ClassVar[str] = (
        "How many of the model's answers does a judge find good, its own errors allowed for?"
    )
    Params: ClassVar[type[Params]] = JudgeParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.CAUSAL_LM, Modality.SEQ2SEQ),
        access=Access.GENERATE.value,
        roles=(Role.INPUT,),
        judge=True,
    )
    tags: ClassVar[tuple[str, ...]] = ("text_quality", "llm_judge")
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec(
            name="judged_rate",
            title="Share of good answers",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="(p + Sp − 1)/(Se + Sp − 1), p the judge's raw rate, Se and Sp its sensitivity and specificity on "
            "answers that people judged; all three resampled from Beta(x + ½, n − x + ½); the interval spans the raw "
            "one too, so that the judge's error can turn no failure into a pass. A fixed rule without people's "
            "verdicts is taken at its word",
            reference="Rogan & Gladen 1978, Am. J. Epidemiol. 107:71",
            plain="{value} of the answers are good, the judge's errors allowed for.",
        ),
        MetricSpec(
            name="judged_rate_raw",
            title="Share that the judge passes",
            unit="proportion",
            direction=Direction.HIGHER,
            formula=f"answers that the judge passed / judged answers; {INTERVAL}",
            reference="Zheng et al. 2023, arXiv 2306.05685",
            plain="The judge passed {value} of the answers.",
        ),
        MetricSpec(
            name="judge_sensitivity",
            title="Good answers that the judge passes",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="of the answers that most people passed, the share that the judge passed; Wilson interval",
            reference="Wilson 1927, JASA 22:209",
            plain="The judge passed {value} of the answers that people passed.",
        ),
        MetricSpec(
            name="judge_specificity",
            title="Bad answers that the judge fails",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="of the answers that most people failed, the share that the judge failed; Wilson interval",
            reference="Wilson 1927, JASA 22:209",
            plain="The judge failed {value} of the answers that people failed.",
        ),
        MetricSpec(
            name="judge_kappa",
            title="Agreement of judge and people, kappa",
            unit="score",
            direction=Direction.HIGHER,
            formula="Cohen's κ = (p_o − p_e)/(1 − p_e) of the judge and what most people said; large-sample interval",
            reference="Cohen 1960, Educ. Psychol. Meas. 20:37; Fleiss, Cohen & Everitt 1969, Psych. Bull. 72:323",
            plain="Beyond chance, judge and people agree at {value}; 1 is always, 0 is no more than by chance.",
        ),
        MetricSpec(
            name="agreement_alpha",
            title="Agreement of judge and people, alpha",
            unit="score",
            direction=Direction.HIGHER,
            formula="Krippendorff's nominal α of the judge and all people; bootstrap over answers",
            reference="Krippendorff 2019, Content Analysis, 4th ed., ch. 12",
            plain="Judge and people together agree at {value}; tentative conclusions take .67, firm ones .80.",
        ),
        MetricSpec(
            name="human_alpha",
            title="Agreement among people, alpha",
            unit="score",
            direction=Direction.HIGHER,
            formula="Krippendorff's nominal α of all people; bootstrap over answers",
            reference="Krippendorff 2019, Content Analysis, 4th ed., ch. 12",
            plain="People agree among themselves at {value}: no judge can be held to more.",
        ),
        MetricSpec(
            name="unparsed_rate",
            title="Replies without a verdict",
            unit="proportion",
            direction=Direction.LOWER,
            formula=f"share of the judge's replies that name neither PASS nor FAIL, or both; {INTERVAL}",
            reference="Wilson 1927, JASA 22:209",
            plain="{value} of the judge's replies held no verdict.",
        ),
    )

    def plan(self, data_rows: int, params: JudgeParams) -> Plan:
        from evaluations.stats import smallest_detectable_effect

        return Plan(
            shards=shards(data_rows, SHARD_ROWS),
            expected_queries=data_rows,
            expected_output_tokens=data_rows * params.settings.max_new_tokens,
            smallest_detectable_effect=smallest_detectable_effect(data_rows),
        )

    def run_shard(
        self, model: Any, data: Dataset, params: JudgeParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations import generating
        from evaluations.quality import judge_scores

        asked = judge_scores.Rows.of(data).asked
        here = asked[(asked >= shard.start) & (asked < shard.stop)]
        return generating.write_shard(model, data, params, ctx, here)

    def judge_shard(
        self, judge: Any, data: Dataset, params: JudgeParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations import records
        from evaluations.quality import judge_asking, judge_scores

        if params.rubric is not None or ctx.judged is None:
            raise EvaluationError("rule_judges", "A fixed rule judges the answers. Run this without a judge.")
        here = records.all_rows(data, shard)
        texts = judge_scores.texts_to_judge(data, params, ctx.judged, here)
        return judge_asking.ask_shard(judge, data, params, ctx, here, texts)

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: JudgeParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations import charts
        from evaluations.quality import judge_scores

        found = judge_scores.collect(states, data, params, ctx)
        metrics = judge_scores.measure(found, data, params, ctx)
        titles = {spec.name: spec.title for spec in self.metrics if spec.unit == "proportion"}
        return ctx.result(
            self,
            params,
            metrics=metrics,
            charts=charts.group_bars(
                "verdicts", "Share", [(titles[m.name], m) for m in metrics if m.name in titles]
            ),
            coverage=found.coverage(),
            examples=judge_scores.failed(found, data),
            warnings=judge_scores.warnings(found, params),
        )


EVALUATION = Judge()
