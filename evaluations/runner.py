"""`python -m evaluations`: run an evaluation with the model, merge its shards without it, list and show."""

from __future__ import annotations

import argparse
import errno
import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError

from evaluations import catalogue
from evaluations.engine.memory import peak_memory
from evaluations.spec import (
    Access,
    Cost,
    Evaluation,
    EvaluationError,
    Failure,
    JudgedEvaluation,
    ModelFormat,
    Params,
    Plan,
    Progress,
    Role,
    RunRequest,
    ShardState,
)

if TYPE_CHECKING:
    from evaluations.context import Attacker, Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import Model

OK, TYPED_FAILURE = 0, 3  # what is neither ends with Python's own traceback and code 1
BETWEEN_PROGRESS = 0.2  # seconds
# a data set may rightly have none of these
OPTIONAL = (
    *(Role.SENSITIVE, Role.SPLIT, Role.CLUSTER),
    *(Role.MEMBER, Role.RANDOMISED_INCLUSION, Role.REPETITIONS),
)


def main(argv: list[str] | None = None) -> int:
    """Returns the exit code: 0 done, 3 a failure or skip with failure.json, 1 unexpected with a traceback."""
    parser = argparse.ArgumentParser(prog="python -m evaluations", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="load the model and write one file per shard")
    run.add_argument("request", type=Path)
    run.add_argument(
        "--judging", type=Path, help="load the judge instead: it judges these shards of the model"
    )
    run.add_argument("--out", type=Path, required=True)
    merge = commands.add_parser("merge", help="judge the shards; never loads the model")
    merge.add_argument("request", type=Path)
    merge.add_argument("--shards", type=Path, required=True)
    merge.add_argument(
        "--parent-shards", type=Path, help="the same shards as the parent version answered them"
    )
    merge.add_argument("--judge-shards", type=Path, help="what the judge said of the shards")
    merge.add_argument("--reference-shards", type=Path, help="the same shards as the reference answered them")
    merge.add_argument("--out", type=Path, required=True)
    commands.add_parser("list", help="name every evaluation")
    commands.add_parser("reference", help="print the catalogue as Markdown")
    show = commands.add_parser("show", help="print one evaluation's metrics and parameters as JSON")
    show.add_argument("name")
    args = parser.parse_args(argv)
    try:
        if args.command == "run":
            return _guarded(args.out, lambda: run_request(_request(args.request), args.out, args.judging))
        if args.command == "merge":
            return _guarded(args.out, lambda: _merge(args))
        if args.command == "reference":
            from evaluations.reference import page

            print(page(), end="")
            return OK
        print(_listing() if args.command == "list" else _description(args.name))
    except EvaluationError as error:
        print(error.message, file=sys.stderr)
        return TYPED_FAILURE
    return OK


def run_request(request: RunRequest, out: Path, judging: Path | None = None) -> None:
    """Loads data and model, runs every shard that is not there yet, writes each as soon as it is done.

    With `judging` the model is the request's judge, which judges these shards of the audited one.
    """
    from evaluations import shardfiles
    from evaluations.context import Context
    from evaluations.data import dataset
    from evaluations.engine import fingerprint
    from evaluations.engine.score_store import ScoreStore
    from evaluations.merge import for_judge
    from evaluations.models.files import Files
    from evaluations.models.loader import load

    evaluation, params = resolve(request)
    check_before_data(evaluation, request)
    data = dataset.read(request.data, request.model.modality)
    plan = checked_plan(evaluation, params, data)
    answers: dict[int, ShardState] = {}
    if judging is not None:
        answers = {shard.index: shardfiles.read(judging, shard, request)[0] for shard in plan.shards}
        request = for_judge(request)
    todo = [shard for shard in plan.shards if not shardfiles.complete(out, shard, request)]
    total = sum(shard.stop - shard.start for shard in plan.shards)
    cancelled = _cancel_flag()
    report = _progress_writer(out)
    served = request.model.format is ModelFormat.ENDPOINT and not evaluation.requires.files
    watch = fingerprint.Watch(out) if served else None
    if todo or (watch and not watch.confirmed):
        spent = Meter()
        report(Progress(done=0, total=total, message="loading the model"))
        model = Files(request.model) if evaluation.requires.files else load(request.model)
        (check_access if judging is None else check_judge)(evaluation, model)
        store = ScoreStore(out / "scores", Path(request.scores) if request.scores else None)
        ctx = Context(request, out, on_progress=report, is_cancelled=cancelled, total=total, store=store)
        if judging is None and evaluation.requires.attacker and request.attacker is not None:
            ctx.attacker = attacker_of(request, load(request.attacker), ctx)
        if watch:
            todo = watch.begin(model, data, todo, plan.shards)
        for shard in todo:
            ctx.offset = shard.start
            ctx.stop_if_cancelled()
            try:
                if judging is None:
                    state = evaluation.run_shard(model, data, params, ctx, shard)
                else:
                    ctx.judged = answers[shard.index]
                    state = judged(evaluation).judge_shard(model, data, params, ctx, shard)
                fingerprint.check_stopped(model)
            finally:
                store.flush()  # also where a budget ran out: what was answered need not be asked again
            shardfiles.write(out, shard, state, request, spent.since_last(model), model.device)
        if watch:
            watch.end(model, data)
    report(Progress(done=total, total=total, message="done"))


