"""Every URL of the service: the pages, the API, sign-in."""

from __future__ import annotations

from allauth.account import views as account
from django.urls import include, path
from django.views.i18n import set_language

from auditor.api.api import api

# Sign-up, e-mail and password addresses of allauth are left out on purpose: an administrator makes accounts.
urlpatterns = [
    path("", include("auditor.web.urls")),
    path("api/v1/", api.urls),
    path("accounts/login/", account.login, name="account_login"),
    path("accounts/logout/", account.logout, name="account_logout"),
    path("accounts/reauthenticate/", account.reauthenticate, name="account_reauthenticate"),
    path("language/", set_language, name="set_language"),
]
handler400 = "auditor.web.views.errors.bad_request"
handler403 = "auditor.web.views.errors.forbidden"
handler404 = "auditor.web.views.errors.not_found"
handler500 = "auditor.web.views.errors.server_error"
