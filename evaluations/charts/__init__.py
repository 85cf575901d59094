"""Vega-Lite specifications of every chart, each with alternative text and the rows of its table."""

from evaluations.charts.attacks import accuracy_by_attack
from evaluations.charts.attributions import mean_sizes, signed_values
from evaluations.charts.bars import group_bars
from evaluations.charts.by_cost import success_by_cost
from evaluations.charts.by_severity import by_severity
from evaluations.charts.by_turn import success_by_turn
from evaluations.charts.changes import changes
from evaluations.charts.confusion import confusion
from evaluations.charts.curves import reliability, success_by_queries
from evaluations.charts.distributions import distributions
from evaluations.charts.errors import error_by_tenth
from evaluations.charts.findings import shares
from evaluations.charts.guesses import guesses
from evaluations.charts.identities import identity_areas
from evaluations.charts.memorised import Exposed, exposure_by_repetitions, found_by_continuations
from evaluations.charts.neutral import dots
from evaluations.charts.perturbation import perturbation_curves
from evaluations.charts.places import by_place
from evaluations.charts.reliance import top_features
from evaluations.charts.roc import roc
from evaluations.charts.selective import risk_coverage
from evaluations.charts.text_attacks import success_by_recipe, success_curves

__all__ = [
    "Exposed",
    "accuracy_by_attack",
    "by_place",
    "by_severity",
    "changes",
    "confusion",
    "distributions",
    "dots",
    "error_by_tenth",
    "exposure_by_repetitions",
    "found_by_continuations",
    "group_bars",
    "guesses",
    "identity_areas",
    "mean_sizes",
    "perturbation_curves",
    "reliability",
    "risk_coverage",
    "roc",
    "shares",
    "signed_values",
    "success_by_cost",
    "success_by_queries",
    "success_by_recipe",
    "success_by_turn",
    "success_curves",
    "top_features",
]
