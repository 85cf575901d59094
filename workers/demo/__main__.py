"""`python -m workers.demo`: two models trained, pushed, audited, reported and verified, as `auditor` commands."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import django

from auditor import setup
from auditor.client import cli, push
from auditor.client.config import Config
from auditor.client.exits import ClientError, Exit
from auditor.client.session import Session
from auditor.core.embedded_places import state_dir
from workers.demo.cache import demo_dir
from workers.demo.services import ServiceFailed, database, service, tail
from workers.demo.subjects import SUBJECTS, Subject

POLICY = "release-gate"
MEASURED = ("succeeded", "skipped")


class Failed(Exception):
    """A step did not work; the message says which."""


def main() -> int:
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # both ways of stopping it run the same clean-up
    started = time.monotonic()
    demo_dir().mkdir(mode=0o700, parents=True, exist_ok=True)
    log = demo_dir() / "services.log"
    try:
        setup.main()
        for subject in SUBJECTS:
            _train(subject)
        _say("Starting the database, the web service and the workers")
        with database():
            _audit_all(log)
    except (Failed, ServiceFailed, ClientError) as error:
        print(f"\nThe demonstration stopped: {error}", file=sys.stderr)
        return Exit.INCOMPLETE
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    print(f"\nDone in {time.monotonic() - started:.0f} s.")
    return 0


def _train(subject: Subject) -> None:
    """In a process of its own, so that torch is gone from memory when the audits begin."""
    _say(f"The {subject.model} model: fetched data, trained once, kept in {demo_dir() / 'cache'}")
    patient = {
        **os.environ,
        "OMP_WAIT_POLICY": "passive",
    }  # threads that wait by spinning slow a busy machine down
    if subprocess.run([sys.executable, "-m", subject.trainer], check=False, env=patient).returncode:
        raise Failed(f"training the {subject.model} model failed, as said above.")


def _audit_all(log: Path) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "auditor.settings")
    django.setup()
    from auditor.ledger import keys
    from workers.demo import people

    cast = people.ensure(demo_dir() / "people.json")
    engineer = cast[0].username
    token_id, token = people.token_for(engineer)
    certificate = keys.load_certificates(state_dir() / "secrets" / keys.CERTIFICATE_NAME)[0]
    issuer = keys.fingerprint(keys.certificate_key(certificate))
    try:
        with service(log) as url:
            for subject in SUBJECTS:
                _audit(subject, url, token, issuer)
    except Failed as error:
        raise Failed(f"{error}\nThe services' log {log} ends with:\n{tail(log)}") from error
    finally:
        people.revoke(engineer, token_id)
    print("\nTo look at the report cards in a browser: make serve, then sign in as")
    for person in cast:
        print(f"  {person.role:<10} {person.username:<6} {person.password}")
    print(f"(kept in {demo_dir() / 'people.json'})")


def _audit(subject: Subject, url: str, token: str, issuer: str) -> None:
    _say(f"Auditing the {subject.model} model")
    session = Session(url=url)
    session.settings = Config(url, token)
    folder, table = subject.folder(), subject.table()
    model_version = _version(session, "model", subject.model, push.model_digest(push.model_files(folder)))
    data_version = _version(session, "dataset", subject.dataset, push.data_digest(push.data_file(table)))
    data = ("data", "push", subject.dataset, str(table), "--version", data_version, *subject.data_options)
    model = ("model", "push", subject.model, str(folder), "--version", model_version, *subject.model_options)
    _auditor(session, *data)
    _auditor(session, *model)

    bundle, pdf, junit, sarif = (
        demo_dir() / f"{subject.model}.{kind}" for kind in ("json", "pdf", "junit.xml", "sarif")
    )
    names = (
        f"{subject.model}@{model_version}",
        "--data",
        f"{subject.dataset}@{data_version}",
        "--policy",
        POLICY,
    )
    reports = (f"--json={bundle}", f"--junit={junit}", f"--sarif={sarif}")
    verdicts = (Exit.MEETS, Exit.DOES_NOT_MEET, Exit.INCOMPLETE)
    _auditor(session, "audit", "run", *names, "--wait", "--timeout=20m", *reports, accept=verdicts)
    card = json.loads(bundle.read_text(encoding="utf-8"))["card"]
    latest = {run["item"]: run for run in card["runs"]}
    if unfinished := [
        f"{r['item']} {r['status']}: {r['reason']}" for r in latest.values() if r["status"] not in MEASURED
    ]:
        raise Failed(f"not every evaluation could be run: {'; '.join(unfinished)}")

    _auditor(session, "report", "pdf", card["id"], "-o", str(pdf))
    for file in (pdf, bundle):
        _auditor(session, "verify", str(file), "--trust", issuer, "--strict")


def _version(session: Session, kind: push.Kind, name: str, digest: str) -> str:
    """The version that has this content already, else the next number."""
    known = push.versions(session.client, kind, name)
    return next((version for version, its in known.items() if its == digest), str(len(known) + 1))


def _auditor(session: Session, *arguments: str, accept: tuple[int, ...] = (Exit.MEETS,)) -> None:
    """Run a command of the command line, and print it as one would type it."""
    print(f"\n$ auditor {shlex.join(arguments)}", flush=True)
    code = cli.run(arguments, session)
    if code not in accept:
        raise Failed(f"`auditor {' '.join(arguments[:2])}` ended with {int(code)}.")


def _say(text: str) -> None:
    print(f"\n== {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
