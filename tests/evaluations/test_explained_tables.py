"""Trees and linear models as SHAP reads them, held against enumeration of all coalitions of columns."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from evaluations.explainability import opened
from evaluations.explainability.attributing import EXPLAINERS
from evaluations.explainability.attribution_asking import chosen
from evaluations.explainability.games import TableGame
from evaluations.models.loader import load
from evaluations.models.tabular_skops import of_estimator
from evaluations.spec import EvaluationError, Modality, ModelFormat, ModelRef
from tests.evaluations.test_shapley import exact_shapley

RNG = np.random.default_rng(0)


def table(n: int = 160) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(rng.normal(size=(n, 4)), columns=list("abcd"))


X = table()
TWO = (X.a + X.b * X.c > 0).astype(int)
THREE = np.digitize(X.a + X.b * X.c, [-0.5, 0.5])


def game_of(model: Any) -> TableGame:
    return TableGame(model, X.iloc[[3]], X.iloc[10:22])


class LogOdds:
    """The same game with the log-odds of one class against another, averaged over the background."""

    def __init__(self, game: TableGame, against: int = 0, of: int = 1) -> None:
        self.features, self.game = game.features, game
        self.against, self.of = against, of

    def outputs(self, present: Any) -> Any:
        found = []
        for held in present:
            rows = self.game.background.copy()
            for k, name in enumerate(rows.columns):
                if held[k]:
                    rows[name] = self.game.row[name].iloc[0]
            p = self.game.model.predict_proba(rows).probs
            found.append(np.log(p[:, self.of] / p[:, self.against]).mean())
        return np.array(found)[:, None]


FORESTS = {
    "forest": (RandomForestClassifier(8, max_depth=4, random_state=0), THREE),
    "tree": (DecisionTreeClassifier(max_depth=4, random_state=0), TWO),
    "scaled": (
        make_pipeline(StandardScaler(), RandomForestClassifier(8, max_depth=4, random_state=0)),
        TWO,
    ),
}


@pytest.mark.parametrize(("estimator", "truth"), FORESTS.values(), ids=FORESTS)
def test_forests_are_explained_exactly_in_probability(estimator: Any, truth: Any) -> None:
    game = game_of(of_estimator(estimator.fit(X, truth)))
    for target in range(len(game.model.labels)):
        found = EXPLAINERS["tree_shap"](game, target, RNG)
        assert found.unit == "probability"
        np.testing.assert_allclose(found.values, exact_shapley(game, target), atol=1e-6)
        assert found.output == pytest.approx(
            float(game.model.predict_proba(game.row).probs[0, target]), abs=1e-6
        )


def booster(kind: str, folder: Path) -> Any:
    labels = ("0", "1")
    if kind == "xgboost":
        import xgboost

        made = xgboost.train(
            {"objective": "binary:logistic", "max_depth": 3, "nthread": 1}, xgboost.DMatrix(X, label=TWO), 10
        )
        made.save_model(folder / "model.json")
        format = ModelFormat.XGBOOST
    elif kind == "lightgbm":
        import lightgbm

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = lightgbm.train(
                {"objective": "binary", "verbose": -1, "num_threads": 1}, lightgbm.Dataset(X, label=TWO), 10
            )
        made.save_model(folder / "model.txt")
        format = ModelFormat.LIGHTGBM
    else:
        return of_estimator(GradientBoostingClassifier(n_estimators=10, random_state=0).fit(X, TWO))
    return load(
        ModelRef(path=str(folder), digest="b", modality=Modality.TABULAR, format=format, labels=labels)
    )


@pytest.mark.parametrize("kind", ["xgboost", "lightgbm", "scikit-learn"])
def test_boosted_trees_are_explained_exactly_in_log_odds(kind: str, tmp_path: Path) -> None:
    game = game_of(booster(kind, tmp_path))
    assert chosen("auto", game) == "tree_shap"
    second, first = (EXPLAINERS["tree_shap"](game, k, RNG) for k in (1, 0))
    assert second.unit == "log-odds"
    np.testing.assert_allclose(second.values, exact_shapley(LogOdds(game), 0), atol=1e-4)
    np.testing.assert_allclose(first.values, -second.values)
    p = float(game.model.predict_proba(game.row).probs[0, 1])
    assert second.output == pytest.approx(np.log(p / (1 - p)), abs=1e-4)
    assert first.output == pytest.approx(-second.output)


@pytest.mark.parametrize("seed", range(3))
def test_histogram_boosters_are_explained_exactly_in_log_odds(seed: int) -> None:
    made = HistGradientBoostingClassifier(max_iter=8, random_state=seed).fit(X, TWO)
    game = game_of(of_estimator(made))
    assert chosen("auto", game) == "tree_shap"
    found = EXPLAINERS["tree_shap"](game, 1, RNG)
    np.testing.assert_allclose(found.values, exact_shapley(LogOdds(game), 0), atol=1e-4)


def test_boosters_of_three_classes_are_explained_exactly_against_each_other() -> None:
    game = game_of(of_estimator(HistGradientBoostingClassifier(max_iter=8).fit(X, THREE)))
    first, last = (EXPLAINERS["tree_shap"](game, k, RNG) for k in (0, 2))
    assert last.unit == "log-odds"
    wanted = exact_shapley(LogOdds(game, against=0, of=2), 0)
    np.testing.assert_allclose(last.values - first.values, wanted, atol=1e-4)
    p = game.model.predict_proba(game.row).probs[0]
    assert last.output - first.output == pytest.approx(np.log(p[2] / p[0]), abs=1e-4)


def test_linear_models_behind_scalers_in_another_order_have_their_closed_form() -> None:
    steps = ColumnTransformer(
        [("scaled", StandardScaler(), ["c", "a"]), ("filled", SimpleImputer(), ["d", "b"])]
    )
    pipeline = make_pipeline(steps, LogisticRegression()).fit(X, TWO)
    game = game_of(of_estimator(pipeline))
    assert chosen("auto", game) == "linear_shap"
    found = EXPLAINERS["linear_shap"](game, 1, RNG)
    weights = dict(zip("cadb", pipeline[-1].coef_[0], strict=True))
    scale = {"c": X.c.std(ddof=0), "a": X.a.std(ddof=0), "d": 1.0, "b": 1.0}
    wanted = [
        weights[k] * (game.row[k].iloc[0] - game.background[k].mean()) / scale[k] for k in game.features
    ]
    assert found.unit == "log-odds"
    np.testing.assert_allclose(found.values, wanted, atol=1e-9)


def test_a_linear_model_of_three_classes_is_read_in_log_odds() -> None:
    made = LogisticRegression().fit(X, THREE)
    game = game_of(of_estimator(made))
    found = EXPLAINERS["linear_shap"](game, 2, RNG)
    step = game.row.to_numpy()[0] - game.background.to_numpy().mean(axis=0)
    np.testing.assert_allclose(found.values, made.coef_[2] * step, atol=1e-9)


def test_columns_that_pass_a_transformer_unchanged_stay_apart() -> None:
    coded = X.assign(a=pd.cut(X.a, 3, labels=["low", "mid", "high"]).astype(str))
    steps = ColumnTransformer([("coded", OrdinalEncoder(), ["a"]), ("same", "passthrough", ["d", "b"])])
    rest = ColumnTransformer([("coded", OrdinalEncoder(), ["a"])], remainder="passthrough")
    for made in (steps, rest):
        forest = RandomForestClassifier(8, max_depth=4, random_state=0)
        model = of_estimator(make_pipeline(made, forest).fit(coded, TWO))
        game = TableGame(model, coded.iloc[[3]], coded.iloc[10:22])
        assert chosen("auto", game) == "tree_shap"
        found = EXPLAINERS["tree_shap"](game, 1, RNG)
        np.testing.assert_allclose(found.values, exact_shapley(game, 1), atol=1e-6)


def test_mixed_columns_and_strangers_are_explained_by_permutations_and_say_so() -> None:
    mixed = make_pipeline(
        ColumnTransformer(
            [("kinds", OneHotEncoder(handle_unknown="ignore"), ["a"])], remainder="passthrough"
        ),
        LogisticRegression(),
    ).fit(X.assign(a=X.a.round()), TWO)
    game = game_of(of_estimator(mixed))
    assert chosen("auto", game) == "permutation_shap"
    for method in opened.METHODS:
        with pytest.raises(EvaluationError, match="permutation_shap") as error:
            EXPLAINERS[method](game, 0, RNG)
        assert error.value.code == "method_unsupported"
        assert error.value.skipped
    found = EXPLAINERS["permutation_shap"](game, 0, np.random.default_rng(0))
    np.testing.assert_allclose(found.values, exact_shapley(game, 0), atol=0.02)


def test_a_model_that_shap_misreads_is_not_opened() -> None:
    made = DecisionTreeClassifier(max_depth=3, random_state=0).fit(X, TWO)

    class Twisted(type(of_estimator(made))):  # type: ignore[misc]
        def predict_proba(self, rows: pd.DataFrame) -> Any:
            scores = super().predict_proba(rows)
            scores.probs = scores.probs[:, ::-1].copy()
            return scores

    assert opened.opened(game_of(Twisted(made, ("0", "1"))), "tree_shap") is None


@pytest.mark.parametrize("sure", [1, 1000])
def test_sums_are_held_against_what_the_model_says_of_the_row_itself(sure: float) -> None:
    made = LogisticRegression().fit(X, TWO)
    made.coef_ *= sure
    for bent in (0.0, 0.02):

        class Bent(type(of_estimator(made))):  # type: ignore[misc]
            """Says something else of the explained row than of the background."""

            def predict_proba(self, rows: pd.DataFrame) -> Any:
                scores = super().predict_proba(rows)
                moved = bent if len(rows) == 1 else 0.0  # noqa: B023
                scores.probs = np.abs(scores.probs - moved)
                return scores

        game = game_of(Bent(made, ("0", "1")))
        target = int(game.model.predict_proba(game.row).probs[0].argmax())
        found = EXPLAINERS["linear_shap"](game, target, RNG)
        assert found.unit == "log-odds"
        gap = abs(found.values.sum() - (found.output - found.base))
        assert (gap > 0.01) == (bent > 0)
        assert gap < 1e-6 or bent


def test_three_classes_are_held_against_the_models_own_probabilities() -> None:
    game = game_of(of_estimator(HistGradientBoostingClassifier(max_iter=8).fit(X, THREE)))
    found = opened.opened(game, "tree_shap")
    assert found is not None
    read = np.array([0.3, -1.0, 2.0])
    probs = np.exp(read) / np.exp(read).sum()
    assert opened.own_output(found, read, probs, 2) == pytest.approx(2.0)
    moved = np.array([0.2, 0.1, 0.7])
    wanted = np.log(0.7) + np.log(np.exp(read).sum())
    assert opened.own_output(found, read, moved, 2) == pytest.approx(wanted, abs=1e-5)
