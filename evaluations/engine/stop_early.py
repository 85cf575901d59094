"""The parameter by which a policy asks for sequential stopping; `engine/sequential.py` does it. Light."""

from __future__ import annotations

from pydantic import Field

from evaluations.spec import Frozen


class StopEarly(Frozen):
    """Stop asking the model once the interval of a rate lies on one side of `limit`, whichever side that is."""

    limit: float = Field(
        gt=0, lt=1, title="Limit", description="The value that the policy holds the rate against."
    )
