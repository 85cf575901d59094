"""Tiny language models that the tests share: random weights, a byte-level BPE tokenizer, all made in code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evaluations.spec import Modality, ModelFormat, ModelRef
from tests.evaluations import make

END = "<|endoftext|>"
KINDS = ("gpt2", "llama", "mistral", "bloom", "gpt_neo", "mamba")  # mistral: sliding window; bloom: ALiBi


def causal_lm(
    folder: Path,
    kind: str = "gpt2",
    *,
    seed: int = 0,
    longest: int = 128,
    width: int = 32,
    layers: int = 2,
    vocabulary: int = 400,
    corpus: Sequence[str] = (),
    bos: bool = False,
    **more: Any,
) -> ModelRef:
    """A random causal language model of one of KINDS, as save_pretrained writes it; a second to make.

    `corpus` is what the tokenizer is trained on, `bos` whether it begins every text with a start token,
    `more` is further fields of the configuration.
    """
    import torch
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    transformers.utils.logging.disable_progress_bar()
    tokenizer = bpe_tokenizer(corpus, vocabulary, longest, bos=bos)
    torch.manual_seed(seed)
    config = causal_config(kind, len(tokenizer), longest, width, layers, **more)
    transformers.AutoModelForCausalLM.from_config(config).eval().save_pretrained(
        folder, safe_serialization=True
    )
    tokenizer.save_pretrained(folder)
    return ModelRef(
        path=str(folder),
        digest=f"{kind}-{seed}",
        modality=Modality.CAUSAL_LM,
        format=ModelFormat.SAFETENSORS,
        languages=("en",),
    )


def causal_config(
    kind: str, vocabulary: int, longest: int = 128, width: int = 32, layers: int = 2, **more: Any
) -> Any:
    """A configuration of `kind` with wide random weights, so that answers differ."""
    from transformers import AutoConfig

    heads = more.pop("heads", 4)
    common = {"vocab_size": vocabulary, "initializer_range": 0.3}
    common |= dict.fromkeys(("bos_token_id", "eos_token_id"), 0)  # END
    decoder = {
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": max(1, heads // 2),
        "max_position_embeddings": longest,
    }
    fields: dict[str, dict[str, Any]] = {
        "gpt2": {"n_embd": width, "n_layer": layers, "n_head": heads, "n_positions": longest},
        "llama": decoder,
        "mistral": {**decoder, "sliding_window": 16},
        "bloom": {"hidden_size": width, "n_layer": layers, "n_head": heads},
        "gpt_neo": {
            "hidden_size": width,
            "num_layers": layers,
            "num_heads": heads,
            "attention_types": [[["global", "local"], max(1, layers // 2)]],
            "window_size": 16,
            "max_position_embeddings": longest,
        },
        "mamba": {"hidden_size": width, "num_hidden_layers": layers, "state_size": 8},
    }
    return AutoConfig.for_model(kind, **{**common, **fields[kind], **more})


def bpe_tokenizer(
    corpus: Sequence[str] = (), vocabulary: int = 400, longest: int = 128, *, bos: bool = False
) -> Any:
    """A byte-level BPE tokenizer in the manner of GPT-2: any text is read, spaces go with the word that follows."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(list(corpus) or list(make.sentences(200, seed=5).text), trainer)
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{END} $A",
            pair=f"{END} $A {END} $B",
            special_tokens=[(END, tokenizer.token_to_id(END))],
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=longest,
        bos_token=END,
        eos_token=END,
        pad_token=END,
        clean_up_tokenization_spaces=False,
    )


def masked_lm(folder: Path, *, seed: int = 0, longest: int = 64) -> ModelRef:
    """A random two-layer BERT that fills masked tokens, with the WordPiece vocabulary of `make.tiny_bert`."""
    import torch
    import transformers

    make.tiny_bert(folder, seed=seed, longest=longest)
    config = transformers.AutoConfig.from_pretrained(folder)
    torch.manual_seed(seed)
    transformers.BertForMaskedLM(config).eval().save_pretrained(folder, safe_serialization=True)
    return ModelRef(
        path=str(folder),
        digest=f"masked-{seed}",
        modality=Modality.MASKED_LM,
        format=ModelFormat.SAFETENSORS,
        languages=("en",),
    )
