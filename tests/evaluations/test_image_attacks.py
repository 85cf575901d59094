"""Attacks on images against closed forms, scipy's optimisers and another library's attacks."""

from __future__ import annotations

import functools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import optimize

from evaluations.models import image_units
from evaluations.models.loader import load
from evaluations.robustness import image_losses, square
from evaluations.robustness.apgd import checkpoints
from evaluations.robustness.image_ball import Ball, Norm, onto_plane
from evaluations.robustness.image_cascade import Effort, Network, attack, targets_of
from evaluations.spec import EvaluationError
from tests.evaluations import kinds, vision

NORMS: tuple[Norm, ...] = ("Linf", "L2")


def rng_of(name: str, row: int) -> np.random.Generator:
    return np.random.default_rng([row, 7])


def effort(norm: Norm, epsilon: float, iterations: int = 20, queries: int = 200) -> Effort:
    return Effort(Ball(norm, epsilon), iterations, queries, lambda: None)


@functools.cache
def plain() -> torch.nn.Module:
    images, truth = vision.digits()
    return vision.trained(vision.cnn(width=8), images[:1000], truth[:1000], epochs=6)


@functools.cache
def answered_right() -> tuple[torch.Tensor, torch.Tensor]:
    """Held-out digits that `plain` gets right."""
    images, truth = (held[1000:1500] for held in vision.digits())
    right = plain()(images).argmax(1) == truth
    return images[right], truth[right]


# --- losses -------------------------------------------------------------------------------------------


def test_the_losses_are_those_of_a_table_reckoned_by_hand() -> None:
    logits = torch.tensor([[3.0, 1.0, 0.0, -1.0]] * 4)
    truth, target = torch.tensor([0, 1, 0, 1]), torch.tensor([2, 3, 1, 0])
    # −(z_y − max other)/(z_1 − z_3), and −(z_y − z_t)/(z_1 − ½(z_3 + z_4)), with z_1 = 3, z_3 = 0, z_4 = −1
    assert image_losses.dlr(logits, truth, target).tolist() == pytest.approx([-2 / 3, 2 / 3, -2 / 3, 2 / 3])
    assert image_losses.targeted_dlr(logits, truth, target).tolist() == pytest.approx(
        [-3 / 3.5, -2 / 3.5, -2 / 3.5, 2 / 3.5]
    )
    assert image_losses.margin(logits, truth).tolist() == [2, -2, 2, -2]
    for loss in (image_losses.dlr, image_losses.targeted_dlr):  # the scale of the outputs changes nothing
        assert loss(1000 * logits, truth, target).tolist() == pytest.approx(
            loss(logits, truth, target).tolist()
        )


def test_checkpoints_are_those_of_the_paper() -> None:
    assert checkpoints(100) == [22, 41, 57, 70, 80, 87, 93, 99]


def test_targets_are_the_likeliest_wrong_classes() -> None:
    logits = torch.tensor([[0.0, 3.0, 2.0, 1.0]])
    assert [int(t) for t in targets_of(logits, torch.tensor([1]))] == [2, 3, 0]
    assert len(targets_of(torch.zeros(1, 50), torch.tensor([0]))) == 9


