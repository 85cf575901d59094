"""The half of robustness.image_autoattack that judges: which attacks succeeded, rates, flags, images to show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from evaluations import records, stats
from evaluations.context import derive_seed
from evaluations.data.sampling import stratified_sample
from evaluations.robustness import image_explained, image_files
from evaluations.robustness.attacks_file import keep_images
from evaluations.scoring import labels_of, read_probs
from evaluations.spec import Coverage, EvaluationError, Example, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.robustness.image_autoattack import ImageAutoAttackParams
    from evaluations.robustness.image_explained import Explained

PROBS = pa.list_(pa.float64())
RECORDS = {
    "probs": PROBS,
    "outputs": PROBS,  # raw, of the image before the attack
    "outputs_again": PROBS,
    "zero_gradient": pa.bool_(),
    "attack": pa.string(),  # the first of the cascade that changed the answer; "" for none
    "attacked_probs": PROBS,
    "distance": pa.float64(),
    "square_probs": PROBS,  # of what Square found by itself, on the checked examples
    "square_distance": pa.float64(),
    "unbounded_found": pa.bool_(),  # whether gradient steps found anything without a bound, on the checked examples
    "unbounded_probs": PROBS,  # of what they found
    "before": pa.binary(),
    "after": pa.binary(),
    "saved_probs": PROBS,  # of `after` read as a file
    **image_explained.COLUMNS,
}
SLACK = 1e-6  # of a distance, for rounding
TARGETED = 4  # classes that the targeted loss needs
LARGEST = 1e30  # of a raw output


@dataclass(frozen=True)
class Outcomes:
    """Per sampled example, ascending by id."""

    ids: list[str]
    labels: tuple[str, ...]
    attacks: tuple[str, ...]  # the cascade
    truth: NDArray[np.int64]
    clusters: NDArray[np.str_] | None
    probs: NDArray[np.float64]
    error: NDArray[np.bool_]
    right: NDArray[np.bool_]  # before the attack
    attack: NDArray[np.str_]  # confirmed by probabilities and truth; "" where the example withstood all
    attacked_probs: NDArray[np.float64]
    distance: NDArray[np.float64]
    unconfirmed: int
    zero_gradient: NDArray[np.bool_]
    check: NDArray[np.bool_]  # also attacked by Square alone, and without a bound
    square_alone: NDArray[np.bool_]  # Square alone changed the answer
    unbounded: NDArray[np.bool_]  # still right without a bound
    outputs: NDArray[np.float64]
    outputs_again: NDArray[np.float64]
    without_outputs: int  # of the answered
    files: list[tuple[bytes, bytes] | None]
    saved: NDArray[np.bool_]  # the attacked image misleads the model as a file too
    explained: list[Explained | None]  # of those that are shown

    @property
    def n(self) -> int:
        return len(self.ids)

    def coverage(self) -> Coverage:
        errors = int(self.error.sum())
        return Coverage(attempted=self.n, scored=self.n - errors, failed=errors)

    def standing(self, attacks: Sequence[str]) -> NDArray[np.bool_]:
        """(n,) right before, and changed by none of these attacks of the cascade."""
        return self.right & ~np.isin(self.attack, list(attacks))


def sample(data: Dataset, params: ImageAutoAttackParams, ctx: Context) -> NDArray[np.int64]:
    """The rows that are attacked: seeded, in proportion to the labels, the same in run and merge."""
    return stratified_sample(data.ids, data.truth, params.examples, ctx.seed)


def checked(
    data: Dataset, rows: NDArray[np.int64], params: ImageAutoAttackParams, ctx: Context
) -> NDArray[np.bool_]:
    """Which of the sampled rows also serve to check the attack itself: those of the smallest hash."""
    rank = np.argsort([derive_seed(ctx.seed, f"check:{data.ids[row]}") / 2**128 for row in rows])
    chosen: NDArray[np.bool_] = np.zeros(len(rows), dtype=bool)
    chosen[rank[: params.check_examples]] = True
    return chosen


def collect(
    states: Sequence[ShardState],
    data: Dataset,
    params: ImageAutoAttackParams,
    ctx: Context,
) -> Outcomes:
    """Outcomes decided here, from probabilities, distances and the truth."""
    rows = sample(data, params, ctx)
    table, labels = records.join(states, RECORDS, data, rows), labels_of(states, ctx)
    attacks = attacks_for(len(labels))
    probs, error = read_probs(table.column("probs"), len(labels))
    truth = data.class_indices(labels)[rows]
    right = ~error & (np.argmax(np.nan_to_num(probs), axis=1) == truth)

    def misled(column: str) -> NDArray[np.bool_]:
        """Where there is an answer, and it is wrong."""
        return lost(column) & ~read_probs(table.column(column), len(labels))[1]

    def lost(column: str) -> NDArray[np.bool_]:
        """Where there is no answer, or a wrong one: a model gains nothing by falling silent."""
        found, none = read_probs(table.column(column), len(labels))
        return none | (np.argmax(np.nan_to_num(found), axis=1) != truth)

    def near(column: str) -> NDArray[np.bool_]:
        far = np.nan_to_num(table.column(column).to_numpy().astype(np.float64), nan=np.inf)
        return np.abs(far) <= params.epsilon + SLACK

    claimed = np.array(table.column("attack").to_pylist(), dtype=object)
    if any(name not in ("", *attacks) for name in claimed):
        raise EvaluationError("bad_records", "A record names an attack that was not asked for. Run it again.")
    if table.column("zero_gradient").null_count:
        raise EvaluationError(
            "bad_records", "A record does not say whether there is a gradient. Run it again."
        )
    attacked_probs, silent = read_probs(table.column("attacked_probs"), len(labels))
    confirmed = right & (claimed != "") & near("distance") & lost("attacked_probs")
    found_without_bound = table.column("unbounded_found").fill_null(False).to_numpy()
    files = _files(table, confirmed & ~silent, params)
    shown = [i for i, pair in enumerate(files) if pair is not None][: image_files.SHOWN]
    outputs, missing = _outputs(table.column("outputs"), len(labels))
    again, missing_again = _outputs(table.column("outputs_again"), len(labels))
    return Outcomes(
        ids=table.column("example_id").to_pylist(),
        labels=labels,
        attacks=attacks,
        truth=truth,
        clusters=None if data.clusters is None else data.clusters[rows],
        probs=probs,
        error=error,
        right=right,
        attack=np.where(confirmed, claimed, "").astype(np.str_),
        attacked_probs=attacked_probs,
        distance=table.column("distance").to_numpy().astype(np.float64),
        unconfirmed=int((right & (claimed != "") & ~confirmed).sum()),
        zero_gradient=right & table.column("zero_gradient").to_numpy(),
        check=checked(data, rows, params, ctx),
        square_alone=right & lost("square_probs") & near("square_distance"),
        unbounded=right & ~(found_without_bound & lost("unbounded_probs")),
        outputs=outputs[~(missing | missing_again)],
        outputs_again=again[~(missing | missing_again)],
        without_outputs=int(((missing | missing_again) & ~error).sum()),
        files=files,
        saved=confirmed & misled("saved_probs"),
        explained=[image_explained.explained_of(table, i) if i in shown else None for i in range(len(rows))],
    )


def _outputs(column: pa.ChunkedArray, classes: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(n, K) raw outputs, and where there are none."""
    held = column.to_pylist()
    found = np.array([[np.nan] * classes if row is None else row for row in _of_length(held, classes)], float)
    found = found.reshape(len(held), classes)
    if not (np.abs(np.nan_to_num(found)) <= LARGEST).all():
        raise EvaluationError("bad_records", "A record holds outputs that are no numbers. Run it again.")
    return found, np.isnan(found).any(axis=1)


