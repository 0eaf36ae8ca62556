"""The estimators of the how-to on one bit, enumerated and integrated, against samples of them."""

import importlib.util
import math
from pathlib import Path

import pytest

from gradproof import compare_estimators

pytestmark = pytest.mark.torch

PAGE = Path(__file__).resolve().parents[3] / "docs/how-to/compare.md"

#: Bits that are drawn at a time, each an estimate of its own.
SAMPLES = 200_000

#: Standard errors: of 18 numbers one is beyond with a probability of 1e-5.
FAR = 5.0


@pytest.fixture
def bits(tmp_path):
    """The file of the page."""
    pytest.importorskip("torch")
    text = PAGE.read_text(encoding="utf-8")
    path = tmp_path / "bits.py"
    path.write_text(text.partition('title="bits.py"\n')[2].partition("```")[0], encoding="utf-8")
    spec = importlib.util.spec_from_file_location("bits", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def samples(torch, estimate, logit):
    """Estimates of as many bits, drawn by PyTorch itself."""
    logits = logit.detach().expand(SAMPLES).clone().requires_grad_()
    returned = estimate(logits)
    if returned.dim():
        return returned.detach()
    return torch.autograd.grad(returned, logits)[0]


def test_means_and_variances_are_those_of_samples(bits):
    """Of all nine: within five standard errors; and passes are those of the papers."""
    import torch

    table = compare_estimators(
        bits.estimators, bits.inputs, exact=bits.exact, costs=bits.costs, integrate=1e-3
    )
    assert len(table.rows) == 9
    with torch.random.fork_rng():
        torch.seed()
        for row in table.rows:
            drawn = samples(torch, bits.estimators[row.name], bits.inputs[0])
            (mean,) = next(iter(row.report.mean.values()))
            (variance,) = next(iter(row.report.variance.values()))
            off = drawn - float(mean)
            error = math.sqrt(float(variance) / SAMPLES)
            assert abs(float(off.mean())) < FAR * error, row.name
            fourth = float((off**2 - float(variance)).square().mean())
            error = math.sqrt(fourth / SAMPLES)
            # A variance that is nearly the same of each sample has hardly an error but rounding.
            allowed = FAR * error + 1e-12 * float(variance)
            assert abs(float((off**2).mean()) - float(variance)) < allowed, row.name
    passes = {row.name: (row.passes.forward, row.passes.backward) for row in table.rows}
    wanted = {
        "REINFORCE": (1, 0), "REINFORCE, mean baseline": (1, 0), "leave one out": (2, 0),
        "ARM": (2, 0), "DisARM": (2, 0), "MuProp": (2, 1), "REBAR": (3, 2),
        "straight-through": (1, 1), "Gumbel-softmax": (1, 1),
    }  # fmt: skip
    for name, numbers in wanted.items():
        close = {"rel": 1e-12, "abs": 0.0}  # rounding of probabilities and of a rule's weights
        assert passes[name] == pytest.approx(numbers, **close), name
