#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which branches of the BPF programs the tables of packets reach: report.py BPF_DIR TRACES [--page FILE] [--root DIR]

BPF_DIR has the OBJECT.sites.json of counting_clang.py, TRACES a file OBJECT.N for each time that an object was loaded. A branch
is a condition of the source and one of its two answers. The compiler makes several jumps of one (a header's function is in
several programs): it is reached when one of them went that way. Exit status 1: a branch was not reached, and no line near it says
why ("unreached: <reason>" in a comment on the line or the one before).
"""
import argparse
import collections
import json
import re
import struct
import sys
from pathlib import Path

REASON = re.compile(r"unreached: (.*?)\s*(?:\*/)?$")


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
    for i in (number - 1, number - 2):
        found = REASON.search(lines[i]) if 0 <= i < len(lines) else None
        if found:
            return found[1]
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bpf_dir", type=Path)
    parser.add_argument("traces", type=Path)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[3])
    options = parser.parse_args()

    total, reached = collections.Counter(), collections.Counter()
    missing, excused = [], []
    for (path, line, column, asked), answers in sorted(answers_of(options.bpf_dir, options.traces).items()):
        source = Path(path) if Path(path).is_absolute() else options.root / path
        if options.root not in source.parents:
            continue  # a macro of a system header
        name = str(source.relative_to(options.root))
        lines = source.read_text().splitlines()
        for answer, times in zip(("no", "yes"), answers):
            total[name] += 1
            if times:
                reached[name] += 1
                continue
            reason = reason_near(lines, line)
            text = f"{name}:{line}:{column}: never {answer} ({asked}): {lines[line - 1].strip()}"
            (excused if reason else missing).append(f"{text}" + (f"  [{reason}]" if reason else ""))
    width = max(len(name) for name in total)
    for name in sorted(total):
        print(f"{name:{width}}  {reached[name]:4} of {total[name]:4}")
    print(f"{'all':{width}}  {sum(reached.values()):4} of {sum(total.values()):4} branches reached, {len(excused)} cannot be, "
          f"{len(missing)} missing")
    for title, entries in (("cannot be reached", excused), ("missing", missing)):
        if entries:
            print(f"\n{title}:")
            print("\n".join(entries))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
