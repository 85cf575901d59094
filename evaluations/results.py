"""What a notebook gets back: frames of metrics and examples, charts that draw themselves, progress bars."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from evaluations import catalogue
from evaluations.spec import Chart, EvaluationResult, Failure, Progress

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("evaluation", "metric", "slice", "value", "low", "high", "n", "unit", "status", "reason")


@dataclass(frozen=True)
class Drawn:
    """A chart that Jupyter draws; elsewhere its alternative text. `table` holds its rows."""

    chart: Chart

    def __repr__(self) -> str:
        return f"{self.chart.title}. {self.chart.alt}"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        return {"application/vnd.vegalite.v5+json": self.chart.spec, "text/plain": repr(self)}

    @property
    def table(self) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(self.chart.rows, columns=list(self.chart.columns))


@dataclass(frozen=True)
class Results:
    """The results by name. `failures` holds the reasons of what could not be run."""

    ended: Mapping[str, EvaluationResult | Failure]

    @property
    def results(self) -> dict[str, EvaluationResult]:
        return {name: r for name, r in self.ended.items() if isinstance(r, EvaluationResult)}

    @property
    def failures(self) -> dict[str, Failure]:
        return {name: r for name, r in self.ended.items() if isinstance(r, Failure)}

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """One row per metric and slice: value, ends of its 95 % interval, n, unit, status and reason."""
        import pandas as pd

        rows = []
        for name, result in self.results.items():
            units = {spec.name: spec.unit for spec in catalogue.get(result.evaluation).metrics}
            for m in result.metrics:
                ends = (m.interval.low, m.interval.high) if m.interval else (None, None)
                rows.append(
                    (name, m.name, m.slice, m.value, *ends, m.n, units[m.name], m.status.value, m.reason)
                )
        return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"value": float, "low": float, "high": float})

    @cached_property
    def examples(self) -> pd.DataFrame:
        """The examples worth showing, one per row, with their facts in columns of their own."""
        import pandas as pd

        rows = [
            {"evaluation": name, "id": e.id, "kind": e.kind, "before": e.before, "after": e.after, **e.facts}
            for name, result in self.results.items()
            for e in result.examples
        ]
        return pd.DataFrame(rows)

    @property
    def charts(self) -> list[Drawn]:
        return [Drawn(chart) for result in self.results.values() for chart in result.charts]

    @property
    def warnings(self) -> list[str]:
        return [warning for result in self.results.values() for warning in result.warnings]

    def _repr_html_(self) -> str:
        reasons = "".join(
            f"<p><b>{html.escape(name)}</b> could not be run: {html.escape(failure.message)}</p>"
            for name, failure in self.failures.items()
        )
        return str(self.metrics.to_html(index=False, na_rep="–", float_format="{:.4g}".format)) + reasons


@contextmanager
def bars(names: Sequence[str], shown: bool) -> Iterator[Callable[[str, Progress], None]]:
    """A progress bar for each evaluation, on a terminal or in a notebook; nothing where not `shown`."""
    if not shown:
        yield lambda name, progress: None
        return
    from tqdm.auto import tqdm

    open_bars: dict[str, Any] = {}

    def update(name: str, progress: Progress) -> None:
        if name not in open_bars:
            open_bars[name] = tqdm(total=progress.total, desc=name, unit="row", leave=True)
        bar = open_bars[name]
        bar.total, bar.n = progress.total, progress.done
        bar.set_postfix_str(progress.message, refresh=False)
        bar.refresh()

    try:
        yield update
    finally:
        for bar in open_bars.values():
            bar.close()
