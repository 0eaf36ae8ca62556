"""What is advised where a continuous draw of JAX is refused has the same law, by sampling both."""

import numpy as np
import pytest

from gradproof import UnsupportedDraw, check_estimator
from gradproof.estimators.enumeration.frameworks.jax_functions import INSTEAD

pytestmark = pytest.mark.libraries

P = np.array([0.2, 0.5, 0.3])

#: Samples; a frequency beyond SIGMAS standard deviations is a false alarm once in 1e8 comparisons.
SAMPLES, SIGMAS = 20_000, 5.7


@pytest.fixture
def jax(library):
    """JAX, or nothing is tested."""
    return library("jax")


def pairs(jax):
    """What is written with a continuous draw, what is advised, and the probabilities of both."""
    numpy, random, two = jax.numpy, jax.random, np.array([1.0 - P[0], P[0]])
    odds, logits, rates = np.log(P[0] / (1.0 - P[0])), np.log(P) + 1.0, 4.0 * P
    coin = [lambda key: random.bernoulli(key, P[0]), two]
    return {
        "jax.random.uniform": [
            [lambda key: random.uniform(key) < P[0], *coin],
            [
                lambda key: numpy.searchsorted(np.cumsum(P), random.uniform(key)),
                lambda key: random.choice(key, 3, p=numpy.asarray(P)),
                P,
            ],
        ],
        "jax.random.gumbel": [
            [
                lambda key: numpy.argmax(logits + random.gumbel(key, (3,))),
                lambda key: random.categorical(key, numpy.asarray(logits)),
                P,
            ]
        ],
        "jax.random.exponential": [
            [
                lambda key: numpy.argmin(random.exponential(key, (3,)) / rates),
                lambda key: random.categorical(key, numpy.log(rates)),
                P,
            ]
        ],
        "jax.random.logistic": [[lambda key: odds + random.logistic(key) > 0.0, *coin]],
    }


@pytest.mark.parametrize("name", INSTEAD)
def test_what_is_advised_has_the_same_law(name, jax):
    """Both by their own samples, against the probabilities in closed form."""
    written = pairs(jax)
    assert written.keys() == INSTEAD.keys()
    for *codes, known in written[name]:
        for code in codes:
            keys = jax.random.split(jax.random.key(3), SAMPLES)
            drawn = np.asarray(jax.vmap(code)(keys)).astype(int)
            seen = np.bincount(drawn, minlength=len(known)) / SAMPLES
            assert (abs(seen - known) <= SIGMAS * np.sqrt(known * (1.0 - known) / SAMPLES)).all()


@pytest.mark.parametrize("name", INSTEAD)
def test_both_hold_and_what_is_compiled_for_devices_is_refused(name, jax):
    """The refusal says what to write instead, and that is enumerated."""
    for first, second, known in pairs(jax)[name]:
        key = jax.random.key(0)

        def estimate(code, key=key, known=known):
            return np.eye(len(known))[int(code(key))]

        on_devices = jax.pmap(first)
        with pytest.raises(UnsupportedDraw) as refused:
            check_estimator(lambda: estimate(on_devices, key[None]), exact=known)  # noqa: B023
        assert f"{name} is an unsupported draw" in str(refused.value)
        assert INSTEAD[name] in str(refused.value)
        # JAX's probabilities are in single precision.
        for code in (first, jax.jit(first), second):
            report = check_estimator(lambda: estimate(code), exact=known, exact_error=1e-6)  # noqa: B023
            assert (report.verdict, report.paths) == ("holds", len(known))
