"""Reads a task's YAML: what it says is checked, what has no effect is noted, what needs Python is refused. Light."""

from __future__ import annotations

import re
from typing import Any

from evaluations.spec import GenerationSettings
from evaluations.tasks import yaml_text
from evaluations.tasks.definition import DEFAULT_METRICS, METRICS, Judging, Pipeline, Shots, Step, Task

REFUSED = {
    "process_docs": "prepare the columns in the data set",
    "process_results": "its own scoring is Python",
    "custom_dataset": "register the data set",
    "class": "it is a Python class",
    "use_prompt": "write the prompt into doc_to_text",
    "doc_to_image": "images are not supported in tasks yet",
    "doc_to_audio": "audio is not supported in tasks yet",
    "unsafe_code": "answers are never run as code",
    "include": "put what it includes into it: python -m evaluations.tasks FILE prints it whole",
    "task_list": "give one task: python -m evaluations.tasks FILE lists them",
}
# The data set is registered by itself; names and notes change nothing.
WITHOUT_EFFECT = {
    "task", "task_alias", "tag", "group", "dataset_path", "dataset_name", "dataset_kwargs", "metadata",
    "doc_to_decontamination_query", "should_decontaminate",
}  # fmt: skip
READ = {
    "output_type", "doc_to_text", "doc_to_target", "doc_to_choice", "description", "gen_prefix", "target_delimiter",
    "fewshot_delimiter", "training_split", "validation_split", "test_split", "fewshot_split", "fewshot_config",
    "num_fewshot", "generation_kwargs", "repeats", "metric_list", "filter_list",
}  # fmt: skip
AGGREGATIONS = {
    "perplexity": ("perplexity",),
    "word_perplexity": ("weighted_perplexity",),
    "byte_perplexity": ("weighted_perplexity",),
    "bits_per_byte": ("bits_per_byte",),
    "f1": ("f1",),
    "mcc": ("matthews_corrcoef",),
    "brier_score": ("brier_score",),
    "bleu": ("bleu",),
    "chrf": ("chrf",),
}  # any other: mean
IGNORING = {
    "regexes_to_ignore": list,
    "ignore_case": bool,
    "ignore_punctuation": bool,
    "ignore_numbers": bool,
}
IGNORED = ("ignore_case", "ignore_punctuation")
ARGUMENTS: dict[str, set[str]] = {
    "take_first": set(),
    "take_first_k": {"k"},
    "majority_vote": set(),
    "lowercase": set(),
    "uppercase": set(),
    "remove_whitespace": set(),
    "regex": {"regex_pattern", "group_select", "fallback"},
    "multi_choice_regex": {"regex_pattern", "group_select", "fallback", "regexes_to_ignore", *IGNORED},
    "map": {"mapping_dict", "default_value"},
}  # of each filter
TOKENS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")  # the first that is there
NEUTRAL = {
    "num_beams": (1,),
    "top_k": (0, None),
    "repetition_penalty": (1, 1.0),
    "num_return_sequences": (1,),
}
TOKENS_AT_MOST = 256  # generated, where the task does not say


def parse(text: str) -> Task:
    """The task that a YAML text defines. Raises ValueError that says what to mend."""
    return of(yaml_text.mapping(text))


def of(config: dict[str, Any]) -> Task:
    """The task that a mapping defines."""
    config = {key: value for key, value in config.items() if value is not None}
    if isinstance(config.get("task"), list):
        raise ValueError(
            "This is a group of tasks. Give one task: python -m evaluations.tasks FILE lists them."
        )
    for key, value in config.items():
        if (called := _called(value)) is not None:
            raise ValueError(
                f"{key} calls Python (!function {called[:80]}), which is never run here. Put what it computes into "
                "columns of the data set, and name these in the task."
            )
    for key, instead in REFUSED.items():
        if config.get(key) not in (None, False):
            raise ValueError(f"{key} cannot be used: {instead}.")
    if unknown := sorted(config.keys() - READ - WITHOUT_EFFECT - REFUSED.keys()):
        raise ValueError(f"{unknown[0]!r} is no setting of a task. Correct or remove it.")
    output = config.get("output_type", "generate_until")
    if output not in METRICS:
        raise ValueError(f"output_type is one of {', '.join(METRICS)}, not {str(output)[:40]!r}.")
    if output == "multiple_choice" and "doc_to_choice" not in config:
        raise ValueError("A multiple_choice task needs doc_to_choice.")
    if output != "loglikelihood_rolling" and "doc_to_text" not in config:
        raise ValueError("The task needs doc_to_text: the column, or the template, of the prompt.")
    if "doc_to_target" not in config:
        raise ValueError("The task needs doc_to_target: the column, or the template, of the right answer.")
    few_delimiter = _text(config, "fewshot_delimiter", "\n\n")
    return Task(
        name=str(config.get("task", "")),
        output=output,
        doc_to_text=_template(config, "doc_to_text", str, int),
        doc_to_target=_template(config, "doc_to_target", str, int, list),
        doc_to_choice=_template(config, "doc_to_choice", str, list, dict),
        description=_text(config, "description", ""),
        gen_prefix=_text(config, "gen_prefix", None),
        target_delimiter=_text(config, "target_delimiter", " "),
        fewshot_delimiter=few_delimiter,
        **{key: _text(config, key, None) for key in ("training_split", "validation_split", "test_split")},
        num_fewshot=_whole(config, "num_fewshot", 0, 0),
        shots=_shots(config, few_delimiter),
        settings=_settings(config.get("generation_kwargs"), few_delimiter, output),
        repeats=_whole(config, "repeats", 1, 1),
        metrics=_metrics(config.get("metric_list"), output),
        pipelines=_pipelines(config.get("filter_list"), output),
        notes=_notes(config),
    )


