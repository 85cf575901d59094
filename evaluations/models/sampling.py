"""Seeded sampling of tokens inside transformers' generate: every text draws from a generator of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class SeededTokens:
    """A logits processor for greedy search: leaves each row one token, drawn at a temperature, or all at 0.

    Row i draws from `seeds[i]` alone, one uniform number per token, so that batches and order change
    nothing. `broken[i]` says whether the model gave row i what is no number.
    """

    def __init__(self, seeds: Sequence[int], temperature: float, top_p: float) -> None:
        self.temperature, self.top_p = temperature, top_p
        self.generators = [np.random.Generator(np.random.PCG64(seed)) for seed in seeds]
        self.broken: NDArray[np.bool_] = np.zeros(len(seeds), dtype=bool)

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        import torch

        undefined = torch.isnan(scores).any(dim=1) | ~torch.isfinite(scores).any(dim=1)
        rows = len(scores) // len(self.broken)  # beams of one text lie together
        self.broken |= undefined.view(-1, rows).any(dim=1).cpu().numpy()
        scores = torch.where(undefined[:, None], torch.zeros_like(scores), scores)
        if self.temperature == 0:
            return scores
        chosen = self.draw(torch.softmax(scores.double() / self.temperature, dim=1))
        only = torch.full_like(scores, -torch.inf)
        return only.scatter_(1, chosen[:, None], 0.0)

    def draw(self, probs: Any) -> Any:
        """One token per row of (n, V) probabilities, from the fewest that together reach `top_p`."""
        import torch

        ordered, tokens = torch.sort(probs, dim=1, descending=True, stable=True)
        reached = torch.cumsum(ordered, dim=1)
        kept = reached - ordered < self.top_p
        mass = (ordered * kept).sum(dim=1)
        uniform = torch.tensor([g.random() for g in self.generators], dtype=probs.dtype, device=probs.device)
        place = torch.searchsorted(reached, (uniform * mass)[:, None], right=True).squeeze(1)
        place = torch.minimum(place, kept.sum(dim=1) - 1)
        return tokens.gather(1, place[:, None]).squeeze(1)


def ended_at(text: str, stop: Sequence[str]) -> tuple[str, bool]:
    """The text before the first of the `stop` strings, and whether there was one."""
    places = [place for place in (text.find(end) for end in stop if end) if place >= 0]
    return (text[: min(places)], True) if places else (text, False)
