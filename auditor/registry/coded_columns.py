"""Columns whose values have a fixed meaning: what was in a model's training data, and how often."""

from __future__ import annotations

from evaluations.spec import Role

MOST_REPETITIONS = 10**9
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


def code(role: Role, value: str) -> str | None:
    """The value as it is counted: `1` for 1, 1.0 and true. None for one that has no meaning."""
    said = {"true": "1", "false": "0"}.get(value.lower(), value)
    try:
        number = float(said)
    except ValueError:
        return None
    most = MOST_REPETITIONS if role is Role.REPETITIONS else 1
    if not 0 <= number <= most or number != int(number) or (role is Role.REPETITIONS and said != value):
        return None
    return str(int(number))
