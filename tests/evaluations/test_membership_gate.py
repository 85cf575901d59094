"""The gate before membership attacks: a classifier without the model finds what differs, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats as distributions

from evaluations import catalogue
from evaluations.data import dataset
from evaluations.privacy import blind, input_features, membership_parts
from evaluations.spec import EvaluationResult, MetricStatus, Modality, Role
from evaluations.stats import auc_interval
from tests.evaluations import kinds, make

EVALUATION = catalogue.get("privacy.membership")
TEXT_ROLES = {**make.TEXT_ROLES, "member": Role.MEMBER}
TABULAR_ROLES = {**make.TABULAR_ROLES, "member": Role.MEMBER}
LIMIT = 0.55
NOUNS = ("ship", "loan", "court", "goal", "stock", "virus", "river", "engine", "garden", "senate")


def reviews(n: int, seed: int = 0) -> pd.DataFrame:
    """n texts of a few topics, and a label."""
    rng = np.random.default_rng(seed)
    table = make.sentences(n, seed)
    return table.assign(
        id=[f"r{i:05d}" for i in range(n)],
        text=[f"{text} {' '.join(rng.choice(NOUNS, 3))} {rng.integers(10_000)}" for text in table.text],
    )


def headlines(n: int) -> pd.DataFrame:
    """n texts of a few words, so that hundreds of classifiers are fitted soon."""
    rng = np.random.default_rng(0)
    texts = [f"{' '.join(rng.choice(NOUNS, 2))} {rng.integers(1_000)}" for _ in range(n)]
    return make.sentences(n).assign(id=[f"h{i:05d}" for i in range(n)], text=texts)


def pictures(n: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": [f"p{i:04d}" for i in range(n)],
            "image": [kinds.picture(i) for i in range(n)],
            "label": np.where(np.arange(n) % 3, "yes", "no"),
        }
    )


def read(table: pd.DataFrame, folder: Path, roles: dict[str, Role], modality: Modality) -> dataset.Dataset:
    return dataset.read(make.data_ref(table, folder, roles), modality)


def gate(
    table: pd.DataFrame, folder: Path, roles: dict[str, Role], modality: Modality, seed: int = 7
) -> blind.Blind:
    data = read(table, folder, roles, modality)
    rows, member = membership_parts.known(data)
    order = np.argsort(data.ids[rows], kind="stable")
    clusters = None if data.clusters is None else data.clusters[rows[order]]
    return blind.told_apart(data, rows[order], member[order], clusters, seed)


def drawn_folds(member: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    names = np.array([f"{i}" for i in rng.permutation(len(member))])
    return membership_parts.cut(names, member, 0, "blind folds", blind.FOLD_ENDS)


def wrongly_confounded(
    features: Any, modality: Modality, n: int, draws: int, seed: int
) -> tuple[int, np.ndarray]:
    """How many fair splits of 2·n rows do not pass, and every area."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        member = rng.permutation(2 * n) < n
        found.append(blind.of_folds(features, member, drawn_folds(member, rng), None, modality))
    assert all(one.interval is not None for one in found)
    return sum(bool(one.confounded(LIMIT)) for one in found), np.array([one.value for one in found])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("modality", "draws"),
    [(Modality.TEXT_CLASSIFIER, 200), (Modality.TABULAR, 30), (Modality.IMAGE_CLASSIFIER, 20)],
)
def test_a_fair_split_is_wrongly_confounded_in_at_most_one_of_twenty_draws(
    modality: Modality, draws: int, tmp_path: Path
) -> None:
    n = 2_000
    if modality is Modality.TABULAR:
        data = read(make.frame(2 * n), tmp_path, make.TABULAR_ROLES, modality)
    elif modality is Modality.IMAGE_CLASSIFIER:
        data = read(pictures(2 * n), tmp_path, kinds.IMAGE_ROLES, modality)
    else:
        data = read(headlines(2 * n), tmp_path, make.TEXT_ROLES, modality)
    features = input_features.everything(data, np.arange(2 * n))
    wrongly, areas = wrongly_confounded(features, modality, n, draws, seed=1)
    assert wrongly <= 0.05 * draws
    # By the spread of the areas too, which says more than a count of what is rare.
    most = LIMIT + 0.5 - auc_interval(0.5, n / 2, n / 2).high  # the largest area whose upper end passes
    assert distributions.norm.sf((most - 0.5) / areas.std(ddof=1)) <= 0.05
    # Scores of all folds ranked together would lie below one half.
    assert areas.mean() == pytest.approx(0.5, abs=4 * areas.std() / draws**0.5)


