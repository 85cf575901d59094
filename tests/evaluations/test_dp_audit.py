"""privacy.dp_audit: the published bound, honest runs that stand, memories that do not, and coins that were none."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special
from scipy import stats as distributions

from auditor.policies.rules import Demand, Measurement, Outcome, judge
from evaluations import catalogue
from evaluations.context import Context
from evaluations.privacy import dp_audit_numbers
from evaluations.privacy.canary_scores import Canaries
from evaluations.privacy.dp_audit import AuditParams
from evaluations.privacy.one_run import epsilon_lower_bound, p_value
from evaluations.spec import Access, DataRef, EvaluationError, EvaluationResult, Metric, MetricStatus, Role
from tests.evaluations import make, tasks
from tests.evaluations.cases.privacy_dp_audit import canaries, remembering

AUDIT = catalogue.get("privacy.dp_audit")
ROLES = {**make.TABULAR_ROLES, "included": Role.RANDOMISED_INCLUSION}
NO_MORE = Demand("<=", 0, "interval", 1)  # what a policy demands of `refuted`


def audited(table: pd.DataFrame, folder: Path, model: Any = None, **params: Any) -> EvaluationResult:
    asked = make.request(AUDIT.name, make.data_ref(table, folder, ROLES), **params)
    return make.evaluate(AUDIT, model or remembering(table), asked, folder)


def at(result: EvaluationResult, name: str) -> Metric:
    (found,) = (m for m in result.metrics if m.name == name)
    return found


def outcome(metric: Metric, demand: Demand) -> Outcome:
    low, high = (metric.interval.low, metric.interval.high) if metric.interval else (None, None)
    return judge(demand, Measurement(metric.value, low, high, metric.n, metric.status.value)).outcome


# --- the bound --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("m", "r", "v", "delta", "expected"),
    [
        (1000, 1000, 600, 0, 0.2975),
        (1000, 100, 95, 0, 2.1724),
        (1000, 100, 100, 1e-5, 3.4654),
        (5000, 250, 230, 1e-5, 2.0365),
        (1000, 200, 100, 0, 0),
        (1000, 100, 75, 1e-4, 0.6730),  # printed in the paper, appendix D
    ],
)
def test_the_bound_equals_published_and_recomputed_values(
    m: int, r: int, v: int, delta: float, expected: float
) -> None:
    assert epsilon_lower_bound(m, r, v, delta, 0.05) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(("r", "v"), [(10, 10), (50, 33), (200, 140), (1000, 999)])
def test_without_delta_the_bound_is_clopper_and_pearsons_lower_end_as_log_odds(r: int, v: int) -> None:
    share = special.betaincinv(v, r - v + 1, 0.05)
    assert epsilon_lower_bound(r, r, v, 0.0, 0.05) == pytest.approx(max(0, special.logit(share)), abs=1e-9)


def test_the_p_value_sums_the_probabilities_that_scipy_gives() -> None:
    for m, r, v, epsilon, delta in [
        (500, 60, 41, 0.4, 1e-4),
        (900, 300, 299, 3.0, 1e-5),
        (40, 40, 1, 2.0, 1e-2),
    ]:
        q = math.exp(epsilon) / (1 + math.exp(epsilon))
        below = [float(distributions.binom.pmf(range(v - i, v), r, q).sum()) / i for i in range(1, v + 1)]
        expected = float(distributions.binom.sf(v - 1, r, q)) + 2 * delta * m * max(below)
        assert p_value(m, r, v, epsilon, delta) == pytest.approx(min(1, expected), rel=1e-9)


def test_the_price_of_delta_is_the_dearest_step_counted_by_hand() -> None:
    # Binomial(2, ¾) at ε = ln 3: 1/16, 6/16, 9/16. Two right: P = 9/16; steps 1 and 2 cost 6/16 and (7/16)/2.
    assert p_value(4, 2, 2, math.log(3), 0.01) == pytest.approx(9 / 16 + 2 * 0.01 * 4 * 6 / 16, abs=1e-12)


def test_more_right_guesses_prove_more_and_a_larger_delta_or_more_canaries_prove_less() -> None:
    by_right = [epsilon_lower_bound(1000, 100, v, 1e-5, 0.05) for v in range(101)]
    by_delta = [epsilon_lower_bound(1000, 100, 95, d, 0.05) for d in (0, 1e-6, 1e-5, 1e-4, 1e-3)]
    by_canaries = [epsilon_lower_bound(m, 100, 95, 1e-5, 0.05) for m in (100, 1000, 10_000)]
    assert by_right == sorted(by_right)
    assert by_right[50] == 0 < by_right[70]
    assert by_delta == sorted(by_delta, reverse=True)
    assert by_canaries == sorted(by_canaries, reverse=True)
    ps = [p_value(1000, 100, 80, e, 1e-5) for e in np.linspace(0, 2, 41)]
    assert ps == sorted(ps)


# --- how often it errs -------------------------------------------------------------------------------


def drawn(rng: np.random.Generator, n: int, right: float) -> Canaries:
    """Canaries to which a mechanism answered with their coin, turned round with probability 1 − right."""
    included = rng.random(n) < 0.5
    said = included == (rng.random(n) < right)
    return Canaries(np.array([f"c{i}" for i in range(n)]), said.astype(float), included)


def context(seed: int = 7) -> Context:
    ref = DataRef(path="/nowhere", digest="data", format="parquet", roles=ROLES)
    return Context(make.request(AUDIT.name, ref, seed=seed), Path("/nowhere"))


@pytest.mark.parametrize("choose", ["fixed", "half"])
@pytest.mark.parametrize("epsilon", [1e-9, 1.0])
def test_honest_runs_are_wrongly_refuted_no_more_often_than_stated(epsilon: float, choose: str) -> None:
    """Randomised response attains its ε, so its claim is as near to false as a true one can be."""
    rng, right = np.random.default_rng(11), 1 / (1 + math.exp(-epsilon))
    params = AuditParams(claimed_epsilon=epsilon, delta=0, choose=choose)  # type: ignore[arg-type]
    violated = 0
    for run in range(200):
        found = dp_audit_numbers.audit(drawn(rng, 300, right), params, context(run))
        refuted = {m.name: m.value for m in dp_audit_numbers.measure(found, params)}["refuted"]
        violated += refuted == 1
    assert violated <= 21


def test_the_best_of_a_grid_on_the_same_canaries_would_err_far_more_often() -> None:
    """Why the number of guesses is fixed beforehand: scores that know nothing would show an ε all too often."""
    rng, shown = np.random.default_rng(3), 0
    for _ in range(300):
        scored = Canaries(np.arange(1000).astype(str), rng.random(1000), rng.random(1000) < 0.5)
        right = dp_audit_numbers.right_guesses(scored, np.zeros(1000))
        grid = range(25, 501, 25)
        shown += any(epsilon_lower_bound(1000, 2 * k, int(right[k]), 0, 0.05) > 0 for k in grid)
    assert 0.15 <= shown / 300 <= 0.40


def test_canaries_that_chose_the_number_of_guesses_do_not_count() -> None:
    """One half is known by heart, the other not at all: whichever chose, only the other's answers are counted."""
    params, ctx = AuditParams(claimed_epsilon=1.0, delta=0, choose="half"), context()
    blank = drawn(np.random.default_rng(1), 401, 1.0)
    first = np.argsort([ctx.rng(f"canary:{i}").random() for i in blank.ids])[:200]
    chose = np.isin(np.arange(401), first)
    rights = []
    for known in (chose, ~chose):
        scored = Canaries(blank.ids, np.where(known, blank.included, ~blank.included) * 1.0, blank.included)
        found = dp_audit_numbers.audit(scored, params, ctx)
        rights.append((found.canaries, found.hits / found.guesses))
    assert rights == [(201, 0.0), (201, 1.0)]


