"""What may stand in a column about the training data is the same when it is registered and when it is audited."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from auditor.core.errors import DomainError
from auditor.registry.tables import inspect_table
from evaluations.data import coded_columns, dataset
from evaluations.spec import DataRef, EvaluationError, Modality, Role

CODED = (Role.MEMBER, Role.RANDOMISED_INCLUSION, Role.REPETITIONS)
CSV: tuple[tuple[Any, ...], ...] = (
    ("1", "0", "1.0"), ("true", "False", "1.0"), ("1", "0", "NA"), ("true", "0", "n/a"), ("1", "", "0"),
    ("1e0", "nan", "0"), ("１", "0"), (" 1", "0"), ("+1", "0"), ("1", "maybe"), ("2", "0"), ("-1", "0"),
    ("1.5", "0"), ("1e400", "0"), ("inf", "0"), ("1000000000", "0"), ("1000000001", "0"), ("9" * 5000, "0"),
)  # fmt: skip
JSONL: tuple[tuple[Any, ...], ...] = (
    (1, 0, None), (1.0, 0.0), (True, False), ("1.0", "0"), ("NULL", "1"), ("", "1"), (" 1", "0"), (3, 0),
    (-1, 0), (0.5, 1), ("x" * 10**6, "1"), ("1" * 10**6, "1"), ("NaN", "true"),
)  # fmt: skip


@pytest.mark.parametrize("role", CODED)
@pytest.mark.parametrize(
    ("format", "values"), [*(("csv", values) for values in CSV), *(("jsonl", values) for values in JSONL)]
)
def test_what_is_taken_at_registration_can_be_audited_and_counts_the_same(
    tmp_path: Path, role: Role, format: str, values: tuple[Any, ...]
) -> None:
    path = tmp_path / f"data.{format}"
    if format == "csv":
        path.write_text("text,known\n" + "".join(f"t{i},{value}\n" for i, value in enumerate(values)))
    else:
        rows = [{"text": f"t{i}", "known": value} for i, value in enumerate(values)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    roles = {"text": Role.INPUT, "known": role}
    ref = DataRef(path=str(path), digest="sha256:" + "0" * 64, format=format, roles=roles)
    try:
        counts = inspect_table(path, format, roles).groups["known"]
    except DomainError:
        with pytest.raises(EvaluationError, match="Correct it") as error:
            coded_columns.read(dataset.read(ref, Modality.CAUSAL_LM), role)
        assert error.value.code == f"{role}_values"
        return
    said = coded_columns.read(dataset.read(ref, Modality.CAUSAL_LM), role)
    assert said is not None
    read = ["(missing)" if number != number else str(int(number)) for number in said.tolist()]
    assert counts == {value: read.count(value) for value in read}


def test_a_table_without_such_a_column_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("text\na\n")
    ref = DataRef(path=str(tmp_path / "data.csv"), digest="x", format="csv", roles={"text": Role.INPUT})
    assert coded_columns.read(dataset.read(ref, Modality.CAUSAL_LM), Role.MEMBER) is None
