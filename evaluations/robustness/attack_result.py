"""The result of attacks on texts: metrics, curves, examples to show, warnings, and the successes to keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from evaluations import charts
from evaluations.robustness import attacks_file
from evaluations.robustness.attack_explained import heat_of
from evaluations.robustness.attack_limits import REDUCTION
from evaluations.robustness.attack_metrics import Likeness, curves, measure, share_left_out
from evaluations.robustness.attack_outcomes import SHOWN, Outcomes, collect, shown_search
from evaluations.robustness.attack_specs import Search
from evaluations.robustness.changed_words import changed_words
from evaluations.spec import EvaluationResult, Example, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.robustness.attack_specs import AttackParams
    from evaluations.spec import Evaluation

REDUCED_SHOWN = 5


def of(
    evaluation: Evaluation,
    states: Sequence[ShardState],
    data: Dataset,
    params: AttackParams,
    recipes: Sequence[str],
    ctx: Context,
) -> EvaluationResult:
    """Judges the records of either evaluation, and writes every confirmed success beside the result."""
    outcomes = collect(states, data, params, recipes, ctx)
    measured = any(spec.name == "similarity" for spec in evaluation.metrics)
    metrics = measure(outcomes, _likeness(outcomes, ctx) if measured else None, params.max_error_rate)
    told = keep(outcomes, ctx)
    rates = {"recipe_success_rate": "own constraints", "recipe_success_rate_adjusted": "adjusted constraints"}
    bars = [(m.slice.partition("=")[2], rates[m.name], m) for m in metrics if m.name in rates]
    return ctx.result(
        evaluation,
        params,
        metrics=metrics,
        charts=[
            *charts.success_by_recipe(bars),
            *charts.success_curves(curves(outcomes, params.max_error_rate)),
        ],
        examples=[*examples(outcomes), *reduced(outcomes)],
        warnings=[*warnings(outcomes, params, ctx), *told],
        coverage=outcomes.coverage(),
    )


def _likeness(outcomes: Outcomes, ctx: Context) -> Likeness:
    """Of each success under a recipe's own constraints to the original text, by MiniLM."""
    from evaluations.robustness import sentence_vectors

    wins = [
        (i, recipe) for recipe in outcomes.recipes for i in np.flatnonzero(outcomes.search(recipe, False).won)
    ]
    if not wins:
        return {}
    pairs = [(outcomes.texts[i], str(outcomes.search(recipe, False).texts[i])) for i, recipe in wins]
    values = sentence_vectors.encoder(ctx.resources).similarities(pairs)
    return {(int(i), recipe): float(value) for (i, recipe), value in zip(wins, values, strict=True)}


def keep(outcomes: Outcomes, ctx: Context) -> list[str]:
    """Writes each text that misled the model once, though several searches may have found it. Returns warnings."""
    first: dict[tuple[int, str], Search] = {}
    for i, search in outcomes.successes():
        first.setdefault((i, str(outcomes.tried[search].texts[i])), search)
    return attacks_file.keep_texts(
        ctx,
        originals=[(outcomes.ids[i], outcomes.texts[i]) for i, _ in first],
        texts=[text for _, text in first],
        labels=[outcomes.labels[int(outcomes.truth[i])] for i, _ in first],
        recipes=[search.told for search in first.values()],
    )


def examples(outcomes: Outcomes) -> list[Example]:
    """The first broken examples by id, one success of each, with the words that changed."""
    shown = []
    for i in range(outcomes.n):
        search = shown_search([s for s, t in outcomes.tried.items() if s.recipe != REDUCTION and t.won[i]])
        if search is None:
            continue
        tried = outcomes.tried[search]
        new, was, now = str(tried.texts[i]), outcomes.probs[i], tried.probs[i]
        answers = outcomes.labels[int(was.argmax())], outcomes.labels[int(now.argmax())]
        shown.append(
            Example(
                id=outcomes.ids[i],
                kind="attack_success",
                before=outcomes.texts[i],
                after=new,
                changed=tuple(changed_words(outcomes.texts[i], new)),
                heat=heat_of(outcomes.records, i, answers),
                facts={
                    "recipe": search.recipe,
                    "constraints": "adjusted" if search.adjusted else "own",
                    "true_label": outcomes.labels[int(outcomes.truth[i])],
                    "answer_before": answers[0],
                    "answer_after": answers[1],
                    **_probabilities(outcomes, was, now),
                    "queries": int(tried.queries[i]),
                },
            )
        )
        if len(shown) == SHOWN:
            break
    return shown


