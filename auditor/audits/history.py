"""What earlier runs tell of how fast models answer, and of how long the rows of some data are."""

from __future__ import annotations

from auditor.audits.models import EvaluationRun, RunStatus
from auditor.registry.models import DatasetVersion, ModelVersion
from evaluations.endpoints import EndpointSpec
from evaluations.forecasting import BYTES_PER_TOKEN, Known
from evaluations.spec import Modality

RECENT_RUNS = 200
READS_TEXT = frozenset(
    {
        Modality.TEXT_CLASSIFIER,
        Modality.TOKEN_CLASSIFIER,
        Modality.MASKED_LM,
        Modality.CAUSAL_LM,
        Modality.SEQ2SEQ,
        Modality.EXTRACTIVE_QA,
    }
)
WRITES_TEXT = frozenset({Modality.CAUSAL_LM, Modality.SEQ2SEQ})


class History:
    """For one audit that is being planned. Asks the database once for each model."""

    def __init__(self, dataset_version: DatasetVersion) -> None:
        self._data = dataset_version
        self._runs: dict[str, list[tuple[str, str, dict[str, float]]]] = {}

    def known(self, version: ModelVersion, evaluation: str, spec: EndpointSpec | None) -> Known:
        return Known(
            tokens_per_query=self._tokens(version),
            queries_per_second=self._rate(version, evaluation, spec),
            rows_per_request=spec.rest.rows_per_request if spec and spec.rest else 1,
            writes=version.model.modality in WRITES_TEXT,
        )

    def _of(self, version: ModelVersion) -> list[tuple[str, str, dict[str, float]]]:
        """(evaluation, data digest, cost) of the latest runs of this model that ended well."""
        if version.digest not in self._runs:
            rows = EvaluationRun.objects.filter(
                status=RunStatus.SUCCEEDED, audit__model_version__digest=version.digest
            )
            self._runs[version.digest] = list(
                rows.order_by("-finished_at").values_list(
                    "evaluation", "audit__dataset_version__digest", "cost"
                )[:RECENT_RUNS]
            )
        return self._runs[version.digest]

    def _rate(self, version: ModelVersion, evaluation: str, spec: EndpointSpec | None) -> float | None:
        queries = seconds = 0.0
        for name, _, cost in self._of(version):
            if name == evaluation and cost.get("queries"):
                queries += cost["queries"]
                seconds += cost.get("wall_seconds", 0.0)
        if seconds:
            return queries / seconds
        rows = spec.rest.rows_per_request if spec and spec.rest else 1
        return spec.requests_per_second * rows if spec and spec.requests_per_second else None

    def _tokens(self, version: ModelVersion) -> float | None:
        queries = tokens = 0.0
        for _, data, cost in self._of(version):
            if data == self._data.digest and cost.get("queries") and cost.get("tokens"):
                queries += cost["queries"]
                tokens += cost["tokens"]
        if queries:
            return tokens / queries
        if version.model.modality not in READS_TEXT:
            return 0.0
        if self._data.format not in ("csv", "jsonl"):  # packed: its size says little
            return None
        return self._data.size / self._data.rows / BYTES_PER_TOKEN
