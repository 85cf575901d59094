"""Reads the YAML text of a policy. No Django: local runs read policies too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from auditor.core.errors import DomainError, Problem
from auditor.policies.document import PolicyDocument

MAX_SOURCE = 256 * 1024
BUILTIN = Path(__file__).parent / "builtin"


class _Loader(yaml.SafeLoader):
    """Plain YAML: no tags, and no aliases, which could expand a small text without bound."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not allowed in a policy: write the value out")
        return super().compose_node(parent, index)


def parse(source: str) -> PolicyDocument:
    """The validated document of a YAML text, or `invalid_policy` that says where and what."""
    if len(source) > MAX_SOURCE:
        raise DomainError("invalid_policy", f"The policy is larger than {MAX_SOURCE // 1024} KiB.")
    try:
        raw = yaml.load(source, Loader=_Loader)  # a SafeLoader: builds plain values only
    except yaml.YAMLError as error:
        raise DomainError("invalid_policy", f"The policy is not valid YAML: {error}") from error
    if not isinstance(raw, dict):
        raise DomainError("invalid_policy", "A policy is a mapping that begins with `schema: policy/1`.")
    try:
        return PolicyDocument.model_validate(raw)
    except ValidationError as error:
        problems = [
            Problem("/" + "/".join(str(part) for part in e["loc"]), e["msg"].removeprefix("Value error, "))
            for e in error.errors()
        ]
        raise DomainError(
            "invalid_policy", f"The policy is not valid: {problems[0].detail}", errors=problems
        ) from error
