"""`auditor data coins|canaries`: what is prepared before a training, so that its privacy can be audited after it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from auditor.client import canaries as made_up
from auditor.client import coin_tables, coins, columns, roles_file
from auditor.client.exits import ClientError
from auditor.client.fresh_folder import filling
from auditor.client.session import Session, pass_session

FILE = click.Path(path_type=Path)
FOLDER = click.Path(path_type=Path, file_okay=False)
ABOUT_COINS = """# Canaries for an audit of differential privacy

{rows:,} canaries, of which {included:,} are to be trained on: a fair coin fell for each of them.

1. Publish `{commitment}` (or `coins.json`) before the training, where its date is beyond doubt.
2. Add every row of `{train}` to the training data once, and no other row of `{canaries}`: not in another split, not in
   data for pretraining, not as a copy. A row that is trained on twice has twice the ε. Train as always, with the
   accounting that the claim rests on.
3. `auditor data push dp-canaries {canaries} --version 1 --roles roles.yaml`
4. `auditor audit run MODEL@VERSION --data dp-canaries@1 --policy privacy`, or with a policy of your own that states the
   claim (`claimed_epsilon`, `delta`).
5. Whoever doubts the coins compares the commitment with the digest of the data set on the report card, or runs
   `auditor data coins {canaries} --verify coins.json`.

Nobody who can influence the model's answers should see `{canaries}` before the training has ended; its rows, without
the column `{column}`, are no secret. So many canaries can refute an ε of up to {most:.2f} (δ = 0, a fifth of them
guessed, all rightly).

There is no seed: whoever chose one could try seeds until the coins fell as wished. The commitment shows that the coins
were not changed since, not that they were tossed once: let somebody run the command who gains nothing by the result.
"""
ABOUT_CANARIES = """# Canaries for an audit of memorisation

{inserted:,} made-up secrets, and {controls:,} controls that the training never sees.

1. Add every line of `insert.jsonl` to the training texts: {lines:,} lines in random order, each canary as often as
   `canaries.jsonl` says. Spread them over the data. Add them after duplicates are removed, or each is left once.
2. Keep `canaries.jsonl` out of the training data: it names the controls.
3. `auditor data push canaries canaries.jsonl --version 1 --roles roles.yaml`
4. `auditor audit run MODEL@VERSION --data canaries@1 --policy privacy`

