"""What a model offers to an evaluation, whatever file it came from: one small protocol per kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, runtime_checkable

import numpy as np

from evaluations.spec import Access, EvaluationError, GenerationSettings, Modality, Turn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.data.dataset import Dataset
    from evaluations.models.image_units import Units
    from evaluations.models.tool_calls import ToolCall


@dataclass
class Scores:
    """Class probabilities of n rows. `errors` marks rows for which the model gave none (their probs are NaN)."""

    probs: NDArray[np.float64]  # (n, K)
    errors: NDArray[np.bool_]  # (n,)
    seen: NDArray[np.bool_]  # (n,) False until scored

    @classmethod
    def blank(cls, rows: int, classes: int) -> Self:
        return cls(np.full((rows, classes), np.nan), np.zeros(rows, bool), np.zeros(rows, bool))

    @classmethod
    def checked(cls, probs: NDArray[Any]) -> Self:
        """From what a model returned: a row that is no probability vector is an error row."""
        probs = np.asarray(probs, dtype=np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            good = np.isfinite(probs).all(axis=1) & (probs >= -1e-9).all(axis=1)
            good &= np.abs(np.where(good[:, None], probs, 0).sum(axis=1) - 1) <= 1e-3
        probs = np.where(good[:, None], np.clip(probs, 0, 1), np.nan)
        return cls(probs, ~good, np.ones(len(probs), bool))

    def put(self, rows: NDArray[np.int64], scores: Scores) -> None:
        self.probs[rows], self.errors[rows], self.seen[rows] = scores.probs, scores.errors, True

    def take(self, rows: NDArray[np.int64]) -> Scores:
        return Scores(self.probs[rows], self.errors[rows], self.seen[rows])


@dataclass
class Usage:
    """What scoring has cost so far. `queries` counts rows scored, `tokens` includes no padding."""

    queries: int = 0
    tokens: int = 0
    truncated: int = 0  # texts longer than the model reads


# --- what language models give back --------------------------------------------------------------


@dataclass(frozen=True)
class Likelihood:
    """Log-likelihood of one text. `logprob` is a sum over `tokens` tokens, in nats."""

    logprob: float
    tokens: int
    greedy: bool = False  # every token was the most probable one


@dataclass(frozen=True)
class Generation:
    """One generated text. `blocked` is a provider's content filter, which is not an error of the model."""

    text: str
    status: Literal["ok", "error", "blocked"] = "ok"
    reason: str = ""  # of an error or a block, for people
    prompt_tokens: int = 0
    output_tokens: int = 0
    cut: bool = False  # it ended at max_new_tokens
    shortened: bool = False  # a part of what it was told did not fit, and was not read
    logprob: float | None = None  # ln p of what was generated, where an endpoint tells it


@dataclass(frozen=True)
class Span:
    """An answer found in a passage: characters [start, stop) and the model's score. "" where it finds none."""

    text: str
    start: int = 0
    stop: int = 0
    score: float = 0.0


@dataclass
class Predictions:
    """Numbers predicted for n rows. `errors` marks rows without one (NaN). Bounds where the model gives them."""

    values: NDArray[np.float64]  # (n,)
    errors: NDArray[np.bool_]  # (n,)
    low: NDArray[np.float64] | None = None  # (n,) ends of the model's own prediction interval
    high: NDArray[np.float64] | None = None


# --- kinds of model -------------------------------------------------------------------------------


class Model(Protocol):
    """What every adapter has. `adapter` changes when its answers may change ("text_hf/1")."""

    adapter: ClassVar[str]
    usage: Usage
    device: str

    @property
    def modality(self) -> Modality: ...
    @property
    def access(self) -> Access: ...


@runtime_checkable
class Remote(Protocol):
    """What a model behind an endpoint adds: it may change, run into a budget, and is asked in smaller portions."""

    question: str  # what is being asked now: identical requests share an answer within one question
    identity: str  # digest of its fingerprint, so that answers of a changed service are never mixed

    @property
    def at_once(self) -> int:
        """How many rows to ask for at a time."""
        ...

    @property
    def stopped(self) -> EvaluationError | None:
        """Why nothing more can be asked, such as a budget. Rows not asked for that came back as errors."""
        ...

    def probe(self, data: Dataset) -> dict[str, str | tuple[float, ...]]:
        """Answers to a few fixed questions, and what the service calls itself: never from a cache."""
        ...


class Classifier(Model, Protocol):
    """A classifier over K classes named by `labels`, in the order of its output columns."""

    labels: tuple[str, ...]
    columns: tuple[str, ...] | None  # input columns it asks for by name; None = whatever has the role input

    def predict_proba(self, rows: Any) -> Scores:
        """Scores of shape (n, K) for n texts, n images as bytes, or the n rows of a frame."""
        ...


