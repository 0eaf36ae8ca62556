"""The main job: what is run, what is not and why, what blocks what, how it is repeated."""

import contextlib
import dataclasses
import io
import json
import os
import random
import re

import numpy as np
import pytest

from gradproof.checks.evidence import HOLDS, REFUTED, UNDECIDED
from gradproof.checks.note import verify as module
from gradproof.checks.note.cases import GaussianCase, typical_tabular
from gradproof.checks.note.jobs import Runner, VerificationPlan, run_jobs
from gradproof.checks.note.registry import CHECKS
from gradproof.checks.note.text import TextOptions, prepare_text, text_subject
from gradproof.checks.note.verification import Verification
from gradproof.checks.note.verify import reproduce, verify
from gradproof.estimators import backends
from gradproof.reference_models.batch import UNLABELLED
from gradproof.reference_models.corpora import CorpusError, load

FORWARD = "forward/values"


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A file of one's own: thirty short sentences with three labels."""
    rng = random.Random("a table of words")
    words = ["sun", "moon", "star", "sea", "hill"]
    rows = [
        f"{' '.join(rng.choices(words, k=rng.randint(1, 4)))} n{row},{'abc'[row % 3]}"
        for row in range(30)
    ]
    path = tmp_path_factory.mktemp("data") / "words.csv"
    path.write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture
def seed(pytestconfig):
    """The run's own, which the header names."""
    return int(pytestconfig.option.hypothesis_seed)


@pytest.fixture
def run(table, seed):
    """A verification of one small thing, unless more is asked for."""
    small = {
        "models": ["seqdgm"],
        "data": table,
        "backends": ["autograd"],
        "only": ["labelled"],
        "examples": 2,
        "seed": seed,
        "options": TextOptions(length=3),
    }
    return lambda **changes: verify(**small | changes)


@dataclasses.dataclass(frozen=True)
class Other:
    """NumPy with autograd under another framework's name, its values off by a little."""

    name: str
    off: float
    inner: object

    def evaluate(self, build, parameters, inputs):
        """Off."""
        function = self.inner.evaluate(build, parameters, inputs)
        return lambda *arrays: {k: v + self.off for k, v in function(*arrays).items()}

    def differentiate(self, *arguments):
        """As it should be."""
        return self.inner.differentiate(*arguments)


@pytest.fixture
def pretend(monkeypatch):
    """Lets a framework be another one that is in the room, or missing."""
    load = backends.load

    def replace(**replaced):
        def loaded(name):
            if name not in replaced:
                return load(name)
            if isinstance(replaced[name], Exception):
                raise replaced[name]
            return Other(name, replaced[name], load("autograd"))

        monkeypatch.setattr(backends, "load", loaded)

    return replace


# ------------------------------------------------------------------ what is asked for


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"models": ["seqdgn"]}, r"unknown model 'seqdgn', expected .*; did you mean 'seqdgm'\?"),
        ({"models": []}, r"no model given, expected one or more of seqdgm, seqdgm-a"),
        ({"backends": ["pytorch"]}, r"unknown backend 'pytorch', .*; did you mean 'torch'\?"),
        ({"backends": []}, r"no framework given, expected one or more of autograd, torch, theano"),
        ({"only": ["gradiant"]}, r"no check or claim is called 'gradiant'.*did you mean 'gradient"),
        ({"models": "seqdgm"}, r"models = 'seqdgm', expected a list of names"),
        ({"backends": "torch"}, r"backends = 'torch', expected a list of names"),
        ({"only": "gradient"}, r"only = 'gradient', expected a list of names"),
        ({"only": [""]}, r"only = \[''\], expected a list of names, none of them empty"),
        ({"only": [3]}, r"only = \[3\], expected a list of names, none of them empty"),
        ({"examples": -1}, r"examples = -1, expected a whole number, 0 or more"),
        ({"examples": 1.5}, r"examples = 1\.5, expected a whole number, 0 or more"),
        ({"seed": -1}, r"seed = -1, expected a whole number, 0 or more"),
        ({"processes": 0}, r"processes = 0, expected a whole number, 1 or more"),
        ({"processes": -2}, r"processes = -2, expected a whole number, 1 or more"),
        ({"processes": 1.5}, r"processes = 1\.5, expected a whole number, 1 or more"),
    ],
)
def test_what_is_unknown_is_an_error(run, asked, message):
    """Nothing is left out in silence: the message has the name, and what was expected."""
    with pytest.raises(ValueError, match=message):
        run(**asked)


