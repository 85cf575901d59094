"""endpoint.json: where a model is served and how it is asked. Light; secrets stay with the supervisor."""

from __future__ import annotations

from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from evaluations.spec import Frozen


class Price(Frozen):
    """What the provider charges, per million tokens, and per request where it counts those."""

    input_per_million: float = Field(default=0.0, ge=0)
    output_per_million: float = Field(default=0.0, ge=0)
    per_request: float = Field(default=0.0, ge=0)
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$")


class RestMapping(Frozen):
    """How a plain REST predictor is asked and read.

    `body` is JSON in which the string "$rows" stands for the list of inputs, and, inside it where it is
    {"$each": …}, "$row" for one input ("$row.COLUMN" for one column). `probs` and `labels` are paths into
    the reply, such as "predictions" or "outputs.0.scores": a list with one entry per row.
    TensorFlow Serving's shape is body {"instances": "$rows"}, probs "predictions".
    """

    path: str = Field(default="", max_length=500)
    body: dict[str, Any] = {"instances": "$rows"}
    probs: str = "predictions"
    rows_per_request: int = Field(default=32, ge=1, le=10_000)


class EndpointSpec(Frozen):
    """The whole of endpoint.json."""

    schema_: Literal["endpoint/1"] = Field(default="endpoint/1", alias="schema")
    protocol: Literal["openai_chat", "openai_completions", "rest"]
    url: str = Field(max_length=500)  # of the service, such as https://models.example.org/v1
    model: str = Field(default="", max_length=200)  # the name that the service knows it by
    revision: str = Field(default="", max_length=200)  # what the provider calls this version
    logprobs: bool = False  # openai_completions: echo with log-probabilities is offered
    rest: RestMapping | None = None
    price: Price = Price()
    requests_per_second: float | None = Field(default=None, gt=0)
    concurrency: int = Field(default=16, ge=1, le=512)  # at most this many requests under way
    timeout_seconds: float = Field(default=120.0, gt=0, le=3600)

    model_config = {**Frozen.model_config, "populate_by_name": True}

    @field_validator("url")
    @classmethod
    def plain_origin(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise ValueError("The address must begin with https:// (or http:// inside your own network).")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(
                "The address must hold no user, password, query or fragment. Store the secret apart."
            )
        return url.rstrip("/")

    @model_validator(mode="after")
    def fits(self) -> Self:
        if (self.protocol == "rest") != (self.rest is not None):
            raise ValueError(
                "`rest` says how a REST predictor is asked: give it for that protocol, and only then."
            )
        if self.protocol != "rest" and not self.model:
            raise ValueError("Name the model as the service knows it, in `model`.")
        return self

    @property
    def origin(self) -> tuple[str, str, int]:
        """(scheme, host, port): the only place that requests may go."""
        parts = urlsplit(self.url)
        return (
            parts.scheme,
            (parts.hostname or "").lower(),
            parts.port or (443 if parts.scheme == "https" else 80),
        )
