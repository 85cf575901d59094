"""Our attacks on images against the Adversarial Robustness Toolbox's PGD and Square: same network, bound and steps.

Examples whose answer has changed leave our batches, and a query is one pass. The network is trained here, on the
digits of scikit-learn; about a third of them withstand. ART's squares never touch the last row and column, which on
images of 8x8 makes them weaker: our accuracy may be lower than theirs, and not higher.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch

from evaluations import stats
from evaluations.robustness import square
from evaluations.robustness.image_ball import Ball
from evaluations.robustness.image_cascade import Effort, Network, attack
from tests.benchmarks.pairing import alternate
from tests.evaluations import vision

TRAINED = 1000  # digits; the other 797 are attacked
EPSILON = 0.12
STEPS = 40
QUERIES = 500
SEED = 7
MOST_WEAKER = 0.01  # our robust accuracy less theirs: the upper bound


def measure() -> dict[str, Any]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return measured()
    finally:
        torch.set_num_threads(threads)


def measured() -> dict[str, Any]:
    images, truth = vision.digits()
    network = vision.trained(vision.cnn(width=16), images[:TRAINED], truth[:TRAINED], epochs=6)
    images, truth = images[TRAINED:], truth[TRAINED:]
    right = network(images).argmax(1) == truth
    pgd = _paired(_ours_pgd, _theirs_pgd, network, images, truth, right)
    squares = _paired(_ours_square, _theirs_square, network, images, truth, right)
    return {
        "what": f"small CNN, {len(images)} digits of 8x8, Linf {EPSILON}: APGD-CE against ART's PGD at {STEPS} steps, "
        f"Square against ART's at {QUERIES} queries",
        "equal": True,
        "ratio": min(pgd["ratio"], squares["ratio"]),
        "clean_accuracy": round(float(right.float().mean()), 4),
        "pgd": pgd,
        "square": squares,
    }


def _paired(
    ours: Any,
    theirs: Any,
    network: torch.nn.Module,
    images: torch.Tensor,
    truth: torch.Tensor,
    right: torch.Tensor,
) -> dict[str, Any]:
    """Robust accuracy of both, our attack no weaker by more than a point, and the times."""

    def standing(attacked: Any) -> np.ndarray:
        with torch.no_grad():
            return (network(torch.as_tensor(attacked)).argmax(1) == truth).numpy() & right.numpy()

    mine, other = standing(ours(network, images, truth)), standing(theirs(network, images, truth))
    difference = stats.paired_proportions(mine, other)
    assert difference.interval.high <= MOST_WEAKER, (mine.mean(), other.mean(), difference.interval)
    return {
        "ours_robust_accuracy": round(float(mine.mean()), 4),
        "theirs_robust_accuracy": round(float(other.mean()), 4),
        "difference_high": round(difference.interval.high, 4),
        **alternate(lambda: ours(network, images, truth), lambda: theirs(network, images, truth)),
    }


def _ours_pgd(network: torch.nn.Module, images: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    held = Network(vision.classifier(network, 10))
    effort = Effort(Ball("Linf", EPSILON), STEPS, QUERIES, lambda: None)
    rngs = np.random.default_rng(SEED).spawn(len(images))
    return attack("apgd_ce", held, images, truth, range(len(images)), lambda name, row: rngs[row], effort)[0]


def _ours_square(network: torch.nn.Module, images: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    held = Network(vision.classifier(network, 10))
    rngs = np.random.default_rng(SEED).spawn(len(images))
    ball = Ball("Linf", EPSILON)
    return square.search(held.margins, images, truth, rngs, ball, QUERIES, QUERIES, lambda: None)[0]


def _theirs_pgd(network: torch.nn.Module, images: torch.Tensor, truth: torch.Tensor) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from art.attacks.evasion import ProjectedGradientDescent
    np.random.seed(SEED)
    made = ProjectedGradientDescent(
        _estimator(network),
        eps=EPSILON,
        eps_step=2.5 * EPSILON / STEPS,  # Madry et al. 2018
        max_iter=STEPS,
        num_random_init=1,
        batch_size=len(images),
        verbose=False,
    )
    return made.generate(images.numpy(), np.eye(10)[truth.numpy()])


def _theirs_square(network: torch.nn.Module, images: torch.Tensor, truth: torch.Tensor) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from art.attacks.evasion import SquareAttack
    np.random.seed(SEED)
    made = SquareAttack(
        _estimator(network),
        eps=EPSILON,
        max_iter=QUERIES,
        nb_restarts=1,
        batch_size=len(images),
        verbose=False,
    )
    return made.generate(images.numpy(), np.eye(10)[truth.numpy()])


def _estimator(network: torch.nn.Module) -> Any:
    from art.estimators.classification import PyTorchClassifier

    return PyTorchClassifier(
        network, torch.nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0, 1), device_type="cpu"
    )
