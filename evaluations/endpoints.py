"""endpoint.json: where a model is served and how it is asked. Light; secrets stay with the supervisor."""

from __future__ import annotations

import json
import re
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from evaluations.spec import Frozen

PATH = r"^(/[A-Za-z0-9._~!$&'()*+,;=:@%-]*)*(\?[A-Za-z0-9._~=&%-]*)?$"  # "" or what follows a host


class Price(Frozen):
    """What the provider charges, per million tokens, and per request where it counts those."""

    input_per_million: float = Field(default=0.0, ge=0)
    output_per_million: float = Field(default=0.0, ge=0)
    per_request: float = Field(default=0.0, ge=0)
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$")


class RestMapping(Frozen):
    """How a plain REST predictor is asked and read.

    `body` is the JSON of a request, with places to fill:
    "$rows" is the list of inputs: texts, {"b64": …} for images, or objects with a row's columns by name.
    {"$each": …} is a list with one entry per input, in which "$row" stands for the input, "$row.NAME" for one
    of its columns and "$values" for the list of its columns' values, in the order of `columns`.
    "$columns" is the list of the columns' names.

    `answers` is the way to the list with one entry per input in the reply, such as "predictions" or
    "outputs.0.data" ("" is the reply itself). An entry is, for probabilities, the list of K of them in the order
    of the registered labels, an object from label to probability, a list of {"label": …, "score": …}, or,
    with two classes, the probability of the second; for labels the label; for values a number, alone or in a
    list of one. One flat list of n·K numbers is read row by row.

    The defaults are TensorFlow Serving's shape for models with named inputs; for a single tensor give
    body {"instances": {"$each": "$values"}}.
    """

    path: str = Field(default="", max_length=500, pattern=PATH)  # is appended to the address
    body: dict[str, Any] = {"instances": "$rows"}
    columns: tuple[str, ...] = ()  # input columns that the service reads, in order; () = all
    answers: str = Field(default="predictions", max_length=200)
    gives: Literal["probs", "labels", "values"] = "probs"
    rows_per_request: int = Field(default=32, ge=1, le=10_000)

    @field_validator("body")
    @classmethod
    def asks_about_rows(cls, body: dict[str, Any]) -> dict[str, Any]:
        text = json.dumps(body)
        if not re.search(r'"\$rows"|"\$each"', text):
            raise ValueError('The body must hold "$rows" or {"$each": …}: where the inputs go.')
        return body


class EndpointSpec(Frozen):
    """The whole of endpoint.json."""

    schema_: Literal["endpoint/1"] = Field(default="endpoint/1", alias="schema")
    protocol: Literal["openai_chat", "openai_completions", "rest"]
    url: str = Field(max_length=500)  # of the service, such as https://models.example.org/v1
    model: str = Field(default="", max_length=200)  # the name that the service knows it by
    revision: str = Field(default="", max_length=200)  # what the provider calls this version
    # Whether log-probabilities are offered: of the prompt, by echo (openai_completions), or of what is
    # generated (openai_chat).
    logprobs: bool = False
    start_token: str = Field(default="", max_length=50)  # openai_completions: the text that stands for it
    # openai_chat as a classifier: what it is told; {labels} stands for the labels. "" is a plain instruction.
    instruction: str = Field(default="", max_length=8000)
    limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    rest: RestMapping | None = None
    price: Price = Price()
    requests_per_second: float | None = Field(default=None, gt=0)
    concurrency: int = Field(default=16, ge=1, le=512)  # at most this many requests under way
    timeout_seconds: float = Field(default=120.0, gt=0, le=3600)

    model_config = {**Frozen.model_config, "populate_by_name": True}

    @field_validator("url")
    @classmethod
    def plain_origin(cls, url: str) -> str:
        if not re.fullmatch(r"[!-~]+", url):
            raise ValueError(
                "The address must be written in visible ASCII characters: a space as %20, a name with other letters "
                "in its xn-- form."
            )
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
