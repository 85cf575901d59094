"""The half of explainability.global that judges: means per feature, those that differ from nothing, intervals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from scipy import special

from evaluations import charts, stats
from evaluations.explainability.attributing import Unit
from evaluations.explainability.global_asking import RECORDS, explained_rows, rows_of
from evaluations.explainability.listed import LARGEST, lengths_are, mean_within, names, numbers
from evaluations.names import short, visible
from evaluations.records import join, not_estimable, rows_by_id, too_many_errors
from evaluations.scoring import labels_of, read_probs
from evaluations.spec import Chart, Coverage, EvaluationError, Metric, Modality, Role, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.explainability.global_reliance import GlobalParams

FALSE_DISCOVERIES = 0.05
KINDS = {Modality.TEXT_CLASSIFIER: "token", Modality.IMAGE_CLASSIFIER: "cell", Modality.TABULAR: "column"}
Found = list[tuple[str, Metric, float | None]]
UNLABELLED = "No column has the role 'target', so accuracy cannot be measured. Mark the true label."


@dataclass(frozen=True)
class Leaning:
    """n examples, ascending by id."""

    modality: Modality
    features: list[list[str]]
    values: list[NDArray[np.float64]]  # empty where not explained
    masked: list[NDArray[np.float64]]
    lost: (
        NDArray[np.float64] | None
    )  # (n, columns): right before − right after, mean of repeats; NaN: unknown
    sensitive: frozenset[str]
    error: NDArray[np.bool_]
    skipped: NDArray[np.bool_]
    clusters: NDArray[np.str_] | None
    max_error_rate: float
    log_odds: bool  # attributions are in log-odds, not in probability
    alike: NDArray[np.int64]  # (n,) equal for examples with the same text

    def frequent(self, rows: Collection[int], least: int) -> bool:
        """Whether a feature of these examples may be named: a token that few texts hold may name someone."""
        return len(np.unique(self.alike[list(rows)])) >= least

    def coverage(self) -> Coverage:
        errors, skipped, n = int(self.error.sum()), int(self.skipped.sum()), len(self.features)
        return Coverage(attempted=n, scored=n - errors - skipped, failed=errors, skipped=skipped)

    def slice_of(self, name: str) -> str:
        return f"{'sensitive' if name in self.sensitive else KINDS[self.modality]}={name}"


@dataclass(frozen=True)
class Reliance:
    """One list of features, the largest first, with p values where they were tested; or why there is none."""

    name: str
    title: str
    found: Found


def collect(states: Sequence[ShardState], data: Dataset, params: GlobalParams, ctx: Context) -> Leaning:
    """The records, checked; what was right is decided here."""
    drawn = rows_of(data, params, ctx)
    table, labels = join(states, RECORDS, data, drawn), labels_of(states, ctx)
    rows = rows_by_id(data, drawn)
    probs, error = read_probs(table.column("probs"), len(labels))
    told = names(table.column("features"))
    features = [[] if e else held for held, e in zip(told, error, strict=True)]
    if data.modality is Modality.TEXT_CLASSIFIER:
        features = [[visible(name) for name in held] for held in features]
    total = np.array([len(held) for held in features], dtype=np.int64)
    skipped = ~error & ((total < 1) | (total > params.most_features))
    scored = ~(error | skipped)
    values = numbers(table.column("values"), -LARGEST, LARGEST)
    masked = numbers(table.column("masked"))
    explained = np.isin(rows, list(explained_rows(data, drawn, params, ctx)))
    tokens = np.array([len(set(held)) + 1 for held in features], dtype=np.int64)
    text = data.modality is Modality.TEXT_CLASSIFIER
    lengths_are(values, np.where(scored & explained, total, 0))
    lengths_are(masked, np.where(scored & text, tokens, 0))
    units = {str(u) for u, e in zip(table.column("unit").to_pylist(), scored & explained, strict=True) if e}
    if len(units) > 1 or not units <= {*get_args(Unit)}:
        raise EvaluationError("bad_records", "The records mix units of attributions. Run it again.")
    alike: NDArray[np.int64] = np.arange(len(rows), dtype=np.int64)
    if text:
        alike = np.unique(np.array([data.texts[row] for row in rows], dtype=object), return_inverse=True)[1]
    lost, sensitive = None, frozenset[str]()
    if data.modality is Modality.TABULAR:
        protected = data.ref.columns(Role.SENSITIVE)
        offered = {*data.ref.columns(Role.INPUT), *protected}
        lists = {tuple(held) for held, e in zip(features, error, strict=True) if not e}
        columns = next(iter(lists), ())
        sensitive = frozenset(columns) & {short(c, k) for c in protected for k in range(len(columns))}
        if (
            len(lists) > 1
            or len(set(columns)) < len(columns)
            or not set(columns) <= {short(c, k) for c in offered for k in range(len(columns))}
        ):
            raise EvaluationError(
                "bad_records", "The records name other columns than the data set's. Run it again."
            )
        if data.ref.columns(Role.TARGET):
            truth = data.class_indices(labels)[rows]
            lost = accuracy_lost(table.column("shuffled"), probs, error, truth, params.repeats)
    return Leaning(
        modality=data.modality,
        features=features,
        values=values,
        masked=masked,
        lost=lost,
        sensitive=sensitive,
        error=error,
        skipped=skipped,
        clusters=None if data.clusters is None else data.clusters[rows],
        max_error_rate=params.max_error_rate,
        log_odds="log-odds" in units,
        alike=alike,
    )


def accuracy_lost(
    column: Any,
    probs: NDArray[np.float64],
    error: NDArray[np.bool_],
    truth: NDArray[np.int64],
    repeats: int,
) -> NDArray[np.float64]:
    """(n, columns) right before − right with a column shuffled, mean of its repeats; NaN where an answer is missing."""
    held = column.combine_chunks()
    flat = np.asarray(held.flatten().to_numpy(zero_copy_only=False))
    lengths = set(held.value_lengths().to_pylist())
    whole = len(lengths) == 1 and not held.flatten().null_count and len(flat) % (len(truth) * repeats) == 0
    if not whole or not ((flat >= -1) & (flat < probs.shape[1])).all():
        raise EvaluationError("bad_records", "A record lacks answers to shuffled columns. Run it again.")
    answers = flat.reshape(len(truth), -1, repeats)
    before = np.where(error, np.nan, np.argmax(np.nan_to_num(probs), axis=1) == truth)
    after = np.where(answers < 0, np.nan, answers == truth[:, None, None])
    return np.asarray((before[:, None, None] - after).mean(axis=2))


def reliance(found: Leaning, params: GlobalParams) -> list[Reliance]:
    """The lists that this kind of model has."""
    lists = [("mean_attribution", "Mean size of the attribution")]
    if found.modality is Modality.TEXT_CLASSIFIER:
        lists.append(("masking_drop", "Fall of the answer without the token"))
    if found.modality is Modality.TABULAR:
        lists.append(("permutation_importance", "Accuracy lost when the column is shuffled"))
    made = {"mean_attribution": attributed, "masking_drop": masking, "permutation_importance": permuted}
    n, kind = len(found.features), KINDS[found.modality]
    reason = too_many_errors(int(found.error.sum()), n, found.max_error_rate)
    if reason:
        return [
            Reliance(name, title, [(kind, not_estimable(name, n, reason, kind), None)])
            for name, title in lists
        ]
    return [Reliance(name, title, made[name](found, params)) for name, title in lists]


def attributed(found: Leaning, params: GlobalParams) -> Found:
    """Mean |φ| of each feature over the explained examples that hold it, the largest first."""
    sizes: dict[str, dict[int, float]] = defaultdict(dict)
    for i, values in enumerate(found.values):
        for name, value in zip(found.features[i], np.abs(values), strict=True) if len(values) else ():
            sizes[name][i] = sizes[name].get(i, 0.0) + float(value)
    held = {name: by_row for name, by_row in sizes.items() if found.frequent(by_row, params.least)}
    if not held:
        return _nothing("mean_attribution", found, f"No feature occurs in {params.least} explained examples.")
    means = {name: float(np.mean(list(by_row.values()))) for name, by_row in held.items()}
    shown = sorted(means, key=lambda name: (-means[name], name))[: params.top]
    level = 1 - FALSE_DISCOVERIES * len(shown) / len(held)
    listed: Found = []
    for name in shown:
        rows = np.array(list(held[name]))
        clusters = None if found.clusters is None else found.clusters[rows]
        interval = stats.mean_interval(np.array(list(held[name].values())), level, clusters)
        if interval is not None:
            interval = interval.model_copy(update={"low": max(0.0, interval.low)})
        metric = Metric(
            name="mean_attribution",
            value=means[name],
            interval=interval,
            n=len(rows),
            slice=found.slice_of(name),
        )
        listed.append((name, metric, None))
    return listed


def masking(found: Leaning, params: GlobalParams) -> Found:
    """Tokens without which the answer falls or rises beyond chance, those that matter most first."""
    drops: dict[str, dict[int, float]] = defaultdict(dict)
    for i, answers in enumerate(found.masked):
        for name, value in (
            zip(dict.fromkeys(found.features[i]), answers[1:], strict=True) if len(answers) else ()
        ):
            drops[name][i] = float(answers[0] - value)
    held = {name: by_row for name, by_row in drops.items() if found.frequent(by_row, params.least)}
    if not held:
        return _nothing("masking_drop", found, f"No token occurs in {params.least} examples.")
    tested = []
    for name, by_row in held.items():
        rows = np.array(list(by_row))
        clusters = None if found.clusters is None else found.clusters[rows]
        tested.append((name, np.array(list(by_row.values())), clusters))
    adjusted = stats.benjamini_hochberg(
        np.array([t_test(values, clusters) for _, values, clusters in tested])
    )
    kept = [
        (name, values, clusters, float(p))
        for (name, values, clusters), p in zip(tested, adjusted, strict=True)
        if p <= FALSE_DISCOVERIES
    ]
    if not kept:
        return _nothing(
            "masking_drop", found, f"None of {len(held)} tokens changes the answer beyond chance."
        )
    shown = sorted(kept, key=lambda one: (-abs(one[1].mean()), one[0]))[: params.top]
    level = 1 - FALSE_DISCOVERIES * len(shown) / len(held)
    listed: Found = []
    for name, values, clusters, p in shown:
        value, interval = mean_within(values, -1.0, 1.0, clusters, level)
        metric = Metric(
            name="masking_drop", value=value, interval=interval, n=len(values), slice=found.slice_of(name)
        )
        listed.append((name, metric, p))
    return listed


def t_test(values: NDArray[np.float64], clusters: NDArray[Any] | None) -> float:
    """Two-sided p value of a mean of 0, clustered where rows are; 1 where none can be made."""
    if clusters is None:
        count, se = len(values), float(values.std(ddof=1)) / np.sqrt(len(values))
    else:
        (_, count), se = stats.cluster_codes(clusters), stats.clustered_se(values, clusters)
    if count < 2 or not se > 0:
        return 1.0
    return float(2 * special.stdtr(count - 1, -abs(values.mean() / se)))


def permuted(found: Leaning, params: GlobalParams) -> Found:
    """Accuracy lost by shuffling each column, the largest first."""
    if found.lost is None:
        return _nothing("permutation_importance", found, UNLABELLED)
    known = ~np.isnan(found.lost).any(axis=1)
    if not known.any():
        return _nothing("permutation_importance", found, "No row was answered with every column shuffled.")
    columns = next(held for held in found.features if held)
    if len(columns) != found.lost.shape[1]:
        raise EvaluationError("bad_records", "A record lacks answers to shuffled columns. Run it again.")
    means = np.nanmean(found.lost, axis=0)
    order = np.lexsort((columns, -means))[: params.top]
    level = 1 - FALSE_DISCOVERIES * len(order) / len(columns)
    listed: Found = []
    for k in order:
        value, interval = mean_within(found.lost[:, k], -1.0, 1.0, found.clusters, level)
        metric = Metric(
            name="permutation_importance",
            value=value,
            interval=interval,
            n=len(found.lost),
            slice=found.slice_of(columns[k]),
        )
        listed.append((columns[k], metric, None))
    return listed


def _nothing(name: str, found: Leaning, reason: str) -> Found:
    kind = KINDS[found.modality]
    return [(kind, not_estimable(name, len(found.features), reason, kind), None)]


def metrics(lists: Sequence[Reliance]) -> list[Metric]:
    return [metric for one in lists for _, metric, _ in one.found]


def drawn(found: Leaning, lists: Sequence[Reliance]) -> list[Chart]:
    """Sensitive columns say so."""
    return [
        chart
        for one in lists
        for chart in charts.top_features(
            one.name,
            one.title,
            [
                (f"{label} (sensitive)" if label in found.sensitive else label, metric, p)
                for label, metric, p in one.found
            ],
        )
    ]


def warnings(found: Leaning, params: GlobalParams) -> list[str]:
    said = []
    asked = params.explained if found.modality is Modality.IMAGE_CLASSIFIER else params.examples
    if len(found.features) < asked:
        said.append(f"The data set has only {len(found.features)} examples; {asked} were asked for.")
    if found.skipped.any():
        said.append(
            f"{int(found.skipped.sum())} examples have no feature or more than {params.most_features} and were skipped."
        )
    if found.log_odds:
        said.append("Attributions are in log-odds of the answer: SHAP reads this model so.")
    read = sorted({name for held in found.features for name in held} & found.sensitive)
    if read:
        said.append(f"The model reads sensitive columns: {', '.join(read)}.")
    return said
