"""Task files: what they say is read as lm-evaluation-harness reads it, and what needs its Python is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from evaluations.quality.lm_task import LmTaskParams
from evaluations.spec import EvaluationError
from evaluations.tasks import reading, suite
from evaluations.tasks.__main__ import main

LEAST = {"doc_to_text": "q", "doc_to_target": "a"}


def of(**config: Any) -> Any:
    return reading.of(LEAST | config)


def test_a_task_is_read_whole() -> None:
    task = reading.parse(
        """
        task: sums
        tag: [arithmetic]
        dataset_path: json
        output_type: generate_until
        training_split: train
        test_split: test
        fewshot_config: {sampler: first_n, doc_to_text: "Sum {{q}}", target_delimiter: ": "}
        num_fewshot: 3
        doc_to_text: "{{q}} ="
        doc_to_target: a
        generation_kwargs: {until: ["\\n", ""], max_gen_toks: 8, temperature: 0.7, top_p: 0.9}
        repeats: 4
        filter_list:
          - name: vote
            filter: [{function: regex, regex_pattern: "([0-9]+)"}, {function: majority_vote}, {function: take_first}]
        metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true, regexes_to_ignore: [","]}]
        should_decontaminate: true
        metadata: {version: 1.0}
        """
    )
    assert (task.name, task.output, task.num_fewshot, task.repeats) == ("sums", "generate_until", 3, 4)
    assert (task.evaluated_split, task.training_split) == ("test", "train")
    assert (task.shots.sampler, task.shots.doc_to_text, task.shots.target_delimiter) == (
        "first_n",
        "Sum {{q}}",
        ": ",
    )
    assert task.shots.fewshot_delimiter == "\n\n"
    assert task.settings.stop == ("\n",)
    assert (task.settings.max_new_tokens, task.settings.temperature, task.settings.top_p) == (8, 0.7, 0.9)
    assert [step.function for step in task.pipelines[0].steps] == ["regex", "majority_vote", "take_first"]
    assert task.pipelines[0].steps[0].arguments == {
        "regex_pattern": "([0-9]+)", "group_select": 0, "fallback": "[invalid]",
    }  # fmt: skip
    assert task.metrics[0].regexes_to_ignore == (",",)
    assert "decontamination" in task.notes[0]


@pytest.mark.parametrize(
    ("output", "metrics"),
    [
        ("loglikelihood", ["perplexity", "acc"]),
        ("loglikelihood_rolling", ["word_perplexity", "byte_perplexity", "bits_per_byte"]),
        ("multiple_choice", ["acc", "acc_norm"]),
        ("generate_until", ["exact_match"]),
    ],
)
def test_what_a_task_leaves_out_has_the_defaults_of_the_harness(output: str, metrics: list[str]) -> None:
    task = of(output_type=output, doc_to_choice=["no", "yes"], fewshot_delimiter="##")
    assert [judging.name for judging in task.metrics] == metrics
    assert (task.target_delimiter, task.num_fewshot, task.repeats) == (" ", 0, 1)
    assert [step.function for step in task.pipelines[0].steps] == ["take_first"]
    if output == "generate_until":
        assert (task.settings.max_new_tokens, task.settings.temperature, task.settings.stop) == (
            256,
            0.0,
            ("##",),
        )


def test_texts_are_drawn_only_where_sampling_is_not_switched_off() -> None:
    for kwargs, temperature in (
        ({"temperature": 0.5}, 0.5),
        ({"temperature": "0.5", "do_sample": True}, 0.5),
        ({"temperature": 0.5, "do_sample": False}, 0.0),
        ({"do_sample": False}, 0.0),
    ):
        assert of(generation_kwargs=kwargs).settings.temperature == temperature
    assert (
        of(generation_kwargs={"until": "x", "max_new_tokens": 3, "max_tokens": 9}).settings.max_new_tokens
        == 3
    )


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"output_type": "image"}, "output_type is one of"),
        ({"output_type": "multiple_choice"}, "needs doc_to_choice"),
        ({"doc_to_text": None}, "needs doc_to_text"),
        ({"doc_to_target": None}, "needs doc_to_target"),
        ({"doc_to_text": True}, "doc_to_text is"),
        ({"task": ["a", "b"]}, "group of tasks"),
        ({"include": "base.yaml"}, "put what it includes into it"),
        ({"use_prompt": "promptsource:x"}, "write the prompt"),
        ({"doc_to_image": "image"}, "images are not supported"),
        ({"unsafe_code": True}, "never run as code"),
        ({"num_few_shot": 5}, "'num_few_shot' is no setting"),
        ({"num_fewshot": -1}, "num_fewshot is a whole number"),
        ({"target_delimiter": 3}, "target_delimiter is a text"),
        ({"fewshot_config": {"sampler": "balanced"}}, "default or first_n"),
        ({"fewshot_config": {"process_docs": "x"}}, "'process_docs' cannot be used"),
        ({"fewshot_config": {"samples": "x"}}, "list of mappings"),
        ({"generation_kwargs": {"num_beams": 4}}, "num_beams: 4 cannot be used"),
        ({"generation_kwargs": {"max_gen_toks": 10**9}}, "max_new_tokens"),
        ({"generation_kwargs": {"until": [3]}}, "until is a list"),
        ({"metric_list": [{"metric": "rouge"}]}, "'rouge' is not supported for generate_until"),
        ({"metric_list": [{"metric": "acc"}]}, "'acc' is not supported for generate_until"),
        ({"metric_list": [{"metric": "exact_match", "aggregation": "median"}]}, "cannot be aggregated"),
        ({"metric_list": [{"metric": "exact_match", "ignore_case": "yes"}]}, "takes no ignore_case"),
        ({"metric_list": [{"metric": "exact_match", "regexes_to_ignore": ["("]}]}, "no regular expression"),
        ({"metric_list": [{"metric": "exact_match"}] * 2}, "twice"),
        ({"filter_list": [{"name": "x", "filter": [{"function": "custom"}]}]}, "'custom' is not supported"),
        (
            {"filter_list": [{"name": "x", "filter": [{"function": "regex", "regex_pattern": "("}]}]},
            "regular expression",
        ),
        ({"filter_list": [{"name": "x", "filter": [{"function": "take_first_k"}]}]}, "needs k"),
        ({"filter_list": [{"name": "x"}]}, "list of `function"),
        (
            {
                "output_type": "loglikelihood",
                "filter_list": [{"name": "x", "filter": [{"function": "lowercase"}]}],
            },
            "works on texts",
        ),
    ],
)
def test_what_cannot_be_run_is_said(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        of(**config)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("doc_to_text: !function utils.doc_to_text\ndoc_to_target: a", r"!function utils\.doc_to_text"),
        ("metric_list: [{metric: !function metrics.f1}]", r"!function metrics\.f1"),
        ("a: !!python/object/apply:os.system [ls]", "no YAML"),
        ("a: &x [1]\nb: *x", "alias"),
        ("- a", "no YAML mapping"),
        ("a: [", "no YAML"),
        ("[" * 1500, "nests too deeply|no YAML"),
        ("3: a", "no YAML mapping"),
    ],
)
def test_hostile_yaml_is_refused_as_a_parameter(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        LmTaskParams(task=text)


def test_an_empty_task_is_asked_for_and_an_unknown_pipeline_named() -> None:
    with pytest.raises(EvaluationError, match="Give the YAML"):
        LmTaskParams().read()
    text = yaml.safe_dump(LEAST)
    assert LmTaskParams(task=text, num_fewshot=4).read().num_fewshot == 4
    with pytest.raises(EvaluationError, match="no filters 'strict'; it has none"):
        LmTaskParams(task=text, pipeline="strict").read()


# --- folders of tasks ----------------------------------------------------------------------------------


def written(folder: Path, **files: dict[str, Any] | str) -> Path:
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return folder


def test_includes_are_written_in_and_own_settings_come_last(tmp_path: Path) -> None:
    written(
        tmp_path,
        base_yaml=LEAST | {"repeats": 2, "num_fewshot": 3},
        **{"inner__a.yaml": {"task": "a", "include": "../base_yaml", "num_fewshot": 0}},
    )
    found = suite.read(tmp_path)
    assert found.tasks["a"] == LEAST | {"task": "a", "repeats": 2, "num_fewshot": 0}
    assert found.faults == {}


def test_groups_and_tags_stand_for_their_tasks(tmp_path: Path) -> None:
    written(
        tmp_path,
        **{
            "a.yaml": LEAST | {"task": "a", "tag": "letters"},
            "b.yaml": LEAST | {"task": "b", "tag": ["letters", "more"]},
            "old.yaml": LEAST | {"task": "c", "group": "old"},
            "g.yaml": {
                "group": "g",
                "task": ["letters", {"task": "c", "num_fewshot": 5}, {"group": "h", "task": ["a"]}],
            },
            "loop.yaml": {"group": "loop", "task": ["loop"]},
        },
    )
    found = suite.read(tmp_path)
    assert list(found.named(["g"])) == ["a", "b", "c"]
    assert found.named(["g"])["c"]["num_fewshot"] == 5
    assert list(found.named(["old", "more"])) == ["c", "b"]
    with pytest.raises(EvaluationError, match="lies in itself"):
        found.named(["loop"])
    with pytest.raises(EvaluationError, match="no task, group or tag 'z'"):
        found.named(["z"])


def test_only_files_of_the_folder_are_included(tmp_path: Path) -> None:
    written(tmp_path, secret=LEAST)
    folder = written(
        tmp_path / "d",
        **{
            "out.yaml": {"task": "out", "include": "../secret"},
            "root.yaml": {"task": "root", "include": str(tmp_path / "secret")},
            "loop.yaml": {"task": "loop", "include": "loop.yaml"},
        },
    )
    found = suite.read(folder)
    assert found.tasks == {}
    assert "not in the folder" in found.faults["out.yaml"]
    assert "not in the folder" in found.faults["root.yaml"]
    assert "includes itself" in found.faults["loop.yaml"]
    (folder / "link.yaml").symlink_to(tmp_path / "secret")
    with pytest.raises(EvaluationError, match="symbolic link"):
        suite.read(folder)


def test_the_command_prints_entries_that_a_policy_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(
        tmp_path,
        base="doc_to_text: q\ndoc_to_target: a\n",
        **{
            "a.yaml": "task: A_task\ninclude: base\ntag: all\n",
            "p.yaml": "task: prepared\ninclude: base\nprocess_docs: !function utils.process\n",
        },
    )
    assert main([str(tmp_path), "all"]) == 0
    (entry,) = yaml.safe_load(capsys.readouterr().out)["suite"]
    assert (entry["item"], entry["evaluation"]) == ("a-task", "quality.lm_task")
    assert LmTaskParams.model_validate(entry["params"]).read().doc_to_text == "q"
    assert main([str(tmp_path), "prepared"]) == 1
    assert "calls Python (!function utils.process)" in capsys.readouterr().err
    assert main([str(tmp_path), "prepared", "--prepared"]) == 0
    capsys.readouterr()
    assert main([str(tmp_path)]) == 0
    listed = capsys.readouterr().out
    assert "A_task" in listed
    assert "cannot be used: process_docs" in listed
