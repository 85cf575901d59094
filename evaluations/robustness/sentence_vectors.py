"""Sentences as vectors of MiniLM, and how alike two of them are. Needs no TextAttack, so that merge can ask it too."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations.engine.lockstep import ask
from evaluations.models import hf_folder, text_batches
from evaluations.models.protocol import Usage
from evaluations.robustness.lexical import demand

if TYPE_CHECKING:
    from numpy.typing import NDArray

LONGEST = 256  # tokens that the encoder was trained on
KEPT = 2**14  # sentences whose vectors are kept


class Encoder:
    """Sentences to unit vectors: mean of the last layer over the tokens, as all-MiniLM-L6-v2 is meant to be used."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = hf_folder.tokenizer_of(folder)
        self.network = hf_folder.network_of(folder, "AutoModel", "Run `make setup`.")
        self.device = hf_folder.device()
        self._kept: OrderedDict[str, Any] = OrderedDict()

    def encode(self, sentences: Sequence[str]) -> Any:
        """A float32 CPU tensor (n, 384). What attacks side by side ask for is encoded together."""
        import torch

        new = [s for s in dict.fromkeys(sentences) if s not in self._kept]
        found = {s: self._kept[s] for s in sentences if s in self._kept}  # others may push them out meanwhile
        found.update(zip(new, ask(self._encode, new) if new else (), strict=True))
        self._kept.update(found)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return torch.stack([found[s] for s in sentences])

    def _encode(self, sentences: list[str]) -> Any:
        import torch

        out = torch.empty((len(sentences), self.network.config.hidden_size))
        encoded = text_batches.encode(self.tokenizer, sentences, LONGEST, Usage())
        for rows, batch in text_batches.batches(self.tokenizer, encoded, self.device):
            batch = batch.to(self.device)
            with torch.inference_mode():
                states = self.network(**batch).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(-1).float()
            mean = (states * mask).sum(dim=1) / mask.sum(dim=1)
            out[torch.from_numpy(rows)] = torch.nn.functional.normalize(mean, dim=1).float().cpu()
        return out

    def similarities(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
        """Cosine of each pair of texts."""
        if not pairs:
            return np.empty(0)
        one = self.encode([a for a, _ in pairs])
        other = self.encode([b for _, b in pairs])
        found: NDArray[np.float64] = (one * other).sum(dim=1).double().numpy()
        return np.clip(found, -1.0, 1.0)


@functools.cache
def encoder(resources: Path) -> Encoder:
    """The sentence encoder among these resources, once per process."""
    return Encoder(demand("minilm", resources))