@pytest.mark.parametrize("data", ["names-9", "no-such-file.csv"])
def test_unknown_data_is_an_error(run, data):
    """A corpus that is not there is named."""
    with pytest.raises(CorpusError, match=data):
        run(data=data)


def test_bad_requests_start_no_process(run, monkeypatch):
    """All is checked before anything runs."""
    monkeypatch.setattr(module, "run_jobs", lambda *arguments: pytest.fail("it ran"))
    for asked in ({"models": ["nil"]}, {"backends": ["nil"]}, {"only": ["nil"]}, {"data": "nil"}):
        with pytest.raises(ValueError, match="nil"):
            run(**asked)


def test_names_given_twice_count_once(run):
    """Of models, frameworks and checks."""
    found = run(
        models=["seqdgm", "seqdgm"],
        backends=["autograd", "autograd"],
        only=["labelled", "labelled/as-it-stands"],
    )
    ids = [(one.backend, one.id) for one in found.evidence]
    assert len(ids) == len(set(ids)) == 4


# ------------------------------------------------------------------ what is run


def test_forward_values_are_first_and_asked_for_or_not(run):
    """Every verification has them."""
    found = run()
    assert [one.id for one in found.evidence] == [
        FORWARD,
        "labelled/as-it-stands",
        "labelled/score-term",
        "labelled/derived",
    ]
    assert found.as_expected
    assert found.data == "words"
    assert run(only=["forward"]).evidence[0].id == FORWARD
    assert len(run(only=["forward"]).evidence) == 1


def test_evidence_is_of_the_text_and_the_cases(run):
    """The subjects are the models on the text; more examples compare more numbers."""
    found, more = run(examples=1).evidence[0], run(examples=9).evidence[0]
    assert found.subjects[0].startswith("seqdgm on words: K=3 N=3 T=3 ")
    assert len(found.subjects) == 1
    assert more.comparisons > found.comparisons
    both = run(models=["seqdgm", "seqdgm-a"]).evidence[0]
    assert [subject.split(":")[0] for subject in both.subjects] == [
        "seqdgm on words",
        "seqdgm-a on words",
    ]


def test_checks_of_models_left_out_are_named(run):
    """With the reason: neither held, nor refuted, nor forgotten."""
    found = run(only=["partition"])
    assert {one.claim for one in found.evidence} == {"forward", "partition.seqdgm"}
    assert found.not_run == {
        name: "it is about seqdgm-a, which this run left out"
        for name, check in CHECKS.items()
        if check.claim == "partition.seqdgm_a"
    }


def test_checks_of_cases_alone_are_named_where_none_is_drawn(run):
    """Without examples, closed forms by themselves have nothing to run on."""
    found = run(only=["kl", "labelled"], examples=0)
    assert {one.claim for one in found.evidence} == {"forward", "kl.closed_form", "labelled"}
    assert set(found.not_run.values()) == {"it is about drawn cases, which this run left out"}
    asked = [check for check in CHECKS.values() if check.claim in ("kl.closed_form", "labelled")]
    assert set(found.not_run) == {check.id for check in asked if not check.models}


def test_checks_of_frameworks_left_out_are_named(run):
    """A check that was asked for and cannot run in the frameworks chosen is not passed over."""
    found = run(only=["constant.theano/raw-scan", "labelled"])
    assert {one.claim for one in found.evidence} == {"forward", "labelled"}
    assert found.not_run == {
        "constant.theano/raw-scan": "it is about theano, which this run left out"
    }


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"only": ["constant.theano/raw-scan"]}, r"raw-scan: it is about theano, which this run"),
        ({"only": ["partition.seqdgm_a"]}, r"groups: it is about seqdgm-a, which this run left"),
        (
            {"only": ["kl.closed_form/gaussian"], "examples": 0},
            r"gaussian: it is about drawn cases, which this run",
        ),
    ],
)
def test_nothing_to_run_is_an_error(run, asked, message):
    """Forward values alone, which nobody asked for, are no answer."""
    with pytest.raises(ValueError, match=rf"^nothing to run: .*{message}"):
        run(**asked)


