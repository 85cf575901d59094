"""`python -m tests.benchmarks NAME | --all`: our way against the way it replaces, paired, equality first.

Each benchmark prints one JSON object last: both times, their ratio, and that the results were equal.
Only the ratio travels between machines. `refusals` times nothing: it holds a detector against people's labels.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

NAMES = (
    "text_attack",
    "fairness_bootstrap",
    "endpoint",
    "sequential",
    "shared_pass",
    "multiple_choice",
    "image_attack",
    "shap_text",
    "exposure",
    "refusals",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("name", nargs="?", choices=NAMES)
    parser.add_argument("--all", action="store_true", help="run every benchmark")
    args = parser.parse_args()
    if not args.all and args.name is None:
        parser.error(f"name one of {', '.join(NAMES)}, or give --all")
    for name in NAMES if args.all else (args.name,):
        measured = importlib.import_module(f"tests.benchmarks.{name}").measure()
        print(json.dumps({"benchmark": name, **measured}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
