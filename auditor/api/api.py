"""The API of version 1: its routers, its errors, its document."""

from __future__ import annotations

from django.http import Http404, HttpRequest
from ninja import Router

from auditor import __version__
from auditor.api import problems
from auditor.api.auth import PersonAuth, TokenAuth
from auditor.api.openapi import DocumentedAPI
from auditor.api.v1 import audits, cards, datasets, me, models, policies, uploads

api = DocumentedAPI(
    title="Model Auditor",
    version=__version__,
    description=(
        "Register models and data, audit them under a policy, and read the signed report cards. "
        "Errors are RFC 9457 problem documents with a stable `code`. POST takes an `Idempotency-Key`."
    ),
    auth=[TokenAuth(), PersonAuth()],
    docs_url=None,  # the interactive pages load scripts from other hosts
    urls_namespace="api-v1",
)
problems.install(api)
for module in (me, models, datasets, uploads, policies, audits, cards):
    api.add_router("", module.router)


elsewhere = Router(auth=None)


@elsewhere.api_operation(
    ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"], "/{path:path}", include_in_schema=False
)
def nothing_here(request: HttpRequest, path: str) -> None:
    """An address that no other router has."""
    raise Http404


api.add_router("", elsewhere)  # comes last
