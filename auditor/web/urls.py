"""The addresses of the pages."""

from __future__ import annotations

from django.urls import path

from auditor.web.views import (
    account,
    audits,
    cards,
    dashboard,
    datasets,
    evaluations,
    ledger,
    models,
    policies,
    preferences,
)

urlpatterns = [
    path("", dashboard.dashboard, name="dashboard"),
    path("models/", models.index, name="model_list"),
    path("models/<slug:name>/", models.detail, name="model_detail"),
    path("models/<slug:name>/<str:version>/ml-bom/", models.as_ml_bom, name="model_ml_bom"),
    path("audits/new/", audits.new, name="audit_new"),
    path("audits/<str:audit_id>/", audits.detail, name="audit_detail"),
    path("audits/<str:audit_id>/live/", audits.live, name="audit_live"),
    path("audits/<str:audit_id>/cancel/", audits.cancel, name="audit_cancel"),
    path("cards/<str:card_id>/", cards.detail, name="card_detail"),
    path("cards/<str:card_id>/pdf/", cards.as_pdf, name="card_pdf"),
    path("cards/<str:card_id>/json/", cards.as_json, name="card_json"),
    path("cards/<str:card_id>/ml-bom/", cards.as_ml_bom, name="card_ml_bom"),
    path("cards/<str:card_id>/decision/", cards.decide, name="card_decide"),
    path("cards/<str:card_id>/evaluations/<str:item>/", evaluations.detail, name="evaluation_detail"),
    path(
        "cards/<str:card_id>/evaluations/<str:item>/examples/",
        evaluations.examples,
        name="evaluation_examples",
    ),
    path(
        "cards/<str:card_id>/evaluations/<str:item>/attacks/",
        evaluations.keep_attacks,
        name="evaluation_attacks",
    ),
    path(
        "cards/<str:card_id>/evaluations/<str:item>/<str:name>.csv", evaluations.chart_csv, name="chart_csv"
    ),
    path("policies/", policies.index, name="policy_list"),
    path("policies/<slug:name>/", policies.detail, name="policy_detail"),
    path("datasets/", datasets.index, name="dataset_list"),
    path("datasets/<slug:name>/", datasets.detail, name="dataset_detail"),
    path("ledger/", ledger.index, name="ledger"),
    path("account/", account.detail, name="account"),
    path("account/tokens/", account.issue, name="token_issue"),
    path("account/tokens/<str:token_id>/revoke/", account.revoke, name="token_revoke"),
    path("preferences/theme/", preferences.set_theme, name="set_theme"),
]
