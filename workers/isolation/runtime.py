"""What every sandboxed child may read, run and open, and the environment it starts with."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

from workers.isolation import landlock
from workers.isolation.landlock import Rule

REPOSITORY = Path(__file__).resolve().parents[2]

# Narrower than /usr: somebody's data may lie in /usr/local/src.
_SYSTEM = (
    "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib32", "/usr/lib64",
    "/usr/libexec", "/usr/local/bin", "/usr/local/lib", "/usr/local/lib64",
)  # fmt: skip
_DATA = (
    "/usr/share", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime", "/etc/timezone",
    "/etc/nsswitch.conf", "/etc/passwd", "/etc/group", "/etc/mime.types", "/etc/ssl/openssl.cnf", "/etc/os-release",
    "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/version", "/proc/filesystems",
    "/proc/sys/vm/overcommit_memory", "/proc/sys/kernel/osrelease", "/sys/devices/system/cpu",
    "/sys/devices/system/node", "/sys/bus/pci/devices",
)  # fmt: skip
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_GPU = (
    "/usr/local/cuda", "/usr/local/nvidia", "/proc/driver/nvidia", "/proc/devices", "/proc/modules",
    "/sys/module/nvidia", "/sys/module/nvidia_uvm", "/etc/OpenCL",
)  # fmt: skip


def interpreter_folders() -> list[Path]:
    """The folders of this interpreter and of the installed packages; never the whole prefix."""
    folders = {Path(sysconfig.get_paths()[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    for prefix in (sys.prefix, sys.base_prefix):
        folders |= {Path(prefix) / name for name in ("bin", "lib", "lib64")}
    return sorted(folder.resolve() for folder in folders if folder.is_dir())


def rules(read: list[Path], write: Path, executable: Path, packages: Path) -> list[Rule]:
    """What Landlock is to allow, for the paths that exist here."""
    gpu = sorted(Path("/dev").glob("nvidia*"))
    wanted = [(Path(path), landlock.RUN) for path in _SYSTEM]
    wanted += [(path, landlock.RUN) for path in (*interpreter_folders(), executable.resolve())]
    wanted += [(Path(path), landlock.READ) for path in (*_DATA, *(_GPU if gpu else ()))]
    wanted += [
        (path, landlock.READ) for path in Path("/sys/devices").glob("pci*")
    ]  # which accelerators there are
    wanted += [(Path(sys.prefix) / "pyvenv.cfg", landlock.READ), (packages, landlock.READ)]
    wanted += [(REPOSITORY / "evaluations", landlock.READ)]
    wanted += [(path, landlock.READ) for path in read]
    wanted += [(path, landlock.DEVICE) for path in (*map(Path, _DEVICES), *gpu)]
    wanted += [(write, landlock.WRITE)]
    return [Rule(str(path), rights) for path, rights in wanted if path.exists()]


def environment(home: Path, temporary: Path, packages: Path, threads: int) -> dict[str, str]:
    """All that the child inherits: nothing of the supervisor's own environment."""
    count = str(threads)
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "USER": "sandbox",  # its number has no name in /etc/passwd, and getpass.getuser() would fail
        "LOGNAME": "sandbox",
        "PYTHONPATH": str(packages),
        "PYTHONSAFEPATH": "1",  # the working folder is the child's own: nothing is imported from it
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONHASHSEED": "0",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "JOBLIB_MULTIPROCESSING": "0",  # it has no processes and no /dev/shm
        "LOKY_MAX_CPU_COUNT": count,
        "OMP_NUM_THREADS": count,
        # Threads that wait must sleep, not spin: on a busy machine spinning made small batches ten times slower.
        "OMP_WAIT_POLICY": "passive",
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
    }


def must_reach(read: list[Path], write: Path, executable: Path, packages: Path) -> list[tuple[str, bool]]:
    """Paths that the child's account has to read, and whether all that is in them too.

    Of what is installed only the tops are looked at: a package hidden from other accounts shows as a
    failed import.
    """
    tops = [executable.resolve(), packages, REPOSITORY / "evaluations" / "__init__.py", write.parent]
    for folder in interpreter_folders():
        tops += [folder, *folder.glob("*/__init__.py")]
    return [*((str(path), False) for path in tops if path.exists()), *((str(path), True) for path in read)]
