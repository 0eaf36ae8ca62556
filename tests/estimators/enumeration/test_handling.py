"""Handlers: put on once, asked in the thread and context of a run only, and taken off again."""

import os
import random
import threading

import numpy as np
import pytest

from gradproof import check_estimator
from gradproof.estimators.enumeration.enumeration import run_at
from gradproof.estimators.enumeration.handling import Handling
from gradproof.estimators.enumeration.run import (
    NotReproducible,
    Run,
    SampledRun,
    TooManyPaths,
    UnsupportedDraw,
    paths,
)

RNG = np.random.default_rng()


def coin():
    """A fair one."""
    return int(RNG.integers(2))


def looked_up():
    """What stands where handlers are put."""
    generator, state = np.random.Generator, np.random.RandomState
    return (
        {name: vars(generator)[name] for name in ("choice", "integers", "random", "normal")},
        {name: vars(state)[name] for name in ("choice", "randint", "seed")},
        {name: getattr(np.random, name) for name in ("choice", "rand", "seed", "normal")},
        {name: getattr(random, name) for name in ("random", "choice", "seed", "gauss")},
        vars(random.Random).get("random"),
        os.urandom,
    )


def test_handlers_are_there_while_they_are_needed_only():
    """Also one inside the other, and after an error."""
    before = looked_up()
    with Handling(coin):
        assert looked_up() != before
        with Handling(coin):
            pass
        assert looked_up() != before
    assert looked_up() == before
    with pytest.raises(KeyError), Handling(coin):
        raise KeyError
    assert looked_up() == before


def test_another_thread_draws_as_ever():
    """It is asked for nothing, it disturbs nothing, and its draws are not put back."""
    drawn, stop = [], threading.Event()

    def elsewhere():
        own = np.random.default_rng(3)
        while not stop.is_set():
            drawn.append((int(own.integers(10)), random.random(), np.random.rand()))  # noqa: NPY002
            stop.wait(0.0002)

    def estimate(theta):
        stop.wait(0.001)
        return theta * 2.0 * sum(coin() for _ in range(3)) / 3.0

    thread = threading.Thread(target=elsewhere)
    thread.start()
    try:
        assert check_estimator(estimate, [np.ones(1)], exact=np.ones(1)).unbiased
    finally:
        stop.set()
        thread.join()
    assert len({each[1:] for each in drawn}) == len(drawn) > 2
    expected = np.random.default_rng(3)
    assert [each[0] for each in drawn] == [int(expected.integers(10)) for _ in drawn]


def test_an_enumeration_may_run_inside_of_another():
    """Each has its own runs."""

    def outer():
        first = coin()
        with Handling(coin) as inside:
            inner = [path.value for path in paths(coin, inside.perform)]
        return first, tuple(inner), coin()

    with Handling(outer) as handling:
        found = [path.value for path in paths(outer, handling.perform)]
    assert found == [(a, (0, 1), b) for a in (0, 1) for b in (0, 1)]


def test_what_a_module_draws_when_it_is_imported_is_no_draw_of_the_run(tmp_path, monkeypatch):
    """It is imported once, and not on every path."""
    (tmp_path / "draws_when_imported.py").write_text("import random\nX = random.randrange(10**9)\n")
    monkeypatch.syspath_prepend(tmp_path)

    def run():
        import draws_when_imported

        return coin() + 0 * draws_when_imported.X

    with Handling(run) as handling:
        assert [path.value for path in paths(run, handling.perform)] == [0, 1]


def test_a_refusal_that_is_caught_or_wrapped_is_one():
    """Whatever becomes of it, it is what comes out."""

    def caught():
        try:
            return float(RNG.normal())
        except UnsupportedDraw:
            return 0.0

    def wrapped():
        try:
            return float(RNG.normal())
        except UnsupportedDraw as error:
            raise KeyError("of a framework's own") from error

    for code in (caught, wrapped):
        with pytest.raises(UnsupportedDraw, match=r"Generator\.normal"), Handling(code) as handling:
            handling.perform(code, Run())


def test_too_many_outcomes_are_known_before_any_is_listed():
    """A seed that is drawn, a large binomial, a loop without end."""
    for code in (
        lambda: RNG.integers(2**62),
        lambda: RNG.binomial(10**9, 0.5),
        lambda: RNG.choice(10**12),
        lambda: [None for _ in iter(coin, 2)],
    ):
        with pytest.raises(TooManyPaths), Handling(code) as handling:
            handling.perform(code, Run(most=100))


def test_a_run_that_samples_draws_and_sees_how_rare_outcomes_are():
    """Draws of which that is not known are named."""

    def code():
        return int(RNG.choice(3, p=[0.9, 0.099, 0.001])), coin()

    run = SampledRun()
    with Handling(code) as handling:
        found = {handling.perform(code, SampledRun()) for _ in range(64)}
        handling.perform(code, run)
    assert len(found) > 1  # two coins that never differ in 64 runs: once in 2**63
    assert run.rarest == 0.001
    assert not run.unknown
    with Handling(RNG.normal) as handling:
        handling.perform(RNG.normal, run)
    assert list(run.unknown) == ["Generator.normal draws numbers whose use is not known"]


def test_outcomes_may_be_given_by_number():
    """As a failing test prints them."""

    def code(labels):
        return int(RNG.choice(labels)), coin()

    assert run_at(code, [5], outcomes=[3, 1]) == (3, 1)
    assert run_at(code, [5], outcomes=[4]) == (4, 0)
    with pytest.raises(ValueError, match="outcome 5 is given for draw 1"):
        run_at(code, [5], outcomes=[5])


def test_code_that_is_not_reproducible_is_an_error():
    """With what is said of the draw before and now."""
    sizes = iter([2, 3, 2])
    code = lambda: RNG.integers(next(sizes))  # noqa: E731
    with pytest.raises(NotReproducible, match="draw 1 was"), Handling(code) as handling:
        list(paths(code, handling.perform))


def test_all_that_is_to_be_done_at_the_end_of_a_run_is_done():
    """Whatever one of it raises; and the frameworks have left the run."""
    done, run = [], Run()

    def code():
        run.at_end.callback(done.append, "first")
        run.at_end.callback(int, "not a number")
        run.at_end.callback(done.append, "last")

    with Handling(code) as handling:
        with pytest.raises(ValueError, match="not a number"):
            handling.perform(code, run)
        assert done == ["last", "first"]
        assert run.over
        assert handling.perform(coin, Run()) == 0  # as ever
