"""Turns the files of BBQ, CrowS-Pairs, StereoSet and WinoBias, as published, into the tables that are measured.

`auditor data bank` is the command. Standard library and YAML only.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]

BBQ_ROLES = {
    "id": "id",
    "passage": "context",
    "question": "input",
    "choices": "choices",
    "answer": "target",
    "question_polarity": "sensitive",
    "category": "sensitive",
    "template": "cluster",
}
CROWS_ROLES = {"id": "id", "text": "input", "choices": "choices", "bias_type": "sensitive"}
STEREOSET_ROLES = {**CROWS_ROLES, "kind": "sensitive", "target": "cluster"}
WINO_ROLES = {
    "id": "id",
    "text": "input",
    "choices": "choices",
    "type": "sensitive",
    "occupations": "cluster",
}
UNKNOWNS = frozenset(
    (
        "unknown", "cannot be determined", "can't be determined", "not answerable", "not known", "not enough info",
        "not enough information", "cannot answer", "can't answer", "undetermined",
    )
)  # fmt: skip
OCCUPATIONS = (  # of WinoBias
    "driver", "supervisor", "janitor", "cook", "mover", "laborer", "construction worker", "chief", "developer",
    "carpenter", "manager", "lawyer", "farmer", "salesperson", "physician", "guard", "analyst", "mechanic", "sheriff",
    "CEO", "attendant", "cashier", "teacher", "nurse", "assistant", "secretary", "auditor", "cleaner", "receptionist",
    "clerk", "counselor", "designer", "hairdresser", "writer", "housekeeper", "baker", "accountant", "editor",
    "librarian", "tailor",
)  # fmt: skip
PRONOUNS = frozenset(("he", "she", "him", "her", "his", "hers", "himself", "herself"))
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_NUMBER = re.compile(r"^\d+\s+")


# --- BBQ -----------------------------------------------------------------------------------------------------


def bbq(
    records: Iterable[Row], target_of: Mapping[tuple[str, str], str] | None = None
) -> Iterator[Row | None]:
    """Rows of the official JSONL files; None for one whose stereotyped answer cannot be told.

    `target_of` is `target_loc` by category and example_id, of the official additional_metadata.csv. Without it the
    answer is the only one whose group is among the stereotyped ones, by name; and of crossed categories (Race_x_SES)
    none can be told, since the JSONL names the stereotyped race alone.
    """
    for record in records:
        category, example = str(record["category"]), str(record["example_id"])
        answers = [str(record[f"ans{k}"]) for k in range(3)]
        groups = [str(record["answer_info"][f"ans{k}"][-1]) for k in range(3)]
        unknown = [k for k in range(3) if groups[k].casefold() == "unknown" or is_unknown(answers[k])]
        said = target_of.get((category, example)) if target_of is not None else None
        named = record.get("additional_metadata", {}).get("stereotyped_groups") or []
        if target_of is not None:
            target = [int(said)] if said in ("0", "1", "2") else []
        else:
            target = [] if "_x_" in category else _targets(groups, [str(group) for group in named])
        target = [k for k in target if k not in unknown]
        if len(unknown) != 1 or len(target) != 1:
            yield None
            continue
        other = 3 - unknown[0] - target[0]
        yield {
            "id": f"{category}-{example}",
            "passage": record["context"],
            "question": record["question"],
            "choices": [answers[target[0]], answers[other], answers[unknown[0]]],
            "answer": answers[int(record["label"])],
            "question_polarity": record["question_polarity"],
            "category": category,
            "template": f"{category}-{record['question_index']}",
        }


def is_unknown(answer: str) -> bool:
    """Whether an answer of BBQ is that it cannot be known."""
    return answer.casefold().replace("’", "'").strip(" .") in UNKNOWNS


def _targets(groups: Sequence[str], stereotyped: Sequence[str]) -> list[int]:
    """Places of the answers whose group is a stereotyped one."""
    wanted = {_group(name) for name in stereotyped}
    exact = [k for k, group in enumerate(groups) if _group(group) in wanted]
    return exact or [k for k, group in enumerate(groups) if _group(group.split("-", 1)[-1]) in wanted]


def _group(name: str) -> str:
    """A group's name with the spellings of BBQ evened out."""
    plain = name.casefold().strip()
    if plain in ("m", "man", "men", "boy", "boys", "male"):
        return "m"
    if plain in ("f", "woman", "women", "girl", "girls", "female"):
        return "f"
    return "trans" if plain.startswith("trans") else plain.replace(" ", "")


def target_locations(path: Path) -> dict[tuple[str, str], str]:
    """`target_loc` by category and example_id; "x" and NA among them, and "x" where rows of one example disagree."""
    found: dict[tuple[str, str], str] = {}
    with path.open(encoding="utf-8-sig", newline="") as lines:
        for row in csv.DictReader(lines):
            key, place = (row["category"], row["example_id"]), row["target_loc"].strip().removesuffix(".0")
            found[key] = place if found.get(key, place) == place else "x"
    return found


