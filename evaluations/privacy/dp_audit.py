"""privacy.dp_audit: whether canaries, included by the toss of a coin, refute a claim of differential privacy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from evaluations.planning import one_pass
from evaluations.spec import (
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

STEINKE = "Steinke, Nasr & Jagielski 2023, arXiv 2305.08846, corollary 5.4 and appendix D"


class AuditParams(ScoredParams):
    claimed_epsilon: float | None = Field(
        default=None,
        gt=0,
        le=100,
        title="Claimed ε",
        description="The ε that the training claims, as its accountant gave it. Empty: nothing is claimed.",
    )
    delta: float = Field(
        default=1e-5,
        ge=0,
        lt=1,
        title="δ",
        description="The δ that goes with it.",
    )
    beta: float = Field(
        default=0.05,
        gt=0,
        lt=0.5,
        title="Chance of refuting wrongly",
        description="So often, at most, a true claim is refuted. .05 gives a one-sided 95 % bound.",
    )
    guessed: float = Field(
        default=0.2,
        gt=0,
        le=1,
        title="Share of canaries guessed",
        description="The half of them that look most like training data are guessed in, the other half out, about "
        "those between nothing is said. Fix it before you look at any result.",
    )
    choose: Literal["fixed", "half"] = Field(
        default="fixed",
        title="How many are guessed",
        description="fixed: the share above. half: the best share on a random half of the canaries; then only the "
        "other half counts.",
    )
    delimiter: str = Field(
        default=" ",
        max_length=100,
        title="Between text and target",
        description="What stood between them in training, for language models whose canaries have a target.",
    )


class DpAudit:
    """ε from right guesses about canaries. The coins come from the data set; the model never sees them here."""

    name: ClassVar[str] = "privacy.dp_audit"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Audit of differential privacy"
    question: ClassVar[str] = "Do planted canaries refute the claimed differential privacy?"
    Params: ClassVar[type[Params]] = AuditParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(
            Modality.TEXT_CLASSIFIER,
            Modality.TABULAR,
            Modality.IMAGE_CLASSIFIER,
            Modality.CAUSAL_LM,
        ),
        access=0,  # probabilities, or log-likelihoods of a language model
        roles=(Role.INPUT, Role.RANDOMISED_INCLUSION),
    )
    tags: ClassVar[tuple[str, ...]] = ("privacy", "priv.dp_epsilon")
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec(
            name="epsilon_lower_bound",
            title="ε, lower bound",
            unit="nats",
            direction=Direction.LOWER,
            formula="largest ε that v right guesses of r about m canaries refute at level β: P[Binomial(r, e^ε/(1 + "
            "e^ε)) ≥ v] + 2·m·δ·max_i P[v − i ≤ Binomial < v]/i ≤ β, 0 where none is. The number is itself the end "
            "of a one-sided interval at 1 − β (95 %) that has no upper end, so it has no interval of its own, and a "
            "small one shows nothing: no policy passes by it",
            reference=STEINKE,
            plain="The training is not differentially private with an ε below {value}. What the true ε is, and "
            "whether a better attack would show more, stays unknown.",
            one_sided=True,
        ),
        MetricSpec(
            name="refuted",
            title="Claim of differential privacy",
            unit="refutation",
            direction=Direction.LOWER,
            formula="1 if the claimed (ε, δ) has a p value of at most β, else 0; one-sided: what is not refuted may "
            "be true or false, so the interval is then [0, 1] and a demand of 0 is never met, only missed",
            reference=STEINKE,
            plain="By the canaries the claim is {value}. One that is not refuted is not proven: it rests on the "
            "training's own accounting.",
        ),
        MetricSpec(
            name="claim_p",
            title="p value of the claim",
            unit="probability",
            direction=Direction.CONTEXT,
            formula="upper bound of the probability of v or more right guesses under the claimed (ε, δ), as above",
            reference=STEINKE,
            plain="If the claim were true, so many right guesses would have a probability of at most {value}.",
            one_sided=True,
        ),
        MetricSpec(
            name="guess_accuracy",
            title="Right guesses about canaries",
            unit="proportion",
            direction=Direction.LOWER,
            formula="v/r: of the k canaries with the highest score those that were included, of the k with the lowest "
            "those that were left out, over r = 2k; ties fall by the seed. Score: ln p − ln(1 − p) of the true class, "
            "or ln p(text) per byte (per byte of the target, where there is one). Clopper–Pearson, two-sided 95 %. A "
            "canary without an answer is not guessed",
            reference=f"{STEINKE}; score: Carlini et al. 2022, arXiv 2112.03570",
            plain="Whether a canary was in the training data was guessed rightly {value} of the time; a coin would "
            "be right half of the time.",
        ),
    )

    def plan(self, data_rows: int, params: AuditParams) -> Plan:
        return one_pass(data_rows)

    def run_shard(
        self, model: Any, data: Dataset, params: AuditParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations.privacy import canary_scores

        return canary_scores.write_shard(model, data, params, ctx, shard)

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: AuditParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations import charts
        from evaluations.privacy import canary_scores, dp_audit_numbers

        scored = canary_scores.collect(states, data, ctx)
        found = dp_audit_numbers.audit(scored, params, ctx)
        return ctx.result(
            self,
            params,
            metrics=dp_audit_numbers.measure(found, params),
            charts=charts.guesses(
                dp_audit_numbers.curve(found), found.guesses, dp_audit_numbers.permitted(params)
            )
            if not found.reason
            else [],
            coverage=scored.coverage(),
            warnings=dp_audit_numbers.warnings(found, params),
        )


EVALUATION = DpAudit()
