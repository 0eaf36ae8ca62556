"""Losses, texts and states that a user's baseline is tried at, beyond those of one model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from gradproof.estimators.baselines.protocol import BaselineBatch

#: The kinds of losses, each of which a baseline must have been looked at with.
MODEL, SHIFTED, SCALED, NEGATIVE, AROUND_ZERO, TIED = KINDS = (
    "as the model's", "shifted", "scaled", "negative", "around zero", "tied",
)  # fmt: skip

#: N, from one sentence alone to more than the three at which 1/N is told from 1 - 1/N.
SENTENCES = (1, 2, 3, 4)

#: ... and larger ones, up to a step of training; each is tried with a few cases of each kind.
MANY = (6, 17, 128)

#: The longest text that is tried, in tokens.
LONGEST = 1000

#: Of more values than this, those in the middle are not printed.
FEW = 6

#: How large the embeddings are, beside the model's.
SCALES = (1.0, 0.0, 0.01, 100.0)


@dataclasses.dataclass(frozen=True)
class LossCase:
    """N texts with their losses, one of which is changed.

    The loss of sentence ``row`` takes the values ``own`` one after the other. Tokens and embeddings
    are random, from ``seed``, the latter times ``scale``; or those of the model's text, where
    ``texts`` has rows of it. ``state`` is a row of the states that the baseline is tried in, and
    ``seed`` is that of its random numbers, too.

    Shape: ``lengths`` and ``losses`` (N,); ``own`` (M,); ``texts`` (N,) or empty.
    """

    lengths: tuple[int, ...]
    losses: tuple[float, ...]
    row: int
    own: tuple[float, ...]
    state: int = 0
    kind: str = MODEL
    scale: float = 1.0
    seed: int = 0
    texts: tuple[int, ...] = ()

    def subject(self) -> LossCase:
        """Itself: there is no model in it."""
        return self

    def describe(self) -> str:
        """The texts and their losses, in a few words."""
        n = len(self.losses)
        tokens = f"token{'s' * (tuple(self.lengths) != (1,))}"
        return f"{n} sentence{'s' * (n > 1)} of {few(self.lengths)} {tokens}, losses {self.kind}"

    def losses_with(self, own: float) -> np.ndarray:
        """The losses, (N,), where that of ``row`` is ``own``."""
        losses = np.array(self.losses, np.float64)
        losses[self.row] = own
        return losses


def few(values: Iterable[Any], form: str = "") -> str:
    """Values one after the other, those in the middle left out where there are many."""
    each = [format(value, form) for value in values]
    return ", ".join(each if len(each) <= FEW else [*each[: FEW // 2], "...", *each[-FEW // 2 :]])


@dataclasses.dataclass(frozen=True)
class LossSource:
    """What cases are drawn from: the losses of a model on text, and the text.

    Shape: ``table`` (M, K), L of each text and label.
    """

    table: np.ndarray
    text: BaselineBatch
    vocabulary: int

    @property
    def embedded(self) -> np.ndarray:
        """Mean embeddings of the text, (M, D)."""
        return np.asarray(self.text.embedded)

    @property
    def longest(self) -> int:
        """The length of its longest sentence."""
        return int(self.text.lengths.max())

    @property
    def size(self) -> float:
        """The size of a loss."""
        return float(np.abs(self.table).mean()) or 1.0

    def batch(self, case: LossCase) -> BaselineBatch:
        """What the baseline reads in a case, with its losses as they are."""
        if case.texts:
            rows, text = list(case.texts), self.text
            return BaselineBatch(
                text.tokens[rows],
                text.mask[rows],
                text.lengths[rows],
                self.embedded[rows],
                np.array(case.losses, np.float64),
            )
        rng = np.random.default_rng(case.seed)
        n, longest = len(case.lengths), max(case.lengths)
        mask = (np.arange(longest) < np.array(case.lengths)[:, None]).astype(np.float64)
        tokens = rng.integers(0, self.vocabulary, (n, longest)) * mask.astype(np.int64)
        spread = case.scale * (float(self.embedded.std()) or 1.0)
        embedded = spread * rng.standard_normal((n, self.embedded.shape[1]))
        losses = np.array(case.losses, np.float64)
        return BaselineBatch(tokens, mask, mask.sum(axis=1), embedded, losses)

    def losses(self, rng: np.random.Generator, kind: str, n: int) -> np.ndarray:
        """So many losses of a kind."""
        model = rng.choice(self.table.ravel(), n)
        if kind == SHIFTED:
            return model + rng.choice([-1.0, 1.0]) * self.size * 10.0 ** rng.uniform(-2.0, 2.0)
        if kind == SCALED:
            return model * 10.0 ** rng.uniform(-5.0, 3.0)
        if kind == NEGATIVE:
            return -np.abs(model) * 10.0 ** rng.uniform(-2.0, 1.0, n)
        if kind == AROUND_ZERO:
            return rng.standard_normal(n) * 10.0 ** rng.uniform(-4.0, 1.0)
        if kind == TIED:
            return rng.choice(rng.choice(self.table.ravel(), 2), n)
        return model

    def own(self, rng: np.random.Generator, kind: str, losses: np.ndarray) -> np.ndarray:
        """What a sentence's own loss is changed to: of the kind, tied, extreme, and anywhere.

        A threshold anywhere between them is crossed, wherever the losses of the others lie.
        """
        size = float(np.abs(losses).max()) or self.size
        low, high = float(losses.min()), float(losses.max())
        anywhere = rng.choice([-1.0, 1.0], 2) * self.size * 10.0 ** rng.uniform(-4.0, 2.0, 2)
        return np.array(
            [
                *self.losses(rng, kind, 2),
                rng.choice(losses),  # a tie
                low - size * rng.random(),  # the least of all, and the largest
                high + size * rng.random(),
                rng.uniform(0.0, 2.0 * self.size),
                *anywhere,
            ]
        )

    def draw_known(
        self, rng: np.random.Generator, kind: str, n: int, *, state: int = 0
    ) -> LossCase:
        """A case of a kind, of N sentences of the model's text, from which a baseline learned."""
        case = self.draw(rng, kind, n, state=state)
        texts = rng.integers(len(self.table), size=n)
        lengths = tuple(int(self.text.lengths[row]) for row in texts)
        return dataclasses.replace(case, lengths=lengths, texts=tuple(map(int, texts)))

    def draw(
        self, rng: np.random.Generator, kind: str, n: int, *, state: int = 0, long: bool = False
    ) -> LossCase:
        """A case of a kind, of N texts no longer than the model's, or of any length."""
        longest = LONGEST if long else self.longest
        lengths = np.rint(np.exp(rng.uniform(0.0, np.log(longest), n))).astype(int)
        losses = self.losses(rng, kind, n)
        return LossCase(
            lengths=tuple(map(int, lengths)),
            losses=tuple(map(float, losses)),
            row=int(rng.integers(n)),
            own=tuple(map(float, self.own(rng, kind, losses))),
            state=state,
            kind=kind,
            scale=float(rng.choice(SCALES)) if long else 1.0,
            seed=int(rng.integers(1000)),
        )


