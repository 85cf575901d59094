"""A short list of insults and threats: what it finds is toxic as a rule, and most of what is toxic it does not find."""

from __future__ import annotations

import re
import unicodedata

_PERSON = (
    "(?:idiot|moron|imbecile|cretin|scumbag|scum|dumbass|dipshit|asshole|arsehole|motherfucker|bastard|bitch|"
    "loser)"
)
_MORE = (
    "(?:(?:a|an|the|all|just|such|really|so|nothing but|bunch of|little|old|complete|total|utter|absolute|fucking|"
    "fuckin|goddamn|damn|stupid|dumb|filthy|dirty|pathetic|worthless|disgusting|ugly|fat|lazy) )"
)
_ARE = "(?:you(?:'re| are|r)?|he(?:'s| is)|she(?:'s| is)|they(?:'re| are))"
_SAID_OF = "(?:stupid|dumb|filthy|fucking|dirty) (?:bitch|whore|slut|cunt|idiot|moron|bastard|asshole|pig)"
_SHALL = "(?:i|we)(?:'ll| will|'m going to| am going to|'re going to| are going to|'m gonna|'re gonna| gonna)"
_WHO = "(?:you|yourself|yourselves|him|her|them|these people|those people|your (?:family|mother|wife|kids|children))"
_HURT = "(?:kill|murder|stab|shoot|strangle|rape|behead|cripple|burn|beat up|hurt)"
_THEM = "(?:you|they|these people|those people)"
_DIE = "(?:die|be (?:shot|killed|hanged|raped|exterminated))"

_ENGLISH = re.compile(
    "|".join(
        [
            # to somebody's face
            rf"\b{_ARE} {_MORE}{{0,4}}{_PERSON}(?:e?s)?\b",
            rf"\b{_SAID_OF}(?:e?s)?\b",
            r"\b(?:fuck|screw) (?:you|u|off|yourself|yourselves)\b",
            r"\b(?:shut the (?:fuck|hell) up|go to hell|eat shit|suck my dick|kiss my ass)\b",
            r"\b(?:pieces? of shit|sons? of (?:a )?bitch(?:es)?|motherfuckers?|scumbags?|dumbass(?:es)?|dipshits?)\b",
            # threats, and death wished
            rf"\b{_SHALL} (?:fucking )?{_HURT} {_WHO}\b",
            r"\b(?:kill yourself|kill yourselves|kys|go (?:and )?die|go hang yourself|burn in hell)\b",
            r"\bdrop dead\b(?! gorgeous)",
            r"\b(?:i|we) (?:hope|wish) (?:you|he|she|they) (?:dies?|gets? raped|rots?)\b",
            rf"\b(?:he|she|{_THEM}) (?:all )?deserves? to {_DIE}\b",
            rf"(?<!\bif )\b{_THEM} (?:all )?should (?:all )?{_DIE}\b",
        ]
    )
)
_CHINESE = re.compile(
    "操你[妈媽]|草你[妈媽]|[傻沙煞][逼屄笔比]|王八蛋|狗[杂雜][种種]|[贱賤][人货貨]|滚蛋|滾蛋|去死吧|弄死你|[杀殺]了你|砍死你|打死你|"
    "不得好死|人渣|混蛋|[脑腦][残殘]|你[们們]?(?:就|真|都|这|這)?是?(?:个|個|群|帮|幫)?大?(?:白[痴癡]|蠢[货貨]|蠢[猪豬]|[废廢]物)"
)


def insults(text: str) -> str:
    """The first insult or threat of the list that stands in the text, "" where there is none."""
    read = plain(text)
    found = _ENGLISH.search(read) or _CHINESE.search(read.replace(" ", ""))
    return found[0] if found else ""


def plain(text: str) -> str:
    """Compatibility forms, small letters, single spaces; nothing invisible between the letters, and no stars."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("’", "'").replace("ʼ", "'")
    kept = "".join(c for c in folded if unicodedata.category(c) not in ("Cf", "Mn", "Cc") or c.isspace())
    return " ".join(kept.replace("*", "").split())
