"""The numbers of efficiency.resources, from the readings between blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evaluations import stats
from evaluations.charts.amounts import amount_bars
from evaluations.efficiency.metering import SCHEMA
from evaluations.records import not_estimable
from evaluations.spec import Chart, Coverage, EvaluationError, Interval, Metric, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.efficiency.resources import ResourcesParams

JOULES_PER_KWH = 3.6e6
MOST = 1e15  # seconds, or joules, of a block


@dataclass(frozen=True)
class Used:
    """(blocks,) each; `joules` None where nothing counts them."""

    requests: NDArray[np.int64]
    answered: NDArray[np.int64]
    cpu_seconds: NDArray[np.float64]
    joules: NDArray[np.float64] | None
    counters: dict[str, int]

    def coverage(self) -> Coverage:
        asked, answered = int(self.requests.sum()), int(self.answered.sum())
        return Coverage(attempted=asked, scored=answered, failed=asked - answered)

    @property
    def methods(self) -> list[str]:
        return [name.removeprefix("method_") for name in sorted(self.counters) if name.startswith("method_")]


def collect(states: Sequence[ShardState], blocks: int) -> Used:
    """The records, checked. Raises `bad_records` for what no meter shows."""
    if len(states) != 1 or not states[0].records.schema.equals(SCHEMA):
        raise EvaluationError("bad_records", "The records of resources have the wrong columns. Run it again.")
    table = states[0].records
    requests, answered = (table.column(n).to_numpy() for n in ("requests", "answered"))
    cpu = table.column("cpu_seconds").to_numpy()
    joules = table.column("joules")
    counted = joules.to_numpy() if not joules.null_count else None
    if (
        table.num_rows != blocks
        or (requests < 1).any()
        or (answered < 0).any()
        or (answered > requests).any()
        or not ((cpu >= 0) & (cpu <= MOST)).all()
        or (counted is not None and not ((counted >= 0) & (counted <= MOST)).all())
        or any(not 0 <= value <= 2**63 for value in states[0].counters.values())
    ):
        raise EvaluationError("bad_records", "The records hold impossible amounts. Run it again.")
    return Used(requests, answered, cpu, counted, states[0].counters)


def measure(used: Used, params: ResourcesParams) -> list[Metric]:
    n = int(used.requests.sum())
    energy = _energy(used, params, n)
    return [
        _counted("weights_bytes", used, "The model has no files here: it is served, or in memory alone."),
        _counted("peak_memory", used, "The peak was not recorded."),
        _counted("peak_gpu_memory", used, "The model was on no accelerator."),
        _per_answer("cpu_seconds", used.cpu_seconds, used),
        energy,
        _carbon(energy, params),
    ]


def warnings(used: Used, params: ResourcesParams) -> list[str]:
    if used.joules is not None:
        found = [f"Energy method: {', '.join(used.methods)}. Whatever else the machine did is counted, too."]
    elif params.cpu_watts:
        found = [
            "Energy method: tdp_estimate, from processor time and rated power. It decides nothing: a limit needs "
            "a counter."
        ]
    else:
        found = []
    if params.grid_grams_per_kwh is not None:
        found.append(
            f"Carbon intensity: {params.grid_grams_per_kwh:g} g/kWh, {params.grid_source or 'source not stated'}."
        )
    return found


def _counted(name: str, used: Used, reason: str) -> Metric:
    value = used.counters.get(name, 0)
    return Metric(name=name, value=float(value), n=1) if value else not_estimable(name, 0, reason)


def _per_answer(name: str, spent: NDArray[np.float64], used: Used) -> Metric:
    """Mean over blocks of requests of what was spent / answers, t interval over the blocks."""
    n = int(used.requests.sum())
    if not used.answered.all():
        return not_estimable(name, n, "The model gave no answer in a whole block of requests.")
    each = spent / used.answered
    interval = stats.mean_interval(each)
    value = float(each.mean())
    if interval is not None:
        interval = Interval(
            low=min(value, max(0.0, interval.low)), high=interval.high, method="t_over_blocks"
        )
    return Metric(name=name, value=value, interval=interval, n=n)


def _energy(used: Used, params: ResourcesParams, n: int) -> Metric:
    if used.joules is not None:
        return _per_answer("energy", used.joules, used)
    if params.cpu_watts is None:
        return not_estimable(
            "energy",
            n,
            "This machine, or the sandbox, shows no energy counter, and no rated power was given to estimate from.",
        )
    cores = max(1, used.counters.get("cores", 1))
    seconds = _per_answer("energy", used.cpu_seconds, used)
    if seconds.value is None:
        return seconds
    value = seconds.value * params.cpu_watts / cores
    return Metric(name="energy", value=value, n=n)  # an estimate: no interval, so no limit is decided on it


def _carbon(energy: Metric, params: ResourcesParams) -> Metric:
    if energy.value is None:
        return not_estimable("carbon", energy.n, energy.reason)
    if params.grid_grams_per_kwh is None:
        return not_estimable("carbon", energy.n, "No carbon intensity was given for the place where it runs.")
    factor = 1000 / JOULES_PER_KWH * params.grid_grams_per_kwh
    interval = energy.interval
    if interval is not None:
        interval = interval.model_copy(update={"low": interval.low * factor, "high": interval.high * factor})
    return Metric(name="carbon", value=energy.value * factor, interval=interval, n=energy.n)


def charts(used: Used) -> list[Chart]:
    """Processor time per answer, block by block: a machine that was busy with other things shows."""
    each = used.cpu_seconds / used.requests
    return amount_bars(
        "cpu_by_block",
        "Processor seconds per answer, by block",
        [
            (f"block {i + 1}", int(n), float(v))
            for i, (n, v) in enumerate(zip(used.requests, each, strict=True))
        ],
    )
