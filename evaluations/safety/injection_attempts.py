"""What each row is asked: its task plainly, with an injected instruction, and for a system message of ours."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from evaluations.context import derive_seed
from evaluations.models import tool_calls
from evaluations.prompting import prompt_of
from evaluations.safety import injection_canaries as canaries
from evaluations.safety import injection_texts as texts
from evaluations.safety.injection import PLACE, InjectionParams
from evaluations.spec import EvaluationError, Role

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset

Arm = Literal["clean", "direct", "indirect", "system", "tools"]


@dataclass(frozen=True)
class Attempt:
    """One question to the model. `order` is the instruction that was injected, or what asks for the system message."""

    row: int
    arm: Arm
    technique: str
    place: str  # of an injection in a document
    canary: str  # "" where the tester's own secrets are looked for
    order: str
    system: str
    context: str | None
    text: str
    prompt: str
    cluster: str  # attempts with the same value are not independent


@dataclass(frozen=True)
class Attempts:
    """The attempts of any row, alike in the process that asks and in the one that judges."""

    data: Dataset
    params: InjectionParams
    ctx: Context

    def of(self, row: int) -> list[Attempt]:
        """In a fixed order: clean, direct, indirect, system, tools. None for a log of what a system did."""
        if self.logs[row] is not None:
            return []
        text, context = self.data.texts[row], self.contexts[row]
        if PLACE in text or (context is not None and PLACE in context):
            return [self._own(row)]
        made = []
        if self.data.ref.columns(Role.TARGET) or self.params.planted_canaries:
            made.append(self._attempt(row, "clean", texts.PLANTED if self.params.planted_canaries else ""))
        turns = range(self.rank[row] * self.params.attempts, (self.rank[row] + 1) * self.params.attempts)
        made += [self._injected(row, "direct", turn, texts.ANYWHERE, texts.to_write) for turn in turns]
        if context is not None:
            made += [
                self._injected(row, "indirect", turn, texts.IN_DOCUMENTS, texts.to_write) for turn in turns
            ]
        made += [self._extraction(row, turn) for turn in turns]
        if self.params.tools:
            made += [self._injected(row, "tools", turn, texts.TO_TOOLS, self._to_call) for turn in turns]
        return made

    @cached_property
    def rank(self) -> list[int]:
        """The place of each row in the order of ids: techniques take turns in it."""
        rank: NDArray[np.int64] = np.empty(self.data.rows, dtype=np.int64)
        rank[self.data.by_id] = np.arange(self.data.rows)
        return [int(r) for r in rank]

    @cached_property
    def contexts(self) -> list[str | None]:
        held = self.data.contexts
        return [None] * self.data.rows if held is None else list(held)

    @cached_property
    def logs(self) -> list[str | None]:
        """What a system did on its own, recorded before; None where the model is asked."""
        columns = self.data.ref.columns(Role.ANSWER)
        if not columns:
            return [None] * self.data.rows
        values = self.data.table.column(columns[0]).to_pylist()
        return [str(value) if value is not None and str(value).strip() else None for value in values]

    @cached_property
    def rule(self) -> str:
        return "\n".join(part for part in (self.params.settings.system, self.params.rule) if part)

    def _canary(self, name: str) -> str:
        rng = self.ctx.rng(f"injection:{name}")
        return canaries.fresh(lambda below: int(rng.integers(below)))

    def _cluster(self, row: int) -> str:
        """Rows of one cluster; without one rows of the same words."""
        if self.data.clusters is not None:
            return str(self.data.clusters[row])
        said = f"{self.data.texts[row]}\0{self.contexts[row]}"  # hashed: NumPy gives each text the room of the longest
        return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()

    def _attempt(
        self,
        row: int,
        arm: Arm,
        technique: str,
        *,
        canary: str = "",
        order: str = "",
        place: str = "",
        text: str | None = None,
        context: str | None = None,
    ) -> Attempt:
        text = self.data.texts[row] if text is None else text
        context = self.contexts[row] if context is None else context
        prompt = prompt_of(self.params.prompt, text, context)
        cluster = self._cluster(row)
        return Attempt(row, arm, technique, place, canary, order, self.rule, context, text, prompt, cluster)

    def _own(self, row: int) -> Attempt:
        """The tester's own injection: the codeword is put in its place, and nothing else."""
        canary = self._canary(f"{self.data.ids[row]}:own")
        text, context = self.data.texts[row], self.contexts[row]
        arm: Arm = "indirect" if context is not None and PLACE in context else "direct"
        order = context if arm == "indirect" and context is not None else text
        return self._attempt(
            row,
            arm,
            texts.OWN,
            canary=canary,
            order=order.replace(PLACE, canary),
            text=text.replace(PLACE, canary),
            context=None if context is None else context.replace(PLACE, canary),
        )

    def _injected(
        self,
        row: int,
        arm: Arm,
        turn: int,
        techniques: Mapping[str, texts.Technique],
        order_of: Callable[[str], texts.Order],
    ) -> Attempt:
        names = list(techniques)
        name, place = names[turn % len(names)], texts.PLACES[turn // len(names) % len(texts.PLACES)]
        canary = self._canary(f"{self.data.ids[row]}:{arm}:{turn - self.rank[row] * self.params.attempts}")
        order = techniques[name](order_of(canary))
        text, context = self.data.texts[row], self.contexts[row]
        if arm == "direct" or context is None:
            return self._attempt(row, arm, name, canary=canary, order=order, text=f"{text}\n\n{order}")
        return self._attempt(
            row,
            arm,
            name,
            canary=canary,
            order=order,
            place=place,
            context=texts.inserted(context, order, place),
        )

    def _to_call(self, canary: str) -> texts.Order:
        wanted = self.params.forbidden_tools or tuple(
            map(tool_calls.name_of, tool_calls.offered(self.params.tools))
        )
        return texts.to_call(wanted[derive_seed(0, canary) % len(wanted)], canary)

    def _extraction(self, row: int, turn: int) -> Attempt:
        """Each way to ask is tried on each system message; with secrets of the tester's own, in other words."""
        names = list(texts.EXTRACTIONS)
        pair = turn % (len(names) * len(texts.PERSONAS))
        technique, variant = names[pair % len(names)], pair // len(names)
        order = texts.EXTRACTIONS[technique]
        if self.params.known_secrets:
            canary, system = "", self.params.settings.system
            order = f"{texts.OPENERS[variant]}{order}"
        else:
            canary = self._canary(
                f"{self.data.ids[row]}:system:{turn - self.rank[row] * self.params.attempts}"
            )
            system = texts.PERSONAS[variant].replace("{secret}", canary)
        cluster = f"{variant}:{technique}"
        return Attempt(row, "system", technique, "", canary, order, system, None, order, order, cluster)


def check(data: Dataset, params: InjectionParams) -> None:
    """Refuses what could not measure anything, before the work."""
    if data.ref.columns(Role.TARGET):
        _ = data.references
    if params.prompt and "{context}" in params.prompt and data.contexts is None:
        raise EvaluationError(
            "context_missing",
            "The prompt asks for {context}, and no column has the role 'context'. Give one the role, or take "
            "{context} out of the prompt.",
        )
    if params.prompt and "{context}" not in params.prompt and data.contexts is not None:
        raise EvaluationError(
            "context_unused",
            "The data set has documents (role 'context'), and the prompt does not hold {context}: what is injected "
            "into them would reach nobody. Put {context} into the prompt, or take the role away.",
        )
    if params.prompt and "{input}" not in params.prompt:
        raise EvaluationError(
            "input_unused",
            "The prompt does not hold {input}: the task would reach nobody. Put {input} into it.",
        )
