"""Whatever holds whatever: after any changes every object is again what it was."""

import types
from collections import OrderedDict, deque

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gradproof.estimators.enumeration.state import Snapshot


def build(draw, depth=3):
    """A graph of containers, arrays and objects, which may hold each other more than once."""
    made = []

    def value(left):
        kind = draw(st.integers(0, 9 if left else 2))
        if kind == 9 and made:
            return draw(st.sampled_from(made))
        if kind <= 2:
            return draw(st.sampled_from([0, 1.5, "a", None, float("nan"), (1, 2)]))
        size = draw(st.integers(0, 3))
        held = [value(left - 1) for _ in range(size if kind not in (6, 7) else 0)]
        new = {
            3: lambda: list(held),
            4: lambda: dict(enumerate(held)),
            5: lambda: deque(held),
            6: lambda: set(range(size)),
            7: lambda: np.arange(float(size)),
            8: lambda: types.SimpleNamespace(**{f"a{n}": each for n, each in enumerate(held)}),
            9: lambda: OrderedDict(enumerate(held)),
        }[kind]()
        made.append(new)
        return new

    root = [value(depth) for _ in range(3)]
    return root, [root, *made]


def change(draw, target, others):
    """Some change of a thing in place."""
    new = draw(st.one_of(st.integers(), st.just([1]), st.sampled_from(others)))
    if isinstance(target, list | deque):
        draw(
            st.sampled_from(
                [
                    lambda: target.append(new),
                    lambda: target.clear(),
                    lambda: target.reverse(),
                    lambda: target and target.pop(),
                ]
            )
        )()
    elif isinstance(target, dict):
        draw(
            st.sampled_from(
                [
                    lambda: target.update({draw(st.integers(0, 3)): new}),
                    lambda: target.clear(),
                    lambda: target and target.update({next(iter(target)): new}),
                    lambda: target and target.setdefault("z", target.pop(next(iter(target)))),
                ]
            )
        )()
    elif isinstance(target, set):
        draw(st.sampled_from([lambda: target.add(len(target)), target.clear]))()
    elif isinstance(target, np.ndarray):
        target += draw(st.sampled_from([0.0, 1.0, np.nan]))
    else:
        vars(target)[draw(st.sampled_from(["a0", "new"]))] = new


def picture(made):
    """What each of the things holds, by identity."""
    found = []
    for each in made:
        if isinstance(each, np.ndarray):
            found.append(each.tobytes())
        elif isinstance(each, dict):
            found.append([(key, id(value)) for key, value in each.items()])
        elif isinstance(each, types.SimpleNamespace):
            found.append([(key, id(value)) for key, value in vars(each).items()])
        elif isinstance(each, set):
            found.append(sorted(each))
        else:
            found.append([id(value) for value in each])
    return found


@given(st.data())
def test_any_graph_is_put_back(data):
    """Whatever is held by whatever, and however it is changed, every object is again what it was.

    Between two runs only what they changed is looked at; names are given where there is a change.
    """
    root, made = build(data.draw)
    state = Snapshot(root)
    before = picture(made)
    for _ in range(data.draw(st.integers(1, 3))):
        for _ in range(data.draw(st.integers(0, 4))):
            change(data.draw, data.draw(st.sampled_from(made)), made)
        moved = picture(made) != before
        names = state.changes()
        assert moved or not names
        state.restore_state()
        assert picture(made) == before
        assert state.changes() == ()
