"""Columns whose values have a fixed meaning: what was in a model's training data, and how often."""

from __future__ import annotations

from evaluations.spec import Role

# What may stand in a column with the role, besides nothing.
MEANING = {
    Role.MEMBER: "1 where the model was trained on the row, 0 where it was not, and nothing where nobody knows",
    Role.RANDOMISED_INCLUSION: (
        "1 or 0 for each canary, as an independent fair coin fell that decided whether it was put into the training "
        "data, and nothing for every other row"
    ),
    Role.REPETITIONS: (
        "for each canary how often it was put into the training data, 0 for one that never was, and nothing for "
        "every other row"
    ),
}
