"""Numbers and findings in words, for readers without statistics. Pure; the card, the page and the PDF share it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

VERDICTS = {
    "meets": "Meets policy",
    "meets_with_accepted_risk": "Meets policy with accepted risk",
    "incomplete": "Incomplete",
    "does_not_meet": "Does not meet policy",
}
OUTCOMES = {
    "pass": "Pass",
    "fail": "Fails",
    "inconclusive": "Cannot tell yet",
    "not_assessed": "Not assessed",
    "not_applicable": "Does not apply",
}
# What the two texts of an example are, by its kind: as the page and the report head them.
_WRITTEN = ("Asked", "Answered")
_CHANGED = ("Before", "After")
EXAMPLE_SIDES = {
    "attack_success": _CHANGED,
    "behaviour_failure": _CHANGED,
    "corruption": _CHANGED,
    "counterfactual_flip": _CHANGED,
    "evasion": _CHANGED,
    "image_attack": _CHANGED,
    "injection_leak": _WRITTEN,
    "judged_fail": _WRITTEN,
    "known_attack": ("Attack", ""),
    "leak": ("", "Leaked, masked"),
    "leaked": ("In training", "In the test"),
    "not_repeated": ("First answer", "Second answer"),
    "passage_recited": ("Beginning", "Recited"),
    "reduced_input": _CHANGED,
    "refused_harmless": _WRITTEN,
    "secret_stated": ("Beginning", "Stated"),
    "shift": _CHANGED,
    "stereotype_preferred": ("Less likely", "More likely"),
    "stereotyped_answer": _WRITTEN,
    "toxic_answer": _WRITTEN,
    "unsupported_answer": _WRITTEN,
    "worst_answer": _WRITTEN,
}
INPUT_ALONE = ("Input", "")
# Groups that an evaluation makes itself, by the column of their slice, and how they are called. A column
# of the data may have the same name: it is the evaluation that tells.
_TECHNIQUES = {
    "plain": "Plain request",
    "ignore_previous": "“Ignore all previous instructions”",
    "fake_answer": "Made-up answer, then a new task",
    "delimiter": "Made-up end of the text",
    "chatml_roles": "Role tags of ChatML",
    "inst_roles": "Role tags [INST]",
    "system_line": "“SYSTEM:” line",
    "developer_note": "Note of the developers",
    "urgency": "Urgency",
    "encoded": "Base64",
    "split": "Codeword in two halves",
    "chinese": "Chinese",
    "html_comment": "HTML comment",
    "zero_width": "Zero-width spaces",
    "invisible": "Invisible characters",
    "tool_output": "Output of a tool",
    "image_link": "Address of a picture",
    "own": "The tester's own",
    "planted": "Planted beforehand",
    "repeat_above": "“Repeat everything above”",
    "code_block": "Into a code block",
    "begin_with": "“Begin with: You are”",
    "summary": "Summary with quotations",
    "as_json": "As JSON",
    "spelled": "Into Base64",
    "reversed": "Backwards",
    "story": "As a story",
    "completion": "Sentence to complete",
    "end_of_talk": "Made-up end of the talk",
}
OWN_COLUMNS = {
    "fairness.counterfactual": {"kind": "kind of swap"},
    "fairness.identity_terms": {"term": "identity term"},
    "fairness.stereotype": {"bias_type": "kind of bias"},
    "privacy.membership": {"attack": "attack"},
    "privacy.memorisation": {"continuations": "continuations", "times": "times in the training data"},
    "privacy.pii_leakage": {"entity": "kind of datum"},
    "quality.generation": {"k": "number of answers"},
    "robustness.image_autoattack": {"attack": "attack"},
    "robustness.image_corruption": {"corruption": "corruption", "severity": "severity"},
    "robustness.known_attacks": {"recipe": "recipe"},
    "robustness.tabular_shift": {"shift": "shift"},
    "robustness.text_behaviour": {"test": "test"},
    "robustness.text_char": {"recipe": "recipe"},
    "robustness.text_synonym": {"recipe": "recipe"},
    "safety.escalation": {
        "ladder": "way of leading on",
        "message": "message",
        "messages": "number of messages",
    },
    "safety.generation": {"strategy": "way of asking", "k": "number of answers"},
    "safety.injection": {
        "direct": "technique of a direct injection",
        "indirect": "technique of an injection in a document",
        "system": "way to the system prompt",
        "tools": "technique of an injection that wants a call",
        "place": "place in the document",
    },
}
OWN_GROUPS = {
    "attack": {
        "gap": "right or wrong alone",
        "loss": "loss",
        "class_loss": "loss within the class",
        "quantile": "quantile regression",
        "zlib": "loss by compressed size",
        "min_k": "Min-K%",
        "min_k_pp": "Min-K%++",
        "reference_ratio": "ratio to the reference model",
        "rmia": "RMIA",
        "combined": "all combined",
    },
    "entity": {
        "EMAIL_ADDRESS": "E-mail address",
        "PHONE_NUMBER": "Phone number",
        "CREDIT_CARD": "Credit card",
        "IBAN_CODE": "IBAN",
        "US_SSN": "US social security number",
        "US_PASSPORT": "US passport",
        "UK_NINO": "UK national insurance number",
        "CN_ID_CARD": "Chinese identity card",
        "CRYPTO": "Bitcoin address",
        "IP_ADDRESS": "IP address",
        "MAC_ADDRESS": "MAC address",
        "KNOWN_VALUE": "Listed by the tester",
    },
    "strategy": {
        "direct": "Asked directly",
        "prefix": "Answer begun for the model",
        "no_refusals": "Refusing forbidden",
        "role_play": "Played as a character",
        "two_answers": "A second, unbound answer",
        "few_shot": "After obliging examples",
        "translation": "Within a translation",
        "base64": "In base64",
        "rot13": "In rot13",
        "leetspeak": "In leetspeak",
        "wording": "As the data word it",
    },
    "ladder": {
        "article": "An article on the subject",
        "story": "A story that plays there",
        "lesson": "A lesson for those who prevent it",
        "model": "Led by another model",
    },
    **dict.fromkeys(("direct", "indirect", "system", "tools"), _TECHNIQUES),
}
# What stands where a metric has no value, by its status.
WITHOUT_VALUE = {"confounded": "confounded", "suppressed": "not shown"}
SMALLEST = 0.0001  # share of anything that is written out
REFUTATION = "refutation"  # a unit: whether a claim was refuted is said in words, and has no interval to read
_COUNTING = {"count"}
_PHYSICAL = {"seconds": "s", "bytes": "B", "joules": "J", "grams": "g", "per_second": "/s"}
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB")
_SMALL = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_ENDED = {
    "run_errored": "its run ended with an error",
    "run_timed_out": "its run took longer than allowed",
    "run_lost": "its run was lost on every attempt",
    "run_cancelled": "its run was cancelled",
    "run_skipped": "its run could not apply to this model or data",
    "no_valid_run": "there is no valid run",
    "not_measured": "its run did not report this metric for this slice",
    "not_estimable": "it could not be estimated",
    "confounded": "it is confounded and its cause cannot be told apart",
    "suppressed": "the group is too small to show",
    "no_interval": "its evaluation gave no interval, which the policy decides on",
    "no_value": "its evaluation gave no value",
}


def number(value: float | None, unit: str = "", decimals: int = 3) -> str:
    """`0.861`, `0.00042`, `<0.0001`, `1,234`; a dash where there is nothing. Never 0 for what is not exactly 0."""
    if value is None:
        return "–"
    if unit == REFUTATION:
        return "refuted" if value else "not refuted"
    if unit in _COUNTING and float(value).is_integer():
        return f"{value:,.0f}"
    if unit in _PHYSICAL:
        return _physical(value, unit, decimals)
    if unit == "proportion" and 0 < value < SMALLEST:
        return f"<{SMALLEST}"
    if value and abs(value) < 10**-decimals:
        return f"{value:.2g}"
    return f"{value:,.{decimals}f}"


def _physical(value: float, unit: str, digits: int) -> str:
    """`0.0123 s`, `85.3 MiB`: significant digits and the unit."""
    symbol = _PHYSICAL[unit]
    if unit == "bytes":
        step = 0
        while abs(value) >= 1024 and step < len(_BINARY) - 1:
            value, step = value / 1024, step + 1
        symbol = _BINARY[step]
    written = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"
    return f"{written}\u00a0{symbol}"


def limit_text(comparison: str, limit: float, unit: str = "") -> str:
    """`≥ 0.8`: a limit is printed as the policy writes it, a physical one with its unit."""
    if unit == REFUTATION:
        return number(limit, unit)
    written = number(limit, unit) if unit in _PHYSICAL else f"{limit:g}"
    return f"{'≥' if comparison == '>=' else '≤'} {written}"


def decimals_for(limit: float | None, values: Iterable[float | None]) -> int:
    """3, or as many as it takes (up to 6) to tell the values from the limit where rounding would hide which side."""
    for decimals in (3, 4, 5):
        if limit is None or all(
            v is None or v == limit or round(v, decimals) != round(limit, decimals) for v in values
        ):
            return decimals
    return 6


def interval(low: float | None, high: float | None, unit: str = "", decimals: int = 3) -> str:
    """`0.853–0.869`, or nothing where there is no interval."""
    if low is None or high is None or unit == REFUTATION:
        return ""
    # a dash next to a minus sign reads badly
    return f"{number(low, unit, decimals)}{' to ' if low < 0 else '–'}{number(high, unit, decimals)}"


def in_words(value: float, unit: str) -> str:
    """A value inside a sentence: proportions as percentages."""
    return f"{value:.1%}" if unit == "proportion" else number(value, unit)


def of_slice(slice_: str, evaluation: str) -> str:
    """What a slice means in a sentence: nothing for all rows, `by sex`, `where sex is Female`."""
    if slice_ == "all":
        return ""
    column, equals, group = slice_.partition("=")
    if not equals:
        return f"by {own_column(evaluation, column)}"
    return f"where {own_column(evaluation, column)} is {own_group(evaluation, column, group)}"


def own_column(evaluation: str, column: str) -> str:
    """`kind of swap` for the `kind` that an evaluation makes itself; a column of the data as it is."""
    return OWN_COLUMNS.get(evaluation, {}).get(column, column)


def own_group(evaluation: str, column: str, group: str) -> str:
    """`Min-K%++` for `min_k_pp`: a group that an evaluation makes itself in words, one of the data as it is."""
    own = column in OWN_COLUMNS.get(evaluation, {})
    return OWN_GROUPS.get(column, {}).get(group, group) if own else group


def plain(template: str, measured: Mapping[str, Any]) -> str:
    """The metric's own sentence with its value filled in, and what the interval means."""
    value, unit = measured["value"], measured["unit"]
    if value is None:
        return "There is no value to explain."
    said = template.replace("{value}", in_words(value, unit))
    low, high = measured["ci_low"], measured["ci_high"]
    if low is None or high is None or unit == REFUTATION:
        return said
    level = measured.get("interval_level") or 0.95
    ends = f"{in_words(low, unit)} and {in_words(high, unit)}"
    return f"{said} With {level:.0%} confidence the true value lies between {ends}."


