"""robustness.prompt_sensitivity: how much a language model's accuracy depends on how the same thing is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from evaluations.planning import shards
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
    ScoredParams,
    Shard,
    ShardState,
)

if TYPE_CHECKING:
    from evaluations.context import Context
    from evaluations.data.dataset import Dataset

SHARD_EXAMPLES = 256  # each is asked eight times: what is lost when a run is killed
BUILT_IN = 6  # templates of each kind of task
SCLAR = "Sclar et al. 2024, arXiv 2310.11324"
MIZRAHI = "Mizrahi et al. 2024, arXiv 2401.00595"
EVERY = "over the examples answered under every template"
WILSON = "Wilson interval, clustered where examples are; no answer counts against and for"
PAIRS = (
    "largest over pairs of templates of Newcombe's method 10 for paired proportions, simultaneous by Bonferroni, "
    "clustered where examples are; in the upper end an answer that could not be read may have been right"
)
NULL = "answers exchanged at random between the templates within each example (in each cluster together), 9,999 draws"


class PromptSensitivityParams(ScoredParams):
    examples: int = Field(
        default=300, ge=1, le=10_000, title="Examples", description="How many to ask, drawn at random."
    )
    templates: tuple[Annotated[str, Field(max_length=20_000)], ...] = Field(
        default=(),
        max_length=12,
        title="Templates",
        description="Two to twelve ways of asking the same. {input} stands for the input, {context} for the passage, "
        "{choices} for the list of answers to choose from. Empty: six of ours that fit the task.",
    )
    task: Literal["auto", "choices", "labels", "answers"] = Field(
        default="auto",
        title="What is answered",
        description="choices: one of those each row offers. labels: one of the classes. answers: free text that must "
        "contain an accepted answer. auto: choices where the data have them; labels where the model is registered with "
        "classes, or the target has 2 to 20 values that repeat; else answers.",
    )
    scoring: Literal["auto", "likelihood", "written"] = Field(
        default="auto",
        title="How an answer is taken",
        description="likelihood: the choice with the highest log-probability. written: the choice that the text names. "
        "auto: by likelihood where the model gives log-probabilities.",
    )
    repeats: int = Field(
        default=2,
        ge=2,
        le=10,
        title="Times the first template is asked",
        description="What differs between these is the repeatability floor.",
    )
    delimiter: str = Field(
        default=" ",
        max_length=20,
        title="Between prompt and choice",
        description="What stands between the prompt and each choice, by likelihood.",
    )
    settings: GenerationSettings = Field(default=GenerationSettings(max_new_tokens=32), title="Generation")

    @model_validator(mode="after")
    def ask_the_same(self) -> Self:
        if len(self.templates) == 1 or len(set(self.templates)) != len(self.templates):
            raise ValueError("Give at least two templates, each once, or none for the built-in ones.")
        for number, template in enumerate(self.templates, start=1):
            if "{input}" not in template:
                raise ValueError(f"Template {number} has no {{input}}: say where the input goes.")
        return self


class PromptSensitivity:
    """The same examples under several templates: the spread of the accuracies, and how much of it is chance."""

    name: ClassVar[str] = "robustness.prompt_sensitivity"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Sensitivity to the prompt"
    question: ClassVar[str] = "Does it matter how the same question is put to the model?"
    Params: ClassVar[type[Params]] = PromptSensitivityParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.CAUSAL_LM, Modality.SEQ2SEQ),
        access=Access.GENERATE.value,
        roles=(Role.INPUT, Role.TARGET),
    )
    tags: ClassVar[tuple[str, ...]] = ("robustness",)
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec(
            name="spread",
            title="Spread over templates",
            unit="difference",
            direction=Direction.LOWER,
            formula=f"highest − lowest accuracy over the templates, {EVERY}; {PAIRS}",
            reference=f"{SCLAR}; interval: Newcombe 1998, Statistics in Medicine 17:2635",
            plain="Accuracy differs by {value} between the best and the worst way of asking.",
        ),
        MetricSpec(
            name="spread_excess",
            title="Spread beyond chance and the repeatability floor",
            unit="difference",
            direction=Direction.LOWER,
            formula="max(0, spread − the larger of the mean spread by chance and the repeatability floor); by chance: "
            f"{NULL}; interval of the true spread, as of the spread, so that what chance makes is never taken off it",
            reference=f"{SCLAR}; Good 2005, Permutation, Parametric, and Bootstrap Tests of Hypotheses, 3rd ed.",
            plain="Of the difference between the best and the worst way of asking, {value} is more than chance makes.",
        ),
        MetricSpec(
            name="spread_p",
            title="Spread: permutation p",
            unit="probability",
            direction=Direction.CONTEXT,
            formula=f"(1 + number of draws with a spread at least as large)/(draws + 1); {NULL}",
            reference="Davison & Hinkley 1997, Bootstrap Methods and their Application, §4.2",
            plain="If it did not matter how one asks, a spread this large would arise with probability {value}.",
        ),
        MetricSpec(
            name="worst_accuracy",
            title="Accuracy under the worst template",
            unit="proportion",
            direction=Direction.HIGHER,
            formula=f"lowest accuracy over the templates, {EVERY}; smallest of the ends of Wilson intervals that hold "
            "for all templates at once by Bonferroni",
            reference=MIZRAHI,
            plain="Asked in the worst of the ways, the model was right for {value} of the examples.",
        ),
        MetricSpec(
            name="accuracy",
            title="Accuracy by template",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="right answers / answers under one template; a text that names no answer is wrong in value and "
            f"lower end, and may have been right in the upper; {WILSON}",
            reference=MIZRAHI,
            plain="Asked in this way, the model was right for {value} of the examples.",
            sliced=True,
        ),
        MetricSpec(
            name="unparsed_rate",
            title="Answers that could not be read",
            unit="proportion",
            direction=Direction.LOWER,
            formula=f"texts under one template that name none of the choices, or several / texts; {WILSON}",
            reference=SCLAR,
            plain="Asked in this way, {value} of the answers named none of the choices, or several.",
            sliced=True,
        ),
        MetricSpec(
            name="disagreement",
            title="Answers that depend on the template",
            unit="proportion",
            direction=Direction.LOWER,
            formula="examples not answered alike under every template (the same choice; for free text, right each "
            f"time or wrong each time) / examples; {WILSON}; in the upper end what could not be read differs",
            reference=MIZRAHI,
            plain="For {value} of the examples the answer depends on how one asks.",
        ),
        MetricSpec(
            name="repeat_disagreement",
            title="Answers that differ when asked again",
            unit="proportion",
            direction=Direction.LOWER,
            formula=f"examples not answered alike each time the first template was asked / examples; {WILSON}; in "
            "the upper end what could not be read differs",
            reference="Atil et al. 2024, arXiv 2408.04667",
            plain="Asked again in the same way, the model answered {value} of the examples differently.",
        ),
        MetricSpec(
            name="repeatability_floor",
            title="Repeatability floor of the spread",
            unit="difference",
            direction=Direction.CONTEXT,
            formula="d·√(mean over examples of the variance of right (1) and wrong (0) between repeats ÷ examples), d "
            "the mean range of as many standard normals as there are templates; interval of a bounded mean",
            reference="Tippett 1925, Biometrika 17:364; Atil et al. 2024, arXiv 2408.04667",
            plain="Asked one way only, as often as there are templates, the model would differ by {value} from itself.",
        ),
    )

    def plan(self, data_rows: int, params: PromptSensitivityParams) -> Plan:
        from evaluations.stats import smallest_detectable_effect

        n = min(params.examples, data_rows)
        asked = n * ((len(params.templates) or BUILT_IN) + params.repeats - 1)
        return Plan(
            shards=shards(n, SHARD_EXAMPLES),
            expected_queries=asked,
            expected_output_tokens=asked * params.settings.max_new_tokens,
            smallest_detectable_effect=smallest_detectable_effect(n),
        )

    def run_shard(
        self, model: Any, data: Dataset, params: PromptSensitivityParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations.robustness import prompt_sensitivity_answers

        return prompt_sensitivity_answers.ask_shard(model, data, params, ctx, shard)

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: PromptSensitivityParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations.robustness import prompt_sensitivity_answers, prompt_sensitivity_scores

        asked = prompt_sensitivity_answers.collect(states, data, params, ctx)
        metrics = prompt_sensitivity_scores.measure(asked, params, ctx)
        return ctx.result(
            self,
            params,
            metrics=metrics,
            charts=prompt_sensitivity_scores.plots(metrics, asked),
            examples=prompt_sensitivity_scores.examples(asked, data),
            warnings=prompt_sensitivity_scores.warnings(asked, metrics),
            coverage=asked.coverage(),
        )


EVALUATION = PromptSensitivity()
