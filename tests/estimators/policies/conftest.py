"""A table of logits as a policy, and another as its reference."""

import pytest

from .table import END, LOGITS, LONGEST, REFERENCE, Table


@pytest.fixture
def table():
    """The table, in NumPy."""
    return Table()


@pytest.fixture
def torch():
    """The framework, or a test less."""
    return pytest.importorskip("torch")


@pytest.fixture
def theta(torch):
    """The logits as a parameter."""
    return torch.tensor(LOGITS, requires_grad=True)


@pytest.fixture
def policy(theta):
    """The table as a policy."""
    from gradproof import policies

    return policies.autoregressive(
        lambda tokens: theta[tokens], [0], eos=END, longest=LONGEST, parameters=theta
    )


@pytest.fixture
def reference(torch):
    """Another table, as a model."""
    other = torch.tensor(REFERENCE)
    return lambda tokens: other[tokens]
