"""The tool that keeps the pages true."""

import subprocess
import sys

import pytest

from docs.make import configuration, generated
from docs.make.generated import ROOT, agree, with_outputs, with_parts
from docs.make.pages import blocks, run_page

PAGE = """
<!-- save numbers.txt -->
```text
1
2
3
```

<!-- run, ends with 3 -->
```console
cat numbers.txt && false || exit 3
```
<!-- output, first 2 lines -->
```text
1
1
```

<!-- run -->
```python
print("fine   ")
```
<!-- output -->
```text
fine
```
"""


def tool(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "docs.make", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_blocks_are_run_in_order_in_one_folder(tmp_path):
    first, second = run_page(PAGE, tmp_path)
    assert (first.code, first.block.ends_with, first.printed) == (3, 3, "1\n2\n")
    assert (second.code, second.block.ends_with, second.printed) == (0, 0, "fine\n")
    assert (tmp_path / "numbers.txt").read_text() == "1\n2\n3\n"


def test_a_stale_output_is_replaced_and_the_rest_of_the_page_is_left():
    fresh = with_outputs(PAGE)
    assert fresh == PAGE.replace("1\n1\n```", "1\n2\n```")
    assert with_outputs(fresh) == fresh


def test_a_language_that_nobody_runs_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="a block of rust cannot be run"):
        list(run_page("<!-- run -->\n```rust\nfn main() {}\n```\n", tmp_path))


def test_a_configuration_that_is_none_ends_badly(tmp_path):
    page = '<!-- run -->\n```toml\nfleet = "x"\n```\n<!-- run -->\n```toml\nfleat = "x"\n```\n'
    good, bad = run_page(page, tmp_path)
    assert good.code == 0
    assert bad.code != 0
    assert "fleat" in bad.stderr


def test_a_fence_without_a_mark_is_neither_run_nor_saved(tmp_path):
    page = "```console\ntouch ran\n```\n"
    assert [b.ends_with for b in blocks(page)] == [None]
    assert list(run_page(page, tmp_path)) == []
    assert not (tmp_path / "ran").exists()


def test_a_stale_part_is_replaced(monkeypatch):
    monkeypatch.setitem(generated.PARTS, "tables", lambda: "new\n")
    page = "a\n<!-- generated: tables -->\nold\n<!-- end of tables -->\nb\n"
    assert with_parts(page) == page.replace("old", "new")


def test_a_key_without_a_description_is_an_error():
    with pytest.raises(KeyError, match=r"slos\.mystery has no description"):
        configuration._row("slos", "mystery", {"type": "number", "default": 1.0})


def test_numbers_that_differ_by_noise_agree_and_others_do_not():
    shown = "q = 2.4e-167; 8 models, +0.03"
    assert agree("q = 2.45e-167; 8 models, +0.0301", shown)
    assert not agree("q = 2.4e-160; 8 models, +0.03", shown)
    assert not agree("q = 2.4e-167; 9 models, +0.03", shown)
    assert not agree("q = 2.4e-167; 8 models, -0.03", shown)
    assert not agree("p = 2.4e-167; 8 models, +0.03", shown)


def test_a_page_that_is_current_ends_with_0_and_one_that_is_not_there_with_2():
    done = tool("--check", "faq.md")
    assert (done.returncode, done.stdout) == (0, "")
    done = tool("--check", "fag.md")
    assert done.returncode == 2
    assert "no page 'fag.md'" in done.stderr