def test_the_interval_of_folds_that_share_their_training_rows_covers_one_half() -> None:
    rng = np.random.default_rng(2)
    n, draws = 150, 150
    missed, naive = 0, 0
    for _ in range(draws):
        features, member = rng.normal(size=(2 * n, 20)), rng.permutation(2 * n) < n
        found = blind.of_folds(features, member, drawn_folds(member, rng), None, Modality.IMAGE_CLASSIFIER)
        assert found.interval is not None
        missed += not found.interval.low <= 0.5 <= found.interval.high
        half = (found.interval.high - found.interval.low) / 2 / blind.VARIANCE_FACTOR**0.5
        naive += abs(found.value - 0.5) > half
    assert missed / draws <= 0.08  # 5 %, and two standard errors
    assert naive / draws > 0.1  # as if the folds were independent it would not cover


def test_members_of_another_topic_are_confounded_and_no_attack_is_reported(tmp_path: Path) -> None:
    table = reviews(4_000)
    member = np.arange(4_000) % 2
    sports = table.text.where(member == 0, table.text.str.replace("ship|loan|court", "match", regex=True))
    result = audit(table.assign(text=sports, member=member), tmp_path)
    assert blind_auc(result).value is not None
    assert ends(blind_auc(result))[0] > 0.6
    others = [m for m in result.metrics if m.name != "blind_auc"]
    assert {m.status for m in others} == {MetricStatus.CONFOUNDED}
    assert "never saw the model" in others[0].reason
    (chart,) = result.charts
    assert chart.name == "blind"


def test_a_random_split_of_one_collection_is_not_confounded(tmp_path: Path) -> None:
    result = audit(reviews(4_000).assign(member=np.random.default_rng(3).permutation(4_000) % 2), tmp_path)
    assert ends(blind_auc(result))[1] <= LIMIT
    assert not any(m.status is MetricStatus.CONFOUNDED for m in result.metrics)


def test_the_smaller_of_uneven_sides_is_looked_at_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blind, "MOST", 300)
    rng = np.random.default_rng(4)
    member = rng.random(2_200) < 0.9
    drawn = rng.random(2_200)
    chosen = blind.few_of_each(member, drawn)
    assert (np.diff(chosen) > 0).all()
    assert set(np.flatnonzero(~member)) <= set(chosen)
    assert member[chosen].sum() == 300
    assert drawn[chosen][member[chosen]].max() < drawn[np.setdiff1d(np.arange(2_200), chosen)].min()


