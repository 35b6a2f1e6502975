"""Measures what is asked, prints it, and writes public.json; without the records, nothing is measured."""

import argparse
import json
from pathlib import Path

from . import routellm, routerdc

PARTS = {"routerdc": routerdc, "routellm": routellm}


def main() -> None:
    """Measure the parts, and replace them in public.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.public", description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the records, see benchmarks/README.md")
    parser.add_argument("--part", choices=PARTS, action="append", help="what to measure; all by default")
    parser.add_argument("--output", type=Path, help="folder for public.json")
    arguments = parser.parse_args()
    results = {}
    for name in arguments.part or PARTS:
        results[name] = PARTS[name].measure(arguments.data)
        if arguments.output is not None:
            arguments.output.mkdir(parents=True, exist_ok=True)
            target = arguments.output / "public.json"
            known = json.loads(target.read_text()) if target.exists() else {}
            target.write_text(json.dumps(known | results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
