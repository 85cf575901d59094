"""Thresholds of attacks on texts: our conventions, stated wherever a number depends on them. Light."""

MISSPELT_WORDS = 0.1  # of the words, rounded up
SHORTEST_WORD = 4  # letters of a word that may be misspelt
MISSPELT_LETTERS = 2  # edits within a word: two letters swapped are two
LIKE_WORD = 0.35  # cosine of MiniLM's word vectors
LIKE_SENTENCE = 0.9  # cosine of MiniLM's sentence vectors

REDUCTION = "input_reduction"  # not an attack: it leaves words out as long as the answer stays
SERVES_BOTH = ("pruthi",)  # its own constraints are the adjusted ones
