"""The types that evaluations, the worker and the web service share. Light: no numpy, no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Flag, StrEnum, auto
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:  # heavy libraries appear in annotations only
    from pyarrow import Table

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset


class EvaluationError(Exception):
    """What the person who asked can mend. `code` is stable, `message` says what to do.

    Ends the run with a typed status instead of a traceback. `skipped` marks a run that
    cannot apply to this model or data at all, as opposed to one that went wrong.
    """

    def __init__(self, code: str, message: str, *, skipped: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.skipped = skipped


class Frozen(BaseModel):
    """An immutable value that refuses unknown fields, so that a typo is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


# --- what is evaluated -------------------------------------------------------------------


class Modality(StrEnum):
    """What kind of model it is: decides the adapter, and which evaluations apply."""

    TEXT_CLASSIFIER = "text_classifier"
    TOKEN_CLASSIFIER = "token_classifier"
    MASKED_LM = "masked_lm"
    CAUSAL_LM = "causal_lm"
    SEQ2SEQ = "seq2seq"  # translation, summarisation
    EXTRACTIVE_QA = "extractive_qa"
    IMAGE_CLASSIFIER = "image_classifier"
    TABULAR = "tabular"  # classification
    TABULAR_REGRESSION = "tabular_regression"
    RECOMMENDER = "recommender"


class ModelFormat(StrEnum):
    """How the files are to be read. Decided by magic bytes at intake, never by file name."""

    SAFETENSORS = "safetensors"  # a Hugging Face folder
    ONNX = "onnx"
    SKOPS = "skops"
    XGBOOST = "xgboost"  # the JSON that Booster.save_model writes
    LIGHTGBM = "lightgbm"  # the JSON that Booster.dump_model writes, or its text
    ENDPOINT = "endpoint"  # endpoint.json: where a model is served and how it is asked, without secrets


class Role(StrEnum):
    """What a column of a data set is for."""

    INPUT = "input"  # fed to the model
    TARGET = "target"  # the true label
    SENSITIVE = "sensitive"  # defines the groups that fairness is measured over
    CONTEXT = "context"  # the passage that a question or a generation is about
    CHOICES = "choices"  # the list of answers to choose from
    ANSWER = "answer"  # an answer written before, which people have judged
    HUMAN = "human"  # one person's verdict on it: pass or fail, empty where there is none
    CLUSTER = "cluster"  # examples with the same value are not independent: one passage, one person
    SPLIT = "split"  # train, calibration, test or ood
    MEMBER = "member"  # whether the model was trained on the row: 1 or 0, empty where nobody knows
    RANDOMISED_INCLUSION = "randomised_inclusion"  # of canaries: 1 or 0 as an independent fair coin fell
    REPETITIONS = (
        "repetitions"  # of canaries: how often the trainer inserted the row; 0 = a control never inserted
    )
    USER = "user"
    ITEM = "item"
    ID = "id"  # identifies the example
    IGNORE = "ignore"


class Access(Flag):
    """What an evaluation needs of a model, or what a model offers."""

    LABEL = auto()
    PROBS = auto()
    LOGITS = auto()
    EMBED = auto()
    GRAD = auto()
    WEIGHTS = auto()
    GENERATE = auto()
    LOGPROBS = auto()


