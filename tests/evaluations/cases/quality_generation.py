"""quality.generation."""

from __future__ import annotations

from tests.evaluations import seq
from tests.evaluations.cases import Case, everywhere

OVERLAPS = ("exact_match", "token_f1", "rouge_l")
CORPUS = ("bleu", "chrf")

CASE = Case(
    table=seq.questions,
    roles=seq.ROLES,
    data={},
    rows=24,
    model=seq.stand_in(seq.fickle),
    label=None,
    silent=lambda: seq.Writing(lambda prompt, seed: None),
    known={
        "perfect": (
            seq.knowing,
            everywhere(dict.fromkeys(OVERLAPS, 1.0) | dict.fromkeys(CORPUS, 100.0))
            | {("pass_at_k", "k=1"): 1.0, ("empty_rate", "all"): 0.0},
        ),
        "nonsense": (
            lambda table: seq.Writing(lambda prompt, seed: "%%%"),
            everywhere(dict.fromkeys((*OVERLAPS, *CORPUS), 0.0)) | {("pass_at_k", "k=1"): 0.0},
        ),
        "mute": (
            lambda table: seq.Writing(lambda prompt, seed: ""),
            everywhere(dict.fromkeys((*OVERLAPS, *CORPUS), 0.0) | {"empty_rate": 1.0}),
        ),
    },
)
