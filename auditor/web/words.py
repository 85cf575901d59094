"""Whole sentences about measurements, in the reader's language. Pure: takes parts of a report card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from auditor.policies.document import AppliesWhen
from auditor.reports import sentences
from auditor.web import cardview, numbers, slice_words
from evaluations import catalogue
from evaluations.spec import EvaluationError


def translated(text: str | None) -> str:
    """The translation of a text that comes from a policy or the catalogue, or the text itself."""
    return _(text) if text else ""


def modality_name(value: str) -> str:
    return {
        "text_classifier": _("Text classifier"),
        "token_classifier": _("Token classifier"),
        "masked_lm": _("Masked language model"),
        "causal_lm": _("Language model"),
        "seq2seq": _("Translation or summarisation model"),
        "extractive_qa": _("Model that answers from a passage"),
        "image_classifier": _("Image classifier"),
        "tabular": _("Tabular classifier"),
        "tabular_regression": _("Tabular regressor"),
        "recommender": _("Recommender"),
    }.get(value, value)


def role_name(value: str) -> str:
    return {
        "input": _("Input"),
        "target": _("Target"),
        "sensitive": _("Sensitive"),
        "context": _("Passage"),
        "choices": _("Answers to choose from"),
        "answer": _("Answer given before"),
        "human": _("People's verdict"),
        "cluster": _("Cluster"),
        "split": _("Split"),
        "member": _("Member of the training data"),
        "randomised_inclusion": _("Canary, put in by a coin"),
        "repetitions": _("Canary, times put in"),
        "user": _("User"),
        "item": _("Item"),
        "id": _("Identifier"),
        "ignore": _("Ignored"),
    }.get(value, value)


def role_meaning(value: str) -> str:
    """What the values of a column with the role say, where its name alone does not tell."""
    return {
        "sensitive": _("The groups that fairness is measured over."),
        "cluster": _("Rows with the same value are not independent."),
        "human": _("Pass or fail, as one person judged; empty for none."),
        "member": _("1: the model was trained on the row; 0: it was not; empty: nobody knows."),
        "randomised_inclusion": _(
            "1 or 0, as an independent fair coin fell that decided whether the canary was put into the training "
            "data; empty: no canary."
        ),
        "repetitions": _(
            "How often the canary was put into the training data, 0 for a control that never was; empty: no canary."
        ),
    }.get(value, "")


def applies_to(when: AppliesWhen) -> str:
    """Which models and data a demand concerns; empty for all."""
    parts = []
    if when.modality:
        kinds = _(", ").join(modality_name(m) for m in when.modality)
        parts.append(_("only for: %(kinds)s") % {"kinds": kinds})
    if when.roles:
        roles = _(", ").join(role_name(r) for r in when.roles)
        parts.append(_("only where the data have a column with the role: %(roles)s") % {"roles": roles})
    if when.without:
        roles = _(", ").join(role_name(r) for r in when.without)
        parts.append(_("only where the data have no column with the role: %(roles)s") % {"roles": roles})
    if when.parent:
        parts.append(_("only for versions that name a parent"))
    if when.format:
        parts.append(_("only for files in the format: %(formats)s") % {"formats": _(", ").join(when.format)})
    return _("; ").join(parts)


def group_name(slice_: str) -> str:
    """`Female` of the slice `sex=Female`."""
    return slice_.partition("=")[2] or slice_


def measured_name(measured: Mapping[str, Any]) -> str:
    """`Balanced accuracy`, `Selection rate ratio by sex`, `Selection rate, sex: Female`."""
    title = translated(measured.get("metric_title") or measured.get("title") or measured.get("metric"))
    part = measured.get("slice") or "all"
    if part == "all":
        return title
    column, equals, group = part.partition("=")
    evaluation = str(measured.get("evaluation") or "")
    named = {"metric": title, "column": slice_words.slice_column(column, evaluation)}
    if equals:
        named["group"] = slice_words.slice_group(evaluation, column, group)
        return _("%(metric)s, %(column)s: %(group)s") % named
    return _("%(metric)s by %(column)s") % named


def in_english() -> bool:
    return (get_language() or "en").startswith("en")


def plain(measured: Mapping[str, Any]) -> str:
    """What a number means: the card's own sentence, or its translation where this release knows the metric."""
    text, value, unit = str(measured.get("plain") or ""), measured.get("value"), measured.get("unit") or ""
    if in_english() or not text or value is None:
        return text
    try:
        template = catalogue.metric(measured["evaluation"], measured["metric"]).plain
    except EvaluationError:
        return text
    if unit == sentences.REFUTATION:
        return _(template).replace("{value}", numbers.number(value, unit))
    said = _(template).replace("{value}", sentences.in_words(value, unit))
    return (
        cardview.between([said, interval_sentence(measured)]) if measured.get("ci_low") is not None else said
    )


