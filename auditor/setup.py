"""Prepares an installed checkout: state folder, keys, lexical resources, translations, static files.

    python -m auditor.setup

Every step looks first whether its work is done, so that a second call costs a fraction of a second.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path

from auditor.core.embedded_places import REPOSITORY, state_dir

LOCALE = REPOSITORY / "auditor" / "locale"
STATIC_SOURCES = REPOSITORY / "auditor" / "web" / "static"


def folders(state: Path) -> bool:
    """The state folder, which the database server's account may enter, and a private one for secrets."""
    private = state / "secrets"
    if private.is_dir() and private.stat().st_mode & 0o777 == 0o700:
        return False
    state.mkdir(mode=0o755, parents=True, exist_ok=True)
    private.mkdir(mode=0o700, exist_ok=True)
    private.chmod(0o700)
    return True


def secret_key(state: Path) -> bool:
    path = state / "secrets" / "secret_key"
    if path.exists():
        return False
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(48))
    return True


def credential_key(state: Path) -> bool:
    """The key that seals the secrets of endpoints."""
    path = state / "secrets" / "credential_key"
    if path.exists():
        return False
    from cryptography.fernet import Fernet

    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(Fernet.generate_key() + b"\n")
    return True


def signing_key(state: Path) -> bool:
    folder = state / "secrets"
    if (folder / "signing_key.pem").exists() and (folder / "signing_certificate.pem").exists():
        return False
    from auditor.ledger.keys import ensure_signing_key

    ensure_signing_key(folder)
    return True


def lexical_resources(state: Path) -> bool:
    from evaluations.data import fetch

    folder = Path(os.environ.get("AUDITOR_RESOURCES") or state / "resources")
    fetched = False
    for name, place in fetch.LEXICAL.items():
        fetched |= not fetch.present(name, folder / place)
        fetch.fetch(name, folder / place)
    return fetched


def translations(state: Path) -> bool:
    """Compile each .po whose .mo is absent or older."""
    stale = [
        source
        for source in LOCALE.rglob("*.po")
        if not (made := source.with_suffix(".mo")).exists() or made.stat().st_mtime < source.stat().st_mtime
    ]
    if not stale:
        return False
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    for source in stale:
        with source.open("rb") as words:
            catalogue = read_po(words, locale=source.parent.parent.name)
        with source.with_suffix(".mo").open("wb") as out:
            write_mo(out, catalogue)
    return True


def static_files(state: Path) -> bool:
    """Collect them where the lock (Bootstrap, htmx) or one of ours has changed."""
    digest = hashlib.sha256((REPOSITORY / "requirements.lock").read_bytes())
    for path in sorted(path for path in STATIC_SOURCES.rglob("*") if path.is_file()):
        digest.update(str(path.relative_to(STATIC_SOURCES)).encode() + b"\0" + path.read_bytes())
    stamp = state / "static" / ".collected"
    if stamp.exists() and stamp.read_text() == digest.hexdigest():
        return False
    from django.core.management import call_command

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "auditor.settings")
    import django

    django.setup()
    call_command("collectstatic", interactive=False, clear=True, verbosity=0)
    stamp.write_text(digest.hexdigest())
    return True


STEPS: tuple[tuple[str, Callable[[Path], bool]], ...] = (
    ("state folder", folders),
    ("secret key", secret_key),
    ("credential key", credential_key),
    ("signing key", signing_key),
    ("lexical resources", lexical_resources),
    ("translations", translations),
    ("static files", static_files),
)


def main() -> int:
    state = state_dir()
    for what, step in STEPS:
        started = time.monotonic()
        if step(state):
            print(f"  {what}: {time.monotonic() - started:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
