"""What a service refuses is told on a page, with its status; the service can say so even without its pages."""

from __future__ import annotations

import pytest
from django.http import HttpResponse
from django.template import TemplateDoesNotExist
from django.test import Client, RequestFactory

from auditor.accounts.models import User
from auditor.core import middleware
from auditor.core.errors import DomainError


@pytest.mark.usefixtures("static_files")
def test_a_page_that_a_service_refuses_says_why_with_its_status(engineer: User) -> None:
    client = Client()
    client.force_login(engineer)
    response = client.get("/policies/absent/")
    assert response.status_code == 404
    assert "There is no policy “absent” that you can see." in response.content.decode()
    assert response["X-Request-ID"]


def refuse(message: str, path: str = "/somewhere/") -> HttpResponse | None:
    request = RequestFactory().get(path)
    request.META["REQUEST_ID"] = "id-for-tests"
    layer = middleware.DomainErrorMiddleware(lambda request: HttpResponse())
    return layer.process_exception(request, DomainError("refused", message, status=409))


def test_without_the_template_the_message_is_still_shown_and_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*arguments: object) -> str:
        raise TemplateDoesNotExist("errors/problem.html")

    monkeypatch.setattr(middleware.loader, "render_to_string", absent)
    response = refuse("No <script>alert(1)</script>.")
    assert response is not None
    assert response.status_code == 409
    assert b"No &lt;script&gt;" in response.content


def test_other_errors_and_the_api_are_left_to_those_who_handle_them() -> None:
    assert refuse("x", "/api/v1/models") is None
    request = RequestFactory().get("/")
    layer = middleware.DomainErrorMiddleware(lambda request: HttpResponse())
    assert layer.process_exception(request, ValueError()) is None
