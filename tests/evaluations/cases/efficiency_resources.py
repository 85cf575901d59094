"""efficiency.resources."""

from __future__ import annotations

from tests.evaluations.cases import Case

CASE = Case(params={"requests": 40}, timed=True, label=None, silent=None)
