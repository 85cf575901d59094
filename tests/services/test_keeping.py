"""Successful attacks become a data set that grows, and that nobody sees who may not see what it was made from."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import Any

import pyarrow as pa
import pytest
from django.db import DatabaseError, connection, transaction
from pyarrow import parquet

from auditor.accounts.models import Team, User
from auditor.accounts.services import principal_of
from auditor.audits import keeping
from auditor.audits.models import Audit
from auditor.core import store
from auditor.core.access import Principal
from auditor.core.errors import DomainError
from auditor.policies.models import PolicyVersion
from auditor.registry import attack_tables
from auditor.registry.models import Dataset, DatasetVersion, Model
from evaluations.data import dataset as evaluated
from evaluations.spec import DataRef, Modality
from tests import factories

Attacked = Callable[..., Audit]
ITEM = "misspelling"


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, settings: Any) -> None:
    settings.UPLOADS_DIR = tmp_path / "uploads"
    settings.ARTIFACTS_DIR = tmp_path / "artifacts"


@pytest.fixture
def sentences(team: Team, engineer: User) -> DatasetVersion:
    return factories.text_data(team, engineer)


@pytest.fixture
def sentiment(team: Team, engineer: User) -> Model:
    return factories.a_model(team, engineer, "sentiment", modality="text_classifier")


@pytest.fixture
def attacked(sentiment: Model, sentences: DatasetVersion, release_gate: PolicyVersion) -> Attacked:
    """A finished audit of a new version of the model, in which these attacks succeeded."""
    made = []

    def make(attacks: bytes) -> Audit:
        version = factories.a_version(sentiment, f"{len(made) + 1}.0", f"{len(made) + 1:04x}")
        made.append(version)
        found = factories.text()
        found[ITEM] = replace(found[ITEM], attacks=attacks)
        return factories.audited(version, sentences, [release_gate], found)[0].audit

    return make


def kept(who: Principal, audit: Audit, name: str = "sentence-attacks") -> Any:
    return keeping.keep_attacks(principal=who, audit=audit, item=ITEM, name=name)


def rows_of(version: DatasetVersion) -> list[dict[str, Any]]:
    return parquet.read_table(store.dataset_file(version.digest, version.format)).to_pylist()


def test_kept_attacks_are_a_data_set_of_the_same_team_licence_language_and_reach(
    as_engineer: Principal, attacked: Attacked, sentences: DatasetVersion
) -> None:
    audit = attacked(factories.attacks("A gud film", "Grand"))
    result = kept(as_engineer, audit)
    version = result.version
    assert (result.added, result.known, version.rows) == (2, 0, 2)
    assert str(version) == "sentence-attacks@1"
    assert (version.dataset.team, version.dataset.licence) == (sentences.dataset.team, "research use")
    assert (version.languages, version.egress, version.held_out) == (["en"], [], False)
    assert version.summary["classes"] == {"positive": 2}
    assert version.roles == {
        "text": "input",
        "label": "target",
        "id": "id",
        "original_id": "cluster",
        "original_text": "ignore",
        "recipe": "ignore",
        "kind": "ignore",
    }
    origin = version.provenance["attacks"][0]
    assert (origin["audit"], origin["model"], origin["added"]) == (audit.pk, "sentiment@1.0", 2)
    assert version.provenance["data"] == "sentences@1"
    assert origin["run"] == audit.runs.get(item=ITEM).pk


def test_an_evaluation_can_read_what_was_kept(as_engineer: Principal, attacked: Attacked) -> None:
    version = kept(as_engineer, attacked(factories.attacks("A gud film", "Grand"))).version
    file = store.dataset_file(version.digest, version.format)
    ref = DataRef(path=str(file), digest=version.digest, format="parquet", roles=version.roles)
    data = evaluated.read(ref, Modality.TEXT_CLASSIFIER)
    assert data.texts == ["A gud film", "Grand"]
    assert data.truth.tolist() == ["positive", "positive"]
    assert data.clusters is not None
    assert data.clusters.tolist() == ["sentence-0", "sentence-1"]
    assert [str(i).partition(":")[0] for i in data.ids] == ["deepwordbug", "deepwordbug"]


def test_keeping_the_same_attacks_again_changes_nothing(as_engineer: Principal, attacked: Attacked) -> None:
    audit = attacked(factories.attacks("A gud film", "Grand"))
    first, second = kept(as_engineer, audit), kept(as_engineer, audit)
    assert (second.version.pk, second.added, second.known) == (first.version.pk, 0, 2)
    assert DatasetVersion.objects.filter(dataset__name="sentence-attacks").count() == 1


def test_a_suite_grows_by_what_is_new_and_loses_nothing(as_engineer: Principal, attacked: Attacked) -> None:
    first = kept(as_engineer, attacked(factories.attacks("A gud film", "Grand"))).version
    result = kept(as_engineer, attacked(factories.attacks("Grand", "Nwe")))
    assert (str(result.version), result.added, result.known) == ("sentence-attacks@2", 1, 1)
    assert [row["text"] for row in rows_of(result.version)] == ["A gud film", "Grand", "Nwe"]
    assert [row["text"] for row in rows_of(first)] == ["A gud film", "Grand"]
    assert [origin["model"] for origin in result.version.provenance["attacks"]] == [
        "sentiment@1.0",
        "sentiment@2.0",
    ]


def test_a_suite_grows_no_larger_than_it_can_be_read_again(
    as_engineer: Principal, attacked: Attacked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attack_tables, "MAX_BYTES", 2**20)
    kept(as_engineer, attacked(factories.attacks("a" * 300_000)))
    with pytest.raises(DomainError) as refused:
        kept(as_engineer, attacked(factories.attacks("b" * 300_000)))
    assert "Together these take more than 1 MiB" in refused.value.message
    assert kept(as_engineer, attacked(factories.attacks("c"))).version.rows == 2


def test_one_text_twice_is_one_attack_and_another_label_makes_another() -> None:
    roles = attack_tables.roles_for("text_classifier", {})
    twice = attack_tables.read(factories.attacks("Grand", "Grand"), roles)
    other = attack_tables.read(factories.attacks("Grand", label="negative"), roles)
    assert len(twice.rows) == 1
    assert len(twice.joined(other).rows) == 2


def test_rows_of_a_suite_go_nowhere_that_the_rows_of_either_audit_may_not(
    as_engineer: Principal, attacked: Attacked, sentences: DatasetVersion
) -> None:
    def change(egress: str, held_out: bool) -> None:
        with connection.cursor() as cursor:  # a version never changes, but for this test
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(
                "UPDATE registry_datasetversion SET egress = %s, held_out = %s WHERE id = %s",
                [egress, held_out, sentences.pk],
            )

    change('["any", "same_network"]', held_out=True)
    kept(as_engineer, attacked(factories.attacks("Grand")))
    change('["same_network"]', held_out=False)
    version = kept(as_engineer, attacked(factories.attacks("Nwe"))).version
    assert (version.egress, version.held_out) == (["same_network"], True)


def test_attacks_on_a_table_keep_its_columns_and_their_roles(
    as_engineer: Principal, team: Team, engineer: User, release_gate: PolicyVersion
) -> None:
    table = pa.table(
        {
            "id": ["hill_climb:1"],
            "age": [39],
            "education": ["HS-grad"],
            "hours_per_week": [40.5],
            "occupation": ["Sales"],
            "sex": ["Female"],
            "race": ["White"],
            "income": [">50K"],
            "original_id": ["1"],
            "recipe": ["hill_climb"],
            "kind": ["evasion"],
        }
    )
    found = factories.failing()
    found["groups"] = replace(found["groups"], attacks=factories.parquet_bytes(table))
    version = factories.a_version(factories.a_model(team, engineer))
    data = factories.adult_data(team, engineer)
    audit = factories.audited(version, data, [release_gate], found)[0].audit
    made = keeping.keep_attacks(
        principal=as_engineer, audit=audit, item="groups", name="adult-attacks"
    ).version
    assert made.roles == {
        **{c: r for c, r in data.roles.items() if r != "ignore"},
        "id": "id",
        "original_id": "cluster",
        "recipe": "ignore",
        "kind": "ignore",
    }
    assert (made.held_out, made.favourable_label) == (True, ">50K")
    row = rows_of(made)[0]
    assert (row["age"], row["hours_per_week"]) == (39, 40.5)


def test_where_attacks_are_from_can_never_be_changed(as_engineer: Principal, attacked: Attacked) -> None:
    version = kept(as_engineer, attacked(factories.attacks("Grand"))).version
    with pytest.raises(DatabaseError), transaction.atomic():
        DatasetVersion.objects.filter(pk=version.pk).update(provenance={})
    version.refresh_from_db()
    assert version.provenance["data"] == "sentences@1"


def test_who_may_not_upload_data_may_not_keep_attacks(
    as_reviewer: Principal, as_stranger: Principal, attacked: Attacked
) -> None:
    audit = attacked(factories.attacks("Grand"))
    for who in (as_reviewer, as_stranger):
        with pytest.raises(DomainError) as refused:
            kept(who, audit)
        assert refused.value.code == "forbidden"
    assert not Dataset.objects.filter(name="sentence-attacks").exists()


def test_a_run_without_attacks_has_nothing_to_keep(as_engineer: Principal, attacked: Attacked) -> None:
    with pytest.raises(DomainError) as missing:
        kept(as_engineer, attacked(b""))
    assert (missing.value.code, missing.value.status) == ("no_attacks", 404)


def test_a_data_set_that_is_no_suite_is_left_alone(
    as_engineer: Principal, attacked: Attacked, stranger: User
) -> None:
    audit = attacked(factories.attacks("Grand"))
    with pytest.raises(DomainError) as other:
        kept(as_engineer, audit, name="sentences")
    assert other.value.code == "not_a_suite"
    elsewhere = Team.objects.get(name="Elsewhere")
    Dataset.objects.create(name="theirs", team=elsewhere)
    with pytest.raises(DomainError) as taken:
        kept(as_engineer, audit, name="theirs")
    assert taken.value.code == "name_taken"
    for name in ("No such Name", "", "a\0b", "é", "x" * 61):
        with pytest.raises(DomainError) as wrong:
            kept(as_engineer, audit, name=name)
        assert wrong.value.code == "invalid_input"
    assert principal_of(stranger).may("submit", elsewhere.pk)


def test_a_suite_holds_attacks_on_one_data_set_alone(
    as_engineer: Principal, attacked: Attacked, sentences: DatasetVersion
) -> None:
    kept(as_engineer, attacked(factories.attacks("Grand")))
    Dataset.objects.filter(pk=sentences.dataset_id).update(name="other-sentences")
    with pytest.raises(DomainError) as other:
        kept(as_engineer, attacked(factories.attacks("Nwe")))
    assert other.value.code == "suite_of_other_data"


@pytest.mark.parametrize(
    "file",
    [
        b"PAR1 and nothing else of it PAR1",
        factories.parquet_bytes(pa.table({"text": ["Grand"]})),
        factories.parquet_bytes(
            pa.table({"text": ["Grand"], "label": ["a"], "id": ["1"], "original_id": ["1"]})
        ),
        factories.attacks("Grand", recipe="<script>"),
        factories.attacks(),
        factories.parquet_bytes(
            pa.table(
                {
                    "text": pa.array([["a", "list"]]),
                    "label": ["positive"],
                    "id": ["1"],
                    "original_id": ["1"],
                    "recipe": ["r"],
                }
            )
        ),
        factories.parquet_bytes(
            pa.table(
                {
                    "text": ["Grand"],
                    "label": pa.array([None], pa.string()),
                    "id": ["1"],
                    "original_id": ["1"],
                    "recipe": ["r"],
                }
            )
        ),
    ],
    ids=["garbage", "columns", "recipe-missing", "recipe-name", "empty", "list", "no-label"],
)
def test_what_is_no_table_of_attacks_is_refused_and_leaves_nothing(
    as_engineer: Principal, attacked: Attacked, file: bytes, settings: Any
) -> None:
    audit = attacked(file)
    with pytest.raises(DomainError) as refused:
        kept(as_engineer, audit)
    assert refused.value.code == "attacks_refused"
    assert not Dataset.objects.filter(name="sentence-attacks").exists()
    assert list(Path(settings.UPLOADS_DIR).glob("*")) == []


def test_a_small_file_that_unpacks_to_very_much_is_refused(
    as_engineer: Principal, attacked: Attacked, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = factories.attacks(*(["x" * 100_000 + str(i // 1000) for i in range(3000)]))
    assert len(bomb) < 2**20
    monkeypatch.setattr(attack_tables, "MAX_BYTES", 64 * 2**20)
    audit = attacked(bomb)
    with pytest.raises(DomainError) as refused:
        kept(as_engineer, audit)
    assert "64 MiB" in refused.value.message


def test_what_a_file_says_that_it_unpacks_to_is_refused_before_it_is_unpacked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A few kilobytes whose values could be some hundred megabytes each, many of them in one batch."""
    texts = [f"{i}" + "x" * 2**20 for i in range(16)]
    rows = {name: ["1"] * 16 for name in ("label", "id", "original_id", "recipe")} | {"text": texts}
    bomb = io.BytesIO()
    parquet.write_table(pa.table(rows), bomb, compression="zstd", use_dictionary=False)
    assert len(bomb.getvalue()) < 2**16

    def unpacked(*_: Any, **__: Any) -> None:
        raise AssertionError("it was unpacked")

    monkeypatch.setattr(parquet.ParquetFile, "iter_batches", unpacked)
    monkeypatch.setattr(attack_tables, "MAX_BYTES", 8 * 2**20)
    with pytest.raises(DomainError) as refused:
        attack_tables.read(bomb.getvalue(), attack_tables.roles_for("text_classifier", {}))
    assert "8 MiB" in refused.value.message


@pytest.mark.django_db(transaction=True)
def test_two_who_keep_at_once_lose_no_attack(
    as_engineer: Principal, attacked: Attacked, monkeypatch: pytest.MonkeyPatch
) -> None:
    audits = [attacked(factories.attacks("Grand")), attacked(factories.attacks("Nwe"))]
    read, both = attack_tables.read, Barrier(2)

    def slowly(*args: Any) -> attack_tables.AttackTable:
        with contextlib.suppress(BrokenBarrierError):
            both.wait(1)  # as far as the other gets
        return read(*args)

    monkeypatch.setattr(attack_tables, "read", slowly)

    def keep(audit: Audit) -> None:
        try:
            kept(as_engineer, audit)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(keep, audits))
    versions = DatasetVersion.objects.filter(dataset__name="sentence-attacks").order_by("version")
    assert [version.rows for version in versions] == [1, 2]
    assert {row["text"] for row in rows_of(versions[1])} == {"Grand", "Nwe"}