def test_a_claim_that_false_runs_break_is_refuted_most_of_the_time() -> None:
    rng, params = np.random.default_rng(2), AuditParams(claimed_epsilon=1.0, delta=1e-6)
    found = [dp_audit_numbers.audit(drawn(rng, 1000, 0.95), params, context(i)) for i in range(20)]
    refuted = [dp_audit_numbers.measure(f, params)[1].value for f in found]
    assert sum(v == 1 for v in refuted) >= 19


# --- what a policy can make of it -----------------------------------------------------------------------


def test_what_is_not_refuted_never_passes_and_what_is_refuted_fails(tmp_path: Path) -> None:
    for n in (60, 600):
        table = canaries(n)
        idle = audited(table, tmp_path, make.Answering(make.logistic), claimed_epsilon=1.0)
        assert at(idle, "refuted").value == 0
        assert outcome(at(idle, "refuted"), NO_MORE) is Outcome.INCONCLUSIVE
        assert (
            outcome(at(idle, "epsilon_lower_bound"), Demand("<=", 1.0, "interval", 1)) is Outcome.NOT_ASSESSED
        )
        assert any("no proof" in warning for warning in idle.warnings)
    caught = audited(canaries(600), tmp_path, claimed_epsilon=1.0)
    assert outcome(at(caught, "refuted"), NO_MORE) is Outcome.FAIL
    assert any(warning.startswith("Refuted") for warning in caught.warnings)


