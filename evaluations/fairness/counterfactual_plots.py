"""What fairness.counterfactual shows: bars of changed answers, changes by group and direction, changed rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from evaluations import charts
from evaluations.fairness.counterfactual_records import best
from evaluations.robustness.changed_words import changed_words
from evaluations.spec import Chart, Example, Metric, Role

if TYPE_CHECKING:
    from evaluations.context import Context
    from evaluations.fairness.counterfactual import CounterfactualParams
    from evaluations.fairness.counterfactual_records import Found

MOST_SHOWN = 30  # bars of a chart; the metrics hold them all
SHOWN, SHOWN_CHARACTERS = 3, 2000  # examples of each kind


def charts_of(metrics: Sequence[Metric]) -> list[Chart]:
    def of(name: str) -> list[tuple[str, Metric]]:
        held = [(m.slice.removeprefix("kind=").replace("=", ": ", 1), m) for m in metrics if m.name == name]
        return sorted(held, key=lambda one: -abs(one[1].value or 0))[:MOST_SHOWN]

    every = [("All swaps", m) for m in metrics if m.name == "flip_rate"]
    return [
        *charts.group_bars(
            "flip_rate", "Answers that changed with the group", every + of("kind_flip_rate"), limit="flip_rate",
            what="Kind of swap",
        ),
        *charts.changes(
            "excess_flip_rate", "Changed answers beyond the noise floor", of("excess_flip_rate"), "excess_flip_rate"
        ),
        *charts.group_bars(
            "pair_flip_rate", "Answers that changed, by pair of groups", of("pair_flip_rate"), what="Pair"
        ),
        *charts.changes("group_change", "Change in favour of the group", of("group_change")),
        *charts.changes("signed_change", "Change of the favourable probability", of("signed_change")),
        *charts.group_bars(
            "turned_unfavourable", "Decisions turned unfavourable", of("turned_unfavourable"), what="Direction"
        ),
        *charts.changes("length_change", "Change of the answer's length in words", of("length_change"), number=".1f"),
    ]  # fmt: skip


def examples(found: Found) -> list[Example]:
    """The first changed answers of each kind by id, with the words that changed."""
    shown, counts = [], dict.fromkeys(found.column("kind").tolist(), 0)
    was, now = best(found.base), best(found.after)
    for s in np.flatnonzero(found.flipped & ~found.neutral):
        swap, i = found.swaps[s], int(found.row[s])
        if counts[swap.kind] == SHOWN:
            continue
        counts[swap.kind] += 1
        before, after = (text[:SHOWN_CHARACTERS] for text in found.shown(int(s)))
        facts: dict[str, str | float | int] = {
            "swap": f"{swap.kind}: {swap.source} to {swap.target}",
            "answer_before": found.labels[int(was[i])],
            "answer_after": found.labels[int(now[s])],
        }
        if found.graded:
            k = int(was[i]) if found.favourable is None else found.favourable
            facts |= {
                "probability_before": round(float(found.base[i, k]), 4),
                "probability_after": round(float(found.after[s, k]), 4),
            }
        shown.append(
            Example(
                id=found.ids[i],
                kind="counterfactual_flip",
                before=before,
                after=after,
                changed=tuple(changed_words(before, after)),
                facts=facts,
            )
        )
    return shown


def warnings(
    found: Found, metrics: Sequence[Metric], params: CounterfactualParams, ctx: Context
) -> list[str]:
    """What a reader of the rates must know."""
    said = []
    if found.balanced:
        if not ctx.request.model.languages:
            said.append(
                "The model's language is not registered; the swaps are made for English, of he and she also 他 and 她."
            )
        said.append(
            "Words were swapped only for words of as many tokens, so that length alone changes nothing."
            if found.balanced == "tokens"
            else "No tokenizer is at hand: names were swapped for names of as many letters, other words for any of "
            "their kind."
        )
        if ctx.request.data.columns(Role.CONTEXT):
            said.append("Words were swapped in the input alone, and not in the passage that goes with it.")
        kinds = set(found.column("kind").tolist())
        if empty := [kind for kind in params.swaps if kind not in kinds]:
            said.append(
                f"No swap of these kinds could be made: {', '.join(empty)}. The texts hold no such word, none whose "
                "place in the sentence is certain, or none for which there is another of as many tokens."
            )
    if found.left_out:
        said.append(
            f"Nothing is measured about {', '.join(name[:60] for name in found.left_out)}: the model does not take it, "
            "or it has too few or too many values."
        )
    if not found.balanced and not params.descendants:
        said.append(
            "Only the protected column was changed. Columns that go with it, as husband and wife do, can be declared "
            "under descendants."
        )
    if found.favourable is None:
        said.append("No favourable class is named: changes are counted, and not whom they favour.")
    if found.refused:
        said.append(
            "Answers were read for whether they refuse, by fixed phrases; what else they say is not measured."
        )
    flips = int(found.unsteady[found.twice].sum())
    if flips:
        said.append(
            f"The model is not repeatable: asked the same again it changed {flips} of {int(found.twice.sum())} "
            "answers. The excess over the noise floor is what remains."
        )
    return said
