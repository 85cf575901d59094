"""What charts and their tables say, in the reader's language."""

from __future__ import annotations

import re
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from auditor.web import slice_words, words


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
    if title not in known and by and words.translated(metric) != metric:
        return _("%(metric)s by %(column)s") % {"metric": words.translated(metric), "column": column}
    return known.get(title) or words.translated(title)  # many a chart is of one metric


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
        return (
            slice_words.slice_group("fairness.counterfactual", "kind", cell)
            if cell != "All swaps"
            else _("All swaps")
        )
    if column in ("Measure", "Area"):
        return words.translated(cell)
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
        return known.get(column, {}).get(cell) or slice_words.own_title(cell)
    return known.get(column, {}).get(cell, cell)