@runtime_checkable
class TokenReader(Protocol):
    """A text classifier whose tokenizer is at hand, so that it can be asked about token ids."""

    labels: tuple[str, ...]
    tokenizer: Any
    usage: Usage

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids with special tokens, cut at the longest text that the model reads."""
        ...

    def probs_of_ids(self, ids: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        """Class probabilities (n, K) of n sequences of ids as `token_ids` gives them; NaN where there are none."""
        ...


@runtime_checkable
class ImageNetwork(Protocol):
    """An image classifier that can be asked about prepared pixels."""

    labels: tuple[str, ...]
    prepare: Any  # bytes -> pixels (channels, height, width) float32, or None where they cannot be read
    usage: Usage

    def probs_of_pixels(self, pixels: NDArray[np.float32]) -> NDArray[np.float64]:
        """Class probabilities (n, K) of n prepared images (n, channels, height, width)."""
        ...


class ImageGradients(Classifier, ImageNetwork, Protocol):
    """An image classifier whose weights are at hand."""

    units: Units

    def logits_of_units(self, units: Any) -> Any:
        """Raw outputs (n, K) of images with values from 0 to 1, a tensor on the device; gradients flow to `units`."""
        ...


class TextClassifier(Classifier, TokenReader, Protocol):
    """A text classifier whose weights are at hand."""

    network: Any

    def logits(self, texts: Sequence[str]) -> Any:
        """Raw outputs as a float32 CPU tensor of shape (len(texts), K)."""
        ...


class TokenClassifier(Model, Protocol):
    """A tagger: one label per word."""

    labels: tuple[str, ...]

    def tag(self, sentences: Sequence[Sequence[str]]) -> list[list[int] | None]:
        """Label index of each word of each sentence; None where the model could not answer."""
        ...


class Regressor(Model, Protocol):
    """Predicts one number per row of a frame."""

    columns: tuple[str, ...] | None

    def predict(self, rows: Any) -> Predictions: ...


class Generator(Model, Protocol):
    """Anything that continues or answers a prompt: causal, seq2seq, a chat endpoint."""

    def generate(
        self, prompts: Sequence[str], settings: GenerationSettings, seeds: Sequence[int]
    ) -> list[Generation]:
        """One Generation per prompt, in order. `seeds` (one per prompt) decide sampled tokens, so that batching
        and order change nothing; at temperature 0 they are not used."""
        ...


@runtime_checkable
class Conversationalist(Protocol):
    """A generator that can be given a conversation: a chat service, or weights with a chat template."""

    usage: Usage

    def converse(
        self, conversations: Sequence[Sequence[Turn]], settings: GenerationSettings, seeds: Sequence[int]
    ) -> list[Generation]:
        """The next message of the assistant in each conversation, in order; `seeds` as for `generate`."""
        ...


@runtime_checkable
class ToolUser(Model, Protocol):
    """A generator that can be offered tools: a chat service. None of them is ever carried out."""

    def generate_with_tools(
        self,
        prompts: Sequence[str],
        tools: Sequence[dict[str, Any]],
        settings: GenerationSettings,
        seeds: Sequence[int],
    ) -> list[tuple[Generation, tuple[ToolCall, ...]]]:
        """One text per prompt, and the calls that it asks for; `seeds` as for `generate`."""
        ...


class LanguageModel(Generator, Protocol):
    """A causal language model with log-probabilities. None marks a request without an answer."""

    def loglikelihoods(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood | None]:
        """ln p(continuation | context) per pair. Tokenised together; trailing spaces of the context go to the
        continuation; too long a pair loses tokens on the left. Pairs with the same context share its pass."""
        ...

    def rolling_loglikelihoods(self, texts: Sequence[str]) -> list[Likelihood | None]:
        """ln p(text) with disjoint windows, each token predicted once, the first from the start token."""
        ...


@dataclass(frozen=True)
class TokenLogprobs:
    """One text, token by token: ln p of each token, and mean and spread of ln p over what could have stood there.

    Shapes (tokens,), in nats. `means` and `sds` are E and SD of ln p(z) for z drawn from the model's own
    distribution; None where a service tells only the tokens' own.
    """

    logprobs: NDArray[np.float64]
    means: NDArray[np.float64] | None = None
    sds: NDArray[np.float64] | None = None


@runtime_checkable
class TokenLanguageModel(Model, Protocol):
    """A language model that tells the probability of each token of a text."""

    def token_logprobs(self, texts: Sequence[str]) -> list[TokenLogprobs | None]:
        """Every token that has one before it, or the start token; the first `longest` tokens of a longer text.
        None for a text without such a token, or without an answer."""
        ...


class MaskedLanguageModel(Model, Protocol):
    """A masked language model."""

    def pseudo_loglikelihoods(
        self, texts: Sequence[str], scored: Sequence[Sequence[int]] | None = None
    ) -> list[Likelihood | None]:
        """Sum of ln p(token | all others), masking one token at a time (Salazar et al. 2020, arXiv 1910.14659).

        `scored` limits the sum to these token positions (special tokens not counted) of each text.
        """
        ...


class ExtractiveQA(Model, Protocol):
    """Finds the answer to a question in a passage."""

    def answer(
        self, questions: Sequence[str], contexts: Sequence[str], unanswerable: bool = False
    ) -> list[Span | None]:
        """One Span per question; with `unanswerable` it may be empty, where the model finds none. None is an error."""
        ...


class Recommender(Model, Protocol):
    """Scores every known item for a user; higher is shown first."""

    items: tuple[str, ...]

    def scores(self, users: Sequence[str]) -> NDArray[np.float64]:
        """(len(users), len(items)); a row of NaN for a user that the model does not know."""
        ...
