"""Counters of energy: what this machine offers, read in joules. Nothing is guessed here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

POWERCAP = Path("/sys/class/powercap")


class EnergyCounter(Protocol):
    """Counts the energy of the whole package or accelerator since some moment."""

    method: str

    def joules(self) -> float: ...


@dataclass
class Rapl:
    """Intel's and AMD's package counters, through Linux's powercap. They wrap around; reading often unwraps them."""

    domains: list[Path]
    method: str = "rapl"

    def __post_init__(self) -> None:
        self._last = [self._read(domain, "energy_uj") for domain in self.domains]
        self._range = [self._read(domain, "max_energy_range_uj") for domain in self.domains]
        self._total = 0

    def joules(self) -> float:
        for i, domain in enumerate(self.domains):
            now = self._read(domain, "energy_uj")
            self._total += (now - self._last[i]) % (self._range[i] + 1)
            self._last[i] = now
        return self._total / 1e6

    @staticmethod
    def _read(domain: Path, name: str) -> int:
        return int((domain / name).read_text())


@dataclass
class NvmlCounter:
    """NVIDIA's energy counter of one accelerator, in millijoules since the driver was loaded (Volta and later)."""

    nvml: Any
    handle: Any
    method: str = "nvml_counter"

    def joules(self) -> float:
        return float(self.nvml.nvmlDeviceGetTotalEnergyConsumption(self.handle)) / 1e3


def counters(device: str, powercap: Path = POWERCAP) -> list[EnergyCounter]:
    """The counters that can be read here: the packages', and the accelerator's where the model is on one."""
    found: list[EnergyCounter] = []
    domains = [d for d in sorted(powercap.glob("intel-rapl:*")) if d.name.count(":") == 1]
    try:
        if domains:
            found.append(Rapl(domains))
    except (OSError, ValueError):  # only root may read them, or the sandbox does not let them be seen
        pass
    if device.startswith("cuda"):
        try:
            import pynvml

            pynvml.nvmlInit()
            handle = pynvml.nvmlDeviceGetHandleByIndex(int(device.partition(":")[2] or 0))
            counter = NvmlCounter(pynvml, handle)
            counter.joules()  # older accelerators have none
            found.append(counter)
        except (ImportError, OSError, ValueError, pynvml.NVMLError):
            pass
    return found
