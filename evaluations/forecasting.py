"""What a run is likely to take, told before it starts: from its plan, what is known of the data, the price."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from evaluations.endpoints import Price
from evaluations.spec import Plan

N = TypeVar("N", int, float)
TOKENS_OF_A_QUESTION = 250  # what a judge is told beside the row's texts and the answer
BYTES_PER_TOKEN = 4.0  # of English text; others have fewer, so that theirs is forecast too low


@dataclass(frozen=True)
class Known:
    """What earlier runs and the files tell. None where they tell nothing: then nothing is stated."""

    tokens_per_query: float | None = None  # read
    queries_per_second: float | None = None
    rows_per_request: int = 1  # an endpoint may take several rows at a time
    writes: bool = True  # a model that writes no text generates no tokens, whatever the evaluation allows


@dataclass(frozen=True)
class Forecast:
    """At most so much: answers that are stored already, or that another run asks for, are not asked again."""

    queries: int = 0  # rows that the model answers
    requests: int = 0  # to an endpoint
    input_tokens: int | None = 0
    output_tokens: int = 0
    cost: float | None = 0.0
    seconds: float | None = 0.0
    smallest_detectable_effect: float | None = None

    @property
    def tokens(self) -> int | None:
        return None if self.input_tokens is None else self.input_tokens + self.output_tokens


def forecast(plan: Plan, known: Known, price: Price | None = None) -> Forecast:
    """What one run will take. `price` is that of an endpoint; a model whose files are here has none."""
    queries = plan.expected_queries
    requests = math.ceil(queries / known.rows_per_request) if price is not None else 0
    written = plan.expected_output_tokens if known.writes else 0
    read = None
    if known.tokens_per_query is not None:
        read = math.ceil(queries * known.tokens_per_query) + plan.more_input_tokens
    return Forecast(
        queries=queries,
        requests=requests,
        input_tokens=read,
        output_tokens=written,
        cost=_cost(price, requests, read, written),
        seconds=None if not known.queries_per_second else queries / known.queries_per_second,
        smallest_detectable_effect=plan.smallest_detectable_effect,
    )


def of_judge(plan: Plan, most: int) -> Plan:
    """What a judge that writes at most `most` tokens is asked: each answer, with words about what to look for."""
    queries = plan.expected_queries if plan.judged is None else plan.judged
    answers = math.ceil(plan.expected_output_tokens * queries / max(1, plan.expected_queries))
    return replace(
        plan,
        expected_queries=queries,
        expected_output_tokens=queries * most,
        more_input_tokens=answers + queries * TOKENS_OF_A_QUESTION,
    )


def total(parts: Sequence[Forecast]) -> Forecast:
    """All of them, one after the other. What is not known of one is not known of all."""
    return Forecast(
        queries=sum(part.queries for part in parts),
        requests=sum(part.requests for part in parts),
        input_tokens=_sum([part.input_tokens for part in parts]),
        output_tokens=sum(part.output_tokens for part in parts),
        cost=_sum([part.cost for part in parts]),
        seconds=_sum([part.seconds for part in parts]),
    )


def _cost(price: Price | None, requests: int, read: int | None, written: int) -> float | None:
    """None where an endpoint states no price, or charges for tokens whose number is not known."""
    if price is None:
        return 0.0
    if not (price.per_request or price.input_per_million or price.output_per_million):
        return None
    if read is None:
        if price.input_per_million:
            return None
        read = 0
    return (
        requests * price.per_request
        + (read * price.input_per_million + written * price.output_per_million) / 1e6
    )


def _sum(values: Sequence[N | None]) -> N | None:
    """None where one of them is."""
    known = [value for value in values if value is not None]
    return sum(known[1:], known[0]) if known and len(known) == len(values) else None
