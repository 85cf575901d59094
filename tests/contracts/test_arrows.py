"""Which way things point, where a linter cannot see it."""

from __future__ import annotations

import subprocess
import sys

from auditor.core import queue

HEAVY = [
    "torch",
    "transformers",
    "shap",
    "textattack",
    "fairlearn",
    "sklearn",
    "pandas",
    "numpy",
    "onnxruntime",
]


def loaded_by(statement: str, names: list[str]) -> str:
    code = f"import sys\n{statement}\nprint(sorted(set({names!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_web_application_loads_no_machine_learning_library() -> None:
    served = "import auditor.wsgi; from django.urls import get_resolver; get_resolver().url_patterns"
    assert loaded_by(served, HEAVY) == "[]"


def test_the_supervising_worker_loads_no_machine_learning_library() -> None:
    assert loaded_by("import workers.app; workers.app.app.loader.import_default_modules()", HEAVY) == "[]"


def test_the_sandboxed_program_knows_neither_the_service_nor_its_database() -> None:
    service = ["django", "celery", "psycopg", "auditor", "workers"]
    assert loaded_by("import evaluations.runner, evaluations.catalogue as c; c.all()", service) == "[]"


def test_the_catalogue_of_evaluations_loads_no_machine_learning_library() -> None:
    assert loaded_by("from evaluations import catalogue; assert catalogue.all()", HEAVY) == "[]"


def test_planning_every_evaluation_loads_no_machine_learning_library() -> None:
    """The web process makes the plans of audits."""
    planned = """
from evaluations import catalogue
from evaluations.spec import EvaluationError
for evaluation in catalogue.all():
    try:
        evaluation.plan(1000, evaluation.Params())
    except EvaluationError:  # it cannot be planned without a parameter of its own
        pass
"""
    assert loaded_by(planned, [*HEAVY, "scipy"]) == "[]"


def test_the_command_line_loads_no_django() -> None:
    assert loaded_by("import auditor.client.cli", ["django", "torch", "pyhanko", "numpy"]) == "[]"


def test_every_task_the_service_sends_is_defined_by_the_worker() -> None:
    import workers.tasks  # noqa: F401  # defines them

    assert set(queue.TASKS) <= set(queue.celery.tasks)
