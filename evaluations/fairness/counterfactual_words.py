"""Words that counterfactual swaps look for and put in: names, pronouns, terms of identity. English, and 他 and 她."""

from __future__ import annotations

from dataclasses import dataclass

from evaluations.robustness.behaviours_words import MEN, WOMEN

# --- first names ---------------------------------------------------------------------------------------

# Bertrand & Mullainathan 2004, American Economic Review 94(4):991, Table 8: the names of their CVs, which birth
# records of Massachusetts, 1974 to 1979, have mostly for one group and which people who were asked took for it. After
# them names from the most distinctive ones of births in California (Fryer & Levitt 2004, Quarterly Journal of
# Economics 119:767; as listed in Levitt & Dubner 2005, Freakonomics, ch. 6): of the first list alone hardly two names
# of both groups have as many tokens. Without those that are words, places, letters or family names too, or given to
# both genders (Ebony, Kenya, Jay, Deja, Diamond, Raven, Hunter, Logan, Marquis, Dominique). They say what a name is
# taken for in the US, not what anybody is.
WHITE_WOMEN = (
    "Allison", "Anne", "Carrie", "Emily", "Jill", "Kristen", "Laurie", "Meredith", "Sarah",
    "Caitlin", "Carly", "Jenna", "Kaitlin", "Kaitlyn", "Katelyn", "Kathryn", "Molly",
)  # fmt: skip
BLACK_WOMEN = (
    "Aisha", "Keisha", "Lakisha", "Latonya", "Latoya", "Tamika", "Tanisha",
    "Aaliyah", "Aliyah", "Imani", "Jada", "Kiara", "Nia", "Shanice",
)  # fmt: skip
WHITE_MEN = (
    "Brad", "Brendan", "Brett", "Geoffrey", "Greg", "Matthew", "Neil", "Todd",
    "Bradley", "Cody", "Colin", "Connor", "Dustin", "Dylan", "Jake", "Lucas", "Luke", "Wyatt",
)  # fmt: skip
BLACK_MEN = (
    "Darnell", "Hakim", "Jamal", "Jermaine", "Kareem", "Leroy", "Rasheed", "Tremayne", "Tyrone",
    "Darius", "DeAndre", "Demetrius", "DeShawn", "Jalen", "Malik", "Terrance", "Terrell", "Trevon",
)  # fmt: skip

GENDERS = {"women": WOMEN, "men": MEN}
# Swapped only for a name of the same gender: (group, names).
ORIGINS = (
    {"white-associated": WHITE_WOMEN, "Black-associated": BLACK_WOMEN},
    {"white-associated": WHITE_MEN, "Black-associated": BLACK_MEN},
)

# --- words that say a gender without being a pronoun ---------------------------------------------------

# A text with one of them, or with a title, is left alone: "she is a man" would be another text, not a counterfactual.
GENDERED = frozenset(
    "man men woman women boy boys girl girls male males female females guy guys lady ladies gentleman gentlemen lad "  # noqa: SIM905  # words read better so
    "lads mother mothers father fathers mom moms mum mums mommy mummy dad dads daddy husband husbands wife wives "
    "brother brothers sister sisters son sons daughter daughters uncle uncles aunt aunts auntie nephew nephews niece "
    "nieces grandmother grandmothers grandfather grandfathers grandma grandpa granny stepmother stepfather "
    "boyfriend boyfriends girlfriend girlfriends fiancé fiancée fiance fiancee bride groom bridegroom widow widower "
    "king kings queen queens prince princes princess princesses duke duchess actor actors actress actresses waiter "
    "waiters waitress waitresses hostess stewardess heroine heroines mr mrs ms miss mister sir madam ma'am lord dame "
    "monk nun priestess goddess pregnant pregnancy mistress bachelor spinster chairman chairwoman businessman "
    "businesswoman policeman policewoman fireman salesman saleswoman spokesman spokeswoman manhood womanhood "
    "masculine feminine beard menopause prostate uterus".split()
)
CHINESE_GENDERED = (*"男女妈爸父母妻夫儿哥弟姐妹爷奶叔伯姑姨舅婶婆媳娘嫂姥", "先生", "太太", "小姐")
CHINESE_OTHER = (
    "其他",
    "他人",
    "他国",
    "他乡",
    "他杀",
    "他日",
    "吉他",
    "维他",
    "排他",
    "利他",
    "无他",
    "他妈",
)

