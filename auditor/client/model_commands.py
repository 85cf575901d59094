"""`auditor model push|check|credential` and `auditor gate`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from auditor.client import push
from auditor.client.check_command import check_model
from auditor.client.exits import VERDICT_EXITS, ApiError, ClientError, Exit
from auditor.client.progress import uploading
from auditor.client.session import Session, pass_session

MODALITIES = (
    *("text_classifier", "token_classifier", "masked_lm", "causal_lm", "seq2seq", "extractive_qa"),
    *("image_classifier", "tabular", "tabular_regression", "recommender"),
)


@click.group()
def model() -> None:
    """Models and their versions."""


model.add_command(check_model)


@model.command("push")
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--version", required=True, help="The new version, such as 3.2.0. A version never changes.")
@click.option("--modality", type=click.Choice(MODALITIES), help="What kind of model; needed the first time.")
@click.option(
    "--label", "labels", multiple=True, help="Class names in output order, where the files do not say."
)
@click.option("--parent", help="The version it was made from, such as income@3.1.0.")
@click.option("--description", default="", help="What it is (first push of a name).")
@click.option("--intended-use", default="", help="What it is for (first push of a name).")
@click.option("--out-of-scope-use", default="", help="What it is not for (first push of a name).")
@click.option("--risk-tier", default="limited", show_default=True, help="First push of a name.")
@click.option(
    "--language", "languages", multiple=True, help="Language tag, such as en (first push of a name)."
)
@pass_session
def push_model(
    session: Session,
    /,
    name: str,
    folder: Path,
    version: str,
    labels: tuple[str, ...],
    parent: str | None,
    **about: Any,
) -> None:
    """Upload the files in FOLDER as a version of the model NAME.

    A broken upload goes on where it ended when the same command is given again. Pushing what the
    service has already is no error.
    """
    done = send_model(
        session, name=name, folder=folder, version=version, labels=labels, parent=parent, about=about
    )
    click.echo(f"{done.reference} {done.digest}{'  (was there already)' if done.reused else ''}")


def send_model(
    session: Session,
    *,
    name: str,
    folder: Path,
    version: str,
    labels: tuple[str, ...] = (),
    parent: str | None = None,
    about: dict[str, Any],
) -> push.Pushed:
    """Register the model where it is new, and upload a version of it unless the service has it."""
    files = push.model_files(folder)
    digest, reference = push.model_digest(files), f"{name}@{version}"
    known = push.versions(session.client, "model", name).get(version)
    if known is not None:
        return push.same(reference, known, digest)
    _register(session, name, about)
    manifest: dict[str, Any] = {
        "version": version,
        "labels": list(labels),
        "provenance": {},
        "parent": parent,
    }
    with uploading(session.err, reference, sum(file.size for file in files)) as report:
        made = push.send(session.client, "model", name, manifest, files, report)
    if made["digest"] != digest:
        raise ClientError(
            f"The service made {made['digest']} of files whose digest is {digest}: they changed meanwhile."
        )
    return push.Pushed(reference, digest, reused=False)


def _register(session: Session, name: str, about: dict[str, Any]) -> None:
    if not about.get("modality"):
        try:
            session.client.get(f"models/{quote(name, safe='')}")
            return
        except ApiError as error:
            if error.status != 404:
                raise
        raise ClientError(
            f"{name} is new: say what kind of model it is, with --modality, one of {', '.join(MODALITIES)}."
        )
    session.client.post("models", {"name": name, **about})


@model.command()
@click.argument("name")
@click.option(
    "--origin", default="", help="The service it is for (default: where the newest version is served)."
)
@click.option(
    "--header", default="Authorization", show_default=True, help="The header that the service reads."
)
@click.option("--from-env", metavar="VARIABLE", help="Take the secret from this environment variable.")
@click.option("--remove", is_flag=True, help="Forget the stored secret.")
@pass_session
def credential(
    session: Session, name: str, origin: str, header: str, from_env: str | None, remove: bool
) -> None:
    """Store the secret of the service where the model NAME is served, read from standard input.

    The service keeps it sealed, sends it to that origin alone, and shows it to nobody.
    """
    path = f"models/{quote(name, safe='')}/credential"
    if remove:
        session.client.delete(path)
        click.echo(f"{name} has no credential any more.")
        return
    if from_env:
        secret = os.environ.get(from_env, "")
    elif sys.stdin.isatty():
        secret = click.prompt("Secret", hide_input=True, err=True)
    else:
        secret = sys.stdin.read()
    if not secret.strip():
        where = f"The variable {from_env}" if from_env else "Standard input"
        raise ClientError(
            f"{where} holds no secret. It is never given as an argument, which others could see."
        )
    stored = session.client.put(path, {"secret": secret.strip(), "origin": origin, "header": header})
    click.echo(f"{name} is asked at {stored['origin']} with the header {stored['header']}.")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--require", type=click.Choice(["approved", "issued"]), default="approved", show_default=True)
@pass_session
def gate(session: Session, folder: Path, require: str) -> int:
    """Whether the model in FOLDER may be deployed: is a report card for exactly these files in force?

    Hashes the files here and asks by digest; nothing is uploaded.
    """
    digest = push.model_digest(push.model_files(folder))
    answer = session.client.get_json("gate", {"digest": digest, "require": require})
    click.echo(f"{'OPEN' if answer['open'] else 'CLOSED'}  {digest}")
    click.echo(answer["reason"])
    if answer["open"]:
        return Exit.MEETS
    card = answer["card"] or {"verdict": ""}
    refused = VERDICT_EXITS.get(card["verdict"], Exit.INCOMPLETE)
    return (
        Exit.INCOMPLETE if refused is Exit.MEETS else refused
    )  # it meets the policy, but nobody approved it yet
