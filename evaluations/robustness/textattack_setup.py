"""Makes TextAttack importable offline: a stand-in for flair, no downloads, stopwords from our resources.

TextAttack 0.3.11 imports flair for part-of-speech constraints that none of our recipes uses, and flair
does not accept our transformers. The stand-in has the names that TextAttack's modules touch when they
are imported; using any of them fails. Drop it the day TextAttack drops flair.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
import tempfile
import types
from pathlib import Path

from evaluations.robustness.lexical import demand

STOPWORDS = Path("nltk_data/corpora/stopwords/english")  # below the resources folder
STAND_IN = ("flair", "flair.data", "flair.models")
_jieba_cache: list[tempfile.TemporaryDirectory[str]] = []  # removed when the process ends
_prepared: list[Path] = []  # the resources that recipes read, as `prepare` was last given them


def prepare(resources: Path) -> None:
    """Imports TextAttack and points NLTK at `resources`. Raises `resource_missing` without the stopwords."""
    demand("nltk-stopwords", resources)  # the attack skips them, so its numbers depend on this very list
    import nltk

    folder = str((resources / "nltk_data").resolve())
    if folder not in nltk.data.path:  # before the import of TextAttack, which reads stopwords
        nltk.data.path.insert(0, folder)
    if "textattack" not in sys.modules:
        _register_flair_stand_in()
        _import_textattack()
        _keep_jieba_to_itself()
    _prepared[:] = [resources]


def resources() -> Path:
    """The lexical resources that `prepare` was given."""
    (folder,) = _prepared
    return folder


class _Unavailable:
    """A name of flair that may be imported and subclassed, never used."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        raise ImportError("flair is not installed; constraints that need its taggers are not available")

    @classmethod
    def load(cls, name: str) -> _Unavailable:
        return cls(name)


def _register_flair_stand_in() -> None:
    if importlib.util.find_spec("flair") is not None:
        return
    root, data, models = (types.ModuleType(name) for name in STAND_IN)
    data.Sentence = _Unavailable  # type: ignore[attr-defined]  # a module made here has no declared names
    data.Tokenizer = type("Tokenizer", (), {})  # type: ignore[attr-defined]  # TextAttack subclasses it on import
    models.SequenceTagger = _Unavailable  # type: ignore[attr-defined]  # as above
    root.data, root.models = data, models  # type: ignore[attr-defined]  # as above
    sys.modules.update(zip(STAND_IN, (root, data, models), strict=True))


def _import_textattack() -> None:
    """TextAttack's import downloads NLTK data unless its marker file exists, changes the environment, and
    silences every logger there is (a dictConfig that disables existing loggers)."""
    before = dict(os.environ)
    speaking = [
        one
        for one in logging.Logger.manager.loggerDict.values()
        if isinstance(one, logging.Logger) and not one.disabled
    ]
    with tempfile.TemporaryDirectory() as cache:
        (Path(cache) / "post_install_check_3").touch()
        os.environ["TA_CACHE_DIR"] = cache  # also sets HF_HOME and XDG_CACHE_HOME: hence the restoring below
        try:
            import textattack  # noqa: F401  # imported for its effect on sys.modules
        finally:
            os.environ.clear()
            os.environ.update(before)
            for logger in speaking:
                logger.disabled = False
    logging.getLogger("textattack").setLevel(logging.ERROR)
    logging.getLogger("textattack.shared.utils.install").setLevel(logging.ERROR)


def _keep_jieba_to_itself() -> None:
    """TextAttack splits text with Chinese characters by jieba, which would load a cache of marshalled objects from
    a well-known name in the folder of temporary files, where anyone may have put it."""
    import jieba  # type: ignore[import-untyped]  # it has no types

    _jieba_cache[:] = [tempfile.TemporaryDirectory()]
    jieba.dt.tmp_dir = _jieba_cache[0].name
    jieba.setLogLevel(logging.ERROR)
