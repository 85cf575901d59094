"""efficiency.latency."""

from __future__ import annotations

from tests.evaluations.cases import Case

CASE = Case(params={"requests": 40, "load": 0.9, "most_seconds": 20}, timed=True, label=None, silent=None)