def _called(value: Any) -> str | None:
    """The Python function that a value calls, somewhere within."""
    if isinstance(value, yaml_text.Python):
        return value.name
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((called for part in parts if (called := _called(part)) is not None), None)


def _notes(config: dict[str, Any]) -> tuple[str, ...]:
    if config.get("should_decontaminate"):
        return ("The task asks for decontamination against the training data, which is not done here.",)
    return ()


def _text(config: dict[str, Any], key: str, default: Any) -> Any:
    value = config.get(key, default)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{key} is a text, not {type(value).__name__}. Put it in quotes.")
    return value


def _whole(config: dict[str, Any], key: str, default: int, least: int) -> int:
    value = config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 256:
        raise ValueError(f"{key} is a whole number from {least} to 256.")
    return value


def _template(config: dict[str, Any], key: str, *kinds: type) -> Any:
    value = config.get(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, kinds)):
        raise ValueError(
            f"{key} is {' or '.join(kind.__name__ for kind in kinds)}, not {type(value).__name__}."
        )
    return value


def _shots(config: dict[str, Any], few_delimiter: str) -> Shots:
    given = config.get("fewshot_config", {})
    if not isinstance(given, dict):
        raise ValueError("fewshot_config is a mapping, such as `sampler: first_n`.")
    given = {key: value for key, value in given.items() if value is not None}
    known = {
        "sampler", "split", "samples", "fewshot_indices", "doc_to_text", "doc_to_target", "doc_to_choice", "gen_prefix",
        "target_delimiter", "fewshot_delimiter",
    }  # fmt: skip
    if unknown := sorted(given.keys() - known):
        raise ValueError(f"fewshot_config: {unknown[0]!r} cannot be used.")
    if given.get("sampler", "default") not in ("default", "first_n"):
        raise ValueError(
            f"fewshot_config: the sampler is default or first_n, not {str(given['sampler'])[:40]!r}."
        )
    samples, indices = given.get("samples"), given.get("fewshot_indices")
    if samples is not None and not (isinstance(samples, list) and all(isinstance(s, dict) for s in samples)):
        raise ValueError("fewshot_config: samples is a list of mappings, from column to value.")
    if indices is not None and not (
        isinstance(indices, list) and all(type(i) is int and i >= 0 for i in indices)
    ):
        raise ValueError("fewshot_config: fewshot_indices is a list of row numbers.")
    return Shots(
        sampler=given.get("sampler", "default"),
        split=_text(given, "split", _text(config, "fewshot_split", None)),
        samples=None if samples is None else tuple(samples),
        indices=None if indices is None else tuple(indices),
        doc_to_text=_template(given, "doc_to_text", str, int),
        doc_to_target=_template(given, "doc_to_target", str, int, list),
        doc_to_choice=_template(given, "doc_to_choice", str, list, dict),
        gen_prefix=_text(given, "gen_prefix", None),
        target_delimiter=_text(given, "target_delimiter", _text(config, "target_delimiter", " ")),
        fewshot_delimiter=_text(given, "fewshot_delimiter", few_delimiter),
    )


def _settings(given: Any, few_delimiter: str, output: str) -> GenerationSettings:
    """How texts are generated: greedily unless the task gives a temperature and does not say `do_sample: false`."""
    given = {} if given is None else given
    if not isinstance(given, dict):
        raise ValueError('generation_kwargs is a mapping, such as `until: ["\\n"]`.')
    given = {key: value for key, value in given.items() if value is not None}
    for key, value in given.items():
        known = key in ("until", "do_sample", "temperature", "top_p", *TOKENS)
        if not known and value not in NEUTRAL.get(key, ()):
            raise ValueError(f"generation_kwargs: {key}: {str(value)[:40]} cannot be used.")
    until = given.get("until", [few_delimiter] if output == "generate_until" else [])
    until = [until] if isinstance(until, str) else until
    if not isinstance(until, list) or not all(isinstance(stop, str) for stop in until):
        raise ValueError("generation_kwargs: until is a list of texts.")
    sampled = given.get("do_sample") is not False
    try:
        return GenerationSettings(
            max_new_tokens=next((given[key] for key in TOKENS if key in given), TOKENS_AT_MOST),
            temperature=float(given.get("temperature", 0.0)) if sampled else 0.0,
            top_p=float(given.get("top_p", 1.0)) if sampled else 1.0,
            stop=tuple(stop for stop in until if stop),
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"generation_kwargs: {str(error)[:200]}") from error


