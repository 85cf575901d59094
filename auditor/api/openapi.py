"""What the API's document says of every endpoint alike: problems, and the Idempotency-Key of POSTs."""

from __future__ import annotations

from typing import Any

from ninja import NinjaAPI, Schema
from ninja.openapi.schema import OpenAPISchema

from auditor.core.middleware import PROBLEM

_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Repeating the request with the same key gives the same answer; the work is done once.",
    "schema": {"type": "string", "maxLength": 200},
}


class ProblemItem(Schema):
    """One fault of the input. `pointer` is a JSON pointer (RFC 6901) into the body."""

    pointer: str
    detail: str


class ProblemDocument(Schema):
    """RFC 9457. `code` is stable; `detail` says what is wrong and how to mend it."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[ProblemItem]
    request_id: str


class DocumentedAPI(NinjaAPI):
    """The API with a complete OpenAPI document."""

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        document = super().get_openapi_schema(**options)
        schemas = document["components"]["schemas"]
        problem = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(problem.pop("$defs"))
        schemas["ProblemDocument"] = problem
        answer = {
            "description": "What is wrong, and how to mend it",
            "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
        }
        for methods in document["paths"].values():
            for method, operation in methods.items():
                operation["responses"] = {str(k): v for k, v in operation["responses"].items()} | {
                    "default": answer
                }
                if method == "post":
                    operation.setdefault("parameters", []).append(_KEY)
        return document
