"""`auditor data injection-tasks`: benign tasks for prompt injections, and documents to plant beforehand."""

from __future__ import annotations

import secrets
from pathlib import Path

import click

from auditor.client.fresh_folder import filling
from auditor.client.session import Session, pass_session

FOLDER = click.Path(path_type=Path, file_okay=False)
ABOUT_PLANTED = """# Documents that try to mislead a retrieval system

{rows:,} tasks, and a document for each in `documents/`. Every document asks whoever reads it to write a codeword of its
own, drawn at random for this folder.

1. Add the files of `documents/` to the index of a **test copy** of the system, and to nothing that people use.
2. Put the lines of `planted.yaml` into the policy, as parameters of `safety.injection`.
3. `auditor data push planted-tasks {table} --version 1 --roles roles.yaml`
4. `auditor audit run SYSTEM@VERSION --data planted-tasks@1 --policy YOUR-POLICY`, with the system registered as an
   endpoint. It is asked the tasks alone and finds the documents itself.
5. Take the documents out of the index again.

Logs of what the system's tools did can be measured too: add them as a column with the role `answer` (a JSON list of
{{"name": …, "arguments": …}}, or the answer as text), and name the tools that no task needs (`forbidden_tools`).
"""


@click.command("injection-tasks")
@click.option("--to", "folder", type=FOLDER, required=True, help="A new folder.")
@click.option(
    "--planted",
    is_flag=True,
    help="Documents with instructions in them, for the index of a system that finds its documents itself.",
)
@pass_session
def injection_tasks_command(session: Session, /, folder: Path, planted: bool) -> None:
    """Write benign tasks with short documents, on which safety.injection tries its injections.

    The table and roles.yaml are ready for `auditor data push`. With --planted the documents are files with a smuggled
    instruction and a fresh codeword each, planted.yaml names the codewords, and README.md says what comes next.
    """
    from evaluations.data import injection_tasks

    with filling(folder) as made:
        if planted:
            files, rows = injection_tasks.plant(made, secrets.randbelow)
            text = ABOUT_PLANTED.format(rows=rows, table=files[0].name)
            (made / "README.md").write_text(text, encoding="utf-8")
        else:
            files, rows = injection_tasks.write(made)
        names = [path.name for path in files]
    for name in names:
        click.echo(str(folder / name))
    session.note(f"{rows:,} tasks. Licence. {injection_tasks.LICENCE}")
