"""Checks endpoint.json: where a model is served, without secrets."""

from __future__ import annotations

from pydantic import ValidationError

from evaluations.endpoints import EndpointSpec
from evaluations.intake.formats import json_text
from evaluations.intake.formats.fault import Fault

MAX_BYTES = 2**20


def check(data: bytes) -> EndpointSpec:
    """The endpoint that `data` describes. Raises Fault `endpoint` that names the field to mend."""
    if len(data) > MAX_BYTES:
        raise Fault("endpoint", "endpoint.json is larger than 1 MiB. Describe the endpoint alone.")
    json_text.parse(data, "endpoint.json")  # refuses a key given twice, which readers take differently
    try:
        spec = EndpointSpec.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "it"
        message = first["msg"].removeprefix("Value error, ")
        raise Fault("endpoint", f"endpoint.json is not valid: {where}: {message}") from error
    try:
        _ = spec.origin
    except ValueError as error:  # a port that is no number
        raise Fault("endpoint", f"endpoint.json is not valid: url: {error}.") from error
    return spec
