"""``gradproof train``: what it prints and leaves behind, and how it ends when it cannot go on."""

import dataclasses
import importlib.util
from pathlib import Path

import faker
import numpy as np
import pytest
from click.testing import CliRunner

from gradproof.checks.json_records import from_json, to_json
from gradproof.checks.variance import training
from gradproof.checks.variance.records import BaselineVariance, Stage, Training
from gradproof.cli import main
from gradproof.estimators.training import checkpoint as files
from gradproof.estimators.training.training_options import Schedule, TrainingOptions, make_task
from gradproof.estimators.training.unlabelled import ESTIMATORS
from gradproof.reference_models.corpora import last_names, load

TEXTS = "words,kind\n" + "".join(
    f"{kind} {more} {last},{kind}\n" for kind in ("one", "two") for more in "abc" for last in "xyz"
)


@pytest.fixture(autouse=True)
def _text(tmp_path, monkeypatch):
    """A file of eighteen short texts in two classes, in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts.csv").write_text(TEXTS, encoding="utf-8")


def run(folder, *arguments):
    """The command with this folder and these arguments."""
    return CliRunner().invoke(main, ["train", "--folder", folder, *arguments])


def test_the_folder_has_a_name_of_its_own():
    """So that it cannot be taken for a command, nor `--help` for a folder."""
    shown = CliRunner().invoke(main, ["train", "--help"])
    assert shown.exit_code == 0
    assert "--folder FOLDER" in shown.stdout
    bare = CliRunner().invoke(main, ["train", "run"])
    assert bare.exit_code == 2
    assert "Missing option '--folder'" in bare.stderr
    both = CliRunner().invoke(main, ["train", "help", "--folder", "run"])
    assert both.exit_code == 2
    assert "unexpected extra argument" in both.stderr
    assert not Path("run").exists()


#: A model of few parameters on that file.
SMALL = (
    *("--data", "texts.csv", "--text-column", "words", "--label-column", "kind"),
    *("--width", "2", "--hidden", "2", "--latent", "2", "--auxiliary", "2"),
    *("--batch", "2", "--labelled-batch", "2", "--seed", "3", "--sentences", "2"),
)


def record(folder):
    """The record that a run left."""
    return from_json(Training, (folder / "record.json").read_text(encoding="utf-8"))


def parameters(folder, step):
    """Those of a checkpoint."""
    return files.read(files.path_of(folder, step)).state.parameters


@pytest.mark.torch
@pytest.mark.parametrize("model", ["seqdgm", "seqdgm-a"])
def test_a_run_leaves_a_record_and_checkpoints(tmp_path, model):
    """And a line with loss, accuracy, seconds and what to do next; a pipe sees no progress."""
    found = run("run", "--model", model, "--steps", "4", "--every", "1", *SMALL)
    assert found.exit_code == 0, found.output
    assert found.stderr == ""
    for words in ("accuracy", "held-out texts", "4 steps in", "seed 3", "--resume --steps 8"):
        assert words in found.stdout
    kept = record(tmp_path / "run")
    assert (kept.model, kept.data, kept.estimator) == (model, "texts", "sampled")
    texts = load("texts.csv", text="words", label="kind")
    assert (kept.source, kept.fingerprint) == ("texts.csv", texts.fingerprint)
    assert kept.steps.tolist() == [0, 1, 2, 3, 4]
    assert np.all(np.diff(kept.seconds) > 0.0)
    assert [each.step for each in kept.stages] == [0, 2, 4]
    for each in kept.stages:
        assert (each.model, each.sentences, each.classes) == (model, 2, 2)
        assert {"none", "best"} <= {row.baseline for row in each.rows}
        total = {row.baseline: row.total for row in each.rows}
        assert 0.0 < total["best-per-parameter"] <= total["best-per-group"] <= total["best"]
        assert {"none", "best"} <= {row.baseline for row in each.analytic}
    # Those of the stages initial, middle and end; of the others only the last is ever kept.
    assert files.steps_in(tmp_path / "run") == [0, 2, 4]


@pytest.mark.torch
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_each_estimator_trains(tmp_path, estimator):
    """And the record says which it was, and what was subtracted."""
    found = run("run", "--estimator", estimator, "--steps", "2", "--stages", "none", *SMALL)
    assert found.exit_code == 0, found.output
    kept = record(tmp_path / "run")
    own = {"sampled": "per-token"}.get(estimator, ESTIMATORS[estimator].baseline or "none")
    assert (kept.estimator, kept.baseline) == (estimator, own)


@pytest.mark.torch
def test_ctrl_c_says_how_to_go_on_and_going_on_changes_nothing(tmp_path, monkeypatch):
    """Status 130; the resumed run has its options from the checkpoint and ends the same."""
    whole = run("whole", "--steps", "5", "--every", "2", "--stages", "none", *SMALL)
    assert whole.exit_code == 0, whole.output
    advance, taken = training.advance, []

    def stopped(task, state):
        taken.append(state.step)
        if state.step == 3:
            raise KeyboardInterrupt
        return advance(task, state)

    monkeypatch.setattr(training, "advance", stopped)
    found = run("run", "--steps", "5", "--every", "2", "--stages", "none", *SMALL)
    assert found.exit_code == 130, found.output
    assert "the checkpoint of step 2 is whole" in found.stderr
    assert "gradproof train --folder run --resume" in found.stderr
    monkeypatch.setattr(training, "advance", advance)
    resumed = run("run", "--resume")
    assert resumed.exit_code == 0, resumed.output
    one, other = (parameters(tmp_path / name, 5) for name in ("whole", "run"))
    assert one
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert record(tmp_path / "run").steps.tolist() == [0, 2, 4, 5]


@pytest.mark.torch
def test_a_run_goes_on_for_longer_but_not_with_other_options():
    """--steps may differ; what every step depends on may not."""
    assert run("run", "--steps", "2", *SMALL).exit_code == 0
    longer = run("run", "--resume", "--steps", "3")
    assert longer.exit_code == 0, longer.output
    assert "3 steps in" in longer.stdout
    other = run("run", "--resume", "--alpha", "2")
    assert other.exit_code == 2
    assert "is of a run with alpha = 30.0, not 2.0; leave the option out" in other.stderr


#: A model of few parameters on names, which needs no file.
NAMES = (*SMALL[6:], "--stages", "none", "--labelled", "20", "--held-out", "5")


@pytest.mark.torch
def test_another_faker_with_the_same_names_goes_on(tmp_path, monkeypatch):
    """What counts is the lists; the record says which version brought them last."""
    monkeypatch.setattr(faker, "VERSION", "98.0.0")
    assert run("run", "--steps", "1", *NAMES).exit_code == 0
    monkeypatch.setattr(faker, "VERSION", "99.0.0")
    before = record(tmp_path / "run")
    found = run("run", "--resume", "--steps", "2")
    assert found.exit_code == 0, found.output
    assert found.stderr == ""
    after = record(tmp_path / "run")
    assert after.fingerprint == before.fingerprint == load("names-8").fingerprint
    assert before.source == "faker 98.0.0, last names by locale"
    assert after.source == "faker 99.0.0, last names by locale"
    kept = files.read(files.path_of(tmp_path / "run", 2))
    assert (kept.source, kept.fingerprint) == (after.source, after.fingerprint)


@pytest.mark.torch
def test_a_faker_with_another_name_does_not_go_on(tmp_path, monkeypatch):
    """Status 2; one name of thousands is enough, and both versions and checksums are said."""
    monkeypatch.setattr(faker, "VERSION", "98.0.0")
    assert run("run", "--steps", "1", *NAMES).exit_code == 0
    old, listed = load("names-8"), last_names.last_names
    monkeypatch.setattr(faker, "VERSION", "99.0.0")
    monkeypatch.setattr(
        last_names,
        "last_names",
        lambda locale: (*listed(locale)[:-1], "Planted") if locale == "zu_ZA" else listed(locale),
    )
    new = load("names-8")
    found = run("run", "--resume", "--steps", "2")
    assert found.exit_code == 2
    assert found.stderr == (
        "gradproof: run/checkpoint-1.npz was made with other texts than 'names-8' has here: with "
        f"faker 98.0.0, last names by locale (checksum {old.fingerprint}), and here it is faker "
        f"99.0.0, last names by locale (checksum {new.fingerprint}); install that version, or "
        "train into another folder\n"
    )
    assert files.steps_in(tmp_path / "run")[-1] == 1


@pytest.mark.torch
def test_stages_of_other_texts_are_not_taken_over(tmp_path):
    """A record that was put beside the checkpoints of another run is met, with the way out."""
    assert run("run", "--steps", "1", "--stages", "none", *SMALL).exit_code == 0
    path = tmp_path / "run" / "record.json"
    other = dataclasses.replace(record(tmp_path / "run"), fingerprint="0" * 16)
    path.write_text(to_json(other), encoding="utf-8")
    found = run("run", "--resume", "--steps", "2")
    assert found.exit_code == 2
    assert "record.json was made with other texts than 'texts' has here" in found.stderr
    assert "delete it, and stages are measured again" in found.stderr
    path.unlink()
    assert run("run", "--resume", "--steps", "2").exit_code == 0


def stage(step, found):
    """A measurement of nothing."""
    rows = (BaselineVariance("none", "", {"e": float(np.abs(found["e.embedding"]).sum())}, 0.0),)
    return Stage("seqdgm", "texts", step, 1, 2, rows)


@pytest.mark.torch
def test_stages_are_measured_at_their_parameters_and_once(tmp_path):
    """A stage that a stopped run did not come to is measured when it is resumed."""
    task = make_task(
        TrainingOptions(data="texts.csv", text="words", label="kind", width=2, hidden=2, batch=2)
    )
    schedule = Schedule(steps=4, every=4, stages=("initial", "1", "end"))
    asked = []

    def measure(step, found):
        if step == 1 and asked.count(1) < 1:
            asked.append(step)
            raise KeyboardInterrupt
        asked.append(step)
        assert np.array_equal(found["e.embedding"], parameters(tmp_path, step)["e.embedding"])
        return stage(step, found)

    with pytest.raises(KeyboardInterrupt):
        training.train(task, tmp_path, schedule, measure=measure)
    assert [each.step for each in record(tmp_path).stages] == [0]
    done = training.train(task, tmp_path, schedule, resume=True, measure=measure)
    assert asked == [0, 1, 1, 4]
    assert [each.step for each in done.stages] == [0, 1, 4]
    assert record(tmp_path).stages == done.stages


@pytest.mark.torch
def test_a_record_that_cannot_be_read_is_an_error(tmp_path):
    """With the way out, which loses nothing."""
    assert run("run", "--steps", "1", *SMALL).exit_code == 0
    path = tmp_path / "run" / "record.json"
    path.write_text("{", encoding="utf-8")
    found = run("run", "--resume", "--steps", "2")
    assert found.exit_code == 2
    assert "record.json cannot be read" in found.stderr
    path.unlink()
    assert run("run", "--resume", "--steps", "2").exit_code == 0


@pytest.mark.torch
def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    """Named, with what to do."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    found = run(str(tmp_path / "file" / "run"), "--steps", "1", *SMALL)
    assert found.exit_code == 2
    assert f"cannot make the folder {tmp_path}/file/run: Not a directory" in found.stderr


