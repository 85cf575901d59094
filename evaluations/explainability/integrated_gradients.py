"""Integrated gradients (captum) of the probability of a class, from the game's absent input to the input itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations.explainability.attributing import Attribution
from evaluations.explainability.games import Game, ImageGame, Remembered, TextGame
from evaluations.spec import Access, EvaluationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS = 50  # captum's own number, at Gauss-Legendre points
TOKENS_AT_ONCE = 4096  # in a forward pass with gradients
PIXELS_AT_ONCE = 8 * 3 * 224 * 224


def explain(game: Game, target: int, steps: int = STEPS) -> Attribution:
    """Of tokens by the embedding layer, of cells by the pixels; nothing present is where the path begins.

    Raises EvaluationError, as skipped, where the model gives no gradients.
    """
    if isinstance(game, Remembered):
        game = game.game
    model: Any = getattr(game, "model", None)
    if not isinstance(game, TextGame | ImageGame) or Access.GRAD not in getattr(model, "access", Access(0)):
        raise EvaluationError(
            "no_gradients",
            "Integrated gradients need a network in safetensors that reads texts or images. Choose another method, "
            "or 'auto'.",
            skipped=True,
        )
    for parameter in model.network.parameters():
        parameter.requires_grad_(False)
    values, delta, base, output = (
        of_text(game, model, target, steps)
        if isinstance(game, TextGame)
        else of_image(game, model, target, steps)
    )
    model.usage.queries += steps + 2
    return Attribution(values, base, output, steps + 2, delta=delta)


Found = tuple["NDArray[np.float64]", float, float, float]  # values, convergence delta, both ends


def of_text(game: TextGame, model: Any, target: int, steps: int) -> Found:
    import torch
    from captum.attr import LayerIntegratedGradients

    if game.removal != "mask":
        raise EvaluationError(
            "no_gradients",
            "Integrated gradients need a token in place of a removed one. Set removal to 'mask'.",
            skipped=True,
        )
    here = torch.tensor(game.ids[None], device=model.device)
    absent = here.clone()
    absent[0, game.positions] = game.filler

    def probability(ids: Any) -> Any:
        logits = model.network(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        return torch.softmax(logits.double(), dim=1)[:, target]

    method = LayerIntegratedGradients(probability, model.network.get_input_embeddings())
    made, delta = method.attribute(
        here,
        baselines=absent,
        n_steps=steps,
        internal_batch_size=max(1, TOKENS_AT_ONCE // here.shape[1]),
        return_convergence_delta=True,
    )
    by_token = made.double().sum(dim=-1)[0].cpu().numpy()
    return (np.asarray(by_token[game.positions]), float(delta[0]), *_ends(probability, absent, here))


def of_image(game: ImageGame, model: Any, target: int, steps: int) -> Found:
    import torch
    from captum.attr import IntegratedGradients

    here = torch.tensor(np.ascontiguousarray(game.pixels[None]), device=model.device)
    absent = torch.tensor(np.ascontiguousarray(game.absent[None]), device=model.device)

    def probability(pixels: Any) -> Any:
        return torch.softmax(model.network(pixel_values=pixels).logits.double(), dim=1)[:, target]

    made, delta = IntegratedGradients(probability).attribute(
        here,
        baselines=absent,
        n_steps=steps,
        internal_batch_size=max(1, PIXELS_AT_ONCE // here[0].numel()),
        return_convergence_delta=True,
    )
    by_pixel = made.double().sum(dim=1)[0].cpu().numpy()
    by_cell = np.bincount(game.cells.ravel(), by_pixel.ravel(), len(game.features))
    return (by_cell, float(delta[0]), *_ends(probability, absent, here))


def _ends(probability: Any, absent: Any, here: Any) -> tuple[float, float]:
    import torch

    with torch.inference_mode():
        return float(probability(absent)[0]), float(probability(here)[0])
