"""The heaviest paths enumerated, the others drawn: false alarms, and what is seen.

A rate that is as promised breaks a bound once in ten billion runs. `docs/how-to/sampling.md` has
the rates of many more runs.
"""

import numpy as np
import pytest
from scipy.stats import binom

from gradproof import check_estimator
from gradproof.checks.evidence import REFUTED

from ..checks.user.tokens import Tokens

#: Probability that one of these tests fails though the rates are as promised.
MAY_FAIL = 1e-10

#: Nominal rate of false alarms: so large that it can be measured.
ALPHA = 0.05


def sharp(rng):
    """Some tokens are likely: 60 of 729 paths have most of the probability."""
    policy = Tokens(rng, length=6, tokens=3, sharpness=3.0)
    return policy, policy.reinforce


def flat(rng):
    """All paths are about as likely, so that nearly all is drawn."""
    policy = Tokens(rng, length=6, tokens=3, sharpness=0.3)
    return policy, policy.reinforce


def costly(rng):
    """A reward of twenty after a token that is rare: what is drawn is skewed."""
    policy = Tokens(rng, length=6, tokens=3, sharpness=1.0)
    policy.logits[:, 2] = -3.0
    policy.rewards[2] = 20.0
    return policy, policy.reinforce


def baseline(rng):
    """With a constant baseline, so that gradients of both signs cancel."""
    policy = Tokens(rng, length=6, tokens=3, sharpness=2.0)
    level = policy.expected_reward(policy.logits)

    def estimate(logits):
        tokens, score = policy.sample(logits)
        return (policy.reward(tokens) - level) * score

    return policy, estimate


NULLS = {"sharp": sharp, "flat": flat, "costly": costly, "baseline": baseline}


def check(policy, estimate, **options):
    """The report on one check; outcomes rarer than a hundredth are left out."""
    options = {"paths": 60, "draws": 1200, "rarest": 0.01, "alpha": ALPHA, **options}
    return check_estimator(
        estimate, [policy.logits], exact=policy.exact(), strategy="heaviest", **options
    )


@pytest.mark.parametrize("name", NULLS)
def test_false_alarms_are_as_rare_as_promised(name, pytestconfig, record_property):
    """Of right estimators, each time of another policy and with other draws."""
    rng = np.random.default_rng(int(pytestconfig.option.hypothesis_seed))
    trials = 25
    count = sum(check(*NULLS[name](rng)).verdict == REFUTED for _ in range(trials))
    record_property(f"false alarms, heaviest, {name}", count / trials)
    assert count <= int(binom.isf(MAY_FAIL, trials, ALPHA))


@pytest.mark.parametrize("factor", [0.97, 1.01, 1.03])
def test_what_is_off_by_a_hundredth_is_seen(factor, pytestconfig):
    """Of a policy of 59,049 paths, by 2,000 of these and 4,000 draws, at the default alpha."""
    rng = np.random.default_rng(int(pytestconfig.option.hypothesis_seed))
    policy = Tokens(np.random.default_rng(4), length=10, tokens=3, sharpness=3.0)
    seed = int(rng.integers(2**32))
    report = check(
        policy,
        lambda a: policy.reinforce(a, factor),
        paths=2000,
        draws=4000,
        rarest=None,
        alpha=1e-6,
        seed=seed,
    )
    assert report.verdict == REFUTED
