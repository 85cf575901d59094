"""The tags and filters of every template: states, numbers, times and small pictures."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext

from auditor.reports import charts, heats
from auditor.reports.sentences import REFUTATION
from auditor.web import chart_words, example_words, numbers, slice_words, transcripts, words
from auditor.web.states import AREAS, ICONS, State, state

register = template.Library()

register.filter("number", numbers.number)
register.filter("value_of", numbers.value_of)
register.filter("interval_of", numbers.interval_of)
register.filter("limit_of", numbers.limit_of)
register.filter("duration", numbers.duration)
register.filter("size", numbers.size)
register.filter("short_digest", numbers.short_digest)
register.filter("time_left", numbers.about)
register.filter("group_name", words.group_name)
register.filter("t", words.translated)
register.filter("modality_name", words.modality_name)
register.filter("role_name", words.role_name)
register.filter("without_value", words.without_value)
register.simple_tag(slice_words.slice_group, name="slice_group")
register.filter("role_meaning", words.role_meaning)


@register.simple_tag
def icon(name: str) -> SafeString:
    return format_html(
        '<svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">'
        '<path d="{}"></path></svg>',
        ICONS[name],
    )


def _chip(shown: State, text: str | None = None) -> SafeString:
    return format_html(
        '<span class="chip is-{}">{}{}</span>', shown.tone, icon(shown.icon), text or str(shown.label)
    )


@register.simple_tag
def chip(kind: str, value: str, text: str | None = None) -> SafeString:
    """A state as icon, word and colour."""
    return _chip(state(kind, value), text)


@register.simple_tag
def badge(tone: str, icon_name: str, text: str) -> SafeString:
    """A remark that is no state, in the same clothes."""
    return _chip(State(text, icon_name, tone))


@register.filter
def tone(value: str, kind: str) -> str:
    return state(kind, value).tone


@register.filter
def label(value: str, kind: str) -> str:
    return str(state(kind, value).label)


@register.filter
def area_name(value: str) -> str:
    return str(AREAS.get(value, value))


@register.simple_tag
def when(value: datetime | str | None, only: str = "") -> SafeString | str:
    """A moment (UTC), or with "day" its date alone."""
    found = numbers.moment(value)
    if found is None:
        return numbers.NO_VALUE
    text = numbers.day(found) if only == "day" else numbers.minute(found)
    return format_html('<time datetime="{}">{}</time>', found.isoformat(), text)


@register.simple_tag
def digest(text: str | None) -> SafeString | str:
    """A digest, short to the eye and whole to the pointer and to assistive technology."""
    if not text:
        return numbers.NO_VALUE
    return format_html('<code class="digest" title="{}">{}</code>', text, numbers.short_digest(text))


@register.simple_tag
def limit_bar(control: Mapping[str, Any]) -> SafeString | str:
    """Interval against limit, or nothing where there is no value to draw."""
    if control.get("value") is None or control.get("limit") is None or control.get("unit") == REFUTATION:
        return ""
    drawn = charts.interval_svg(
        value=control["value"],
        low=control.get("ci_low"),
        high=control.get("ci_high"),
        limit=control["limit"],
        comparison=control["comparison"],
        outcome=control["outcome"],
        label=gettext("%(value)s, interval %(interval)s, limit %(limit)s")
        % {
            "value": numbers.value_of(control),
            "interval": numbers.interval_of(control) or numbers.NO_VALUE,
            "limit": numbers.limit_of(control),
        },
    )
    return mark_safe(drawn)  # interval_svg draws numbers, and quotes its one text, the label


@register.filter
def reason_of(control: Mapping[str, Any]) -> str:
    """Why a control came to its outcome, in a whole sentence."""
    return words.reason(control)


@register.filter
def plain_of(measured: Mapping[str, Any]) -> str:
    """What a number means, for a reader without statistics."""
    return words.plain(measured)


@register.filter
def name_of(measured: Mapping[str, Any]) -> str:
    """`Selection-rate ratio by sex`."""
    return words.measured_name(measured)


@register.simple_tag
def isolation(level: Mapping[str, Any]) -> SafeString | str:
    """The isolation a run reached; none at all stands out."""
    text = words.isolation(level)
    return _chip(State(text, "alert", "warn")) if level.get("summary") == "none" else text


@register.filter
def get(mapping: Mapping[str, Any], key: str) -> Any:
    return mapping.get(key)


@register.simple_tag
def limit(comparison: str, value: float, unit: str) -> str:
    return numbers.limit_of({"comparison": comparison, "limit": value, "unit": unit})


@register.simple_tag
def price(cost: float | None, currency: str) -> str:
    """A forecast price; a dash where it cannot be told."""
    return numbers.NO_VALUE if cost is None else f"{cost:,.2f}\u00a0{currency}"


@register.simple_tag
def points(effect: float | None) -> str:
    """A difference of a rate, in percentage points."""
    return numbers.NO_VALUE if effect is None else f"{100 * effect:.1f}"


@register.simple_tag
def share(percent: float) -> str:
    """A share of the rows; what rounds to nothing says so."""
    return "< 0.1%" if 0 < percent < 0.1 else f"{percent:.1f}%"


@register.simple_tag
def fact(name: str, value: str | float) -> str:
    """`probability before: 0.98`, `expected: the same answer`."""
    said = example_words.fact_value(name, value) if isinstance(value, str) else numbers.number(value)
    return gettext("%(name)s: %(value)s") % {
        "name": example_words.fact_name(name),
        "value": transcripts.unhidden(said),
    }


@register.simple_tag
def heat_level(level: int) -> str:
    """The class of a strength: `for-3`, `against-1`, or none."""
    return f"{'for' if level > 0 else 'against'}-{abs(level)}" if level else "none"


@register.simple_tag
def signed_bar(share: float) -> SafeString:
    """A bar from the middle to the right or left. Its number stands beside it."""
    length = round(58 * min(1.0, abs(share)), 1)
    return format_html(
        '<svg class="signed {}" viewBox="0 0 120 12" width="120" height="12" aria-hidden="true" focusable="false">'
        '<path d="M60 0v12"></path><rect x="{}" y="2" width="{}" height="8"></rect></svg>',
        "for" if share >= 0 else "against",
        60 if share >= 0 else round(60 - length, 1),
        length,
    )


register.filter("signed", heats.signed)
register.filter("picture_title", example_words.picture_title)
register.filter("picture_alt", example_words.picture_alt)
register.filter("slice_column", slice_words.slice_column)
register.filter("heat_title", example_words.heat_title)
register.filter("feature_name", example_words.feature_name)
register.filter("meaning_of", words.meaning)
register.filter("short_reason", words.short_reason)
register.filter("applies_to", words.applies_to)
register.filter("chart_title", chart_words.chart_title)
register.filter("chart_column", chart_words.chart_column)
register.filter("interval_method", words.interval_method)
register.filter("example_side", example_words.example_side)
register.filter("example_kind", example_words.example_kind)
register.filter("unhidden", transcripts.unhidden)
register.filter("speaker_name", example_words.speaker_name)
