#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which branches of the BPF programs the tables of packets reach: report.py BPF_DIR TRACES [--write] [--root DIR]

BPF_DIR has the OBJECT.sites.json of counting_clang.py, TRACES a file OBJECT.N for each time that an object was loaded. A branch
is a condition of the source and one of its two answers. The compiler makes several jumps of one (a header's function is in
several programs): it is reached when one of them went that way. One that cannot be says why in the source: "unreached: <reason>" in a comment on the
line or the one before, "unreached to the end: <reason>" for the rest of a function.

docs/bpf-branches.md is the report, made by --write. Exit status 1: it is out of date, or a branch is missing: neither reached nor
excused.
"""
import argparse
import collections
import json
import re
import struct
import sys
from pathlib import Path

REASON = re.compile(r"unreached: (.*?)\s*(?:\*/)?$")
TO_THE_END = re.compile(r"unreached to the end: (.*?)\s*(?:\*/)?$")


def read_words(path):
    data = path.read_bytes()
    return struct.unpack(f"={len(data) // 8}Q", data)


def answers_of(bpf_dir, traces):
    """{(file, line, column, asked): [times that a jump answered no, yes]}, as far as "times" means "loads"."""
    answers = collections.defaultdict(lambda: [0, 0])
    for sites_file in sorted(bpf_dir.glob("*.sites.json")):
        sites = json.loads(sites_file.read_text())
        name = sites_file.name.removesuffix(".bpf.o.sites.json")
        loads = [read_words(path) for path in traces.glob(f"{name}.*")]
        if not loads:
            sys.exit(f"report.py: {traces}/{name}.*: no trace of {name}")
        for number, site in enumerate(sites):
            for words in loads:
                taken, not_taken = (bool(words[2 * number + i]) for i in (0, 1))
                if site["inverted"]:
                    taken, not_taken = not_taken, taken
                key = (*site["place"], site["asked"])
                answers[key][0] += not_taken
                answers[key][1] += taken
    return answers


def reason_near(lines, number):
    """Of line `number`, counted from 1."""
    for line in lines[max(number - 2, 0):number]:
        if found := REASON.search(line):
            return found[1]
    for line in reversed(lines[:number]):
        if line.startswith("}"):
            return None
        if found := TO_THE_END.search(line):
            return found[1]
    return None


def look(root, answers):
    """{file: [reached, all]}, and lines of those that cannot be reached and of those that were not."""
    counts, excused, missing = collections.defaultdict(lambda: [0, 0]), [], []
    for (path, line, column, asked), times in sorted(answers.items()):
        source = Path(path) if Path(path).is_absolute() else root / path
        if root not in source.parents:
            continue  # a macro of a system header
        name = str(source.relative_to(root))
        lines = source.read_text().splitlines()
        for answer, reached in zip(("no", "yes"), times):
            counts[name][0] += bool(reached)
            counts[name][1] += 1
            if reached:
                continue
            reason = reason_near(lines, line)
            text = f"| `{name}` | `{lines[line - 1].strip().replace('|', chr(92) + '|')}` | {answer} ({asked}, column {column}) |"
            (excused if reason else missing).append(f"{text} {reason} |" if reason else text)
    return counts, excused, missing


def page(counts, excused, missing):
    reached, total = (sum(count[i] for count in counts.values()) for i in (0, 1))
    lines = ["# Branches of the BPF programs", "",
             "Which answers of which conditions the packets of `tests/prog_run` get, its tables and the random ones of its",
             "`differential_test`, whose verdict, reason and bytes are asserted. Written by `sudo tests/prog_run/branches/run.sh --write`;",
             "without `--write` it says whether this page is out of date. The compiler may make several jumps of one condition: each is a",
             "row, by what is compared.", "",
             f"{reached} of {total} are reached, {len(excused)} cannot be, {len(missing)} are missing.", "",
             "| file | reached | of |", "|---|---|---|"]
    lines += [f"| `{name}` | {count[0]} | {count[1]} |" for name, count in sorted(counts.items())]
    if excused:
        lines += ["", "## Out of reach", "", "| file | condition | never | because |", "|---|---|---|---|", *excused]
    if missing:
        lines += ["", "## Missing", "", "| file | condition | never |", "|---|---|---|", *missing]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bpf_dir", type=Path)
    parser.add_argument("traces", type=Path)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[3])
    options = parser.parse_args()
    counts, excused, missing = look(options.root, answers_of(options.bpf_dir, options.traces))
    made = page(counts, excused, missing)
    file = options.root / "docs/bpf-branches.md"
    print(made)
    wrong = []
    if options.write:
        file.write_text(made)
    elif not file.exists() or file.read_text() != made:
        wrong.append(f"{file} is out of date: run.sh --write")
    if missing:
        wrong.append(f"{len(missing)} branches are missing: each wants a packet in a table of tests/prog_run, or, where none can get "
                     "there, a comment \"unreached: <reason>\"")
    for sentence in wrong:
        print(sentence)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
