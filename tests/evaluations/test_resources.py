"""efficiency.resources: counters as the kernel shows them, estimates that decide nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from auditor.policies import rules
from evaluations import catalogue, stats
from evaluations.efficiency import resource_scores
from evaluations.efficiency.energy import counters
from evaluations.efficiency.metering import SCHEMA
from evaluations.efficiency.resources import BLOCKS, ResourcesParams
from evaluations.spec import EvaluationError, Metric, MetricStatus, ShardState
from tests.evaluations import make

RESOURCES = catalogue.get("efficiency.resources")


def powercap(folder: Path, *readings: int, span: int = 10_000_000) -> Path:
    """A powercap folder as Linux shows it: packages, each with a part that is inside it already."""
    for i, reading in enumerate(readings):
        for name in (f"intel-rapl:{i}", f"intel-rapl:{i}:0"):
            (folder / name).mkdir(exist_ok=True)
            (folder / name / "energy_uj").write_text(f"{reading}\n")
            (folder / name / "max_energy_range_uj").write_text(f"{span}\n")
    return folder


def used(joules: list[float] | None, **counts: int) -> resource_scores.Used:
    rows = np.arange(BLOCKS)
    table = pa.table(
        [
            [f"block-{i:03d}" for i in rows],
            [20] * BLOCKS,
            [20] * BLOCKS,
            [1.0] * BLOCKS,
            [0.4 + 0.02 * i for i in rows],
            joules or [None] * BLOCKS,
        ],
        schema=SCHEMA,
    )
    return resource_scores.collect([ShardState(table, {"cores": 4, "peak_memory": 1000} | counts)], BLOCKS)


def measured(amounts: resource_scores.Used, **params: Any) -> dict[str, Metric]:
    return {m.name: m for m in resource_scores.measure(amounts, ResourcesParams(**params))}


def test_packages_are_added_their_parts_are_not_and_a_wrap_is_undone(tmp_path: Path) -> None:
    powercap(tmp_path, 9_000_000, 1_000_000)
    (meter,) = counters("cpu", powercap=tmp_path)
    assert meter.method == "rapl"
    assert meter.joules() == 0
    powercap(tmp_path, 2_000_000, 1_500_000)  # the first has wrapped: 1,000,001 to the end, then 2,000,000
    assert meter.joules() == pytest.approx((3_000_001 + 500_000) / 1e6)


def test_a_machine_without_counters_has_none(tmp_path: Path) -> None:
    assert counters("cpu", powercap=tmp_path / "nothing") == []
    powercap(tmp_path, 5)
    (tmp_path / "intel-rapl:0" / "energy_uj").unlink()  # as where only root may read it
    assert counters("cpu", powercap=tmp_path) == []


def test_energy_and_carbon_are_means_over_blocks(tmp_path: Path) -> None:
    joules = [10.0 + i for i in range(BLOCKS)]
    found = measured(used(joules, method_rapl=1), grid_grams_per_kwh=360)
    each = np.array(joules) / 20
    expected = stats.mean_interval(each)
    assert expected is not None
    assert found["energy"].value == pytest.approx(each.mean())
    assert found["energy"].interval is not None
    assert found["energy"].interval.high == pytest.approx(expected.high)
    # 1,000 answers of 0.725 J are 725 J = 2.0139e-4 kWh, at 360 g/kWh 0.0725 g
    assert found["carbon"].value == pytest.approx(0.0725)


def test_an_estimate_is_named_and_passes_no_limit(tmp_path: Path) -> None:
    amounts = used(None)
    metric = measured(amounts, cpu_watts=80)["energy"]
    assert metric.value == pytest.approx(0.49 / 20 * 80 / 4)  # mean of .40 … .58 s a block
    assert metric.interval is None
    assert "tdp_estimate" in resource_scores.warnings(amounts, ResourcesParams(cpu_watts=80))[0]
    judged = rules.judge(
        rules.Demand("<=", 1e9, "interval", 1), rules.Measurement(metric.value, None, None, metric.n)
    )
    assert judged.outcome is rules.Outcome.NOT_ASSESSED


def test_without_a_counter_or_a_rating_there_is_no_number() -> None:
    found = measured(used(None), grid_grams_per_kwh=360)
    assert found["energy"].status is MetricStatus.NOT_ESTIMABLE
    assert found["carbon"].status is MetricStatus.NOT_ESTIMABLE
    assert found["peak_gpu_memory"].status is MetricStatus.NOT_ESTIMABLE


def test_a_real_run_counts_its_own_memory_and_time(tmp_path: Path) -> None:
    asked = make.request(RESOURCES.name, make.data_ref(make.frame(100), tmp_path), requests=50)
    model = make.Answering(make.logistic)
    result = make.evaluate(RESOURCES, model, asked, tmp_path)
    found = {m.name: m for m in result.metrics}
    assert found["peak_memory"].value is not None
    assert found["peak_memory"].value > 20e6  # an interpreter with numpy takes more than that
    assert found["cpu_seconds"].value is not None
    assert model.usage.queries == 55  # 5 to warm up
    assert result.coverage.scored == 50


def test_hostile_records_are_refused() -> None:
    with pytest.raises(EvaluationError, match="impossible amounts"):
        used([-1.0] * BLOCKS)
    with pytest.raises(EvaluationError, match="impossible amounts"):
        used(None, peak_memory=-5)


def test_what_unanswered_requests_took_is_borne_by_the_answers() -> None:
    whole = used([10.0] * BLOCKS)
    half = replace(whole, answered=whole.requests // 2)
    assert measured(half)["energy"].value == pytest.approx(2 * 10 / 20)
    silent = replace(whole, answered=np.append(whole.requests[1:], 0))
    assert measured(silent)["energy"].status is MetricStatus.NOT_ESTIMABLE
    assert measured(silent)["cpu_seconds"].status is MetricStatus.NOT_ESTIMABLE


@pytest.mark.parametrize("counts", [{"peak_memory": 10**400}, {"cores": 2**64}])
def test_amounts_beyond_all_measure_are_refused(counts: dict[str, int]) -> None:
    with pytest.raises(EvaluationError, match="impossible amounts"):
        used(None, **counts)


def test_joules_beyond_all_measure_are_refused() -> None:
    with pytest.raises(EvaluationError, match="impossible amounts"):
        used([1e300] * BLOCKS)
