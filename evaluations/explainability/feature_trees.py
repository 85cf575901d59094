"""Trees of features for SHAP's partition explainer: tokens as shap joins them, cells of an image by halves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations.explainability import shap_setup
from evaluations.explainability.games import Game, ImageGame, TextGame

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENDS_A_WORD = re.compile(r"^.*\W$")
BEGINS_WITH_A_LETTER = re.compile(r"^[A-Za-z]")


def tree_of(game: Game) -> NDArray[np.float64]:
    """A linkage (F − 1, 4) over the game's features, as scipy.cluster.hierarchy has it. F is at least 2."""
    if isinstance(game, TextGame):
        return text_tree(game)
    if isinstance(game, ImageGame):
        return image_tree(game.grid)
    return halving([[i] for i in range(len(game.features))])


def text_tree(game: TextGame) -> NDArray[np.float64]:
    """The tree that shap.maskers.Text makes of the same text, without the special tokens."""
    tokenizer = game.model.tokenizer
    whole = tree_of_segments(segments(tokenizer, game), tokenizer.sep_token)
    return without_leaves(whole, set(range(len(game.ids))) - set(game.positions.tolist()))


def segments(tokenizer: Any, game: TextGame) -> list[str]:
    """The piece of text of each token, up to where the next one begins; "" for special tokens."""
    try:
        read = tokenizer(game.text, return_offsets_mapping=True, truncation=True, max_length=len(game.ids))
    except NotImplementedError:  # a tokenizer that knows no offsets
        return [tokenizer.decode([int(i)]) if k in game.positions else "" for k, i in enumerate(game.ids)]
    offsets = read["offset_mapping"]
    ends = [max(end, begin) for (_, end), (begin, _) in zip(offsets, [*offsets[1:], (0, 0)], strict=True)]
    return [game.text[begin:end] for (begin, _), end in zip(offsets, ends, strict=True)]


def tree_of_segments(pieces: Sequence[str], separator: str | None) -> NDArray[np.float64]:
    """As shap.maskers.Text.clustering: parts of a word are joined first, then neighbours, sentences last."""
    shap = shap_setup.imported()
    tokens: list[str] = []
    for i, piece in enumerate(pieces):
        goes_on = (
            i > 0
            and ENDS_A_WORD.match(pieces[i - 1]) is None
            and BEGINS_WITH_A_LETTER.match(piece) is not None
            and tokens[i - 1] != ""
        )
        tokens.append(("##" if goes_on else "") + piece.strip())
    tree: NDArray[np.float64] = shap.maskers._text.partition_tree(tokens, [separator] if separator else [])
    tree[:, 2] = tree[:, 3] / tree[:, 3].max()
    return tree


def without_leaves(tree: NDArray[np.float64], gone: set[int]) -> NDArray[np.float64]:
    """The tree of the other leaves: a group of which one half is gone is its other half."""
    leaves = len(tree) + 1
    kept = [i for i in range(leaves) if i not in gone]
    place: dict[int, int | None] = dict.fromkeys(gone) | {leaf: k for k, leaf in enumerate(kept)}
    joined: list[tuple[int, int]] = []
    for row, (left, right) in enumerate(tree[:, :2].astype(int).tolist()):
        a, b = place[left], place[right]
        if a is not None and b is not None:
            joined.append((a, b))
            place[leaves + row] = len(kept) + len(joined) - 1
        else:
            place[leaves + row] = b if a is None else a
    return linkage(joined, len(kept))


def image_tree(grid: tuple[int, int]) -> NDArray[np.float64]:
    """Cells of rows × columns, halved across their longer side, again and again."""
    rows, columns = grid
    joined: list[tuple[int, int]] = []

    def group(top: int, bottom: int, left: int, right: int) -> int:
        height, width = bottom - top, right - left
        if height == width == 1:
            return top * columns + left
        if height >= width:
            middle = top + height // 2
            halves = group(top, middle, left, right), group(middle, bottom, left, right)
        else:
            middle = left + width // 2
            halves = group(top, bottom, left, middle), group(top, bottom, middle, right)
        joined.append(halves)
        return rows * columns + len(joined) - 1

    group(0, rows, 0, columns)
    return linkage(joined, rows * columns)


def halving(groups: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """Neighbours joined two by two until all are one: a balanced tree over features in their order."""
    level = [group[0] for group in groups]
    joined: list[tuple[int, int]] = []
    while len(level) > 1:
        pairs = list(zip(level[::2], level[1::2], strict=False))
        above = range(len(groups) + len(joined), len(groups) + len(joined) + len(pairs))
        joined += pairs
        level = [*above, *level[2 * len(pairs) :]]
    return linkage(joined, len(groups))


def linkage(joined: Sequence[tuple[int, int]], leaves: int) -> NDArray[np.float64]:
    """Pairs of groups, in the order in which they are joined, with sizes; heights are sizes, at most 1."""
    tree = np.zeros((len(joined), 4))
    sizes = [1] * leaves
    for row, (a, b) in enumerate(joined):
        sizes.append(sizes[a] + sizes[b])
        tree[row] = a, b, sizes[-1] / leaves, sizes[-1]
    return tree
