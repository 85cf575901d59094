"""Prompts, truths and filters by hand; templates that reach for more than a row are stopped."""

from __future__ import annotations

from typing import Any

import pytest

from evaluations.spec import EvaluationError
from evaluations.tasks import filters, patterns, reading
from evaluations.tasks.prompts import Prompter
from evaluations.tasks.templates import Templates

DOC = {"q": "2+2?", "a": 1, "c": ["three", "four"], "word": "four", "list": ["four", "4"]}
SHOT = {"q": "1+1?", "a": 0, "c": ["two", "one"], "word": "two", "list": ["two", "2"]}


def prompter(**config: Any) -> Prompter:
    base = {"output_type": "multiple_choice", "doc_to_text": "q", "doc_to_target": "a", "doc_to_choice": "c"}
    return Prompter(reading.of({key: value for key, value in (base | config).items() if value is not None}))


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, "1+1? two\n\n2+2?"),
        ({"doc_to_text": "Q: {{q}}\nA:"}, "Q: 1+1?\nA: two\n\nQ: 2+2?\nA:"),
        ({"description": "Sums of {{q}}\n"}, "Sums of 2+2?\n1+1? two\n\n2+2?"),
        ({"description": "word"}, "four1+1? two\n\n2+2?"),  # a column's name stands for its value
        ({"target_delimiter": "->", "fewshot_delimiter": "#"}, "1+1?->two#2+2?"),
        ({"gen_prefix": "So"}, "1+1? So two\n\n2+2? So"),
        ({"gen_prefix": "So "}, "1+1? So two\n\n2+2? So "),
        ({"gen_prefix": "So", "doc_to_text": "{{q}} "}, "1+1? So two\n\n2+2? So"),
        ({"fewshot_config": {"doc_to_text": "E {{q}}", "target_delimiter": "="}}, "E 1+1?=two\n\n2+2?"),
        ({"doc_to_target": "{{a}}"}, "1+1? two\n\n2+2?"),  # digits name a choice
        (
            {"doc_to_target": "list", "doc_to_choice": None, "output_type": "loglikelihood"},
            "1+1? two\n\n2+2?",
        ),
        (
            {"doc_to_target": "", "doc_to_choice": None, "output_type": "loglikelihood"},
            "1+1?2+2?",
        ),  # no answer
        ({"doc_to_choice": "{{c}}"}, "1+1? two\n\n2+2?"),
        ({"doc_to_choice": {"x": "X", "y": "Y"}}, "1+1? X\n\n2+2?"),
    ],
)
def test_a_prompt_with_one_worked_example(config: dict[str, Any], expected: str) -> None:
    assert prompter(**config).contexts(DOC, [SHOT]) == [expected]


def test_choices_are_scored_behind_the_prompt_and_once_more_alone_for_mutual_information() -> None:
    plain = prompter()
    assert plain.pairs(DOC, ["P"]) == [("P", " three"), ("P", " four")]
    mutual = prompter(metric_list=[{"metric": "acc_mutual_info"}], target_delimiter="")
    assert mutual.pairs(DOC, ["P"]) == [("P", "three"), ("P", "four"), ("", "three"), ("", "four")]


def test_a_question_that_is_one_of_the_choices_gives_a_prompt_per_choice() -> None:
    """Winogrande: doc_to_text names the right choice, the choices are beginnings, the target is their common end."""
    blank = prompter(doc_to_text="a", doc_to_target="q")
    contexts = blank.contexts(DOC, [SHOT])
    assert contexts == ["two 1+1?\n\nthree", "two 1+1?\n\nfour"]
    assert blank.pairs(DOC, contexts) == [(contexts[0], " 2+2?"), (contexts[1], " 2+2?")]
    assert blank.truth(DOC).right == (1,)