def test_everything_is_accounted_for(run):
    """Each check is in the evidence of each of its frameworks, or among those not run."""
    found = run(only=[], examples=1, models=["seqdgm"])
    assert {one.id for one in found.evidence} | set(found.not_run) == set(CHECKS)
    assert not {one.id for one in found.evidence} & set(found.not_run)
    assert found.as_expected, [one.explain() for one in found.evidence if not one.as_expected]


def test_progress_is_told(run):
    """Once for each check, counting up to all of them."""
    told = []
    found = run(progress=lambda done, of, what: told.append((done, of, what)))
    total = len(found.evidence)
    assert [done for done, _, _ in told] == list(range(1, total + 1))
    assert {of for _, of, _ in told} == {total}
    assert {what for _, _, what in told} == {f"autograd {one.id}" for one in found.evidence}


# ------------------------------------------------------------------ frameworks


def test_missing_frameworks_are_reported_with_how_to_get_them(run, monkeypatch):
    """Where none was named, those that are not there are left out, and the message is kept."""
    monkeypatch.setattr(backends, "installed", lambda name: name == "autograd")
    found = run(backends=None)
    assert {one.backend for one in found.evidence} == {"autograd"}
    assert found.missing == {
        "torch": "torch is not installed; install it with: pip install 'gradproof[torch]'",
        "theano": "theano is not installed; install it with: "
        "pip install 'gradproof[theano]' (CPython 3.11)",
    }
    assert found.as_expected


def test_a_framework_that_was_named_must_be_there(run, monkeypatch):
    """Whoever asks for it is told, and nothing is verified without it."""
    monkeypatch.setattr(backends, "installed", lambda name: name == "autograd")
    with pytest.raises(backends.BackendMissing, match="torch is not installed; install it with"):
        run(backends=["autograd", "torch"])


def test_a_framework_that_cannot_be_imported_is_missing(run, pretend):
    """Installed beside the wrong NumPy, say."""
    pretend(theano=backends.BackendMissing("needs another NumPy"), torch=0.0)
    found = run(backends=None)
    assert found.missing == {"theano": "needs another NumPy"}
    assert {one.backend for one in found.evidence} == {"autograd", "torch"}


def test_forward_values_that_differ_block_the_framework(run, pretend):
    """What it says of gradients counts for nothing; the others are not blocked."""
    pretend(torch=1e-6)
    found = run(backends=["autograd", "torch"])
    verdicts = {(one.backend, one.id): one for one in found.evidence}
    assert verdicts["torch", FORWARD].verdict == REFUTED
    assert not verdicts["torch", FORWARD].crash
    for name in ("labelled/as-it-stands", "labelled/score-term"):
        stopped = verdicts["torch", name]
        assert stopped.verdict == UNDECIDED
        assert stopped.crash == "the forward values of torch differ from NumPy's; mend that first"
        assert stopped.snippet == stopped.counterexample == ""
        assert verdicts["autograd", name].as_expected
    assert not found.as_expected


def test_forward_values_that_could_not_be_had_block_the_framework(run, pretend):
    """A crash is no agreement."""
    pretend(torch=np.zeros(7))  # added to values of any shape, it raises
    found = run(backends=["torch"])
    assert found.evidence[0].verdict == UNDECIDED
    assert "could not be broadcast" in found.evidence[0].crash
    assert {one.verdict for one in found.evidence} == {UNDECIDED}
    reason = f"the check of torch's forward values crashed ({found.evidence[0].crash})"
    assert {one.crash for one in found.evidence[1:]} == {f"{reason}; mend that first"}


# ------------------------------------------------------------------ repeating it


def numbers(found):
    """All of the evidence but the time it took."""
    return [dataclasses.replace(one, seconds=0.0) for one in found.evidence]


def test_the_same_seed_gives_the_same_evidence(run):
    """To the last bit, counterexamples and snippets among it."""
    assert numbers(run(only=["labelled", "kl"])) == numbers(run(only=["labelled", "kl"]))


def test_without_a_seed_each_run_draws_its_own(run):
    """And the result holds it, so that the run can be repeated."""
    first, second = run(seed=None), run(seed=None)
    assert first.seed != second.seed
    assert numbers(run(seed=first.seed)) == numbers(first)


def test_several_processes_find_the_same(run):
    """Verdicts, errors and their order do not depend on how the work was divided."""
    asked = {
        "only": ["labelled", "objective.u", "batch.plus_one"],
        "models": ["seqdgm", "seqdgm-a"],
    }
    told = []
    alone = run(**asked)
    together = run(**asked, processes=2, progress=lambda done, of, what: told.append(done))
    assert numbers(together) == numbers(alone)
    assert sorted(told) == list(range(1, len(alone.evidence) + 1))