Repetitions count how often a line is in the training data, not how often the training passes over them. Every name and
secret was drawn at random for this folder; plant a folder in one training only.
"""


@click.command("coins")
@click.argument("rows", type=FILE)
@click.option("--to", "folder", type=FOLDER, help="A new folder for the tables and what goes with them.")
@click.option("--column", default="included", show_default=True, help="Name of the new column of coins.")
@click.option("--id", "id_column", help="Column that identifies the row (default: a new one, canary_id).")
@click.option("--target", default="", help="The column with the true label.")
@click.option("--input", "inputs", multiple=True, help="Column fed to the model (default: all that remain).")
@click.option("--sensitive", multiple=True, help="Column that defines groups, such as sex.")
@click.option("--ignore", multiple=True, help="Column that nobody uses.")
@click.option("--role", "more", multiple=True, metavar="COLUMN=ROLE", help="Any other role.")
@click.option(
    "--roles",
    "roles_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A roles.yaml with the roles of the columns of ROWS, in place of the options above.",
)
@click.option(
    "--verify",
    "stated",
    metavar="COINS.JSON|SHA256:…",
    help="Write nothing: check that ROWS is the table of canaries committed to. Exit code 7 if not.",
)
@pass_session
def coins_command(
    session: Session, /, rows: Path, folder: Path | None, stated: str | None, **options: Any
) -> None:
    """Toss a fair coin for each row of ROWS (.parquet, .csv or .jsonl): is it trained on, or left out?

    Writes train.* (the rows to add to the training data, once each), canaries.* (all rows beside their coins, to be
    pushed for the audit of differential privacy), coins.json (a commitment to publish before the training), roles.yaml
    and README.md. The coins come from the system's randomness. There is no seed: whoever chose one could try seeds
    until the coins fell as wished.
    """
    if (folder is None) == (stated is None):
        raise click.UsageError(
            "Give --to FOLDER to toss coins, or --verify COMMITMENT to check a table of canaries."
        )
    if stated is not None:
        click.echo(coins.verify(rows, stated))
        session.note(f"{rows.name} is the file that was committed to.")
        return
    assert folder is not None  # one of both is given
    declared = roles_file.read(options)
    identity = _identity(declared.get("roles", {}), options)
    with filling(folder) as made:
        asked = coin_tables.Split(rows, made, options["column"], identity, "canary_id")
        tossed, names = coin_tables.split(asked)
        roles = _roles(asked, names, declared.get("roles"), options)
        about = {"description": f"Canaries of {rows.name}, each with a coin of its own.", **declared}
        roles_file.write(asked.canaries, "dp-canaries", roles, about)
        commitment = coins.commit(asked.canaries, tossed, asked.column)
        text = ABOUT_COINS.format(
            rows=tossed.rows,
            included=tossed.included,
            commitment=commitment,
            train=asked.train.name,
            canaries=asked.canaries.name,
            column=asked.column,
            most=coins.most_epsilon(tossed.rows),
        )
        (made / "README.md").write_text(text, encoding="utf-8")
    click.echo(commitment)
    if "target" not in roles.values():
        session.note("No column is the target. That is right only for texts of a language model.")
    session.note(
        f"{tossed.included:,} of {tossed.rows:,} rows are to be trained on. Publish this commitment first; "
        f"{folder / 'README.md'} says what comes next."
    )


def _identity(declared: dict[str, str], options: dict[str, Any]) -> str | None:
    """The column of ids that the table has, by roles.yaml or --id. Raises where coins were tossed before."""
    held = {role: column for column, role in declared.items()}
    held |= {role: column for column, _, role in (one.rpartition("=") for one in options["more"])}
    if "randomised_inclusion" in held:
        raise ClientError(
            f"The column {held['randomised_inclusion']!r} has coins already. Give the rows without it: a second coin "
            "says nothing about what was trained on by the first."
        )
    identity: str | None = options["id_column"] or held.get("id")
    return identity


def _roles(
    asked: coin_tables.Split, names: list[str], declared: dict[str, str] | None, options: dict[str, Any]
) -> dict[str, str]:
    added = {asked.column: "randomised_inclusion", **({} if asked.own_id else {asked.new_id: "id"})}
    if declared is not None:
        if absent := [column for column in declared if column not in names]:
            raise ClientError(f"{asked.source.name} has no column {absent[0]!r}, which --roles names.")
        return {**declared, **added}
    given = columns.assign(
        names,
        asked.source.name,
        target=options["target"],
        inputs=options["inputs"],
        sensitive=options["sensitive"],
        identity=options["id_column"],
        ignored=options["ignore"],
        more=options["more"],
    )
    return {**given, **added}


@click.command("canaries")
@click.option("--to", "folder", type=FOLDER, required=True, help="A new folder.")
@click.option(
    "--pattern",
    "patterns",
    multiple=True,
    help=f"A sentence with {{name}} and after it {{secret}} (default: {made_up.PATTERN}). Several take turns.",
)
@click.option(
    "--secret",
    "forms",
    multiple=True,
    default=(made_up.SECRET,),
    show_default=True,
    help="Form of the secrets: d is a digit, a and A a small and a capital letter, all else stays.",
)
@click.option(
    "--repetitions", default="1,2,4,8,16,32", show_default=True, help="How often canaries are inserted."
)
@click.option(
    "--each",
    type=click.IntRange(1),
    default=13,
    show_default=True,
    help="Canaries per number of repetitions. A limit on exposure takes 73 in all to be met.",
)
@click.option(
    "--controls",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    help="Canaries that are never inserted: they show whether the secrets are like any others.",
)
@click.option("--language", "languages", multiple=True, help="Language tag of your patterns, such as en.")
@pass_session
def canaries_command(session: Session, /, folder: Path, repetitions: str, **options: Any) -> None:
    """Make up texts with random secrets, to be planted in the training data of a language model.

    Writes insert.jsonl (the lines to add to the training texts), canaries.jsonl (what stands before each secret, the
    secret, and how often it is inserted: to be pushed for the audit of memorisation), roles.yaml and README.md.
    """
    times = made_up.planned(repetitions, options["each"], options["controls"])
    canaries = made_up.draw(times, options["patterns"] or (made_up.PATTERN,), options["forms"])
    lines = made_up.lines(canaries)
    with filling(folder) as made:
        _write_jsonl(made / "insert.jsonl", [{"text": line} for line in lines])
        table = made / "canaries.jsonl"
        _write_jsonl(table, [canary.row() for canary in canaries])
        roles_file.write(
            table,
            "canaries",
            {"id": "id", "text": "input", "secret": "target", "repetitions": "repetitions"},
            {
                "description": "Made-up secrets planted in the training data, and controls that were not.",
                "languages": options["languages"] or (() if options["patterns"] else ("en",)),
            },
        )
        inserted = sum(time > 0 for time in times)
        text = ABOUT_CANARIES.format(inserted=inserted, controls=len(times) - inserted, lines=len(lines))
        (made / "README.md").write_text(text, encoding="utf-8")
    for name in ("insert.jsonl", "canaries.jsonl", "roles.yaml", "README.md"):
        click.echo(str(folder / name))
    session.note(
        f"{len(lines):,} lines to insert, of {inserted:,} canaries; {len(times) - inserted:,} controls."
    )


def _write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