@pytest.mark.torch
def test_training_that_diverges_is_an_error():
    """Status 2, the step, and what to do."""
    found = run("run", "--learning-rate", "1e5", "--steps", "60", "--every", "1", *SMALL)
    assert found.exit_code == 2, found.output
    assert "training diverged" in found.stderr
    assert "begin again with a learning rate below 100000" in found.stderr


@pytest.mark.torch
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--baseline", "live"], "reads the shared embeddings live"),
        (["--baseline", "batch-mean"], "biases the gradient"),
        (["--baseline", "nope"], "no baseline is called 'nope'"),
        (["--model", "gpt"], "unknown model 'gpt'"),
        (["--data", "none"], "none"),
        (["--form", "pathwise"], "expected one-pass or analytic-entropy"),
        (["--estimator", "s3"], "estimator = 's3', expected sampled or s1 or s1-normalised or s2"),
        (["--estimator", "s1", "--baseline", "mlp"], "whose baseline is per-token: leave it out"),
        (["--stages", "late"], "stage 'late' is none of"),
        (["--resume"], "holds no checkpoint to resume from"),
        (["--labelled", "1"], "labelled is 1"),
        (["--hidden", "0"], "hidden = 0"),
    ],
)
def test_what_cannot_be_trained_is_an_error(tmp_path, arguments, words):
    """Status 2, a message, and no folder."""
    found = run("run", *SMALL, *arguments)
    assert found.exit_code == 2, found.output
    assert words in found.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.torch