def test_several_processes_leave_the_environment_as_it_was(run, monkeypatch):
    """The number of threads is theirs alone."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    run(processes=2)
    assert "OMP_NUM_THREADS" not in os.environ


def test_the_record_is_strict_json(run):
    """All of the evidence, and what was left out."""
    found = run(only=["labelled", "partition"], backends=["autograd"])
    record = json.loads(found.to_json())
    assert record["seed"] == found.seed
    assert record["data"] == "words"
    assert record["source"].endswith("words.csv")
    assert record["fingerprint"] == load(record["source"]).fingerprint
    assert record["as_expected"] is True
    assert record["missing"] == {}
    assert record["not_run"] == found.not_run
    assert [one["worst"] for one in record["evidence"]] == [one.worst for one in found.evidence]


def test_no_evidence_is_not_as_expected():
    """Nothing was found wrong where nothing was looked at; that is no success."""
    assert not Verification((), "words", "words.csv", "0" * 16, 0, {}, {}).as_expected


@pytest.mark.parametrize("options", [TextOptions(), TextOptions(length=3, unlabelled=1)])
def test_what_the_text_refutes_can_be_repeated(run, options):
    """Where no drawn case refuted, the snippet runs the verification of that one check again."""
    found = run(only=["gradient.e/printed"], examples=0, options=options).evidence[1]
    assert found.verdict == REFUTED
    assert found.counterexample == found.worst
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(found.snippet, "snippet", "exec"), {})
    assert output.getvalue().startswith("gradient.e/printed [autograd]: refuted, expected refuted")


# ------------------------------------------------------------------ reproduce


def test_replay_runs_one_check_on_one_case():
    """The case is the only subject, and nothing is drawn beside it."""
    case = GaussianCase(0.5, -1.0)
    found = reproduce("kl.closed_form/gaussian", case)
    assert found.verdict == HOLDS
    assert found.subjects == (repr(case),)
    assert found.comparisons == 3


@pytest.mark.parametrize(
    ("check", "backend", "message"),
    [
        ("kl.closed_form/gausian", "autograd", "no check has the id 'kl.closed_form/gausian'"),
        ("kl.closed_form", "autograd", "no check has the id 'kl.closed_form'"),
        ("kl.closed_form/gaussian", "numpy", "unknown backend 'numpy', expected one of"),
    ],
)
def test_replay_of_what_is_unknown_is_an_error(check, backend, message):
    """A check by its whole id, a framework by its name."""
    with pytest.raises(ValueError, match=message):
        reproduce(check, GaussianCase(0.5, -1.0), backend=backend)


@dataclasses.dataclass(frozen=True)
class Own:
    """A user's own case, of whatever it is given."""

    made: object

    def subject(self):
        """As any case."""
        return self.made


TABULAR = typical_tabular(np.random.default_rng(0))


@pytest.mark.parametrize(
    ("check", "case", "expected"),
    [
        ("gradient.e/printed", GaussianCase(0.5, -1.0), "TabularCase"),
        ("kl.closed_form/gaussian", TABULAR, "GaussianCase"),
        ("kl.closed_form/seqdgm_a-a", GaussianCase(0.5, -1.0), "CoupledCase"),
        ("kl.closed_form/gaussian", Own(TABULAR.subject()), "GaussianCase"),
        ("gradient.e/printed", Own(GaussianCase(0.5, -1.0).subject()), "TabularCase"),
        ("gradient.e/printed", "TabularCase(...)", "TabularCase"),
        ("gradient.e/printed", None, "TabularCase"),
    ],
)
def test_replay_of_a_case_of_another_check_is_an_error(check, case, expected):
    """What the check is about is named, before it fails on what the case has not."""
    message = f"case is {case!r}, expected a {expected} for check {check!r}; take the two from one"
    with pytest.raises(ValueError, match=re.escape(message)):
        reproduce(check, case)


def test_replay_runs_on_a_case_of_ones_own():
    """Which may bring a model of its own to any check that is not about Gaussians."""
    assert reproduce("labelled/as-it-stands", Own(TABULAR.subject())).verdict == HOLDS


