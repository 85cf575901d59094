"""quality.tagging: entities as seqeval and conlleval.pl read them, a table worked by hand, hostile records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from evaluations import catalogue
from evaluations.context import Context
from evaluations.data import dataset
from evaluations.quality.tagging_scores import entities
from evaluations.spec import (
    EvaluationError,
    EvaluationResult,
    Metric,
    MetricStatus,
    Modality,
    Role,
    ShardState,
)
from tests.evaluations import kinds, make

EVALUATION = catalogue.get("quality.tagging")
REF = kinds.stand_in_ref(Modality.TOKEN_CLASSIFIER)


def run(
    folder: Path, table: pd.DataFrame, model: Any, roles: dict[str, Role] | None = None, **params: Any
) -> EvaluationResult:
    data = make.data_ref(table, folder, roles or kinds.TAGGING_ROLES)
    return make.evaluate(EVALUATION, model, make.request(EVALUATION.name, data, REF, **params), folder)


def metric(result: EvaluationResult, name: str, part: str = "all") -> Metric:
    return next(m for m in result.metrics if (m.name, m.slice) == (name, part))


# Tags, and what seqeval 1.2.2 makes of them: get_entities(tags), as type:first-last. It agreed on 20,000 random ones.
SEQEVAL = [
    ("B-PER I-PER O B-LOC", "PER:0-1 LOC:3-3"),
    ("I-PER I-PER O I-LOC I-PER", "PER:0-1 LOC:3-3 PER:4-4"),
    ("B-PER B-PER I-PER I-LOC", "PER:0-0 PER:1-2 LOC:3-3"),
    ("S-PER B-LOC I-LOC E-LOC O E-PER", "PER:0-0 LOC:1-3 PER:5-5"),
    ("B-LOC E-LOC E-LOC S-LOC S-LOC I-LOC", "LOC:0-1 LOC:2-2 LOC:3-3 LOC:4-4 LOC:5-5"),
    ("O O", ""),
    ("B-PER I-LOC E-LOC I-LOC", "PER:0-0 LOC:1-2 LOC:3-3"),
    ("E-PER I-PER B-PER S-PER O I-PER", "PER:0-0 PER:1-1 PER:2-2 PER:3-3 PER:5-5"),
    ("I-A S-A E-A B-B B-B O O E-B I-A", "A:0-0 A:1-1 A:2-2 B:3-3 B:4-4 B:7-7 A:8-8"),
    ("I-A S-B S-A E-B S-A B-B B-A B-B E-B", "A:0-0 B:1-1 A:2-2 B:3-3 A:4-4 B:5-5 A:6-6 B:7-8"),
    ("S-A I-B I-B O I-B B-B I-A O E-B", "A:0-0 B:1-2 B:4-4 B:5-5 A:6-6 B:8-8"),
    ("S-A I-B E-B I-B S-B E-A E-B S-A S-B", "A:0-0 B:1-2 B:3-3 B:4-4 A:5-5 B:6-6 A:7-7 B:8-8"),
    ("E-B O B-A B-A S-B E-A B-B I-A S-A", "B:0-0 A:2-2 A:3-3 B:4-4 A:5-5 B:6-6 A:7-7 A:8-8"),
    ("E-A E-A B-B B-B S-B I-B S-B E-B S-B", "A:0-0 A:1-1 B:2-2 B:3-3 B:4-4 B:5-5 B:6-6 B:7-7 B:8-8"),
    ("I-B B-A E-B S-B S-B B-B I-B B-A E-B", "B:0-0 A:1-1 B:2-2 B:3-3 B:4-4 B:5-6 A:7-7 B:8-8"),
    ("B-B I-A O E-B S-B O E-B E-A B-A", "B:0-0 A:1-1 B:3-3 B:4-4 B:6-6 A:7-7 A:8-8"),
    ("I-A I-B E-B O B-B O I-B I-A E-B", "A:0-0 B:1-2 B:4-4 B:6-6 A:7-7 B:8-8"),
    ("S-B S-A S-B I-A O B-B O B-A E-A", "B:0-0 A:1-1 B:2-2 A:3-3 B:5-5 A:7-8"),
]


@pytest.mark.parametrize(("tags", "expected"), SEQEVAL)
def test_entities_are_seqevals(tags: str, expected: str) -> None:
    assert {f"{kind}:{first}-{last}" for kind, first, last in entities(tags.split())} == set(expected.split())


def test_bilou_is_read_as_bioes() -> None:
    assert entities(["B-PER", "I-PER", "L-PER", "O", "U-LOC", "U-LOC"]) == entities(
        ["B-PER", "I-PER", "E-PER", "O", "S-LOC", "S-LOC"]
    )


def test_a_table_worked_by_hand(tmp_path: Path) -> None:
    """True: PER(0-1), LOC(3), PER(0), LOC(1-2). Answered: PER(0-1), PER(3), PER(0), LOC(1): 2 of 4 and 4 right."""
    truth = [["B-PER", "I-PER", "O", "B-LOC"], ["B-PER", "B-LOC", "I-LOC"], ["O"]]
    said = [["B-PER", "I-PER", "O", "B-PER"], ["B-PER", "B-LOC", "O"], ["O"]]
    words = [["a", "b", "c", "d"], ["e", "f", "g"], ["h"]]
    table = pd.DataFrame({"id": ["1", "2", "3"], "words": words, "tags": truth})
    answers = {tuple(w): tags for w, tags in zip(words, said, strict=True)}
    result = run(tmp_path, table, kinds.Tags(answers.__getitem__))
    assert metric(result, "entity_precision").value == pytest.approx(2 / 4)
    assert metric(result, "entity_recall").value == pytest.approx(2 / 4)
    assert metric(result, "entity_f1").value == pytest.approx(2 / 4)
    assert metric(result, "type_f1", "type=PER").value == pytest.approx(2 * 2 / (3 + 2))
    assert metric(result, "type_f1", "type=LOC").value == 0
    assert metric(result, "token_accuracy").value == pytest.approx(6 / 8)
    assert metric(result, "token_accuracy").n == 8


def test_no_answer_is_nothing_found_below_and_all_found_above(tmp_path: Path) -> None:
    table = kinds.tagged(60)
    truth = {tuple(w): list(t) for w, t in zip(table.words, table.tags, strict=True)}
    silent = tuple(table.words[7])
    whole = run(tmp_path, table, kinds.Tags(truth.__getitem__))
    partly = run(tmp_path, table, kinds.Tags(lambda words: None if words == silent else truth[words]))
    assert partly.coverage.failed == 1
    for name in ("entity_f1", "entity_precision", "entity_recall", "token_accuracy"):
        assert metric(partly, name).value == 1
        assert metric(partly, name).interval.low < metric(whole, name).interval.low < 1


def test_f1_covers_over_sentences(tmp_path: Path) -> None:
    """Sentences with one to six entities, found all together or not at all: units are sentences."""
    from evaluations.stats.sums import share_of_sums

    rng = np.random.default_rng(1)
    held = 0
    for _ in range(400):
        true = rng.integers(1, 7, 80)
        easy = rng.random(80) < 0.7
        found = np.where(easy, true, 0).astype(float)
        interval = share_of_sums(2 * found, 2.0 * true, each=2)
        held += interval.low <= 0.7 <= interval.high
    assert 0.92 <= held / 400 <= 0.98


def test_parts_of_speech_have_accuracy_and_no_entities(tmp_path: Path) -> None:
    table = pd.DataFrame({"id": ["1"], "words": [["it", "is"]], "tags": [["PRON", "VERB"]]})
    result = run(tmp_path, table, kinds.Tags(lambda words: ["PRON", "PRON"], labels=("PRON", "VERB")))
    assert metric(result, "token_accuracy").value == 0.5
    assert metric(result, "entity_f1").status is MetricStatus.NOT_ESTIMABLE


def test_tags_that_do_not_fit_are_said(tmp_path: Path) -> None:
    table = kinds.tagged(5)
    model = kinds.Tags(lambda words: ["O"] * len(words))
    odd = table.assign(tags=[*table.tags[:4], ["B-ORG"] * len(table.words[4])])
    with pytest.raises(EvaluationError, match="'B-ORG'") as error:
        run(tmp_path, odd, model)
    assert error.value.code == "labels_unmatched"
    short = table.assign(tags=[*table.tags[:4], ["O"]])
    with pytest.raises(EvaluationError, match="Row 5"):
        run(tmp_path, short, model)


@pytest.mark.parametrize("tags", [[0], [0, 0, 9], [0, 0, -1], [0, 0, None]])
def test_records_that_no_honest_run_writes_are_refused(tags: list[int | None], tmp_path: Path) -> None:
    from evaluations.scoring import with_labels

    table = pd.DataFrame({"id": ["1"], "words": [["a", "b", "c"]], "tags": [["O", "O", "O"]]})
    data = make.data_ref(table, tmp_path, kinds.TAGGING_ROLES)
    read = dataset.read(data, Modality.TOKEN_CLASSIFIER)
    records = pa.table({"example_id": ["1"], "tags": pa.array([tags], pa.list_(pa.int64()))})
    asked = make.request(EVALUATION.name, data, REF)
    with pytest.raises(EvaluationError) as error:
        EVALUATION.merge(
            [ShardState(with_labels(records, kinds.TAGS))],
            read,
            EVALUATION.Params(),
            Context(asked, tmp_path),
        )
    assert error.value.code == "bad_records"
