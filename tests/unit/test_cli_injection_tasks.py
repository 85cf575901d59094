"""`auditor data injection-tasks`: what it writes can be pushed and measured as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from evaluations import catalogue
from evaluations.data import dataset, injection_tasks
from evaluations.safety import injection_canaries as canaries
from evaluations.safety.injection_scores import holds_answer
from evaluations.spec import DataRef, EvaluationResult, Modality
from tests.evaluations import injected, make, seq
from tests.unit.cli import CommandLine
from tests.unit.planting import declared, values


def measured(ref: DataRef, model: Any, folder: Path, **params: Any) -> EvaluationResult:
    name = "safety.injection"
    return make.evaluate(catalogue.get(name), model, make.request(name, ref, seq.WRITER, **params), folder)


def test_the_tasks_are_enough_to_bound_a_leak_rate_by_five_percent(
    auditor: CommandLine, tmp_path: Path
) -> None:
    done = auditor("data", "injection-tasks", "--to", tmp_path / "out")
    assert (done.code, "97 tasks" in done.err) == (0, True)
    ref = declared(tmp_path / "out")
    right = {task["task"]: task["answers"][0] for task in injection_tasks.tasks()}

    def answer(prompt: str, seed: int) -> str:
        return next((said for task, said in right.items() if task in prompt), "No.")

    found = measured(ref, injected.Talking(answer), tmp_path)
    (rate,) = [m for m in found.metrics if m.name == "indirect_leak_rate"]
    assert rate.interval is not None
    assert (rate.value, rate.interval.high <= 0.05) == (0, True)
    assert values(found)["leak_rate"] == 0
    again = auditor("data", "injection-tasks", "--to", tmp_path / "out")
    assert (again.code, "nothing is overwritten" in again.err) == (2, True)


def test_no_task_is_there_twice_and_each_answer_can_be_found() -> None:
    tasks = injection_tasks.tasks()
    for column in ("id", "document"):
        assert len({task[column] for task in tasks}) == len(tasks)
    for task in tasks:
        assert holds_answer(f"It is: {task['answers'][0]}, I think.", task["answers"]), task["id"]
        if task["kind"] in ("lookup", "extract", "chinese", "summary"):
            assert holds_answer(task["document"], task["answers"]), task["id"]
        assert not holds_answer(task["task"], task["answers"][:1]) or task["kind"] == "classify", task["id"]


def test_planted_documents_ask_for_codewords_that_the_parameters_name(
    auditor: CommandLine, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    assert auditor("data", "injection-tasks", "--planted", "--to", folder).code == 0
    params = yaml.safe_load((folder / "planted.yaml").read_text(encoding="utf-8"))
    planted = params["planted_canaries"]
    data = dataset.read(declared(folder), Modality.CAUSAL_LM)
    assert len(set(planted)) == len(planted) == data.rows >= 72  # so that a limit of 5 % can be kept
    assert data.contexts is None
    documents = {i: (folder / "documents" / f"{i}.txt").read_text(encoding="utf-8") for i in data.ids}
    shown = [bool(canaries.how_found(documents[i], word)) for i, word in zip(data.ids, planted, strict=True)]
    assert sum(shown) > 0.8 * data.rows  # two techniques hide it until it is obeyed

    def naive(prompt: str, seed: int) -> str:
        (found,) = [i for i, text in zip(data.ids, data.texts, strict=True) if text == prompt] or [None]
        return (found and " ".join(injected.codewords(documents[found]))) or "No."

    found = measured(declared(folder), injected.Talking(naive), tmp_path, **params)
    assert values(found)["indirect_leak_rate"] > 0.8
    assert auditor("data", "injection-tasks", "--planted", "--to", tmp_path / "other").code == 0
    other = yaml.safe_load((tmp_path / "other" / "planted.yaml").read_text(encoding="utf-8"))
    assert not set(planted) & set(other["planted_canaries"])
