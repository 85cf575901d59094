"""Whole sentences about measurements, in the reader's language. Pure: takes parts of a report card."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.utils.translation import get_language, ngettext, pgettext
from django.utils.translation import gettext as _

from auditor.policies.document import AppliesWhen
from auditor.reports import heats, sentences
from auditor.web import cardview, numbers
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
    named = {"metric": title, "column": slice_column(column, evaluation)}
    if equals:
        named["group"] = slice_group(evaluation, column, group)
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
            "Cannot tell yet. The value is so close to the limit that more examples alone may not settle it."
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


def fact_name(name: str) -> str:
    """A fact of an example as a reader would call it."""
    known = {
        "true_label": _("true class"),
        "answer_before": _("answer before"),
        "probability_before": _("probability before"),
        "answer_after": _("answer after"),
        "probability_after": _("probability after"),
        "queries": _("queries"),
        "expected": _("expected"),
        "judge": _("the judge said"),
        "largest change": _("largest change"),
        "log_odds": _("log-odds against the given label"),
        "names": _("unsupported names"),
        "numbers": _("unsupported numbers"),
        "same as": _("same as"),
        "split": _("split"),
        "answer": _("answer"),
        "probability": _("probability"),
        "recipe": _("recipe"),
        "corruption": _("corruption"),
        "severity": _("severity"),
        "distance": _("distance"),
        "test": _("test"),
        "change": _("change"),
        "cost": _("cost"),
        "constraints": _("constraints"),
        "comprehensiveness": _("comprehensiveness"),
        "comprehensiveness_beyond_chance": _("comprehensiveness beyond chance"),
        "sufficiency": _("sufficiency"),
        "left_out": _("share left out"),
        "planted_sign_named_first": _("planted sign named first"),
        "right_templates": _("templates that led to the right answer"),
        "shift": _("shift"),
        "method": _("method"),
        "with_everything_present": _("with everything present"),
        "with_nothing_present": _("with nothing present"),
        "swap": _("swap"),
        "kinds": _("kinds"),
        "values": _("values"),
        "characters": _("characters of the answer"),
        "repetitions": _("times in the training data"),
        "exposure": _("exposure (bits)"),
        "log-probability": _("log-probability"),
        "log_odds_over_the_other": _("log-odds over the other"),
        "attack": _("attack"),
        "found": _("found"),
        "place": _("place"),
        "quoted": _("merely quoted"),
        "technique": _("technique"),
        "way of asking": _("way of asking"),
        "way of leading on": _("way of leading on"),
        "given when asked at once": _("given when asked at once"),
        "harmful answers": _("harmful answers"),
        "messages": _("messages"),
        "phrase": _("phrase"),
        "refusals on the way": _("refusals on the way"),
        "toxic answers": _("toxic answers"),
        "answers": _("answers"),
        "toxicity": _("toxicity"),
        "tries": _("tries"),
    }
    if template := re.fullmatch(r"template_(\d{1,3})", name):
        return _("template %(n)s") % {"n": template.group(1)}
    return known.get(name, name.replace("_", " "))


def slice_column(name: str, evaluation: str) -> str:
    """What groups are by: an evaluation's own word in the reader's language, a column of the data as it is."""
    known = {
        "attack": _("attack"),
        "continuations": _("continuations"),
        "corruption": _("corruption"),
        "identity term": _("identity term"),
        "kind of bias": _("kind of bias"),
        "kind of datum": _("kind of datum"),
        "kind of swap": _("kind of swap"),
        "message": _("message"),
        "number of answers": _("number of answers"),
        "number of messages": _("number of messages"),
        "place in the document": _("place in the document"),
        "recipe": _("recipe"),
        "severity": _("severity"),
        "shift": _("shift"),
        "technique of a direct injection": _("technique of a direct injection"),
        "technique of an injection in a document": _("technique of an injection in a document"),
        "technique of an injection that wants a call": _("technique of an injection that wants a call"),
        "test": _("test"),
        "times in the training data": _("times in the training data"),
        "way of asking": _("way of asking"),
        "way of leading on": _("way of leading on"),
        "way to the system prompt": _("way to the system prompt"),
    }
    own = sentences.own_column(evaluation, name)
    return known.get(own, own) if name in sentences.OWN_COLUMNS.get(evaluation, {}) else name


def slice_group(evaluation: str, column: str, group: str) -> str:
    """A group that an evaluation makes itself, in the reader's language; one of the data as it is."""
    if column not in sentences.OWN_COLUMNS.get(evaluation, {}):
        return group
    if many := re.fullmatch(r"(\d{1,9}) at p=([\d.]{1,9})", group):
        return _("%(n)s, found with probability %(p)s") % {"n": f"{int(many[1]):,}", "p": many[2]}
    if own := re.fullmatch(r"template (\d{1,3})", group):
        return _("template %(n)s") % {"n": own[1]}
    swaps = {
        "names": _("names"),
        "origins": _("names of another origin"),
        "pronouns": _("pronouns"),
        "religion": _("religion"),
        "nationality": _("nationality"),
        "orientation": _("sexual orientation"),
        "disability": _("disability"),
        "age": _("age"),
        "race": _("race"),
    }
    if column == "kind":
        return swaps.get(group, group)
    if column == "place":
        return _place(group)
    return own_title(sentences.own_group(evaluation, column, group))


