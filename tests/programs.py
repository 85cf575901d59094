"""The programs beside Python that some tests look through: Chromium and poppler's pdfsig.

`make test` calls this. On a CI machine (CI=true, root, Debian's apt-get) what is missing is installed; anywhere
else it is named, and the tests that need it are skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

PACKAGES = {"chromium": "chromium", "pdfsig": "poppler-utils"}


def main() -> int:
    missing = [package for program, package in PACKAGES.items() if shutil.which(program) is None]
    if not missing:
        return 0
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    if os.environ.get("CI") != "true" or os.geteuid() != 0 or shutil.which("apt-get") is None:
        print(f"Some tests will be skipped. To run them: {' '.join(install)}")
        return 0
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}  # and starts no service
    for command in (["apt-get", "update"], install):
        done = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
