"""Trains the income classifier on UCI Adult, without sex and race among its inputs.

python -m workers.demo.train_income
"""

from __future__ import annotations

from pathlib import Path

from workers.demo import data
from workers.demo.cache import made

SEED = 1994


def income_model() -> Path:
    """The folder with model.skops: gradient boosting on every column but the sensitive ones and the survey weight."""
    train = data.adult() / "train.parquet"
    return made("income", [Path(__file__), train], lambda folder: _train(train, folder))


def _train(table: Path, folder: Path) -> None:
    import pandas as pd
    import skops.io
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    frame = pd.read_parquet(table)
    unused = {data.ADULT_TARGET, *data.ADULT_SENSITIVE, *data.ADULT_IGNORED}
    numbers = [c for c in data.ADULT_COLUMNS if c in data.ADULT_NUMBERS and c not in unused]
    words = [c for c in data.ADULT_COLUMNS if c not in data.ADULT_NUMBERS and c not in unused]
    encode = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
    pipeline = make_pipeline(
        ColumnTransformer([("words", encode, words), ("numbers", "passthrough", numbers)]),
        # categorical_features would bring a function of scikit-learn's own into the file, which intake refuses
        HistGradientBoostingClassifier(random_state=SEED),
    )
    pipeline.fit(frame[[*words, *numbers]], frame[data.ADULT_TARGET])
    skops.io.dump(pipeline, folder / "model.skops")


if __name__ == "__main__":
    print(income_model())
