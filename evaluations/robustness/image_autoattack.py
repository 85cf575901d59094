"""robustness.image_autoattack: whether small changes of the pixels change an image classifier's answer (AutoAttack)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

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
    ScoredParams,
    Shard,
    ShardState,
)

if TYPE_CHECKING:
    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import ImageGradients

SHARD_EXAMPLES = 50  # they share batches
TARGETS = 9  # at most
EXPLAINING = 8 * 2 * (7 * 7 + 2)  # queries: of the successes that are shown, before and after, cell by cell
WITHSTANDING = 1 / 3  # share of the examples that meet every attack, for the forecast only
CROCE = "Croce & Hein 2020, arXiv 2003.01690"
TITLES = {
    "apgd_ce": "APGD-CE",
    "apgd_dlr": "APGD-DLR",
    "apgd_t": "APGD-T",
    "fab_t": "FAB-T",
    "square": "Square",
}


class ImageAutoAttackParams(ScoredParams):
    examples: int = Field(
        default=100,
        ge=1,
        le=10_000,
        title="Examples",
        description="How many examples to attack, stratified by label.",
    )
    norm: Literal["Linf", "L2"] = Field(
        default="Linf",
        title="Norm",
        description="Linf bounds the change of each value, L2 the length of all changes together.",
    )
    epsilon: float = Field(
        default=8 / 255,
        gt=0,
        le=100,
        title="Largest change",
        description="Of values from 0 to 1, at the resolution that the network reads. Usual are 8/255 (Linf) and 0.5 "
        "(L2) for small photographs, 4/255 and 3 for large ones.",
    )
    iterations: int = Field(
        default=100,
        ge=1,
        le=10_000,
        title="Steps",
        description="Of each attack that follows gradients. A large network without a GPU takes fewer, such as 10.",
    )
    square_queries: int = Field(
        default=5_000,
        ge=1,
        le=1_000_000,
        title="Queries",
        description="Of Square, the attack without gradients. A large network without a GPU takes fewer, such as 300.",
    )
    check_examples: int = Field(
        default=50,
        ge=1,
        le=10_000,
        title="Examples that check the attack",
        description="So many of the examples are also attacked by Square alone, and without a bound, to tell a robust "
        "model from one that hides its gradients.",
    )
    explain: bool = Field(
        default=True,
        title="Explain successes",
        description="Show what the model goes by before and after, for the successes shown.",
    )

    @model_validator(mode="after")
    def within_the_image(self) -> Self:
        if self.norm == "Linf" and self.epsilon > 1:
            raise ValueError("values go from 0 to 1, so in Linf no change is larger than 1; 8/255 is 0.0314")
        return self


class ImageAutoAttack:
    """AutoAttack's four attacks on a seeded sample. Each meets only what survived the ones before."""

    name: ClassVar[str] = "robustness.image_autoattack"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Robustness to the strongest small changes of an image"
    question: ClassVar[str] = "Can changes too small to notice make the model change its answer?"
    Params: ClassVar[type[Params]] = ImageAutoAttackParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.IMAGE_CLASSIFIER,),
        access=(Access.LABEL | Access.PROBS | Access.LOGITS | Access.GRAD).value,
    )
    tags: ClassVar[tuple[str, ...]] = ("robustness", "adversarial")
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec(
            name="clean_accuracy",
            title="Accuracy before the attack",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="right answers / sampled examples; Wilson interval, clustered where rows are",
            reference=CROCE,
            plain="Before any change the model was right for {value} of the sampled images.",
        ),
        MetricSpec(
            name="robust_accuracy",
            title="Robust accuracy",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="examples right before, and after every attack of the cascade (APGD-CE, APGD-T, FAB-T, Square) / "
            "sampled examples; changes within epsilon; Wilson interval, clustered where rows are",
            reference=CROCE,
            plain="Whatever the attacks changed, the model stayed right for {value} of the sampled images.",
        ),
        MetricSpec(
            name="accuracy_after",
            title="Accuracy after each attack",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="examples right before, and after this and all earlier attacks of the cascade / sampled examples; "
            "Wilson interval, clustered where rows are",
            reference=CROCE,
            plain="After this attack and the ones before it the model was still right for {value} of the images.",
            sliced=True,
        ),
        MetricSpec(
            name="gradient_masking_flags",
            title="Signs of hidden gradients",
            unit="count",
            direction=Direction.LOWER,
            formula="how many hold of: two passes differ; outputs are probabilities; lower bound of zero gradients "
            "above 1 %; Square beats APGD-CE on the same images (lower bound of the paired difference above 0), or "
            "breaks what every other attack left (lower bound above 1 %); lower bound of the accuracy without a bound "
            "above 1 %. A count of findings, so without an interval. Not stated unless at least 10 "
            "checked images are right before",
            reference="Croce & Hein 2020, arXiv 2003.01690, and its flags; Carlini et al. 2019, arXiv 1902.06705",
            plain="{value} signs say that the attacks failed for another reason than the model's strength.",
        ),
        MetricSpec(
            name="zero_gradients",
            title="Images without a gradient",
            unit="proportion",
            direction=Direction.LOWER,
            formula="images whose cross-entropy has a gradient of zero, or none, in every value / images right before; "
            "Wilson interval, clustered where rows are",
            reference=CROCE,
            plain="For {value} of the images the model shows attackers no direction at all.",
        ),
        MetricSpec(
            name="square_advantage",
            title="Advantage of the attack without gradients",
            unit="difference",
            direction=Direction.LOWER,
            formula="accuracy under APGD-CE alone − accuracy under Square alone, on the same checked examples; "
            "Newcombe's paired interval, clustered where rows are",
            reference="Athalye et al. 2018, arXiv 1802.00420; Newcombe 1998, Statistics in Medicine 17:2635",
            plain="Where it is above 0, an attack that uses no gradients does better by {value}: the model hides them.",
        ),
        MetricSpec(
            name="unbounded_accuracy",
            title="Accuracy without a bound",
            unit="proportion",
            direction=Direction.LOWER,
            formula="checked examples right before and after APGD-CE with epsilon 1 / checked examples; Wilson "
            "interval, clustered where rows are",
            reference="Carlini et al. 2019, arXiv 1902.06705",
            plain="With any change allowed, {value} of the checked images withstood. Anything but 0 speaks against the "
            "attack.",
        ),
        MetricSpec(
            name="saved_successes",
            title="Attacks that survive being saved",
            unit="proportion",
            direction=Direction.CONTEXT,
            formula="attacked images that mislead the model when stored as an 8-bit PNG and prepared anew / attacked "
            "images kept; Wilson interval, clustered where rows are",
            reference="Kurakin et al. 2017, arXiv 1607.02533",
            plain="{value} of the attacked images still mislead the model when they are saved as ordinary files.",
        ),
    )

    def plan(self, data_rows: int, params: ImageAutoAttackParams) -> Plan:
        from evaluations.stats import smallest_detectable_effect

        n = min(params.examples, data_rows)
        check = min(params.check_examples, n)
        to_the_end = 3 * TARGETS * params.iterations + params.square_queries  # FAB looks twice a step
        explained = EXPLAINING if params.explain else 0
        each = params.iterations + WITHSTANDING * to_the_end
        return Plan(
            shards=shards(n, SHARD_EXAMPLES),
            expected_queries=round(n * each + check * (params.iterations + params.square_queries))
            + explained,
            smallest_detectable_effect=smallest_detectable_effect(n),
        )

    def run_shard(
        self, model: ImageGradients, data: Dataset, params: ImageAutoAttackParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations.robustness import image_autoattack_run

        return image_autoattack_run.attack_shard(model, data, params, ctx, shard)

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: ImageAutoAttackParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations import charts
        from evaluations.robustness import image_autoattack_flags, image_autoattack_measures
        from evaluations.robustness import image_autoattack_scores as scores

        outcomes = scores.collect(states, data, params, ctx)
        flags = image_autoattack_flags.warnings_of(outcomes)
        metrics = image_autoattack_measures.measure(outcomes, len(flags), params)
        told = scores.keep(outcomes, ctx)
        return ctx.result(
            self,
            params,
            metrics=metrics,
            charts=charts.accuracy_by_attack(metrics, TITLES),
            examples=scores.examples(outcomes, params.epsilon, TITLES),
            warnings=[*flags, *scores.warnings(outcomes, params), *told],
            coverage=outcomes.coverage(),
        )


EVALUATION = ImageAutoAttack()