# --- terms of identity ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Term:
    """One group's word. `proper`: written with a capital. `noun`: also said of a person alone, as in "a German"."""

    group: str
    word: str
    plural: str = ""
    proper: bool = True
    noun: bool = False
    article: str = "a"


def _adjective(word: str, article: str = "a") -> Term:
    return Term(word, word, proper=False, article=article)


# Kinds of term. A term is swapped for one of the same kind in the same place: a plural, an adjective, a noun.
TERMS: dict[str, tuple[Term, ...]] = {
    "religion": (
        Term("Christian", "Christian", "Christians", noun=True),
        Term("Muslim", "Muslim", "Muslims", noun=True),
        Term("Jewish", "Jewish", "Jews"),
        Term("Hindu", "Hindu", "Hindus", noun=True),
        Term("Buddhist", "Buddhist", "Buddhists", noun=True),
    ),
    "nationality": (
        Term("American", "American", "Americans", noun=True, article="an"),
        Term("German", "German", "Germans", noun=True),
        Term("Mexican", "Mexican", "Mexicans", noun=True),
        Term("Nigerian", "Nigerian", "Nigerians", noun=True),
        Term("Russian", "Russian", "Russians", noun=True),
        Term("Indian", "Indian", "Indians", noun=True, article="an"),
        Term("Canadian", "Canadian", "Canadians", noun=True),
        Term("Brazilian", "Brazilian", "Brazilians", noun=True),
        Term("Chinese", "Chinese"),
        Term("French", "French"),
    ),
    "orientation": (_adjective("gay"), _adjective("bisexual"), _adjective("heterosexual")),
    "disability": (
        _adjective("deaf"),
        _adjective("blind"),
        _adjective("disabled"),
        _adjective("autistic", "an"),
        _adjective("non-disabled"),
    ),
    "age": (
        _adjective("young"),
        _adjective("old", "an"),
        _adjective("elderly", "an"),
        _adjective("middle-aged"),
    ),
    "race": (
        _adjective("black"),
        _adjective("white"),
        Term("Asian", "Asian", article="an"),
        Term("Hispanic", "Hispanic"),
    ),
}

# An adjective is one of a person before one of these: "blind trust" and "old friend" are no groups of people.
PEOPLE = frozenset(
    "person people man men woman women boy boys girl girls child children kid kids student students teacher teachers "  # noqa: SIM905  # words read better so
    "worker workers employee employees applicant applicants candidate candidates customer customers patient patients "
    "doctor doctors nurse nurses lawyer lawyers engineer engineers driver drivers neighbour neighbours neighbor "
    "neighbors colleague colleagues couple couples family families parent parents community communities citizen "
    "citizens immigrant immigrants refugee refugees tenant tenants resident residents adult adults teenager teenagers "
    "youth guy guys lady ladies gentleman client clients user users visitor visitors tourist tourists voter voters "
    "mother father mothers fathers husband wife".split()
)

# --- pronouns ------------------------------------------------------------------------------------------

# How each form reads for each of the three. subject: he; object: him; determiner: his house; alone: it is his.
PRONOUNS = {
    "subject": {"he": "he", "she": "she", "they": "they"},
    "object": {"he": "him", "she": "her", "they": "them"},
    "determiner": {"he": "his", "she": "her", "they": "their"},
    "alone": {"he": "his", "she": "hers", "they": "theirs"},
    "reflexive": {"he": "himself", "she": "herself"},
}
CHINESE = {"he": "他", "she": "她"}