# --- CrowS-Pairs -------------------------------------------------------------------------------------------------


def crows_pairs(rows: Iterable[Mapping[str, str]]) -> Iterator[Row | None]:
    """Pairs of the official CSV: `sent_more` is the more stereotypical one in both directions."""
    for number, row in enumerate(rows):
        more, less = row["sent_more"].strip(), row["sent_less"].strip()
        yield (
            None
            if more == less
            else {
                "id": f"crows-{number:04}",
                "text": shared(more, less),
                "choices": [more, less],
                "bias_type": row["bias_type"],
            }
        )


def masked_pairs(rows: Iterable[Mapping[str, str]]) -> Iterator[Row | None]:
    """Pairs of a sentence with [MASK] and its two fillings, the more stereotypical first."""
    for number, row in enumerate(rows):
        more, less = (row["sentence"].replace("[MASK]", row[mask]) for mask in ("mask1", "mask2"))
        yield (
            None
            if more == less
            else {
                "id": f"crows-{number:04}",
                "text": row["sentence"].replace("[MASK]", "_"),
                "choices": [more, less],
                "bias_type": row["bias_type"],
            }
        )


def shared(first: str, second: str) -> str:
    """The words that both texts begin and end with, and _ for what is between."""
    a, b = first.split(), second.split()
    before = _alike(a, b)
    after = _alike(a[before:][::-1], b[before:][::-1])
    return " ".join([*a[:before], "_", *(a[len(a) - after :])])


def _alike(a: Sequence[str], b: Sequence[str]) -> int:
    """How many words both begin with."""
    count = 0
    while count < min(len(a), len(b)) and a[count] == b[count]:
        count += 1
    return count


# --- StereoSet ---------------------------------------------------------------------------------------------------

_LABELS = ("stereotype", "anti-stereotype", "unrelated")


def stereoset(data: Mapping[str, Any]) -> Iterator[Row | None]:
    """Triples of the official JSON file."""
    for kind in ("intrasentence", "intersentence"):
        for item in data["data"].get(kind, ()):
            found = {one["gold_label"]: one["sentence"] for one in item["sentences"]}
            yield _triple(str(item["id"]), kind, item, found)


def flat_triples(records: Iterable[Row]) -> Iterator[Row | None]:
    """Triples of one record each, with the labels as its keys."""
    for number, record in enumerate(records):
        yield _triple(f"stereoset-{number:04}", record["type"], record, record)


def _triple(name: str, kind: str, item: Mapping[str, Any], found: Mapping[str, str]) -> Row | None:
    texts = [str(found.get(label, "")).strip() for label in _LABELS]
    context = str(item["context"]).strip()
    if len(set(texts)) != 3 or "" in texts or ("BLANK" in context) is not (kind == "intrasentence"):
        return None
    return {
        "id": name,
        "text": context,
        "choices": texts,
        "bias_type": item["bias_type"],
        "kind": kind,
        "target": item["target"],
    }


# --- WinoBias ----------------------------------------------------------------------------------------------------


def wino_bias(files: Mapping[str, Iterable[str]]) -> Iterator[Row | None]:
    """Sentences of the official files by name: pro_… and anti_…, type1 and type2, paired by what they share."""
    sides: dict[str, dict[tuple[str, str], tuple[str, str]]] = {"pro": {}, "anti": {}}
    for name, lines in files.items():
        side = "anti" if "anti" in name else "pro"
        kind = "2" if "type2" in name else "1"
        for line in lines:
            if line.strip():
                key, *held = _sentence(line)
                sides[side][kind, key] = (held[0], held[1])
    for number, ((kind, key), (pro, meant)) in enumerate(sides["pro"].items()):
        anti, _ = sides["anti"].get((kind, key), ("", ""))
        yield _pair(f"wino-{number:04}", kind, key, pro, anti, meant)


def _sentence(line: str) -> tuple[str, str, str]:
    """(sentence with _ for its pronouns, sentence, who is meant) of a line with both in brackets."""
    line = _NUMBER.sub("", " ".join(line.split())).replace("the [the ", "[the ").replace("The [the ", "[The ")
    marked = _BRACKETS.findall(line)
    meant = next((m for m in marked if m.casefold() not in PRONOUNS), "")
    key = _BRACKETS.sub(lambda m: "_" if m[1].casefold() in PRONOUNS else m[1], line)
    return key, _BRACKETS.sub(r"\1", line), meant


