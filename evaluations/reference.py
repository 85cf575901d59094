"""The catalogue as a page of the documentation: `python -m evaluations reference`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from evaluations import catalogue
from evaluations.spec import Access, Evaluation

HEAD = """# Evaluations

Made by `python -m evaluations reference` from the evaluations themselves; a test keeps it so. Every interval is
two-sided at 95 % unless its method says otherwise.
"""


def page() -> str:
    """Markdown: every built-in evaluation with its metrics, formulas, sources and parameters."""
    return "\n".join([HEAD, *(line for name in catalogue.BUILT_IN for line in _section(catalogue.get(name)))])


def _section(evaluation: Evaluation) -> Iterator[str]:
    needs = evaluation.requires
    yield f"## {evaluation.name}\n"
    yield f"**{evaluation.title}.** {evaluation.question}\n"
    yield f"- Models: {', '.join(needs.modalities)}"
    access = [str(flag.name).lower() for flag in Access if flag.value & needs.access]
    if access:
        yield f"- Needs of the model: {', '.join(access)}"
    if needs.roles:
        yield f"- Columns: {', '.join(needs.roles)}"
    if needs.languages:
        yield f"- Languages: {', '.join(needs.languages)}"
    if needs.parent:
        yield "- Compares with the parent version"
    if needs.judge:
        kinds = ", ".join((*needs.modalities, *needs.judges))
        yield f"- Judge: another model ({kinds}){', if one is named' if needs.judge_optional else ''}"
    yield "\n| Metric | Unit | Better | Formula | Source |\n|---|---|---|---|---|"
    for spec in evaluation.metrics:
        cells = (f"`{spec.name}`", spec.unit, spec.direction, spec.formula, spec.reference)
        yield "| " + " | ".join(_cell(cell) for cell in cells) + " |"
    yield ""
    fields = evaluation.Params.model_json_schema().get("properties", {})
    if fields:
        yield "| Parameter | Default | Means |\n|---|---|---|"
        for name, about in fields.items():
            yield f"| `{name}` | {_default(about)} | {_cell(about.get('description') or about.get('title', ''))} |"
        yield ""


def _default(about: dict[str, Any]) -> str:
    if "default" not in about:
        return "—"
    default = about["default"]
    if default in ("", None, [], {}) and default is not False:
        return "—"
    return "" if isinstance(default, dict) else f"`{_cell(default)}`"


def _cell(text: Any) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")
