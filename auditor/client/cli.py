"""The command `auditor`: the group of its commands, and the one place where errors become exit codes."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

import click

from auditor import __version__
from auditor.client.account_commands import login, whoami
from auditor.client.audit_commands import audit
from auditor.client.data_commands import data
from auditor.client.exits import ClientError, Exit
from auditor.client.local_commands import local
from auditor.client.model_commands import gate, model
from auditor.client.render import printable
from auditor.client.report_commands import report, verify
from auditor.client.session import Session


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="auditor")
@click.option("--url", help="The service's address (else AUDITOR_URL, else what `auditor login` stored).")
@click.pass_context
def cli(context: click.Context, url: str | None) -> None:
    """Audit machine-learning models: push them, run audits under a policy, get signed report cards.

    \b
    Exit codes: 0 meets the policy (also with accepted risk) · 1 does not meet it · 2 usage
    (of `model check`: 0 accepted · 1 refused)
    3 incomplete, inconclusive or errored · 4 not allowed · 5 timed out waiting
    6 unreachable · 7 verification failed · 70 unexpected error
    """
    session = context.ensure_object(Session)
    session.url = url or session.url


for command in (login, whoami, model, data, audit, local, report, verify, gate):
    cli.add_command(command)


def run(arguments: Sequence[str] | None = None, session: Session | None = None) -> int:
    """Run one command and return its exit code. An unexpected error is 70, never 1."""
    try:
        outcome = cli.main(
            args=arguments, prog_name="auditor", standalone_mode=False, obj=session or Session()
        )
    except click.exceptions.Abort:
        click.echo("Interrupted.", err=True)
        return Exit.INTERRUPTED
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except ClientError as error:
        click.echo(f"auditor: {printable(error)}", err=True)
        return error.exit_code
    except BrokenPipeError:  # the reader of our output has gone; closing it again at exit must not raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.MEETS
    except OSError as error:
        click.echo(f"auditor: {error.filename or 'the system'}: {error.strerror or error}", err=True)
        return Exit.USAGE
    except Exception as error:  # noqa: BLE001  # the last resort: exit code 1 must keep its one meaning
        click.echo(f"auditor: unexpected {type(error).__name__}: {error}", err=True)
        if os.environ.get("AUDITOR_DEBUG"):
            traceback.print_exc()
        else:
            click.echo("Set AUDITOR_DEBUG=1 to see where, and report it with that.", err=True)
        return Exit.UNEXPECTED
    return int(outcome) if isinstance(outcome, int) else Exit.MEETS


def main() -> None:
    """The entry point."""
    sys.exit(run())
