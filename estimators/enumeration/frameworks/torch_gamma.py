"""PyTorch's gamma and Dirichlet numbers, and what is made of them, where they are integrated.

Their derivatives by the parameters are PyTorch's own, which are approximations; by differences of
quantiles where it is asked what these are off by.
"""

from __future__ import annotations

import functools
import types
from typing import Any

import numpy as np

from ..integration.laws import Law, beta_law, gamma_law
from ..integration.quadrature import Quadrature
from ..integration.slopes_of_quantiles import beta_slopes, gamma_slope
from ..outcomes import EPS
from ..patches import Patches
from ..run import Run, UnsupportedDraw, current_run
from .framework import unsupported_message

#: A tensor of PyTorch.
Tensor = Any

#: Functions of ``torch`` that are answered here.
GAMMA = ("_standard_gamma", "_sample_dirichlet")


class GammaDraws:
    """What answers for PyTorch's functions that draw such numbers, after the run."""

    def __init__(self, torch: Any) -> None:
        self._torch = torch

    def _standard_gamma(self, run: Run, concentration: Tensor, generator: Any = None) -> Tensor:
        """Gamma numbers of scale one."""
        shapes = _parameters(run, "_standard_gamma", concentration)
        numbers = [_take(run, "torch._standard_gamma", gamma_law(float(a))) for a in shapes.flat]
        drawn = _like(self._torch, np.array(numbers).reshape(shapes.shape), concentration)
        if not concentration.requires_grad:
            return drawn
        return _gamma_function(self._torch).apply(concentration, drawn, run.quadrature)

    def _sample_dirichlet(self, run: Run, concentration: Tensor, generator: Any = None) -> Tensor:
        """Numbers that add up to one along the last axis."""
        parts = draw_parts(run, concentration)
        left = np.cumprod(1.0 - parts, axis=-1)
        before = np.concatenate([np.ones_like(left[..., :1]), left], axis=-1)
        last = np.ones_like(parts[..., :1])
        return _like(self._torch, np.concatenate([parts, last], axis=-1) * before, concentration)


def draw_parts(run: Run, concentration: Tensor) -> np.ndarray:
    """Of Dirichlet numbers, each as a part of what those before it left; all but the last.

    Shape: (..., K - 1) of (..., K).
    """
    shapes = _parameters(run, "_sample_dirichlet", concentration)
    drawn = np.empty((*shapes.shape[:-1], shapes.shape[-1] - 1))
    for at in np.ndindex(drawn.shape):
        rest = float(shapes[at[:-1]][at[-1] + 1 :].sum())
        law = beta_law(float(shapes[at]), rest)
        drawn[at] = _take(run, "torch._sample_dirichlet", law)
    return drawn


def _parameters(run: Run, name: str, concentration: Tensor) -> np.ndarray:
    if run.quadrature is None:
        raise UnsupportedDraw(
            f"{unsupported_message(f'torch.{name}')}; integrate it (integrate=1e-6)"
        )
    shapes = np.asarray(concentration.detach().double().cpu().numpy())
    if not (np.isfinite(shapes) & (shapes > 0.0)).all():
        raise UnsupportedDraw(
            f"torch.{name} draws by {shapes.tolist()!r:.60}, expected finite numbers above zero"
        )
    return shapes


def _take(run: Run, what: str, law: Law) -> float:
    assert run.quadrature is not None  # it was asked
    return run.quadrature.take(run, what, law, EPS)


def _like(torch: Any, values: np.ndarray, like: Tensor) -> Tensor:
    return torch.as_tensor(values, dtype=like.dtype, device=like.device)


@functools.cache
def _gamma_function(torch: Any) -> Any:
    class StandardGamma(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, concentration: Tensor, drawn: Tensor, by: Quadrature) -> Tensor:
            ctx.save_for_backward(concentration, drawn)
            ctx.by = by
            return drawn.clone()

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Any:
            concentration, drawn = ctx.saved_tensors
            if ctx.by.derives:
                pairs = zip(concentration.flatten().tolist(), drawn.flatten().tolist(), strict=True)
                slopes = np.array([gamma_slope(*pair) for pair in pairs]).reshape(drawn.shape)
                return gradient * _like(torch, slopes, drawn), None, None
            ctx.by.approximated.add("torch._standard_gamma")
            return gradient * torch._standard_gamma_grad(concentration, drawn), None, None

    return StandardGamma


def derive_dirichlet(torch: Any, patches: Patches) -> None:
    """Dirichlet numbers have derivatives by differences where these are asked for."""
    module = torch.distributions.dirichlet
    real = module._Dirichlet

    def apply(concentration: Tensor) -> Tensor:
        run = current_run()
        if run is None or run.quadrature is None:
            return real.apply(concentration)
        if not run.quadrature.derives:
            if concentration.requires_grad:
                run.quadrature.approximated.add("torch._dirichlet_grad")
            return real.apply(concentration)
        with torch.no_grad():
            drawn = _like(torch, draw_parts(run, concentration), concentration)
        parts = _parts_function(torch).apply(concentration, drawn)
        left = torch.cumprod(1.0 - parts, -1)
        before = torch.cat([torch.ones_like(left[..., :1]), left], -1)
        return torch.cat([parts, torch.ones_like(parts[..., :1])], -1) * before

    patches.attribute(module, "_Dirichlet", types.SimpleNamespace(apply=apply))


@functools.cache
def _parts_function(torch: Any) -> Any:
    class DirichletParts(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, concentration: Tensor, drawn: Tensor) -> Tensor:
            ctx.save_for_backward(concentration, drawn)
            return drawn.clone()

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Any:
            concentration, drawn = ctx.saved_tensors
            shapes, upstream = concentration.double().numpy(), gradient.double().numpy()
            found = np.zeros(shapes.shape)
            for at in np.ndindex(drawn.shape):
                row, place = at[:-1], at[-1]
                rest = float(shapes[row][place + 1 :].sum())
                own, others = beta_slopes(float(shapes[at]), rest, float(drawn[at]))
                found[at] += upstream[at] * own
                found[row][place + 1 :] += upstream[at] * others
            return _like(torch, found, concentration), None

    return DirichletParts
