"""Where a model version is served, read from its endpoint.json."""

from __future__ import annotations

from pydantic import ValidationError

from auditor.core import store
from auditor.core.errors import DomainError
from auditor.registry.egress import origin_text
from auditor.registry.models import Model, ModelVersion
from evaluations.endpoints import EndpointSpec
from evaluations.spec import ModelFormat

FILE = "endpoint.json"


def spec_of(version: ModelVersion) -> EndpointSpec | None:
    """The description of the endpoint; None for a version whose files are the model. Raises DomainError."""
    if version.format != ModelFormat.ENDPOINT:
        return None
    try:
        spec = EndpointSpec.model_validate_json((store.model_folder(version.digest) / FILE).read_bytes())
        origin_text(spec.origin)  # its port may be no number
    except OSError as error:
        raise DomainError(
            "artifact_missing",
            f"The {FILE} of {version} is no longer in the store. Restore AUDITOR_STATE/artifacts from a backup.",
            status=410,
        ) from error
    except (ValidationError, ValueError) as error:
        raise DomainError(
            "invalid_endpoint", f"The {FILE} of {version} is not valid. Push a corrected version."
        ) from error
    return spec


def newest_origin(model: Model) -> str:
    """Where the newest version is served. Raises ValueError where it is not."""
    newest = model.versions.order_by("-created_at", "-pk").first()
    spec = spec_of(newest) if newest else None
    if spec is None:
        raise ValueError(
            f"{model.name} has no version that is served somewhere: say where, such as https://api.example.org."
        )
    return origin_text(spec.origin)
