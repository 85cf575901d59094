"""Loads the parts of a Hugging Face folder: safetensors only, no code of its own, no network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from evaluations.spec import EvaluationError

LONGEST = 512  # tokens, where neither tokenizer nor config says how much the model reads
CONFIGS = ("config.json", "tokenizer_config.json", "preprocessor_config.json", "processor_config.json")
# Positions start after the padding id.
SHIFTED = ("roberta", "xlm-roberta", "camembert")
# What from_pretrained raises on files that are damaged, missing or of another kind.
UNREADABLE = (OSError, ValueError, LookupError, TypeError, RuntimeError, AttributeError, ImportError)


def config_of(folder: Path) -> dict[str, Any]:
    """config.json, refused where any configuration asks for code. Intake refuses it too; this is the last gate."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise EvaluationError(
            "model_files",
            "The model folder has no readable config.json. Push the folder that save_pretrained wrote.",
        ) from error
    for name in CONFIGS:
        path = folder / name
        if path.is_file() and "auto_map" in path.read_text(encoding="utf-8", errors="replace"):
            raise EvaluationError(
                "model_remote_code",
                f"{name} names code of its own (auto_map), which is never run. Use an architecture of transformers.",
            )
    if not isinstance(config, dict):
        raise EvaluationError("model_files", "config.json holds no table of settings. Push the folder again.")
    return config


def tokenizer_of(folder: Path, **more: Any) -> Any:
    """The tokenizer in the folder."""
    import transformers

    quiet()
    try:
        return transformers.AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, **more
        )
    except MemoryError:
        raise
    except Exception as error:  # tokenizers raises bare ones
        raise unreadable(error, "the tokenizer's files") from error


def network_of(folder: Path, auto: str, instead: str) -> Any:
    """The network as float32 in inference mode, through transformers' class `auto`.

    Raises `model_incomplete` where weights are missing and would be random; `instead` says what to push.
    """
    import torch
    import transformers

    quiet()
    try:
        network, info = getattr(transformers, auto).from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except UNREADABLE as error:
        raise unreadable(error, "config.json and model.safetensors") from error
    missing = sorted(info["missing_keys"]) + sorted(str(k) for k in info.get("mismatched_keys", ()))
    if missing:
        raise EvaluationError(
            "model_incomplete",
            f"{len(missing)} weights are not in the file ({', '.join(missing[:3])}, …) and would be random. {instead}",
        )
    torch.backends.cudnn.allow_tf32 = False  # convolutions in float32, as matrix products are by default
    return network.to(device()).eval()


def settings_of(folder: Path) -> Any:
    """config.json as transformers reads it, with the defaults of its architecture."""
    import transformers

    quiet()
    try:
        return transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except UNREADABLE as error:
        raise unreadable(error, "config.json") from error


def give_padding(tokenizer: Any, config: Any) -> None:
    """Names a token to pad with where the tokenizer has none; what is padded is masked, so which one is no matter."""
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
        config.pad_token_id = tokenizer.pad_token_id


def device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def quiet() -> None:
    """Keeps transformers from writing on a run's output."""
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


def unreadable(error: Exception, needed: str) -> EvaluationError:
    return EvaluationError(
        "model_unreadable",
        f"The model folder could not be loaded ({type(error).__name__}: {str(error)[:300]}). It needs {needed}, "
        "as save_pretrained writes them.",
    )


def own_labels(config: Any) -> tuple[str, ...]:
    """Class names in output order, of a configuration of transformers."""
    return tuple(str(config.id2label[i]) for i in range(config.num_labels))


def longest_of(config: Any, tokenizer: Any, unknown: int = LONGEST) -> int:
    """The longest input in tokens that both the tokenizer and the position embeddings allow; `unknown` if neither."""
    positions = getattr(config, "max_position_embeddings", None)
    known = [int(n) for n in (tokenizer.model_max_length, positions) if n and 0 < n < 10**6]
    longest = min(known, default=unknown)
    if config.model_type in SHIFTED:
        longest = min(longest, config.max_position_embeddings - config.pad_token_id - 1)
    return longest
