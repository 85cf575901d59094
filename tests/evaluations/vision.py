"""Small image classifiers trained here, on the digits that scikit-learn brings along, and stand-ins by formula."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import nn

from evaluations.models.image_hf import HuggingFaceImageClassifier
from evaluations.models.images import Preparation
from evaluations.robustness.image_ball import Ball
from evaluations.robustness.image_losses import cross_entropy

SIDE = 8


class Wrapped(nn.Module):
    """A network as transformers calls it: images with values from 0 to 1 as pixel_values, logits by name."""

    def __init__(self, inner: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, pixel_values: torch.Tensor) -> Any:
        return SimpleNamespace(logits=self.inner(pixel_values))


def classifier(
    network: Callable[[torch.Tensor], torch.Tensor], classes: int, side: int = SIDE
) -> HuggingFaceImageClassifier:
    """An image model of grey images of `side` pixels, around any network of units."""
    from transformers import ViTImageProcessorPil

    processor = ViTImageProcessorPil(size={"height": side, "width": side}, do_normalize=False)
    if isinstance(network, nn.Module):
        network = network.eval().requires_grad_(False)
    labels = tuple(str(k) for k in range(classes))
    return HuggingFaceImageClassifier(Wrapped(network), Preparation(processor, 1), labels, "cpu")


@functools.cache
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """1,797 grey images (n, 1, 8, 8) with values that 8 bits hold, and their digits, shuffled."""
    from sklearn.datasets import load_digits

    held = load_digits()
    order = np.random.default_rng(0).permutation(len(held.target))
    levels = np.round(held.images[order] / 16 * 255).astype(np.float32) / np.float32(255)
    return torch.from_numpy(levels)[:, None], torch.from_numpy(held.target[order])


def cnn(classes: int = 10, seed: int = 0, width: int = 16) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, padding=1, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2 * width * (SIDE // 2) ** 2, classes),
    )


def trained(
    network: nn.Module,
    images: torch.Tensor,
    truth: torch.Tensor,
    epochs: int = 10,
    epsilon: float = 0.0,
    steps: int = 7,
    seed: int = 0,
) -> nn.Module:
    """Trained with Adam; with an epsilon on attacked images, as Madry et al. 2018 (arXiv 1706.06083) do."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    ball = Ball("Linf", epsilon)
    for _ in range(epochs):
        for part in torch.randperm(len(images), generator=generator).split(64):
            shown, right = images[part], truth[part]
            if epsilon:
                noise = torch.rand(shown.shape, generator=generator) * 2 - 1
                shown = _ascended(
                    network, shown, right, ball.nearest(shown + ball.scaled(noise), shown), ball, steps
                )
            optimiser.zero_grad()
            cross_entropy(network(shown), right, right).mean().backward()
            optimiser.step()
    return network.eval()


def _ascended(
    network: nn.Module, clean: torch.Tensor, truth: torch.Tensor, image: torch.Tensor, ball: Ball, steps: int
) -> torch.Tensor:
    for _ in range(steps):
        image = image.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(cross_entropy(network(image), truth, truth).sum(), image)
        image = ball.nearest(image.detach() + 2.5 * ball.epsilon / steps * gradient.sign(), clean)
    return image.detach()


def png(levels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(levels.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def table_of(images: torch.Tensor, truth: Sequence[int] | torch.Tensor) -> pd.DataFrame:
    """Grey images as files, with a label each."""
    levels = np.round(images.numpy()[:, 0] * 255)
    return pd.DataFrame(
        {
            "id": [f"d{i:04d}" for i in range(len(levels))],
            "image": [png(image) for image in levels],
            "label": [str(int(k)) for k in truth],
        }
    )


def levels_of(file: bytes) -> np.ndarray:
    """The values of an image file."""
    with Image.open(io.BytesIO(file)) as image:
        return np.array(image)
