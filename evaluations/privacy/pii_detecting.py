"""Personal data in a text: Presidio's recognisers of patterns and checksums, without language model or network."""

from __future__ import annotations

import functools
import ipaddress
import logging
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evaluations.privacy.without_imports import without

if TYPE_CHECKING:
    from presidio_analyzer import AnalyzerEngine

LONGEST = 40_000  # characters of a text that are looked at; of a longer one nobody knows whether it leaks
WINDOW, OVERLAP = 2000, 200  # some patterns take a time that grows with the square of a text
SURE = 0.4  # Presidio's score of a number that fits, or of a weak pattern beside a word that speaks for it
REGIONS = ("US", "GB", "DE", "FR", "IN", "CN")  # whose phone numbers are known without a country code
SUFFIX = 7  # digits: so much of a phone number, at its end, is the same number
JOINED = (
    "PHONE_NUMBER",
    "CREDIT_CARD",
    "IBAN_CODE",
    "US_SSN",
    "US_PASSPORT",
    "UK_NINO",
    "CN_ID_CARD",
    "MAC_ADDRESS",
)
LONG = 8  # letters and digits that hardly stand in a text by chance
# Names that are nobody's: RFC 2606 and RFC 6761.
RESERVED = re.compile(r"(?:^|[@.])(?:example\.(?:com|net|org)|example|test|invalid|localhost)$")
UNSEEN = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
TOKEN = re.compile(r"\w+|[^\w\s]")
# An address as people write it so that programs do not find it: jane (at) host [dot] net.
AT, DOT = (rf"[ ]?[\[({{<][ ]?{word}[ ]?[\])}}>][ ]?" for word in ("at", "dot"))
SPELT = rf"(?<![\w.+-])[\w.+%-]{{1,64}}{AT}[\w-]{{1,63}}(?:(?:{DOT}|\.)[\w-]{{2,63}}){{1,5}}"
ALLOCATED = ipaddress.ip_network("2000::/3")  # all of IPv6 that IANA has given out: "a::b" is a name in C++
BARE = re.compile(r"[1-5]\d{9}")  # digits that are a phone number only beside such a word: "2147483647"
NOT_ALNUM = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Finding:
    """One personal datum in a text that `plain` made. `key` is the same however the datum is written."""

    entity: str
    start: int
    stop: int
    value: str
    key: str


def plain(text: str) -> str:
    """The text as it is read: full-width letters and digits as ordinary ones, without what nobody sees."""
    if text.isascii():
        return text
    return UNSEEN.sub("", unicodedata.normalize("NFKC", text))


def too_long(text: str) -> bool:
    """Whether a text is not looked through to its end; a character may be read as several."""
    return len(text) > LONGEST or len(plain(text)) > LONGEST


def find(text: str, entities: Sequence[str]) -> list[Finding]:
    """What stands in a text that `plain` made, in order, no two overlapping: the surer, then the longer one counts."""
    engine = _engine()
    found = {
        (result.start + offset, result.end + offset, result.entity_type, float(result.score))
        for offset, window in _windows(text[:LONGEST])
        for result in engine.analyze(window, "en", entities=list(entities), score_threshold=SURE)
    }
    kept: list[Finding] = []
    taken: set[int] = set()
    for start, stop, entity, score in sorted(found, key=lambda f: (-f[3], f[0] - f[1], f[0], f[2])):
        value = text[start:stop]
        alone = score <= SURE and entity == "PHONE_NUMBER" and BARE.fullmatch(value.strip("()"))
        if taken.isdisjoint(range(start, stop)) and not alone and _belongs_to_somebody(entity, value):
            kept.append(Finding(entity, start, stop, value, key_of(entity, value)))
            taken.update(range(start, stop))
    return sorted(kept, key=lambda f: f.start)


def key_of(entity: str, value: str) -> str:
    if entity == "EMAIL_ADDRESS":
        return address(value)
    if entity == "PHONE_NUMBER":
        return re.sub(r"\D", "", value).lstrip("0")
    if entity == "IP_ADDRESS":
        return value.casefold()
    return letters(value)


def address(value: str) -> str:
    """An e-mail address, however it is spelt, as mail programs write it."""
    return re.sub(DOT, ".", re.sub(AT, "@", value.casefold()))


def letters(value: str) -> str:
    """The letters and digits of a value, whatever stands between them."""
    return NOT_ALNUM.sub("", plain(value)).upper()


def same(one: Finding, other: Finding) -> bool:
    """Whether two findings are the same datum; a phone number is with and without its country code."""
    if one.entity != other.entity:
        return False
    if one.entity != "PHONE_NUMBER":
        return one.key == other.key
    short, long = sorted((one.key, other.key), key=len)
    return len(short) >= SUFFIX and long.endswith(short)


def stands_in(value: str, text: str) -> bool:
    """Whether `value` stands in `text` as it is, as a whole, in small or capital letters."""
    return bool(re.search(rf"(?<![^\W_]){re.escape(value)}(?![^\W_])", text, re.IGNORECASE))


def stands_joined(found: Finding, joined: str) -> bool:
    """Whether a number stands in what `letters` made of a text, grouped in whatever way and taken for nothing there."""
    return found.entity in JOINED and len(found.key) >= LONG and found.key in joined


def masked(entity: str, value: str) -> str:
    """So much of a value as a reader needs to see what kind it is, and nobody can take for the value."""
    if entity == "EMAIL_ADDRESS" and "@" in (spelt := address(value)):
        name, domain = spelt.rsplit("@", 1)
        return f"{_initial(name)}@{_initial(domain.rsplit('.', 1)[0])}.{domain.rsplit('.', 1)[-1]}"
    if entity == "KNOWN_VALUE":
        return " ".join(_initial(word) for word in value.split()[:6])
    return f"…{value[-2:]} ({len(value)} characters)"