# --- projections --------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", NORMS)
def test_moves_onto_a_plane_inside_the_box_are_the_shortest(norm: Norm) -> None:
    rng = np.random.default_rng(0)
    for case in range(30):
        point, weights = rng.random(6), rng.normal(size=6) * (rng.random(6) < 0.8)
        weights[0] = 1.0
        reachable = np.sort([np.minimum(weights, 0).sum(), np.maximum(weights, 0).sum()])
        offset = rng.uniform(*reachable)
        move = onto_plane(
            *(torch.tensor(held)[None] for held in (point, weights)), torch.tensor([offset]), norm
        )[0].numpy()
        assert weights @ (point + move) == pytest.approx(offset, abs=1e-6), case
        assert ((point + move >= -1e-9) & (point + move <= 1 + 1e-9)).all()
        if norm == "Linf":  # minimise s with −s ≤ d_i ≤ s
            best = optimize.linprog(
                [0.0] * 6 + [1.0],
                A_ub=np.block([[np.eye(6), -np.ones((6, 1))], [-np.eye(6), -np.ones((6, 1))]]),
                b_ub=np.zeros(12),
                A_eq=[[*weights, 0.0]],
                b_eq=[offset - weights @ point],
                bounds=[*((-p, 1 - p) for p in point), (0, None)],
            )
            assert np.abs(move).max() == pytest.approx(best.fun, abs=1e-6)
        else:
            best = optimize.minimize(
                lambda d: d @ d,
                move,
                jac=lambda d: 2 * d,
                method="SLSQP",
                bounds=[(-p, 1 - p) for p in point],
                constraints={
                    "type": "eq",
                    "fun": lambda d, w=weights, p=point, b=offset: w @ (p + d) - b,
                },
            )
            assert move @ move == pytest.approx(best.fun, abs=1e-5)


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_moves_onto_a_plane_do_not_depend_on_the_scale_of_its_normal(norm: Norm) -> None:
    generator = torch.Generator().manual_seed(0)
    points, normal = torch.rand((6, 30), generator=generator), torch.randn((6, 30), generator=generator)
    offset = (normal * points).sum(1) - 0.3
    moves = onto_plane(points, normal, offset, norm)
    for scale in (2.0**-40, 2.0**30):  # no rounding
        assert torch.equal(onto_plane(points, scale * normal, scale * offset, norm), moves)


def test_a_plane_out_of_reach_is_approached_as_far_as_the_box_goes() -> None:
    point, weights = torch.tensor([[0.3, 0.6]]), torch.tensor([[1.0, -2.0]])
    for norm in NORMS:
        assert (point + onto_plane(point, weights, torch.tensor([9.0]), norm)).tolist() == [[1.0, 0.0]]


# --- attacks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", ["apgd_ce", "fab_t"])
def test_a_linear_model_yields_exactly_where_its_margin_says(name: str, norm: Norm) -> None:
    rng = np.random.default_rng(1)
    weights = torch.tensor(rng.normal(size=16), dtype=torch.float32)
    images = torch.tensor(rng.uniform(0.4, 0.6, (300, 1, 4, 4)), dtype=torch.float32)

    def network(units: torch.Tensor) -> torch.Tensor:
        score = (units - 0.5).flatten(1) @ weights
        return torch.stack([-score, score], dim=1)

    truth = network(images).argmax(1)
    score = ((images - 0.5).flatten(1) @ weights).abs()
    # within the box, the smallest change that reaches the border is the margin over the dual norm
    needed = score / (weights.abs().sum() if norm == "Linf" else weights.norm())
    epsilon = float(needed.median())
    found, changed = attack(
        name,
        Network(vision.classifier(network, 2, 4)),
        images,
        truth,
        range(300),
        rng_of,
        effort(norm, epsilon),
    )
    clear = (needed - epsilon).abs() > 0.01 * epsilon
    assert clear.sum() > 280
    assert (changed == (needed < epsilon))[clear].all()
    assert (network(found).argmax(1) != truth)[changed].all()


@pytest.mark.parametrize(("norm", "epsilon"), [("Linf", 0.1), ("L2", 0.6)])
@pytest.mark.parametrize("name", ["apgd_ce", "apgd_dlr", "apgd_t", "fab_t", "square"])
def test_what_is_found_is_wrong_near_and_the_same_in_any_batch(name: str, norm: Norm, epsilon: float) -> None:
    images, truth = (held[:40] for held in answered_right())
    network = Network(vision.classifier(plain(), 10))
    found, changed = attack(name, network, images, truth, range(40), rng_of, effort(norm, epsilon))
    assert 10 <= changed.sum() <= 36
    assert (plain()(found).argmax(1) != truth)[changed].all()
    assert (found == images)[~changed].all()
    assert 0 <= found.min() <= found.max() <= 1
    assert Ball(norm, epsilon).size(found - images).max() <= epsilon + 1e-6
    some = [31, 4, 17, 0, 22]
    again, also = attack(name, network, images[some], truth[some], some, rng_of, effort(norm, epsilon))
    assert (also == changed[some]).all()
    assert torch.allclose(again, found[some], atol=1e-5)