def decision(control: Mapping[str, Any]) -> str:
    """Why the control came out as it did. An inconclusive always says what would settle it."""
    code, comparison = control["reason_code"], control["comparison"]
    places = decimals_for(control["limit"], [control["value"], control["ci_low"], control["ci_high"]])
    unit = control["unit"]
    if unit == REFUTATION and code.startswith("interval_"):
        if control["outcome"] == "fail":
            return "The claim is refuted, and the policy demands that it is not."
        return (
            "The claim is not refuted, which is no proof of it: this demand can be missed, and is never met by more "
            "examples."
        )
    least = "at least" if comparison == ">=" else "at most"
    limit = f"{least} {limit_text(comparison, control['limit'], unit).partition(' ')[2]}"
    around = interval(control["ci_low"], control["ci_high"], unit, places)
    level = f"{control.get('interval_level') or 0.95:.0%}"
    if code == "interval_keeps_limit":
        return f"All of the {level} interval, {around}, keeps the limit ({limit})."
    if code == "interval_violates_limit":
        best = control["ci_high"] if comparison == ">=" else control["ci_low"]
        return f"Even the better end of the {level} interval, {number(best, unit, places)}, misses the limit ({limit})."
    if code == "interval_straddles_limit":
        settle = cannot_tell(control["more_examples"])
        return f"{settle} The limit ({limit}) lies inside the {level} interval, {around}."
    if code == "point_value":
        side = "keeps" if control["outcome"] == "pass" else "misses"
        return (
            f"The value {number(control['value'], unit, places)} {side} the limit ({limit}). "
            "The policy decides this on the value alone, without its interval."
        )
    if code == "too_few_examples":
        return (
            f"Measured on {control['n']:,} examples, but the policy asks for at least {control['min_n']:,}: "
            f"about {control['more_examples'] or 0:,} more are needed."
        )
    if code == "does_not_apply":
        return "The policy does not demand this of such a model and such data."
    said = _ENDED.get(code, "there is no valid measurement")
    detail = str(control.get("reason") or "").strip()
    return f"Not assessed, because {said}{f': {detail}' if detail else '.'}"