def resolve(request: RunRequest) -> tuple[Evaluation, Params]:
    """The evaluation that a request names, and its validated parameters."""
    evaluation = catalogue.get(request.evaluation)
    try:
        return evaluation, evaluation.Params.model_validate(request.params)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "params"
        raise EvaluationError(
            "bad_params",
            f"Parameter {where!r} of {evaluation.name}: {first['msg']}. "
            f"Parameters: {', '.join(evaluation.Params.model_fields) or 'none'}.",
        ) from error


def check_before_data(evaluation: Evaluation, request: RunRequest) -> None:
    """What can be refused from the request alone, as `skipped`."""
    needs, model = evaluation.requires, request.model
    if model.modality not in needs.modalities:
        raise EvaluationError(
            "not_for_modality",
            f"{evaluation.name} measures {', '.join(needs.modalities)} models; this one is {model.modality}.",
            skipped=True,
        )
    for role in needs.roles:
        if not request.data.columns(role):
            raise EvaluationError(
                f"{role}_missing",
                f"{evaluation.name} needs a column with the role {role.value!r}. Give the columns their roles.",
                skipped=role in OPTIONAL,
            )
    spoken = {language.lower().replace("_", "-").split("-")[0] for language in model.languages}
    if needs.languages and spoken and not spoken & set(needs.languages):
        raise EvaluationError(
            "not_for_language",
            f"{evaluation.name} works on {', '.join(needs.languages)} text; the model's languages are "
            f"{', '.join(model.languages)}.",
            skipped=True,
        )


def checked_plan(evaluation: Evaluation, params: Params, data: Dataset) -> Plan:
    if data.rows < evaluation.requires.min_examples:
        raise EvaluationError(
            "too_few_examples",
            f"{evaluation.name} needs at least {evaluation.requires.min_examples} examples; there are {data.rows}.",
        )
    plan = evaluation.plan(data.rows, params)
    if plan.refusals:
        raise EvaluationError("refused", " ".join(plan.refusals), skipped=True)
    return plan


def judged(evaluation: Evaluation) -> JudgedEvaluation:
    """The evaluation, where another model may judge its answers."""
    if not evaluation.requires.judge:
        raise EvaluationError("not_judged", f"{evaluation.name} has no judge. Run it without one.")
    return cast("JudgedEvaluation", evaluation)


def attacker_of(request: RunRequest, model: Any, ctx: Context) -> Attacker:
    """The attacker's model, and a context in which its messages are kept apart from the audited model's answers."""
    from evaluations.context import Attacker, Context
    from evaluations.merge import for_attacker

    asked = for_attacker(request)
    return Attacker(model, Context(asked, ctx.out, is_cancelled=ctx.is_cancelled, store=ctx.store))


