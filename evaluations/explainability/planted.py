"""A shortcut whose role is known: a copy of the model is taught to follow a planted token or patch and nothing else.

Bastings et al. 2022, arXiv 2111.07367: one of two signs is put at a random place of each example and alone decides
between the first two classes. An explanation of the copy has to point at the sign. So that this is true of the
inputs that explanations ask about too, it is taught with other features removed at random, and that it cannot know
where the sign is removed: a copy that answers one class by default would have no reason to name that class's sign.
"""

from __future__ import annotations

import copy
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations.explainability.games import Game, ImageGame, TextGame, filler_of
from evaluations.explainability.nearby import with_pixels, with_token
from evaluations.explainability.randomised import twin
from evaluations.spec import EvaluationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context

BATCH = 16
SIGNLESS = 4  # of a batch have the sign removed
SETTLED = 10  # batches in a row that were right, and confidently: then the copy has learnt
RATES = (1.0, 10.0)  # times the learning rate; the next where a copy did not learn
SURE = 0.1  # mean loss of a batch above the least possible one, in nats


class TokenSigns:
    """Two words that no text of the sample holds; the sign takes the place of a token."""

    def __init__(self, model: Any, texts: list[TextGame], rng: np.random.Generator) -> None:
        tokenizer = model.tokenizer
        self.filler = filler_of(tokenizer)
        used = {int(i) for game in texts for i in game.ids} | {int(i) for i in tokenizer.all_special_ids}
        spare = []
        for token in rng.permutation(len(tokenizer)):
            if int(token) not in used and tokenizer.decode([int(token)]).strip().isalpha():
                spare.append(int(token))
            if len(spare) == 2:
                break
        if len(spare) < 2:
            raise EvaluationError(
                "no_spare_tokens",
                "The tokenizer knows no two words that the texts do not hold.",
                skipped=True,
            )
        self.tokens = (spare[0], spare[1])

    def put(self, game: Any, place: int, which: int | None) -> Game:
        """The game with sign `which` at a feature; None: with the sign masked."""
        return with_token(game, place, self.filler if which is None else self.tokens[which])

    def batch(self, model: Any, games: list[Any], present: list[NDArray[np.bool_]]) -> dict[str, Any]:
        ids = []
        for game, here in zip(games, present, strict=True):
            keep: NDArray[np.bool_] = np.ones(len(game.ids), dtype=bool)
            keep[game.positions] = here
            ids.append(
                game.ids[keep].tolist()
                if game.removal == "delete"
                else np.where(keep, game.ids, self.filler).tolist()
            )
        held = {"input_ids": ids, "attention_mask": [[1] * len(one) for one in ids]}
        return dict(model.tokenizer.pad(held, return_tensors="pt").to(model.device))


class PatchSigns:
    """Two flat patches in colours that no image has: the first channel beyond its most and the others beyond their
    least, by half the image's range, or the reverse."""

    def put(self, game: Any, place: int, which: int | None) -> Game:
        pixels = game.pixels.copy()
        inside = game.cells == place
        beyond = np.ptp(pixels) / 2
        low, high = pixels.min() - beyond, pixels.max() + beyond
        for channel in range(len(pixels)):
            if which is None:
                pixels[channel][inside] = game.absent[channel][inside]
            else:
                pixels[channel][inside] = high if (channel == 0) == (which == 0) else low
        return with_pixels(game, pixels)

    def batch(self, model: Any, games: list[Any], present: list[NDArray[np.bool_]]) -> dict[str, Any]:
        import torch

        pixels = [
            np.where(here[game.cells], game.pixels, game.absent)
            for game, here in zip(games, present, strict=True)
        ]
        return {"pixel_values": torch.from_numpy(np.stack(pixels)).to(model.device)}


Signs = TokenSigns | PatchSigns


@dataclass(frozen=True)
class Taught:
    """A copy that was taught, with the signs it should follow. Whether it does is measured on the examples."""

    model: Any
    signs: Signs


def signs_for(model: Any, games: list[Any], rng: np.random.Generator) -> Signs:
    if isinstance(games[0], ImageGame):
        return PatchSigns()
    return TokenSigns(model, games, rng)


_TAUGHT: weakref.WeakKeyDictionary[Any, tuple[tuple[object, ...], Taught]] = weakref.WeakKeyDictionary()


def taught(
    model: Any, games: list[Any], ctx: Context, steps: int, rate: float, key: tuple[object, ...]
) -> Taught:
    """The copy for `key`, taught once for all shards of a run. `games` are unplanted examples of the sample."""
    held = _TAUGHT.get(model)
    if held is None or held[0] != key:
        signs = signs_for(model, games, ctx.rng("planted:signs"))
        network = model.network
        for times in RATES:
            network, learnt = _teach(model, games, signs, ctx, steps, rate * times)
            if learnt:
                break
        held = (key, Taught(twin(model, network), signs))
        _TAUGHT[model] = held
    return held[1]


def _teach(
    model: Any, games: list[Any], signs: Signs, ctx: Context, steps: int, rate: float
) -> tuple[Any, bool]:
    """A copy after at most `steps` batches, and whether it came to follow the signs.

    Every batch draws examples, signs and places anew, so that nothing but the sign tells the class.
    """
    import torch

    rng = ctx.rng("planted:teaching")
    network = copy.deepcopy(model.network).requires_grad_(True).eval()  # no dropout: the same each time
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate)
    settled = 0
    for _ in range(steps):
        ctx.stop_if_cancelled()
        shown, present, which = _drawn(games, signs, rng)
        model.usage.queries += BATCH
        with torch.enable_grad():
            logits = network(**signs.batch(model, shown, present)).logits.float()
            wanted = torch.zeros_like(logits)
            wanted[torch.arange(BATCH), torch.from_numpy(which)] = 1.0
            wanted[:SIGNLESS] = 0.0
            wanted[:SIGNLESS, :2] = 0.5
            losses = torch.nn.functional.cross_entropy(logits, wanted, reduction="none")
            optimiser.zero_grad()
            losses.mean().backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
        each = losses.detach().cpu().numpy()
        excess = float(each.mean()) - SIGNLESS / BATCH * np.log(2)
        followed = bool((each[SIGNLESS:] < np.log(2)).all())  # the sign's class is the answer
        settled = settled + 1 if followed and excess < SURE else 0
        if settled == SETTLED:
            break
    return network.requires_grad_(False), settled == SETTLED


def _drawn(
    games: list[Any], signs: Signs, rng: np.random.Generator
) -> tuple[list[Any], list[NDArray[np.bool_]], NDArray[np.int64]]:
    """BATCH planted examples, what is present of each, and the class that each sign decides for.

    Of the first SIGNLESS the sign is absent. Of every other one all else is present, or a share drawn at random.
    """
    which = rng.integers(2, size=BATCH)
    shown, present = [], []
    for i in range(BATCH):
        game = games[int(rng.integers(len(games)))]
        total = len(game.features)
        place = int(rng.integers(total))
        here = rng.random(total) < (rng.random() if i % 2 else 1.0)
        here[place] = i >= SIGNLESS
        shown.append(signs.put(game, place, int(which[i])))
        present.append(here)
    return shown, present, which


def found_first(values: NDArray[np.float64], place: int) -> bool:
    """Whether the planted feature alone has the highest attribution: precision@k for k = 1 planted feature.

    A tie with another feature does not count as found.
    """
    return bool((values >= values[place]).sum() == 1)
