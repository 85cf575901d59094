"""quality.tagging: how well a token classifier finds entities, and how many words it tags right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from evaluations.planning import one_pass
from evaluations.spec import (
    Access,
    Direction,
    EvaluationResult,
    MetricSpec,
    Modality,
    Params,
    Plan,
    Requirements,
    ScoredParams,
    Shard,
    ShardState,
)

if TYPE_CHECKING:
    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import TokenClassifier

_CONLL = "Tjong Kim Sang & De Meulder 2003, CoNLL; Ramshaw & Marcus 1995, arXiv cmp-lg/9505040"
_INTERVAL = "Wilson at the number of answers that the variance over sentences is worth; no answer: not found"


def _share(name: str, title: str, formula: str, plain: str, *, sliced: bool = False) -> MetricSpec:
    return MetricSpec(
        name=name,
        title=title,
        unit="proportion",
        direction=Direction.HIGHER,
        formula=f"{formula}; {_INTERVAL}",
        reference=_CONLL,
        plain=plain,
        sliced=sliced,
    )


class Tagging:
    """Entities as conlleval.pl reads them from BIO, IOB or BIOES tags: found only with all words and the right type.

    An evaluation of its own rather than a part of quality.classification: it counts entities, which are no
    rows, asks for no probabilities, and its rows are sentences whose words are not independent.
    """

    name: ClassVar[str] = "quality.tagging"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Tagging quality"
    question: ClassVar[str] = (
        "Does the model find the names and terms in a text, whole and of the right kind?"
    )
    Params: ClassVar[type[Params]] = ScoredParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.TOKEN_CLASSIFIER,), access=Access.LABEL.value
    )
    tags: ClassVar[tuple[str, ...]] = ("accuracy",)
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        _share(
            "entity_f1",
            "Entity F1",
            "2·found / (answered + true), over all entities",
            "Finding whole entities without false alarms scored {value}.",
        ),
        _share(
            "entity_precision",
            "Entity precision",
            "entities answered that are true, with all words and the right type / entities answered",
            "Of the entities that the model reports, {value} are right.",
        ),
        _share(
            "entity_recall",
            "Entity recall",
            "true entities that are answered, with all words and the right type / true entities",
            "Of the entities in the texts, the model finds {value}.",
        ),
        _share(
            "token_accuracy",
            "Token accuracy",
            "words with the right tag / words",
            "The model gives {value} of the words the right tag.",
        ),
        _share(
            "type_f1",
            "F1 of one type of entity",
            "2·found / (answered + true), over the entities of one type",
            "Finding entities of this type without false alarms scored {value}.",
            sliced=True,
        ),
    )

    def plan(self, data_rows: int, params: ScoredParams) -> Plan:
        return one_pass(data_rows)

    def run_shard(
        self, model: TokenClassifier, data: Dataset, params: ScoredParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations.quality import tagging_records

        return tagging_records.tag_shard(model, data, ctx, shard)

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: ScoredParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations import charts
        from evaluations.quality import tagging_records, tagging_scores

        tagged = tagging_records.collect(states, data, ctx)
        metrics = tagging_scores.measure(tagged, params.max_error_rate)
        per_type = [(m.slice.partition("=")[2], m) for m in metrics if m.name == "type_f1"]
        return ctx.result(
            self,
            params,
            metrics=metrics,
            charts=charts.group_bars("f1_by_type", "F1 by type of entity", per_type),
            coverage=tagged.coverage(),
        )


EVALUATION = Tagging()