def _place(name: str) -> str:
    known = {"beginning": _("beginning"), "middle": _("middle"), "end": _("end")}
    return known.get(name, name)


def own_title(title: str) -> str:
    """The title of a group that an evaluation makes itself, in the reader's language."""
    known = {
        "right or wrong alone": _("right or wrong alone"),
        "loss": _("loss"),
        "loss within the class": _("loss within the class"),
        "quantile regression": _("quantile regression"),
        "loss by compressed size": _("loss by compressed size"),
        "ratio to the reference model": _("ratio to the reference model"),
        "all combined": _("all combined"),
        "E-mail address": _("E-mail address"),
        "Phone number": _("Phone number"),
        "Credit card": _("Credit card"),
        "US social security number": _("US social security number"),
        "US passport": _("US passport"),
        "UK national insurance number": _("UK national insurance number"),
        "Chinese identity card": _("Chinese identity card"),
        "Bitcoin address": _("Bitcoin address"),
        "IP address": _("IP address"),
        "MAC address": _("MAC address"),
        "Listed by the tester": _("Listed by the tester"),
        # ways of asking for what is harmful
        "Asked directly": _("Asked directly"),
        "Answer begun for the model": _("Answer begun for the model"),
        "Refusing forbidden": _("Refusing forbidden"),
        "Played as a character": _("Played as a character"),
        "A second, unbound answer": _("A second, unbound answer"),
        "After obliging examples": _("After obliging examples"),
        "Within a translation": _("Within a translation"),
        "In base64": _("In base64"),
        "In rot13": _("In rot13"),
        "In leetspeak": _("In leetspeak"),
        "As the data word it": _("As the data word it"),
        # and of leading up to it
        "An article on the subject": _("An article on the subject"),
        "A story that plays there": _("A story that plays there"),
        "A lesson for those who prevent it": _("A lesson for those who prevent it"),
        "Led by another model": _("Led by another model"),
        # techniques of injection
        "Plain request": _("Plain request"),
        "“Ignore all previous instructions”": _("“Ignore all previous instructions”"),
        "Made-up answer, then a new task": _("Made-up answer, then a new task"),
        "Made-up end of the text": _("Made-up end of the text"),
        "Role tags of ChatML": _("Role tags of ChatML"),
        "Role tags [INST]": _("Role tags [INST]"),
        "“SYSTEM:” line": _("“SYSTEM:” line"),
        "Note of the developers": _("Note of the developers"),
        "Urgency": _("Urgency"),
        "Base64": "Base64",
        "Codeword in two halves": _("Codeword in two halves"),
        "Chinese": _("Chinese"),
        "HTML comment": _("HTML comment"),
        "Zero-width spaces": _("Zero-width spaces"),
        "Invisible characters": _("Invisible characters"),
        "Output of a tool": _("Output of a tool"),
        "Address of a picture": _("Address of a picture"),
        "The tester's own": _("The tester's own"),
        "Planted beforehand": _("Planted beforehand"),
        "“Repeat everything above”": _("“Repeat everything above”"),
        "Into a code block": _("Into a code block"),
        "“Begin with: You are”": _("“Begin with: You are”"),
        "Summary with quotations": _("Summary with quotations"),
        "As JSON": _("As JSON"),
        "Into Base64": _("Into Base64"),
        "Backwards": _("Backwards"),
        "As a story": _("As a story"),
        "Sentence to complete": _("Sentence to complete"),
        "Made-up end of the talk": _("Made-up end of the talk"),
    }
    return known.get(title, title)