def test_a_folder_with_a_run_is_kept():
    """Nothing is overwritten."""
    assert run("run", "--steps", "1", *SMALL).exit_code == 0
    found = run("run", "--steps", "1", *SMALL)
    assert found.exit_code == 2
    assert "holds a run of 1 steps already; --resume goes on with it" in found.stderr


@pytest.mark.torch
def test_a_folder_that_is_a_file_is_an_error(tmp_path):
    """Met before anything is read."""
    (tmp_path / "run").write_text("", encoding="utf-8")
    found = run("run", "--steps", "1", *SMALL)
    assert found.exit_code == 2
    assert "is a file" in found.stderr


def test_without_torch_the_message_says_what_installs_it(tmp_path, monkeypatch):
    """Status 2, the command, and no folder."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)
    found = run("run", *SMALL)
    assert found.exit_code == 2
    assert "pip install 'gradproof[torch]'" in found.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.torch
def test_texts_that_were_cut_are_counted():
    """In a line of its own, before how it went; nothing where none was."""
    found = run("run", "--steps", "1", "--stages", "none", "--length", "2", *SMALL)
    assert found.exit_code == 0, found.output
    assert found.stdout.startswith("18 of 18 texts have more than 2 tokens, their end marker")
    assert "\nloss " in found.stdout
    whole = run("whole", "--steps", "1", "--stages", "none", *SMALL)
    assert whole.stdout.startswith("loss ")


@pytest.mark.torch
def test_encoders_apart_are_an_option():
    """--shared-encoder false gives classifier and inference an LSTM of their own."""
    options = ("--model", "seqdgm-a", "--steps", "1", "--stages", "none", *SMALL)
    assert run("apart", "--shared-encoder", "false", *options).exit_code == 0
    assert run("shared", *options).exit_code == 0
    one, other = (parameters(Path(name), 1) for name in ("apart", "shared"))
    assert {"e.lstm.bias", "w.lstm.bias", "phi.lstm.bias"} <= set(one)
    assert not {"w.lstm.bias", "phi.lstm.bias"} & set(other)


@pytest.mark.torch
def test_one_label_only_is_an_error():
    """Nothing can be inferred then, and the message says where the label was looked for."""
    Path("one.csv").write_text("words,kind\na b,one\nb a,one\n", encoding="utf-8")
    found = run("run", *SMALL, "--data", "one.csv")
    assert found.exit_code == 2
    assert "has the classes ['one'], expected 2 or more" in found.stderr
    assert "pick another column for the label" in found.stderr


@pytest.mark.torch
def test_a_checkpoint_of_another_corpus_is_an_error():
    """The text was changed since: nothing is trained on it."""
    assert run("run", "--steps", "1", "--stages", "none", *SMALL).exit_code == 0
    Path("texts.csv").write_text(TEXTS.replace("x", "w"), encoding="utf-8")
    found = run("run", "--resume", "--steps", "2")
    assert found.exit_code == 2
    assert "train into another folder" in found.stderr
    assert "texts.csv" in found.stderr
    other = run("run", "--resume", "--steps", "2", "--model", "seqdgm-a")
    assert other.exit_code == 2
    assert "is of a run with model = 'seqdgm', not 'seqdgm-a'" in other.stderr
