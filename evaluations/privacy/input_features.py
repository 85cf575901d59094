"""What can be seen of an input and its label without asking the model: features for classifiers that never see it."""

from __future__ import annotations

import string
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from evaluations.models import images
from evaluations.spec import Modality, Role

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.data.dataset import Dataset

LONGEST = 5_000  # characters of a text
MOST_READ = 32_000_000  # characters of all texts together, whose terms are held in memory
PIECES_OF = 4  # every character begins pieces of three lengths: so much less is read for them
MOST_TERMS = 2**17  # buckets that terms are hashed into
WORDS: dict[str, Any] = {"ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b"}  # words and pairs of words
PIECES: dict[str, Any] = {"ngram_range": (2, 4), "analyzer": "char_wb"}  # two to four letters of a word
TOPICS = 16
SIDE = 8  # pixels of a reduced image
IMAGES = 256  # files that are held in memory at a time
PUNCTUATION = frozenset(string.punctuation)


def everything(data: Dataset, rows: NDArray[np.int64]) -> Any:
    """(n, features) of all that may tell rows apart; sparse for texts. With the true label where there is one."""
    if data.modality is Modality.TABULAR:
        return np.column_stack([_columns(data, rows), _labels(data, rows)])
    if data.modality is Modality.IMAGE_CLASSIFIER:
        return np.column_stack([_pixels(data, rows), _one_hot(_labels(data, rows))])
    from scipy import sparse

    dense = np.column_stack([standard(_shape(data, rows)) / 4, _one_hot(_labels(data, rows))])
    terms = _terms(data, rows, **WORDS), _terms(data, rows, PIECES_OF, **PIECES)
    return sparse.hstack([sparse.csr_matrix(dense), *terms]).tocsr()


def compact(data: Dataset, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n, few) of the same for a regression: columns, topics and shape of texts, pixels and colours; the true label."""
    if data.modality is Modality.TABULAR:
        return np.column_stack([_columns(data, rows), _labels(data, rows)])
    if data.modality is Modality.IMAGE_CLASSIFIER:
        return np.column_stack([_pixels(data, rows), _labels(data, rows)])
    from sklearn.decomposition import TruncatedSVD

    words = _terms(data, rows, **WORDS)
    topics = np.empty((len(rows), 0))
    if min(words.shape) >= 2:
        topics = TruncatedSVD(min(TOPICS, *words.shape), random_state=0).fit_transform(words)
    return np.column_stack([_shape(data, rows), topics, _labels(data, rows)])


def standard(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each column with mean 0 and deviation 1; one that never varies is 0."""
    spread = features.std(axis=0)
    return np.asarray((features - features.mean(axis=0)) / np.where(spread > 0, spread, 1.0))


def _labels(data: Dataset, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n, 1) codes of the true label, or (n, 0) where there is none: a language model has texts alone."""
    if data.modality is Modality.CAUSAL_LM or not data.ref.columns(Role.TARGET):
        return np.empty((len(rows), 0))
    return np.unique(data.truth, return_inverse=True)[1][rows].astype(np.float64)[:, None]


def _one_hot(codes: NDArray[np.float64]) -> NDArray[np.float64]:
    if not codes.shape[1]:
        return codes
    return np.eye(int(codes.max(initial=0)) + 1)[codes[:, 0].astype(np.int64)]


def _columns(data: Dataset, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n, columns) numbers, and codes of levels in the order of their names; NaN where missing."""
    found = []
    for column in [*data.ref.columns(Role.INPUT), *data.ref.columns(Role.SENSITIVE)]:
        held = data.table.column(column).take(rows)
        if pa.types.is_integer(held.type) or pa.types.is_floating(held.type):
            values = np.asarray(held.cast(pa.float64()).to_numpy(), dtype=np.float64)
            found.append(np.where(np.abs(values) <= 1e300, values, np.nan))
        else:
            found.append(np.unique(data.groups(column), return_inverse=True)[1][rows].astype(np.float64))
    return np.column_stack(found)


def _shape(data: Dataset, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n, 6): logs of characters, words and compressed bytes; shares of capitals, digits, and punctuation."""
    found, longest = [], longest_of(len(rows))
    for row in rows:
        text = data.texts[row]
        packed = len(zlib.compress(text.encode("utf-8", "surrogatepass")))
        text = text[:longest]
        n = max(1, len(text))
        kinds = (
            sum(map(str.isupper, text)),
            sum(map(str.isdigit, text)),
            sum(c in PUNCTUATION for c in text),
        )
        logs = np.log1p([len(data.texts[row]), len(text.split()), packed])
        found.append([*logs, *(count / n for count in kinds)])
    return np.array(found, dtype=np.float64).reshape(-1, 6)


def longest_of(texts: int, share: int = 1) -> int:
    """How much of each of so many texts is read: LONGEST characters, or less where together it were too much."""
    return min(LONGEST, max(1, MOST_READ // share // max(1, texts)))


def _terms(data: Dataset, rows: NDArray[np.int64], share: int = 1, **way: Any) -> Any:
    """TF-IDF of words or parts of words, counted as `way` says: sparse, (n, terms that occur)."""
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

    longest = longest_of(len(rows), share)
    texts = [data.texts[i][:longest] for i in rows]
    hashed = HashingVectorizer(n_features=MOST_TERMS, alternate_sign=False, norm=None, **way)
    counts = hashed.transform(texts)
    counts = counts[:, np.unique(counts.indices)] if counts.nnz else counts[:, :1]
    return TfidfTransformer(sublinear_tf=True).fit_transform(counts)


def image_files(data: Dataset, rows: NDArray[np.int64]) -> Iterator[bytes]:
    """The encoded images of `rows`, a few at a time, for together they may not fit into memory."""
    for start in range(0, len(rows), IMAGES):
        yield from data.images(rows[start : start + IMAGES])


def _pixels(data: Dataset, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n, 3·SIDE² + 9): the image at SIDE × SIDE, mean and deviation of each colour, logs of width, height, bytes."""
    from PIL import Image

    found: NDArray[np.float64] = np.zeros((len(rows), 3 * SIDE * SIDE + 9))
    for i, file in enumerate(image_files(data, rows)):
        picture = images.opened(file, "RGB")
        if picture is None:
            continue  # what is no image looks like no other
        colours = np.asarray(picture.resize((64, 64), Image.Resampling.BOX), dtype=np.float64) / 255
        small = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float64) / 255
        sizes = np.log([picture.width, picture.height, len(file)])
        found[i] = np.concatenate([small.ravel(), colours.mean((0, 1)), colours.std((0, 1)), sizes])
    return found