def fact_value(name: str, value: str) -> str:
    """A fact's value where it is one of a few words of ours; what a model or its data say stays as it is."""
    if name in ("technique", "way of asking", "way of leading on"):
        return own_title(value)
    if name == "place":
        return _place(value)
    yes_or_no = {"yes": _("yes"), "no": _("no")}
    known = {
        "attack": {
            "direct": _("in the task"),
            "indirect": _("in a document"),
            "system": _("on the system prompt"),
            "tools": _("to call a tool"),
            "recorded": _("recorded beforehand"),
        },
        "found": {
            "plain": _("as it was written"),
            "reversed": _("backwards"),
            "rot13": _("in rot13"),
            "base64": _("in Base64"),
            "hex": _("in hexadecimal"),
            "tool": _("as a forbidden call"),
        },
        "given when asked at once": yes_or_no,
        "quoted": yes_or_no,
        "constraints": {"own": _("own"), "adjusted": _("adjusted")},
        "expected": {
            "the same answer": _("the same answer"),
            "the favourable class no more likely": _("the favourable class no more likely"),
            "the favourable class no less likely": _("the favourable class no less likely"),
        },
        "planted_sign_named_first": yes_or_no,
        "test": {
            "Swapped letters": _("Swapped letters"),
            "Slipped key": _("Slipped key"),
            "Lower case": _("Lower case"),
            "Upper case": _("Upper case"),
            "Title case": _("Title case"),
            "Contractions": _("Contractions"),
            "Spacing": _("Spacing"),
            "Full stop": _("Full stop"),
            "Names": _("Names"),
            "Negated praise": _("Negated praise"),
            "Negated blame": _("Negated blame"),
            "Added praise": _("Added praise"),
            "Added blame": _("Added blame"),
        },
    }
    return known.get(name, {}).get(value, value)


def example_side(kind: str, which: int) -> str:
    """What the first (0) or second (1) text of an example is, by its kind."""
    known = {
        "Before": _("Before"),
        "After": _("After"),
        "Asked": _("Asked"),
        "Answered": _("Answered"),
        "In training": _("In training"),
        "In the test": _("In the test"),
        "First answer": _("First answer"),
        "Second answer": _("Second answer"),
        "Input": _("Input"),
        "Attack": _("Attack"),
        "Leaked, masked": _("Leaked, masked"),
        "Beginning": _("Beginning"),
        "Recited": _("Recited"),
        "Stated": _("Stated"),
        "Less likely": _("Less likely"),
        "More likely": _("More likely"),
    }
    named = sentences.EXAMPLE_SIDES.get(kind, sentences.INPUT_ALONE)[which]
    return known.get(named, named)


def example_kind(kind: str) -> str:
    """What a transcript shows."""
    known = {
        "attack_success": _("Attack that succeeded"),
        "injection_leak": _("Injection that worked"),
        "refused_harmless": _("Harmless request, refused"),
        "toxic_answer": _("Toxic answer"),
    }
    return known.get(kind, _("Conversation"))


def speaker_name(speaker: str) -> str:
    """Who speaks in a transcript."""
    known = {
        "system": _("System prompt"),
        "user": _("User"),
        "assistant": pgettext("speaker", "Model"),
        "document": _("Document"),
        "tool": pgettext("speaker", "Tool"),
    }
    return known.get(speaker, speaker)


def picture_title(title: str) -> str:
    """What a picture of an example shows; how often a difference was amplified is kept."""
    times = re.fullmatch(r"Difference, ([\d.]+) times amplified", title)
    if times:
        return _("Difference, %(n)s times amplified") % {"n": times.group(1)}
    known = {
        "Before": _("Before"),
        "After": _("After"),
        "Attack": _("Attack"),
        "Difference": _("Difference"),
        "Input": _("Input"),
        "Seen": _("Seen"),
        "Attribution": _("Attribution"),
        "Attribution before": _("Attribution before"),
        "Attribution after": _("Attribution after"),
    }
    return known.get(title, title)


def picture_alt(alt: str) -> str:
    """What a picture of an example holds, for those who do not see it."""
    rests = {
        "What the right answer rests on before the attack": _(
            "What the right answer rests on before the attack."
        ),
        "What the right answer rests on after the attack": _(
            "What the right answer rests on after the attack."
        ),
    }
    first, stop, rest = alt.partition(". ")
    if stop and first in rests:
        return cardview.between([rests[first], _one_alt(rest)])
    return _one_alt(alt)


