"""Brings the pages up to date, or says which are not; see `docs.make`."""

import argparse
import sys

from docs.make.generated import pages, with_outputs, with_parts


def main() -> int:
    """Run every page; return 1 if any was to be changed and only looked at."""
    parser = argparse.ArgumentParser(prog="python -m docs.make", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; end with 1 if stale")
    parser.add_argument("pages", nargs="*", help="names of pages; all by default")
    options = parser.parse_args()
    known = {page.name: page for page in pages()}
    for name in options.pages:
        if name not in known:
            parser.error(f"no page {name!r}; there are {', '.join(known)}")
    stale = []
    for name in options.pages or known:
        text = known[name].read_text(encoding="utf-8")
        fresh = with_outputs(with_parts(text))
        if fresh != text:
            stale.append(name)
            if not options.check:
                known[name].write_text(fresh, encoding="utf-8")
    sys.stdout.write("".join(f"{name}\n" for name in stale))
    return 1 if stale and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