def interval_sentence(measured: Mapping[str, Any]) -> str:
    low, high, unit = measured["ci_low"], measured["ci_high"], measured.get("unit") or ""
    level = measured.get("interval_level") or 0.95
    return _("With %(level)s confidence the true value lies between %(low)s and %(high)s.") % {
        "level": f"{level:.0%}",
        "low": sentences.in_words(low, unit),
        "high": sentences.in_words(high, unit),
    }


def meaning(measured: Mapping[str, Any]) -> str:
    """What a number means without its interval, for where that stands beside it."""
    said, confidence, _rest = plain(measured).partition(" With ")
    if in_english():
        return said if confidence else plain(measured)
    return plain({**measured, "ci_low": None, "ci_high": None})


def short_reason(control: Mapping[str, Any]) -> str:
    """The reason where the numbers beside it do not already give it."""
    if control.get("unit") == sentences.REFUTATION:
        return reason(control)
    if control["outcome"] == "inconclusive":
        return cannot_tell(control.get("more_examples"))
    return "" if str(control.get("reason_code")).startswith("interval_") else reason(control)


def reason(control: Mapping[str, Any]) -> str:
    """Why a control came to its outcome: the card's own sentence, or its translation where the code is known."""
    text = str(control.get("reason") or "")
    if in_english():
        return text
    code, more = str(control.get("reason_code") or ""), control.get("more_examples")
    if control.get("unit") == sentences.REFUTATION and code.startswith("interval_"):
        if control["outcome"] == "fail":
            return _("The claim is refuted, and the policy demands that it is not.")
        return _(
            "The claim is not refuted, which is no proof of it: this demand can be missed, and is never met by more "
            "examples."
        )
    facts = {
        "limit": numbers.limit_of(control),
        "interval": numbers.interval_of(control),
        "value": numbers.value_of(control),
        "n": f"{control.get('n') or 0:,}",
        "min_n": f"{control.get('min_n') or 0:,}",
        "more": f"{more or 0:,}",
    }
    if code == "interval_straddles_limit":
        return cardview.between(
            [cannot_tell(more), _("The limit (%(limit)s) lies inside the interval, %(interval)s.") % facts]
        )
    known = {
        "interval_keeps_limit": _("The whole interval, %(interval)s, keeps the limit (%(limit)s)."),
        "interval_violates_limit": _("The whole interval, %(interval)s, misses the limit (%(limit)s)."),
        "point_value": _("Decided on the value alone (%(value)s; limit %(limit)s), as the policy says."),
        "too_few_examples": _(
            "Measured on %(n)s examples, but the policy asks for at least %(min_n)s: about %(more)s more are needed."
        ),
        "does_not_apply": _("The policy does not demand this of such a model and such data."),
        "run_errored": _("Not assessed, because its run ended with an error."),
        "run_timed_out": _("Not assessed, because its run took longer than allowed."),
        "run_lost": _("Not assessed, because its run was lost on every attempt."),
        "run_cancelled": _("Not assessed, because its run was cancelled."),
        "run_skipped": _("Not assessed, because its run could not apply to this model or data."),
        "no_valid_run": _("Not assessed, because there is no valid run."),
        "not_measured": _("Not assessed, because its run did not report this metric for this slice."),
        "not_estimable": _("Not assessed, because it could not be estimated."),
        "confounded": _("Not assessed, because it is confounded and its cause cannot be told apart."),
        "suppressed": _("Not assessed, because the group is too small to show."),
        "no_interval": _(
            "Not assessed, because its evaluation gave no interval, which the policy decides on."
        ),
        "no_value": _("Not assessed, because its evaluation gave no value."),
    }
    if code == "confounded" and (detail := text.partition(": ")[2]):  # the evaluation's own words
        return cardview.between([known[code], detail])
    return known[code] % facts if code in known else text


def without_value(status: str) -> str:
    """What stands where a metric has no value."""
    known = {"confounded": _("confounded"), "suppressed": _("not shown")}
    return known.get(status, _("not estimable"))


def cannot_tell(more: int | None) -> str:
    if not more:
        return _(
            "Cannot tell yet. The interval is so wide, or the value so close to the limit, that more examples "
            "alone may not settle it."
        )
    return ngettext(
        "Cannot tell yet. About %(n)s more example would settle it.",
        "Cannot tell yet. About %(n)s more examples would settle it.",
        more,
    ) % {"n": f"{two_figures(more):,}"}


