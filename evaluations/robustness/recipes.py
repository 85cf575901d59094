"""The TextAttack recipes that we run, by name. Needs `textattack_setup.prepare` before it is imported."""

from __future__ import annotations

from typing import Any

from textattack.attack_recipes import DeepWordBugGao2018

from evaluations.robustness.attacking import Build


def deepwordbug(wrapper: Any) -> Any:
    """DeepWordBug as published: four character edits, greedy by importance, edit distance ≤ 30."""
    return DeepWordBugGao2018.build(wrapper)


RECIPES: dict[str, Build] = {"deepwordbug": deepwordbug}
