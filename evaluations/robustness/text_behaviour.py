"""robustness.text_behaviour: whether harmless changes leave an answer as it is, and others move it the right way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from evaluations.planning import shards
from evaluations.prompting import PromptParams
from evaluations.spec import (
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

SHARD_EXAMPLES = 500
RIBEIRO = "Ribeiro et al. 2020, arXiv 2005.04118 (CheckList)"
WILSON = "Wilson interval, clustered where examples are; no answer counts against and for"

Invariance = Literal[
    "swapped_letters", "slipped_key", "lower_case", "upper_case", "title_case", "contractions", "spacing",
    "full_stop", "names",
]  # fmt: skip
Directional = Literal["negated_praise", "negated_blame", "added_praise", "added_blame"]


class TextBehaviourParams(PromptParams):
    """Also how a language model is asked; its text must name one label."""

    examples: int = Field(
        default=1000,
        ge=1,
        le=20_000,
        title="Examples",
        description="How many texts to change, drawn at random.",
    )
    invariance: tuple[Invariance, ...] = Field(
        default=(
            "swapped_letters", "slipped_key", "lower_case", "upper_case", "title_case", "contractions", "spacing",
            "full_stop", "names",
        ),
        title="Changes that must leave the answer as it is",
        description="Leave out what may rightly change it: capitals where they carry meaning, names where the task is "
        "about people.",
    )  # fmt: skip
    directional: tuple[Directional, ...] = Field(
        default=("negated_praise", "negated_blame", "added_praise", "added_blame"),
        title="Changes that may move the answer one way only",
        description="They need a favourable class. Leave them out where praise does not speak for it.",
    )
    favourable: str = Field(
        default="",
        max_length=200,
        title="Favourable class",
        description="The class that praise speaks for. Empty: the data set's favourable label.",
    )
    margin: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        title="Margin",
        description="By how much the probability of the favourable class may move the wrong way.",
    )
    settings: GenerationSettings = Field(default=GenerationSettings(max_new_tokens=16), title="Generation")

    @field_validator("invariance", "directional")
    @classmethod
    def once_each(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) != len(names):
            raise ValueError("Name each test once.")
        return names

    @model_validator(mode="after")
    def some(self) -> Self:
        if not (self.invariance or self.directional):
            raise ValueError("Name at least one test, under invariance or directional.")
        return self


class TextBehaviour:
    """Texts with typing errors, other capitals, contractions, names, and with praise and blame added or negated."""

    name: ClassVar[str] = "robustness.text_behaviour"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Behaviour under harmless changes"
    question: ClassVar[str] = (
        "Does the model keep its answer where a change is harmless, and move it the right way where it is not?"
    )
    Params: ClassVar[type[Params]] = TextBehaviourParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.TEXT_CLASSIFIER, Modality.CAUSAL_LM, Modality.SEQ2SEQ),
        access=0,  # labels, or texts that name them
        roles=(Role.INPUT,),
        languages=("en",),
    )
    tags: ClassVar[tuple[str, ...]] = ("robustness",)
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec(
            name="invariance_failure_rate",
            title="Changed by something harmless",
            unit="proportion",
            direction=Direction.LOWER,
            formula="texts whose most probable class changed in at least one invariance test / texts that at least one "
            f"could be made of; {WILSON}",
            reference=RIBEIRO,
            plain="A change that should not matter, such as a slip of the hand, changed the answer to {value} of the "
            "texts.",
        ),
        MetricSpec(
            name="directional_failure_rate",
            title="Moved the wrong way",
            unit="proportion",
            direction=Direction.LOWER,
            formula="texts in which the probability of the favourable class moved the wrong way by more than the "
            "margin (without probabilities: the answer became, or ceased to be, that class) in at least one "
            f"directional test / texts that at least one could be made of; {WILSON}",
            reference=RIBEIRO,
            plain="Praise or blame, added or negated, moved the answer to {value} of the texts the wrong way.",
        ),
        MetricSpec(
            name="failure_rate",
            title="Failures of one test",
            unit="proportion",
            direction=Direction.LOWER,
            formula=f"texts that failed this test / texts that have what it changes; {WILSON}",
            reference=RIBEIRO,
            plain="{value} of the texts that this change could be made to failed the test.",
            sliced=True,
        ),
        MetricSpec(
            name="unchanged_flip_rate",
            title="Changed by nothing",
            unit="proportion",
            direction=Direction.LOWER,
            formula=f"texts whose most probable class changed when the same text was asked again / texts; {WILSON}",
            reference="Atil et al. 2024, arXiv 2408.04667",
            plain="Asked the same text again, the model changed its answer to {value} of the texts: the floor of the "
            "other rates.",
        ),
    )

    def plan(self, data_rows: int, params: TextBehaviourParams) -> Plan:
        from evaluations.stats import smallest_detectable_effect

        n = min(params.examples, data_rows)
        asked = n * (2 + len(params.invariance) + len(params.directional))
        return Plan(
            shards=shards(n, SHARD_EXAMPLES),
            expected_queries=asked,
            expected_output_tokens=asked * params.settings.max_new_tokens,
            smallest_detectable_effect=smallest_detectable_effect(n),
        )

    def run_shard(
        self, model: Any, data: Dataset, params: TextBehaviourParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations.robustness import text_behaviour_answers

        return text_behaviour_answers.ask_shard(model, data, params, ctx, shard)

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: TextBehaviourParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations.robustness import text_behaviour_scores as scores

        found = scores.collect(states, data, params, ctx)
        metrics = scores.measure(found, params)
        return ctx.result(
            self,
            params,
            metrics=metrics,
            charts=scores.plots(metrics, params),
            examples=scores.examples(found),
            warnings=scores.warnings(found, metrics, ctx),
            coverage=found.coverage(),
        )


EVALUATION = TextBehaviour()
