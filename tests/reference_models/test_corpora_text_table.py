"""A user's own file as a corpus, and each way in which it can be wrong."""

import json

import pytest

from gradproof.reference_models.corpora import CorpusError, load_table
from gradproof.reference_models.corpora.text_table import read_tab

ROWS = [("the cat", "animal"), ("an oak", "plant"), ("the dog", "animal")]


def write(folder, name, content):
    """A file with this content, text or bytes."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("own.csv", "text,label\nthe cat,animal\nan oak,plant\nthe dog,animal\n"),
        ("own.csv", "label,id,text\r\nanimal,1,the cat\r\nplant,2,an oak\r\nanimal,3,the dog"),
        ("own.CSV", 'text,label\n"the cat","animal"\n\n , \nan oak, plant\nthe dog ,animal\n'),
        ("own.csv", b"\xef\xbb\xbftext,label\nthe cat,animal\nan oak,plant\nthe dog,animal\n"),
        ("own.tsv", "text\tlabel\nthe cat\tanimal\nan oak\tplant\nthe dog\tanimal\n"),
        ("own.jsonl", "\n".join(json.dumps({"text": t, "label": k}) for t, k in ROWS) + "\n\n"),
    ],
)
def test_reads(tmp_path, name, content):
    """Order of columns, line ends, quotes, blank lines and a byte order mark do not matter."""
    path = write(tmp_path, name, content)
    corpus = load_table(path)
    assert corpus.texts == tuple(text for text, _ in ROWS)
    assert corpus.label_names == ("animal", "plant")
    assert corpus.labels == (0, 1, 0)
    assert (corpus.name, corpus.unit, corpus.source) == ("own", "word", str(path))
    assert corpus.licence == "not stated: the user's own file"


def test_columns_and_unit_can_be_chosen(tmp_path):
    """The path may be a string, the columns have any name."""
    path = write(tmp_path, "own.csv", "name,land\nKant,de\nEco,it\n")
    corpus = load_table(str(path), text="name", label="land", unit="character")
    assert corpus.texts == ("Kant", "Eco")
    assert corpus.unit == "character"


def test_a_quoted_cell_may_hold_line_breaks_and_quotes(tmp_path):
    """And line numbers count lines of the file, not rows."""
    content = 'text,label\n"two\nlines, ""quoted""",a\nb,b\n'
    assert load_table(write(tmp_path, "own.csv", content)).texts[0] == 'two\nlines, "quoted"'
    with pytest.raises(CorpusError, match=r"line 5 has '' in column 'text'"):
        load_table(write(tmp_path, "own.csv", content + ",c\n"))


def test_labels_in_json_may_be_numbers_or_booleans(tmp_path):
    """They are named as Python writes them."""
    content = (
        '{"text": "a", "label": 2}\n{"text": "b", "label": 10}\n{"text": "c", "label": true}\n'
    )
    assert load_table(write(tmp_path, "own.jsonl", content)).label_names == ("10", "2", "True")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "own.txt",
            "text,label\na,b\n",
            r"ends in '.txt', expected one of \['.csv', '.tsv', '.jso",
        ),
        ("own", "text,label\na,b\n", "ends in '', expected one of"),
        (
            "own.csv",
            "sentence,label\na,b\n",
            r"own.csv, line 1 has 0 columns named 'text', expected 1; the columns are "
            r"\['sentence', 'label'\]; give the names of the two by text= and label=, on the com",
        ),
        ("own.csv", "text,label,text\na,b,c\n", "line 1 has 2 columns named 'text', expected 1"),
        ("own.tsv", "text,label\na,b\n", r"0 columns named 'text', .* are \['text,label'\]"),
        ("own.csv", "", r"own.csv is empty, expected texts in 'text' and labels in 'label'; check"),
        ("own.tsv", " \n\n", "own.tsv is empty, expected texts in 'text' and labels in 'label'"),
        ("own.csv", "text,label\na,b\nc\n", r"line 3 has 1 cells, expected 2 as in the header"),
        ("own.csv", "text,label\na,b,c\n", r"line 2 has 3 cells, .*; quote cells that hold ','"),
        ("own.csv", "text,label\na,b\n ,c\n", r"line 3 has ' ' in column 'text', expected text"),
        ("own.csv", "text,label\na,b\nc,\n", "line 3 has '' in column 'label', expected text"),
        (
            "own.csv",
            'text,label\na,b\n"c,d\ne,f\n',
            "line 3 cannot be read: unexpected end of data",
        ),
        ("own.csv", "text,label\na,b\n" + "c" * 200_000 + ",d\n", "line 3 cannot be read: field l"),
        ("own.csv", b"text,label\na,b\nc,\xe9\n", "line 3 has the byte 0xe9, which is not UTF-8"),
        ("own.csv", b"\xef\xbb\xbft,l\n\xff\n", "line 2 has the byte 0xff, which is not UTF-8"),
        ("own.csv", "text,label\n", r"corpus 'own' \(.*own.csv\) has no texts"),
        ("own.jsonl", b"\xef\xbb\xbf", "own.jsonl is empty, expected texts in 'text' and labels"),
        ("own.csv", "text,label\na,x\nb,x\n", r"has the classes \['x'\], expected 2 or more"),
        (
            "own.jsonl",
            '\n{"text": "a"\n',
            "line 2 is not JSON: .* at column 13; expected one object",
        ),
        ("own.jsonl", '["a", "b"]\n', r"line 1 holds \['a', 'b'\], expected an object"),
        ("own.jsonl", '{"text": "a"}\n', r"line 1 has 0 columns named 'label', .* \['text'\]"),
        (
            "own.jsonl",
            '{"text": 3, "label": "a"}\n',
            "line 1 has 3 in column 'text', expected text",
        ),
        ("own.jsonl", '{"text": "a", "label": null}\n', "line 1 has None in column 'label'"),
        ("own.jsonl", '{"text": "a", "label": 0.5}\n', "line 1 has 0.5 in column 'label'"),
        ("own.jsonl", "\n" + "[" * 200_000 + "]" * 200_000, "line 2 is nested too deep to be read"),
        (
            "own.jsonl",
            '{"text": "a", "label": ' + "7" * 5000 + "}\n",
            "line 1 holds a number of more digits than can be read, expected at most 4300; write",
        ),
        (
            "own.jsonl",
            '{"text": ' + "[" * 900 + "]" * 900 + ', "label": 1}\n',
            r"line 1 has \[+\.\.\.",
        ),
    ],
)
def test_refuses(tmp_path, name, content, message):
    """Each error names the file, the line, what is there and what was expected."""
    with pytest.raises(CorpusError, match=message):
        load_table(write(tmp_path, name, content))


def test_refuses_a_missing_file(tmp_path):
    """A folder is no file either."""
    for path in (tmp_path / "none.csv", tmp_path / "folder.csv"):
        (tmp_path / "folder.csv").mkdir(exist_ok=True)
        with pytest.raises(CorpusError, match=rf"no file {path}; expected a table; check the path"):
            load_table(path)


def test_reads_a_tab_file(tmp_path):
    """Three header lines, then rows; a row of nothing at all is passed over."""
    content = "Category\tText\nd\tstring\nclass\t\n\t\ntrade\tsome news\nearn\tother news\n"
    records = read_tab(write(tmp_path, "x.tab", content), text="Text", label="Category")
    assert records == [(5, "some news", "trade"), (6, "other news", "earn")]