def _of_length(held: list[list[float] | None], classes: int) -> list[list[float] | None]:
    if any(row is not None and (len(row) != classes or None in row) for row in held):
        raise EvaluationError("bad_records", "A record has the wrong number of outputs. Run it again.")
    return held


def _files(
    table: pa.Table, confirmed: NDArray[np.bool_], params: ImageAutoAttackParams
) -> list[tuple[bytes, bytes] | None]:
    """Both files of the attacks that succeeded, where the run kept them. They differ by no more than the bound."""
    found: list[tuple[bytes, bytes] | None] = [None] * table.num_rows
    pairs = zip(table.column("before").to_pylist(), table.column("after").to_pylist(), strict=True)
    for i, (before, after) in enumerate(pairs):
        if not (confirmed[i] and before and after):
            continue
        levels = image_files.read(before)
        apart = (image_files.read(after, levels.shape).astype(np.float64) - levels).ravel() / 255
        size = np.abs(apart).max(initial=0) if params.norm == "Linf" else np.linalg.norm(apart)
        if size > params.epsilon + SLACK:
            raise EvaluationError("bad_records", "A kept image differs by more than the attack can change.")
        found[i] = before, after
    return found


def attacks_for(classes: int) -> tuple[str, ...]:
    """The cascade for K classes: the targeted loss needs 4, the untargeted one 3, and cross-entropy is left for 2."""
    second = ("apgd_t",) if classes >= TARGETED else ("apgd_dlr",) if classes == 3 else ()
    return ("apgd_ce", *second, "fab_t", "square")