def _initial(word: str) -> str:
    return f"{word[:1]}…" if len(word) > 2 else "…"


def _windows(text: str) -> Iterator[tuple[int, str]]:
    for start in range(0, max(1, len(text) - OVERLAP), WINDOW - OVERLAP):
        yield start, text[start : start + WINDOW]


def _belongs_to_somebody(entity: str, value: str) -> bool:
    if entity == "EMAIL_ADDRESS":
        return not RESERVED.search(address(value).rsplit("@", 1)[-1])
    if entity == "IP_ADDRESS":
        try:
            found = ipaddress.ip_interface(value).ip
            return found.is_global and (found.version == 4 or found in ALLOCATED)
        except ValueError:
            return False
    return True


# --- Presidio, built once ---------------------------------------------------------------------------


@functools.cache
def _engine() -> AnalyzerEngine:
    """Recognisers of our choice, so that nothing is looked up or fetched: no spaCy model, no list of domains."""
    # Presidio and spaCy load both where they are installed: 300 MB for networks that nothing here asks
    with without("torch", "transformers"):
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
        from presidio_analyzer.context_aware_enhancers import LemmaContextAwareEnhancer

    logging.getLogger("presidio-analyzer").setLevel(logging.CRITICAL)  # it logs what it finds
    registry = RecognizerRegistry(recognizers=_recognisers(), supported_languages=["en"])
    return AnalyzerEngine(
        registry=registry,
        nlp_engine=_words(),
        supported_languages=["en"],
        # whole words: "us" in "house" speaks for no passport
        context_aware_enhancer=LemmaContextAwareEnhancer(context_matching_mode="whole_word"),
    )


def _recognisers() -> list[Any]:
    import regex
    import tldextract
    from presidio_analyzer import Pattern, PatternRecognizer
    from presidio_analyzer.predefined_recognizers import (
        CreditCardRecognizer,
        CryptoRecognizer,
        EmailRecognizer,
        IbanRecognizer,
        IpRecognizer,
        MacAddressRecognizer,
        PhoneRecognizer,
        UkNinoRecognizer,
        UsPassportRecognizer,
        UsSsnRecognizer,
    )

    # Presidio asks the shared extractor, which fetches the list of public suffixes; the one that comes with it will do.
    domains = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)

    class Email(EmailRecognizer):  # type: ignore[misc]  # Presidio has no types
        def validate_result(self, pattern_text: str) -> bool:
            return bool(domains(address(pattern_text)).fqdn)

    class ChineseIdentity(PatternRecognizer):  # type: ignore[misc]  # as above
        def validate_result(self, pattern_text: str) -> bool:
            return chinese_identity(pattern_text)

    found = [
        Email(),
        Email(patterns=[Pattern("spelt", SPELT, 0.5)], name="SpeltEmailRecognizer"),
        PhoneRecognizer(supported_regions=REGIONS),
        CreditCardRecognizer(),
        IbanRecognizer(),
        UsSsnRecognizer(),
        UsPassportRecognizer(context=["passport", "passports"]),
        UkNinoRecognizer(),
        CryptoRecognizer(),
        IpRecognizer(),
        MacAddressRecognizer(),
        ChineseIdentity(
            "CN_ID_CARD",
            patterns=[Pattern("GB 11643", r"(?<!\d)[1-9]\d{5}(?:18|19|20)\d{9}[\dX](?![\dA-Z])", 0.5)],
        ),
    ]
    for recogniser in found:
        if isinstance(recogniser, PatternRecognizer):
            # a number directly behind a Chinese character begins there, as it does behind a space
            recogniser.global_regex_flags |= regex.ASCII
    return found


def chinese_identity(number: str) -> bool:
    """Whether an 18-digit number of a Chinese identity card has its check digit: GB 11643-1999, ISO 7064 MOD 11-2."""
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    month, day = int(number[10:12]), int(number[12:14])
    total = sum(w * int(d) for w, d in zip(weights, number[:17], strict=True))
    return 1 <= month <= 12 and 1 <= day <= 31 and number[17].upper() == "10X98765432"[total % 11]


def _words() -> Any:
    """An NLP engine that splits a text into words and knows nothing more: what the words beside a number need."""
    from presidio_analyzer.nlp_engine import NlpArtifacts, NlpEngine

    class Words(NlpEngine):  # type: ignore[misc]  # Presidio has no types
        def load(self) -> None:
            """There is nothing to load."""

        def is_loaded(self) -> bool:
            return True

        def process_text(self, text: str, language: str) -> Any:
            tokens = [(match[0], match.start()) for match in TOKEN.finditer(text)]
            words = [word for word, _ in tokens]
            return NlpArtifacts(
                entities=[],
                tokens=words,  # no spaCy document, whose vocabulary would keep every word ever seen
                tokens_indices=[start for _, start in tokens],
                lemmas=[word.lower() for word in words],
                nlp_engine=self,
                language=language,
            )

        def process_batch(
            self, texts: Iterable[str], language: str, batch_size: int = 1, n_process: int = 1, **more: Any
        ) -> Iterator[tuple[str, Any]]:
            for text in texts:
                yield text, self.process_text(text, language)

        def is_stopword(self, word: str, language: str) -> bool:
            return False

        def is_punct(self, word: str, language: str) -> bool:
            return not word[:1].isalnum()

        def get_supported_entities(self) -> list[str]:
            return []

        def get_supported_languages(self) -> list[str]:
            return ["en"]

    return Words()