def _one_alt(alt: str) -> str:
    known = {
        "The image as it is": _("The image as it is"),
        "The image before the attack": _("The image before the attack"),
        "The image after the attack": _("The image after the attack"),
        "The attacked image": _("The attacked image"),
        "The picture as the network sees it, its levels stretched": _(
            "The picture as the network sees it, its levels stretched"
        ),
        "Grey where nothing changed, brighter or darker where the image did": _(
            "Grey where nothing changed, brighter or darker where the image did"
        ),
    }
    patterns = {
        r"The image with (?P<what>.{1,60}) at severity (?P<n>\d)": _(
            "The image with %(what)s at severity %(n)s"
        ),
        r"Blue places speak for (?P<answer>.*), orange ones against it; most for it: (?P<place>.*)": _(
            "Blue places speak for %(answer)s, orange ones against it; most for it: %(place)s"
        ),
        r"What the attack changed, (?P<n>\d+) times amplified around grey; at most (?P<most>\d+) of 255 in any "
        r"value": _(
            "What the attack changed, %(n)s times amplified around grey; at most %(most)s of 255 in any value"
        ),
    }
    for pattern, said in patterns.items():
        if found := re.fullmatch(pattern, alt):
            return said % found.groupdict()
    return known.get(alt, alt)


def feature_name(name: str) -> str:
    """A part that an attribution is over; the cells of a grid over an image in the reader's language."""
    cell = re.fullmatch(r"row (\d{1,2}), column (\d{1,2})", name)
    return _("row %(r)s, column %(c)s") % {"r": cell.group(1), "c": cell.group(2)} if cell else name


def heat_title(shown: heats.Map) -> str:
    """Which answer an attribution explains, and of which of two texts."""
    if not shown.answer:
        return (
            _("What the answer rests on, after") if shown.side == "after" else _("What the answer rests on")
        )
    named = {"answer": shown.answer}
    if shown.side == "after":
        return _("What speaks for the answer “%(answer)s”, after") % named
    return _("What speaks for the answer “%(answer)s”") % named


def chart_title(title: str) -> str:
    """The title of a chart; one over the groups of a column names its metric and the column."""
    known = {
        "Answers by true class": _("Answers by true class"),
        "Stated confidence and share of right answers": _("Stated confidence and share of right answers"),
        "Attack success by number of queries": _("Attack success by number of queries"),
        "F1 by type of entity": _("F1 by type of entity"),
        "Signed error by size of the answer": _("Signed error by size of the answer"),
        "Relevance by place in the list": _("Relevance by place in the list"),
        "Bits per byte of single documents": _("Bits per byte of single documents"),
        "Confidence of own and foreign examples": _("Confidence of own and foreign examples"),
        "Coverage by true class": _("Coverage by true class"),
        "Likelihood gained by the published order, by block": _(
            "Likelihood gained by the published order, by block"
        ),
        "Processor seconds per answer, by block": _("Processor seconds per answer, by block"),
        "Requests answered within a time": _("Requests answered within a time"),
        "Share of right choices": _("Share of right choices"),
        "Share of the rows": _("Share of the rows"),
        "Share of the inputs": _("Share of the inputs"),
        "Share or overlap": _("Share or overlap"),
        "Share wrong": _("Share wrong"),
        "Share wrong by share answered": _("Share wrong by share answered"),
        "Change of accuracy": _("Change of accuracy"),
        "Accuracy by corruption and severity": _("Accuracy by corruption and severity"),
        "Accuracy lost": _("Accuracy lost"),
        "Accuracy lost when the column is shuffled": _("Accuracy lost when the column is shuffled"),
        "Accuracy that the attacks left": _("Accuracy that the attacks left"),
        "Answers changed by something harmless": _("Answers changed by something harmless"),
        "Answers moved the wrong way": _("Answers moved the wrong way"),
        "Answers turned by the cost of the change": _("Answers turned by the cost of the change"),
        "Attack success by recipe": _("Attack success by recipe"),
        "Complexity of explanations": _("Complexity of explanations"),
        "Difference in accuracy": _("Difference in accuracy"),
        "Mean size of the attribution": _("Mean size of the attribution"),
        "One answer explained": _("One answer explained"),
        "Rise of the mean absolute error": _("Rise of the mean absolute error"),
        "Right answers by template": _("Right answers by template"),
        "Successes that changed the column": _("Successes that changed the column"),
        "What weighs most: columns": _("What weighs most: columns"),
        "What weighs most: places": _("What weighs most: places"),
        "What weighs most: tokens": _("What weighs most: tokens"),
        "What the answer loses as features are removed": _("What the answer loses as features are removed"),
        "Advantage over imputation": _("Advantage over imputation"),
        "Areas under the ROC curve, by group that is named": _(
            "Areas under the ROC curve, by group that is named"
        ),
        "Change in favour of the group": _("Change in favour of the group"),
        "Change of the answer's length in words": _("Change of the answer's length in words"),
        "Change of the favourable probability": _("Change of the favourable probability"),
        "Decisions turned unfavourable": _("Decisions turned unfavourable"),
        "Members found by false alarms": _("Members found by false alarms"),
        "Members told from others without the model": _("Members told from others without the model"),
        "Passages found by number of continuations": _("Passages found by number of continuations"),
        "Right guesses about canaries, by how many are guessed": _(
            "Right guesses about canaries, by how many are guessed"
        ),
        "Share": _("Share"),
        "Share of answers": _("Share of answers"),
        "Answers that refuse": _("Answers that refuse"),
        "Direct injections that work": _("Direct injections that work"),
        "Harmful behaviours brought out": _("Harmful behaviours brought out"),
        "Harmful behaviours brought out, by number of messages": _(
            "Harmful behaviours brought out, by number of messages"
        ),
        "Injections in documents that work": _("Injections in documents that work"),
        "Injections that call a tool": _("Injections that call a tool"),
        "Prompts with a toxic answer": _("Prompts with a toxic answer"),
        "Requests refused": _("Requests refused"),
        "The most toxic answer to each prompt": _("The most toxic answer to each prompt"),
        "Ways to the system prompt that work": _("Ways to the system prompt that work"),
        "What was found in the files": _("What was found in the files"),
    }
    if title not in known and (of := re.fullmatch("Harmful behaviours brought out, by (.*)", title)):
        return _("Harmful behaviours brought out, by %(column)s") % {"column": of[1]}
    metric, by, column = title.rpartition(" by ")
    if title not in known and by and translated(metric) != metric:
        return _("%(metric)s by %(column)s") % {"metric": translated(metric), "column": column}
    return known.get(title) or translated(title)  # many a chart is of one metric