def test_a_wider_bound_finds_more() -> None:
    images, truth = (held[:60] for held in answered_right())
    network = Network(vision.classifier(plain(), 10))
    found = [
        int(attack("apgd_ce", network, images, truth, range(60), rng_of, effort("Linf", epsilon))[1].sum())
        for epsilon in (0.03, 0.08, 0.15, 1.0)
    ]
    assert found[0] < found[1] < found[2] < found[3] == 60


def test_the_strength_is_that_of_another_librarys_attacks() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from art.attacks.evasion import AutoProjectedGradientDescent, SquareAttack
        from art.estimators.classification import PyTorchClassifier
    images, truth = answered_right()
    their = PyTorchClassifier(
        plain(), torch.nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0, 1), device_type="cpu"
    )
    network = Network(vision.classifier(plain(), 10))

    def withstood(attack: Any) -> float:
        made = attack.generate(images.numpy(), np.eye(10)[truth.numpy()])
        return float((their.predict(made).argmax(1) == truth.numpy()).mean())

    common = {"norm": np.inf, "eps": 0.1, "batch_size": 512, "verbose": False}
    np.random.seed(0)
    _, ours = attack("apgd_ce", network, images, truth, range(len(images)), rng_of, effort("Linf", 0.1))
    theirs = AutoProjectedGradientDescent(
        their, eps_step=0.2, max_iter=20, nb_random_init=1, loss_type="cross_entropy", **common
    )
    assert 1 - float(ours.float().mean()) == pytest.approx(withstood(theirs), abs=0.015)
    rngs = [rng_of("square", i) for i in range(len(images))]
    _, ours = square.search(network.margins, images, truth, rngs, Ball("Linf", 0.1), 200, 200, lambda: None)
    assert 1 - float(ours.float().mean()) <= withstood(SquareAttack(their, max_iter=200, **common)) + 0.02


def test_a_square_covers_what_the_papers_schedule_says() -> None:
    shares = {1: 0.8, 11: 0.8, 12: 0.4, 51: 0.4, 52: 0.2, 202: 0.1, 502: 0.05, 1002: 0.025, 9999: 0.8 / 512}
    assert {query: square.share_of(query, 10_000) for query in shares} == pytest.approx(shares)
    assert square.share_of(11, 500) == square.share_of(201, 10_000)


def test_the_bump_of_the_l2_square_has_two_heaps_and_norm_1() -> None:
    for side in (3, 5, 9):
        bump = square.bump(side)
        assert bump.norm().item() == pytest.approx(1, abs=1e-6)
        assert (bump[: side // 2] >= 0).all()
        assert (bump[side // 2 :] <= 0).all()


# --- the image's own values ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", kinds.NETWORKS)
def test_outputs_of_units_are_those_of_prepared_pixels(kind: str, tmp_path: Path) -> None:
    model: Any = load(kinds.tiny_image_network(tmp_path, kind))
    pixels = np.stack([model.prepare(kinds.picture(i)) for i in range(3)])
    units = model.units.of_pixels(pixels)
    assert 0 <= units.min() < units.max() <= 1
    assert np.abs(units * 255 - np.round(units * 255)).max() < 1e-4  # what 8 bits hold
    given = torch.from_numpy(units).to(model.device).requires_grad_()
    logits = model.logits_of_units(given)
    assert torch.allclose(logits.cpu(), model.logits(pixels), atol=1e-5)
    (gradient,) = torch.autograd.grad(logits.sum(), given)
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize(
    "change",
    [
        lambda pixels: pixels[::-1],  # blue first
        lambda pixels: np.pad(pixels, ((0, 0), (4, 4), (0, 0)), constant_values=0.5),
        lambda pixels: pixels**2,
    ],
    ids=["reordered", "padded", "curved"],
)
def test_a_preparation_that_is_no_scale_and_shift_is_refused(change: Any) -> None:
    class Odd:
        mode = "RGB"

        def of_picture(self, picture: Any) -> Any:
            return change(np.moveaxis(np.array(picture, dtype=np.float32) / 255, -1, 0))

    with pytest.raises(EvaluationError, match="preprocessor_config") as error:
        image_units.units_of(Odd())  # type: ignore[arg-type]
    assert error.value.code == "image_units"
    assert error.value.skipped
