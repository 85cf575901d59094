"""What a task says: which columns make the prompt, what is asked, how answers are read and judged. Light."""

from __future__ import annotations

from typing import Any, Literal

from evaluations.spec import Frozen, GenerationSettings

Output = Literal["loglikelihood", "loglikelihood_rolling", "multiple_choice", "generate_until"]
Template = str | int | list[Any] | dict[str, Any] | None

# Which metrics an output type can be judged by; the first of each are those of a task that names none.
METRICS: dict[str, tuple[str, ...]] = {
    "loglikelihood": ("perplexity", "acc"),
    "loglikelihood_rolling": ("word_perplexity", "byte_perplexity", "bits_per_byte"),
    "multiple_choice": (
        "acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match", "f1", "mcc", "brier_score",
    ),
    "generate_until": ("exact_match", "bleu", "chrf"),
}  # fmt: skip
DEFAULT_METRICS = {"loglikelihood": 2, "loglikelihood_rolling": 3, "multiple_choice": 2, "generate_until": 1}


class Judging(Frozen):
    """One metric of a task. The rest concerns exact_match: what is left out before texts are compared."""

    name: str
    regexes_to_ignore: tuple[str, ...] = ()
    ignore_case: bool = False
    ignore_punctuation: bool = False
    ignore_numbers: bool = False


class Step(Frozen):
    """One filter with its arguments."""

    function: str
    arguments: dict[str, Any] = {}


class Pipeline(Frozen):
    """Filters, one after the other, from the texts of an example to its answer."""

    name: str
    steps: tuple[Step, ...]


class Shots(Frozen):
    """Where worked examples come from, and how they differ from the question itself (None: not at all)."""

    sampler: Literal["default", "first_n"] = "default"
    split: str | None = None
    samples: tuple[dict[str, Any], ...] | None = None
    indices: tuple[int, ...] | None = None
    doc_to_text: Template = None
    doc_to_target: Template = None
    doc_to_choice: Template = None
    gen_prefix: str | None = None
    target_delimiter: str
    fewshot_delimiter: str


class Task(Frozen):
    """One task. Templates are names of columns, Jinja, or the value itself."""

    name: str
    output: Output
    doc_to_text: Template
    doc_to_target: Template
    doc_to_choice: Template
    description: str
    gen_prefix: str | None
    target_delimiter: str
    fewshot_delimiter: str
    training_split: str | None
    validation_split: str | None
    test_split: str | None
    num_fewshot: int
    shots: Shots
    settings: GenerationSettings
    repeats: int
    metrics: tuple[Judging, ...]
    pipelines: tuple[Pipeline, ...]
    notes: tuple[str, ...] = ()  # what of the file has no effect here

    @property
    def evaluated_split(self) -> str | None:
        return self.test_split or self.validation_split

    def judged_by(self, metric: str) -> Judging | None:
        return next((one for one in self.metrics if one.name == metric), None)
