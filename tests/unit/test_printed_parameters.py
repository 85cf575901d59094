"""How parameters are put on paper."""

from __future__ import annotations

from auditor.reports.printed_facts import parameters


def test_codewords_are_not_printed_but_counted() -> None:
    told = parameters({"attempts": 3, "known_secrets": ["Zubamo-4821", "Kelifa-77"], "planted_canaries": []})
    assert told == "attempts 3; planted_canaries []; known_secrets 2 stated"
