"""Hugging Face models that find the answer to a question in a passage, read in overlapping windows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from evaluations.models import hf_folder, text_batches
from evaluations.models.protocol import Span, Usage
from evaluations.spec import Access, EvaluationError, Modality, ModelRef

if TYPE_CHECKING:
    from numpy.typing import NDArray

WINDOW = 384  # tokens, as BERT was trained on SQuAD
OVERLAP = 128  # tokens that a window shares with the next
QUESTION = 64  # tokens of the question that are read
LONGEST_ANSWER = 30  # tokens
CANDIDATES = 20  # spans among which a score is shared out


class HuggingFaceExtractiveQA:
    """Start and end of the answer in the passage: the pair of tokens with the largest sum of logits.

    All pairs of at most LONGEST_ANSWER tokens are compared, over all windows. `network` and `tokenizer` are
    those of transformers.
    """

    modality: ClassVar[Modality] = Modality.EXTRACTIVE_QA
    adapter: ClassVar[str] = "extractive_qa_hf/1"
    access: ClassVar[Access] = Access.LABEL | Access.GENERATE | Access.LOGITS | Access.GRAD | Access.WEIGHTS

    def __init__(self, network: Any, tokenizer: Any, device: str) -> None:
        self.network = network
        self.tokenizer = tokenizer
        self.device = device
        self.longest = min(WINDOW, hf_folder.longest_of(network.config, tokenizer))
        self.usage = Usage()

    def answer(
        self, questions: Sequence[str], contexts: Sequence[str], unanswerable: bool = False
    ) -> list[Span | None]:
        found = self.candidates(questions, contexts, unanswerable)
        return [None if spans is None else spans[0] for spans in found]

    def candidates(
        self, questions: Sequence[str], contexts: Sequence[str], unanswerable: bool = False
    ) -> list[list[Span] | None]:
        """The best CANDIDATES spans of each passage, best first; their scores are a softmax of summed logits.

        With `unanswerable` the empty span is among them, at the score of the window that believes least in it
        (Devlin et al. 2019, §4.3). None where the model's outputs are no numbers.
        """
        self.usage.queries += len(questions)
        windows = self._windows(questions, contexts) if len(questions) else {}
        best: list[dict[tuple[int, int], float]] = [{} for _ in questions]
        empty = np.full(len(questions), np.inf)
        broken: NDArray[np.bool_] = np.zeros(len(questions), dtype=bool)
        for window, start, end in self._logits(windows):
            row = windows["row"][window]
            if not (np.isfinite(start).all() and np.isfinite(end).all()):
                broken[row] = True
                continue
            first = windows["first"][window]
            empty[row] = min(empty[row], float(start[first] + end[first]))
            for span, score in spans_of(start, end, windows["offsets"][window]).items():
                best[row][span] = max(score, best[row].get(span, -np.inf))
        return [
            None if broken[i] else _ranked(best[i], contexts[i], float(empty[i]) if unanswerable else None)
            for i in range(len(questions))
        ]

    def _windows(self, questions: Sequence[str], contexts: Sequence[str]) -> dict[str, list[Any]]:
        """Every passage cut into windows behind its question; offsets are None outside the passage."""
        most = min(QUESTION, self.longest // 4)
        encoded = self.tokenizer(
            [self._shortened(question, most) for question in questions],
            list(contexts),
            truncation="only_second",
            max_length=self.longest,
            stride=min(OVERLAP, self.longest // 4),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        fed = [name for name in self.tokenizer.model_input_names if name in encoded]
        found: dict[str, list[Any]] = {name: encoded[name] for name in fed}
        found["row"] = list(encoded["overflow_to_sample_mapping"])
        found["offsets"] = [
            [
                tuple(place) if part == 1 else None
                for place, part in zip(offsets, encoded.sequence_ids(i), strict=True)
            ]
            for i, offsets in enumerate(encoded["offset_mapping"])
        ]
        marker = self.tokenizer.cls_token_id
        found["first"] = [ids.index(marker) if marker in ids else 0 for ids in found["input_ids"]]
        self.usage.tokens += sum(map(len, found["input_ids"]))
        return found

    def _shortened(self, question: str, most: int) -> str:
        places = self.tokenizer(question, add_special_tokens=False, return_offsets_mapping=True)[
            "offset_mapping"
        ]
        if len(places) <= most:
            return question
        self.usage.truncated += 1
        return question[: places[most - 1][1]]

    def _logits(self, windows: dict[str, list[Any]]) -> Any:
        """(window, start logits, end logits), each of the length of the window."""
        import torch

        if not windows:
            return
        fed = {name: windows[name] for name in self.tokenizer.model_input_names if name in windows}
        for rows, batch in text_batches.batches(self.tokenizer, fed, self.device):
            with torch.inference_mode():
                out = self.network(**batch.to(self.device))
            starts, ends = out.start_logits.float().cpu().numpy(), out.end_logits.float().cpu().numpy()
            padded_left = self.tokenizer.padding_side == "left"
            for i, window in enumerate(rows):
                size = len(windows["input_ids"][window])
                here = slice(starts.shape[1] - size, None) if padded_left else slice(0, size)
                yield int(window), starts[i, here].astype(np.float64), ends[i, here].astype(np.float64)


def spans_of(
    start: NDArray[np.float64], end: NDArray[np.float64], offsets: Sequence[tuple[int, int] | None]
) -> dict[tuple[int, int], float]:
    """The best CANDIDATES (first character, last character + 1) of a window by start + end logit."""
    inside = np.array([place is not None for place in offsets])
    if not inside.any():
        return {}
    start, end = np.where(inside, start, -np.inf), np.where(inside, end, -np.inf)
    padded: NDArray[np.float64] = np.append(end, np.full(LONGEST_ANSWER - 1, -np.inf))
    sums = start[:, None] + np.lib.stride_tricks.sliding_window_view(padded, LONGEST_ANSWER)
    flat = sums.ravel()  # (start, length − 1)
    kept = np.argsort(-flat, kind="stable")[:CANDIDATES]
    found: dict[tuple[int, int], float] = {}
    for place in kept[np.isfinite(flat[kept])]:
        first, length = divmod(int(place), LONGEST_ANSWER)
        opening, closing = offsets[first], offsets[first + length]
        if opening is not None and closing is not None:
            found.setdefault((opening[0], closing[1]), float(flat[place]))
    return found


def _ranked(best: dict[tuple[int, int], float], context: str, empty: float | None) -> list[Span]:
    if empty is not None and np.isfinite(empty):
        best = {**best, (0, 0): empty}
    ordered = sorted(best.items(), key=lambda item: (-item[1], item[0]))[:CANDIDATES]
    if not ordered:
        return [Span("")]
    sums = np.array([score for _, score in ordered])
    shares = np.exp(sums - sums.max())
    shares /= shares.sum()
    return [
        Span(context[a:b], a, b, float(share)) for ((a, b), _), share in zip(ordered, shares, strict=True)
    ]


def load(folder: Path, ref: ModelRef) -> HuggingFaceExtractiveQA:
    """The span model in a Hugging Face folder. Raises EvaluationError where it is not one, or is incomplete."""
    hf_folder.config_of(folder)
    tokenizer = hf_folder.tokenizer_of(folder)
    if not tokenizer.is_fast:
        raise EvaluationError(
            "tokenizer_slow",
            "The tokenizer cannot say where in the passage a token lies. Save it with tokenizer.json (a fast one).",
        )
    network = hf_folder.network_of(
        folder, "AutoModelForQuestionAnswering", "Push the fine-tuned model, not the bare encoder."
    )
    hf_folder.give_padding(tokenizer, network.config)
    return HuggingFaceExtractiveQA(network, tokenizer, hf_folder.device())
