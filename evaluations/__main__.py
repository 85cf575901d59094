"""Command line of the evaluations: run, merge, list, show. See evaluations/README.md."""

import os
import sys

# Before any library is imported: nothing here ever asks a hub.
os.environ.update(
    HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false"
)

from evaluations.runner import main

if __name__ == "__main__":
    sys.exit(main())
