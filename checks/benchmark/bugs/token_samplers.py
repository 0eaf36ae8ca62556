"""What draws the tokens, and what scores them: temperatures, filters, dropout.

Reference:
    Holtzman et al. (2020), The curious case of neural text degeneration, has top-p. Rows name where
    the two were seen to differ.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from ...evidence import DIFFERS
from .row import Makes, right, wrong
from .token_policies import (
    END,
    LOGITS,
    LONGEST,
    VOCABULARY,
    expected_loss,
    of_tokens,
    roll_out,
)
from .toy_problem import TorchProblem

TEMPERATURE = 0.7

#: The probability of the likeliest tokens that are kept: of three tokens the least likely goes.
TOP_P = 0.7

#: A logit whose exponential is zero.
NEVER = -1000.0

#: The probability that dropout leaves a row of the logits in.
KEPT = 0.5


def _cold(logits: Any) -> Any:
    return logits / TEMPERATURE


def _nucleus(logits: Any) -> Any:
    """Logits of the likeliest tokens until their probability is large enough; the others' are -inf.

    Shape:
        (3, 3).
    """
    p, order = logits.detach().softmax(dim=-1).sort(dim=-1, descending=True)
    beyond = p.cumsum(dim=-1) - p >= TOP_P
    return logits.masked_fill(beyond.scatter(1, order, beyond), -np.inf)


def _long(logits: Any) -> Any:
    """Logits that forbid an end at the first position: (2, 3, 3)."""
    tables = logits.expand(LONGEST, -1, -1)
    forbidden = tables.new_zeros(tables.shape).bool()
    forbidden[0, :, END] = True
    return tables.masked_fill(forbidden, -np.inf)


def _with_logits(
    process: Callable[[Any], Any], mean: Callable[[Any], Any], *, scored: bool
) -> Makes:
    """Estimators whose logits are processed to draw, and to score or not.

    There is no baseline: what no draw enters, as the sum that the first token's probabilities are
    divided by, vanishes beside advantages whose mean is zero.

    Args:
        mean: what the policy that draws should lower.
    """

    def estimate(s: TorchProblem, logits: Any) -> Any:
        drawn_by = process(logits).log_softmax(dim=-1)
        log_p = drawn_by if scored else logits.log_softmax(dim=-1)
        y = roll_out(s, log_p, 2, sampler=drawn_by)
        return -(y.rewards * y.log_probability).mean()

    return of_tokens(estimate, mean)


# ------------------------------------------------------------------ what is wanted


def _cold_loss(logits: Any) -> Any:
    return expected_loss(logits / TEMPERATURE)


def _nucleus_loss(logits: Any) -> Any:
    """The least likely token is never drawn: the other two reach TOP_P after every token."""
    least = np.argmin(LOGITS, axis=1)
    return expected_loss(np.where(np.arange(VOCABULARY) == least[:, None], NEVER, logits))


def _long_loss(logits: Any) -> Any:
    first = np.where(np.arange(VOCABULARY) == END, NEVER, logits)
    return expected_loss(np.stack([first, logits]))


def _gated_loss(logits: Any) -> Any:
    """Minus the mean reward, over the outcomes of dropout too."""
    gates = itertools.product((0.0, 1.0 / KEPT), repeat=VOCABULARY)
    return sum(expected_loss(logits * np.array(gate)[:, None]) for gate in gates) / 2**VOCABULARY


# ------------------------------------------------------------------ dropout


def _dropout(s: TorchProblem, logits: Any, *, draws: str, scores: str) -> Any:
    """Dropout of the rows of logits: the ``first`` time, a ``second`` time, or ``none``."""
    passes = {"none": logits}
    for each in dict.fromkeys((draws, scores)):
        if each != "none":
            gate = s.torch.nn.functional.dropout(logits.new_ones(VOCABULARY, 1), 1.0 - KEPT)
            passes[each] = logits * gate
    drawn_by, log_p = (passes[each].log_softmax(dim=-1) for each in (draws, scores))
    y = roll_out(s, log_p, 1, sampler=drawn_by)
    return -(y.rewards * y.log_probability).sum()


_TEMPERED = "github.com/huggingface/trl/pull/3029"
_KEEP = "DeepSeek-AI (2025), DeepSeek-V3.2, on keeping the sampling mask"
_DROPOUT = "Huang et al. (2024), The N+ implementation details of RLHF with PPO"
_LENGTH = "huggingface/transformers, MinNewTokensLengthLogitsProcessor"

ROWS = (
    *right(
        "tempered-in-both",
        "Tokens are drawn and scored at the same temperature.",
        _DROPOUT,
        _with_logits(_cold, _cold_loss, scored=True),
    ),
    *right(
        "top-p-in-both",
        "Tokens are drawn from the likeliest ones, and scored among these.",
        _KEEP,
        _with_logits(_nucleus, _nucleus_loss, scored=True),
    ),
    *right(
        "shortest-length-in-both",
        "A completion may not end at once, and scores are normalised without that end.",
        _LENGTH,
        _with_logits(_long, _long_loss, scored=True),
    ),
    *right(
        "dropout-the-same",
        "Dropout draws once, for drawing and for scoring tokens.",
        "pytorch/rl, ConsistentDropout",
        of_tokens(_dropout, _gated_loss, draws="first", scores="first"),
    ),
    *right(
        "dropout-in-neither",
        "Dropout is off where tokens are drawn and where they are scored.",
        _DROPOUT,
        of_tokens(_dropout, draws="none", scores="none"),
    ),
    *wrong(
        "temperature-in-sampler-only",
        "Tokens are drawn at a temperature that the log-probabilities do not have.",
        _TEMPERED,
        _with_logits(_cold, _cold_loss, scored=False),
        direction=DIFFERS,
    ),
    *wrong(
        "top-p-in-sampler-only",
        "Tokens are drawn from the likeliest ones, and scored among all.",
        "github.com/NVIDIA/NeMo-Aligner/issues/46; github.com/huggingface/trl/issues/6789",
        _with_logits(_nucleus, _nucleus_loss, scored=False),
        direction=DIFFERS,
    ),
    *wrong(
        "masked-after-normalising",
        "The end is forbidden at first where tokens are drawn, and scores are normalised with it.",
        _LENGTH + ", with log-probabilities of the unprocessed logits",
        _with_logits(_long, _long_loss, scored=False),
        direction=DIFFERS,
    ),
    *wrong(
        "dropout-in-scores-only",
        "Tokens are drawn without dropout, and scored with it.",
        "github.com/huggingface/trl/pull/3234; " + _DROPOUT,
        of_tokens(_dropout, draws="none", scores="first"),
        direction=DIFFERS,
    ),
    *wrong(
        "dropout-redrawn",
        "Dropout draws again where tokens are scored.",
        "github.com/joschu/modular_rl/issues/26; " + _DROPOUT,
        of_tokens(_dropout, _gated_loss, draws="first", scores="second"),
        direction=DIFFERS,
    ),
)