class GenerationSettings(Frozen):
    """How text is generated. Temperature 0 is greedy: the same prompt gives the same text."""

    max_new_tokens: int = Field(default=128, ge=1, le=8192)
    temperature: float = Field(default=0.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    stop: tuple[str, ...] = ()  # generation ends before the first of these
    system: str = ""  # system message, where the model has such a thing


class ModelRef(Frozen):
    """Where a model is and what it claims to be. `path` is a folder."""

    path: str
    digest: str
    modality: Modality
    format: ModelFormat
    labels: tuple[str, ...] = ()  # class names in the order of the output columns; () = ask the model
    languages: tuple[str, ...] = ()
    parent: ModelRef | None = None  # the version that this one is compared with


class DataRef(Frozen):
    """Where a data set is and what its columns mean.

    `path` is one parquet, csv or jsonl file; a folder that `datasets` saved; or a folder of
    images with one folder per class, or with metadata.csv or metadata.jsonl.
    """

    path: str
    digest: str
    format: Literal["parquet", "csv", "jsonl", "huggingface", "images"]
    roles: dict[str, Role]
    favourable_label: str | None = None
    languages: tuple[str, ...] = ()

    def columns(self, role: Role) -> list[str]:
        return [column for column, r in self.roles.items() if r is role]


# --- what an evaluation measures -----------------------------------------------------------


class Direction(StrEnum):
    """Which way is better. CONTEXT: neither by itself."""

    HIGHER = "higher"
    LOWER = "lower"
    CONTEXT = "context"


class MetricStatus(StrEnum):
    OK = "ok"
    NOT_ESTIMABLE = "not_estimable"
    CONFOUNDED = "confounded"
    SUPPRESSED = "suppressed"


class Interval(Frozen):
    """A confidence interval. `method` names it as a statistician would: wilson, percentile_bootstrap."""

    low: float
    high: float
    method: str
    level: float = 0.95
    sides: Literal[1, 2] = 2

    @model_validator(mode="after")
    def ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"interval ends are the wrong way round: {self.low} > {self.high}")
        return self


class MetricSpec(Frozen):
    """A metric that an evaluation can report, as forms, policies and pages name it."""

    name: str
    title: str
    unit: Literal[
        "proportion", "ratio", "difference", "probability", "nats", "count", "score", "bits",
        "seconds", "bytes", "joules", "grams", "per_second",
        "refutation",  # 1 where a claim was refuted, 0 where it was not, which proves nothing
    ]  # fmt: skip
    direction: Direction
    formula: str
    reference: str
    plain: str  # one sentence for a reader without statistics; {value} is filled in
    sliced: bool = False  # reported per slice (a column, or column=group) instead of over all rows
    one_sided: bool = False  # can speak against a claim alone: no value of it may pass a demand


class Metric(Frozen):
    """One measured value. Never a number where nothing could be estimated."""

    name: str
    value: float | None
    interval: Interval | None = None
    n: int = Field(ge=0)
    n_effective: float | None = None
    slice: str = "all"  # "all", "sex" (over the groups of a column) or "sex=Female"
    status: MetricStatus = MetricStatus.OK
    reason: str = ""

    @model_validator(mode="after")
    def consistent(self) -> Self:
        if self.status is MetricStatus.OK:
            if self.value is None or not math.isfinite(self.value):
                raise ValueError(f"{self.name}: status ok needs a finite value")
            if self.interval and not self.interval.low <= self.value <= self.interval.high:
                raise ValueError(f"{self.name}: value {self.value} lies outside its interval")
        else:
            if self.value is not None or self.interval is not None:
                raise ValueError(f"{self.name}: status {self.status} carries no numbers")
            if not self.reason:
                raise ValueError(f"{self.name}: status {self.status} needs a reason")
        return self


class Chart(Frozen):
    """A Vega-Lite specification with its alternative text and the table printed beneath it."""

    name: str
    title: str
    alt: str
    spec: dict[str, Any]
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | int | None, ...], ...]


class Heat(Frozen):
    """An attribution to show: the features in order, and how much each speaks for the answer (or against it)."""

    side: Literal["before", "after"] = "before"  # which of the example's texts it explains
    answer: str = ""  # the class that is explained
    features: tuple[str, ...] = Field(max_length=4096)
    values: tuple[float, ...] = Field(max_length=4096)
    text: bool = True  # the features, one after the other, are a text; else they are columns or regions

    @model_validator(mode="after")
    def paired(self) -> Self:
        if len(self.features) != len(self.values):
            raise ValueError("an attribution needs one value a feature")
        return self


class Picture(Frozen):
    """A small PNG to show. `png` is its base64."""

    title: str  # "Before", "After", "Difference, 10 times amplified"
    alt: str
    png: str = Field(max_length=350_000)


