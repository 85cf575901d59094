"""The shifts that the parameters ask for, and how they are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from evaluations.robustness.tabular_shift import ShiftParams

Kind = Literal["missing", "noise", "units", "typos"]


@dataclass(frozen=True)
class Shift:
    """One fault of the rows. `amount` is a share, a number of deviations or a factor, by kind."""

    kind: Kind
    amount: float

    @property
    def name(self) -> str:
        """As slices and charts call it: missing 10 %, noise 0.3 sd, units ×1000, units ÷1000."""
        if self.kind == "noise":
            return f"noise {self.amount:.12g} sd"
        if self.kind == "units":
            whole = self.amount >= 1
            return f"units {'×' if whole else '÷'}{self.amount if whole else 1 / self.amount:.12g}"
        return f"{self.kind} {self.amount * 100:.12g} %"


def shifts_of(params: ShiftParams) -> list[Shift]:
    """In the order of the report."""
    kinds: tuple[Kind, ...] = ("missing", "noise", "units", "typos")
    return [Shift(kind, amount) for kind in kinds for amount in getattr(params, kind)]