def check_judge(evaluation: Evaluation, judge: Model) -> None:
    """Raises EvaluationError where a model of this kind cannot judge the answers."""
    needs = evaluation.requires
    if judge.modality in needs.judges:
        return
    if judge.modality not in needs.modalities:
        able = ", ".join((*needs.modalities, *needs.judges))
        raise EvaluationError(
            "judge_of_other_kind",
            f"The judge is a {judge.modality} model, and {evaluation.name} is judged by {able} models. Choose one of "
            "these.",
        )
    check_access(evaluation, judge)


def check_access(evaluation: Evaluation, model: Model) -> None:
    lacking = Access(evaluation.requires.access) & ~model.access
    if lacking:
        raise EvaluationError(
            "no_access",
            f"{evaluation.name} needs {', '.join(str(a.name).lower() for a in lacking)} of the model, which this "
            "format does not give.",
            skipped=True,
        )


class Meter:
    """What has been spent since the last shard: wall and CPU seconds, queries, tokens, peak memory."""

    def __init__(self) -> None:
        self.wall, self.cpu, self.queries, self.tokens = time.monotonic(), time.process_time(), 0, 0

    def since_last(self, model: Model) -> Cost:
        wall, cpu = time.monotonic(), time.process_time()
        cost = Cost(
            wall_seconds=round(wall - self.wall, 3),
            cpu_seconds=round(cpu - self.cpu, 3),
            queries=model.usage.queries - self.queries,
            tokens=model.usage.tokens - self.tokens,
            peak_rss_bytes=peak_memory(),
        )
        self.wall, self.cpu, self.queries, self.tokens = wall, cpu, model.usage.queries, model.usage.tokens
        return cost


def _merge(args: argparse.Namespace) -> None:
    from evaluations.merge import merge_request

    merge_request(
        _request(args.request),
        args.shards,
        args.out,
        args.parent_shards,
        args.judge_shards,
        args.reference_shards,
    )


def _request(path: Path) -> RunRequest:
    try:
        return RunRequest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise EvaluationError(
            "bad_request", f"The request {path} cannot be read: {error.strerror}."
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise EvaluationError(
            "bad_request", f"The request {path.name} is not valid: {where}: {first['msg']}."
        ) from error


def _guarded(out: Path, work: Callable[[], None]) -> int:
    """Runs `work`; what the person can mend becomes failure.json and exit code 3; anything else passes through."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "failure.json").unlink(missing_ok=True)
        work()
        return OK
    except EvaluationError as error:
        failure = Failure(code=error.code, message=error.message, skipped=error.skipped)
    except MemoryError:
        failure = Failure(
            code="out_of_memory",
            message="The run needed more memory than its limit. Raise the limit, or use a smaller model or data set.",
        )
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        failure = Failure(
            code="disk_full",
            message="The disk that holds the results is full. Free some space and start the run again.",
        )
    print(failure.message, file=sys.stderr)
    try:
        (out / "failure.json").write_text(failure.model_dump_json(), encoding="utf-8")
    except OSError as error:
        print(f"failure.json could not be written: {error}", file=sys.stderr)
    return TYPED_FAILURE


def _cancel_flag() -> Callable[[], bool]:
    """Turns SIGTERM into a question that evaluations ask between batches."""
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    return lambda: bool(asked)


def _progress_writer(out: Path) -> Callable[[Progress], None]:
    """Appends lines to OUT/progress.jsonl, flushed, at most five a second and always the last."""
    last = -BETWEEN_PROGRESS

    def write(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < BETWEEN_PROGRESS and progress.done < progress.total:
            return
        last = now
        with (out / "progress.jsonl").open("a", encoding="utf-8") as file:
            file.write(progress.model_dump_json() + "\n")

    return write


def _listing() -> str:
    return "\n".join(f"{e.name:<28} {e.title}: {e.question}" for e in catalogue.all())


def _description(name: str) -> str:
    evaluation = catalogue.get(name)
    return json.dumps(
        {
            "name": evaluation.name,
            "version": evaluation.version,
            "title": evaluation.title,
            "question": evaluation.question,
            "requires": evaluation.requires.model_dump(mode="json"),
            "metrics": [metric.model_dump(mode="json") for metric in evaluation.metrics],
            "params": evaluation.Params.model_json_schema(),
            "tags": evaluation.tags,
        },
        indent=2,
        ensure_ascii=False,
    )
