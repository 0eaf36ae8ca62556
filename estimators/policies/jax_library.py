"""What a policy needs of JAX, whose models are functions of their parameters and of tokens."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from ..enumeration.estimator import takes
from ..enumeration.gradients import arrays_by_name
from .completions import Completions
from .model_library import CompletionPolicy, Loss, check_loss_value

#: An array of JAX.
Array = Any


def has_arrays(parameters: Any) -> bool:
    """Whether parameters are arrays of JAX, or a pytree that has some.

    Arrays of NumPy will do, where JAX has been imported: it takes them for its own.
    """
    jax: Any = sys.modules.get("jax")
    if jax is None or parameters is None:
        return False
    leaves = jax.tree_util.tree_leaves(parameters)
    return any(isinstance(leaf, jax.Array | np.ndarray) for leaf in leaves)


class JaxLibrary:
    """JAX; see the protocol for what each returns."""

    name, array, returns, lifts = "JAX", "an array of JAX", "gradient", False

    def call(self, model: Any, parameters: Any, prefixes: Array) -> Any:
        """See the protocol.

        Raises:
            ValueError: where JAX computes in single precision.
        """
        import jax.numpy as jnp

        if jnp.result_type(float) != np.float64:
            raise ValueError(
                "jax_enable_x64 is off, so that JAX computes in single precision, where exact "
                'goals are not exact: call jax.config.update("jax_enable_x64", True) before the '
                "parameters are made"
            )
        return model(parameters, jnp.asarray(prefixes))

    def is_floating(self, value: Any) -> bool:
        """See the protocol."""
        return _is_floating(value)

    def double(self, array: Array) -> Array:
        """See the protocol."""
        import jax.numpy as jnp

        return jnp.asarray(array, dtype=jnp.float64)

    def held(self, array: Array) -> Any:
        """See the protocol."""
        import jax

        held = jax.lax.stop_gradient(array)
        return held if isinstance(held, jax.core.Tracer) else np.asarray(held)

    def numpy(self, held: Any) -> Any:
        """See the protocol."""
        import jax.numpy as jnp

        return np if isinstance(held, np.ndarray) else jnp

    def constant(self, array: np.ndarray) -> Array:
        """See the protocol."""
        import jax.numpy as jnp

        return jnp.asarray(array)

    def added_up(self, rows: Array, places: Array, count: int) -> Array:
        """See the protocol."""
        import jax.numpy as jnp

        return jnp.zeros((count, rows.shape[1])).at[places].add(rows)

    def where(self, condition: Any, array: Array, other: float) -> Array:
        """See the protocol."""
        import jax.numpy as jnp

        return jnp.where(condition, array, other)

    def exp(self, array: Array) -> Array:
        """See the protocol."""
        import jax.numpy as jnp

        return jnp.exp(array)

    def log_softmax(self, array: Array) -> Array:
        """See the protocol."""
        import jax

        return jax.nn.log_softmax(array, axis=-1)

    def concatenate(self, arrays: list[Array]) -> Array:
        """See the protocol."""
        import jax.numpy as jnp

        return jnp.concatenate(arrays)

    def without_graph(self) -> AbstractContextManager[Any]:
        """See the protocol: outside of ``jax.grad`` there is none."""
        return contextlib.nullcontext()

    def gradient(self, total: Callable[[Any], Array], parameters: Any) -> dict[str, np.ndarray]:
        """See the protocol; what is no floating-point array among the parameters is held."""
        import jax

        def moved(given: Any) -> Array:
            value = total(given)
            if not isinstance(value, jax.core.Tracer):
                raise ValueError(
                    "no parameter moves the goal: the model's logits do not depend on its first "
                    "argument; is there a stop_gradient in it, or does it use other parameters?"
                )
            return value

        return _by_name(jax.grad, moved, parameters)

    exact_gradient = gradient  # parameters are in double precision, or as they were wanted

    def scores(self, policy: CompletionPolicy, prefixes: list[np.ndarray]) -> dict[str, np.ndarray]:
        """See the protocol."""
        import jax
        import jax.numpy as jnp

        def flat(parameters: Any) -> Array:
            moved = policy.at(parameters)
            return jnp.concatenate([moved.next_log_probs(each).reshape(-1) for each in prefixes])

        return _by_name(jax.jacrev, flat, policy.parameters)

    def count(self, parameters: Any) -> int:
        """See the protocol."""
        import jax

        return sum(
            leaf.size for leaf in jax.tree_util.tree_leaves(parameters) if _is_floating(leaf)
        )

    def derivative(self, loss: Loss, *given: Array) -> Array:
        """See the protocol."""
        import jax

        return jax.grad(self._number(loss))(*given)

    def derivatives(self, loss: Loss, *given: Array) -> Array:
        """See the protocol."""
        import jax

        return jax.vmap(jax.grad(self._number(loss)))(*given)

    def _number(self, loss: Loss) -> Loss:
        """A loss without axes, as ``jax.grad`` wants it."""

        def number(*given: Array) -> Array:
            value = loss(*given)
            check_loss_value(self, value)
            return value.sum()

        return number

    def reaches(self, loss: Loss, parameters: Any, *given: Array) -> bool:
        """See the protocol: what is no argument is a constant, which ``jax.grad`` does not see."""
        check_loss_value(self, loss(*given))
        return False

    def parameters(self, model: Any, parameters: Any) -> Any:
        """See the protocol."""
        import jax

        leaves = jax.tree_util.tree_leaves(parameters)
        if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
            raise TypeError(
                "parameters= are traced, as under jax.jit or jax.grad, and have no numbers: make "
                "the policy outside, and take policy.at(parameters) inside"
            )
        if not any(map(_is_floating, leaves)):
            raise TypeError(
                f"parameters = {parameters!r:.60}, in which there is no array of floating-point "
                "numbers: pass the pytree that the model is differentiated by"
            )
        if not takes(model, (parameters, None)):
            raise TypeError(
                f"model = {model!r:.60}, expected a function of (parameters, tokens), such as "
                "flax's apply, or lambda module, tokens: jax.vmap(module)(tokens)"
            )
        return parameters

    def moved(self, policy: CompletionPolicy, parameters: Any) -> Any:
        """See the protocol."""
        import jax

        ours, theirs = map(jax.tree_util.tree_structure, (policy.parameters, parameters))
        if ours != theirs:
            raise ValueError(
                f"the parameters are a {theirs!s:.80}, and the policy's a {ours!s:.80}: pass "
                "a pytree of the same structure"
            )
        return parameters

    def as_model(self, reference: Any) -> Any:
        """See the protocol."""
        if not takes(reference, (None,)):
            raise TypeError(
                f"reference = {reference!r:.60}, which cannot be called with tokens alone: bind "
                "its parameters (lambda tokens: model(parameters, tokens)), or pass a policy, such "
                "as policy.at(parameters)"
            )
        return OfTokens(reference)

    def sample(self, policy: CompletionPolicy, count: int, prompt: int, key: Any) -> Completions:
        """See the protocol; by ``jax.random.categorical``, also under ``jit``.

        Shapes are fixed. What has ended draws the token that ends again, which is certain then.
        """
        import jax
        import jax.numpy as jnp

        if key is None:
            raise TypeError(
                "key = None, and the policy is of JAX: pass key=, such as jax.random.key(0), or "
                "what jax.random.split made of the key among the inputs"
            )
        # Before the model is run, so that nothing is traced for a derivative that is not wanted.
        policy = policy.at(jax.tree_util.tree_map(_without_graph, policy.parameters))
        padding = min(policy.ends, default=0)
        certain = jnp.where(jnp.arange(policy.vocabulary) == padding, 0.0, -jnp.inf)
        tokens = jnp.zeros((count, 0), dtype=jnp.int64)
        alive, mask = jnp.ones(count, dtype=bool), []
        for step in jax.random.split(key, policy.longest):
            log_probs = policy.next_log_probs(_prefixes(policy, prompt, tokens, alive))
            drawn = jax.random.categorical(step, jnp.where(alive[:, None], log_probs, certain))
            tokens = jnp.concatenate([tokens, drawn[:, None]], axis=1)
            mask.append(alive)
            alive = alive & ~jnp.isin(drawn, jnp.asarray(sorted(policy.ends), dtype=jnp.int64))
        return Completions(prompt, tokens, jnp.stack(mask, axis=1).astype(jnp.float64))

    def log_probs(self, policy: CompletionPolicy, completions: Completions) -> Array:
        """See the protocol; also under ``jit``."""
        import jax.numpy as jnp

        tokens, mask = jnp.asarray(completions.tokens), jnp.asarray(completions.mask)
        columns = []
        for step in range(policy.longest):
            alive = mask[:, step] > 0.0
            prefixes = _prefixes(policy, completions.prompt, tokens[:, :step], alive)
            # A row that has ended reads some token that can come, whatever its padding is.
            rows = policy.next_log_probs(prefixes)
            place = jnp.where(alive, tokens[:, step], rows.argmax(axis=1))
            chosen = jnp.take_along_axis(rows, place[:, None], axis=1)[:, 0]
            columns.append(jnp.where(alive, chosen, 0.0))
        return jnp.stack(columns, axis=1)


def _prefixes(policy: CompletionPolicy, prompt: int, tokens: Array, alive: Array) -> Array:
    """Prompt and tokens, (N, L); for rows that have ended one that has not, so that it may come."""
    import jax.numpy as jnp

    going_on = next((each for each in range(policy.vocabulary) if each not in policy.ends), 0)
    tokens = jnp.where(alive[:, None], tokens, going_on)
    start = jnp.asarray(policy.prompts[prompt], dtype=jnp.int64)
    return jnp.concatenate([jnp.broadcast_to(start, (len(tokens), len(start))), tokens], axis=1)


@dataclasses.dataclass(frozen=True)
class OfTokens:
    """A function of tokens alone, in the place of one of parameters and tokens."""

    function: Callable[[Array], Any]

    def __call__(self, parameters: Any, tokens: Array) -> Any:
        """What it returns for these tokens."""
        del parameters
        return self.function(tokens)


def _by_name(
    derivative: Callable[..., Any], function: Callable[[Any], Array], parameters: Any
) -> dict[str, np.ndarray]:
    """A derivative by floating-point arrays alone, by the names of these.

    The names are those that check_estimator gives what jax.grad returns: of the same tree.

    Args:
        derivative: such as ``jax.grad``.
    """
    import jax

    leaves, tree = jax.tree_util.tree_flatten(parameters)
    places = [place for place, leaf in enumerate(leaves) if _is_floating(leaf)]

    def of_floating(values: list[Array]) -> Array:
        given = dict(zip(places, values, strict=True))
        return function(tree.unflatten([given.get(n, leaf) for n, leaf in enumerate(leaves)]))

    found = derivative(of_floating)([leaves[place] for place in places])
    values = dict(zip(places, found, strict=True))
    named = arrays_by_name(tree.unflatten([values.get(n) for n in range(len(leaves))]))
    return {name: each for name, each in named.items() if each is not None}


def _without_graph(leaf: Any) -> Any:
    import jax

    return jax.lax.stop_gradient(leaf) if _is_floating(leaf) else leaf


def _is_floating(value: Any) -> bool:
    """Whether something is an array of floating-point numbers, of JAX or NumPy."""
    import jax

    if not isinstance(value, jax.Array | np.ndarray):
        return False
    return bool(jax.numpy.issubdtype(value.dtype, jax.numpy.floating))
