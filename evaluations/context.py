"""What a run gives to an evaluation: seeds, progress, cancellation, folders, answers given before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from evaluations.engine.score_store import CHUNK, ScoreStore, key_of
from evaluations.models.protocol import Remote
from evaluations.spec import (
    Chart,
    Coverage,
    Evaluation,
    EvaluationError,
    EvaluationResult,
    Example,
    GenerationSettings,
    Metric,
    Params,
    Progress,
    RunRequest,
    ShardState,
    Turn,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import (
        Classifier,
        Conversationalist,
        Generation,
        Generator,
        Model,
        Scores,
    )


GENERATED = pa.schema(
    {
        "text": pa.string(),
        "status": pa.string(),
        "reason": pa.string(),
        "cut": pa.bool_(),
        "logprob": pa.float64(),
        "shortened": pa.bool_(),
    }
)


def _silent(progress: Progress) -> None:
    """Progress that nobody follows, as in a notebook."""


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Attacker:
    """A model that writes what is said to the audited one, and where its own answers are kept."""

    model: Generator
    context: Context


@dataclass
class Context:
    """One run's surroundings. Holds no truth and no model."""

    request: RunRequest
    out: Path
    on_progress: Callable[[Progress], None] = _silent
    is_cancelled: Callable[[], bool] = _never
    offset: int = 0  # rows done by earlier shards
    total: int = 0  # rows of the whole run; 0 = only this call's own
    store: ScoreStore = field(default_factory=ScoreStore, repr=False)
    parent_states: Sequence[ShardState] = ()  # at merge: the same shards as the parent version answered them
    reference_states: Sequence[
        ShardState
    ] = ()  # at merge: the same shards as a reference model answered them
    attacker: Attacker | None = None  # another model that leads the audited one on, turn by turn
    judged: ShardState | None = None  # in the pass of a judge: what the audited model answered in this shard
    judge_states: Sequence[ShardState] = ()  # at merge: what the judge said of each shard

    @property
    def seed(self) -> int:
        return self.request.seed

    @property
    def resources(self) -> Path:
        return Path(self.request.resources)

    def rng(self, example_id: str) -> np.random.Generator:
        """A generator for one example. Depends on seed and id alone, so not on shards, order or resume."""
        return np.random.Generator(np.random.PCG64(derive_seed(self.seed, example_id)))

    def progress(self, done: int, total: int, message: str = "") -> None:
        """`done` of this shard's `total` rows are finished."""
        self.on_progress(Progress(done=self.offset + done, total=self.total or total, message=message))

    def cancelled(self) -> bool:
        return self.is_cancelled()

    def stop_if_cancelled(self) -> None:
        if self.is_cancelled():
            raise EvaluationError(
                "cancelled", "The run was cancelled. Start the audit again to measure this."
            )

    def artefact(self, name: str) -> Path:
        """Where to write a file that is kept beside the result."""
        folder = self.out / "artefacts"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / name

    def answers(
        self,
        model: Model,
        kind: str,
        ids: NDArray[np.str_],
        ask: Callable[[NDArray[np.int64]], pa.Table],
        message: str = "asking the model",
        schema: pa.Schema | None = None,
        chunk: int = CHUNK,
        **settings: object,
    ) -> pa.Table:
        """A row of answers per id, in order. What this model was asked before, in whichever evaluation, is not
        asked again. `kind` and `settings` say what is asked; `ask` maps positions in `ids` to a table, with the
        columns of `schema` where that is given, at most `chunk` at a time: what a killed run loses.
        """

        def before_chunk(done: int) -> None:
            self.stop_if_cancelled()
            self.progress(done, len(ids), message)

        key = key_of(self.request, model, kind, **settings)
        remote = model if isinstance(model, Remote) else None
        if remote is not None:
            remote.question = key
        found = self.store.answers(
            key,
            ids,
            ask,
            before_chunk=before_chunk,
            schema=schema,
            chunk=(lambda: remote.at_once) if remote else chunk,
            ended=lambda: remote.stopped if remote else None,
        )
        self.progress(len(ids), len(ids), message)
        return found

    def predictions(
        self, model: Classifier, data: Dataset, rows: NDArray[np.int64], sample: int = 0
    ) -> Scores:
        """Class probabilities of `rows`, shape (len(rows), K), in the order of `rows`.

        `sample` numbers repeated questions of the same rows: each is asked anew.
        """
        from evaluations.models.protocol import Scores
        from evaluations.scoring import PROBS, probs_column, read_probs

        def ask(positions: NDArray[np.int64]) -> pa.Table:
            scores = model.predict_proba(data.inputs(rows[positions], model.columns))
            return pa.table({"probs": probs_column(scores.probs, scores.errors)})

        again = {"sample": sample} if sample else {}
        table = self.answers(model, "probs", data.ids[rows], ask, "scoring", PROBS, **again)
        probs, errors = read_probs(table.column("probs"), len(model.labels))
        return Scores(probs, errors, np.ones(len(rows), bool))

    def generations(
        self,
        model: Generator,
        ids: NDArray[np.str_],
        prompts: Sequence[str],
        settings: GenerationSettings,
        sample: int = 0,
    ) -> list[Generation]:
        """One text per prompt. `sample` numbers repeated draws of the same prompt; ids name the prompts."""

        def ask(positions: NDArray[np.int64]) -> pa.Table:
            seeds = self._seeds(ids, sample, positions)
            return _generated(model.generate([prompts[i] for i in positions], settings, seeds))

        # The prompt is part of the id, not of the question: shards cut elsewhere find the same answers.
        asked = np.array([f"{i}:{_digest(prompt)}" for i, prompt in zip(ids, prompts, strict=True)])
        how = self._how(settings)
        table = self.answers(model, "text", asked, ask, "generating", GENERATED, sample=sample, **how)
        return [_generation(row) for row in table.to_pylist()]

    def conversations(
        self,
        model: Conversationalist,
        ids: NDArray[np.str_],
        turns: Sequence[Sequence[Turn]],
        settings: GenerationSettings,
        sample: int = 0,
    ) -> list[Generation]:
        """The assistant's next message in each conversation, shared and kept as `generations` are."""

        def ask(positions: NDArray[np.int64]) -> pa.Table:
            seeds = self._seeds(ids, sample, positions)
            return _generated(model.converse([turns[i] for i in positions], settings, seeds))

        asked = np.array([f"{i}:{_digest_of_turns(said)}" for i, said in zip(ids, turns, strict=True)])
        how = self._how(settings)
        table = self.answers(
            model,  # type: ignore[arg-type]  # whoever converses is a model too
            "conversation", asked, ask, "conversing", GENERATED, sample=sample, **how,
        )  # fmt: skip
        return [_generation(row) for row in table.to_pylist()]

    def _seeds(self, ids: NDArray[np.str_], sample: int, positions: NDArray[np.int64]) -> list[int]:
        return [derive_seed(self.seed, f"{ids[i]}:sample:{sample}") % 2**63 for i in positions]

    def _how(self, settings: GenerationSettings) -> dict[str, Any]:
        return settings.model_dump() | ({"seed": self.seed} if settings.temperature > 0 else {})

    def result(
        self,
        evaluation: Evaluation,
        params: Params,
        *,
        metrics: list[Metric],
        charts: list[Chart],
        coverage: Coverage,
        examples: list[Example] | None = None,
        warnings: list[str] | None = None,
    ) -> EvaluationResult:
        """The result of this request. `python -m evaluations merge` adds environment and cost."""
        return EvaluationResult(
            evaluation=evaluation.name,
            version=evaluation.version,
            params=params.model_dump(mode="json"),
            model_digest=self.request.model.digest,
            data_digest=self.request.data.digest,
            seed=self.seed,
            metrics=tuple(metrics),
            charts=tuple(charts),
            examples=tuple(examples or ()),
            warnings=tuple(warnings or ()),
            coverage=coverage,
        )


def _generated(made: Sequence[Generation]) -> pa.Table:
    """A row each; nothing in that of an error, which is asked for again."""
    given = [None if g.status == "error" or not _is_unicode(g.text + g.reason) else g for g in made]
    return pa.table([[g and getattr(g, name) for g in given] for name in GENERATED.names], schema=GENERATED)


def _generation(row: dict[str, Any]) -> Generation:
    from evaluations.models.protocol import Generation

    if row["status"] not in ("ok", "blocked") or row["text"] is None:
        return Generation("", "error", "The model gave no answer.")
    return Generation(
        row["text"],
        row["status"],
        row["reason"] or "",
        cut=bool(row["cut"]),
        shortened=bool(row["shortened"]),
        logprob=row["logprob"],
    )


def _is_unicode(text: str) -> bool:
    """Whether it can be written down: JSON may hold halves of characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _digest_of_turns(turns: Sequence[Turn]) -> str:
    return _digest(json.dumps([[turn.speaker, turn.text] for turn in turns]))


def derive_seed(seed: int, name: str) -> int:
    """A 128-bit seed for one named use of `seed`."""
    return int.from_bytes(
        hashlib.sha256(f"{seed}:{name}".encode("utf-8", "surrogatepass")).digest()[:16], "big"
    )
