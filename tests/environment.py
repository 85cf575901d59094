"""What must stand before Django reads its settings: a state folder, secrets and a PostgreSQL of the tests' own.

Loaded by `-p tests.environment` (pyproject.toml). The process that starts the tests makes it all and
removes it at the end; xdist's workers inherit it through the environment.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
OWNS_STATE = "AUDITOR_TEST_STATE" not in os.environ


def prepare() -> Path:
    """A fresh state folder that the account of the database server can enter."""
    state = Path(tempfile.mkdtemp(prefix="auditor-tests-"))
    state.chmod(0o755)
    (state / "secrets").mkdir(mode=0o700)
    (state / "secrets" / "secret_key").write_text(secrets.token_urlsafe(48))
    (state / "secrets" / "secret_key").chmod(0o600)
    return state


if OWNS_STATE:
    state = prepare()
    os.environ["AUDITOR_TEST_STATE"] = os.environ["AUDITOR_STATE"] = str(state)
    # two test processes share the cores: numerical libraries that spin in wait for a thread would stop both
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", OMP_WAIT_POLICY="passive")
    os.environ.setdefault("AUDITOR_RESOURCES", str(REPOSITORY / "var" / "resources"))
    for name in ("DATABASE_URL", "BROKER_URL", "SECRET_KEY", "PUBLIC_URL", "PYTHONPATH"):
        os.environ.pop(name, None)

    from auditor.core import embedded
    from auditor.ledger.keys import ensure_signing_key

    ensure_signing_key(state / "secrets")
    embedded.ensure_running()


def pytest_unconfigure() -> None:
    if OWNS_STATE:
        embedded.stop()
        shutil.rmtree(os.environ["AUDITOR_STATE"], ignore_errors=True)