def two_figures(count: int) -> int:
    """Rounded up to two leading figures: the estimate is no better than that."""
    scale: int = 10 ** max(0, len(str(count)) - 2)
    return -(-count // scale) * scale


def interval_method(name: str) -> str:
    """How an interval was computed, as a statistician names it."""
    known = {
        "wilson": _("Wilson"),
        "clopper_pearson": _("Clopper–Pearson"),
        "percentile_bootstrap": _("percentile bootstrap"),
        "mover_wilson": _("MOVER over Wilson"),
        "pairwise_mover_wilson": _("MOVER over Wilson, pairwise with Bonferroni"),
        "newcombe_auc": _("Newcombe for AUC"),
        "bca_or_jackknife_t": _("wider of BCa bootstrap and jackknife"),
        "percentile_or_jackknife_t": _("wider of percentile bootstrap and jackknife"),
        "percentile_or_jackknife_t_clustered": _(
            "wider of percentile bootstrap and jackknife, over clusters"
        ),
        "wilson_mean": _("Wilson at as many rows as have the variance"),
        "wilson_mean_clustered": _("Wilson at as many rows as have the variance, over clusters"),
        "jackknife_t": _("jackknife, Student's t"),
        "simultaneous_wilson": _("Wilson, all groups at once"),
        "ece_inversion": _("inversion of the law of the ECE"),
        "t": _("Student's t"),
        "paired_t": _("Student's t of the differences"),
        "t_clustered": _("Student's t over clusters"),
        "wilson_clustered": _("Wilson at the effective number of rows"),
        "newcombe_paired_clustered": _("Newcombe for pairs, at the effective number of rows"),
        "t_over_blocks": _("Student's t over blocks"),
        "newcombe_paired": _("Newcombe for pairs"),
        "rogan_gladen": _("Rogan–Gladen, all three rates resampled"),
        "worse_of_raw_and_corrected": _("worse of raw and corrected"),
        "percentile_bootstrap_cells": _("percentile bootstrap over cells"),
        "mean_wilson_clustered": _("Wilson over clusters"),
        "order_statistics": _("order statistics"),
        "block_bootstrap": _("bootstrap over blocks"),
        "block_bootstrap_or_order_statistics": _("wider of order statistics and bootstrap over blocks"),
        "bootstrap_over_units": _("bootstrap over units"),
        "kappa_delta": _("delta method"),
        "kappa_wilson": _("Wilson, carried over to kappa"),
        "ppi++": _("prediction-powered, normal"),
        "bernoulli_mixture_sequence": _("confidence sequence, valid at any stop"),
        "betting_sequence": _("betting confidence sequence, valid at any stop"),
        "mover_ratio_paired": _("MOVER for the ratio of pairs"),
        "largest_over_attacks": _("largest over the attacks"),
        "newcombe": _("Newcombe"),
        "newcombe_10": _("Newcombe's method 10"),
        "one_run_audit": _("audit of one training run, one-sided"),
        "bonett_wright": _("Bonett and Wright"),
        "order_statistics_of_clopper_pearson": _("order statistics of Clopper–Pearson intervals"),
        "clopper_pearson_clustered": _("Clopper–Pearson at the effective number of rows"),
        "mover_newcombe_paired": _("MOVER over Newcombe for pairs"),
        "bonferroni_clopper_pearson": _("Clopper–Pearson of the worst group, with Bonferroni"),
        "bonferroni_wilson_mean": _("Wilson of the worst group, with Bonferroni"),
        "newcombe_or_delong_wilson": _("wider of Newcombe for AUC and DeLong"),
        "newcombe_or_delong_wilson_bonferroni": _("wider of Newcombe for AUC and DeLong, with Bonferroni"),
        "pairwise_newcombe_paired": _("Newcombe for pairs, over all pairs with Bonferroni"),
        "judge_unchecked": _("judge that no labelled answers check, so up to 1"),
        "order_statistics_wilson": _("order statistics for the limit, Wilson for the rate"),
        "rogan_gladen_bounds": _("bounds after Rogan and Gladen, all rates drawn"),
    }
    if name.endswith("_simultaneous") and name not in known:
        return _("%(method)s, all at once") % {"method": interval_method(name.removesuffix("_simultaneous"))}
    if name not in known and name.endswith("_ratio") and name.removesuffix("_ratio") in known:
        return _("%(method)s, as a ratio") % {"method": known[name.removesuffix("_ratio")]}
    if name not in known and name.startswith("paired_") and name.removeprefix("paired_") in known:
        return _("%(method)s, of the differences") % {"method": known[name.removeprefix("paired_")]}
    return known.get(name, name.replace("_", " "))


def isolation(level: Mapping[str, Any]) -> str:
    """The isolation that a run reached, with what was missing."""
    summary = str(level.get("summary") or "")
    known = {
        "": _("not recorded"),
        "full": _("full"),
        "none": _("none: the model ran unconfined"),
    }
    if summary in known:
        return known[summary]
    gaps = {
        "files are not confined": _("files are not confined"),
        "files of its account can be truncated": _("files of its account can be truncated"),
        "the network is open": _("the network is open"),
        "Unix sockets are open": _("Unix sockets are open"),
        "only TCP is closed": _("only TCP is closed"),
        "system calls are not filtered": _("system calls are not filtered"),
        "it can signal processes of its account": _("it can signal processes of its account"),
        "it runs as root, without capabilities": _("it runs as root, without capabilities"),
    }
    kind, _colon, missing = summary.partition(": ")
    if kind != "partial" or not missing:
        return summary
    return _("partial: %(gaps)s") % {"gaps": _("; ").join(gaps.get(gap, gap) for gap in missing.split("; "))}
