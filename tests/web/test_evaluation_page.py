"""The page of one evaluation: numbers, charts, slices, and examples that are hidden until asked for."""

from __future__ import annotations

from collections.abc import Callable

from django.test import Client

from auditor.accounts.models import User
from auditor.core import store
from auditor.reports.models import Exposure, ReportCard
from tests.web.reading import text_of

Browse = Callable[[User], Client]


def test_each_number_has_its_sentence_its_n_and_its_limit(
    browse: Browse, reviewer: User, failing_card: ReportCard
) -> None:
    text = text_of(browse(reviewer).get(f"/cards/{failing_card.pk}/evaluations/calibration/"))
    assert "0.009 0.005–0.014" in text
    assert "limit ≤ 0.05 · n = 16,281" in text
    assert "decided by the interval" in text
    assert "With 95% confidence the true value lies between" in text


def test_groups_stand_worst_first_and_a_small_one_has_no_rate(
    browse: Browse, reviewer: User, failing_card: ReportCard
) -> None:
    text = text_of(browse(reviewer).get(f"/cards/{failing_card.pk}/evaluations/groups/"))
    part = text[text.index("Groups of race") :]
    order = [part.index(group) for group in ("Amer-Indian-Eskimo", "Black", "White", "Other")]
    assert order == sorted(order)
    assert "Other not estimable n = 8" in part


def test_a_chart_is_drawn_in_the_page_with_its_table_and_file(
    browse: Browse, reviewer: User, failing_card: ReportCard
) -> None:
    client = browse(reviewer)
    html = client.get(f"/cards/{failing_card.pk}/evaluations/groups/").content.decode()
    assert '<svg xmlns="http://www.w3.org/2000/svg"' in html
    assert 'role="img" aria-label="Selection rate by sex: lowest Female' in html
    assert " style=" not in html  # the page's policy would refuse it
    answer = client.get(f"/cards/{failing_card.pk}/evaluations/groups/selection_rate_1.csv")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.content.decode().splitlines()[0] == "Group,n,Rate,Low,High"


def test_a_drawing_that_is_gone_leaves_the_table(
    browse: Browse, reviewer: User, failing_card: ReportCard
) -> None:
    import json

    run = next(r for r in json.loads(failing_card.canonical)["runs"] if r["item"] == "groups")
    path = store.blob_path(run["charts"][0]["svg_sha256"])
    content = path.read_bytes()
    path.unlink()
    try:
        text = text_of(browse(reviewer).get(f"/cards/{failing_card.pk}/evaluations/groups/"))
    finally:
        store.put(content)
    assert "The drawing is not in the store." in text
    assert "Female" in text


def test_examples_are_hidden_until_asked_for_and_showing_them_is_recorded(
    browse: Browse, reviewer: User, text_card: ReportCard
) -> None:
    client = browse(reviewer)
    page = f"/cards/{text_card.pk}/evaluations/misspelling/"
    assert "humanizing" not in client.get(page).content.decode()
    assert not Exposure.objects.exists()
    shown = client.post(f"{page}examples/")
    html = shown.content.decode()
    assert "<mark>provcative</mark>" in html
    assert "<mark>insistently</mark>" not in html
    assert "&lt;b&gt;jokes&lt;/b&gt;" in html
    assert shown["Cache-Control"] == "no-store"
    seen = Exposure.objects.get()
    assert (seen.viewer, seen.card) == (reviewer, text_card)


def test_whoever_submits_models_sees_no_row_of_held_out_data(
    browse: Browse, engineer: User, text_card: ReportCard
) -> None:
    from django.db import connection

    with connection.cursor() as cursor:  # a version never changes, but for this test
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE registry_datasetversion SET held_out = true")
    client = browse(engineer)
    page = f"/cards/{text_card.pk}/evaluations/misspelling/"
    assert "These rows are held out" in text_of(client.get(page))
    assert client.post(f"{page}examples/").status_code == 403
    assert not Exposure.objects.exists()


def test_an_evaluation_that_was_not_run_is_not_found(
    browse: Browse, reviewer: User, text_card: ReportCard
) -> None:
    assert browse(reviewer).get(f"/cards/{text_card.pk}/evaluations/groups/").status_code == 404