def test_one_continuation_is_scored_as_it_is() -> None:
    last = prompter(output_type="loglikelihood", doc_to_choice=None, doc_to_target="{{' ' + word}}")
    assert last.pairs(DOC, ["P"]) == [("P", " four")]


@pytest.mark.parametrize(
    ("target", "right"),
    [
        (1, (1,)),
        ("four", (1,)),
        ("1", (1,)),
        (1.0, (1,)),
        ([0, 1], (0, 1)),
        (2, ()),
        ("five", ()),
        (-1, ()),
        (None, ()),
    ],
)
def test_the_right_choice_is_named_by_position_or_text(target: Any, right: tuple[int, ...]) -> None:
    assert prompter().truth({**DOC, "a": target}).right == right


def test_accepted_texts_are_the_target_or_the_choice_it_names() -> None:
    written = {"output_type": "generate_until"}
    assert prompter(**written).truth(DOC).texts == ("four",)
    assert prompter(**written, doc_to_choice=None, doc_to_target="list").truth(DOC).texts == ("four", "4")
    assert prompter(**written, doc_to_choice=None, doc_to_target="{{[word, 'IV']}}").truth(DOC).texts == (
        "four",
        "IV",
    )
    assert prompter(**written, doc_to_choice=None, doc_to_target="a").truth(DOC).texts == ("1",)


@pytest.mark.parametrize("choices", ["q", "{{q}}", [], ["a", ""]])
def test_choices_that_are_no_list_are_said(choices: Any) -> None:
    with pytest.raises(EvaluationError, match="doc_to_choice"):
        prompter(doc_to_choice=choices).pairs(DOC, ["P"])


def test_a_choice_beyond_the_last_is_said_where_a_worked_example_needs_it() -> None:
    with pytest.raises(EvaluationError, match="choice 5"):
        prompter().contexts(DOC, [{**SHOT, "a": 5}])


# --- templates --------------------------------------------------------------------------------------------


def test_a_template_sees_its_row_and_keeps_its_last_line_break() -> None:
    made = Templates()
    assert made.render("{{q.upper()}}{% for c in c %}|{{c}}{% endfor %}\n", DOC) == "2+2?|three|four\n"
    assert made.render("{{q|regex_replace('[0-9]', 'n')}}", DOC) == "n+n?"


def test_a_column_without_a_role_is_named_together_with_those_that_have_one() -> None:
    with pytest.raises(EvaluationError, match=r"'missing' is undefined.*'q', 'a'"):
        Templates().render("{{missing}}", DOC)


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ q.__class__ }}",
        "{{ '{0.__class__}'.format(q) }}",
        "{{ c.append('x') }}",
        "{{ self.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.system('ls') }}",
        "{% include '/etc/passwd' %}",
        "{% for i in range(10**7) %}x{% endfor %}",
        "{{ 'x' * 10**9 }}",
        "{{ [0] * 10**9 }}",
        "{{ 10 ** 1000 }}",
        "{{ ((10 ** 64) ** 64) ** 64 }}",
        "{{ 1 // 0 }}",
        "{{ q",
        "{{ ('a' * 4000 + 'c')|regex_replace('(a|aa)+$', '') }}",
    ],
)
def test_templates_that_reach_further_or_run_away_are_stopped(
    template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patterns, "SECONDS", 0.05)
    with pytest.raises(EvaluationError) as error:
        Templates().render(template, DOC)
    assert error.value.code in ("template_failed", "template_column", "pattern_slow")


# --- filters ----------------------------------------------------------------------------------------------


def answer(texts: list[str], *steps: dict[str, Any]) -> Any:
    task = reading.of(
        {"doc_to_text": "q", "doc_to_target": "a", "filter_list": [{"name": "x", "filter": list(steps)}]}
    )
    return filters.answer_of(task.pipelines[0], texts, {"choices": ["Paris", "New York, NY", "New York"]})


