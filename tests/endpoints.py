"""Models that are served somewhere, registered as their endpoint.json alone."""

from __future__ import annotations

import hashlib

from auditor.accounts.models import Team, User
from auditor.core import store
from auditor.core.canonical import files_digest
from auditor.registry.models import Model, ModelVersion
from evaluations.endpoints import EndpointSpec


def put_endpoint(
    team: Team,
    owner: User,
    spec: EndpointSpec,
    *,
    name: str = "served",
    version: str = "1",
    modality: str = "tabular",
    labels: tuple[str, ...] = (),
    parent: ModelVersion | None = None,
) -> ModelVersion:
    content = spec.model_dump_json(by_alias=True).encode()
    files = [{"path": "endpoint.json", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}]
    digest = files_digest(files)
    folder = store.model_folder(digest)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "endpoint.json").write_bytes(content)
    model, _ = Model.objects.get_or_create(
        name=name, defaults={"team": team, "owner": owner, "modality": modality}
    )
    return ModelVersion.objects.create(
        model=model,
        version=version,
        digest=digest,
        format="endpoint",
        files=files,
        size=len(content),
        labels=list(labels),
        parent=parent,
        submitted_by=owner,
    )
