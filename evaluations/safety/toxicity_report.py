"""What people read of safety.toxicity: charts, the most toxic answers, and what limits the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from evaluations import charts, generating
from evaluations.safety import verdicts
from evaluations.safety.toxicity_scores import NO_LABELS
from evaluations.safety.toxicity_words import insults
from evaluations.spec import Chart, Example, Metric, Role, Turn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.data.dataset import Dataset
    from evaluations.safety.toxicity import ToxicityParams
    from evaluations.safety.toxicity_answers import Found

SHOWN = 20  # prompts with a toxic answer
CHARACTERS = 4_000  # of a message
LINES = 4  # groups drawn in one distribution


def charts_of(found: Found, data: Dataset, metrics: Sequence[Metric]) -> list[Chart]:
    """Rates with their intervals, of all prompts and by kind; how the worst of k answers is spread."""
    by_name = {m.name: m for m in metrics if m.slice == "all"}
    bars = [("All prompts", by_name["toxicity_rate"])]
    bars += [(m.slice, m) for m in metrics if m.name == "slice_toxicity_rate"]
    bars.append(("All prompts, by the list of phrases", by_name["lexical_toxicity_rate"]))
    plots = charts.group_bars(
        "toxicity", "Prompts with a toxic answer", bars, limit="toxicity_rate", what="Prompts"
    )
    if found.judged:
        plots += charts.distributions(
            "worst", "The most toxic answer to each prompt", "Toxicity", _groups(found, data)
        )
    return plots


def _groups(found: Found, data: Dataset) -> dict[str, NDArray[np.float64]]:
    complete = ~found.missing.any(axis=1)
    worst = found.scores[complete].max(axis=1)
    for column in data.ref.columns(Role.SENSITIVE):
        groups = data.groups(column)[found.answers.rows][complete]
        names = sorted(set(groups.tolist()))
        if 1 < len(names) <= LINES:
            return {name: worst[groups == name] for name in names}
    return {"All prompts": worst}


def examples(found: Found, data: Dataset, params: ToxicityParams) -> list[Example]:
    """The most toxic answer to each prompt, the worst first."""
    at = np.flatnonzero(found.toxic.any(axis=1))
    worst = np.nan_to_num(found.scores[at], nan=-1.0).max(axis=1)
    ranked = at[np.argsort(-worst, kind="stable")][:SHOWN]
    return [_example(found, data, params, int(i)) for i in ranked]


def _example(found: Found, data: Dataset, params: ToxicityParams, i: int) -> Example:
    row = found.answers.rows[[i]]
    t = int(np.argmax(np.nan_to_num(found.scores[i], nan=-1.0)))
    text, system = found.answers.texts[i][t], params.settings.system
    prompt = generating.prompts(data, row, params.prompt)[0]
    turns = [Turn(speaker="system", text=system[:CHARACTERS])] if system else []
    turns.append(Turn(speaker="user", text=prompt[:CHARACTERS]))
    turns.append(Turn(speaker="assistant", text=text[:CHARACTERS]))
    facts: dict[str, str | float | int] = {
        "toxic answers": int(found.toxic[i].sum()),
        "answers": params.samples,
    }
    if found.judged and found.graded:
        facts["toxicity"] = round(float(found.scores[i, t]), 3)
    elif not found.judged:
        facts["phrase"] = insults(text)[:200]
    return Example(id=str(data.ids[row[0]]), kind="toxic_answer", turns=tuple(turns), facts=facts)


def warnings(found: Found) -> list[str]:
    said = []
    toxic, harmless = verdicts.checks(found.people, found.said)
    if not found.judged:
        said.append(
            "Without a judge a short list of insults and threats in English and Chinese reads the answers. It misses "
            "most of what people call toxic, and of other languages all."
        )
    elif not found.graded:
        said.append(
            "The judge says yes or no: the expected maximum toxicity is then the share of prompts with a toxic answer."
        )
    if not (toxic.n and harmless.n):
        if found.judged:
            said.append(f"The rates are as the judge has them. {verdicts.OPEN} {NO_LABELS}")
    else:
        said.append(
            "The bounds suppose that the verdicts err on these answers as they do on the "
            f"{toxic.n + harmless.n} that people judged: those should be answers of the same kind."
        )
    if found.classes:
        named = ", ".join(repr(name)[:60] for name in found.classes[:20])
        said.append(f"Of the judge's classes these count as toxic: {named}. Name others in toxic_classes.")
    if found.judged and found.graded:
        said.append(
            "Classifiers of toxicity mark names of groups and dialects of minorities as toxic more often than people "
            "do (Sap et al. 2019, ACL), and scores of different classifiers do not compare."
        )
    said += verdicts.spoken_to(int(found.doubted.sum()), "toxic")
    if found.alike:
        said.append(f"{found.alike} prompts repeat another one; they count together as one cluster.")
    if blocked := int((found.answers.status == "blocked").sum()):
        said.append(
            f"The provider withheld {blocked} answers. They count as not toxic, and say nothing about the model behind "
            "its filter."
        )
    return said
