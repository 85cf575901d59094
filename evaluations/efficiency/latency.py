"""efficiency.latency: how long a model's answers take when requests arrive whether it is ready or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from evaluations.spec import (
    Direction,
    EvaluationResult,
    GenerationSettings,
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

WARM_UP, BACK_TO_BACK, FIRST_TOKENS = 5, 60, 60  # requests
DAVID = "David & Nagaraja 2003, Order Statistics, §7.1; blocks: Carlstein 1986, Ann. Stat. 14:1171"
SCHROEDER = "Schroeder, Wierman & Harchol-Balter 2006, NSDI (open against closed systems)"


class LatencyParams(Params):
    requests: int = Field(
        default=400,
        ge=20,
        le=100_000,
        title="Requests",
        description="Timed requests that arrive by themselves. A 99 % quantile takes at least 368.",
    )
    load: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        title="Load",
        description="Arrivals as a share of what the model can do back to back. Not used where a rate is given.",
    )
    requests_per_second: float | None = Field(
        default=None,
        gt=0,
        title="Rate",
        description="Arrivals per second, where your service level names them.",
    )
    most_seconds: float = Field(
        default=300,
        gt=0,
        le=3600,
        title="Longest time",
        description="The timing ends after so many seconds, with as many requests as there were.",
    )
    settings: GenerationSettings = Field(
        default=GenerationSettings(max_new_tokens=32), title="Generation, for models that write"
    )


def _quantile(share: int) -> MetricSpec:
    return MetricSpec(
        name=f"latency_p{share}",
        title=f"Latency, {share} % quantile",
        unit="seconds",
        direction=Direction.LOWER,
        formula=f"smallest time that at least {share} % of the requests do not exceed, from arrival to answer, Poisson "
        "arrivals; wider of the order-statistic interval and the bootstrap of blocks of 20 requests",
        reference=f"{DAVID}; {SCHROEDER}",
        plain=f"{share} of 100 answers came within {{value}} of the request.",
    )


class Latency:
    """Open-loop arrivals: a slow answer delays those behind it, and that time counts. One process, this machine."""

    name: ClassVar[str] = "efficiency.latency"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Latency and throughput"
    question: ClassVar[str] = "How long do answers take when requests keep arriving?"
    Params: ClassVar[type[Params]] = LatencyParams
    requires: ClassVar[Requirements] = Requirements(modalities=tuple(Modality), access=0, roles=())
    tags: ClassVar[tuple[str, ...]] = ("efficiency", "latency")
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        *(_quantile(share) for share in (50, 90, 99)),
        MetricSpec(
            name="throughput",
            title="Throughput",
            unit="per_second",
            direction=Direction.HIGHER,
            formula="answers / time of requests, one after the other without a pause; t interval over blocks",
            reference=SCHROEDER,
            plain="Back to back the model answers this many requests a second: {value}.",
        ),
        MetricSpec(
            name="time_to_first_token",
            title="Time to the first token",
            unit="seconds",
            direction=Direction.LOWER,
            formula="median time of a request for one token alone, no answer being later than any; order-statistic "
            "interval",
            reference=DAVID,
            plain="Half of the texts begin within {value}.",
        ),
        MetricSpec(
            name="time_per_token",
            title="Time per further token",
            unit="seconds",
            direction=Direction.LOWER,
            formula="median over requests of (time − time of the same request for one token) / (tokens − 1); "
            "order-statistic interval",
            reference=DAVID,
            plain="After the first token each further one takes {value}.",
        ),
        MetricSpec(
            name="unanswered_rate",
            title="Requests without an answer",
            unit="proportion",
            direction=Direction.LOWER,
            formula="timed requests without an answer, those still waiting when the time ended among them / timed "
            "requests; Clopper–Pearson interval",
            reference="Clopper & Pearson 1934, Biometrika 26:404",
            plain="{value} of the requests got no answer under this load.",
        ),
    )

    def plan(self, data_rows: int, params: LatencyParams) -> Plan:
        asked = WARM_UP + BACK_TO_BACK + FIRST_TOKENS + params.requests
        return Plan(
            shards=(Shard(0, 0, params.requests),),  # one clock
            expected_queries=asked,
            expected_output_tokens=asked * params.settings.max_new_tokens,
        )

    def run_shard(
        self, model: Any, data: Dataset, params: LatencyParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations.efficiency import timing

        return timing.time_shard(model, data, params, ctx)

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: LatencyParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations.efficiency import latency_scores

        timed = latency_scores.collect(states)
        return ctx.result(
            self,
            params,
            metrics=latency_scores.measure(timed, data.modality, ctx),
            charts=latency_scores.charts(timed),
            coverage=timed.coverage(),
            warnings=latency_scores.warnings(timed, params),
        )


EVALUATION = Latency()
