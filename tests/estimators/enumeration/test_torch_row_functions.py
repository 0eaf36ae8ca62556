"""Functions of PyTorch come to the same for many paths as for one, or are refused."""

import numpy as np
import pytest

from gradproof.estimators.enumeration import run as runs
from gradproof.estimators.enumeration.block import BlockRun, OtherRows, Rows

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

DOUBLE = torch.float64
ONES = torch.ones(2, dtype=DOUBLE)
HALF = torch.tensor([0.5, 1.5], dtype=DOUBLE)
F = torch.nn.functional


def written(x, at, value):
    """A copy, written to."""
    x = x * 1.0
    x[at] = value
    return x


def sentence(x):
    """Two rows of logits."""
    return x.reshape(1, 6).expand(2, 6)


#: Of six numbers x, and two places i that are drawn. Those that are a function of places, those
#: whose derivative depends on which of equal numbers is the largest, those that are no number.
FUNCTIONS = {
    "index": lambda x, i: x[i],
    "index one": lambda x, i: x[i[0]],
    "index two": lambda x, i: x.reshape(2, 3)[i[0], i[1]],
    "index after a slice": lambda x, i: x.reshape(2, 3)[:, i[0]],
    "index and mask": lambda x, i: x.reshape(2, 3)[torch.tensor([True, False]), i[0]],
    "index and list": lambda x, i: x.reshape(2, 3)[i[0], [0, 1]],
    "index_select": lambda x, i: x.index_select(0, i),
    "gather": lambda x, i: x.gather(0, i),
    "take": lambda x, i: x.take(i),
    "take_along_dim": lambda x, i: torch.take_along_dim(x, i, 0),
    "index_add": lambda x, i: x.index_add(0, i, ONES),
    "index_copy": lambda x, i: x.index_copy(0, i, HALF),
    "index_fill": lambda x, i: x.index_fill(0, i, 2.0),
    "index_put": lambda x, i: x.index_put((i,), ONES, accumulate=True),
    "put": lambda x, i: x.put(i, ONES),
    "scatter": lambda x, i: x.scatter(0, i, 3.0),
    "scatter_add": lambda x, i: x.scatter_add(0, i, ONES),
    "write": lambda x, i: written(x, i, 2.0),
    "write one": lambda x, i: written(x, i[0], 2.0),
    "select_scatter": lambda x, i: x.select_scatter(3.0 * x[0], 0, 2) * x[i[0]],
    "embedding": lambda x, i: F.embedding(i, x[:, None]),
    "padding": lambda x, i: F.embedding(i, x[:, None], padding_idx=1),
    "padding from the end": lambda x, i: F.embedding(i, x[:, None], padding_idx=-1),
    "plain padding": lambda x, i: torch.embedding(x[:, None], i, 1),
    "bag": lambda x, i: F.embedding_bag(i[None], x[:, None], mode="sum", padding_idx=1),
    "one_hot": lambda x, i: F.one_hot(i, 6).double() @ x,
    "cross entropy": lambda x, i: F.cross_entropy(sentence(x), i),
    "cross entropy, ignored": lambda x, i: F.cross_entropy(sentence(x), i, ignore_index=3),
    "cross entropy, smoothed": lambda x, i: F.cross_entropy(sentence(x), i, label_smoothing=0.1),
    "nll_loss": lambda x, i: F.nll_loss(sentence(x), i, ignore_index=0),
    "margin": lambda x, i: F.multi_margin_loss(sentence(x), i),
    "divide": lambda x, i: x * (6 // i).double().sum(),
    "max": lambda x, i: x[i].max(),
    "min": lambda x, i: torch.min(x[i]),
    "max of rows": lambda x, i: x[i].max(0)[0],
    "min of two": lambda x, i: torch.min(x[i[0]], x[i[1]]),
    "amax": lambda x, i: x[i].amax(),
    "median": lambda x, i: x[i].median(),
    "nanmedian": lambda x, i: torch.nanmedian(x[i]),
    "median of rows": lambda x, i: x[i].median(0)[0],
    "sort": lambda x, i: x[i].sort()[0] * HALF,
    "topk": lambda x, i: x[i].topk(1)[0],
    "kthvalue": lambda x, i: x[i].kthvalue(1)[0],
    "mode": lambda x, i: x[i].mode()[0],
    "cummax": lambda x, i: x[i].cummax(0)[0],
    "maximum": lambda x, i: torch.maximum(x[i[0]], x[i[1]]),
    "norm": lambda x, i: (x[i] - x[0]).norm(),
    "abs": lambda x, i: (x[i] - x[0]).abs(),
    "relu": lambda x, i: F.relu(x[i] - x[0]),
    "sqrt": lambda x, i: (x[i] - x[0]).sqrt(),
    "prod": lambda x, i: (x[i] - x[0]).prod(),
    "clamp": lambda x, i: torch.clamp(x[i], min=x[0]),
    "where": lambda x, i: torch.where(i > 2, x[i], x[i].log()),
    "argmax": lambda x, i: x[x[i].argmax()],
    "argsort": lambda x, i: x[i[x[i].argsort()]] * HALF,
    "masked_fill": lambda x, i: x[i].masked_fill(i > 2, -1e9).softmax(0),
    "normalize": lambda x, i: F.normalize(x[i] - x[0], dim=0),
}

#: Drawn places: any; such as there are not, from the end, or ignored, on some path.
PLACES = {
    "any": [[0, 1], [2, 3], [5, 4], [3, 3], [1, 0], [0, 5]],
    "beyond": [[0, 1], [2, 3], [5, 6], [3, 3], [1, 0], [0, 0]],
    "from the end": [[0, 1], [2, 3], [5, -1], [3, 3], [1, 0], [0, 0]],
    "ignored": [[0, 1], [-100, 3], [-100, -100], [3, 3], [1, 0], [0, 0]],
}


def result(function, x, places):
    """A number, and its gradient; zero if there is none."""
    value = function(x, places)
    total = (
        value * torch.linspace(0.5, 1.5, value.numel(), dtype=DOUBLE).reshape(value.shape)
    ).sum()
    return total


def by_itself(function, given, places):
    """The number and its gradient on one path; None if that raises."""
    x = given.clone().requires_grad_()
    try:
        total = result(function, x, places)
    except (RuntimeError, IndexError):
        return None
    (slope,) = torch.autograd.grad(total, x, allow_unused=True) if total.requires_grad else (None,)
    return total.detach().numpy(), np.zeros(6) if slope is None else slope.numpy()


def in_rows(function, given, places):
    """The same on all paths at once; None if it is refused."""
    from gradproof.estimators.enumeration.frameworks.torch_row_functions import rows_mode
    from gradproof.estimators.enumeration.frameworks.torch_row_tensors import TensorRows

    x, count = given.clone().requires_grad_(), len(places)
    run = BlockRun(Rows(np.arange(count)[:, None], (count,), 1))
    tensors, drawn = TensorRows(torch, run, {"x": x}), torch.tensor(places)

    def read(rows, total):
        graph = rows.rows(total).requires_grad
        (slope,) = rows.gradients(total, [x]) if graph else (None,)
        slopes = np.zeros((count, 6)) if slope is None else rows.numbers(slope)
        return rows.numbers(total), slopes

    token = runs._current.set(run)
    try:
        found = tensors.map(
            lambda: result(function, x, tensors.of_rows(drawn)),
            read,
            rows_mode(torch),
        )
    except (Exception, OtherRows):  # noqa: BLE001 - whatever PyTorch raises
        return None
    finally:
        runs._current.reset(token)
    return None if run.refused else found


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("which", PLACES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_rows_are_paths(name, which, tied):
    """On each of them, also where numbers are equal, and where one of them raises."""
    given = torch.linspace(-1.0, 1.0, 6, dtype=DOUBLE)
    if tied:
        given = torch.tensor([0.5, 0.5, 0.5, -1.0, 2.0, 0.5], dtype=DOUBLE)
    places = PLACES[which]
    together = in_rows(FUNCTIONS[name], given, places)
    if together is None:
        return  # it is run path by path
    for place, values, slopes in zip(places, *together, strict=True):
        alone = by_itself(FUNCTIONS[name], given, torch.tensor(place))
        assert alone is not None, place
        np.testing.assert_allclose(values, alone[0], rtol=1e-12)  # as they are added up
        np.testing.assert_allclose(slopes, alone[1], rtol=1e-12, atol=1e-15)  # the same


def test_usual_functions_are_not_refused():
    """What estimators index by, and compare by, is run for many paths at once."""
    given = torch.linspace(-1.0, 1.0, 6, dtype=DOUBLE)
    usual = (
        "index", "index one", "gather", "embedding", "padding", "one_hot", "cross entropy", "max",
        "min", "sort", "masked_fill", "scatter_add", "where", "prod",
    )  # fmt: skip
    for name in usual:
        assert in_rows(FUNCTIONS[name], given, PLACES["any"]) is not None, name
