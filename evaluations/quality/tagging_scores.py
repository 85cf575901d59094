"""The numbers of quality.tagging: entities as conlleval.pl and seqeval read them; shares with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations import stats
from evaluations.quality.tagging_records import Tagged
from evaluations.records import not_estimable, too_many_errors
from evaluations.spec import Metric
from evaluations.stats.sums import share_of_sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

Entity = tuple[str, int, int]  # type, first word, last word
ENTITY_NAMES = ("entity_f1", "entity_precision", "entity_recall")
# The ends of one scheme in the letters of another: BILOU as BIOES.
SAME = {"L": "E", "U": "S"}


def split_tag(tag: str) -> tuple[str, str]:
    """(letter, type) of a tag: B-PER is ("B", "PER"), B alone ("B", "_"), O is ("O", "")."""
    if tag == "O":
        return "O", ""
    letter, _, kind = tag.partition("-")
    return SAME.get(letter, letter), kind or "_"


def has_entities(labels: Sequence[str]) -> bool:
    """Whether the labels are a scheme of entities rather than, say, parts of speech."""
    return any(label[:2] in ("B-", "I-", "E-", "S-", "L-", "U-") for label in labels)


def entities(tags: Sequence[str]) -> set[Entity]:
    """The entities in a sentence's tags by the rules of conlleval.pl, which forgives a missing B."""
    found: set[Entity] = set()
    before, kind_before, begin = "O", "", 0
    for i, tag in enumerate([*tags, "O"]):
        letter, kind = split_tag(tag)
        changed = kind != kind_before
        if before != "O" and (before in "ES" or letter in "BSO" or changed):
            found.add((kind_before, begin, i - 1))
        if letter != "O" and (letter in "BS" or before in "ESO" or changed):
            begin = i
        before, kind_before = letter, kind
    return found


def measure(tagged: Tagged, max_error_rate: float) -> list[Metric]:
    """Every metric of quality.tagging."""
    failed = sum(tags is None for tags in tagged.answer)
    reason = too_many_errors(failed, len(tagged.truth), max_error_rate)
    scheme = has_entities(tagged.labels)
    kinds = sorted({split_tag(label)[1] for label in tagged.labels} - {""}) if scheme else []
    n = len(tagged.truth)
    if reason:
        return [
            *(not_estimable(name, n, reason) for name in (*ENTITY_NAMES, "token_accuracy")),
            *(not_estimable("type_f1", n, reason, f"type={kind}") for kind in kinds),
        ]
    metrics = []
    if scheme:
        counts = _counts(tagged, kinds)
        whole = counts.sum(axis=2)
        for name, parts in (
            ("entity_f1", (1, 1)),
            ("entity_precision", (1, 0)),
            ("entity_recall", (0, 1)),
        ):
            metrics.append(_share(name, "all", whole, parts))
        metrics += [
            _share("type_f1", f"type={kind}", counts[:, :, i], (1, 1)) for i, kind in enumerate(kinds)
        ]
    else:
        why = "The tags have no B-, I-, E- or S- before a type, so they name no entities."
        metrics += [not_estimable(name, n, why) for name in ENTITY_NAMES]
    return [*metrics, _token_accuracy(tagged)]


def _counts(tagged: Tagged, kinds: Sequence[str]) -> NDArray[np.float64]:
    """(units, 7, types): found, answered and true entities of the answered sentences; then found and answered
    in the worst and in the best case for those without an answer, and the true ones of all. A unit is a
    sentence, or a cluster of them.
    """
    place = {kind: i for i, kind in enumerate(kinds)}
    rows: NDArray[np.float64] = np.zeros((len(tagged.truth), 7, len(kinds)))
    for row, (truth, answer) in enumerate(zip(tagged.truth, tagged.answer, strict=True)):
        real = entities(truth)
        said = None if answer is None else entities(answer)
        for kind, _, _ in real:
            rows[row, 6, place[kind]] += 1
        if said is None:
            missed = rows[row, 6]
            rows[row, 4] = missed  # worst: as many false alarms as there are entities
            rows[row, 3] = 0
            rows[row, 5] = missed  # best: all of them found, and nothing else
            continue
        for kind, _, _ in said:
            rows[row, 1, place[kind]] += 1
        for kind, _, _ in said & real:
            rows[row, 0, place[kind]] += 1
        rows[row, 2] = rows[row, 6]
        rows[row, 3], rows[row, 4], rows[row, 5] = rows[row, 0], rows[row, 1], rows[row, 0]
    return _by_unit(rows, tagged.clusters)


def _by_unit(rows: NDArray[np.float64], clusters: NDArray[Any] | None) -> NDArray[np.float64]:
    if clusters is None:
        return rows
    codes, count = stats.cluster_codes(clusters)
    found = np.zeros((count, *rows.shape[1:]))
    np.add.at(found, codes, rows)
    return found


def _share(name: str, part: str, counts: NDArray[np.float64], parts: tuple[int, int]) -> Metric:
    """2·found/(answered + true) with parts (1, 1); found/answered with (1, 0); found/true with (0, 1)."""
    of_answered, of_true = parts
    times = of_answered + of_true  # an entity that is found counts in both
    found, answered, true, worst, said, best, every = counts.T
    n = int(every.sum()) if of_true else int(answered.sum())
    total = of_answered * answered + of_true * true
    if not total.sum():
        reason = (
            "No entity is reported." if not of_true else "No entity is in the texts, and none is reported."
        )
        return not_estimable(name, n, reason, part)
    value = float(times * found.sum() / total.sum())
    low = share_of_sums(times * worst, of_answered * said + of_true * every, each=times)
    high = share_of_sums(times * best, of_answered * said + of_true * every, each=times)
    return Metric(name=name, value=value, interval=stats.spanning(low, high, value), n=n, slice=part)


def _token_accuracy(tagged: Tagged) -> Metric:
    rows = np.array(
        [
            (
                0 if answer is None else sum(a == t for a, t in zip(answer, truth, strict=True)),
                0 if answer is None else len(truth),
                len(truth),
            )
            for truth, answer in zip(tagged.truth, tagged.answer, strict=True)
        ],
        dtype=np.float64,
    )
    right, known, words = _by_unit(rows, tagged.clusters).T
    value = float(right.sum() / known.sum())
    low, high = share_of_sums(right, words), share_of_sums(right + words - known, words)
    return Metric(
        name="token_accuracy", value=value, interval=stats.spanning(low, high, value), n=int(words.sum())
    )
