"""A prompt as a game: what is explained is the continuation that the model itself writes, greedily."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations.engine import continuations
from evaluations.engine.continuations import Request
from evaluations.explainability.games import Removal, filler_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


class LanguageGame:
    """Features are the tokens of the prompt, special ones excepted. The one output, of class 0, is the probability
    per token (geometric mean) of the continuation that follows the whole prompt. Without any token it follows the
    start token. A prompt longer than the model reads loses its beginning.
    """

    def __init__(self, model: Any, prompt: str, removal: Removal = "delete", written: int = 5) -> None:
        self.model = model
        self.removal = removal
        read = model.tokens.read([prompt])[0][-max(1, model.tokens.longest - written) :]
        self.ids: NDArray[np.int64] = np.array(read, dtype=np.int64)
        special = np.isin(self.ids, list(model.tokenizer.all_special_ids))
        self.positions: NDArray[np.int64] = np.flatnonzero(~special)
        self.features = tuple(model.tokenizer.decode([int(i)]) for i in self.ids[self.positions])
        self.filler = filler_of(model.tokenizer) if removal == "mask" else -1
        self.continuation = self._greedy(written) if len(self.ids) else ()
        self.answer: str = model.tokenizer.decode(list(self.continuation))

    def outputs(self, present: NDArray[np.bool_]) -> NDArray[np.float64]:
        keep: NDArray[np.bool_] = np.ones((len(present), len(self.ids)), dtype=bool)
        keep[:, self.positions] = present
        if self.removal == "mask":
            contexts = [tuple(row) for row in np.where(keep, self.ids, self.filler).tolist()]
        else:
            contexts = [tuple(self.ids[row].tolist()) for row in keep]
        start = self.model.tokens.start
        asked = [Request(context or (start,), self.continuation) for context in contexts]
        found = np.full((len(present), 1), np.nan)
        if start is None and not all(contexts):
            return found
        self.model.usage.queries += len(asked)
        self.model.usage.tokens += sum(len(r.context) + len(r.continuation) for r in asked)
        scored = continuations.score(self.model.network, asked, self.model.device)
        found[:, 0] = np.exp([one.logprob / len(self.continuation) for one in scored])
        return found

    def _greedy(self, written: int) -> tuple[int, ...]:
        """The most probable tokens one after the other, up to the model's end of text; at least one."""
        import torch

        ids = torch.tensor(self.ids[None], device=self.model.device)
        made: list[int] = []
        with torch.inference_mode():
            while len(made) < written:
                best = int(self.model.network(input_ids=ids).logits[0, -1].argmax())
                if made and best == self.model.tokenizer.eos_token_id:
                    break
                made.append(best)
                ids = torch.cat([ids, torch.tensor([[best]], device=ids.device)], dim=1)
        self.model.usage.queries += 1
        return tuple(made)
