"""The states of a user's baseline: fresh, after updates, and stored and read again."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gradproof.estimators.backends.autograd_backend import AutogradOps
from gradproof.estimators.baselines.custom import (
    BaselineError,
    CustomBaseline,
    copied,
    in_torch,
    like,
)
from gradproof.estimators.baselines.noise import is_generator, seeded
from gradproof.estimators.baselines.outside import same
from gradproof.estimators.baselines.protocol import BaselineBatch, plain
from gradproof.estimators.user_code import blame
from gradproof.reference_models.tabular import mean_embedding

from .study import Study

#: After each of so many updates a baseline is looked at, and then ever more rarely.
EACH = 32
LOOKS = (
    *range(EACH + 1), 40, 50, 51, 64, 80, 100, 101, 128, 160, 200, 256, 320, 400, 500, 640, 800,
    1000,
)  # fmt: skip

#: Updates by default: a leak that begins later is not seen, and the report says so.
UPDATES = LOOKS[-1]

#: After so many it is stored and read again, and goes on for a while.
RESUMED_AFTER, GOES_ON = (0, 5), 5

#: Histories that no model wrote: what losses are multiplied by.
UNUSUAL = {"negative losses": -1.0, "large losses": 1e3, "losses near zero": 1e-3}

#: Updates on each of those.
UNUSUAL_UPDATES = 20


@dataclasses.dataclass(frozen=True, eq=False)
class BaselineState:
    """A baseline after some updates.

    ``usual`` where it learned from the model's losses alone; ``later`` after an update.
    """

    own: CustomBaseline
    name: str
    later: bool = False
    usual: bool = True


def sentences(study: Study, losses: np.ndarray) -> BaselineBatch:
    """What a baseline reads, as arrays."""
    batch = study.subject.batch
    tokens, mask = plain(batch.tokens), plain(batch.mask)
    mean = mean_embedding(AutogradOps(), study.subject.parameters, batch)
    return BaselineBatch(tokens, mask, mask.sum(axis=1), mean, losses)


def learns(own: CustomBaseline, study: Study) -> bool:
    """Whether a step changes the baseline: it has an update or a fit, or changes in a call."""
    function = own.function
    return any(hasattr(function, name) for name in ("update", "fit")) or bool(
        changed_in_call(own, study)
    )


def changed_in_call(own: CustomBaseline, study: Study) -> list[str]:
    """The attributes that a call changes, generators left out."""
    function = copied(own.function, own.name)
    if not hasattr(function, "__dict__"):
        return []
    before = copy.deepcopy(vars(function))
    losses = study.reference.loss[:, 0]
    _call(dataclasses.replace(own, function=function), sentences(study, losses))
    after = vars(function)
    return sorted(
        name
        for name in {*before, *after}
        if not is_generator(after.get(name)) and not same(before.get(name), after.get(name))
    )


def _copy(x: BaselineBatch) -> BaselineBatch:
    return BaselineBatch(
        **{field.name: np.array(getattr(x, field.name)) for field in dataclasses.fields(x)}
    )


def _call(own: CustomBaseline, x: BaselineBatch, seed: int = 0) -> None:
    """Call the function itself, and no copy of it, as a step of training does."""
    given = _copy(x)
    with blame(own.function, f"baseline {own.name!r}", BaselineError), seeded(own.function, seed):
        own.function(in_torch(given) if own.torch else given)


def after_updates(
    own: CustomBaseline, study: Study, updates: int, *, scale: float = 1.0
) -> Iterator[CustomBaseline]:
    """The baseline after each of so many steps on draws of its own: call, update, fit.

    It is one object, which goes on learning; who keeps it copies it.

    Args:
        scale: what the losses are multiplied by.

    Raises:
        BaselineError: if it raises anything.
    """
    function, rng = copied(own.function, own.name), study.rng()
    learning = dataclasses.replace(own, function=function)
    known, rows = study.reference, np.arange(study.subject.batch.n)
    read = sentences(study, known.loss[:, 0])
    for step in range(updates):
        labels = np.array([rng.choice(len(q), p=q / q.sum()) for q in known.probability])
        losses = scale * known.loss[rows, labels]
        _call(learning, dataclasses.replace(read, losses=losses), seed=step)
        for name, of in (("update", losses), ("fit", losses + known.log_q[rows, labels] + 1.0)):
            learn = getattr(function, name, None)
            if learn is None:
                continue
            x = _copy(dataclasses.replace(read, losses=losses))
            x = in_torch(x) if own.torch else x
            what = f"{name} of baseline {own.name!r}"
            with blame(function, what, BaselineError), seeded(function, step):
                learn(x, like(of, x.losses) if own.torch else np.array(of))
        yield learning


def learned(own: CustomBaseline, study: Study, steps: int) -> CustomBaseline:
    """The baseline after some steps on draws of its own.

    Raises:
        BaselineError: if it raises anything.
    """
    for learning in after_updates(own, study, steps):
        own = learning
    return own


def states(fresh: CustomBaseline, study: Study, updates: int) -> list[BaselineState]:
    """The states that a baseline is looked at in, the fresh one first.

    Raises:
        BaselineError: if an update raises anything.
    """
    made = [BaselineState(fresh, "fresh")]
    made += _resumed(fresh, fresh, 0)
    if not learns(fresh, study):
        return made
    for step, learning in enumerate(after_updates(fresh, study, updates), start=1):
        if step in LOOKS or step == updates:
            kept = _kept(learning)
            made.append(BaselineState(kept, _after(step), later=True))
            if step in RESUMED_AFTER:
                for state in _resumed(fresh, kept, step):
                    made.append(state)
                    going_on = _kept(learned(state.own, study, GOES_ON))
                    name = f"{state.name}, and after {GOES_ON} more"
                    made.append(BaselineState(going_on, name, later=True))
    for what, scale in UNUSUAL.items():
        # What cannot learn from losses that no model has is not the worse for it.
        with contextlib.suppress(BaselineError):
            steps = min(UNUSUAL_UPDATES, updates)
            *_, last = after_updates(fresh, study, steps, scale=scale)
            name = f"{_after(steps)} on {what}"
            made.append(BaselineState(last, name, later=True, usual=False))
    return made


def _after(updates: int) -> str:
    return f"after {updates:,} update{'s' * (updates > 1)}"


def _kept(own: CustomBaseline) -> CustomBaseline:
    return dataclasses.replace(own, function=copied(own.function, own.name))


def _resumed(fresh: CustomBaseline, own: CustomBaseline, updates: int) -> list[BaselineState]:
    """The baseline stored and read: by pickle, and by state_dict if it has that."""
    ways: dict[str, Callable[[], Any]] = {
        "pickle": lambda: pickle.loads(pickle.dumps(own.function))
    }
    if hasattr(own.function, "state_dict") and hasattr(own.function, "load_state_dict"):
        ways["state_dict"] = lambda: _read_state(fresh, own)
    made = []
    for way, read in ways.items():
        # A function made in a function cannot be pickled, and so is never resumed this way.
        with contextlib.suppress(Exception):
            name = f"{_after(updates)}, " if updates else ""
            function = read()
            if function is not own.function:
                state = dataclasses.replace(own, function=function)
                name = f"{name}resumed by {way}"
                made.append(BaselineState(state, name, later=updates > 0))
    return made


def _read_state(fresh: CustomBaseline, own: CustomBaseline) -> Any:
    function: Any = copied(fresh.function, fresh.name)
    learned_: Any = own.function
    function.load_state_dict(copy.deepcopy(learned_.state_dict()))
    return function
