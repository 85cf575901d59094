"""What each kind of model may be stored as: the table that intake goes by. A new kind is a new entry."""

from __future__ import annotations

from dataclasses import dataclass

from evaluations.spec import Modality, ModelFormat

SAVE_TENSORS = "Convert it with safetensors: model.save_pretrained(folder, safe_serialization=True)."
SAVE_ESTIMATOR = "Save the model with skops.io.dump(model, 'model.skops'), or export it to ONNX."
SAVE_FACTORS = "Save the factors with safetensors.numpy.save_file(tensors, 'model.safetensors')."

HUGGING_FACE = (
    ModelFormat.SAFETENSORS,
    ModelFormat.ONNX,
)  # each with config.json and what prepares its inputs
ONE_FILE = (ModelFormat.SKOPS, ModelFormat.ONNX, ModelFormat.XGBOOST, ModelFormat.LIGHTGBM)


@dataclass(frozen=True)
class Kind:
    """One modality: what people call it, in which formats it comes, and what must be in the folder."""

    called: str
    formats: tuple[ModelFormat, ...]
    save: str  # how to make a folder that is accepted
    architectures: tuple[str, ...] = ()  # how the class in config.json may end; () = no Hugging Face folder
    prepared_by: str = ""  # "tokenizer" or "preprocessor": what turns inputs into tensors
    protocols: tuple[str, ...] = ()  # of endpoint.json


_TABLE = (
    "one .skops or one .onnx file, XGBoost's model.json (Booster.save_model), or LightGBM's model.txt "
    "(Booster.save_model) or model.json (dump_model)"
)

KINDS: dict[Modality, Kind] = {
    Modality.TEXT_CLASSIFIER: Kind(
        "A text classifier",
        (*HUGGING_FACE, ModelFormat.ENDPOINT),
        SAVE_TENSORS,
        architectures=("ForSequenceClassification",),
        prepared_by="tokenizer",
        protocols=("openai_chat", "rest"),
    ),
    Modality.TOKEN_CLASSIFIER: Kind(
        "A token classifier",
        HUGGING_FACE,
        SAVE_TENSORS,
        architectures=("ForTokenClassification",),
        prepared_by="tokenizer",
    ),
    Modality.MASKED_LM: Kind(
        "A masked language model",
        (ModelFormat.SAFETENSORS,),
        SAVE_TENSORS,
        architectures=("ForMaskedLM", "ForPreTraining"),
        prepared_by="tokenizer",
    ),
    Modality.CAUSAL_LM: Kind(
        "A causal language model",
        (ModelFormat.SAFETENSORS, ModelFormat.ENDPOINT),
        SAVE_TENSORS,
        architectures=("ForCausalLM", "LMHeadModel"),
        prepared_by="tokenizer",
        protocols=("openai_chat", "openai_completions"),
    ),
    Modality.SEQ2SEQ: Kind(
        "A sequence-to-sequence model",
        (ModelFormat.SAFETENSORS, ModelFormat.ENDPOINT),
        SAVE_TENSORS,
        architectures=("ForConditionalGeneration", "Seq2SeqLM", "MTModel"),
        prepared_by="tokenizer",
        protocols=("openai_chat", "openai_completions"),
    ),
    Modality.EXTRACTIVE_QA: Kind(
        "A model that answers from a passage",
        (ModelFormat.SAFETENSORS,),
        SAVE_TENSORS,
        architectures=("ForQuestionAnswering", "ForQuestionAnsweringSimple"),
        prepared_by="tokenizer",
    ),
    Modality.IMAGE_CLASSIFIER: Kind(
        "An image classifier",
        (*HUGGING_FACE, ModelFormat.ENDPOINT),
        SAVE_TENSORS,
        architectures=("ForImageClassification", "ForImageClassificationWithTeacher"),
        prepared_by="preprocessor",
        protocols=("rest",),
    ),
    Modality.TABULAR: Kind(
        "A tabular classifier", (*ONE_FILE, ModelFormat.ENDPOINT), SAVE_ESTIMATOR, protocols=("rest",)
    ),
    Modality.TABULAR_REGRESSION: Kind(
        "A tabular regressor", (*ONE_FILE, ModelFormat.ENDPOINT), SAVE_ESTIMATOR, protocols=("rest",)
    ),
    Modality.RECOMMENDER: Kind("A recommender", (ModelFormat.SAFETENSORS, ModelFormat.ONNX), SAVE_FACTORS),
}

_PREPARED = {
    "tokenizer": "the tokenizer's files (tokenizer.json, tokenizer_config.json, vocab.txt, …)",
    "preprocessor": "preprocessor_config.json",
}


def expected(modality: Modality) -> str:
    """What a folder of this modality holds, in a sentence."""
    kind = KINDS[modality]
    ways = []
    if kind.architectures:
        weights = "model.safetensors"
        if ModelFormat.ONNX in kind.formats:
            weights += " or one .onnx file"
        ways.append(f"a Hugging Face folder: config.json, {weights} and {_PREPARED[kind.prepared_by]}")
    elif modality is Modality.RECOMMENDER:
        ways.append(
            "a folder of ids.json (users and items, in order) and one .safetensors file of factors or one .onnx file"
        )
    else:
        ways.append(_TABLE)
    if kind.protocols:
        ways.append("an endpoint.json that says where it is served")
    return f"{kind.called} is {'; or '.join(ways)}. README and LICENSE may be with it."