class Turn(Frozen):
    """One message of a conversation. A document or a tool's output is what the model was given to read."""

    speaker: Literal["system", "user", "assistant", "document", "tool"]
    text: str = Field(max_length=20_000)


class Example(Frozen):
    """One example worth showing a reviewer: redacted until asked for."""

    id: str
    kind: str  # "attack_success", "error", …
    before: str = ""
    after: str = ""
    changed: tuple[tuple[int, int], ...] = ()  # word indices (before, after) that differ
    heat: tuple[Heat, ...] = Field(default=(), max_length=4)
    pictures: tuple[Picture, ...] = Field(default=(), max_length=6)
    turns: tuple[Turn, ...] = Field(default=(), max_length=64)  # a transcript, in order
    facts: dict[str, str | float | int] = {}


class Coverage(Frozen):
    """What became of the rows: attempted = scored + failed + skipped + blocked."""

    attempted: int = 0
    scored: int = 0
    failed: int = 0
    skipped: int = 0
    blocked: int = 0

    @model_validator(mode="after")
    def adds_up(self) -> Self:
        if self.attempted != self.scored + self.failed + self.skipped + self.blocked:
            raise ValueError("coverage does not add up")
        return self


class Cost(Frozen):
    """What a run used. Seconds, model queries, tokens (0 where there are none), peak memory in bytes."""

    # bounded: a hostile child states it, and forecasts of later audits are reckoned from it
    wall_seconds: float = Field(default=0.0, ge=0, le=1e9)
    cpu_seconds: float = Field(default=0.0, ge=0, le=1e9)
    queries: int = Field(default=0, ge=0, le=10**15)
    tokens: int = Field(default=0, ge=0, le=10**15)
    peak_rss_bytes: int = Field(default=0, ge=0, le=10**15)


class EvaluationResult(Frozen):
    """What one run found. Written as result.json by `python -m evaluations merge`."""

    schema_: Literal["evaluation-result/1"] = Field(default="evaluation-result/1", alias="schema")
    evaluation: str
    version: str
    params: dict[str, Any]
    model_digest: str
    data_digest: str
    seed: int
    environment: dict[str, str] = {}
    metrics: tuple[Metric, ...]
    charts: tuple[Chart, ...] = ()
    examples: tuple[Example, ...] = ()
    warnings: tuple[str, ...] = ()
    coverage: Coverage = Coverage()
    cost: Cost = Cost()

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)

    @model_validator(mode="after")
    def unique(self) -> Self:
        seen = [(m.name, m.slice) for m in self.metrics]
        if len(seen) != len(set(seen)):
            raise ValueError("a metric is reported twice for the same slice")
        return self


# --- how an evaluation runs ----------------------------------------------------------------


class Limits(Frozen):
    """What a run may use, enforced by the sandbox. Seconds and bytes."""

    wall_seconds: int = 1800
    memory_bytes: int = 12 * 2**30
    file_bytes: int = 2 * 2**30


class RunRequest(Frozen):
    """The whole input of a run: `python -m evaluations run request.json --out DIR`."""

    schema_: Literal["run-request/1"] = Field(default="run-request/1", alias="schema")
    run_id: str
    evaluation: str
    params: dict[str, Any] = {}
    model: ModelRef
    data: DataRef
    seed: int
    judge: ModelRef | None = None  # another model, which judges the answers in a pass of its own
    reference: ModelRef | None = (
        None  # a model not trained on the data, which answers the same in a pass of its own
    )
    attacker: ModelRef | None = None  # a model that leads the audited one on, in the same process
    resources: str = ""  # folder of lexical resources
    scores: str = ""  # folder of answers that the same model gave in earlier runs, to be read
    limits: Limits = Limits()

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


class Progress(Frozen):
    """One line of OUT/progress.jsonl."""

    done: int = Field(ge=0, le=2**62)
    total: int = Field(ge=0, le=2**62)
    message: str = ""


class Failure(Frozen):
    """OUT/failure.json: why a run gave no result."""

    code: str
    message: str
    skipped: bool = False


