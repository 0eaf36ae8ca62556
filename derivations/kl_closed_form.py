# ruff: noqa: RUF001  # Greek letters in a formula are meant
"""Claim kl.closed_form: the divergence of h has a closed form, that of a and h together has none.

Everything is in one dimension: with a diagonal covariance each component adds such a term.

Reference:
    Kingma and Welling (2014), Auto-encoding variational Bayes, appendix B. Maaløe et al. (2016),
    Auxiliary deep generative models.
"""

from __future__ import annotations

import sympy as sp

from .kernel.derivation import REFUTED, Counterexample, Derivation, Proof, Step, derives
from .kernel.expressions import D
from .kernel.notation import text
from .kernel.oracle import Oracle

h, a = sp.symbols("h a", real=True)
mu, nu, m, b, c = sp.symbols("mu nu m b c", real=True)
sigma, tau, s, r = sp.symbols("sigma tau s r", positive=True)
#: Log variance, by which networks give a spread.
v = sp.Symbol("v", real=True)


def _density(name: str, *variables: sp.Symbol) -> sp.Expr:
    return sp.Function(name, positive=True)(*variables)


def _normal(x: sp.Symbol, centre: sp.Expr, spread: sp.Expr) -> sp.Expr:
    return sp.exp(-((x - centre) ** 2) / (2 * spread**2)) / (spread * sp.sqrt(2 * sp.pi))


#: q(h|..) and another; q(a|x), q(h|a) and p(a|y, h) of SeqDGM-A with all networks linear.
_N, _O = _density("n", h), _density("o", h)
_N_A, _N_H, _P = _density("n_a", a), _density("n_h", h, a), _density("p", a, h)
_IS = {
    _N: _normal(h, mu, sigma),
    _O: _normal(h, nu, tau),
    _N_A: _normal(a, m, s),
    _N_H: _normal(h, c * a, r),
    _P: _normal(a, b * h, tau),
}


def _integral(term: sp.Expr, x: sp.Symbol) -> sp.Expr:
    return sp.Integral(term, (x, -sp.oo, sp.oo))


def _log(density: sp.Expr, x: sp.Symbol, centre: sp.Expr, spread: sp.Expr) -> Proof:
    return Proof(
        title=f"the log of the density {text(density)}",
        start=sp.log(density),
        steps=(
            Step(sp.log(_IS[density]), "definition", given={density: _IS[density]}),
            Step(
                -sp.log(spread) - sp.log(2 * sp.pi) / 2 - (x - centre) ** 2 / (2 * spread**2),
                "algebra",
            ),
        ),
    )


def _moments(whose: str, density: sp.Expr, x: sp.Symbol, *values: sp.Expr) -> tuple[Proof, ...]:
    """That a density integrates to 1, and its mean and second moment."""
    return tuple(
        Proof(
            title=f"{whose}: {what}",
            start=_integral(density * x**power, x),
            steps=(
                Step(
                    _integral(_IS[density] * x**power, x),
                    "definition",
                    given={density: _IS[density]},
                ),
                Step(value, "integral"),
            ),
        )
        for power, (what, value) in enumerate(
            zip(("the integral", "the mean", "the second moment"), values, strict=True)
        )
    )


def _average(
    title: str, moments: tuple[Proof, ...], x: sp.Symbol, term: sp.Expr, result: sp.Expr
) -> Proof:
    """The mean of a polynomial under a Gaussian."""
    density = moments[0].start.function
    powers = [sp.expand(term, log=False).coeff(x, power) for power in range(len(moments))]
    return Proof(
        title=title,
        start=_integral(density * term, x),
        steps=(
            Step(_integral(sp.expand(density * term, log=False), x), "algebra", "multiplied out"),
            Step(
                sum(part * proof.start for part, proof in zip(powers, moments, strict=True)),
                "linearity of the integral",
                f"by powers of {x}",
            ),
            Step(
                sum(part * proof.result for part, proof in zip(powers, moments, strict=True)),
                "shown above",
                "the three moments",
                _results(*moments),
            ),
            Step(result, "algebra"),
        ),
    )


def _results(*proofs: Proof) -> dict[sp.Expr, sp.Expr]:
    return {left: right for proof in proofs for left, right in proof.shown.items()}


#: The divergence of one Gaussian from another.
BETWEEN = sp.log(tau / sigma) + (sigma**2 + (mu - nu) ** 2) / (2 * tau**2) - sp.Rational(1, 2)
#: Of h from N(0, 1), by mean and log variance.
STANDARD = (mu**2 + sp.exp(v) - 1 - v) / 2


