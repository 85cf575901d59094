"""Bounds what the functions of an ONNX model unfold to: a runtime puts their nodes in place of each call."""

from __future__ import annotations

from collections import Counter

from evaluations.intake.formats.fault import Fault

MAX_NODES = 1_000_000


class Calls:
    """Which operators the graph and each function of a model use, by name, as a walk meets them."""

    def __init__(self) -> None:
        self._graph: Counter[bytes] = Counter()
        self._functions: dict[bytes, Counter[bytes]] = {}
        self._open: Counter[bytes] | None = None
        self._name = b""

    def begin(self) -> None:
        self._open, self._name = Counter(), b""

    def name(self, name: bytes) -> None:
        self._name = name

    def end(self) -> None:
        if self._open is not None:
            # two of one name differ by domain; their sum is never too small
            self._functions[self._name] = self._functions.get(self._name, Counter()) + self._open
        self._open = None

    def add(self, operator: bytes) -> None:
        (self._graph if self._open is None else self._open)[operator] += 1

    def refuse_expansion(self) -> None:
        """Raise Fault `onnx_functions` where functions call themselves, or unfold to more nodes than any model has."""
        sizes: dict[bytes, int] = {}
        waiting = dict(self._functions)
        while waiting:  # those whose functions are all known, until none is left
            ready = [name for name, used in waiting.items() if not used.keys() & waiting.keys()]
            if not ready:
                raise _fault("call one another in a circle")
            for name in ready:
                sizes[name] = self._nodes(waiting.pop(name), sizes)
        if self._functions:
            self._nodes(self._graph, sizes)

    @staticmethod
    def _nodes(used: Counter[bytes], sizes: dict[bytes, int]) -> int:
        total = sum(count * sizes.get(name, 1) for name, count in used.items())
        if total > MAX_NODES:
            raise _fault(f"unfold to more than {MAX_NODES:,} nodes")
        return total


def _fault(what: str) -> Fault:
    return Fault("onnx_functions", f"The functions of the model {what}. Inline them before the export.")