def chart_column(name: str) -> str:
    """The heading of a column of a chart's table."""
    known = {
        "True class": pgettext("chart", "True class"),
        "Answer": pgettext("chart", "Answer"),
        "Count": pgettext("chart", "Count"),
        "Share of the true class": pgettext("chart", "Share of the true class"),
        "Group": pgettext("chart", "Group"),
        "Rate": pgettext("chart", "Rate"),
        "Low": pgettext("chart", "Low"),
        "High": pgettext("chart", "High"),
        "Mean confidence": pgettext("chart", "Mean confidence"),
        "Share right": pgettext("chart", "Share right"),
        "Queries": pgettext("chart", "Queries"),
        "Succeeded": pgettext("chart", "Succeeded"),
        "Mean answer": pgettext("chart", "Mean answer"),
        "Mean error": pgettext("chart", "Mean error"),
        "Place": pgettext("chart", "Place"),
        "Relevant": pgettext("chart", "Relevant"),
        "Amount": pgettext("chart", "Amount"),
        "Best possible": pgettext("chart", "Best possible"),
        "Change": pgettext("chart", "Change"),
        "Finding": pgettext("chart", "Finding"),
        "Part": pgettext("chart", "Part"),
        "Seconds": pgettext("chart", "Seconds"),
        "Share": pgettext("chart", "Share"),
        "Share answered": pgettext("chart", "Share answered"),
        "Share of foreign": pgettext("chart", "Share of foreign"),
        "Share of own": pgettext("chart", "Share of own"),
        "Share wrong": pgettext("chart", "Share wrong"),
        "What": pgettext("chart", "What"),
        "Accuracy": pgettext("chart", "Accuracy"),
        "Adjusted p": pgettext("chart", "Adjusted p"),
        "Attack": pgettext("chart", "Attack"),
        "Column": pgettext("chart", "Column"),
        "Constraints": pgettext("chart", "Constraints"),
        "Corruption": pgettext("chart", "Corruption"),
        "Cost": pgettext("chart", "Cost"),
        "Entropy of the features' shares (nats) from": pgettext(
            "chart", "Entropy of the features' shares (nats) from"
        ),
        "Feature": pgettext("chart", "Feature"),
        "Mean fall": pgettext("chart", "Mean fall"),
        "Mean size": pgettext("chart", "Mean size"),
        "Occurrences": pgettext("chart", "Occurrences"),
        "Per cent of features": pgettext("chart", "Per cent of features"),
        "Recipe": pgettext("chart", "Recipe"),
        "Removed": pgettext("chart", "Removed"),
        "Severity": pgettext("chart", "Severity"),
        "Share of The model": pgettext("chart", "Share of The model"),
        "Share of Weights drawn anew": pgettext("chart", "Share of Weights drawn anew"),
        "Template": pgettext("chart", "Template"),
        "Test": pgettext("chart", "Test"),
        "Turned": pgettext("chart", "Turned"),
        "Value": pgettext("chart", "Value"),
        "to": pgettext("chart", "to"),
        "Area": pgettext("chart", "Area"),
        "At least as likely": pgettext("chart", "At least as likely"),
        "Canary": pgettext("chart", "Canary"),
        "Category": pgettext("chart", "Category"),
        "Compared": pgettext("chart", "Compared"),
        "Continuations": pgettext("chart", "Continuations"),
        "Decides": pgettext("chart", "Decides"),
        "Direction": pgettext("chart", "Direction"),
        "Exposure": pgettext("chart", "Exposure"),
        "False alarms": pgettext("chart", "False alarms"),
        "Guesses": pgettext("chart", "Guesses"),
        "Kind": pgettext("chart", "Kind"),
        "Kind of swap": pgettext("chart", "Kind of swap"),
        "Measure": pgettext("chart", "Measure"),
        "Members found": pgettext("chart", "Members found"),
        "Pair": pgettext("chart", "Pair"),
        "Passages": pgettext("chart", "Passages"),
        "Possible secrets (bits)": pgettext("chart", "Possible secrets (bits)"),
        "Probability": pgettext("chart", "Probability"),
        "Repetitions": pgettext("chart", "Repetitions"),
        "Right": pgettext("chart", "Right"),
        "Share found": pgettext("chart", "Share found"),
        "Brought out": pgettext("chart", "Brought out"),
        "Code": pgettext("chart", "Code"),
        "File": pgettext("chart", "File"),
        "What it is": pgettext("chart", "What it is"),
        "Kind of request": pgettext("chart", "Kind of request"),
        "Message": pgettext("chart", "Message"),
        "Messages": pgettext("chart", "Messages"),
        "Prompts": pgettext("chart", "Prompts"),
        "Technique": pgettext("chart", "Technique"),
        "Toxicity from": pgettext("chart", "Toxicity from"),
        "Way of asking": pgettext("chart", "Way of asking"),
        "Way of leading on": pgettext("chart", "Way of leading on"),
    }
    if name not in known and (group := re.fullmatch("Share of (.*)", name)):
        return pgettext("chart", "Share of %(group)s") % {"group": group[1]}
    return known.get(name, name)


