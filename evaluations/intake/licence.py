"""The licence that the files of a model name: in README's front matter, in LICENSE or in config.json. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

# How Hugging Face and licence files call them -> SPDX (https://spdx.org/licenses/)
_SPDX = {
    name.casefold(): name
    for name in (
        *(
            "Apache-2.0",
            "MIT",
            "BSD-2-Clause",
            "BSD-3-Clause",
            "BSL-1.0",
            "ISC",
            "Unlicense",
            "Zlib",
            "WTFPL",
        ),
        *(
            "GPL-2.0",
            "GPL-3.0",
            "LGPL-2.1",
            "LGPL-3.0",
            "AGPL-3.0",
            "MPL-2.0",
            "EPL-2.0",
            "EUPL-1.2",
            "MS-PL",
        ),
        *(
            "CC0-1.0",
            "CC-BY-3.0",
            "CC-BY-4.0",
            "CC-BY-SA-3.0",
            "CC-BY-SA-4.0",
            "CC-BY-NC-2.0",
            "CC-BY-NC-3.0",
        ),
        *("CC-BY-NC-4.0", "CC-BY-ND-4.0", "CC-BY-NC-ND-4.0", "CC-BY-NC-SA-4.0", "Artistic-2.0", "PDDL-1.0"),
        *("ODC-By-1.0", "ODbL-1.0", "OFL-1.1", "ECL-2.0", "AFL-3.0", "NCSA", "PostgreSQL"),
    )
}
# Texts of licences, by what only they say.
_TEXTS: tuple[tuple[str, str], ...] = (
    ("apache license version 2.0", "Apache-2.0"),
    ("gnu affero general public license version 3", "AGPL-3.0"),
    ("gnu lesser general public license version 3", "LGPL-3.0"),
    ("gnu general public license version 3", "GPL-3.0"),
    ("gnu general public license version 2", "GPL-2.0"),
    ("mozilla public license version 2.0", "MPL-2.0"),
    ("permission is hereby granted, free of charge, to any person obtaining a copy", "MIT"),
    ("neither the name of", "BSD-3-Clause"),
    ("redistributions in binary form must reproduce", "BSD-2-Clause"),
    ("creative commons attribution-noncommercial 4.0", "CC-BY-NC-4.0"),
    ("creative commons attribution-sharealike 4.0", "CC-BY-SA-4.0"),
    ("creative commons attribution 4.0", "CC-BY-4.0"),
    ("cc0 1.0 universal", "CC0-1.0"),
)
_FRONT = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_FIELD = re.compile(r"(?m)^(license|license_name):[ \t]*([^\r\n#]{1,200})")
MAX_NAME = 80


@dataclass(frozen=True)
class Licence:
    """What the model is licensed under. `spdx` is "" where the name is none of SPDX's that we know."""

    name: str
    spdx: str
    path: str


def of_readme(text: str, path: str) -> Licence | None:
    """What the front matter of a model card says (`license: mit`)."""
    front = _FRONT.match(text[:65536])
    fields = dict(_FIELD.findall(front[1])) if front else {}
    name = fields.get("license", "")
    if name.strip().strip("'\"").casefold() in ("", "other"):
        name = fields.get("license_name", name)
    return named(name, path)


def of_text(text: str, path: str) -> Licence:
    """What a licence file is the text of; without a known text, its first words."""
    flat = " ".join(text[:20_000].split())
    lowered = re.sub(r"[^a-z0-9.,\- ]", "", flat.casefold())
    lowered = lowered.replace(", version", " version")
    for words, spdx in _TEXTS:
        if words in lowered:
            return Licence(spdx, spdx, path)
    return Licence(_clean(flat) or "an empty text", "", path)


def named(name: object, path: str) -> Licence | None:
    """The licence called `name` in a model card or configuration."""
    if not isinstance(name, str):
        return None
    name = _clean(name.strip().strip("'\""))
    return Licence(_SPDX.get(name.casefold(), name), _SPDX.get(name.casefold(), ""), path) if name else None


def _clean(text: str) -> str:
    return "".join(c for c in text if c.isprintable()).strip()[:MAX_NAME]
