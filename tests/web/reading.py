"""A page as a reader sees it: its text without the mark-up."""

from __future__ import annotations

import re
from html import unescape

from django.http import HttpResponse


def text_of(response: HttpResponse) -> str:
    body = re.sub(r"(?s)<(script|style|svg)\b.*?</\1>", " ", response.content.decode())
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", body)).replace("\u00a0", " "))
