"""Lines of keys: every value of these texts is the line on which its key or item stands."""

import tomllib
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calhard.plan.lines import key_lines

NASTY = {
    "comments and blanks": "\n\n# a = 1\na = 4 # b = 9\n\t b=5#x\n",
    "quoted keys": '"a.b" = 1\n\'c d\' = 2\n"\\u00e9\\"" = 3\n\'\' = 4\n"[x]" = 5\n"#" = 6\n',
    "dotted keys": "a.b.c = 1\na . b . d = 2\na.\"b\".'e' = 3\n[a.f]\ng = 5\n[a.b.h]\ni = 7\n",
    "inline tables": "a = { b = 1, c.d = 1, 'e' = { f = 1 } }\nh = {}\ni = 3\n",
    "arrays": "a = [1, 1,\n 2, # 7, ]\n\n 4\n,]\nb = 6\nc = [ # [\n 8,\n [9, 9],\n ]\nd = 11\n",
    "arrays of inline tables": "a = [ {b = 1}, {b = 1, c = 1},\n {b = 2} ]\nd = 3\n",
    "tables": "[a]\nb = 2\n [ a . c ]\nd = 4\n['e f']\ng = 6\n[\"h.i\".j]\nk = 8\n",
    "arrays of tables": (
        "[[a]]\nb = 2\n[[a]]\n[[a]]\nb = 5\n[a.c]\nd = 7\n[[a.e]]\nf = 9\n[[a.e]]\nf = 11\n"
        "[[a]]\n[[a.e]]\nf = 14\n[g]\nh = 16\n"
    ),
    "an array of tables within a table": "[t]\n[[t.a]]\nb = 3\n[[t.a]]\nb = 5\n[t.z]\nc = 7\n",
    "texts with anything in them": (
        'a = "x = 1 # [ \\" ]"\nb = 2\nc = \'[[x]] " \\\'\nd = 4\n'
        'e = """\nf = 1\n[g]\n\\"""" # " \nh = 9\n'
        "i = '''\n'j = 1'' ''''' # '\nk = 12\n" + 'l = """"x\\\\"""\nm = 14\nn = """"""\no = 16\n'
    ),
    "dates, numbers and truths": (
        "a = 1979-05-27 07:32:00Z # c\nb = 2\nc = [1979-05-27, 07:32:00, inf, -nan, 0x_f]\n"
        "d = 4\ne = { f = +1e-9, g = true }\nh = 6\n"
    ).replace("0x_f", "0xf"),
    "no line end at the end": "[a]\nb = 2",
    "nothing": "",
    "a comment": "# nothing",
}


def leaves(value, path=()):
    """Every path of a document, with its value where that is one of ours: a plain number."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield (*path, key), None
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield (*path, index), None
            yield from leaves(inner, (*path, index))
    elif type(value) is int and value > 0 and value != 0xF:
        yield path, value


def check(text):
    document, lines = tomllib.loads(text), key_lines(text)
    paths = dict(leaves(document))
    assert set(lines) == set(paths)
    for path, value in paths.items():
        if value is not None:
            assert lines[path] == value, path


@pytest.mark.parametrize("case", NASTY)
def test_every_key_table_and_item_has_its_line(case):
    check(NASTY[case])


@pytest.mark.parametrize("case", NASTY)
def test_windows_line_ends_do_not_move_lines(case):
    windows = NASTY[case].replace("\n", "\r\n")
    assert tomllib.loads(windows) is not None
    assert key_lines(windows) == key_lines(NASTY[case])


def test_a_table_has_the_line_of_its_header_and_an_implied_one_that_of_the_first_in_it():
    lines = key_lines("\n[a.b]\nx = 1\n[a]\ny = 1\n[[c]]\n[[c]]\n")
    assert lines["a", "b"] == 2
    assert lines["a",] == 2
    assert (lines["c", 0], lines["c", 1], lines["c",]) == (6, 7, 6)


WORDS = st.sampled_from(["a", "bc", '"q r"', "'.'", '"#"', "x-1", "_"])
HEADERS = st.sampled_from(["[{}]\n", "[[{}]]\n", "# {0}\n[ {0} ]\n"])
VALUES = st.sampled_from(
    [
        "{0}",
        "[{0}, [{0}]]",
        "{{ a.b = {0}, c = [{0}] }}",
        '[ {0}, """\n = [ """, # ]\n{1},\n\n]',
    ]
)


@st.composite
def documents(draw):
    """Valid TOML whose numbers are their lines."""
    written = ""
    for part in range(draw(st.integers(1, 5))):
        name = f"t{part}." + draw(WORDS)
        written += draw(
            st.sampled_from([f"[{name}]\n", f"[[{name}]]\n", f"# {name}\n[ {name} ]\n"])
        )
        for key in draw(st.lists(WORDS, max_size=4, unique=True)):
            line = written.count("\n") + 1
            value = draw(VALUES)
            written += f"{key} = {value.format(line, line + 2)}\n"
            written += draw(st.sampled_from(["", "\n", "  # = [\n", "\t\n\n"]))
    return written


@given(documents())
def test_random_documents_have_the_lines_of_their_keys(text):
    check(text)