FIRST = {"function": "take_first"}
LETTER = {
    "function": "multi_choice_regex", "regex_pattern": r"(\([A-Z]\))", "group_select": -1, "ignore_case": True,
    "ignore_punctuation": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("texts", "steps", "expected"),
    [
        ([" A b "], [FIRST], " A b "),
        ([" A b "], [{"function": "remove_whitespace"}, {"function": "lowercase"}, FIRST], "a b"),
        ([" A b "], [FIRST, {"function": "uppercase"}], " A B "),
        (["x 12, 7"], [{"function": "regex", "regex_pattern": "[0-9]+"}, FIRST], "12"),
        (["x 12, 7"], [{"function": "regex", "regex_pattern": "[0-9]+", "group_select": -1}, FIRST], "7"),
        (["x 12"], [{"function": "regex", "regex_pattern": "[0-9]+", "group_select": 3}, FIRST], "[invalid]"),
        (["none"], [{"function": "regex", "regex_pattern": "[0-9]+", "fallback": "?"}, FIRST], "?"),
        (["is B "], [{"function": "regex", "regex_pattern": "(A)|( B )"}, FIRST], "B"),
        (["#### 1,200"], [{"function": "regex"}, FIRST], "1,200"),
        (["b", "a", "a", "b", "c"], [{"function": "majority_vote"}, FIRST], "b"),
        (["b", "a", "a"], [{"function": "take_first_k", "k": 1}, {"function": "majority_vote"}, FIRST], "b"),
        (["b", "a", "a"], [{"function": "majority_vote"}], "a"),
        (["so (B)"], [LETTER, FIRST], "(B)"),
        (["It is NEW YORK ny!"], [LETTER, FIRST], "(B)"),  # the longest choice that is written out
        (["It is New York!"], [LETTER, FIRST], "(C)"),
        (["answer: A"], [LETTER, FIRST], "(A)"),
        (["who knows"], [LETTER, FIRST], "[invalid]"),
        (["B"], [{"function": "map", "mapping_dict": {"B": "two"}}, FIRST], "two"),
        (["C"], [{"function": "map", "mapping_dict": {"B": "two"}}, FIRST], None),
    ],
)
def test_filters_find_the_answer(texts: list[str], steps: list[dict[str, Any]], expected: Any) -> None:
    assert answer(texts, *steps) == expected


def test_choices_in_free_text_are_found_as_the_harness_finds_them() -> None:
    from lm_eval.filters import extraction

    choices = ["Paris", "New York, NY", "New York", "a (b)"]
    said = [
        "(A) or (C)", "new york ny", "New York", "paris, then New York", "A", ": B", "answer:\n C.", "a b", "A (B)", "",
        "it is (Z)", "nothing", "PARIS!!", "(a)",
    ]  # fmt: skip
    for given in (
        {
            "regex_pattern": r"(\([A-Z]\))",
            "group_select": -1,
            "ignore_case": True,
            "ignore_punctuation": True,
        },
        {"regex_pattern": r"\(([A-Z])\)|([B-D])\.", "group_select": 0, "regexes_to_ignore": ["^(a|the) "]},
        {"group_select": 0, "fallback": "?"},
    ):
        theirs = extraction.MultiChoiceRegexFilter(**given).apply([said], [{"choices": choices}])[0]
        step = reading._step({"function": "multi_choice_regex", **given})
        assert filters._apply(step, said, {"choices": choices}) == theirs


def test_filters_that_leave_several_answers_or_run_away_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "SECONDS", 0.05)
    with pytest.raises(EvaluationError, match="leave 2 answers"):
        answer(["a", "b"], {"function": "lowercase"})
    with pytest.raises(EvaluationError, match="asks for 3 texts"):
        answer(["a", "b"], {"function": "take_first_k", "k": 3})
    with pytest.raises(EvaluationError, match="more than a second"):
        answer(["a" * 5000 + "c"], {"function": "regex", "regex_pattern": "(a|aa)+$"}, FIRST)
