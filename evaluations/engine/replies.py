"""What an endpoint's reply means: an answer, a block by its content filter, a wait, a failure, or the end of asking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from evaluations.engine.transport import Reply

PATIENCE = 900.0  # seconds: a service that asks for a longer wait is not waited for
OVERLOADED = (429, 503, 529)
TRANSIENT = (408, 409, 425, 500, 502, 503, 504, 520, 522, 524, 529)
FILTERS = {
    "content_filter",  # OpenAI, Azure
    "content_policy_violation",
    "responsibleaipolicyviolation",
    "moderation_blocked",
    "data_inspection_failed",  # DashScope
}
QUOTA = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}

Kind = Literal["ok", "blocked", "error", "limited", "failed", "stop"]


@dataclass(frozen=True)
class Meaning:
    """ok and blocked are answers; error concerns this request alone; limited and failed are asked again;
    stop ends the asking, until a person has mended what `message` says."""

    kind: Kind
    code: str = ""
    message: str = ""


def meaning(reply: Reply, proven: bool) -> Meaning:
    """What to do about a reply. `proven`: the service has answered before, so that its address is right."""
    if reply.refusal is not None:
        return _refusal(reply)
    if 200 <= reply.status < 300:
        return Meaning("ok")
    codes, said = _codes(reply.body), _said(reply)
    if codes & FILTERS:
        return Meaning("blocked", "blocked", said)
    if reply.status == 402 or codes & QUOTA:
        return Meaning(
            "stop",
            "endpoint_quota",
            f"The provider's own quota or credit is used up ({said}). Raise it there and start again: what was "
            "answered is kept.",
        )
    if reply.status in OVERLOADED and (reply.status == 429 or reply.retry_after is not None):
        if (reply.retry_after or 0) > PATIENCE:
            return Meaning(
                "stop",
                "endpoint_rate_limited",
                f"The service asks to wait for {reply.retry_after:.0f} s ({said}). Start again then: what was "
                "answered is kept.",
            )
        return Meaning("limited", "endpoint_rate_limited", said)
    if reply.status in TRANSIENT:
        return Meaning("failed", "endpoint_failed", said)
    if 300 <= reply.status < 400:
        return Meaning(
            "stop",
            "endpoint_redirects",
            "The service answered with a redirect, and none is followed. Register the address that it leads to, if "
            "that is the service.",
        )
    if reply.status == 401:
        return Meaning(
            "stop",
            "endpoint_unauthorised",
            f"The service does not accept the credential ({said}). Store a valid one for this endpoint.",
        )
    if reply.status in (403, 404, 405) and not proven:
        return Meaning(
            "stop",
            "endpoint_not_found",
            f"The service does not answer at this address or for this model ({said}). Correct url, model or path "
            "in endpoint.json, or what the credential may do.",
        )
    return Meaning("error", "endpoint_refused", said)


def _refusal(reply: Reply) -> Meaning:
    if reply.refusal == "budget_reached":
        return Meaning(
            "stop",
            "budget_reached",
            f"{reply.message} What was answered is kept: an audit that supersedes this one with a larger budget "
            "(--supersedes) goes on from there.".strip(),
        )
    if reply.refusal == "egress_refused":
        return Meaning("stop", "egress_refused", reply.message)
    if reply.refusal == "endpoint_reply_too_large":
        return Meaning("error", "endpoint_reply_too_large", reply.message)
    return Meaning("failed", str(reply.refusal), reply.message)


def _codes(body: Any) -> set[str]:
    """The error codes in an error's body, lower case: those of OpenAI, Azure and what follows them."""
    error = body.get("error", body) if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return set()
    inner = error.get("innererror")
    found = [error.get("code"), error.get("type"), inner.get("code") if isinstance(inner, dict) else None]
    return {code.lower() for code in found if isinstance(code, str)}


def _said(reply: Reply) -> str:
    """The service's own words for people: printable and short."""
    body: Any = reply.body
    for name in ("error", "message", "detail"):
        if isinstance(body, dict) and name in body:
            body = body[name]
    text = "".join(c if c.isprintable() else " " for c in str(body if body is not None else ""))
    return f"status {reply.status}: {text[:200].strip()}".rstrip(": ")