def _divergence() -> tuple[Proof, ...]:
    """Between two Gaussians, from the integral."""
    logs = (_log(_N, h, mu, sigma), _log(_O, h, nu, tau))
    moments = _moments("of any Gaussian", _N, h, sp.S.One, mu, mu**2 + sigma**2)
    written = -sp.log(sigma) - (h - mu) ** 2 / (2 * sigma**2)
    other = -sp.log(tau) - (h - nu) ** 2 / (2 * tau**2)
    averaged = _average("", moments, h, written - other, BETWEEN)
    return (
        *logs,
        *moments,
        Proof(
            title="the divergence of a Gaussian from another",
            start=_integral(_N * (sp.log(_N) - sp.log(_O)), h),
            steps=(Step(averaged.start, "shown above", given=_results(*logs)), *averaged.steps),
            conclusion="this is KL(n || o), for any two Gaussians",
        ),
    )


def _standard() -> tuple[Proof, Proof, Proof]:
    """From N(0, 1), by mean and log variance, and both derivatives."""
    half = sp.Rational(1, 2)
    return (
        Proof(
            title="the divergence from N(0, 1): the last line with ν = 0 and τ = 1",
            start=BETWEEN.subs({nu: 0, tau: 1}),
            steps=(
                Step(
                    STANDARD, "definition", "v = log σ² is the log variance", {sigma: sp.exp(v / 2)}
                ),
            ),
        ),
        Proof(
            title="its derivative by the mean",
            start=D(STANDARD, mu),
            steps=(
                Step(
                    half * (D(mu**2, mu) + D(sp.exp(v), mu) - D(v, mu)) + D(-half, mu),
                    "linearity of the derivative",
                ),
                Step(half * D(mu**2, mu), "independence"),
                Step(mu, "chain rule"),
            ),
        ),
        Proof(
            title="its derivative by the log variance",
            start=D(STANDARD, v),
            steps=(
                Step(
                    half * (D(mu**2, v) + D(sp.exp(v), v) - D(v, v)) + D(-half, v),
                    "linearity of the derivative",
                ),
                Step(half * (D(sp.exp(v), v) - D(v, v)), "independence"),
                Step(half * (sp.exp(v) - 1), "chain rule"),
            ),
        ),
    )


#: E[log q(a|x) - log p(a|y, h)] over a and h; and the closed form at h, averaged over h.
TRUE = (
    sp.log(tau / s)
    - sp.Rational(1, 2)
    + ((1 - b * c) ** 2 * (m**2 + s**2) + b**2 * r**2) / (2 * tau**2)
)
_AT_H = BETWEEN.subs({mu: m, sigma: s, nu: b * h}, simultaneous=True)
ANALYTIC = (
    sp.log(tau / s)
    - sp.Rational(1, 2)
    + (s**2 + m**2 * (1 - b * c) ** 2 + b**2 * (c**2 * s**2 + r**2)) / (2 * tau**2)
)
COUPLING = -b * c * s**2 / tau**2
#: The divergence of h given a, averaged over a.
LATENT = (c**2 * (m**2 + s**2) + r**2 - 1) / 2 - sp.log(r)


#: Of h given a, and of a.
_H = _moments("of h given a", _N_H, h, sp.S.One, c * a, c**2 * a**2 + r**2)
_A = _moments("of a", _N_A, a, sp.S.One, m, m**2 + s**2)


def _auxiliary() -> tuple[Proof, ...]:
    """SeqDGM-A in one dimension, the draws of a and h both averaged over."""
    logs = (_log(_N_A, a, m, s), _log(_P, a, b * h, tau))
    first = sp.log(tau) - sp.log(s) - (a - m) ** 2 / (2 * s**2)
    given_a = first + ((1 - b * c) ** 2 * a**2 + b**2 * r**2) / (2 * tau**2)
    at_a = sp.log(tau / s) - sp.Rational(1, 2)
    at_a += (s**2 + (m - b * c * a) ** 2 + b**2 * r**2) / (2 * tau**2)
    written = first + (a - b * h) ** 2 / (2 * tau**2)
    averaged = _average("", _H, h, written, given_a)
    inner = Proof(
        title="log q(a|x) - log p(a|y, h), averaged over h given a",
        start=_integral(_N_H * (sp.log(_N_A) - sp.log(_P)), h),
        steps=(Step(averaged.start, "shown above", given=_results(*logs)), *averaged.steps),
    )
    return (
        *_H,
        *_A,
        *logs,
        inner,
        _average("the last line averaged over a", _A, a, given_a, TRUE),
        _average(
            "the divergence of q(a|x) from p(a|y, h) at h, by the formula for two Gaussians, "
            "averaged over h given a",
            _H,
            h,
            _AT_H,
            at_a,
        ),
        _average("the last line averaged over a as well", _A, a, at_a, ANALYTIC),
    )


