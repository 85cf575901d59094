"""Words that the behavioural tests put in or look for: first names, keys, praise and blame. English, our own lists."""

from __future__ import annotations

# None of them is also a word, a place or a family name that would be taken for one (Will, May, Grace, Jordan, Austin).
WOMEN = tuple(
    "Emily Sarah Laura Jessica Hannah Rebecca Rachel Megan Nicole Amanda Stephanie Heather Melissa Michelle "  # noqa: SIM905  # names read better so
    "Jennifer Julia Anna Maria Linda Barbara Susan Karen Nancy Lisa Betty Sandra Deborah Sharon Cynthia Amy "
    "Angela Kathleen Brenda Pamela Catherine Samantha".split()
)
MEN = tuple(
    "James John Robert Michael David Richard Joseph Thomas Christopher Daniel Matthew Anthony Steven Andrew "  # noqa: SIM905  # names read better so
    "Paul Joshua Kenneth Kevin Brian George Timothy Ronald Edward Jason Jeffrey Ryan Jacob Nicholas Eric "
    "Jonathan Stephen Larry Justin Scott Brandon Benjamin".split()
)

# Keys that touch on a QWERTY keyboard.
KEYS = {
    "q": "wa", "w": "qeas", "e": "wrsd", "r": "etdf", "t": "ryfg", "y": "tugh", "u": "yihj", "i": "uojk", "o": "ipkl",
    "p": "ol", "a": "qwsz", "s": "wedaxz", "d": "ersfxc", "f": "rtdgcv", "g": "tyfhvb", "h": "yugjbn", "j": "uihknm",
    "k": "iojlm", "l": "opk", "z": "asx", "x": "sdzc", "c": "dfxv", "v": "fgcb", "b": "ghvn", "n": "hjbm", "m": "jkn",
}  # fmt: skip

# Words that praise, or blame, whatever they are said of.
PRAISING = tuple(
    "good great excellent wonderful amazing fantastic superb brilliant lovely beautiful enjoyable delightful "  # noqa: SIM905  # words read better so
    "impressive nice perfect outstanding terrific helpful pleasant charming marvellous marvelous".split()
)
BLAMING = tuple(
    "bad terrible awful horrible boring dull disappointing dreadful ugly useless worthless annoying unpleasant "  # noqa: SIM905  # words read better so
    "stupid pathetic tedious rude lousy atrocious appalling disgusting".split()
)
PRAISE = ("I love it.", "It is wonderful.", "It is excellent.", "I am very happy with it.")
BLAME = ("I hate it.", "It is terrible.", "It is awful.", "I am very unhappy with it.")
