"""What attacks on texts share before anything runs: parameters, which searches there are, the metrics' words. Light."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from evaluations.planning import shards
from evaluations.robustness.attack_limits import REDUCTION, SERVES_BOTH
from evaluations.spec import Direction, EvaluationError, MetricSpec, Plan, ScoredParams

if TYPE_CHECKING:
    from evaluations.data.dataset import Dataset

SHARD_EXAMPLES = (
    10  # an attack is some hundred queries, of long texts thousands: what is lost when a run is killed
)
QUERIES = {  # of both searches over a sentence of twenty words, for the forecast only
    "deepwordbug": 40,
    "pruthi": 410,
    "input_reduction": 35,
    "textbugger_variant": 55,
    "pwws": 160,
    "textfooler_variant": 65,
}
QUERIES_EXPLAINED = 50  # of a success: one text without each of its tokens, before and after
LETTERS_A_WORD = 12  # more letters than this a word make a text too long, whatever its spaces
FIT = f"sampled examples in Latin script of at most max_words words and {LETTERS_A_WORD} × max_words letters"
MORRIS = "Morris et al. 2020, arXiv 2005.05909"
WILSON = "Wilson interval, at the effective number of rows where they are clustered"
SCORES = "Wilson's interval at as many yes/no rows as have the scores' variance"
REEVALUATED = "Morris et al. 2020, arXiv 2004.14174"


class AttackParams(ScoredParams):
    examples: int = Field(
        default=100,
        ge=1,
        le=10_000,
        title="Examples",
        description="How many examples to attack, stratified by label.",
    )
    max_words: int = Field(
        default=400,
        ge=1,
        le=5_000,
        title="Longest text",
        description="Longer texts are left out, and counted as skipped: an attack asks at least once per word.",
    )
    explain: bool = Field(
        default=True,
        title="Explain successes",
        description="Show what the model goes by before and after, where its tokens are at hand.",
    )


class Search(NamedTuple):
    """One search for a text that changes the answer: a recipe under its own constraints or under adjusted ones."""

    recipe: str
    adjusted: bool

    @property
    def key(self) -> str:
        """Names its columns in the records."""
        return f"{self.recipe}_{'adjusted' if self.adjusted else 'own'}"

    @property
    def told(self) -> str:
        """For people, and as the recipe of an attack that is kept."""
        return f"{self.recipe}+adjusted" if self.adjusted else self.recipe


def searches(recipes: Sequence[str]) -> list[Search]:
    """What is run for these recipes, in order: own and adjusted, but for one that serves as both."""
    return [
        Search(recipe, adjusted)
        for recipe in recipes
        for adjusted in (False, True)
        if not (adjusted and (recipe == REDUCTION or recipe in SERVES_BOTH))
    ]


def attack_plan(data_rows: int, params: AttackParams, recipes: Sequence[str]) -> Plan:
    from evaluations.stats import smallest_detectable_effect

    n = min(params.examples, data_rows)
    each = sum(QUERIES[recipe] for recipe in recipes) + QUERIES_EXPLAINED * params.explain
    return Plan(
        shards=shards(n, SHARD_EXAMPLES),
        expected_queries=n * each,
        smallest_detectable_effect=smallest_detectable_effect(n),
    )


def once(recipes: tuple[str, ...]) -> tuple[str, ...]:
    """Refuses a recipe that is named twice."""
    if len(set(recipes)) != len(recipes):
        raise ValueError("each recipe may be named once")
    return recipes


def demand_language(data: Dataset, language: str = "en") -> None:
    """Raises where the data set says that its texts are in other languages. Of the model's the runner has asked."""
    spoken = {name.lower().replace("_", "-").split("-")[0] for name in data.ref.languages}
    if spoken and language not in spoken:
        raise EvaluationError(
            "not_for_language",
            f"The attacks know {language} alone; the data set's languages are {', '.join(data.ref.languages)}.",
            skipped=True,
        )