class Requirements(Frozen):
    """What must hold before a device is touched; what does not makes the run `skipped`."""

    modalities: tuple[Modality, ...]
    access: int = Access.LABEL.value  # Access flags
    roles: tuple[Role, ...] = (Role.INPUT, Role.TARGET)
    languages: tuple[str, ...] = ()  # () = any
    min_examples: int = 1
    files: bool = False  # reads the model's files as they lie: the model is not loaded, no service is asked
    parent: bool = False  # needs a parent version to compare with
    judge: bool = False  # another model may judge the answers: it is a JudgedEvaluation
    judge_optional: bool = False  # without one a detector of its own reads them
    judges: tuple[Modality, ...] = ()  # kinds that may judge besides those that are audited
    attacker: bool = False  # another model may lead the audited one on: `run_shard` finds it in ctx.attacker
    reference: bool = (
        False  # a reference model may answer the same shards: `merge` finds them in ctx.reference_states
    )

    def takes_judge(self, kind: Modality, params: Mapping[str, Any]) -> bool:
        """Whether a judge of this kind, where one is named, is asked: not where a fixed rule or a detector reads on.

        One that cannot judge counts as asked where nothing else judges, so that this is said.
        """
        able = kind in (*self.modalities, *self.judges)
        return self.judge and params.get("rubric") is None and (able or not self.judge_optional)


@dataclass(frozen=True)
class Shard:
    """Rows [start, stop) of the (sampled) data set."""

    index: int
    start: int
    stop: int


@dataclass(frozen=True)
class Plan:
    """What a run will do and cost, known before it starts."""

    shards: tuple[Shard, ...]
    expected_queries: int
    expected_output_tokens: int = 0  # generated, at most; what is read is estimated from the data
    more_input_tokens: int = 0  # read beyond the rows' own texts, as of a conversation what was said before
    judged: int | None = None  # texts that a judge reads, where not one for each query
    smallest_detectable_effect: float | None = None
    refusals: tuple[str, ...] = ()


@dataclass(frozen=True)
class ShardState:
    """What the process that held the model hands to the one that judges.

    `records` has one row per example with the string column `example_id`. Truth (labels,
    groups) is never in it: `merge` reads that from the data set, so a hostile model can
    choose its answers but not what they are compared with.
    """

    records: Table
    counters: dict[str, int] = field(default_factory=dict)


class Params(Frozen):
    """Base of every evaluation's parameters."""


class ScoredParams(Params):
    """Parameters of an evaluation that holds answers against the truth."""

    max_error_rate: float = Field(
        default=0.02,
        ge=0,
        le=1,
        title="Largest share of errors",
        description="Above this share of examples without an answer, nothing is estimated.",
    )


class Evaluation(Protocol):
    """One evaluation. A module `evaluations/AREA/NAME.py` defines one class and `EVALUATION = Class()`."""

    name: ClassVar[str]
    version: ClassVar[str]  # changes when numbers may change
    title: ClassVar[str]
    question: ClassVar[str]  # what it answers, in plain words
    Params: ClassVar[type[Params]]
    requires: ClassVar[Requirements]
    metrics: ClassVar[tuple[MetricSpec, ...]]
    tags: ClassVar[tuple[str, ...]]

    def plan(self, data_rows: int, params: Any) -> Plan: ...
    def run_shard(
        self, model: Any, data: Dataset, params: Any, ctx: Context, shard: Shard
    ) -> ShardState: ...  # model: the protocol of its kind, evaluations/models/protocol.py
    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: Any, ctx: Context
    ) -> EvaluationResult: ...


class JudgedEvaluation(Evaluation, Protocol):
    """An evaluation in which another model may judge the answers, in a process that never holds the audited one."""

    def judge_shard(self, judge: Any, data: Dataset, params: Any, ctx: Context, shard: Shard) -> ShardState:
        """The judge's verdicts on the answers in `ctx.judged`. `merge` finds them in `ctx.judge_states`."""
        ...
