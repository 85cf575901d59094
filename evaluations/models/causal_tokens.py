"""Texts to tokens for causal language models: which tokens are context, and which are scored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evaluations.engine.continuations import Request
from evaluations.models.protocol import Usage


class Tokens:
    """A tokenizer beside what the model reads at most, and the token that a text without context follows."""

    def __init__(self, tokenizer: Any, longest: int) -> None:
        self.tokenizer, self.longest = tokenizer, longest
        start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        self.start: int | None = start
        self._begins = tokenizer.convert_ids_to_tokens(start) if start is not None else None
        self._prefix = self._put_in_front()

    def _put_in_front(self) -> list[int]:
        """Special tokens that the tokenizer puts before every text."""
        bare = self.tokenizer("a", add_special_tokens=False)["input_ids"]
        whole = self.tokenizer("a", add_special_tokens=True)["input_ids"]
        for n in range(len(whole) - len(bare) + 1):
            if whole[n : n + len(bare)] == bare:
                return list(whole[:n])
        return []

    def plain(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids without special tokens."""
        return list(self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]) if texts else []

    def read(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids as the model reads them: with the start token where its tokenizer puts one, once."""
        begun = [self._begins is not None and text.startswith(self._begins) for text in texts]
        return [
            ids if has else [*self._prefix, *ids] for has, ids in zip(begun, self.plain(texts), strict=True)
        ]

    def pairs(self, pairs: Sequence[tuple[str, str]], usage: Usage) -> list[Request | None]:
        """Context and continuation of each pair, tokenised together; None where nothing can be scored."""
        moved = [spaces_moved(context, continuation) for context, continuation in pairs]
        contexts = list(dict.fromkeys(context for context, _ in moved if context))
        known = dict(zip(contexts, self.read(contexts), strict=True))
        joint = iter(self.read([context + continuation for context, continuation in moved if context]))
        bare = iter(self.plain([continuation for context, continuation in moved if not context]))
        found = []
        for context, _ in moved:
            split = _split(known[context], next(joint)) if context else self._after_start(next(bare))
            found.append(self._cut(*split, usage))
        return found

    def beginnings(self, texts: Sequence[str], usage: Usage) -> list[Request | None]:
        """The first tokens of each text, as many as the model reads at once; None where there are none to predict."""
        found: list[Request | None] = []
        for ids in self.plain(texts):
            context, rest = self._after_start(ids)
            usage.truncated += len(rest) > self.longest
            found.append(Request(tuple(context), tuple(rest[: self.longest])) if rest else None)
        return found

    def _after_start(self, ids: list[int]) -> tuple[list[int], list[int]]:
        """What has no context follows the start token; a text that begins with it is not given a second one."""
        if self.start is None or ids[:1] == [self.start]:
            return ids[:1], ids[1:]
        return [self.start], ids

    def _cut(self, context: list[int], continuation: list[int], usage: Usage) -> Request | None:
        """Tokens beyond what the model reads are lost on the left, of the context only."""
        if not context or not continuation or len(continuation) > self.longest:
            return None
        room = self.longest + 1 - len(continuation)  # the last token is predicted, not read
        usage.truncated += len(context) > room
        return Request(tuple(context[-room:]), tuple(continuation))


def spaces_moved(context: str, continuation: str) -> tuple[str, str]:
    """White space at the end of the context goes to the continuation, since tokens begin with it."""
    kept = context.rstrip()
    return kept, context[len(kept) :] + continuation


def _split(context: list[int], whole: list[int]) -> tuple[list[int], list[int]]:
    """The context as it reads alone, and what the joint text has beyond it.

    Where the boundary's characters fuse so far that nothing is left, the split is at the first token
    that differs.
    """
    if len(whole) > len(context):
        return context, whole[len(context) :]
    same = 0
    while same < len(whole) and context[same] == whole[same]:
        same += 1
    return whole[:same], whole[same:]


def windows(ids: Sequence[int], start: int | None, longest: int) -> list[Request] | None:
    """Disjoint windows over a text: every token is predicted once, each from what the window before it holds.

    The first from the start token, later ones from the last token before them, a last and shorter one from
    as much as the model reads. None where the model knows no start token.
    """
    if start is None:
        return None
    found = []
    for begin in range(0, len(ids), longest):
        end = min(begin + longest, len(ids))
        context = ids[max(0, end - longest - 1) : begin] if begin else [start]
        found.append(Request(tuple(context), tuple(ids[begin:end])))
    return found
