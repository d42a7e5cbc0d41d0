#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Says what a run of ctest came to: summarize-tests.py JUNIT.xml...

Prints what failed, what was skipped and why, and as the last line "N passed, N failed, N skipped". A test that an earlier
report has as failed and a later one as passed has passed, and is named.
Exit status 1 when a test failed, when none ran, or when there is no report.
"""
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections import defaultdict

GTEST_SKIP = re.compile(r"^\S+:\d+: Skipped\n(.*?)\n\s*(?:\n|\[  SKIPPED \])", re.M | re.S)
GTEST_PASSED = re.compile(r"^\[  PASSED  \] (\d+) tests?\.$", re.M)
EXIT_77 = re.compile(r"^SKIP: (.*)$", re.M)


def skip_reason(output, message):
    """GoogleTest's GTEST_SKIP() text, a script's "SKIP: reason", or what ctest has to say (a disabled test)."""
    found = GTEST_SKIP.search(output + "\n\n") or EXIT_77.search(output)
    return " ".join(found[1].split()) if found and found[1].strip() else message or "no reason given"


def read(root):
    """(passed, failed, skipped): names, names, {reason: names}."""
    passed, failed, skipped = [], [], defaultdict(list)
    for case in root.iter("testcase"):
        name, status = case.get("name").split("  # ")[0], case.get("status")  # GoogleTest adds a parameter's bytes
        skip = case.find("skipped")
        if status == "run":
            # One test of ctest may be all the cases of a GoogleTest program.
            cases = GTEST_PASSED.search(case.findtext("system-out") or "")
            passed += [name] * (int(cases[1]) if cases else 1)
        elif status == "fail" or skip is None:
            failed.append(name)
        else:
            message = skip.get("message", "")
            if message.startswith("SKIP_"):  # ctest's name for its own rule says nothing to a reader
                message = ""
            if "unable to find executable" in message.lower():
                failed.append(name)  # what was not built was not skipped
                continue
            skipped[skip_reason(case.findtext("system-out") or "", message)].append(name)
    return passed, failed, skipped


def report(passed, failed, skipped):
    second = set(failed) & set(passed)
    failed = set(failed) - second
    lines = [f"failed: {name}" for name in sorted(failed)]
    lines += [f"passed only the second time, alone: {name}" for name in sorted(second)]
    for reason, names in sorted(skipped.items(), key=lambda item: (-len(item[1]), item[0])):
        shown = ", ".join(sorted(names)[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        lines.append(f"skipped {len(names)}: {reason} ({shown})")
    count = sum(len(names) for names in skipped.values())
    lines.append(f"{len(passed)} passed, {len(failed)} failed, {count} skipped")
    return "\n".join(lines)


def main():
    runs = ElementTree.Element("testsuites")
    try:
        for path in sys.argv[1:]:
            runs.append(ElementTree.parse(path).getroot())
    except (OSError, ElementTree.ParseError) as error:
        print(f"no report of the tests: {error}")
        print("0 passed, 1 failed, 0 skipped")
        return 1
    passed, failed, skipped = read(runs)
    print(report(passed, failed, skipped))
    return 1 if set(failed) - set(passed) or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
