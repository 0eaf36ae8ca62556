"""Functions of PyTorch that draw, and methods of its tensors."""

from __future__ import annotations

from .row import Library, Row
from .torch_distributions import seed


def rows() -> list[Row]:
    """Of torch, torch.nn.functional and Tensor."""
    import torch
    from torch.nn import functional

    double = torch.float64
    p3, zeros = torch.tensor([0.2, 0.3, 0.5], dtype=double), torch.zeros(2, dtype=double)
    ones = torch.ones(3, dtype=double)
    draws = {
        "torch.bernoulli": (lambda: torch.bernoulli(p3), p3),
        "torch.binomial": (lambda: torch.binomial(3.0 * ones, p3), 3.0 * p3),
        "torch.multinomial": (lambda: torch.multinomial(p3, 1), [1.3]),
        "torch.multinomial(replacement=True)": (
            lambda: torch.multinomial(p3, 2, replacement=True),
            [1.3, 1.3],
        ),
        "torch.multinomial(replacement=False)": (lambda: torch.multinomial(p3, 2), None),
        "torch.normal": (lambda: torch.normal(0.3 * ones, 1.2 * ones), [0.3] * 3),
        "torch.poisson": (lambda: torch.poisson(1.3 * ones[:1]), [1.3]),
        "torch.rand": (lambda: torch.rand(2, dtype=double), [0.5, 0.5]),
        "torch.rand_like": (lambda: torch.rand_like(zeros), [0.5, 0.5]),
        "torch.randint": (lambda: torch.randint(1, 5, (2,)), [2.5, 2.5]),
        "torch.randint_like": (lambda: torch.randint_like(zeros, 4), [1.5, 1.5]),
        "torch.randn": (lambda: torch.randn(2, dtype=double), [0.0, 0.0]),
        "torch.randn_like": (lambda: torch.randn_like(zeros), [0.0, 0.0]),
        "torch.randperm": (lambda: torch.randperm(3), [1.0] * 3),
        "torch.dropout": (lambda: torch.dropout(ones, 0.3, True), [1.0] * 3),
        "torch.alpha_dropout": (lambda: torch.alpha_dropout(ones, 0.3, True), None),
        "torch.feature_dropout": (
            lambda: torch.feature_dropout(ones[None, :, None], 0.3, True),
            None,
        ),
        "torch.feature_alpha_dropout": (
            lambda: torch.feature_alpha_dropout(ones[None, :, None], 0.3, True),
            None,
        ),
        "torch.native_dropout": (lambda: torch.native_dropout(ones, 0.3, True)[0], [1.0] * 3),
        "torch.rrelu": (lambda: torch.rrelu(-ones, 0.1, 0.3, True), [-0.2] * 3),
        "functional.dropout": (lambda: functional.dropout(ones, 0.3), [1.0] * 3),
        "functional.dropout1d": (lambda: functional.dropout1d(ones[None, :, None], 0.3), None),
        "functional.dropout2d": (
            lambda: functional.dropout2d(ones[None, :, None, None], 0.3),
            None,
        ),
        "functional.dropout3d": (
            lambda: functional.dropout3d(ones[None, :, None, None, None], 0.3),
            None,
        ),
        "functional.alpha_dropout": (lambda: functional.alpha_dropout(ones, 0.3, True), None),
        "functional.feature_alpha_dropout": (
            lambda: functional.feature_alpha_dropout(ones[None, :, None], 0.3, True),
            None,
        ),
        "functional.gumbel_softmax": (lambda: functional.gumbel_softmax(p3.log(), 0.7), None),
        "functional.gumbel_softmax(hard=True)": (
            lambda: functional.gumbel_softmax(p3.log(), 0.7, hard=True),
            p3,
        ),
        "functional.rrelu": (lambda: functional.rrelu(-ones, 0.1, 0.3, True), [-0.2] * 3),
        "functional.fractional_max_pool2d": (
            lambda: functional.fractional_max_pool2d(
                torch.arange(16.0)[None].reshape(1, 4, 4), 2, 3
            ),
            None,
        ),
        "Tensor.bernoulli_": (lambda: torch.zeros(2, dtype=double).bernoulli_(0.3), [0.3, 0.3]),
        "Tensor.cauchy_": (lambda: torch.zeros(1, dtype=double).cauchy_(0.2, 1.5), None),
        "Tensor.exponential_": (lambda: torch.zeros(1, dtype=double).exponential_(2.0), [0.5]),
        "Tensor.geometric_": (lambda: torch.zeros(1, dtype=double).geometric_(0.5), [2.0]),
        "Tensor.log_normal_": (lambda: torch.zeros(1, dtype=double).log_normal_(0.3, 0.5), None),
        "Tensor.normal_": (lambda: torch.zeros(2, dtype=double).normal_(0.3, 1.2), [0.3, 0.3]),
        "Tensor.random_": (lambda: torch.zeros(1, dtype=double).random_(1, 5), [2.5]),
        "Tensor.uniform_": (lambda: torch.zeros(2, dtype=double).uniform_(-1.0, 2.0), [0.5, 0.5]),
    }
    return [Row("torch", name, lambda _, d=draw: d(), mean) for name, (draw, mean) in draws.items()]


LIBRARY = Library("torch", ("torch",), rows, seed)
