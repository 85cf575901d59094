"""robustness.image_corruption: accuracy of an image classifier in noise, blur, weather and compression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from evaluations.planning import shards
from evaluations.robustness.corruptions_constants import KINDS, SEVERITIES
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
    from evaluations.models.protocol import Classifier

SHARD_EXAMPLES = 10  # of 76 pictures each: what is lost when a run is killed
HENDRYCKS = "Hendrycks & Dietterich 2019, arXiv 1903.12261"
Severity = Literal[1, 2, 3, 4, 5]


class CorruptionParams(ScoredParams):
    kinds: tuple[str, ...] = Field(
        default=KINDS,
        min_length=1,
        title="Corruptions",
        description="Which of the fifteen corruptions are tried.",
    )
    severities: tuple[Severity, ...] = Field(
        default=(1, 2, 3, 4, 5),
        min_length=1,
        title="Severities",
        description="How strong they are, from 1 (mild) to 5 (severe).",
    )
    examples: int = Field(
        default=100,
        ge=1,
        le=10_000,
        title="Examples",
        description="How many images are corrupted, stratified by label; each is asked about once per corruption and "
        "severity.",
    )

    @model_validator(mode="after")
    def known(self) -> Self:
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown:
            raise ValueError(
                f"kinds: there is no corruption {unknown[0][:60]!r}; choose from {', '.join(KINDS)}"
            )
        for name, values in (("kinds", self.kinds), ("severities", self.severities)):
            if len(set(values)) != len(values):
                raise ValueError(f"{name}: each may be named once")
        return self

    @property
    def versions(self) -> list[tuple[str, int]]:
        """Every (kind, severity), kind by kind."""
        return [(kind, severity) for kind in self.kinds for severity in self.severities]


class ImageCorruption:
    """The fifteen corruptions of ImageNet-C at five severities, on a seeded sample of the images themselves."""

    name: ClassVar[str] = "robustness.image_corruption"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Robustness to corrupted images"
    question: ClassVar[str] = (
        "How much accuracy is left when images are noisy, blurred, badly lit or compressed?"
    )
    Params: ClassVar[type[Params]] = CorruptionParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.IMAGE_CLASSIFIER,), access=Access.LABEL.value
    )
    tags: ClassVar[tuple[str, ...]] = ("robustness", "corruption")
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec(
            name="clean_accuracy",
            title="Accuracy on clean images",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="right answers / sampled images; Wilson interval, clustered where rows are",
            reference="Wilson 1927, JASA 22:209",
            plain="Before any corruption the model was right for {value} of the sampled images.",
        ),
        MetricSpec(
            name="corruption_accuracy",
            title="Accuracy on corrupted images",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="mean over images of the share of their corrupted versions (every kind at every severity) answered "
            "right; Wilson interval at the number of rows that has the variance of these shares",
            reference=HENDRYCKS,
            plain="Over all corruptions the model was right for {value} of the corrupted images.",
        ),
        MetricSpec(
            name="relative_drop",
            title="Accuracy lost, relative",
            unit="ratio",
            direction=Direction.LOWER,
            formula="(clean − corrupted) / clean accuracy, over all kinds and severities; MOVER-R over both intervals "
            "with the correlation of the images' own answers",
            reference=f"{HENDRYCKS}; Donner & Zou 2012, Statistical Methods in Medical Research 21:347",
            plain="Corruption cost the model {value} of the accuracy that it has on clean images.",
        ),
        MetricSpec(
            name="worst_kind_accuracy",
            title="Accuracy under the worst corruption",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="smallest of the accuracies of the kinds, each over its severities; bounds of the smallest true "
            "one, whichever it is, from intervals that hold for all kinds at once (Bonferroni)",
            reference=f"{HENDRYCKS}; Dunn 1961, JASA 56:52",
            plain="Under the corruption that is worst for it the model was right {value} of the time.",
        ),
        MetricSpec(
            name="kind_accuracy",
            title="Accuracy under a corruption",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="mean over images of the share of severities of this kind answered right; interval as above",
            reference=HENDRYCKS,
            plain="Under this corruption the model was right {value} of the time.",
            sliced=True,
        ),
        MetricSpec(
            name="severity_accuracy",
            title="Accuracy at a severity",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="mean over images of the share of kinds at this severity answered right; interval as above",
            reference=HENDRYCKS,
            plain="At this severity the model was right {value} of the time.",
            sliced=True,
        ),
    )

    def plan(self, data_rows: int, params: CorruptionParams) -> Plan:
        from evaluations.stats import smallest_detectable_effect

        n = min(params.examples, data_rows)
        return Plan(
            shards=shards(n, SHARD_EXAMPLES),
            expected_queries=n * (1 + len(params.versions)),
            smallest_detectable_effect=smallest_detectable_effect(n),
        )

    def run_shard(
        self, model: Classifier, data: Dataset, params: CorruptionParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations.robustness import image_corruption_asking

        return image_corruption_asking.ask_shard(model, data, params, ctx, shard)

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: CorruptionParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations import charts
        from evaluations.robustness import image_corruption_examples, image_corruption_scores

        answers = image_corruption_scores.collect(states, data, params, ctx)
        metrics = image_corruption_scores.measure(answers, params)
        return ctx.result(
            self,
            params,
            metrics=metrics,
            charts=charts.by_severity(image_corruption_scores.cells(answers, params)),
            coverage=answers.coverage(),
            examples=image_corruption_examples.examples(answers, data, params, ctx),
            warnings=image_corruption_scores.warnings(states, answers, params),
        )


assert SEVERITIES == 5  # what `Severity` lists
EVALUATION = ImageCorruption()
