"""The numbers of robustness.known_attacks, and the attacks that still succeed."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

import numpy as np

from evaluations import stats
from evaluations.scoring import Scored, not_estimable, too_many_errors
from evaluations.spec import Example, Metric, Modality, Picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.data.dataset import Dataset

SHOWN = 20  # examples on the result
PNG = b"\x89PNG\r\n\x1a\n"
MOST_RECIPES = 50  # reported by themselves
MOST_BYTES = 256 * 1024  # of one picture
SHOWN_CHARACTERS = 2000  # of one text
# auditor/registry/attack_tables.py names the rows of a suite by the recipe and a digest of the row.
_KEPT = re.compile(r"([A-Za-z0-9_.+-]{1,60}):\S+")


def measure(scored: Scored, data: Dataset, max_error_rate: float) -> list[Metric]:
    """All attacks, and where the rows are named as a suite names them those of each recipe."""
    found = [_withstood("withstood", scored, max_error_rate)]
    if found[0].value is None:
        return found
    recipes = recipes_of(data.ids[scored.rows])
    names = sorted(set(recipes) - {""})
    for recipe in names if len(names) <= MOST_RECIPES else ():
        part = scored.only(recipes == recipe)
        found.append(_withstood("withstood_by_recipe", part, max_error_rate, f"recipe={recipe}"))
    return found


def warnings(scored: Scored, data: Dataset) -> list[str]:
    """Where the ids do not name a few recipes: ordinary rows may be among the attacks."""
    recipes = recipes_of(data.ids[scored.rows])
    found = []
    if strange := int((recipes == "").sum()):
        found.append(
            f"The ids of {strange:,} of {scored.n:,} rows do not name the recipe of an attack (as in recipe:17). "
            "If these are ordinary examples, the share withstood is plain accuracy."
        )
    if (named := len(set(recipes) - {""})) > MOST_RECIPES:
        found.append(
            f"The ids name {named:,} recipes, more than {MOST_RECIPES}, so that none is reported by itself. In a "
            "suite of attacks the part of an id before the colon is the recipe."
        )
    return found


def recipes_of(ids: NDArray[np.str_]) -> NDArray[np.str_]:
    """The recipe that each attack was made by; empty where its id does not say."""
    matches = [_KEPT.fullmatch(str(i)) for i in ids]
    return np.array([m.group(1) if m else "" for m in matches], dtype=np.str_)


def examples(scored: Scored, data: Dataset) -> list[Example]:
    """The first attacks by id that still succeed."""
    fell = np.flatnonzero(~scored.errors & (scored.predicted != scored.truth))[:SHOWN]
    recipes = recipes_of(data.ids[scored.rows])
    shown = []
    for i in fell:
        row, answer = int(scored.rows[i]), int(scored.predicted[i])
        facts: dict[str, str | float | int] = {
            "true_label": scored.labels[int(scored.truth[i])],
            "answer": scored.labels[answer],
        }
        if scored.graded:
            facts["probability"] = round(float(scored.probs[i, answer]), 4)
        if recipes[i]:
            facts["recipe"] = str(recipes[i])
        text, pictures = _fed(data, row)
        shown.append(
            Example(id=str(data.ids[row]), kind="known_attack", before=text, pictures=pictures, facts=facts)
        )
    return shown


def _withstood(name: str, scored: Scored, max_error_rate: float, where: str = "all") -> Metric:
    if reason := too_many_errors(scored, max_error_rate):
        return not_estimable(name, scored.n, reason, where)
    found = stats.proportion(scored.predicted == scored.truth, scored.clusters, ~scored.errors)
    return Metric(
        name=name,
        value=found.value,
        interval=found.interval,
        n=scored.n,
        n_effective=None if scored.clusters is None else found.n_effective,
        slice=where,
    )


def _fed(data: Dataset, row: int) -> tuple[str, tuple[Picture, ...]]:
    """What the model was fed, to be shown."""
    fed = data.inputs(np.array([row], dtype=np.int64), None)
    if data.modality is Modality.TEXT_CLASSIFIER:
        return fed[0][:SHOWN_CHARACTERS], ()
    if data.modality is Modality.IMAGE_CLASSIFIER:
        if not fed[0].startswith(PNG) or len(fed[0]) > MOST_BYTES:
            return "", ()
        png = base64.b64encode(fed[0]).decode()
        return "", (Picture(title="Attack", alt="The attacked image", png=png),)
    cells = (
        (name, f"{value:.6g}" if isinstance(value, float) else value) for name, value in fed.iloc[0].items()
    )
    return "; ".join(f"{name}: {str(value)[:80]}" for name, value in cells), ()