def reduced(outcomes: Outcomes) -> list[Example]:
    """Texts of which the least is left with the answer kept."""
    reduction = outcomes.tried.get(Search(REDUCTION, False))
    if reduction is None:
        return []
    shares = {
        int(i): share_left_out(outcomes.texts[i], reduction, int(i)) for i in np.flatnonzero(reduction.won)
    }
    most = sorted(shares, key=lambda i: (-shares[i], outcomes.ids[i]))[:REDUCED_SHOWN]
    return [
        Example(
            id=outcomes.ids[i],
            kind="reduced_input",
            before=outcomes.texts[i],
            after=str(reduction.texts[i]),
            facts={
                "recipe": REDUCTION,
                "true_label": outcomes.labels[int(outcomes.truth[i])],
                **_probabilities(outcomes, outcomes.probs[i], reduction.probs[i]),
                "left_out": round(shares[i], 4),
            },
        )
        for i in most
    ]


def _probabilities(
    outcomes: Outcomes, before: NDArray[np.float64], after: NDArray[np.float64]
) -> dict[str, str | float | int]:
    """Of the answers; nothing where the model names classes alone."""
    if not outcomes.graded:
        return {}
    return {
        "probability_before": round(float(before.max()), 4),
        "probability_after": round(float(after.max()), 4),
    }


def _blind(outcomes: Outcomes) -> str:
    """Where answers are so sure that their probabilities hardly move, or ""."""
    sure = int(outcomes.sure.sum())
    if not sure:
        return ""
    return (
        f"{sure} of {int(outcomes.right.sum())} right answers state a probability of 1, to six decimals. There the "
        "attacks cannot tell which change brings them nearer: where they found nothing, that counts as no result. "
        "Outputs scaled up or rounded hide weakness, and do not mend it."
    )


def warnings(outcomes: Outcomes, params: AttackParams, ctx: Context) -> list[str]:
    found = []
    taken = outcomes.n + outcomes.left_out
    if taken < params.examples:
        found.append(f"The data set has only {taken} examples; {params.examples} were asked for.")
    if outcomes.too_long:
        found.append(
            f"{outcomes.too_long} texts are longer than {params.max_words} words and were left out: the rates are "
            "those of the shorter ones."
        )
    if outcomes.other_script:
        found.append(
            f"{outcomes.other_script} texts are written in another script than Latin and were left out: the attacks "
            "know English alone."
        )
    idle = outcomes.right.copy()
    for tried in outcomes.tried.values():
        idle &= tried.queries <= 1
    if idle.any():
        found.append(
            f"{int(idle.sum())} texts hold no word that an attack may change; they count as withstanding it."
        )
    if unconfirmed := sum(tried.unconfirmed for tried in outcomes.tried.values()):
        found.append(f"{unconfirmed} successes did not hold when scored again: counted as failures.")
    if not ctx.request.model.languages and not ctx.request.data.languages:
        found.append(
            "Neither the model's language nor the data's is registered; the attacks know English alone."
        )
    if not outcomes.graded:
        found.append(
            "The model names a class and states no probabilities, so the attacks cannot tell which change brings them "
            "nearer; one that sees probabilities may find more."
        )
    elif told := _blind(outcomes):
        found.append(told)
    if variants := [recipe for recipe in outcomes.recipes if recipe.endswith("_variant")]:
        found.append(
            f"{' and '.join(variants)}: with substitutes for the word vectors, sentence encoder and tagger of the "
            "published attack. The numbers do not compare with published ones."
        )
    return found
