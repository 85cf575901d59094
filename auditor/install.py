"""Makes the virtual environment and installs the locked packages. Standard library only: nothing is there yet.

python3.11 -m auditor.install
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
ENVIRONMENT = REPOSITORY / ".venv"
LOCK = REPOSITORY / "requirements.lock"
TORCH = "torch==2.13.0"
TEXTATTACK = "textattack==0.3.11"

# In this order: torch brings the build (CPU or CUDA) that the index offers; the lock holds all other
# packages with their hashes; textattack demands packages it does not need, so it comes without any.
STEPS = (
    ("PyTorch", [TORCH]),
    ("the locked packages", ["--no-deps", "--require-hashes", "--requirement", str(LOCK)]),
    ("TextAttack", ["--no-deps", TEXTATTACK]),
    ("this project", ["--no-deps", "--no-build-isolation", "--editable", str(REPOSITORY)]),
)


def install() -> bool:
    """Bring .venv to what the lock says. False where it was so already."""
    python = ENVIRONMENT / "bin" / "python"
    stamp = ENVIRONMENT / "installed"
    wanted = _fingerprint()
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return False
    if not python.exists():
        _step("a virtual environment", [sys.executable, "-m", "venv", str(ENVIRONMENT)], _venv_help())
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    for what, arguments in STEPS:
        command = [*pip, *arguments]
        _step(
            what, command, "Check the network and the package index (`pip config list`), then run it again."
        )
    _compile(python)
    stamp.write_text(wanted)
    return True


def _compile(python: Path) -> None:
    """Byte code for every package, on all cores: pip would use one, and the sandbox's account cannot write any."""
    print("  compiling …", end="", flush=True)
    started = time.monotonic()
    packages = sorted(str(path) for path in ENVIRONMENT.glob("lib/python*/site-packages"))
    # packages' own tests are never imported; templates that are no Python make the exit code useless
    command = [str(python), "-m", "compileall", "-q", "-j", "0", "-x", "/tests/", *packages]
    subprocess.run(command, capture_output=True, check=False)
    print(f" {time.monotonic() - started:.0f} s", flush=True)


def _fingerprint() -> str:
    """Changes when the lock, the pins here or the interpreter do."""
    digest = hashlib.sha256(LOCK.read_bytes())
    digest.update(repr((TORCH, TEXTATTACK, sys.version_info[:2])).encode())
    return digest.hexdigest()


def _venv_help() -> str:
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    return f"On Debian and Ubuntu the module is a package of its own: apt-get install {name}"


def _step(what: str, command: list[str], help_text: str) -> None:
    print(f"  installing {what} …", end="", flush=True)
    started = time.monotonic()
    # pip warns about every unreachable mirror; its words matter only where it fails
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PIP_NO_INPUT": "1"}
    )
    print(f" {time.monotonic() - started:.0f} s", flush=True)
    if done.returncode != 0:
        said = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("WARNING")]
        print("\n".join(said[-15:]), file=sys.stderr)
        raise SystemExit(f"Installing {what} failed. {help_text}")


if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036  # run by whatever interpreter the caller has
        raise SystemExit(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}.")
    install()
