"""efficiency.resources: what answering takes: memory, energy, carbon."""

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

BLOCKS = 10


class ResourcesParams(Params):
    requests: int = Field(
        default=200,
        ge=BLOCKS,
        le=100_000,
        title="Requests",
        description="Answers over which use is measured.",
    )
    cpu_watts: float | None = Field(
        default=None,
        gt=0,
        title="Processor power",
        description="Its rated power in watts, for an estimate where the machine counts no energy. An estimate has "
        "no interval, so it never passes a limit.",
    )
    grid_grams_per_kwh: float | None = Field(
        default=None,
        ge=0,
        title="Carbon intensity",
        description="Grams of CO2 equivalent per kilowatt-hour where the model runs.",
    )
    grid_source: str = Field(
        default="",
        max_length=300,
        title="Its source and date",
        description="Where that figure is from, and of when.",
    )
    settings: GenerationSettings = Field(
        default=GenerationSettings(max_new_tokens=32), title="Generation, for models that write"
    )


class Resources:
    """Ten blocks of requests, one request at a time; what the machine counts is read before and after each block."""

    name: ClassVar[str] = "efficiency.resources"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Memory and energy"
    question: ClassVar[str] = "How much memory and energy does an answer take?"
    Params: ClassVar[type[Params]] = ResourcesParams
    requires: ClassVar[Requirements] = Requirements(modalities=tuple(Modality), access=0, roles=())
    tags: ClassVar[tuple[str, ...]] = ("efficiency", "energy")
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec(
            name="weights_bytes",
            title="Size of the model's files",
            unit="bytes",
            direction=Direction.LOWER,
            formula="sum of the sizes of the model's files; counted, so without an interval",
            reference="—",
            plain="The model's files take {value}.",
        ),
        MetricSpec(
            name="peak_memory",
            title="Peak memory",
            unit="bytes",
            direction=Direction.LOWER,
            formula="largest resident set of the process that held the model (VmHWM), libraries included",
            reference="proc_pid_status(5)",
            plain="The process with the model held up to {value} of memory.",
        ),
        MetricSpec(
            name="peak_gpu_memory",
            title="Peak accelerator memory",
            unit="bytes",
            direction=Direction.LOWER,
            formula="largest memory that torch had allocated on the accelerator",
            reference="torch.cuda.max_memory_allocated",
            plain="On the accelerator the model held up to {value}.",
        ),
        MetricSpec(
            name="cpu_seconds",
            title="Processor time per answer",
            unit="seconds",
            direction=Direction.LOWER,
            formula="processor time of all threads / answers; t interval over ten blocks",
            reference="getrusage(2)",
            plain="An answer takes {value} of processor time.",
        ),
        MetricSpec(
            name="energy",
            title="Energy per answer",
            unit="joules",
            direction=Direction.LOWER,
            formula="energy / answers; counted by RAPL or NVML: t interval over ten blocks; else processor time × "
            "rated power / cores, an estimate without an interval",
            reference="Khan et al. 2018, ACM TOMPECS 3:9 (RAPL); NVML: nvmlDeviceGetTotalEnergyConsumption",
            plain="An answer takes {value}.",
        ),
        MetricSpec(
            name="carbon",
            title="Carbon per thousand answers",
            unit="grams",
            direction=Direction.LOWER,
            formula="energy per answer × 1,000 / 3.6e6 × grams of CO2 equivalent per kilowatt-hour",
            reference="Lacoste et al. 2019, arXiv 1910.09700",
            plain="A thousand answers cause {value} of CO2 equivalent.",
        ),
    )

    def plan(self, data_rows: int, params: ResourcesParams) -> Plan:
        return Plan(
            shards=(Shard(0, 0, params.requests),),  # one process, one peak
            expected_queries=params.requests,
            expected_output_tokens=params.requests * params.settings.max_new_tokens,
        )

    def run_shard(
        self, model: Any, data: Dataset, params: ResourcesParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations.efficiency import metering

        return metering.meter_shard(model, data, params, ctx, BLOCKS)

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: ResourcesParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations.efficiency import resource_scores

        used = resource_scores.collect(states, BLOCKS)
        return ctx.result(
            self,
            params,
            metrics=resource_scores.measure(used, params),
            charts=resource_scores.charts(used),
            coverage=used.coverage(),
            warnings=resource_scores.warnings(used, params),
        )


EVALUATION = Resources()
