"""Tells pickles by their opcodes, also those that begin with no magic bytes. Nothing is ever unpickled."""

from __future__ import annotations

import pickletools
import re
from io import BytesIO

_CALLS = {"REDUCE", "BUILD", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX"}
_IMPORTS = {"GLOBAL", "STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"}
# What a payload imports, as a line of protocol 0: readers take numbers and texts that pickletools cannot parse, so
# that an odd one before it would hide the rest.
_PAYLOAD = re.compile(
    rb"[ci](?:(?:os|posix|nt)\n(?:system|popen|exec[lv]p?e?|spawn[lv]p?e?|posix_spawn)|subprocess\n(?:Popen|run|call"
    rb"|check_call|check_output|getoutput)|(?:builtins|__builtin__)\n(?:eval|exec|compile|getattr|__import__|open)"
    rb"|runpy\n_?run_\w+|importlib\nimport_module|pty\nspawn|shutil\nrmtree|marshal\nloads|webbrowser\nopen)\n"
)
MAX_OPCODES = 50_000  # a text that parses as so many opcodes is none


def is_pickle(data: bytes) -> bool:
    """Whether a reader of pickles would do something with `data`: call something, or build it from end to end.

    Pickles of protocols 0 and 1 are plain ASCII, so that they pass for any text.
    """
    if _PAYLOAD.search(data):
        return True
    seen: set[str] = set()
    stack: list[bool] = []  # whether each item is a mark
    try:
        for count, (opcode, _, at) in enumerate(pickletools.genops(BytesIO(data))):
            if not _step(stack, opcode):
                return False
            seen.add(opcode.name)
            if seen & _IMPORTS and seen & _CALLS:
                return True  # it has run by now, whatever follows
            if opcode.name == "STOP":
                rest = len(data) - (at or 0) - 1
                return count > 2 and rest < 64 and not data[len(data) - rest :].strip()
            if count >= MAX_OPCODES:
                return True
    except Exception:  # noqa: BLE001  # of many kinds; a reader stops here too, and nothing was called before
        return False
    return False


def _step(stack: list[bool], opcode: pickletools.OpcodeInfo) -> bool:
    """Do to the stack what the opcode does; False where its operands are not there."""
    takes = list(opcode.stack_before)
    if pickletools.markobject in takes or (opcode.name == "POP" and stack and stack[-1]):
        if True not in stack:
            return False
        takes = takes[: takes.index(pickletools.markobject)] if pickletools.markobject in takes else []
        while not stack.pop():
            pass
    if len(takes) > len(stack) or any(stack[len(stack) - len(takes) :]):
        return False
    del stack[len(stack) - len(takes) :]
    stack += [kind is pickletools.markobject for kind in opcode.stack_after]
    return True