def cannot_tell(more_examples: int | None) -> str:
    if more_examples is None:
        return (
            "Cannot tell yet; the interval is so wide, or the value so close to the limit, that more examples "
            "alone may not settle it."
        )
    return f"Cannot tell yet; about {_rounded(more_examples):,} more examples would settle it."


def _rounded(count: int) -> int:
    """Two significant digits, upwards: the estimate is no better than that."""
    scale: int = 10 ** max(0, len(str(count)) - 2)
    return -(-count // scale) * scale


def counted(count: int, one: str, many: str) -> str:
    """`one control fails`, `12 controls fail`."""
    shown = _SMALL[count] if count < len(_SMALL) else f"{count:,}"
    return f"{shown} {one if count == 1 else many}"


def why(verdict: str, controls: list[dict[str, Any]], waivers: int = 0) -> str:
    """The verdict in one sentence: how many required controls stand in its way, or that none does."""
    required = [c for c in controls if c["required"] and c["outcome"] != "not_applicable"]
    of = {outcome: sum(c["outcome"] == outcome for c in required) for outcome in OUTCOMES}
    if not required:
        return "No control of the policy applies to this model, so there is nothing that could be met."
    parts = []
    if of["fail"]:
        parts.append(counted(of["fail"], "required control fails", "required controls fail"))
    if of["inconclusive"]:
        parts.append(counted(of["inconclusive"], "cannot be told yet", "cannot be told yet"))
    if of["not_assessed"]:
        parts.append(counted(of["not_assessed"], "was not assessed", "were not assessed"))
    if not parts:
        many = f"All {len(required)} required controls pass."
        return many if len(required) > 1 else "The one required control passes."
    if not of["fail"]:
        noun = "required control" if parts[0].startswith("one ") else "required controls"
        parts[0] = parts[0].replace(" ", f" {noun} ", 1)
    parts.append(f"{of['pass']} of {len(required)} pass")
    said = f"{', '.join(parts[:-1])}; {parts[-1]}."
    if verdict == "meets_with_accepted_risk":
        said += f" Risk was accepted for {counted(waivers, 'of them', 'of them')}."
    return said[0].upper() + said[1:]