# ------------------------------------------------------------------ runner and text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"length": 0}, "length = 0, expected a whole number, 1 or more"),
        ({"length": 2.5}, r"length = 2\.5, expected a whole number, 1 or more"),
        ({"vocabulary_size": 4}, "vocabulary_size = 4, expected a whole number, 5 or more"),
        ({"vocabulary_size": None}, "vocabulary_size = None, expected a whole number"),
        ({"labelled": -1}, "labelled = -1, expected a whole number, 0 or more"),
        ({"unlabelled": "2"}, "unlabelled = '2', expected a whole number, 0 or more"),
        ({"labelled": 0, "unlabelled": 0}, "labelled = 0 and unlabelled = 0, expected a sentence"),
    ],
)
def test_amounts_of_text_that_cannot_be_are_refused(change, message):
    """Where they are given, and with the least that can be."""
    with pytest.raises(ValueError, match=message):
        TextOptions(**change)


def test_amounts_of_text_beyond_what_there_is_take_all(table):
    """However large."""
    options = TextOptions(length=10**30, vocabulary_size=10**30, labelled=10**30, unlabelled=10**30)
    prepared = prepare_text(table, options, 0)
    assert text_subject("seqdgm", prepared, options, 0).batch.n == 29  # one is held out


def test_a_file_with_too_few_texts_is_an_error(tmp_path):
    """One text of each label, one held out, and one more where it is asked for."""
    path = tmp_path / "few.csv"
    options = TextOptions(labelled=0)
    path.write_text("text,label\none,a\ntwo,b\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="corpus 'few' has 2 distinct texts, expected at least 3"):
        prepare_text(str(path), options, 0)
    path.write_text("text,label\none,a\ntwo,b\nthree,b\n", encoding="utf-8")
    prepared = prepare_text(str(path), options, 0)
    with pytest.raises(CorpusError, match="corpus 'few' has no text left without a label: 2 are"):
        text_subject("seqdgm", prepared, options, 0)


def plan(table, **changes):
    """A plan of one model."""
    small = VerificationPlan(("seqdgm",), table, 1, 1, TextOptions(length=3))
    return dataclasses.replace(small, **changes)


def test_jobs_come_in_their_order(table):
    """One process runs them as they are given."""
    jobs = [("autograd", name) for name in ("labelled/as-it-stands", FORWARD)]
    found = list(run_jobs(plan(table), jobs, 1))
    assert [job for job, _ in found] == jobs
    assert [one.id for _, one in found] == [name for _, name in jobs]


def test_a_runner_keeps_its_subjects(table):
    """The same text and parameters for each check, and each framework."""
    runner = Runner(plan(table))
    found = [runner.run(("autograd", name)) for name in (FORWARD, "labelled/as-it-stands")]
    assert found[0].subjects == found[1].subjects


@pytest.mark.parametrize("model", ["seqdgm", "seqdgm-a"])
def test_a_text_subject_has_sentences_with_labels_and_without(table, seed, model):
    """As many of each as was asked for, of the length that was asked for."""
    options = TextOptions(length=3, labelled=2, unlabelled=3)
    prepared = prepare_text(table, options, seed)
    subject = text_subject(model, prepared, options, seed)
    known = subject.batch.labels != UNLABELLED
    assert known.tolist() == [True, True, False, False, False]
    assert subject.batch.t <= 3
    assert subject.model.classes == 3
    assert subject.name == f"{model} on words"
    assert subject.seed == seed


def test_another_seed_takes_other_sentences(table):
    """Text, parameters and noise all come from the seed."""

    def subject(seed):
        options = TextOptions()
        return text_subject("seqdgm", prepare_text(table, options, seed), options, seed)

    one, again, other = subject(1), subject(1), subject(2)
    for name, value in one.parameters.items():
        assert (value == again.parameters[name]).all()
    assert (one.batch.tokens == again.batch.tokens).all()
    assert not np.array_equal(one.batch.noise["eps_h"], other.batch.noise["eps_h"])
    bias = "w.logits.bias"
    assert not np.array_equal(one.parameters[bias], other.parameters[bias])


def test_more_sentences_than_there_are_takes_all(table):
    """A small file is no error."""
    options = TextOptions(labelled=10**6, unlabelled=0)
    prepared = prepare_text(table, options, 0)
    subject = text_subject("seqdgm", prepared, options, 0)
    assert subject.batch.n == len(prepared.split.labelled)
