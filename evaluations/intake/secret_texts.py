"""Finds credentials that were left in the files of a model: tokens, private keys, passwords in addresses. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_FOUND = 5
MAX_TRIES = 100_000  # beginnings of each kind that are looked at: a file of nothing else is made to be slow


@dataclass(frozen=True)
class Secret:
    """What was found, with enough of it to find it again and too little to use it."""

    kind: str
    masked: str
    at: int  # byte


# What each kind begins with (found fast in megabytes of text), and the whole of it from there.
_KINDS: tuple[tuple[str, tuple[bytes, ...], re.Pattern[bytes]], ...] = (
    ("an AWS access key", (b"AKIA", b"ASIA"), re.compile(rb"A[KS]IA[A-Z2-7]{16}(?![A-Za-z0-9])")),
    ("a Google API key", (b"AIza",), re.compile(rb"AIza[0-9A-Za-z_-]{35}(?![0-9A-Za-z_-])")),
    ("a Google OAuth token", (b"ya29.",), re.compile(rb"ya29\.[0-9A-Za-z_-]{40,400}")),
    (
        "a Hugging Face token",
        (b"hf_", b"api_org_"),
        re.compile(rb"(?:hf_|api_org_)[A-Za-z]{34}(?![0-9A-Za-z])"),
    ),
    (
        "a GitHub token",
        (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_"),
        re.compile(rb"gh[pousr]_[A-Za-z0-9]{36,255}"),
    ),
    ("a GitHub token", (b"github_pat_",), re.compile(rb"github_pat_[A-Za-z0-9_]{60,255}")),
    ("a GitLab token", (b"glpat-",), re.compile(rb"glpat-[A-Za-z0-9_-]{20,255}")),
    ("an Anthropic key", (b"sk-ant-",), re.compile(rb"sk-ant-[A-Za-z0-9_-]{40,255}")),
    (
        "an OpenAI key",
        (b"sk-",),
        re.compile(
            rb"sk-(?:(?:proj|svcacct|admin)-[A-Za-z0-9_-]{40,255}|[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}|[A-Za-z0-9]{48}(?![A-Za-z0-9]))"
        ),
    ),
    (
        "a Slack token",
        (b"xoxb-", b"xoxp-", b"xoxa-", b"xoxs-"),
        re.compile(rb"xox[bpas]-[0-9A-Za-z-]{20,255}"),
    ),
    ("an npm token", (b"npm_",), re.compile(rb"npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])")),
    (
        "a private key",
        (b"-----BEGIN ",),
        re.compile(rb"-----BEGIN (?:[A-Z]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"),
    ),
)
_ADDRESS = re.compile(
    rb"[A-Za-z][A-Za-z0-9+.-]{1,20}://([^\s/:@\"'<>`]{0,100}):([^\s/@\"'<>`]{1,200})@[A-Za-z0-9\[]"
)
_SCHEME = 22  # bytes before "://" that may belong to it
# What manuals write where a secret belongs.
_PLACEHOLDER = re.compile(
    rb"(?i)(?:x{3,}|\*+|\.{3,}|pass(?:word|wd)?|pwd|secret|token|your.*|example|\$.*|\{.*|%.*|\[.*)"
)


def find(data: bytes) -> list[Secret]:
    """The credentials in a text, in the order of the kinds; five at most."""
    found: list[Secret] = []
    for kind, beginnings, pattern in _KINDS:
        for beginning in beginnings:
            at = data.find(beginning)
            tries = 0
            while at >= 0 and len(found) < MAX_FOUND and tries < MAX_TRIES:
                tries += 1
                match = pattern.match(data, at)
                if match and not _inside_a_word(data, at) and not match[0].endswith(b"EXAMPLE"):
                    found.append(Secret(kind, _masked(match[0], kind), at))
                at = data.find(beginning, match.end() if match else at + 1)
    at, tries = data.find(b"://"), 0
    while at >= 0 and len(found) < MAX_FOUND and tries < MAX_TRIES:
        tries += 1
        match = _ADDRESS.search(data, max(0, at - _SCHEME), at + 310)
        if match and not _PLACEHOLDER.fullmatch(match[2]):
            user = match[1].decode("ascii", "replace")[:20]
            found.append(Secret("a password in an address", f"{user}:…", match.start()))
            at = match.end()
        at = data.find(b"://", at + 3)
    return found


def _inside_a_word(data: bytes, at: int) -> bool:
    return at > 0 and (data[at - 1 : at].isalnum() or data[at - 1 : at] == b"_")


def _masked(value: bytes, kind: str) -> str:
    text = value.decode("ascii")
    return text if kind == "a private key" else f"{text[:6]}… ({len(text)} characters)"