def _metrics(given: Any, output: str) -> tuple[Judging, ...]:
    if given is None:
        return tuple(Judging(name=name) for name in METRICS[output][: DEFAULT_METRICS[output]])
    if not isinstance(given, list) or not given or not all(isinstance(one, dict) for one in given):
        raise ValueError("metric_list is a list of mappings, such as `- metric: acc`.")
    found = tuple(_metric(one, output) for one in given)
    if len({one.name for one in found}) != len(found):
        raise ValueError("metric_list names a metric twice.")
    return found


def _metric(given: dict[str, Any], output: str) -> Judging:
    name = given.get("metric")
    if name not in METRICS[output]:
        raise ValueError(
            f"metric_list: {str(name)[:40]!r} is not supported for {output}; there are {', '.join(METRICS[output])}."
        )
    aggregation = given.get("aggregation")
    if aggregation is not None and aggregation not in AGGREGATIONS.get(name, ("mean", "nanmean")):
        raise ValueError(f"metric_list: {name} cannot be aggregated as {str(aggregation)[:40]!r}.")
    if output != "generate_until":  # lm-eval hands arguments to metrics of texts alone
        return Judging(name=name)
    rest = {
        key: value
        for key, value in given.items()
        if key not in ("metric", "aggregation", "higher_is_better", "hf_evaluate", "weight_by_size")
    }
    for key, value in rest.items():
        if name != "exact_match" or not isinstance(value, IGNORING.get(key, ())):
            raise ValueError(f"metric_list: {name} takes no {key}: {str(value)[:40]}.")
    for pattern in rest.get("regexes_to_ignore", []):
        _compiles(pattern)
    return Judging(name=name, **rest)


def _pipelines(given: Any, output: str) -> tuple[Pipeline, ...]:
    plain = (Pipeline(name="none", steps=(Step(function="take_first"),)),)
    if given is None:
        return plain
    if not isinstance(given, list) or not given:
        raise ValueError("filter_list is a list of mappings with `name` and `filter`.")
    found = tuple(_pipeline(one) for one in given)
    if len({one.name for one in found}) != len(found):
        raise ValueError("filter_list has two pipelines of the same name.")
    others = {step.function for one in found for step in one.steps} - {"take_first"}
    if output != "generate_until" and others:
        raise ValueError(f"filter_list: {sorted(others)[0]} works on texts, and {output} gives none.")
    return found


def _pipeline(given: Any) -> Pipeline:
    steps = given.get("filter") if isinstance(given, dict) else None
    if not isinstance(steps, list) or not steps or not all(isinstance(step, dict) for step in steps):
        raise ValueError("filter_list: each entry has a `name`, and under `filter` a list of `function: …`.")
    return Pipeline(name=str(given.get("name", "none")), steps=tuple(map(_step, steps)))


def _step(given: dict[str, Any]) -> Step:
    function, arguments = given.get("function"), {k: v for k, v in given.items() if k != "function"}
    if function not in ARGUMENTS:
        raise ValueError(
            f"filter_list: the filter {str(function)[:40]!r} is not supported; there are {', '.join(ARGUMENTS)}."
        )
    if unknown := sorted(arguments.keys() - ARGUMENTS[function]):
        raise ValueError(f"filter_list: the filter {function} takes no {unknown[0]!r}.")
    if function in ("regex", "multi_choice_regex"):
        _compiles(arguments.setdefault("regex_pattern", r"#### (\-?[0-9\.\,]+)"))
        if type(arguments.setdefault("group_select", 0)) is not int:
            raise ValueError("filter_list: group_select is a whole number.")
        if not isinstance(arguments.setdefault("fallback", "[invalid]"), str):
            raise ValueError("filter_list: fallback is a text.")
    for key in IGNORED:
        if not isinstance(arguments.get(key, False), bool):
            raise ValueError(f"filter_list: {key} is true or false.")
    ignored = arguments.get("regexes_to_ignore") or []
    if not isinstance(ignored, list):
        raise ValueError("filter_list: regexes_to_ignore is a list of regular expressions.")
    for pattern in ignored:
        _compiles(pattern)
    if "regexes_to_ignore" in arguments:
        arguments["regexes_to_ignore"] = ignored
    if function == "take_first_k" and (type(arguments.get("k")) is not int or arguments["k"] < 1):
        raise ValueError("filter_list: take_first_k needs k, a whole number from 1.")
    if function == "map" and not isinstance(arguments.setdefault("mapping_dict", {}), dict):
        raise ValueError("filter_list: mapping_dict is a mapping.")
    return Step(function=function, arguments=arguments)


def _compiles(pattern: Any) -> None:
    if not isinstance(pattern, str):
        raise ValueError(f"{str(pattern)[:40]!r} is no regular expression. Put it in quotes.")
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern[:60]!r} is no regular expression: {error}.") from error
