"""The page of one evaluation: numbers, charts, slices, and examples that are hidden until asked for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from auditor.accounts.models import User
from auditor.core import store
from auditor.reports.models import Exposure, ReportCard
from auditor.web.views import evaluations
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
    assert "Other not shown n = 8" in part
    assert "Not shown: Only 8 examples." in part


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


@pytest.mark.parametrize(
    "start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"]
)
def test_a_name_that_a_spreadsheet_would_run_is_plain_text_in_the_file(start: str) -> None:
    """Tokens, groups and columns are named by whoever made the model and the data. Some take wide signs for narrow."""
    assert evaluations._cell(f"{start}HYPERLINK(1)") == f"'{start}HYPERLINK(1)"
    assert evaluations._cell(-0.5) == -0.5


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


def test_an_attribution_is_text_with_the_strength_of_each_part_and_a_table(
    browse: Browse, reviewer: User, attacked_card: ReportCard
) -> None:
    answer = browse(reviewer).post(f"/cards/{attacked_card.pk}/evaluations/misspelling/examples/")
    html, text = answer.content.decode(), text_of(answer)
    assert '<span class="h for-4" data-value="+0.310" title="+0.310">thoughtful</span>' in html
    assert '<span class="h against-3" data-value="−0.220" title="−0.220">ful</span>' in html
    assert "human</span><span" in html  # pieces of a word follow each other
    assert "What speaks for the answer “positive” What" not in text
    assert "What speaks for the answer “positive”, after" in text
    table = text[text.index("What speaks for the answer “>50K”") :]
    assert table.index("education") < table.index("−0.340") < table.index("age") < table.index("+0.210")
    assert " style=" not in html  # the page's policy would refuse it


def test_pictures_are_part_of_the_page_that_is_recorded_and_have_words(
    browse: Browse, reviewer: User, attacked_card: ReportCard
) -> None:
    client = browse(reviewer)
    page = f"/cards/{attacked_card.pk}/evaluations/misspelling/"
    assert "data:image/png" not in client.get(page).content.decode()
    answer = client.post(f"{page}examples/")
    html = answer.content.decode()
    assert html.count('<img src="data:image/png;base64,') == 3
    assert 'width="32" height="32" alt="After of the attack">' in html
    assert "Difference, 10 times amplified" in html
    assert "Not shown: it is no PNG of at most 1,024 points a side." in text_of(answer)
    assert "img-src 'self' data:" in answer["Content-Security-Policy"]


def test_attacks_are_kept_from_the_page_and_shown_as_a_data_set(
    browse: Browse, engineer: User, attacked_card: ReportCard
) -> None:
    client = browse(engineer)
    page = f"/cards/{attacked_card.pk}/evaluations/misspelling/"
    assert 'value="sentences-attacks"' in client.get(page).content.decode()
    answer = client.post(f"{page}attacks/", {"name": "sentences-attacks"}, follow=True)
    assert answer.redirect_chain[-1][0] == "/datasets/sentences-attacks/?version=1"
    text = text_of(answer)
    assert "2 attacks are new in it." in text
    assert "Made of attacks in sentiment@1.1.0 (sentences@1, n = 2)" in text
    again = text_of(client.post(f"{page}attacks/", {"name": "sentences-attacks"}, follow=True))
    assert "0 attacks are new in it. 2 attacks were already in it." in again
    assert not Exposure.objects.exists()


def test_a_name_that_is_taken_is_said_beside_the_field(
    browse: Browse, engineer: User, attacked_card: ReportCard
) -> None:
    page = f"/cards/{attacked_card.pk}/evaluations/misspelling/attacks/"
    answer = browse(engineer).post(page, {"name": "sentences"})
    assert answer.status_code == 409
    assert "sentences is a data set of another kind." in text_of(answer)
    assert 'value="sentences"' in answer.content.decode()


def test_attacks_are_kept_by_those_who_may_submit_data_alone(
    browse: Browse, reviewer: User, attacked_card: ReportCard, failing_card: ReportCard
) -> None:
    client = browse(reviewer)
    page = f"/cards/{attacked_card.pk}/evaluations/misspelling/"
    assert "Keep these attacks" not in text_of(client.get(page))
    assert client.post(f"{page}attacks/", {"name": "mine"}).status_code == 403
    assert (
        client.post(f"/cards/{failing_card.pk}/evaluations/groups/attacks/", {"name": "m"}).status_code == 404
    )


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
