"""`auditor local run`: the same audit without a server."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditor.client import columns, junit, render, roles_file, sarif, watch
from auditor.client.audit_commands import show_plan
from auditor.client.exits import VERDICT_EXITS, ClientError, Exit
from auditor.client.session import Session, pass_session

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from evaluations.local import Item, Subject
    from evaluations.spec import DataRef, EvaluationResult, Failure, ModelRef

FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group()
def local() -> None:
    """Audits on this machine, without a server: for a notebook's terminal, or for a pipeline."""


@local.command()
@click.argument("model", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True, help="File or folder.")
@click.option(
    "--policy",
    default="release-gate",
    show_default=True,
    help="A YAML file, or the name of a built-in policy.",
)
@click.option("--target", default="", help="The column with the true label.")
@click.option("--input", "inputs", multiple=True, help="Column fed to the model (default: all that remain).")
@click.option("--sensitive", multiple=True, help="Column that defines groups, such as sex.")
@click.option("--id", "id_column", help="Column that identifies the row.")
@click.option("--role", "more", multiple=True, metavar="COLUMN=ROLE", help=columns.OTHER_ROLES)
@click.option(
    "--roles",
    "roles_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A roles.yaml, as `auditor data get` writes it, in place of the options above.",
)
@click.option("--favourable", default="", help="The label that is good for the person, such as >50K.")
@click.option("--label", "labels", multiple=True, help="Class name, in the order of the model's outputs.")
@click.option("--language", "languages", multiple=True, help="Language tag of the texts, such as en.")
@click.option("--modality", help="What kind of model it is, where the files do not say.")
@click.option("--format", "format_", help="The format of its files, where they do not say.")
@click.option("--parent", type=FOLDER, help="The version that this one is compared with.")
@click.option("--judge", type=FOLDER, help="Another model, which judges answers.")
@click.option(
    "--reference",
    type=FOLDER,
    help="A model of the same kind, not trained on the data, which privacy evaluations compare with.",
)
@click.option(
    "--attacker",
    type=FOLDER,
    help="Another model, which leads this one on in conversations (safety.escalation).",
)
@click.option(
    "--keep", type=FOLDER, help="Keep the model's answers here: an interrupted run goes on from them."
)
@click.option(
    "--resources", type=FOLDER, help="Lexical resources (else AUDITOR_RESOURCES, else var/resources)."
)
@click.option("--junit", "junit_file", type=FILE, help="Write the controls as JUnit XML.")
@click.option("--sarif", "sarif_file", type=FILE, help="Write what does not pass as SARIF 2.1.0.")
@click.option("--json", "json_file", type=FILE, help="Write everything that was measured.")
@click.option("--dry-run", is_flag=True, help="Only say what would be run, and what it would take.")
@pass_session
def run(session: Session, /, model: Path, data: Path, policy: str, **options: Any) -> int:
    """Audit the model in the folder MODEL under a policy. The exit code is the verdict.

    The model runs in this process, without the sandbox that the service has: use it on models you trust.
    """
    from auditor.client import local_run
    from evaluations.local import Item, Subject, forecasts
    from evaluations.spec import EvaluationError

    stated = local_run.read_policy(policy)
    try:
        ref, data_ref = _model_ref(model, options), _data_ref(data, options)
        facts = local_run.facts_of(ref, data_ref)
        suite = local_run.suite_of(stated, facts)
        seed = local_run.seed_for(ref, data_ref, suite)
        items = [Item(item, name, params) for item, (name, _, params) in suite.items()]
        alone = {**options, "parent": None}
        unlike = alone | {"modality": None, "format_": None, "labels": ()}  # a judge may be of another kind
        judge, reference, attacker = (
            _model_ref(options[name], how) if options[name] else None
            for name, how in (("judge", unlike), ("reference", alone), ("attacker", unlike))
        )
        if options["dry_run"]:
            show_plan(
                local_run.plan(suite, dict(_by_name(forecasts(items, ref, data_ref, seed, judge))), seed)
            )
            return Exit.MEETS
        started = datetime.now(UTC).replace(microsecond=0)
        subject = Subject(ref, judge_ref=judge, reference_ref=reference, attacker_ref=attacker)
        ended = _run_all(session, subject, data_ref, items, seed, options)
    except EvaluationError as error:
        raise ClientError(error.message) from error
    card = local_run.card(
        stated=stated,
        facts=facts,
        model=ref,
        data=data_ref,
        rows=_rows(ended),
        seed=seed,
        ended=ended,
        started=started,
        beside=local_run.beside(suite, judge, reference, attacker),
    )
    render.show(card, session.out)
    session.note(local_run.NOTICE)
    _write(card, model, options)
    return VERDICT_EXITS[card["verdict"]]


