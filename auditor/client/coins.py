"""Tosses a fair coin for each row of a table: which canaries are trained on, and a commitment to how the coins fell.

The coins come from the operating system's randomness. There is no seed: whoever chose one could try seeds until the
coins fell as wished, and whoever knows it knows the coins.
"""

from __future__ import annotations

import hashlib
import json
import math
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from auditor.client import push
from auditor.client.exits import ClientError, Exit

COMMITMENT = "coins.json"
LEAST = 30  # of fewer canaries, guessing a fifth of them proves nothing even if all guesses are right
MAX_ID = 200  # characters, as a data set may have
GUESSED = 0.2  # share of the canaries that privacy.dp_audit guesses unless told otherwise
BETA = 0.05  # its chance of refuting wrongly


class CoinsChanged(ClientError):
    """The file is another than the one that was committed to."""

    exit_code = Exit.NOT_VERIFIED


@dataclass
class Coins:
    """One coin per row, tossed as the rows are read. No row may occur twice, or its coin would decide nothing."""

    rows: int = 0
    included: int = 0
    _seen: dict[bytes, int] = field(default_factory=dict)
    _ids: dict[str, int] = field(default_factory=dict)

    def toss(self, content: Any, identity: Any = None) -> int:
        """1 if the row of this content (JSON-like, without its id) goes into the training data, 0 if not."""
        self.rows += 1
        digest = hashlib.sha256(repr(content).encode("utf-8", "surrogatepass")).digest()[:16]
        first = self._seen.setdefault(digest, self.rows)
        if first != self.rows:
            raise ClientError(
                f"Rows {first} and {self.rows} are the same. A canary that is left out must not be in the training "
                "data by another row: list each once."
            )
        if identity is not None:
            self._check_id(str(identity))
        coin = secrets.randbits(1)
        self.included += coin
        return coin

    def _check_id(self, identity: str) -> None:
        if not identity or len(identity) > MAX_ID:
            raise ClientError(
                f"Row {self.rows} has no id, or one longer than {MAX_ID} characters. Correct it."
            )
        first = self._ids.setdefault(identity, self.rows)
        if first != self.rows:
            raise ClientError(
                f"Rows {first} and {self.rows} have the same id, {identity[:60]!r}. Make ids unique."
            )

    def check_count(self, name: str) -> None:
        if self.rows < LEAST:
            raise ClientError(
                f"{name} has {self.rows} rows. Fewer than {LEAST} canaries prove nothing, even if every guess about "
                "them is right; a thousand is a good number."
            )


def new_id() -> str:
    """A random id. It also hides the coins: nobody finds them by trying what gives the commitment."""
    return f"canary-{secrets.token_hex(8)}"


def most_epsilon(canaries: int) -> float:
    """The largest ε that so many canaries can refute at δ = 0 if all guesses are right: ln q − ln(1 − q), q^r = β."""
    guesses = 2 * int(GUESSED * canaries / 2 + 1e-9)
    q = BETA ** (1 / guesses)
    return max(0.0, math.log(q) - math.log(1 - q))


def commit(canaries: Path, coins: Coins, column: str) -> str:
    """Write coins.json beside the table of all canaries, and return the commitment: the table's digest.

    It is the digest that the data set has once it is registered, and that a report card states.
    """
    digest = push.data_digest(push.data_file(canaries))
    stated = {
        "commitment": digest,
        "file": canaries.name,
        "rows": coins.rows,
        "column": column,
        "randomness": "the operating system's, one bit per row; no seed",
    }
    (canaries.parent / COMMITMENT).write_text(json.dumps(stated, indent=2) + "\n", encoding="utf-8")
    return digest


def verify(canaries: Path, stated: str) -> str:
    """The commitment, where the file is the one committed to. `stated` is sha256:… or a coins.json."""
    committed, found = _committed(stated), push.data_digest(push.data_file(canaries))
    if committed != found:
        raise CoinsChanged(
            f"{canaries} is not the file that was committed to: that was {committed}, this is {found}. A coin, a row "
            "or the way it is written has changed since. Take the file as `auditor data coins` wrote it."
        )
    return found


def _committed(stated: str) -> str:
    text: Any = stated
    if not stated.startswith("sha256:"):
        try:
            text = json.loads(Path(stated).read_text(encoding="utf-8"))["commitment"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ClientError(
                f"{stated} states no commitment ({type(error).__name__}). Give the {COMMITMENT} that was published "
                "before the training, or its sha256:…"
            ) from error
    if not isinstance(text, str) or not _is_digest(text):
        raise ClientError(
            f"{str(text)[:100]!r} is no commitment: it reads sha256: and 64 hexadecimal digits."
        )
    return text


def _is_digest(text: str) -> bool:
    digits = text.removeprefix("sha256:")
    return text != digits and len(digits) == 64 and set(digits) <= set("0123456789abcdef")
