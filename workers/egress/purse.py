"""What a run may still spend of its audit's budget: set aside before a request, settled when it is answered."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from evaluations.endpoints import Price

MOST_TOKENS = 10**9  # of one request
DRAWN_AHEAD = 16  # requests' worth: each time the account is asked is an UPDATE


class BudgetReached(Exception):
    """The account has not enough left for the next request."""


@dataclass(frozen=True)
class Amount:
    """Requests sent, tokens read and generated, and what they cost in the price's currency."""

    requests: int = 0
    tokens: int = 0
    cost: float = 0.0

    def __add__(self, other: Amount) -> Amount:
        return Amount(
            self.requests + other.requests, self.tokens + other.tokens, round(self.cost + other.cost, 9)
        )

    def times(self, factor: int) -> Amount:
        return Amount(self.requests * factor, self.tokens * factor, self.cost * factor)

    def lacks(self, needed: Amount, ahead: int = 0) -> Amount:
        """What is to be drawn so that `needed` is at hand, a debt paid first; of what is short, `ahead` times more."""
        short = (
            max(0, needed.requests - self.requests),
            max(0, needed.tokens - self.tokens),
            max(0.0, needed.cost - self.cost),
        )
        return Amount(
            short[0] and short[0] + ahead * needed.requests,
            short[1] and short[1] + ahead * needed.tokens,
            short[2] and short[2] + ahead * needed.cost,
        )


class Account(Protocol):
    """The audit's budget, shared by all its runs on all workers. Called in one thread that is not the loop's."""

    def draw(self, amount: Amount) -> bool:
        """Take it, all or nothing."""
        ...

    def give_back(self, amount: Amount) -> None:
        """Return what is left; a negative amount was overspent. The last call."""
        ...


class Purse:
    """One run's part of the account. None: an audit without a budget, where only the count matters."""

    def __init__(self, price: Price, account: Account | None) -> None:
        self.spent = Amount()
        self._price, self._account = price, account
        self._left = Amount()
        self._drawing = asyncio.Lock()
        self._drawn: asyncio.Future[bool] | None = None  # under way, or the last one
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="purse")

    async def set_aside(self, expected_tokens: int) -> Amount:
        """The most that the next request can cost. Raises BudgetReached."""
        price = self._price
        expected_tokens = min(max(0, expected_tokens), MOST_TOKENS)  # the child says so, and may say anything
        dearest = max(price.input_per_million, price.output_per_million)
        most = Amount(1, expected_tokens, price.per_request + expected_tokens * dearest / 1e6)
        if self._account is not None:
            async with self._drawing:
                if self._left.lacks(most) != Amount():
                    drawing = self._draw(self._left.lacks(most), self._left.lacks(most, DRAWN_AHEAD - 1))
                    # what the account gave is ours also where nobody waits for it any more
                    self._drawn = asyncio.ensure_future(drawing)
                    if not await asyncio.shield(self._drawn):
                        raise BudgetReached
                self._left += most.times(-1)
        return most

    async def _draw(self, needed: Amount, wanted: Amount) -> bool:
        assert self._account is not None
        loop = asyncio.get_running_loop()
        for amount in (wanted, needed):
            if await loop.run_in_executor(self._thread, self._account.draw, amount):
                self._left += amount
                return True
        return False

    def settle(self, aside: Amount, used: Amount) -> None:
        self.spent += used
        self._left += aside + used.times(-1)

    def price_of(self, prompt_tokens: int, output_tokens: int) -> float:
        price = self._price
        return (
            price.per_request
            + (prompt_tokens * price.input_per_million + output_tokens * price.output_per_million) / 1e6
        )

    async def close(self) -> None:
        """Give back what was drawn and not spent."""
        try:
            if self._drawn is not None:
                await asyncio.gather(self._drawn, return_exceptions=True)
            if self._account is not None:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._thread, self._account.give_back, self._left)
        finally:
            self._thread.shutdown()