def _by_name(found: Iterable[tuple[Item, Any]]) -> Iterator[tuple[str, Any]]:
    for item, outcome in found:
        yield item.name, outcome


def _run_all(
    session: Session,
    subject: Subject,
    data: DataRef,
    items: Sequence[Item],
    seed: int,
    options: dict[str, Any],
) -> dict[str, EvaluationResult | Failure]:
    """Every item's result or reason, with bars on a terminal and lines in a log."""
    from auditor.client.local_run import progress_of
    from evaluations.local import run_items
    from evaluations.spec import Failure

    display = watch.Bars(session.err) if session.err.is_terminal else watch.Lines(session.note)
    working, finished = progress_of([item.name for item in items], display.update)
    ended: dict[str, EvaluationResult | Failure] = {}
    resources = options["resources"] or Path(os.environ.get("AUDITOR_RESOURCES", "var/resources"))
    try:
        for item, outcome in run_items(
            items,
            subject,
            data,
            seed=seed,
            out=options["keep"],
            resources=str(resources.resolve()),
            on_progress=working,
        ):
            ended[item.name] = outcome
            if isinstance(outcome, Failure):
                finished(item.name, "skipped" if outcome.skipped else "errored", outcome.message)
            else:
                finished(item.name, "succeeded", "")
    finally:
        display.close()
    return ended


def _model_ref(folder: Path, options: dict[str, Any]) -> ModelRef:
    from evaluations.data.digests import folder_digest
    from evaluations.models.detect import detect
    from evaluations.spec import Modality, ModelFormat, ModelRef

    modality, format_ = options["modality"], options["format_"]
    if not (modality and format_):
        found = detect(folder)
        modality, format_ = modality or found[0], format_ or found[1]
    for value, kinds, option in ((modality, Modality, "--modality"), (format_, ModelFormat, "--format")):
        if value not in list(kinds):
            raise click.UsageError(f"{option} {value!r} is none of {', '.join(kinds)}.")
    return ModelRef(
        path=str(folder.resolve()),
        digest=folder_digest(folder),
        modality=Modality(modality),
        format=ModelFormat(format_),
        labels=options["labels"],
        languages=options["languages"],
        parent=_model_ref(options["parent"], {**options, "parent": None}) if options["parent"] else None,
    )


def _data_ref(path: Path, options: dict[str, Any]) -> DataRef:
    from evaluations.data.digests import path_digest
    from evaluations.data.formats import column_names, format_of
    from evaluations.spec import DataRef, Role

    declared = roles_file.read(options)
    given = declared.get("roles") or columns.assign(
        column_names(path),
        path.name,
        target=options["target"],
        inputs=options["inputs"],
        sensitive=options["sensitive"],
        identity=options["id_column"],
        more=options["more"],
    )
    if unknown := sorted(set(given.values()) - set(Role)):
        raise ClientError(f"There is no role {unknown[0]!r}. Roles are {', '.join(Role)}.")
    return DataRef(
        path=str(path.resolve()),
        digest=path_digest(path),
        format=format_of(path),
        roles={column: Role(role) for column, role in given.items()},
        favourable_label=options["favourable"] or declared.get("favourable_label") or None,
        languages=options["languages"] or declared.get("languages", ()),
    )


def _rows(ended: dict[str, EvaluationResult | Failure]) -> int:
    from evaluations.spec import EvaluationResult

    return max((r.coverage.attempted for r in ended.values() if isinstance(r, EvaluationResult)), default=0)


def _write(card: dict[str, Any], model: Path, options: dict[str, Any]) -> None:
    if options["junit_file"]:
        options["junit_file"].write_text(junit.junit([card]), encoding="utf-8")
    if options["sarif_file"]:
        log = sarif.sarif([card], model.name, "", model)
        options["sarif_file"].write_text(
            json.dumps(log, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    if options["json_file"]:
        options["json_file"].write_text(
            json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
