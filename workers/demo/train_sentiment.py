"""Fine-tunes the MiniLM encoder into a sentiment classifier on 3,000 film review sentences.

python -m workers.demo.train_sentiment
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workers.demo import data
from workers.demo.cache import fetched, made

SEED = 2005
EPOCHS = 2
BATCH = 16
LEARNING_RATE = 1e-4
LONGEST = 64  # tokens
LABELS = ("negative", "positive")
PARTS = 16  # batches are cut from stretches of this many batches, sorted by length, so that little is padded


def sentiment_model() -> Path:
    """The folder with the fine-tuned classifier as save_pretrained writes it (safetensors and tokenizer)."""
    train = data.sentences() / "train.jsonl"
    encoder = fetched("minilm")
    causes = [Path(__file__), train, encoder / "config.json", encoder / "model.safetensors"]
    return made("sentiment", causes, lambda folder: _train(train, encoder, folder))


def _train(table: Path, encoder: Path, folder: Path) -> None:
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(SEED)
    rows = [json.loads(line) for line in table.read_text(encoding="utf-8").splitlines()]
    tokenizer = transformers.AutoTokenizer.from_pretrained(encoder, local_files_only=True)
    network = transformers.AutoModelForSequenceClassification.from_pretrained(
        encoder,
        local_files_only=True,
        use_safetensors=True,
        num_labels=len(LABELS),
        id2label=dict(enumerate(LABELS)),
        label2id={label: i for i, label in enumerate(LABELS)},
    )
    tokens = tokenizer([row["text"] for row in rows], truncation=True, max_length=LONGEST)["input_ids"]
    truth = torch.tensor([LABELS.index(row["label"]) for row in rows])
    # The word embeddings are half of all weights, and 3,000 sentences touch few of them. Leaving them and
    # the lowest layer as they are makes a step cost half; accuracy on the 1,000 held out: .807, else .801.
    network.base_model.embeddings.requires_grad_(False)
    network.base_model.encoder.layer[0].requires_grad_(False)
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, weight_decay=0.01, fused=True)
    steps = EPOCHS * -(-len(rows) // BATCH)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    order = random.Random(SEED)
    network.train()
    started = time.monotonic()
    for epoch in range(EPOCHS):
        losses = []
        for chosen in _batches([len(ids) for ids in tokens], order):
            batch: Any = tokenizer.pad({"input_ids": [tokens[i] for i in chosen]}, return_tensors="pt")
            loss = torch.nn.functional.cross_entropy(network(**batch).logits, truth[chosen])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        elapsed, mean = time.monotonic() - started, sum(losses) / len(losses)
        print(f"  epoch {epoch + 1} of {EPOCHS}: mean loss {mean:.3f}, {elapsed:.0f} s", flush=True)
    network.eval()
    network.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)


def _batches(lengths: list[int], order: random.Random) -> Iterator[list[int]]:
    """Every row once, in random batches of rows of similar length."""
    rows = list(range(len(lengths)))
    order.shuffle(rows)
    batches = []
    for start in range(0, len(rows), BATCH * PARTS):
        stretch = sorted(rows[start : start + BATCH * PARTS], key=lengths.__getitem__)
        batches += [stretch[i : i + BATCH] for i in range(0, len(stretch), BATCH)]
    order.shuffle(batches)
    yield from batches


if __name__ == "__main__":
    print(sentiment_model())
