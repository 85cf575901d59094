"""robustness.text_char: whether misspelt words change a text classifier's answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from evaluations.robustness.attack_limits import (
    LIKE_SENTENCE,
    MISSPELT_LETTERS,
    MISSPELT_WORDS,
    SHORTEST_WORD,
)
from evaluations.robustness.attack_specs import (
    SCORES,
    AttackParams,
    attack_plan,
    demand_language,
    once,
    rate_specs,
    recipe_specs,
)
from evaluations.spec import (
    Access,
    Direction,
    EvaluationResult,
    MetricSpec,
    Modality,
    Params,
    Plan,
    Requirements,
    Shard,
    ShardState,
)

if TYPE_CHECKING:
    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import Classifier

CharRecipe = Literal["deepwordbug", "pruthi", "textbugger_variant", "input_reduction"]


class TextCharParams(AttackParams):
    recipes: Annotated[tuple[CharRecipe, ...], AfterValidator(once)] = Field(
        default=("deepwordbug",),
        min_length=1,
        title="Recipes",
        description="deepwordbug (Gao et al. 2018) changes letters; pruthi (Pruthi et al. 2019) tries every typing "
        "error in one word, some hundred queries a text; textbugger_variant (after Li et al. 2019) also swaps letters "
        "for look-alikes and words for near ones; input_reduction (Feng et al. 2018) leaves words out as long as the "
        "answer stays. The variant has substitutes for what TextBugger uses, so its numbers do not compare with "
        "published ones.",
    )


class TextChar:
    """TextAttack's character recipes on a seeded sample. Every success is scored again before it counts."""

    name: ClassVar[str] = "robustness.text_char"
    version: ClassVar[str] = "2"
    title: ClassVar[str] = "Robustness to misspelt words"
    question: ClassVar[str] = "Can a few changed letters make the model change its answer?"
    Params: ClassVar[type[Params]] = TextCharParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.TEXT_CLASSIFIER,), access=Access.LABEL.value, languages=("en",)
    )
    tags: ClassVar[tuple[str, ...]] = ("robustness", "adversarial")
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        *rate_specs(
            "a few letters changed",
            f"at most {MISSPELT_WORDS:.0%} of the words (rounded up), each of {SHORTEST_WORD} letters or more, its "
            f"first and last letters kept, at most {MISSPELT_LETTERS} edits; for textbugger_variant also a WordNet "
            f"synonym with the same inflection, and MiniLM sentence similarity ≥ {LIKE_SENTENCE:g}",
        ),
        *recipe_specs(),
        MetricSpec(
            name="removable_words",
            title="Words that can be left out",
            unit="proportion",
            direction=Direction.CONTEXT,
            formula="recipe input_reduction: mean over examples that were right before of words left out with the "
            f"answer kept / words, stop words staying; {SCORES}",
            reference="Feng et al. 2018, arXiv 1804.07781",
            plain="On average {value} of a text's words can be left out, the weightiest too, and the answer stays.",
        ),
    )

    def plan(self, data_rows: int, params: TextCharParams) -> Plan:
        return attack_plan(data_rows, params, params.recipes)

    def run_shard(
        self, model: Classifier, data: Dataset, params: TextCharParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations.robustness import textattack_setup

        demand_language(data)
        textattack_setup.prepare(ctx.resources)  # before anything that imports TextAttack
        from evaluations.robustness import attack_run

        return attack_run.attack_shard(model, data, params, params.recipes, ctx, shard)

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: TextCharParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations.robustness import attack_result

        return attack_result.of(self, states, data, params, params.recipes, ctx)


EVALUATION = TextChar()