def test_thirty_canaries_never_pass_a_limit_on_right_guesses_that_three_thousand_miss() -> None:
    rng, demand = np.random.default_rng(4), Demand("<=", 0.6, "interval", 1)
    params = AuditParams(guessed=1.0)

    def passes(n: int, right: float) -> bool:
        found = dp_audit_numbers.audit(drawn(rng, n, right), params, context())
        return outcome(dp_audit_numbers.measure(found, params)[-1], demand) is Outcome.PASS

    assert sum(passes(30, 0.65) for _ in range(200)) <= 5
    assert not any(passes(3000, 0.65) for _ in range(10))
    assert sum(passes(30, 0.5) for _ in range(100)) <= sum(passes(3000, 0.5) for _ in range(10)) * 10


def test_a_claim_that_no_guesses_could_refute_is_not_said_to_have_stood(tmp_path: Path) -> None:
    result = audited(canaries(60), tmp_path, claimed_epsilon=8.0)
    assert at(result, "refuted").status is MetricStatus.NOT_ESTIMABLE
    assert "could not be refuted" in at(result, "refuted").reason
    assert at(result, "epsilon_lower_bound").value is not None


def test_without_a_claim_the_bound_stands_alone(tmp_path: Path) -> None:
    result = audited(canaries(60), tmp_path)
    assert {m.name for m in result.metrics if m.value is None} == {"refuted", "claim_p"}


def test_too_few_guesses_to_prove_anything_give_no_number(tmp_path: Path) -> None:
    result = audited(canaries(30), tmp_path, claimed_epsilon=1.0, guessed=0.1)
    assert {m.status for m in result.metrics} == {MetricStatus.NOT_ESTIMABLE}
    assert "at least 6" in result.metrics[0].reason


# --- whose coins they are ---------------------------------------------------------------------------------


def refusal(table: pd.DataFrame, folder: Path, roles: dict[str, Role] = ROLES) -> EvaluationError:
    asked = make.request(AUDIT.name, make.data_ref(table, folder, roles))
    with pytest.raises(EvaluationError) as error:
        make.evaluate(AUDIT, remembering(canaries(len(table))), asked, folder)
    return error.value


def test_canaries_without_coin_flips_are_refused(tmp_path: Path) -> None:
    table = canaries(200)
    found = refusal(table, tmp_path, make.TABULAR_ROLES)
    assert (found.code, found.skipped) == ("randomised_inclusion_missing", True)
    for column in (1, [1] * 140 + [0] * 60, [0] * 150 + [1] * 50):
        assert refusal(table.assign(included=column), tmp_path).code == "coins_not_fair"
    assert refusal(table.assign(included=None), tmp_path).code == "no_canaries"
    assert (
        refusal(table.assign(included=["perhaps", *["1"] * 199]), tmp_path).code
        == "randomised_inclusion_values"
    )


def test_the_command_line_skips_data_without_the_role(tmp_path: Path) -> None:
    from evaluations import runner

    asked = make.request(AUDIT.name, make.data_ref(canaries(60), tmp_path, make.TABULAR_ROLES))
    with pytest.raises(EvaluationError) as error:
        runner.check_before_data(AUDIT, asked)
    assert (error.value.code, error.value.skipped) == ("randomised_inclusion_missing", True)


def test_fair_coins_are_not_refused() -> None:
    from evaluations.privacy import coins

    rng = np.random.default_rng(0)
    for _ in range(300):
        coins._check_fair("included", rng.random(int(rng.integers(30, 2000))) < 0.5)


def test_rows_that_are_no_canaries_are_neither_asked_nor_counted(tmp_path: Path) -> None:
    table = canaries(120)
    table["included"] = table.included.astype("Int64").where(table.index % 2 == 0)
    model = remembering(canaries(120))
    result = audited(table, tmp_path, model, guessed=0.4)
    assert model.usage.queries == result.coverage.attempted == 60
    assert at(result, "guess_accuracy").value == 1
    assert at(result, "guess_accuracy").n == 24


def test_canaries_without_an_answer_are_not_guessed(tmp_path: Path) -> None:
    table = canaries(400)

    def answer(rows: pd.DataFrame) -> np.ndarray:
        probs = make.logistic(rows)
        probs[rows.x.to_numpy() == table.x[0]] = np.nan
        return probs

    result = audited(table, tmp_path, make.Answering(answer), guessed=1.0)
    assert at(result, "guess_accuracy").n == 398
    assert result.coverage.failed == 1


def test_a_model_that_states_no_probabilities_is_skipped(tmp_path: Path) -> None:
    model = make.Answering(make.logistic)
    model.access = Access.LABEL  # type: ignore[misc]
    with pytest.raises(EvaluationError) as error:
        audited(canaries(60), tmp_path, model)
    assert (error.value.code, error.value.skipped) == ("no_access", True)


