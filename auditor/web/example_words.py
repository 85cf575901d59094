"""What examples, their facts, pictures and attributions say, in the reader's language."""

from __future__ import annotations

import re

from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from auditor.reports import heats, sentences
from auditor.web import cardview, slice_words


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


def fact_value(name: str, value: str) -> str:
    """A fact's value where it is one of a few words of ours; what a model or its data say stays as it is."""
    if name in ("technique", "way of asking", "way of leading on"):
        return slice_words.own_title(value)
    if name == "place":
        return slice_words.place(value)
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