#: Losses that are short to print and shrink to zero; eighths are exact.
LOSSES = st.one_of(
    st.integers(-400, 400).map(lambda eighths: eighths / 8.0),
    st.integers(-50, 50).map(float),
    st.sampled_from([1e-3, -1e-3, 1e3, -1e3, 1e5]),
)


@st.composite
def loss_cases(draw: Callable[..., Any], states: tuple[int, ...]) -> LossCase:
    """Cases over N, lengths, any losses, ties among them, and states of the baseline.

    Args:
        states: rows of the states, the simplest first.
    """
    n = draw(st.sampled_from((2, 1, 3, 4)))
    losses = draw(st.tuples(*[LOSSES] * n))
    row = draw(st.integers(0, n - 1))
    others = losses[:row] + losses[row + 1 :]
    value = st.one_of(LOSSES, st.sampled_from(others)) if others else LOSSES
    length = st.one_of(st.integers(1, 6), st.sampled_from([1, 12, 40, 300, LONGEST]))
    return LossCase(
        lengths=draw(st.tuples(*[length] * n)),
        losses=losses,
        row=row,
        own=tuple(draw(st.lists(value, min_size=1, max_size=2))),
        state=draw(st.sampled_from(states)),
        kind="drawn",
        scale=draw(st.sampled_from(SCALES)),
        seed=draw(st.integers(0, 3)),
    )
