"""Keeps successful attacks as a data set: a regression suite that later versions of a model must withstand."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, connection, transaction

from auditor.core import store
from auditor.core.access import Principal, require
from auditor.core.errors import DomainError, conflict
from auditor.registry import attack_tables, completion, services, staging
from auditor.registry.attack_tables import AttackTable
from auditor.registry.models import Dataset, DatasetVersion
from auditor.registry.tables import inspect_table

MADE_BY = "kept attacks"


@dataclass(frozen=True)
class Kept:
    """The version of the suite that holds the attacks: how many it gained by them, and how many it had before."""

    version: DatasetVersion
    added: int
    known: int


@transaction.atomic
def keep(
    *,
    principal: Principal,
    name: str,
    audited: DatasetVersion,
    modality: str,
    attacks: bytes,
    origin: Mapping[str, Any],
) -> Kept:
    """The suite `name` with the attacks in it: its newest version where it holds them all, else a new one.

    A suite grows from one data set, and so has its team and licence. A new version holds every attack of the one
    before. Its rows may be shown to nobody whom the rows of either may not be shown to. `origin` says where the
    attacks are from.
    """
    require(principal, "submit", audited.dataset.team_id)
    services.check_name(name)
    with connection.cursor() as cursor:  # or two would add to the same version, and the next lack one's
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('suite:' || %s))", [name])
    newest = _newest(name, audited)
    roles = attack_tables.roles_for(modality, audited.roles)
    found = attack_tables.read(attacks, roles)
    suite, before = found, 0
    if newest is not None:
        known = attack_tables.read(store.dataset_file(newest.digest, newest.format), roles)
        suite, before = known.joined(found), len(known.rows)
    added = len(suite.rows) - before
    if newest is not None and not added:
        return Kept(newest, 0, len(found.rows))
    try:
        with transaction.atomic():
            version = _new_version(principal, name, audited, suite, newest, {**origin, "added": added})
    except IntegrityError as error:
        raise conflict(
            "suite_busy", "Somebody else is keeping attacks under this name. Try again."
        ) from error
    return Kept(version, added, len(found.rows) - added)


def _newest(name: str, audited: DatasetVersion) -> DatasetVersion | None:
    """The last version of the suite, none where it is new. Raises where `name` is another data set's."""
    dataset = Dataset.objects.filter(name=name).first()
    if dataset is None:
        return None
    if dataset.team_id != audited.dataset.team_id:
        raise conflict("name_taken", f"The name {name} is taken by another team. Choose another one.")
    newest = dataset.versions.order_by("-created_at", "-pk").first()
    if newest is None:
        return None
    if newest.provenance.get("made_by") != MADE_BY:
        raise conflict("not_a_suite", f"{name} is a data set of another kind. Choose another name.")
    if newest.provenance["data"].partition("@")[0] != audited.dataset.name:
        raise conflict(
            "suite_of_other_data",
            f"{name} holds attacks on rows of {newest.provenance['data']}. "
            f"Keep attacks on rows of {audited.dataset.name} under another name.",
        )
    return newest


def _new_version(
    principal: Principal,
    name: str,
    audited: DatasetVersion,
    suite: AttackTable,
    newest: DatasetVersion | None,
    origin: dict[str, Any],
) -> DatasetVersion:
    dataset = services.register_dataset(
        principal=principal,
        name=name,
        team=audited.dataset.team,
        description="Attacks that succeeded in audits, each with its right answer, kept to be tried on later versions.",
        licence=audited.dataset.licence,
        source=f"Made from {audited.dataset.name} by attacks on audited models",
    )
    earlier = newest.provenance["attacks"] if newest else []
    favourable = audited.favourable_label if audited.favourable_label in suite.labels() else ""
    with staging.scratch() as folder:
        staged = folder / "attacks.parquet"
        suite.write(staged)
        staged.chmod(0o444)
        with staged.open("rb") as file:
            digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        summary = _summary(staged, suite.roles, favourable)
        return completion.adopt_table(
            staged,
            DatasetVersion(
                dataset=dataset,
                version=str(dataset.versions.count() + 1),
                digest=digest,
                format="parquet",
                size=staged.stat().st_size,
                rows=len(suite.rows),
                roles=suite.roles,
                favourable_label=favourable,
                languages=sorted({*audited.languages, *(newest.languages if newest else [])}),
                summary=summary,
                held_out=audited.held_out or bool(newest and newest.held_out),
                egress=_narrowest(audited, newest),
                provenance={"made_by": MADE_BY, "data": str(audited), "attacks": [*earlier, origin]},
                submitted_by_id=principal.user_id,
            ),
            folder,
        )


def _summary(staged: Any, roles: dict[str, str], favourable: str) -> dict[str, Any]:
    """Counts as of an upload, with the same checks."""
    try:
        found = inspect_table(staged, "parquet", roles, favourable)
    except DomainError as error:
        raise attack_tables.refused(error.message) from error
    return {"classes": found.classes, "groups": found.groups}


def _narrowest(audited: DatasetVersion, newest: DatasetVersion | None) -> list[str]:
    """Who may be shown the rows of both."""
    return sorted(set(audited.egress) & set(newest.egress)) if newest else list(audited.egress)
