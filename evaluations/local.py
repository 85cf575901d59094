"""Evaluations without a server: one model, one data set, any number of evaluations over shared answers.

From a notebook: `evaluations.run("quality.classification", "./model", frame, target="label")`. The
model's code runs in this process, without the sandbox that an audit of the service has.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluations import catalogue
from evaluations.spec import (
    DataRef,
    Evaluation,
    EvaluationError,
    EvaluationResult,
    Failure,
    Modality,
    ModelFormat,
    ModelRef,
    Params,
    Progress,
    Role,
    RunRequest,
    Shard,
    ShardState,
)

if TYPE_CHECKING:
    import pandas as pd

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.endpoints import Price
    from evaluations.engine.score_store import ScoreStore
    from evaluations.forecasting import Forecast, Known
    from evaluations.models.protocol import Model
    from evaluations.results import Results

Ended = EvaluationResult | Failure


@dataclass(frozen=True)
class Item:
    """One evaluation to run, under a name of its own."""

    name: str
    evaluation: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Subject:
    """What is evaluated: the model is loaded when the first evaluation needs it, the others likewise."""

    ref: ModelRef
    model: Any = None
    parent: Any = None
    judge_ref: ModelRef | None = None
    judge: Any = None
    reference_ref: ModelRef | None = None
    reference: Any = None
    attacker_ref: ModelRef | None = None
    attacker: Any = None

    def loaded(self) -> Model:
        return self._loaded("model", self.ref)

    def loaded_parent(self) -> Model:
        return self._loaded("parent", self.ref.parent)

    def loaded_judge(self) -> Model:
        return self._loaded("judge", self.judge_ref)

    def loaded_reference(self) -> Model:
        return self._loaded("reference", self.reference_ref)

    def loaded_attacker(self) -> Model:
        return self._loaded("attacker", self.attacker_ref)

    def _loaded(self, name: str, ref: ModelRef | None) -> Model:
        from evaluations.models.loader import load

        if getattr(self, name) is None and ref is not None:
            setattr(self, name, load(ref))
        return getattr(self, name)  # type: ignore[no-any-return]  # a protocol of its kind


def run_items(
    items: Sequence[Item],
    subject: Subject,
    data_ref: DataRef,
    *,
    seed: int,
    out: Path | None = None,
    resources: str = "",
    on_progress: Callable[[str, Progress], None] = lambda item, progress: None,
) -> Iterator[tuple[Item, Ended]]:
    """Runs each item in turn; what cannot be run is a Failure with its reason. Answers are shared between them.

    With `out` the answers are kept there, so that an interrupted run goes on where it stopped.
    """
    from evaluations.data import dataset
    from evaluations.engine.score_store import ScoreStore

    data = dataset.read(data_ref, subject.ref.modality)
    store = ScoreStore(out / "scores" if out else None)
    with _folder(out) as place:
        for item in items:
            requires = catalogue.get(item.evaluation).requires
            judge = subject.judge_ref
            request = RunRequest(
                run_id="local",
                evaluation=item.evaluation,
                params=dict(item.params),
                model=subject.ref,
                data=data_ref,
                seed=seed,
                judge=judge if judge and requires.takes_judge(judge.modality, item.params) else None,
                reference=subject.reference_ref if requires.reference else None,
                attacker=subject.attacker_ref if requires.attacker else None,
                resources=resources,
            )

            def report(progress: Progress, name: str = item.name) -> None:
                on_progress(name, progress)

            try:
                yield item, _run(request, subject, data, store, place / item.name, report)
            except EvaluationError as error:
                yield item, Failure(code=error.code, message=error.message, skipped=error.skipped)
            finally:
                store.flush()


def _run(
    request: RunRequest,
    subject: Subject,
    data: Dataset,
    store: ScoreStore,
    out: Path,
    report: Callable[[Progress], None],
) -> EvaluationResult:
    from evaluations.context import Context
    from evaluations.merge import finished, for_judge, for_parent, for_reference
    from evaluations.models.files import Files
    from evaluations.runner import (
        Meter,
        attacker_of,
        check_access,
        check_before_data,
        check_judge,
        checked_plan,
        resolve,
    )

    evaluation, params = resolve(request)
    check_before_data(evaluation, request)
    shards = checked_plan(evaluation, params, data).shards
    total = sum(shard.stop - shard.start for shard in shards)
    model = Files(request.model) if evaluation.requires.files else subject.loaded()
    check_access(evaluation, model)
    context = Context(request, out, on_progress=report, total=total, store=store)
    if request.attacker is not None:
        context.attacker = attacker_of(request, subject.loaded_attacker(), context)
    spent = Meter()
    spent.since_last(model)  # what loading took is not this evaluation's
    states = _states(evaluation, model, data, params, context, shards)
    if evaluation.requires.parent:
        asked = for_parent(request)
        theirs = Context(asked, out, on_progress=report, total=total, store=store)
        parent = subject.loaded_parent()
        context.parent_states = _states(evaluation, parent, data, params, theirs, shards)
    if request.judge is not None:
        asked = for_judge(request)
        judge = subject.loaded_judge()
        check_judge(evaluation, judge)
        theirs = Context(asked, out, on_progress=report, total=total, store=store)
        context.judge_states = _states(evaluation, judge, data, params, theirs, shards, states)
    if request.reference is not None:
        asked = for_reference(request)
        reference = subject.loaded_reference()
        check_access(evaluation, reference)
        theirs = Context(asked, out, on_progress=report, total=total, store=store)
        context.reference_states = _states(evaluation, reference, data, params, theirs, shards)
    result = evaluation.merge(states, data, params, context)
    report(Progress(done=total, total=total, message="done"))
    return finished(result, [spent.since_last(model)], [model.device])


def _states(
    evaluation: Evaluation,
    model: Model,
    data: Dataset,
    params: Params,
    context: Context,
    shards: Sequence[Shard],
    judging: Sequence[ShardState] | None = None,
) -> list[ShardState]:
    """What the model answers, or what it says as the judge of the shards `judging`."""
    from evaluations.engine import fingerprint
    from evaluations.runner import judged

    states = []
    with fingerprint.watching(model, data):
        for number, shard in enumerate(shards):
            context.offset = shard.start
            if judging is None:
                states.append(evaluation.run_shard(model, data, params, context, shard))
            else:
                context.judged = judging[number]
                states.append(judged(evaluation).judge_shard(model, data, params, context, shard))
    return states


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="auditor-") as temporary:
        yield Path(temporary)


def forecasts(
    items: Sequence[Item], ref: ModelRef, data_ref: DataRef, seed: int, judge: ModelRef | None = None
) -> Iterator[tuple[Item, Forecast | Failure]]:
    """What each item would take, its judge included, told before anything starts; a Failure where it cannot be run."""
    from evaluations.data import dataset
    from evaluations.forecasting import BYTES_PER_TOKEN, forecast, of_judge, total
    from evaluations.merge import for_parent
    from evaluations.runner import check_before_data, checked_plan, resolve

    data = dataset.read(data_ref, ref.modality)
    tokens = None
    if data.modality in dataset.TEXT:
        tokens = (
            sum(len(text.encode("utf-8", "replace")) for text in data.texts) / BYTES_PER_TOKEN / data.rows
        )
    for item in items:
        request = RunRequest(
            run_id="local",
            evaluation=item.evaluation,
            params=dict(item.params),
            model=ref,
            data=data_ref,
            seed=seed,
        )
        try:
            evaluation, params = resolve(request)
            check_before_data(evaluation, request)
            if evaluation.requires.parent:
                for_parent(request)
            plan = checked_plan(evaluation, params, data)
            takes = forecast(plan, *_known(ref, tokens))
            if judge and evaluation.requires.takes_judge(judge.modality, item.params):
                settings = getattr(params, "judge_settings", None)
                asked = of_judge(plan, settings.max_new_tokens) if settings else plan
                both = total([takes, forecast(asked, *_known(judge, tokens))])
                takes = replace(both, smallest_detectable_effect=takes.smallest_detectable_effect)
            yield item, takes
        except EvaluationError as error:
            yield item, Failure(code=error.code, message=error.message, skipped=error.skipped)


def _known(ref: ModelRef, tokens: float | None) -> tuple[Known, Price | None]:
    """What is known of asking a model before it is asked, and its price where it is served."""
    price, together = None, 1
    if ref.format is ModelFormat.ENDPOINT:
        from evaluations.models.endpoint import read_spec

        spec = read_spec(Path(ref.path))
        price, together = spec.price, spec.rest.rows_per_request if spec.rest else 1
    from evaluations.forecasting import Known

    writes = ref.modality in (Modality.CAUSAL_LM, Modality.SEQ2SEQ)
    return Known(tokens_per_query=tokens, rows_per_request=together, writes=writes), price


# --- from a notebook ------------------------------------------------------------------------------


def run(
    evaluations: str | Sequence[str],
    model: Any,
    data: Any,
    *,
    target: str | None = None,
    sensitive: Sequence[str] = (),
    roles: Mapping[str, str] | None = None,
    favourable_label: str | None = None,
    labels: Sequence[str] = (),
    parent: Any = None,
    judge: Any = None,
    reference: Any = None,
    attacker: Any = None,
    params: Mapping[str, Any] | None = None,
    seed: int = 0,
    resources: str = "",
    progress: bool = True,
) -> Results:
    """Evaluates `model` on `data` and returns frames and charts.

    `model` is a folder, a ModelRef, a fitted scikit-learn classifier or any object with the methods of
    `evaluations.models.protocol`. `data` is a frame, a file, a folder or a DataRef. Columns without a
    role are inputs. `params` are those of the evaluation; with several, a mapping from name to params.
    `judge` is another model that judges answers, `reference` one that was not trained on the data, `attacker` one
    that leads the model on in conversations, for evaluations that take one.
    Raises EvaluationError where nothing could be run at all.
    """
    from evaluations.results import Results, bars

    names = [evaluations] if isinstance(evaluations, str) else list(evaluations)
    given = {names[0]: params or {}} if len(names) == 1 and params is not None else dict(params or {})
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise EvaluationError(
            "bad_params",
            f"Parameters are given for {', '.join(unknown)}, which is not among {', '.join(names)}.",
        )
    items = [Item(name, catalogue.get(name).name, given.get(name, {})) for name in names]
    subject = _subject(model, labels, parent)
    if judge is not None:
        subject.judge_ref, subject.judge = _model(judge, ())
    if reference is not None:
        subject.reference_ref, subject.reference = _model(reference, labels)
    if attacker is not None:
        subject.attacker_ref, subject.attacker = _model(attacker, ())
    with tempfile.TemporaryDirectory(prefix="auditor-") as folder:
        ref = _data_ref(data, Path(folder), target, sensitive, roles, favourable_label)
        with bars(names, shown=progress) as on_progress:
            ended = {
                item.name: outcome
                for item, outcome in run_items(
                    items, subject, ref, seed=seed, resources=resources, on_progress=on_progress
                )
            }
    failures = [outcome for outcome in ended.values() if isinstance(outcome, Failure)]
    if len(failures) == len(ended):
        raise EvaluationError(
            failures[0].code, " ".join(dict.fromkeys(failure.message for failure in failures))
        )
    return Results(ended)


def _subject(model: Any, labels: Sequence[str], parent: Any) -> Subject:
    ref, made = _model(model, labels)
    if parent is None:
        return Subject(ref, made)
    parent_ref, parent_made = _model(parent, labels)
    return Subject(ref.model_copy(update={"parent": parent_ref}), made, parent_made)


def _model(model: Any, labels: Sequence[str]) -> tuple[ModelRef, Any]:
    """The reference of a model, and the model itself where it is in memory already."""
    from evaluations.data.digests import folder_digest
    from evaluations.models.detect import detect

    if isinstance(model, ModelRef):
        return model, None
    if isinstance(model, str | Path):
        modality, kind = detect(Path(model))
        digest = folder_digest(Path(model))
        return ModelRef(
            path=str(model), digest=digest, modality=modality, format=kind, labels=tuple(labels)
        ), None
    if hasattr(model, "predict") and not hasattr(model, "adapter"):
        from evaluations.models.tabular_skops import of_estimator

        model = of_estimator(model, tuple(labels))
    digest = (
        f"object:{hashlib.sha256(f'{id(model)}:{time.time_ns()}'.encode()).hexdigest()}"  # not registered
    )
    return (
        ModelRef(
            path="", digest=digest, modality=model.modality, format=ModelFormat.SKOPS, labels=tuple(labels)
        ),
        model,
    )


def _data_ref(
    data: Any,
    folder: Path,
    target: str | None,
    sensitive: Sequence[str],
    roles: Mapping[str, str] | None,
    favourable_label: str | None,
) -> DataRef:
    from evaluations.data.digests import path_digest
    from evaluations.data.formats import column_names, format_of

    if isinstance(data, DataRef):
        return data
    path = Path(data) if isinstance(data, str | Path) else _written(data, folder)
    columns = column_names(path)
    named = {target: "target"} if target else {}
    named |= dict.fromkeys(sensitive, "sensitive") | dict(roles or {})
    absent = sorted(set(named) - set(columns))
    if absent:
        raise EvaluationError(
            "column_missing",
            f"The data has no column {absent[0]!r}. Its columns are {', '.join(columns[:30])}.",
        )
    return DataRef(
        path=str(path),
        digest=path_digest(path),
        format=format_of(path),
        roles={column: Role(named.get(column, "input")) for column in columns},
        favourable_label=favourable_label,
    )


def _written(frame: pd.DataFrame, folder: Path) -> Path:
    path = folder / "data.parquet"
    frame.to_parquet(path, index=False)
    return path
