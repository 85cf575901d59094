"""Lists the tasks of a folder, or prints some of them as entries of a policy's suite.

python -m evaluations.tasks PATH                  what there is, and what cannot be used
python -m evaluations.tasks PATH NAME …           tasks, groups or tags as YAML for a policy
Where a task prepares its data in Python (process_docs), do so before you register them, and say --prepared.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import yaml

from evaluations.spec import EvaluationError
from evaluations.tasks import reading, suite


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m evaluations.tasks", description=__doc__)
    parser.add_argument("path", type=Path, help="a folder of task files, or one file")
    parser.add_argument("names", nargs="*", help="tasks, groups or tags")
    parser.add_argument(
        "--prepared",
        action="store_true",
        help="the registered data hold the columns that the tasks' process_docs would make",
    )
    chosen = parser.parse_args(arguments)
    try:
        found = suite.read(chosen.path)
        if chosen.prepared:
            found.tasks = {name: suite.prepared(config) for name, config in found.tasks.items()}
        if chosen.names:
            entries = suite.items(found.named(chosen.names))
            print(yaml.safe_dump({"suite": entries}, sort_keys=False, allow_unicode=True), end="")
            return 0
    except EvaluationError as error:
        print(error.message, file=sys.stderr)
        return 1
    _list(found)
    return 0


def _list(found: suite.Suite) -> None:
    for name, config in sorted(found.tasks.items()):
        where = " ".join(str(config[key]) for key in ("dataset_path", "dataset_name") if config.get(key))
        try:
            print(f"{name:40} {reading.of(config).output:22} {where}")
        except ValueError as error:
            print(f"{name:40} cannot be used: {error}")
    for kind, names in (("group", found.groups), ("tag", found.tags)):
        for name in sorted(names):
            print(f"{name:40} {kind} of {len(names[name])}")
    for file, fault in sorted(found.faults.items()):
        print(f"{file}: {fault}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
