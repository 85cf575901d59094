"""Turns fetched files that need it into tidy tables, each with a roles.yaml for `auditor data push --roles`.

Standard library and YAML only, but for images, which are written as Parquet.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from evaluations.data import bias_banks, fetch, safety_banks, toxicity_banks

Row = dict[str, Any]

_OPTION = re.compile(r"(?:^|\n)[A-Z]\. (.*?)(?=\n[A-Z]\. |\Z)", re.DOTALL)  # "A. yes\nB. no"
_LETTER = re.compile(r"^[A-Z]\. ")


@dataclass(frozen=True)
class Tidy:
    """Tables by file name, and what their columns are for. `pushed` is the one that roles.yaml names."""

    tables: Mapping[str, Iterable[Row]]
    pushed: str
    roles: dict[str, str]
    favourable: str = ""
    languages: tuple[str, ...] = ()


def prepare(name: str, folder: Path) -> list[Path]:
    """Write the tables of catalogue entry `name`, whose files lie in `folder`. [] where it needs none."""
    if name not in PREPARED:
        return []
    entry = fetch.entry(name)
    return write(
        PREPARED[name](folder),
        folder,
        name=name,
        description=entry.title,
        licence=entry.licence,
        source=f"{entry.package} {entry.version} on PyPI, {entry.archive} sha256:{entry.sha256}",
    )


def write(tidy: Tidy, folder: Path, *, name: str, description: str, licence: str, source: str) -> list[Path]:
    """The tables, and a roles.yaml that says what is in the one to push."""
    written = [_write(folder / table, rows) for table, rows in tidy.tables.items()]
    about = {
        "file": tidy.pushed,
        "roles": tidy.roles,
        "favourable_label": tidy.favourable,
        "languages": list(tidy.languages),
        "description": description,
        "licence": licence,
        "source": source,
    }
    roles = folder / "roles.yaml"
    text = yaml.safe_dump(about, sort_keys=False, allow_unicode=True, width=100)
    head = f"# auditor data push {name} {tidy.pushed} --version 1 --roles roles.yaml\n"
    roles.write_text(head + text, encoding="utf-8")
    return [*written, roles]


def _write(path: Path, rows: Iterable[Row]) -> Path:
    """A table as its ending says: lists and line breaks go into .jsonl, images into .parquet."""
    if path.suffix == ".parquet":
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.Table.from_pylist(list(rows)), path)
        return path
    with path.open("w", encoding="utf-8", newline="") as out:
        if path.suffix == ".jsonl":
            out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            return path
        writer: csv.DictWriter[str] | None = None
        for row in rows:
            if writer is None:
                writer = csv.DictWriter(out, list(row), lineterminator="\n")
                writer.writeheader()
            writer.writerow(row)
    return path


def _records(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as lines:
        yield from (json.loads(line) for line in lines if line.strip())


# --- tables of people ------------------------------------------------------------------------------

COMPAS_ROLES = {
    "id": "id",
    "sex": "sensitive",
    "race": "sensitive",
    "age_cat": "sensitive",
    "age": "input",
    "juv_fel_count": "input",
    "juv_misd_count": "input",
    "juv_other_count": "input",
    "priors_count": "input",
    "c_charge_degree": "input",
    "decile_score": "input",
    "two_year_recid": "target",
}


def _compas(folder: Path) -> Tidy:
    """Names, dates of birth and case numbers are left out: nothing here measures by them."""

    def rows() -> Iterator[Row]:
        with (folder / "compas-scores-two-years.csv").open(encoding="utf-8-sig", newline="") as lines:
            for row in csv.DictReader(lines):
                yield {column: row[column] for column in COMPAS_ROLES}

    return Tidy({"compas.csv": rows()}, "compas.csv", COMPAS_ROLES, favourable="0")


ADULT_ROLES = {
    "age": "input",
    "workclass": "input",
    "fnlwgt": "ignore",  # the census weight
    "education": "input",
    "education_num": "input",
    "marital_status": "input",
    "occupation": "input",
    "relationship": "input",
    "race": "sensitive",
    "sex": "sensitive",
    "capital_gain": "input",
    "capital_loss": "input",
    "hours_per_week": "input",
    "native_country": "input",
    "income": "target",
}


def _adult(folder: Path) -> Tidy:
    def rows(path: Path) -> Iterator[Row]:
        with path.open(encoding="utf-8", newline="") as lines:
            for values in csv.reader(lines, skipinitialspace=True):
                if len(values) == len(
                    ADULT_ROLES
                ):  # neither the comment that begins adult.test nor a last empty line
                    values = ["" if value == "?" else value for value in values]
                    yield dict(zip(ADULT_ROLES, [*values[:-1], values[-1].rstrip(".")], strict=True))

    tables = {
        "adult-train.csv": rows(folder / "adult.data"),
        "adult-test.csv": rows(folder / "adult.test"),
    }
    return Tidy(tables, "adult-test.csv", ADULT_ROLES, favourable=">50K")


GERMAN_COLUMNS = (
    "status", "duration", "credit_history", "purpose", "credit_amount", "savings", "present_employment",
    "installment_rate", "status_sex", "other_debtors", "present_residence_since", "property", "age",
    "installment_plans", "housing", "number_of_existing_credits", "job", "number_of_people_liable_for",
    "telephone", "foreign_worker", "credit",
)  # fmt: skip


def _german(folder: Path) -> Tidy:
    """Codes become words; the column that codes marital status and sex together becomes two."""
    words = json.loads((folder / "values_maps.json").read_text(encoding="utf-8"))

    def rows() -> Iterator[Row]:
        for line in (folder / "german.data").read_text(encoding="utf-8").splitlines():
            row: Row = dict(zip(GERMAN_COLUMNS, line.split(), strict=True))
            for column, meaning in words.items():
                row[column] = str(meaning[row[column]]).strip()
            sex, marital = row.pop("status_sex").split(" : ")
            yield {**row, "marital_status": marital, "sex": sex}

    roles = dict.fromkeys((c for c in GERMAN_COLUMNS if c != "status_sex"), "input")
    roles |= {
        "marital_status": "input",
        "sex": "sensitive",
        "foreign_worker": "sensitive",
        "credit": "target",
    }
    return Tidy({"german-credit.csv": rows()}, "german-credit.csv", roles, favourable="good")


# --- texts -------------------------------------------------------------------------------------------


def _pang_lee(folder: Path) -> Tidy:
    names = {"1": "positive", "-1": "negative"}

    def rows() -> Iterator[Row]:
        with (folder / "pang-lee-sentences.csv").open(encoding="utf-8-sig", newline="") as lines:
            for number, (label, text) in enumerate(csv.reader(lines)):
                yield {"id": f"pl-{number:04}", "text": text.strip(), "label": names[label]}

    roles = {"id": "id", "text": "input", "label": "target"}
    return Tidy({"pang-lee.csv": rows()}, "pang-lee.csv", roles, languages=("en",))


def _imdb(folder: Path) -> Tidy:
    return Tidy({}, "imdb-sample.csv", {"text": "input", "label": "target"}, languages=("en",))


def _boolq(folder: Path) -> Tidy:
    rows = (
        {
            "id": f"boolq-{number:04}",
            "passage": record["passage"],
            "question": record["question"],
            "choices": ["no", "yes"],
            "answer": {"False": "no", "True": "yes"}[record["answer"]],
        }
        for number, record in enumerate(_records(folder / "dev.jsonl"))
    )
    return _choosing("boolq", rows, passage=True)


def _choice_questions(name: str, file: str, *, passage: bool = False) -> Callable[[Path], Tidy]:
    """Questions whose options stand in one text, a letter before each, and whose answer is one of them."""

    def prepared(folder: Path) -> Tidy:
        rows = (
            {
                "id": f"{name}-{number:04}",
                **({"passage": record["passage"]} if passage else {}),
                "question": record["question"].removesuffix("\nPlease choose the correct option "),
                "choices": [option.strip() for option in _OPTION.findall(record["options"])],
                "answer": _answer(record["answer"]),
            }
            for number, record in enumerate(_records(folder / file))
        )
        return _choosing(name, rows, passage=passage)

    return prepared


def _answer(answer: str | list[str]) -> str:
    return _LETTER.sub("", answer if isinstance(answer, str) else answer[0]).strip()


def _choosing(name: str, rows: Iterable[Row], *, passage: bool) -> Tidy:
    roles = {"id": "id", "question": "input", "choices": "choices", "answer": "target"}
    roles |= {"passage": "context"} if passage else {}
    return Tidy({f"{name}.jsonl": rows}, f"{name}.jsonl", roles, languages=("en",))


def _truthful(folder: Path) -> Tidy:
    rows = (
        {"id": f"truthfulqa-{number:03}", "question": record["question"], "answers": record["answer"]}
        for number, record in enumerate(_records(folder / "combined.jsonl"))
    )
    roles = {"id": "id", "question": "input", "answers": "target"}
    return Tidy({"truthfulqa.jsonl": rows}, "truthfulqa.jsonl", roles, languages=("en",))


# --- banks of stereotypes ------------------------------------------------------------------------------


def _bbq_sample(folder: Path) -> Tidy:
    """The answer that it cannot be known comes last, as fairness.bbq has it; which of the others is the stereotyped
    one the sample does not say."""
    made = _choice_questions("bbq-sample", "test.jsonl", passage=True)(folder)
    rows = (
        {**row, "choices": sorted(row["choices"], key=bias_banks.is_unknown)}
        for row in made.tables[made.pushed]
    )
    return Tidy({made.pushed: rows}, made.pushed, made.roles, languages=made.languages)


def _crows_pairs(folder: Path) -> Tidy:
    def rows() -> Iterator[Row]:
        with (folder / "crows-pairs.csv").open(encoding="utf-8-sig", newline="") as lines:
            yield from filter(None, bias_banks.masked_pairs(csv.DictReader(lines)))

    return _bank("crows-pairs-rows.jsonl", rows(), bias_banks.CROWS_ROLES)


def _stereoset(folder: Path) -> Tidy:
    rows = filter(None, bias_banks.flat_triples(_records(folder / "stereoset.jsonl")))
    return _bank("stereoset-rows.jsonl", rows, bias_banks.STEREOSET_ROLES)


def _wino_bias(folder: Path) -> Tidy:
    rows = filter(None, bias_banks.masked_pronouns(_records(folder / "wino-bias.jsonl")))
    return _bank("wino-bias-rows.jsonl", rows, bias_banks.WINO_ROLES)


def _bank(file: str, rows: Iterable[Row], roles: dict[str, str]) -> Tidy:
    return Tidy({file: rows}, file, roles, languages=("en",))


# --- requests that should be refused, and others -------------------------------------------------------


def _harmbench(folder: Path) -> Tidy:
    return _requests("harmbench", safety_banks.lines_of(folder / "harmbench.txt", "not stated"))


def _adv_bench(folder: Path) -> Tidy:
    return _requests("adv-bench", safety_banks.seeds_of(folder / "adv_bench.yaml"))


def _do_not_answer(folder: Path) -> Tidy:
    names = [file.name for file in fetch.entry("do-not-answer").files if file.name.endswith(".jsonl")]
    return _requests("do-not-answer", safety_banks.prompts_of(folder / name for name in names))


def _requests(name: str, harmful: Iterable[tuple[str, str]]) -> Tidy:
    table = f"{name}.csv"
    return Tidy(
        {table: safety_banks.with_harmless(name, harmful)}, table, safety_banks.ROLES, languages=("en",)
    )


# --- beginnings of sentences ----------------------------------------------------------------------------


def _real_toxicity(folder: Path) -> Tidy:
    names = [file.name for file in fetch.entry("real-toxicity-prompts").files]
    kinds = [(name.removeprefix("rtp_").removesuffix(".txt").replace("_", " "), name) for name in names]
    return _beginnings(
        "real-toxicity-prompts", toxicity_banks.lines_of((kind, folder / name) for kind, name in kinds)
    )


def _toxicity_sample(folder: Path) -> Tidy:
    toxic = ((record["text"].strip(), "toxic") for record in _records(folder / "toxicity.jsonl"))
    return _beginnings("toxicity-sample", toxic)


def _beginnings(name: str, toxic: Iterable[tuple[str, str]]) -> Tidy:
    table = f"{name}.jsonl"  # some hold line breaks
    return Tidy(
        {table: toxicity_banks.with_harmless(name, toxic)}, table, toxicity_banks.ROLES, languages=("en",)
    )


# --- images ------------------------------------------------------------------------------------------


def _mnist(folder: Path) -> Tidy:
    def rows() -> Iterator[Row]:
        with gzip.open(folder / "mnist_5k.csv.gz", "rt", encoding="utf-8", newline="") as lines:
            for number, (*pixels, digit) in enumerate(csv.reader(lines)):
                yield {"id": f"mnist-{number:04}", "image": _png(bytes(map(int, pixels)), 28), "digit": digit}

    roles = {"id": "id", "image": "input", "digit": "target"}
    return Tidy({"mnist.parquet": rows()}, "mnist.parquet", roles)


def _png(pixels: bytes, width: int) -> bytes:
    """A grey image of one byte a pixel as a PNG file."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = b"".join(b"\0" + pixels[start : start + width] for start in range(0, len(pixels), width))
    header = struct.pack(">IIBBBBB", width, len(pixels) // width, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )


PREPARED: dict[str, Callable[[Path], Tidy]] = {
    "adult": _adult,
    "adv-bench": _adv_bench,
    "bbq-sample": _bbq_sample,
    "boolq": _boolq,
    "compas": _compas,
    "crows-pairs": _crows_pairs,
    "do-not-answer": _do_not_answer,
    "german-credit": _german,
    "harmbench": _harmbench,
    "imdb-sample": _imdb,
    "mmlu-sample": _choice_questions("mmlu-sample", "test.jsonl"),
    "mnist-sample": _mnist,
    "pang-lee": _pang_lee,
    "piqa": _choice_questions("piqa", "validation.jsonl"),
    "real-toxicity-prompts": _real_toxicity,
    "stereoset": _stereoset,
    "toxicity-sample": _toxicity_sample,
    "truthfulqa": _truthful,
    "wino-bias": _wino_bias,
}
