"""A sampler of completions, against the law of the policy that it is meant to draw from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.estimator import UserFunction
from gradproof.estimators.enumeration.limits import MOST_PATHS
from gradproof.estimators.policies.completions import Completions, Tokens
from gradproof.estimators.policies.token_policy import TokenPolicy

from .code_name import code_name
from .estimator import check_estimator
from .estimator_report import EstimatorReport


def check_sampler(
    policy: TokenPolicy,
    sample: Callable[[], Any],
    *,
    prompt: int | None = None,
    paths: int = MOST_PATHS,
    name: str | None = None,
) -> EstimatorReport:
    """The report on a sampler: whether each completion comes with the policy's probability.

    Estimand: the probability of each completion, by its tokens.
    Estimator: 1 for the completion that is drawn, and 0 for the others.
    Valid when: draws are such as :func:`gradproof.check_estimator` enumerates.

    Of a sampler that returns several completions each is compared, by its row. That they are
    independent is not.

    Args:
        sample: draws one completion, a sequence of tokens, or several of them, as rows of a tensor.
            Padding may follow the end.
        prompt: the number of the prompt that it completes; None, where there is one alone.
        paths: that may be run at most.
        name: of the sampler, in the report.

    Raises:
        NotEnumerable: as :func:`gradproof.check_estimator`.
        TypeError: for what cannot be called.
        ValueError: for a completion that has no end, and for another number of them.
    """
    if not callable(sample):
        raise TypeError(f"sample = {sample!r:.60}, expected a function that draws completions")
    law = policy.probabilities(prompt)
    drawn = _Indicator(policy, sample, prompt, tuple(law))
    with Enumeration(UserFunction(drawn.rows, called="sample"), paths) as enumeration:
        count = len(enumeration.run_once(()).value)
        enumeration.restore_state()
    exact = {str(tokens): np.full(count, likely) for tokens, likely in law.items()}
    exact[OTHER] = np.zeros(count)
    return check_estimator(
        drawn,
        exact=exact,
        returns="gradient",
        paths=paths,
        name=name or code_name(sample),
    )


#: What a completion is called that the policy does not draw.
OTHER = "any other completion"


class _Indicator:
    """1 for the completion that is drawn in each row, 0 for the others; by their tokens."""

    def __init__(
        self,
        policy: TokenPolicy,
        sample: Callable[[], Any],
        prompt: int | None,
        possible: Sequence[Tokens],
    ) -> None:
        self._policy, self._sample, self._prompt = policy, sample, prompt
        self._possible = possible

    def rows(self) -> list[Tokens]:
        """The completions of one call."""
        drawn = self._sample()
        if isinstance(drawn, Completions):
            return drawn.tuples()
        if self._policy.longest > 1 and _is_ambiguous(drawn):
            raise ValueError(
                f"the sampler returned a list of {len(drawn)} arrays of one token each, which may "
                "be one completion or as many that ended at once; concatenate them for one, return "
                "an array with a row for each completion for several"
            )
        drawn = _plain(drawn)
        several: Iterable[Any] = drawn if _is_nested(drawn) else [drawn]
        return self._policy.read(several, self._prompt).tuples()

    def __call__(self) -> dict[str, np.ndarray]:
        rows = self.rows()
        names = {tokens: str(tokens) for tokens in self._possible}
        found = {name: np.zeros(len(rows)) for name in (*names.values(), OTHER)}
        for place, tokens in enumerate(rows):
            found[names.get(tokens, OTHER)][place] = 1.0
        return found


def _plain(drawn: Any) -> Any:
    """What was drawn, with numbers and lists in place of arrays and tensors.

    In a list of tokens each may be a tensor without an axis, as ``Categorical.sample`` returns it.
    One of an axis is a completion.
    """
    if hasattr(drawn, "tolist"):
        return drawn.tolist()
    return [each.tolist() if hasattr(each, "tolist") else each for each in drawn]


def _is_ambiguous(drawn: Any) -> bool:
    """Whether it is a list of arrays of one token, such as ``torch.multinomial`` returns."""
    several = isinstance(drawn, list | tuple) and len(drawn) > 1
    return several and all(getattr(each, "shape", None) == (1,) for each in drawn)


def _is_nested(drawn: Any) -> bool:
    """Whether there are several completions, and not the tokens of one."""
    return len(drawn) > 0 and all(hasattr(each, "__len__") for each in drawn)