def examples(outcomes: Outcomes, epsilon: float, titles: dict[str, str]) -> list[Example]:
    """The first successes by id whose images were kept: before, after, what changed, and what the model went by."""
    shown: list[Example] = []
    for i, files in enumerate(outcomes.files):
        if files is None or len(shown) == image_files.SHOWN:
            continue
        before = image_files.read(files[0])
        shown.append(
            image_files.example(
                outcomes.ids[i],
                before,
                image_files.read(files[1], before.shape),
                outcomes.labels,
                int(outcomes.truth[i]),
                outcomes.probs[i],
                outcomes.attacked_probs[i],
                outcomes.explained[i],
                recipe=titles[str(outcomes.attack[i])],
                distance=round(min(float(outcomes.distance[i]), epsilon), 6),
            )
        )
    return shown


def warnings(outcomes: Outcomes, params: ImageAutoAttackParams) -> list[str]:
    found = []
    if outcomes.n < params.examples:
        found.append(f"The data set has only {outcomes.n} examples; {params.examples} were asked for.")
    if len(outcomes.labels) < TARGETED:
        instead = "the untargeted one took its place" if len(outcomes.labels) == 3 else "it was left out"
        found.append(
            f"The model has {len(outcomes.labels)} classes. The targeted loss of AutoAttack's second attack needs "
            f"{TARGETED}: {instead}."
        )
    if outcomes.unconfirmed:
        found.append(f"{outcomes.unconfirmed} successes did not hold when asked again: counted as failures.")
    return found


def keep(outcomes: Outcomes, ctx: Context) -> list[str]:
    """Writes the attacked images that mislead the model as files, for later versions to withstand. Returns warnings."""
    won = [i for i, files in enumerate(outcomes.files) if files is not None and outcomes.saved[i]]
    files = [files[1] for i in won if (files := outcomes.files[i]) is not None]
    return keep_images(
        ctx,
        original_ids=[outcomes.ids[i] for i in won],
        images=files,
        labels=[outcomes.labels[int(outcomes.truth[i])] for i in won],
        recipes=[str(outcomes.attack[i]) for i in won],
    )


def proportion_of(hits: NDArray[np.bool_], outcomes: Outcomes, among: NDArray[np.bool_]) -> stats.Estimate:
    """Share of hits among the rows `among`, those without an answer unknown. At least one is answered."""
    clusters = None if outcomes.clusters is None else outcomes.clusters[among]
    return stats.proportion(hits[among], clusters, ~outcomes.error[among])
