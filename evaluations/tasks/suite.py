"""Reads a folder of task files as a suite: includes are written in, groups and tags become lists of tasks."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from evaluations.data import folders
from evaluations.data.folders import Found
from evaluations.spec import EvaluationError
from evaluations.tasks import reading, yaml_text

ENDINGS = (".yaml", ".yml")
MAX_TASKS = 2_000  # of one suite


@dataclass
class Suite:
    """What a folder holds: tasks by name, with what they include; groups and tags, with the names in them."""

    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    groups: dict[str, list[Any]] = field(default_factory=dict)
    tags: dict[str, list[str]] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)  # file -> why it cannot be read

    def named(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The tasks that are named, or lie in groups or tags that are, in order. Raises EvaluationError."""
        found: dict[str, dict[str, Any]] = {}
        for name in names:
            for task, config in self._expanded(name, ()):
                found.setdefault(task, config)
                if len(found) > MAX_TASKS:
                    raise EvaluationError(
                        "tasks_many", f"These are more than {MAX_TASKS:,} tasks. Name fewer."
                    )
        return found

    def _expanded(self, name: str, within: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
        if name in within:
            raise EvaluationError(
                "group_cycle", f"The group {name[:60]!r} lies in itself. Correct the group."
            )
        if name in self.groups:
            for member in self.groups[name]:
                yield from self._member(member, (*within, name))
        elif name in self.tasks:
            yield name, self.tasks[name]
        elif name in self.tags:
            for task in self.tags[name]:
                yield task, self.tasks[task]
        else:
            raise EvaluationError(
                "task_missing",
                f"There is no task, group or tag {name[:60]!r}. `python -m evaluations.tasks` lists them.",
            )

    def _member(self, member: Any, within: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
        """A group's entry: a name, a task with changes of its own, or a group within the group."""
        if isinstance(member, str):
            yield from self._expanded(member, within)
            return
        inner = member.get("task") if isinstance(member, dict) else None
        if isinstance(inner, list):
            for one in inner:
                yield from self._member(one, within)
        elif isinstance(inner, str):
            changes = {key: value for key, value in member.items() if key not in ("task", "group")}
            known = (
                list(self._expanded(inner, within))
                if inner in (self.tasks | self.groups | self.tags)
                else [(inner, {})]
            )
            for task, config in known:
                yield task, {**config, **changes, "task": task}
        else:
            raise EvaluationError(
                "group_broken", f"A group holds neither a name nor a task: {str(member)[:80]!r}."
            )


def read(path: Path) -> Suite:
    """The suite in a folder, or in the folder of a file: of a file, only what it defines itself."""
    root = path if path.is_dir() else path.parent
    files = {found.name: found for found in folders.listed(root) if not found.hidden}
    own = [path.name] if path.is_file() else [name for name in files if name.endswith(ENDINGS)]
    suite = Suite()
    for name in own:
        try:
            _add(suite, _whole(name, files, ()))
        except (ValueError, EvaluationError) as error:
            suite.faults[name] = str(error)
    return suite


def _whole(name: str, files: dict[str, Found], within: tuple[str, ...]) -> dict[str, Any]:
    """One file with what it includes; its own settings come last. Only files of the folder are opened."""
    if name in within:
        raise ValueError(f"{name[:80]!r} includes itself.")
    if name not in files:
        raise ValueError(f"It includes {name[:80]!r}, which is not in the folder.")
    try:
        text = folders.content(files[name], yaml_text.MAX_TEXT * 4).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name[:80]!r} is no UTF-8 text.") from error
    config = yaml_text.mapping(text)
    included = config.pop("include", [])
    merged: dict[str, Any] = {}
    for one in included if isinstance(included, list) else [included]:
        place = posixpath.normpath(posixpath.join(posixpath.dirname(name), str(one)))
        inner = _whole(place, files, (*within, name))
        inner.pop("task_list", None)
        merged |= inner
    return merged | config


def _add(suite: Suite, config: dict[str, Any]) -> None:
    task, group = config.get("task"), config.get("group")
    if isinstance(task, list):
        suite.groups[str(group)] = task
    elif isinstance(task, str):
        suite.tasks[task] = config
        labels = [config.get("tag"), group]  # older files call a tag a group
        for label in labels:
            for tag in label if isinstance(label, list) else [label]:
                if isinstance(tag, str):
                    suite.tags.setdefault(tag, []).append(task)


class _Written(yaml.SafeDumper):
    """YAML without aliases, which tasks do not have."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def prepared(config: dict[str, Any]) -> dict[str, Any]:
    """A task whose registered data hold the columns already that its `process_docs` would make."""
    shots = config.get("fewshot_config")
    bare = {key: value for key, value in config.items() if key != "process_docs"}
    if isinstance(shots, dict):
        bare["fewshot_config"] = {key: value for key, value in shots.items() if key != "process_docs"}
    return bare


def items(tasks: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Entries of a policy's `suite`, one per task. Raises EvaluationError naming a task that cannot be used."""
    found: dict[str, dict[str, Any]] = {}
    for name, config in tasks.items():
        try:
            reading.of(config)
        except ValueError as error:
            raise EvaluationError("task_unusable", f"{name}: {error}") from error
        item = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60].strip("-") or "task"
        while item in found:
            item = f"{item[:56]}-{len(found) + 1}"
        text = yaml.dump(config, Dumper=_Written, sort_keys=False, allow_unicode=True)
        found[item] = {"item": item, "evaluation": "quality.lm_task", "params": {"task": text}}
    return list(found.values())
