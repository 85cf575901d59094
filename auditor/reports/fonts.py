"""The fonts of the PDF, which code points they can draw, and how the others are written instead."""

from __future__ import annotations

import functools
import importlib.util
import os
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path

SANS = (
    "Source Sans Pro",
    "DejaVu Sans",
    "Noto Sans CJK SC",
    "Noto Sans SC",
)  # tried in this order, glyph by glyph
MONO = ("DejaVu Sans Mono", *SANS)
_SOURCE_SANS = tuple(f"SourceSansPro-{style}.ttf" for style in ("Regular", "It", "Semibold", "Bold"))
_DEJAVU = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSansMono.ttf", "DejaVuSansMono-Bold.ttf")
_SYSTEM = ("/usr/share/fonts", "/usr/local/share/fonts", "/Library/Fonts", "/System/Library/Fonts")
_CHINESE = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJK-Bold.ttc",
    "NotoSansSC-Regular.otf",
    "NotoSansSC-Bold.otf",
)
LONGEST_WORD = 36  # a longer run of characters without a space may be broken


def files() -> Iterator[Path]:
    """Latin, Greek, Cyrillic, Hebrew, Arabic and symbols from the locked packages; Chinese where it is installed."""
    for package, folder, names in (
        ("font_source_sans_pro", "files", _SOURCE_SANS),
        ("matplotlib", "mpl-data/fonts/ttf", _DEJAVU),  # only its data files: the package is not imported
    ):
        spec = importlib.util.find_spec(package)
        for place in spec.submodule_search_locations or [] if spec else []:
            yield from (p for name in names if (p := Path(place, folder, name)).is_file())
    found: dict[str, Path] = {}
    for root in _SYSTEM:
        for folder, _, present in os.walk(root):
            for name in sorted(set(present) & set(_CHINESE)):
                found.setdefault(name, Path(folder, name))
    yield from (found[name] for name in _CHINESE if name in found)


@functools.cache
def _gathered() -> tempfile.TemporaryDirectory[str]:
    """Typst reads folders, and a folder of links keeps every other font of those packages out of the document."""
    folder = tempfile.TemporaryDirectory(prefix="auditor-fonts-")
    for path in files():
        Path(folder.name, path.name).symlink_to(path)
    return folder


def folder() -> str:
    return _gathered().name


@functools.cache
def _drawable() -> frozenset[int]:
    """Code points that some font of SANS has a glyph for."""
    from fontTools.ttLib import TTCollection, TTFont  # type: ignore[import-untyped]  # it has no types

    found: set[int] = set()
    for path in Path(folder()).iterdir():
        if path.suffix == ".ttc":
            with TTCollection(str(path), lazy=True) as collection:
                faces = [f for f in collection.fonts if f["name"].getBestFamilyName() in SANS]
                for face in faces:
                    found |= face.getBestCmap().keys()
        elif "Mono" not in path.name:
            with TTFont(str(path), lazy=True) as face:
                found |= face.getBestCmap().keys()
    # controls, formatting (direction overrides too), private use and surrogates are never drawn, whatever a font says
    return frozenset(c for c in found if unicodedata.category(chr(c)) not in ("Cc", "Cf", "Cn", "Co", "Cs"))


def drawable(text: str) -> str:
    """The text as the PDF can show it: what no font can draw, or what would be invisible, as `[U+1F600]`.

    Nothing becomes an empty box in silence; the attached JSON holds the text as it was written.
    Very long words get invisible places to break.
    """
    known = _drawable()
    shown = "".join(
        character
        if ord(character) in known
        else " "
        if character in "\n\t\r"
        else f"[U+{ord(character):04X}]"
        for character in unicodedata.normalize("NFC", text)
    )
    return " ".join(_breakable(word) for word in shown.split(" "))


def _breakable(word: str) -> str:
    if len(word) <= LONGEST_WORD or all(c in "0123456789abcdef:sh" for c in word):  # digests stay copyable
        return word
    return "\u200b".join(word[i : i + 12] for i in range(0, len(word), 12))