def rate_specs(what: str, tighter: str) -> tuple[MetricSpec, ...]:
    """Metrics of all chosen recipes together. `what` changes the text ("letters changed"); `tighter` says how."""
    return (
        MetricSpec(
            name="original_accuracy",
            title="Accuracy before the attack",
            unit="proportion",
            direction=Direction.HIGHER,
            formula=f"right answers / {FIT}; {WILSON}",
            reference=MORRIS,
            plain="Before any change the model was right for {value} of the sampled examples.",
        ),
        MetricSpec(
            name="accuracy_under_attack",
            title="Accuracy under attack",
            unit="proportion",
            direction=Direction.HIGHER,
            formula=f"examples right before and after every chosen recipe / {FIT}; {WILSON}",
            reference=MORRIS,
            plain=f"With {what} against it the model was still right for {{value}} of the sampled examples.",
        ),
        MetricSpec(
            name="attack_success_rate",
            title="Attack success rate",
            unit="proportion",
            direction=Direction.LOWER,
            formula="examples whose answer some chosen recipe changed, under its own constraints / examples that were "
            f"right before; {WILSON}",
            reference=MORRIS,
            plain=f"With {what} {{value}} of the right answers became wrong.",
        ),
        MetricSpec(
            name="attack_success_rate_adjusted",
            title="Attack success rate, adjusted constraints",
            unit="proportion",
            direction=Direction.LOWER,
            formula="as attack_success_rate, each recipe searching again under tighter constraints ¶: "
            f"{tighter}; {WILSON}",
            reference=REEVALUATED,
            plain="With changes that should leave the meaning alone {value} of the right answers became wrong.",
        ),
        MetricSpec(
            name="perturbed_words",
            title="Words changed per success",
            unit="proportion",
            direction=Direction.CONTEXT,
            formula="mean over broken examples of the smallest share of words, split at spaces, that a recipe changed "
            f"under its own constraints; {SCORES}",
            reference=MORRIS,
            plain="A successful attack changed {value} of the words on average.",
        ),
        MetricSpec(
            name="queries",
            title="Queries per attack",
            unit="count",
            direction=Direction.CONTEXT,
            formula="mean over attacked examples of the model queries of all chosen recipes under their own "
            "constraints; Student's t, over clusters where rows are clustered",
            reference=MORRIS,
            plain="An attack asked the model {value} times on average.",
        ),
    )


def recipe_specs() -> tuple[MetricSpec, ...]:
    """The same per recipe, as the slice recipe=NAME."""
    return (
        MetricSpec(
            name="recipe_accuracy_under_attack",
            title="Accuracy under one recipe",
            unit="proportion",
            direction=Direction.HIGHER,
            formula=f"examples right before and after this recipe / {FIT}; {WILSON}",
            reference=MORRIS,
            plain="Under this attack the model was still right for {value} of the sampled examples.",
            sliced=True,
        ),
        MetricSpec(
            name="recipe_success_rate",
            title="Success rate of one recipe",
            unit="proportion",
            direction=Direction.LOWER,
            formula=f"answers that this recipe changed / examples that were right before; {WILSON}",
            reference=MORRIS,
            plain="This attack turned {value} of the right answers into wrong ones.",
            sliced=True,
        ),
        MetricSpec(
            name="recipe_success_rate_adjusted",
            title="Success rate of one recipe, adjusted constraints",
            unit="proportion",
            direction=Direction.LOWER,
            formula=f"the same under the constraints of attack_success_rate_adjusted; {WILSON}",
            reference=REEVALUATED,
            plain="Held to changes that should leave the meaning alone, this attack turned {value} of the right "
            "answers into wrong ones.",
            sliced=True,
        ),
        MetricSpec(
            name="recipe_perturbed_words",
            title="Words that one recipe changed per success",
            unit="proportion",
            direction=Direction.CONTEXT,
            formula=f"mean over its successes of changed words / words, split at spaces; {SCORES}",
            reference=MORRIS,
            plain="A success of this attack changed {value} of the words on average.",
            sliced=True,
        ),
        MetricSpec(
            name="recipe_queries",
            title="Queries of one recipe",
            unit="count",
            direction=Direction.CONTEXT,
            formula="mean over attacked examples of model queries; Student's t, over clusters where rows are clustered",
            reference=MORRIS,
            plain="This attack asked the model {value} times on average.",
            sliced=True,
        ),
    )
