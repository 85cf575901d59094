"""Publishing and finding policies. A published version never changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from django.db import connection, transaction
from django.db.models import Max, Q
from pydantic import ValidationError

from auditor.accounts.models import Team
from auditor.core.access import Principal, require
from auditor.core.canonical import digest_of
from auditor.core.errors import DomainError, Problem, forbidden, not_found
from auditor.policies.document import PolicyDocument
from auditor.policies.models import Policy, PolicyVersion

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


def document(version: PolicyVersion) -> PolicyDocument:
    return PolicyDocument.model_validate(version.document)


@transaction.atomic
def publish(*, principal: Principal | None, source: str, team: Team | None = None) -> PolicyVersion:
    """Publish a YAML text as the next version; the same document again returns the version it already is.

    `principal` None is the service itself, for the built-in policies. A policy fixes what a
    model must show, so a person publishes it: a reviewer or administrator of the team.
    """
    parsed = parse(source)
    with connection.cursor() as cursor:  # numbers without gaps or races
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('policy:' || %s))", [parsed.name])
    policy = Policy.objects.filter(name=parsed.name).first()
    if principal is not None:
        if team is None:
            raise DomainError("team_required", "Name the team that owns the policy.")
        require(principal, "review", team.id)
        if policy is not None and policy.team_id != team.id:
            raise forbidden(
                f"The name {parsed.name} belongs to another owner; give your policy another name."
            )
    if policy is None:
        policy = Policy.objects.create(name=parsed.name, title=parsed.title, team=team)
    content = parsed.model_dump(mode="json", by_alias=True)
    digest = digest_of(content)
    same = policy.versions.filter(digest=digest).first()
    if same is not None:
        return same
    number = (policy.versions.aggregate(last=Max("number"))["last"] or 0) + 1
    return PolicyVersion.objects.create(
        policy=policy,
        number=number,
        source=source,
        document=content,
        digest=digest,
        published_by_id=principal.user_id if principal else None,
    )


def ensure_builtin() -> list[PolicyVersion]:
    """Publish the policies that come with the service, where they are new or have changed."""
    return [
        publish(principal=None, source=path.read_text(encoding="utf-8"))
        for path in sorted(BUILTIN.glob("*.yaml"))
    ]


def resolve(principal: Principal, name: str) -> PolicyVersion:
    """The newest version of `release-gate`, or the one that `release-gate@3` names."""
    base, _, number = name.partition("@")
    versions = PolicyVersion.objects.select_related("policy").filter(
        Q(policy__team__isnull=True) | Q(policy__team__in=list(principal.roles)), policy__name=base
    )
    if number:
        if not number.isdecimal():
            raise DomainError(
                "invalid_policy", f"{name}: after @ comes a version number, for example {base}@1."
            )
        versions = versions.filter(number=int(number))
    found = versions.order_by("-number").first()
    if found is None:
        raise not_found("policy", name)
    return found
