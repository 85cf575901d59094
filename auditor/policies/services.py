"""Publishing and finding policies. A published version never changes."""

from __future__ import annotations

from django.db import connection, transaction
from django.db.models import Max, Q

from auditor.accounts.models import Team
from auditor.core.access import Principal, require
from auditor.core.canonical import digest_of
from auditor.core.errors import DomainError, forbidden, not_found
from auditor.policies.document import PolicyDocument
from auditor.policies.models import Policy, PolicyVersion
from auditor.policies.source import BUILTIN, parse


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