@pytest.mark.parametrize("with_target", [False, True])
def test_a_language_model_that_knows_its_canaries_is_found_out(with_target: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    table = pd.DataFrame({"id": [f"c{i:03d}" for i in range(100)], "included": rng.integers(0, 2, 100)})
    table["text"] = [f"the secret of number {i} is" for i in range(100)]
    table["secret"] = [f"{7919 * i % 9973:04d}" for i in range(100)]
    roles = {"id": Role.ID, "included": Role.RANDOMISED_INCLUSION, "text": Role.INPUT}
    known = set(table.text[table.included == 1]) | set(" " + table.secret[table.included == 1])
    if with_target:
        roles["secret"] = Role.TARGET
    model = tasks.Speaking(lambda context, text: -1.0 if text in known else -40.0)
    data = make.data_ref(table, tmp_path, roles)
    asked = make.request(AUDIT.name, data, tasks.SPEAKER, claimed_epsilon=1.0)
    result = make.evaluate(AUDIT, model, asked, tmp_path)
    assert at(result, "guess_accuracy").value == 1
    assert at(result, "refuted").value == 1
    assert bool(model.asked and isinstance(model.asked[0], tuple)) is with_target


def test_the_chart_marks_the_number_that_was_fixed_beforehand(tmp_path: Path) -> None:
    result = audited(canaries(600), tmp_path, claimed_epsilon=1.0)
    (chart,) = result.charts
    (decides,) = (row for row in chart.rows if row[3] == "yes")
    assert decides[:3] == (120, 120, 1.0)
    assert "exploratory" in chart.alt


# --- live -------------------------------------------------------------------------------------------------

WIDTH = 24


def planted(n: int, seed: int) -> tuple[Any, Any, np.ndarray]:
    """n canaries of noise with random labels, and their coins."""
    import torch

    made = torch.Generator().manual_seed(seed)
    x, y = torch.randn(n, WIDTH, generator=made), torch.randint(0, 2, (n,), generator=made)
    return x, y, np.random.default_rng(seed).random(n) < 0.5


def network(seed: int) -> Any:
    import torch

    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(WIDTH, 128), torch.nn.ReLU(), torch.nn.Linear(128, 2))


def found_out(net: Any, x: Any, y: Any, coins: np.ndarray, folder: Path, **params: Any) -> EvaluationResult:
    import torch

    columns = [f"x{j}" for j in range(WIDTH)]
    table = pd.DataFrame(x.numpy(), columns=columns).assign(
        id=[f"c{i:04d}" for i in range(len(x))],
        included=coins.astype(int),
        label=np.where(y.numpy() == 1, "yes", "no"),
    )
    roles = {"id": Role.ID, "label": Role.TARGET, "included": Role.RANDOMISED_INCLUSION}
    ref = make.data_ref(table, folder, roles | dict.fromkeys(columns, Role.INPUT))

    def answer(rows: pd.DataFrame) -> np.ndarray:
        with torch.inference_mode():
            logits = net(torch.tensor(rows[columns].to_numpy(), dtype=torch.float32)).double()
        return np.asarray(torch.softmax(logits, dim=1))

    model = make.Answering(answer)
    model.columns = tuple(columns)
    return make.evaluate(AUDIT, model, make.request(AUDIT.name, ref, **params), folder)


def test_a_model_trained_to_remember_its_canaries_shows_an_epsilon_of_one_and_more(tmp_path: Path) -> None:
    import torch

    x, y, coins = planted(600, seed=1)
    net, inside = network(1), torch.tensor(coins)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(150):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(net(x[inside]), y[inside]).backward()
        optimiser.step()
    result = found_out(net, x, y, coins, tmp_path, claimed_epsilon=1.0)
    bound = at(result, "epsilon_lower_bound").value
    assert bound is not None
    assert bound >= 1
    assert at(result, "refuted").value == 1


@pytest.mark.filterwarnings("ignore:Secure RNG", "ignore:Full backward hook")
def test_a_model_that_opacus_trained_privately_is_not_refuted(tmp_path: Path) -> None:
    import torch
    from opacus import PrivacyEngine

    x, y, coins = planted(600, seed=2)
    inside = torch.tensor(coins)
    net = network(2)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x[inside], y[inside]), batch_size=60)
    engine = PrivacyEngine(accountant="rdp")
    private, optimiser, batches = engine.make_private_with_epsilon(
        module=net,
        optimizer=torch.optim.SGD(net.parameters(), lr=0.5),
        data_loader=loader,
        target_epsilon=2.0,
        target_delta=1e-5,
        epochs=30,
        max_grad_norm=1.0,
    )
    for _ in range(30):
        for inputs, labels in batches:
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(private(inputs), labels).backward()
            optimiser.step()
    claimed = float(engine.get_epsilon(delta=1e-5))
    result = found_out(net, x, y, coins, tmp_path, claimed_epsilon=claimed, delta=1e-5)
    assert 1.5 < claimed <= 2.0
    assert at(result, "refuted").value == 0
    assert outcome(at(result, "refuted"), NO_MORE) is Outcome.INCONCLUSIVE