def test_of_many_long_texts_so_much_is_read_as_memory_holds() -> None:
    assert input_features.longest_of(4_000) == input_features.LONGEST
    assert input_features.longest_of(4_000, input_features.PIECES_OF) == 2_000
    for n in (1, 20_000, 10**9):
        assert 1 <= input_features.longest_of(n) <= max(1, input_features.MOST_READ // n)


def test_ten_members_to_every_other_are_told_apart_and_a_fair_split_is_not(tmp_path: Path) -> None:
    table = reviews(4_400)
    member = np.random.default_rng(5).permutation(4_400) >= 400
    fair = gate(table.assign(member=member.astype(int)), tmp_path, TEXT_ROLES, Modality.TEXT_CLASSIFIER)
    assert fair.interval is not None
    assert fair.interval.low < 0.5 < fair.interval.high
    other = table.text.where(member, table.text.str.replace("ship|loan|court", "match", regex=True))
    found = gate(
        table.assign(text=other, member=member.astype(int)), tmp_path, TEXT_ROLES, Modality.TEXT_CLASSIFIER
    )
    assert "differ by themselves" in found.confounded(LIMIT)


def test_copies_on_one_side_do_not_tell_a_fair_split_apart(tmp_path: Path) -> None:
    """A third of the rows has a copy. Of one on either side both are left out; the others stay in one fold."""
    table = reviews(4_500)
    table = pd.concat([table, table[:1_500].assign(id=lambda t: t.id + "b")])
    table = table.assign(member=np.random.default_rng(6).permutation(6_000) % 2)
    result = audit(table, tmp_path)
    assert any("rows were left out" in warning for warning in result.warnings)
    low, high = ends(blind_auc(result))
    assert low < 0.5
    assert high <= LIMIT
    data = read(table, tmp_path, TEXT_ROLES, Modality.TEXT_CLASSIFIER)
    rows, member = membership_parts.known(data)
    alone = ~membership_parts.on_both_sides(membership_parts.inputs_of(data, rows), member)
    apart = blind.told_apart(data, rows[alone], member[alone], None, 7)  # with copies in several folds
    assert apart.value > 0.6


def test_too_few_rows_to_show_two_sides_alike_are_confounded_for_want_of_evidence(tmp_path: Path) -> None:
    few = audit(reviews(300).assign(member=np.random.default_rng(1).permutation(300) % 2), tmp_path)
    confounded = [m for m in few.metrics if m.status is MetricStatus.CONFOUNDED]
    assert "It is not shown" in confounded[0].reason
    fewer = audit(reviews(30).assign(member=np.arange(30) % 2), tmp_path)
    assert blind_auc(fewer).status is MetricStatus.NOT_ESTIMABLE
    assert {m.status for m in fewer.metrics if m.name != "blind_auc"} == {MetricStatus.CONFOUNDED}


def differing(kind: str, n: int) -> pd.DataFrame:
    """Sides that differ in what bags of words alone, columns alone, or averages alone would not show."""
    member = np.arange(n) % 2
    if kind == "length":
        table = reviews(n)
        return table.assign(
            member=member, text=[t * (2 if m else 1) for t, m in zip(table.text, member, strict=True)]
        )
    if kind == "label":
        table = reviews(n)
        kept = (table.label == "pos") | (member == 0) | (np.random.default_rng(0).random(n) < 0.5)
        return table.assign(member=member)[kept]
    if kind == "levels":
        table = make.frame(n).assign(member=member)
        return table.assign(sex=np.where((member == 1) & (table.x > 0), "Male", table.sex))
    assert kind == "missing"
    table = make.frame(n).assign(member=member)
    return table.assign(z=table.z.where((member == 0) | (np.arange(n) % 5 > 0)))


@pytest.mark.parametrize(
    ("kind", "roles", "modality"),
    [
        ("length", TEXT_ROLES, Modality.TEXT_CLASSIFIER),
        ("label", TEXT_ROLES, Modality.TEXT_CLASSIFIER),
        ("levels", TABULAR_ROLES, Modality.TABULAR),
        ("missing", TABULAR_ROLES, Modality.TABULAR),
    ],
)
def test_what_differs_is_found(kind: str, roles: dict[str, Role], modality: Modality, tmp_path: Path) -> None:
    found = gate(differing(kind, 1_600), tmp_path, roles, modality)
    assert found.interval is not None
    assert found.interval.low > 0.5
    assert "differ by themselves" in found.confounded(LIMIT)


def test_images_that_were_compressed_otherwise_or_are_no_images_are_seen(tmp_path: Path) -> None:
    n = 160
    member = np.arange(n) % 2
    images = [kinds.picture(i, format="JPEG" if m else "PNG") for i, m in enumerate(member)]
    table = pd.DataFrame(
        {"id": [f"p{i:03d}" for i in range(n)], "image": images, "label": "yes", "member": member}
    )
    roles = {**kinds.IMAGE_ROLES, "member": Role.MEMBER}
    assert "differ by themselves" in gate(table, tmp_path, roles, Modality.IMAGE_CLASSIFIER).confounded(LIMIT)
    table["image"] = [b"no image" if m else image for image, m in zip(images, member, strict=True)]
    assert gate(table, tmp_path, roles, Modality.IMAGE_CLASSIFIER).value > 0.9
    alike = table.assign(image=[kinds.picture(i) for i in range(n)])
    assert "It is not shown" in gate(alike, tmp_path, roles, Modality.IMAGE_CLASSIFIER).confounded(LIMIT)


def test_rows_of_one_person_are_never_on_both_sides_of_a_fold(tmp_path: Path) -> None:
    """Every person has a secret word: with rows of one in two folds, it alone would tell members."""
    people = np.arange(1_200) // 6
    table = make.sentences(1_200).assign(
        id=[f"r{i:04d}" for i in range(1_200)],
        member=np.random.default_rng(0).permutation(200)[people] % 2,
        person=[f"p{i}" for i in people],
    )
    table = table.assign(text=table.text + " secret" + table.person + "word")
    roles = {**TEXT_ROLES, "person": Role.CLUSTER}
    apart = gate(table, tmp_path, roles, Modality.TEXT_CLASSIFIER)
    mixed = gate(table, tmp_path, TEXT_ROLES, Modality.TEXT_CLASSIFIER)
    assert mixed.value > 0.9
    assert apart.interval is not None
    assert apart.interval.low < 0.5
    assert mixed.interval is not None
    assert apart.interval.high - apart.interval.low > mixed.interval.high - mixed.interval.low


# --- audits of texts by a model that guesses -----------------------------------------------------------


class Guesses(make.Answering):
    modality = Modality.TEXT_CLASSIFIER
    columns = None


def audit(table: pd.DataFrame, folder: Path) -> EvaluationResult:
    def answer(texts: list[str]) -> np.ndarray:
        p = np.array([0.3 + 0.05 * (len(text) % 9) for text in texts])
        return np.column_stack([1 - p, p])

    asked = make.request(
        EVALUATION.name,
        make.data_ref(table, folder, TEXT_ROLES),
        make.STAND_IN.model_copy(update={"modality": Modality.TEXT_CLASSIFIER}),
    )
    return make.evaluate(EVALUATION, Guesses(answer, ("neg", "pos")), asked, folder)


def blind_auc(result: EvaluationResult) -> Any:
    return next(m for m in result.metrics if m.name == "blind_auc")


def ends(metric: Any) -> tuple[float, float]:
    assert metric.interval is not None, metric.reason
    return metric.interval.low, metric.interval.high
