"""What the groups are called that an evaluation makes itself, in the reader's language."""

from __future__ import annotations

import re

from django.utils.translation import gettext as _

from auditor.reports import sentences


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
        return place(group)
    return own_title(sentences.own_group(evaluation, column, group))


def place(name: str) -> str:
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