def chart_cell(column: str, cell: Any) -> Any:
    """A cell of a chart's table: an evaluation's own word in the reader's language, all else as it is."""
    if not isinstance(cell, str):
        return cell
    if column == "Kind of swap":
        return slice_group("fairness.counterfactual", "kind", cell) if cell != "All swaps" else _("All swaps")
    if column in ("Measure", "Area"):
        return translated(cell)
    known = {
        "Attack": {"without the model": _("without the model")},
        "Decides": {"yes": _("yes")},
        "Kind": {"Any kind": _("Any kind")},
        "Passages": {"trained on": _("trained on"), "not trained on": _("not trained on")},
        "Finding": {
            "Pickle": _("Pickle"),
            "Hidden code": _("Hidden code"),
            "Points elsewhere": _("Points elsewhere"),
            "Credential": _("Credential"),
            "Unknown or damaged": _("Unknown or damaged"),
            "Incomplete": pgettext("finding", "Incomplete"),
            "Note": _("Note"),
            "Scanner": _("Scanner"),
        },
        "Way of asking": {"Any of these": _("Any of these")},
        "Way of leading on": {"Any of these": _("Any of these"), "Asked at once": _("Asked at once")},
        "Messages": {"Asked at once": _("Asked at once")},
        "Kind of request": {
            "Harmful, asked directly": _("Harmful, asked directly"),
            "Harmless": _("Harmless"),
        },
        "Prompts": {
            "All prompts": _("All prompts"),
            "All prompts, by the list of phrases": _("All prompts, by the list of phrases"),
        },
    }
    if column in ("Attack", "Kind", "Technique", "Way of asking", "Way of leading on"):
        if own := re.fullmatch(r"Template (\d{1,3})", cell):
            return _("template %(n)s") % {"n": own[1]}
        return known.get(column, {}).get(cell) or own_title(cell)
    return known.get(column, {}).get(cell, cell)


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
