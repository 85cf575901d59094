"""Spares a text classifier the part of its last layer that its answer does not depend on.

Behind the last attention every token goes its own way, and the heads of these networks read the first one alone:
the other tokens' way through the rest of the last layer, an eighth of MiniLM's work, changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

LIKE_BERT = ("bert", "roberta", "xlm-roberta", "camembert", "electra")  # config.model_type


@contextmanager
def first_token_alone(network: Any) -> Iterator[None]:
    """Inside, the last layer of a network known for such a head goes on with the first token alone.

    What the classifier answers stays the same but for rounding; hidden states do not.
    """
    last = _behind_last_attention(network)
    if last is None:
        yield
        return
    hook = last.register_forward_pre_hook(_first)
    try:
        yield
    finally:
        hook.remove()


def _behind_last_attention(network: Any) -> Any:
    """The module that what the last attention gives enters first; None where the network is not a known one."""
    kind = getattr(getattr(network, "config", None), "model_type", None)
    if not type(network).__name__.endswith("ForSequenceClassification"):
        return None
    if kind in LIKE_BERT:
        return network.base_model.encoder.layer[-1].attention.output
    if kind == "distilbert":
        return network.base_model.transformer.layer[-1].sa_layer_norm
    return None


def _first(module: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
    """Of each input, (texts, tokens, width), the first token's."""
    return tuple(one[:, :1] for one in given)
