"""A check on a real cluster of dask: the same report, though a worker is killed."""

import os
import signal
import subprocess
import sys

import joblib
import numpy as np
import pytest

from gradproof import check_estimator
from gradproof.estimators.enumeration import enumeration

from ..face.pages import read, snippets

pytestmark = pytest.mark.libraries
NEEDS = ("distributed",)

K, N = 4, 5
COSTS = np.array([1.0, 3.0, 2.0, 0.5])
LOGITS = np.array([0.3, -0.2, 0.5, 0.0])


def softmax(logits):
    """Probabilities."""
    odds = np.exp(logits - logits.max())
    return odds / odds.sum()


EXACT = softmax(LOGITS) * (COSTS - softmax(LOGITS) @ COSTS)


def estimator(during=lambda taken: None):
    """Leave-one-out of five draws, and what happens on each path."""
    rng = np.random.default_rng()

    def leave_one_out(logits):
        q = softmax(logits)
        taken = rng.choice(K, size=N, p=q)
        during(taken)
        cost = COSTS[taken]
        others = (cost.sum() - cost) / (N - 1)
        return ((cost - others)[:, None] * (np.eye(K)[taken] - q)).mean(axis=0)

    return leave_one_out


def moments(report):
    """To the last bit."""
    (mean,), (variance,) = report.mean.values(), report.variance.values()
    return report.verdict, report.paths, report.repeats, mean.tobytes(), variance.tobytes()


@pytest.fixture
def cluster(libraries):
    """Starts a cluster of this machine, and chooses it."""
    from distributed import Client, LocalCluster

    opened = []

    def start(**options):
        one = LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50, **options
        )
        opened.extend([one, Client(one)])
        return opened[-1]

    yield start
    for each in reversed(opened):
        each.close()


def test_a_cluster_gives_the_same_report_though_a_worker_is_killed(cluster, tmp_path):
    """By two worker processes, one of which dies in the middle of its work."""
    client = cluster(processes=True)
    before = set(client.run(os.getpid).values())
    assert len(before) == 2
    assert os.getpid() not in before
    marker, workers = str(tmp_path / "died"), frozenset(before)

    def die_once(taken):
        there = taken.tolist() == [2, 1, 0, 3, 0] and os.getpid() in workers
        if there and not os.path.exists(marker):
            open(marker, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)

    alone = check_estimator(estimator(die_once), [LOGITS], exact=EXACT)
    assert alone.verdict == "holds"
    assert alone.paths == K**N > enumeration.HEAD
    with joblib.parallel_config("dask"):
        shared = check_estimator(estimator(die_once), [LOGITS], exact=EXACT, jobs=2)
    assert os.path.exists(marker)
    assert moments(shared) == moments(alone)
    client.wait_for_workers(2, timeout=60)
    assert set(client.run(os.getpid).values()) != before


def test_the_program_of_the_page_prints_what_the_page_says(libraries, tmp_path):
    """In a process of its own; the one for SLURM, which is not here, is Python at least."""
    page = read("docs/how-to/more-than-one-machine.md")
    programs = {each.file: each for each in snippets(page)}
    assert set(programs) == {None, "cluster.py", "slurm.py"}
    compile(programs["slurm.py"].code, "slurm.py", "exec")
    file = tmp_path / "cluster.py"
    file.write_text(programs["cluster.py"].code)
    done = subprocess.run(
        [sys.executable, file], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout == programs["cluster.py"].quoted


def test_workers_that_are_threads_of_this_process_are_refused(cluster):
    """They would wait for this process, which waits for them."""
    cluster(processes=False)
    with (
        joblib.parallel_config("dask"),
        pytest.raises(ValueError, match=r"the workers are threads.*LocalCluster\(processes=True\)"),
    ):
        check_estimator(estimator(), [LOGITS], exact=EXACT, jobs=2)
