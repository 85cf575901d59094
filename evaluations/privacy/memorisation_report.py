"""What is shown beside the numbers of memorisation: charts, texts that were recited, what was left out and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evaluations import charts
from evaluations.privacy import exposure_scores, extraction_scores
from evaluations.spec import Chart, Example

if TYPE_CHECKING:
    from evaluations.privacy.memorisation import MemorisationParams
    from evaluations.privacy.memorisation_records import Found, Planted

EXAMPLES = 10  # of secrets, and of passages
LONGEST = 2000  # characters of an example
NAMED = 3
LEVEL_OF_POINT = 0.95


def plots(found: Found, params: MemorisationParams) -> list[Chart]:
    ranked = [p for p in found.planted if p.exposure]
    curves = [
        (member, p, extraction_scores.curve([t for t in found.told if t.passage.member is member], p))
        for member in (True, False)
        for p in params.probabilities
    ]
    return [
        *charts.exposure_by_repetitions([_point(p) for p in ranked]),
        *charts.found_by_continuations([(member, p, points) for member, p, points in curves if points]),
    ]


def _point(planted: Planted) -> charts.Exposed:
    assert planted.exposure is not None  # `plots` leaves out the others
    low, high = planted.exposure.bounds(LEVEL_OF_POINT)
    return charts.Exposed(
        planted.canary.id,
        planted.canary.repetitions,
        planted.exposure.space_bits,
        planted.exposure.compared,
        planted.exposure.hits,
        planted.exposure.value,
        low,
        high,
    )


def examples(found: Found) -> list[Example]:
    """Secrets that the model stated, and passages trained on that it recited; the most exposed secrets first."""
    stated = [p for p in found.planted if p.written and p.written.verbatim]
    stated.sort(key=lambda p: -p.exposure.value if p.exposure else 0.0)
    recited = [t for t in found.told if t.passage.member and t.written.verbatim]
    return [
        *(
            Example(
                id=p.canary.id,
                kind="secret_stated",
                before=p.canary.prefix[-LONGEST:],
                after=p.written.text[:LONGEST] if p.written else "",
                facts={
                    "repetitions": p.canary.repetitions,
                    **({"exposure": round(p.exposure.value, 2)} if p.exposure else {}),
                },
            )
            for p in stated[:EXAMPLES]
        ),
        *(
            Example(
                id=t.passage.id,
                kind="passage_recited",
                before=t.passage.prefix[-LONGEST:],
                after=t.written.text[:LONGEST],
                facts={} if t.logprob is None else {"log-probability": round(t.logprob, 3)},
            )
            for t in recited[:EXAMPLES]
        ),
    ]


def warnings(found: Found, params: MemorisationParams, clustered: bool) -> list[str]:
    said = []
    left_out = [p.canary for p in found.planted if p.canary.space is None]
    if left_out:
        reasons = "; ".join(f"{c.id[:60]}: {c.reason}" for c in left_out[:NAMED])
        more = f"; and {len(left_out) - NAMED} more" if len(left_out) > NAMED else ""
        said.append(
            f"Exposure leaves out {len(left_out)} of {len(found.planted)} canaries ({reasons}{more})."
        )
    said += _of_canaries(found, params)
    long_enough = len(found.told)
    if long_enough < len(found.rows.passages):
        said.append(
            f"{len(found.rows.passages) - long_enough} of {len(found.rows.passages)} passages are shorter than "
            f"{params.prefix_words} + {params.suffix_words} words and are left out. Ask for fewer words."
        )
    alike = sum(
        extraction_scores.copies([t for t in found.told if t.passage.member is m]) for m in (True, False)
    )
    if alike and not clustered:
        said.append(f"{alike} passages repeat another one; copies count together as one.")
    if any(t.passage.member for t in found.told) and all(t.passage.member for t in found.told):
        said.append(
            "No passage is marked as not trained on (member = 0), so nothing tells what is recited from what is easily "
            "guessed. Add such passages of the same kind."
        )
    if not found.tells:
        said.append(
            "The model gives no log-probabilities: exposure and the chance of many continuations cannot be told. Serve "
            "it where log-probabilities of the prompt are given."
        )
    return said


def _of_canaries(found: Found, params: MemorisationParams) -> list[str]:
    ranked = [p.canary for p in found.planted if p.canary.space is not None]
    inserted = sum(bool(c.repetitions) for c in ranked)
    said = []
    if found.tells and 0 < inserted < exposure_scores.needed(params.share):
        said.append(
            f"{inserted} canaries were inserted. It takes {exposure_scores.needed(params.share)} to bound from above "
            f"the exposure that {params.share:.0%} of secrets exceed."
        )
    if found.tells and inserted and len(ranked) - inserted < exposure_scores.LEAST_CONTROLS:
        said.append(
            "There are too few controls (canaries with 0 repetitions) to tell a memorised secret from one that is "
            "likely by itself. Draw 20 more secrets in the same way and keep them out of the training data."
        )
    return said
