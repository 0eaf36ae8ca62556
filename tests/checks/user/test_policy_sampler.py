"""Samplers of completions against the law of a policy."""

import numpy as np
import pytest

from gradproof.checks.evidence import HOLDS, REFUTED

from ...estimators.policies.table import LOGITS

pytestmark = pytest.mark.torch

torch = pytest.importorskip("torch")
policies = pytest.importorskip("gradproof.policies")

THETA = torch.tensor(LOGITS, requires_grad=True)


def make(**options):
    """The table as a policy of two tokens."""
    return policies.autoregressive(
        lambda tokens: THETA[tokens], [0], eos=0, longest=2, parameters=THETA, **options
    )


def generate(temperature=1.0, stops=True, likeliest=3):
    """A sampler written by hand, which pads with the token that ends, or does not end there."""
    rows, last = [], 0
    for place in range(2):
        if place and not last and stops:
            rows.append(0)
            continue
        logits = THETA.detach()[last] / temperature
        logits = torch.where(logits >= logits.topk(likeliest).values[-1], logits, -torch.inf)
        last = int(torch.multinomial(logits.softmax(-1), 1))
        rows.append(last)
    return rows


@pytest.mark.parametrize(
    ("options", "sample", "verdict"),
    [
        ({}, generate, HOLDS),
        ({}, lambda: generate(stops=False), HOLDS),  # what comes after the end is padding
        ({}, lambda: generate(temperature=0.9), REFUTED),
        ({"temperature": 0.9}, lambda: generate(temperature=0.9), HOLDS),
        ({}, lambda: generate(likeliest=2), REFUTED),
        ({"top_k": 2}, lambda: generate(likeliest=2), HOLDS),
        ({"top_k": 2}, generate, REFUTED),
        ({}, lambda: torch.tensor([generate(), generate()]), HOLDS),
        ({}, lambda: torch.tensor([generate(), generate(0.5)]), REFUTED),
        ({}, lambda: make().sample(2), HOLDS),
    ],
)
def test_a_sampler_draws_by_the_policys_law_or_does_not(options, sample, verdict):
    """Completion by completion, and row by row."""
    report = policies.check_sampler(make(**options), sample)
    assert report.verdict == verdict, report.explain()


def test_generators_are_left_where_they_were():
    """Also that of the first call, which tells how many rows there are."""
    state = torch.random.get_rng_state()
    policies.check_sampler(make(), generate)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_report_names_completions():
    """And those that the policy does not draw."""
    report = policies.check_sampler(make(top_k=2), generate)
    assert set(report.mean) > {"(0,)", "(2, 2)", "any other completion"}
    law = make().probabilities()
    np.testing.assert_allclose(report.mean["(0,)"], law[0,], rtol=1e-14)  # of a few roundings
    assert report.mean["any other completion"][0] > 0.1  # the third token alone has 0.2


def test_what_does_not_fit_is_refused():
    """A completion without an end, and what cannot be called."""
    with pytest.raises(ValueError, match=r"a completion is \(1,\), expected one that ends with 0"):
        policies.check_sampler(make(), lambda: [1])
    with pytest.raises(ValueError, match="concatenate them for one"):
        policies.check_sampler(make(), lambda: list(torch.tensor([1, 0]).split(1)))
    with pytest.raises(TypeError, match="sample = 3"):
        policies.check_sampler(make(), 3)
    with pytest.raises(ValueError, match="prompt = 2"):
        policies.check_sampler(make(), generate, prompt=2)


def test_tokens_may_be_tensors_without_an_axis():
    """As a distribution's ``sample`` returns them, in a list."""

    def tensors(temperature):
        return [torch.tensor(token) for token in generate(temperature)]

    assert policies.check_sampler(make(), lambda: tensors(1.0)).verdict == HOLDS
    assert policies.check_sampler(make(), lambda: tensors(0.9)).verdict == REFUTED
