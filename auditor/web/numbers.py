"""How numbers, sizes and times read on a page. Pure: no request, no database."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from auditor.reports import sentences

NO_VALUE = "–"


def number(value: float | None, unit: str = "", decimals: int = 3) -> str:
    """As the report's own sentences write it, with a true minus sign. None is a dash, never 0."""
    if unit == sentences.REFUTATION and value is not None:
        return _("refuted") if value else _("not refuted")
    if isinstance(value, int) and not unit:
        unit = "count"
    if unit == "count" and not float(value or 0).is_integer():
        decimals = 1  # a mean of counts
    return sentences.number(value, unit, decimals).replace("-", "−")


def _decimals(measured: Mapping[str, Any]) -> int:
    numbers = [measured.get("value"), measured.get("ci_low"), measured.get("ci_high")]
    return sentences.decimals_for(measured.get("limit"), numbers)


def value_of(measured: Mapping[str, Any]) -> str:
    """The value of a control or metric, with the decimals it takes to tell it from its limit."""
    return number(measured.get("value"), measured.get("unit") or "", _decimals(measured))


def interval_of(measured: Mapping[str, Any]) -> str:
    """`0.853–0.869`, or nothing where there is no interval."""
    low, high, unit = measured.get("ci_low"), measured.get("ci_high"), measured.get("unit") or ""
    if low is None or high is None or unit == sentences.REFUTATION:
        return ""
    places = _decimals(measured)
    if low < 0:  # a dash between signed numbers would read as a minus
        ends = {"low": number(low, unit, places), "high": number(high, unit, places)}
        return _("%(low)s to %(high)s") % ends
    return f"{number(low, unit, places)}–{number(high, unit, places)}"


def limit_of(control: Mapping[str, Any]) -> str:
    """`≥ 0.8`, kept on one line."""
    if control.get("unit") == sentences.REFUTATION:
        return number(control["limit"], control["unit"])
    text = sentences.limit_text(control["comparison"], control["limit"], control.get("unit") or "")
    return text.replace(" ", "\u00a0").replace("-", "−")


def moment(value: datetime | str | None) -> datetime | None:
    """A time zone-aware datetime from an RFC 3339 text or a datetime."""
    if not value:
        return None
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def day(value: datetime | str | None) -> str:
    """`21 Nov 2026`, as the language writes it."""
    found = moment(value)
    # Translators: a date in Django's date format, for example 21 Nov 2026
    return date_format(found.astimezone(UTC), _("j M Y")) if found else NO_VALUE


def minute(value: datetime | str | None) -> str:
    """`21 Nov 2026, 14:05 UTC`, as the language writes it."""
    found = moment(value)
    # Translators: a moment in Django's date format, for example 21 Nov 2026, 14:05 UTC
    return date_format(found.astimezone(UTC), _(r"j M Y, H:i \U\T\C")) if found else NO_VALUE


def duration(seconds: float | None) -> str:
    """A length of time in one or two units."""
    if seconds is None or seconds < 0:
        return NO_VALUE
    if seconds < 10:
        return _("%(seconds)s s") % {"seconds": f"{seconds:.1f}"}
    whole = round(seconds)
    if whole < 60:
        return _("%(seconds)s s") % {"seconds": whole}
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return _("%(minutes)s min %(seconds)s s") % {"minutes": minutes, "seconds": rest}
    hours, minutes = divmod(minutes, 60)
    return _("%(hours)s h %(minutes)s min") % {"hours": hours, "minutes": minutes}


def about(seconds: float) -> str:
    """How long something will still take, no more exact than it can be known."""
    if seconds < 60:
        return _("less than a minute left")
    minutes = math.ceil(seconds / 60)
    return ngettext("about %(n)s minute left", "about %(n)s minutes left", minutes) % {"n": minutes}


def size(count: int | None) -> str:
    """Bytes in binary units."""
    if count is None:
        return NO_VALUE
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            return (
                f"{amount:.0f}\u00a0{unit}" if unit == "B" or amount >= 100 else f"{amount:.1f}\u00a0{unit}"
            )
        amount /= 1024
    raise AssertionError("unreachable")


def short_digest(text: str | None) -> str:
    """`9f2c04…71ab`: enough of a digest to compare at a glance."""
    if not text:
        return NO_VALUE
    bare = text.removeprefix("sha256:")
    return bare if len(bare) <= 14 else f"{bare[:8]}…{bare[-4:]}"