def _coupling(true: Proof, analytic: Proof) -> tuple[Proof, Proof]:
    covariance = _average(
        "the covariance of a and h, whose mean is c a given a, and c m over all a",
        _A,
        a,
        (a - m) * (c * a - c * m),
        c * s**2,
    )
    return (
        covariance,
        Proof(
            title="the two differ by a term that couples a and h",
            start=true.start - analytic.start,
            steps=(
                Step(TRUE - ANALYTIC, "shown above", given=_results(true, analytic)),
                Step(COUPLING, "algebra"),
                Step(
                    -b / tau**2 * covariance.start,
                    "shown above",
                    "read from right to left",
                    covariance.shown,
                ),
            ),
            conclusion="that is -(b/τ²) Cov(a, h): the formula draws a anew, as if h did not know "
            "it, so it is right only where h does not read a or p(a|y, h) does not read h",
        ),
    )


_SYMBOLS = {
    "∂f/∂v": "the derivative by the log variance v = log σ²; ∂f/∂μ that by the mean",
    "n, o": "densities of h: of N(μ, σ²), which is q(h|..), and of N(ν, τ²)",
    "nₐ": "q(a|x), the density of N(m, s²) at a",
    "nₕ": "q(h|a), that of N(c a, r²) at h",
    "p": "p(a|y, h), that of N(b h, τ²) at a",
}


@derives("kl.closed_form")
def closed_form() -> Derivation:
    """The divergence of h; and of a, which h is drawn after and p(a|y, h) reads h."""
    auxiliary = _auxiliary()
    *_, true, _, analytic = auxiliary
    at_one = dict.fromkeys((s, r, tau, b, c), sp.S.One) | {m: sp.S.Zero}
    return Derivation(
        claim="kl.closed_form",
        verdict=REFUTED,
        finding="KL(q(h|..) || N(0, I)) is (μ² + σ² - 1 - log σ²)/2 in each dimension; but in "
        "SeqDGM-A the mean of log q(a|x) - log p(a|y, h) is not the mean of KL(q(a|x) || "
        "p(a|y, h)) at the drawn h: that leaves out -(b/τ²) Cov(a, h), where p(a|y, h) is N(b h, "
        "τ²). Only the h part given a has a closed form",
        valid=(
            "every q is a Gaussian with a diagonal covariance, so that dimensions add up",
            "in the parts with a: the mean of q(h|a) is c a and that of p(a|y, h) is b h. With "
            "networks in place of these the mean of log p(a|y, h) has no closed form in general",
        ),
        symbols=_SYMBOLS,
        parts=(
            *_divergence(),
            *_standard(),
            *auxiliary,
            *_coupling(true, analytic),
            _average(
                "the divergence of h from N(0, 1) given a is closed, and so is its mean here",
                _A,
                a,
                BETWEEN.subs({mu: c * a, sigma: r, nu: 0, tau: 1}),
                LATENT,
            ),
            Counterexample(
                title="the formula for a at a sampled h has the right mean",
                setting="m = 0 and s = r = τ = b = c = 1: log q(a|x) and log p(a|y, h) have one "
                "mean, since a and a - h are both N(0, 1); the formula at h gives h²/2, whose mean "
                "is Var(h)/2 = 1",
                claimed=ANALYTIC,
                actual=TRUE,
                at=at_one,
            ),
        ),
        oracle=Oracle(STANDARD, {"mean": mu, "log_variance": v}, index=()),
        further=_formulas(),
        infinite_labels="Nothing here is about y: the same for every label.",
        reference="Kingma and Welling (2014), Auto-encoding variational Bayes, appendix B, for h",
    )


def _formulas() -> dict[str, Oracle]:
    """What else was derived, with log variances for spreads."""
    arguments = {
        "mean": mu,
        "log_variance": sp.Symbol("v", real=True),
        "other_mean": nu,
        "other_log_variance": sp.Symbol("v_o", real=True),
    }
    coupled = {
        "a_mean": m,
        "a_log_variance": sp.Symbol("v_a", real=True),
        "slope": c,
        "h_log_variance": sp.Symbol("v_h", real=True),
        "back": b,
        "p_log_variance": sp.Symbol("v_p", real=True),
    }

    def oracle(
        formula: sp.Expr, names: dict[str, sp.Expr], spreads: dict[sp.Symbol, str]
    ) -> Oracle:
        by_log_variances = formula.xreplace(
            {spread: sp.exp(names[name] / 2) for spread, name in spreads.items()}
        )
        free = by_log_variances.free_symbols
        used = {name: node for name, node in names.items() if node in free}
        return Oracle(sp.expand_log(by_log_variances), used, index=())

    spreads = {s: "a_log_variance", r: "h_log_variance", tau: "p_log_variance"}
    return {
        "by_mean": Oracle(mu, {"mean": mu}, index=()),
        "by_log_variance": Oracle((sp.exp(v) - 1) / 2, {"log_variance": v}, index=()),
        "between": oracle(BETWEEN, arguments, {sigma: "log_variance", tau: "other_log_variance"}),
        "auxiliary": oracle(TRUE, coupled, spreads),
        "auxiliary_at_h": oracle(ANALYTIC, coupled, spreads),
        "coupling": oracle(COUPLING, coupled, spreads),
        "latent": oracle(LATENT, coupled, spreads),
    }
