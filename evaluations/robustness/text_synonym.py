"""robustness.text_synonym: whether synonyms change a text classifier's answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from evaluations.robustness.attack_limits import LIKE_SENTENCE, LIKE_WORD
from evaluations.robustness.attack_specs import (
    REEVALUATED,
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

SynonymRecipe = Literal["pwws", "textfooler_variant"]
COSINE = "cosine of MiniLM's (all-MiniLM-L6-v2) sentence vectors of the text before and after"


class TextSynonymParams(AttackParams):
    recipes: Annotated[tuple[SynonymRecipe, ...], AfterValidator(once)] = Field(
        default=("pwws", "textfooler_variant"),
        min_length=1,
        title="Recipes",
        description="pwws (Ren et al. 2019) replaces words by WordNet synonyms; textfooler_variant (after Jin et al. "
        "2020) by near words of MiniLM that WordNet does not oppose. The variant has substitutes for what TextFooler "
        "uses, so its numbers do not compare with published ones.",
    )


class TextSynonym:
    """TextAttack's word recipes on a seeded sample. Every success is scored again before it counts."""

    name: ClassVar[str] = "robustness.text_synonym"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Robustness to synonyms"
    question: ClassVar[str] = "Can words of like meaning make the model change its answer?"
    Params: ClassVar[type[Params]] = TextSynonymParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.TEXT_CLASSIFIER,), access=Access.LABEL.value, languages=("en",)
    )
    tags: ClassVar[tuple[str, ...]] = ("robustness", "adversarial")
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        *rate_specs(
            "some words replaced by others of like meaning",
            "each new word shares a WordNet sense with the old one or is one step from it, is no antonym, and can have "
            "the same part of speech and inflection (LemmInflect); "
            f"MiniLM word vectors' cosine ≥ {LIKE_WORD:g}, sentence "
            f"vectors' cosine ≥ {LIKE_SENTENCE:g}; grammar is not checked",
        ),
        MetricSpec(
            name="similarity",
            title="Similarity of successes",
            unit="score",
            direction=Direction.CONTEXT,
            formula=f"mean over broken examples of the largest {COSINE}, over recipes under their own constraints; "
            f"below 0 counts as 0; {SCORES}",
            reference=REEVALUATED,
            plain="The changed texts are {value} similar to the original ones, where 1 is the same meaning.",
        ),
        *recipe_specs(),
        MetricSpec(
            name="recipe_similarity",
            title="Similarity of one recipe's successes",
            unit="score",
            direction=Direction.CONTEXT,
            formula=f"mean over this recipe's successes of the {COSINE}; below 0 counts as 0; {SCORES}",
            reference=REEVALUATED,
            plain="The texts that this attack changed are {value} similar to the original ones.",
            sliced=True,
        ),
    )

    def plan(self, data_rows: int, params: TextSynonymParams) -> Plan:
        return attack_plan(data_rows, params, params.recipes)

    def run_shard(
        self, model: Classifier, data: Dataset, params: TextSynonymParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations.robustness import textattack_setup

        demand_language(data)
        textattack_setup.prepare(ctx.resources)  # before anything that imports TextAttack
        from evaluations.robustness import attack_run

        return attack_run.attack_shard(model, data, params, params.recipes, ctx, shard)

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: TextSynonymParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations.robustness import attack_result

        return attack_result.of(self, states, data, params, params.recipes, ctx)


EVALUATION = TextSynonym()
