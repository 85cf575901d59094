"""Six evaluations on one scoring pass against that pass alone: the demo's sentiment model, 4,000 film sentences.

Group fairness needs a sensitive column, which the sentences lack: the tercile of their length stands in for one.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from evaluations import catalogue, shardfiles, stats
from evaluations.context import Context
from evaluations.data import dataset
from evaluations.engine.score_store import ScoreStore
from evaluations.merge import for_parent
from evaluations.models.loader import load
from evaluations.runner import Meter
from evaluations.spec import (
    DataRef,
    EvaluationResult,
    Modality,
    ModelFormat,
    ModelRef,
    Role,
    RunRequest,
    ShardState,
)
from tests.benchmarks.pairing import alternate
from workers.demo import data as demo_data
from workers.demo.cache import demo_dir, fetched

NAMES = (
    "quality.classification",
    "quality.calibration",
    "fairness.group",
    "quality.slices",
    "quality.selective_conformal",
    "quality.version_change",
)
LABELS = ("negative", "positive")
ROLES = {"id": Role.ID, "text": Role.INPUT, "label": Role.TARGET, "length": Role.SENSITIVE}


def measure() -> dict[str, Any]:
    assert stats.DRAWS == 9_999
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ref = _model(folder)
        data_ref = _sentences(folder)
        model: Any = load(ref)
        parent_states = _parent(ref, model, data_ref, folder)
        runs = _counter()

        def one_pass() -> list[ShardState]:
            """The answers alone, as the first evaluation gets and keeps them."""
            return _answer(NAMES[0], model, ref, data_ref, _fresh(folder, runs()))[0]

        def together() -> dict[str, EvaluationResult]:
            """Every evaluation after the other, the answers shared: only the first one asks the model."""
            store = _fresh(folder, runs())
            return {n: _whole(n, model, ref, data_ref, store, parent_states) for n in NAMES}

        def apart() -> dict[str, EvaluationResult]:
            return {n: _whole(n, model, ref, data_ref, _fresh(folder, runs()), parent_states) for n in NAMES}

        asked = model.usage.queries
        shared = together()
        asked = model.usage.queries - asked
        for n, separate in apart().items():
            assert shared[n].model_dump() == separate.model_dump(), f"{n} differs when run by itself"
        timed = alternate(one_pass, together, runs=3)
    return {
        "what": f"{', '.join(NAMES)} of MiniLM on {asked} sentences, B = {stats.DRAWS}; ratio = all together / pass",
        "equal": True,
        "sentences_asked": asked,
        "metrics": sum(len(result.metrics) for result in shared.values()),
        **timed,
    }


def _counter() -> Callable[[], int]:
    numbers = iter(range(10**6))
    return lambda: next(numbers)


def _fresh(folder: Path, number: int) -> ScoreStore:
    return ScoreStore(folder / f"scores-{number}")


def _answer(
    name: str, model: Any, ref: ModelRef, data_ref: DataRef, store: ScoreStore
) -> tuple[list[ShardState], Any, Any, Context]:
    """The run as the runner has it: data read, every shard answered and written, what was answered kept."""
    assert store.here is not None
    evaluation, out = catalogue.get(name), store.here / name
    out.mkdir(parents=True)
    request = RunRequest(run_id="run_b", evaluation=name, model=ref, data=data_ref, seed=1)
    params = evaluation.Params()
    data = dataset.read(data_ref, ref.modality)
    ctx, spent, states = Context(request, out, store=store), Meter(), []
    for shard in evaluation.plan(data.rows, params).shards:
        state = evaluation.run_shard(model, data, params, ctx, shard)
        store.flush()
        shardfiles.write(out, shard, state, request, spent.since_last(model), model.device)
        states.append(shardfiles.read(out, shard, request)[0])
    return states, data, params, ctx


def _whole(
    name: str,
    model: Any,
    ref: ModelRef,
    data_ref: DataRef,
    store: ScoreStore,
    parent_states: Sequence[ShardState],
) -> EvaluationResult:
    states, data, params, ctx = _answer(name, model, ref, data_ref, store)
    ctx.parent_states = parent_states
    return catalogue.get(name).merge(states, data, params, ctx)


def _parent(ref: ModelRef, model: Any, data_ref: DataRef, folder: Path) -> list[ShardState]:
    """What another version answered: the same encoder with its two outputs drawn towards each other."""
    import torch

    assert ref.parent is not None
    bias = model.network.classifier.bias
    with torch.no_grad():
        bias += torch.tensor([0.3, -0.3])
    asked = for_parent(RunRequest(run_id="run_p", evaluation=NAMES[-1], model=ref, data=data_ref, seed=1))
    states = _answer(NAMES[-1], model, asked.model, data_ref, _fresh(folder, 10**6))[0]
    with torch.no_grad():
        bias -= torch.tensor([0.3, -0.3])
    return states


def _sentences(folder: Path) -> DataRef:
    """All 4,000: cost is measured, so those that it was trained on serve too."""
    source = demo_data.sentences()
    rows = [
        json.loads(line)
        for part in ("train.jsonl", "test.jsonl")
        for line in (source / part).read_text(encoding="utf-8").splitlines()
    ]
    table = pd.DataFrame(rows)
    words = table.text.map(lambda text: len(re.findall(r"\w+", text)))
    table["length"] = pd.qcut(words, 3, labels=["short", "middling", "long"]).astype(str)
    path = folder / "sentences.parquet"
    table.to_parquet(path, index=False)
    return DataRef(
        path=str(path), digest="sentences", format="parquet", roles=ROLES, favourable_label="positive"
    )


def _model(folder: Path) -> ModelRef:
    """The trained model where the demonstration has left it, else its encoder with a random head: the same cost."""
    made = sorted((demo_dir() / "cache").glob("sentiment-*"))
    path = made[-1] if made else _untrained(folder / "model")
    ref = ModelRef(
        path=str(path),
        digest="sentiment",
        modality=Modality.TEXT_CLASSIFIER,
        format=ModelFormat.SAFETENSORS,
        labels=LABELS,
        languages=("en",),
    )
    return ref.model_copy(update={"parent": ref.model_copy(update={"digest": "sentiment-parent"})})


def _untrained(folder: Path) -> Path:
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    encoder = fetched("minilm")
    torch.manual_seed(0)
    network = transformers.AutoModelForSequenceClassification.from_pretrained(
        encoder, local_files_only=True, use_safetensors=True, num_labels=2, id2label=dict(enumerate(LABELS))
    )
    with torch.no_grad():
        network.classifier.weight.normal_(std=1.0)  # answers that differ, not all near one half
    network.save_pretrained(folder, safe_serialization=True)
    transformers.AutoTokenizer.from_pretrained(encoder, local_files_only=True).save_pretrained(folder)
    return folder