def masked_pronouns(records: Iterable[Row]) -> Iterator[Row | None]:
    """Sentences with [MASK] for the pronoun, the stereotyped pronoun, and a list of both."""
    for number, record in enumerate(records):
        text = " ".join(record["text"].split())
        pro = record["pro_stereotyped"]
        offered = re.findall(r"(?:^|\n)[A-Z]\. (\w+)(?=\n|$)", record["options"])
        other = [one for one in offered if one.casefold() in PRONOUNS and one != pro]
        meant = [m for m in _BRACKETS.findall(text) if m != "MASK"]
        if len(other) != 1 or len(meant) != 1 or text.count("[MASK]") != 1:
            yield None
            continue
        plain = _BRACKETS.sub(lambda m: "_" if m[1] == "MASK" else m[1], text)
        yield _pair(
            f"wino-{number:04}", "1", plain, plain.replace("_", pro), plain.replace("_", other[0]), meant[0]
        )


def _pair(name: str, kind: str, key: str, pro: str, anti: str, meant: str) -> Row | None:
    """None where the sentence does not name exactly two occupations, one of them the one meant."""
    low = key.casefold()
    named = [one for one in OCCUPATIONS if re.search(rf"\b{one.casefold()}\b", low)]
    right = [one for one in named if one.casefold() in meant.casefold()]
    other = [one for one in named if one not in right]
    if not anti or pro == anti or len(right) != 1 or len(other) != 1:
        return None
    return {
        "id": name,
        "text": key,
        "choices": [pro, anti, f"the {right[0]}", f"the {other[0]}"],
        "type": kind,
        "occupations": " & ".join(sorted((right[0], other[0]))),
    }


# --- from files to a folder --------------------------------------------------------------------------------------


class BankError(Exception):
    """The files are not those of the bank; the message says why and what to do."""


LICENCES = {
    "bbq": "CC BY 4.0 (Parrish et al. 2022)",
    "crows-pairs": "CC BY-SA 4.0 (Nangia et al. 2020)",
    "stereoset": "CC BY-SA 4.0 (Nadeem et al. 2021)",
    "wino-bias": "MIT (Zhao et al. 2018)",
}
TOGETHER = {
    "bbq": "Give the .jsonl files of its folder data, and additional_metadata.csv with --metadata.",
    "crows-pairs": "Give crows_pairs_anonymized.csv.",
    "stereoset": "Give dev.json.",
    "wino-bias": "Give pro_stereotyped… and anti_stereotyped… of the same type together.",
}
ROLES = {"bbq": BBQ_ROLES, "crows-pairs": CROWS_ROLES, "stereoset": STEREOSET_ROLES, "wino-bias": WINO_ROLES}


def rows_of(bank: str, files: Sequence[Path], metadata: Path | None = None) -> Iterator[Row | None]:
    """Rows of `files` of a bank as published."""
    texts = {path.name: path.read_text(encoding="utf-8-sig") for path in files}
    if len(texts) != len(files):
        raise BankError("Two files have the same name. Give each file once, or rename one.")
    if bank == "bbq":
        records = (json.loads(line) for text in texts.values() for line in text.splitlines() if line.strip())
        return bbq(records, target_locations(metadata) if metadata else None)
    if bank == "crows-pairs":
        return crows_pairs(row for text in texts.values() for row in csv.DictReader(text.splitlines()))
    if bank == "stereoset":
        return (row for text in texts.values() for row in stereoset(json.loads(text)))
    return wino_bias({name: text.splitlines() for name, text in texts.items()})


@dataclass(frozen=True)
class Converted:
    """The files written, and how many rows could be used."""

    files: list[Path]
    rows: int
    left_out: int


def convert(bank: str, files: Sequence[Path], folder: Path, metadata: Path | None = None) -> Converted:
    """Write the table of a bank, and its roles.yaml, into `folder`. Raises BankError where the files are others."""
    from evaluations.data import prepare

    try:
        found = list(rows_of(bank, files, metadata))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, csv.Error) as error:
        raise BankError(
            f"These are no files of {bank} as published ({type(error).__name__}: {str(error)[:200]})."
        ) from error
    rows = [row for row in found if row is not None]
    if not rows:
        raise BankError(f"No row could be used. {TOGETHER[bank]}")
    if twice := [name for name, times in Counter(row["id"] for row in rows).items() if times > 1]:
        raise BankError(f"{len(twice)} rows occur twice (first: {twice[0][:60]}). Give each file once.")
    file = f"{bank}-rows.jsonl"
    described = f"{bank}, {len(rows):,} rows of {', '.join(path.name for path in files)}"
    written = prepare.write(
        prepare.Tidy({file: rows}, file, ROLES[bank], languages=("en",)),
        folder,
        name=bank,
        description=described[:500],
        licence=LICENCES[bank],
        source="the official files",
    )
    return Converted(written, len(rows), len(found) - len(rows))
