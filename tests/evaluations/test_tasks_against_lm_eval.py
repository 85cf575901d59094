"""The same tasks, data and weights in lm-evaluation-harness itself: equal prompts, equal answers, equal numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lm_eval
import numpy as np
import pandas as pd
import pytest
import yaml

from evaluations.context import Context
from evaluations.data import dataset
from evaluations.models import causal_lm
from evaluations.quality.lm_task import EVALUATION, LmTaskParams
from evaluations.spec import DataRef, EvaluationResult, ModelRef, Role
from evaluations.tasks.documents import Documents
from evaluations.tasks.prompts import Prompter
from tests.evaluations import lm, make

pytestmark = pytest.mark.slow

TRAIN, TEST = 12, 24
ROLES = {
    "id": Role.ID, "question": Role.INPUT, "choices": Role.CHOICES, "answer": Role.TARGET, "word": Role.INPUT,
    "reply": Role.INPUT, "split": Role.SPLIT,
}  # fmt: skip
SPLITS = {"training_split": "train", "test_split": "test"}
TASKS: dict[str, dict[str, Any]] = {
    "choices": {
        **SPLITS,
        "output_type": "multiple_choice",
        "fewshot_split": "train",
        "description": "Answer what is asked of the {{split}} part.\n\n",
        "doc_to_text": "Q: {{question}}\nA:",
        "doc_to_target": "answer",
        "doc_to_choice": "choices",
        "metric_list": [
            {"metric": name, "aggregation": how, "higher_is_better": True}
            for name, how in (
                ("acc", "mean"), ("acc_norm", "mean"), ("acc_bytes", "mean"), ("acc_mutual_info", "mean"),
                ("exact_match", "mean"), ("brier_score", "brier_score"), ("mcc", "matthews_corrcoef"),
            )
        ],
    },
    "prefixed": {  # worked examples of the same split; a prompt that ends in a space; a prefix to the answer
        "test_split": "test",
        "fewshot_split": "test",
        "output_type": "multiple_choice",
        "gen_prefix": "I say",
        "doc_to_text": "{{question}} ",
        "doc_to_target": "{{answer}}",
        "doc_to_choice": "{{choices}}",
        "fewshot_delimiter": "\n",
    },
    "blanks": {  # as Winogrande: the choices are beginnings, the continuation is common to them
        **SPLITS,
        "output_type": "multiple_choice",
        "doc_to_text": "answer",
        "doc_to_target": "question",
        "doc_to_choice": "choices",
    },
    "last_word": {
        **SPLITS,
        "output_type": "loglikelihood",
        "fewshot_config": {"sampler": "first_n"},
        "doc_to_text": "{{question}}",
        "doc_to_target": "{{' ' + word}}",
    },
    "rolling": {
        "test_split": "test",
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "question",
    },
    "written": {
        **SPLITS,
        "output_type": "generate_until",
        "doc_to_text": "Q: {{question}}\nA:",
        "doc_to_target": "reply",
        "generation_kwargs": {"until": ["\n", "Q:"], "max_gen_toks": 12},
        "filter_list": [
            {
                "name": "letters",
                "filter": [
                    {"function": "regex", "regex_pattern": "([a-z]+)|([A-Z]+)"},
                    {"function": "take_first"},
                ],
            }
        ],
        "metric_list": [
            {
                "metric": "exact_match", "aggregation": "mean", "higher_is_better": True, "ignore_case": True,
                "ignore_punctuation": True,
            },
            {"metric": "bleu", "aggregation": "bleu", "higher_is_better": True},
            {"metric": "chrf", "aggregation": "chrf", "higher_is_better": True},
        ],
    },
}  # fmt: skip


@dataclass(frozen=True)
class Setting:
    folder: Path
    model: Any
    ref: ModelRef
    data: DataRef

    def ours(self, name: str, shots: int) -> EvaluationResult:
        asked = make.request(EVALUATION.name, self.data, self.ref, **self.params(name, shots))
        return make.evaluate(EVALUATION, self.model, asked, self.folder)

    @staticmethod
    def params(name: str, shots: int) -> dict[str, Any]:
        return {"task": yaml.safe_dump(TASKS[name]), "num_fewshot": shots, "draws": "as_lm_eval"}

    def theirs(self, name: str, shots: int) -> dict[str, Any]:
        from lm_eval.models.huggingface import HFLM
        from lm_eval.tasks import TaskManager

        files = {split: str(self.folder / f"{split}.jsonl") for split in ("train", "test")}
        config = {
            **yaml.safe_load(yaml.safe_dump(TASKS[name])),
            "task": name,
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": files, "cache_dir": str(self.folder / "cache")},
        }
        wrapped = HFLM(
            pretrained=self.model.network, tokenizer=self.model.tokenizer, batch_size=4,
            max_length=self.model.tokens.longest,
        )  # fmt: skip
        found: dict[str, Any] = lm_eval.simple_evaluate(
            wrapped,
            tasks=[config],
            num_fewshot=shots,
            bootstrap_iters=0,
            log_samples=True,
            task_manager=TaskManager(include_defaults=False),
        )
        return found


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    folder = tmp_path_factory.mktemp("lm_eval")
    ref = lm.causal_lm(folder / "model", longest=512)
    model = causal_lm.load(folder / "model", ref)
    rng = np.random.default_rng(0)
    n = TRAIN + TEST
    words = rng.choice(["good", "film", "bad"], n)
    table = pd.DataFrame(
        {
            "id": [f"d{i:03d}" for i in range(n)],
            "question": list(make.sentences(n, seed=3).text),
            "choices": [[f"{word} one{i}", word, "a longer answer é", "no"] for i, word in enumerate(words)],
            "answer": rng.integers(0, 4, n),
            "word": [str(word) for word in words],
            "split": ["train"] * TRAIN + ["test"] * TEST,
        }
    )
    table.loc[TRAIN + 3, ["question", "choices", "answer", "word"]] = table.loc[TRAIN + 2]  # but for the id
    table["reply"] = replies(model, table.question)
    table.to_json(folder / "all.jsonl", orient="records", lines=True)
    for split, part in table.groupby("split"):
        part.to_json(folder / f"{split}.jsonl", orient="records", lines=True)
    data = DataRef(path=str(folder / "all.jsonl"), digest="d", format="jsonl", roles=ROLES)
    return Setting(folder, model, ref, data)


def replies(model: Any, questions: pd.Series) -> list[str]:
    """What the model says itself to every other question, so that some answers are right; else a sentence."""
    asked = [f"Q: {question}\nA:" for question in questions]
    settings = task_of("written", 0).settings
    said = [
        re.findall("([a-z]+)|([A-Z]+)", made.text)
        for made in model.generate(asked, settings, [0] * len(asked))
    ]
    return [
        "".join(found[0]).upper() + "." if found and i % 2 else "a film that is as good as it is long"
        for i, found in enumerate(said)
    ]


EVERY = [(name, shots) for name in TASKS for shots in (0, 5) if not (shots and name == "rolling")]


@pytest.mark.parametrize(("name", "shots"), EVERY)
def test_prompts_answers_and_metrics_are_those_of_the_harness(
    name: str, shots: int, setting: Setting
) -> None:
    theirs, ours = setting.theirs(name, shots), setting.ours(name, shots)
    values = {key.split(",")[0]: value for key, value in theirs["results"][name].items()}
    assert ours.coverage.attempted == TEST
    for metric in ours.metrics:
        assert metric.value == pytest.approx(values[metric.name], rel=1e-5, abs=1e-6), metric.name
    assert {m.name for m in ours.metrics} == {judging.name for judging in task_of(name, shots).metrics}
    if (name, shots) == ("written", 0):
        assert ours.metrics[0].value == pytest.approx(0.5, abs=0.2)
    if name != "rolling":
        asked = [[request[0] for request in sample["arguments"]] for sample in theirs["samples"][name]]
        assert asked == prompts(setting, name, shots)


def task_of(name: str, shots: int) -> Any:
    return LmTaskParams.model_validate(Setting.params(name, shots)).read()


def prompts(setting: Setting, name: str, shots: int) -> list[list[str]]:
    """Our prompts in the order of the rows, one per request."""
    task, data = task_of(name, shots), dataset.read(setting.data, setting.ref.modality)
    documents, prompter = Documents(data, task), Prompter(task)
    rows = documents.evaluated
    ctx = Context(make.request(EVALUATION.name, setting.data, setting.ref), setting.folder)
    drawn = documents.shots(rows, shots, ctx, as_lm_eval=True)
    found = []
    for doc, held in zip(documents.at(rows), drawn, strict=True):
        contexts = prompter.contexts(doc, held)
        written = task.output == "generate_until"
        found.append(contexts if written else [context for context, _ in prompter.pairs(doc, contexts)])
    return found
