#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The summary counts every test once and finds why one was skipped."""
import importlib.util
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "summarize-tests.py"
spec = importlib.util.spec_from_file_location("summarize_tests", SCRIPT)
summarize = importlib.util.module_from_spec(spec)
spec.loader.exec_module(summarize)

GTEST_OUTPUT = """Running main() from ./googletest/src/gtest_main.cc
Note: Google Test filter = Harness.X
[ RUN      ] Harness.X
/src/tests/netns/harness_test.cpp:35: Skipped
needs root: namespaces cannot be made

[  SKIPPED ] Harness.X (0 ms)
"""


def junit(*cases):
    return ElementTree.fromstring("<testsuite>" + "".join(cases) + "</testsuite>")


def case(name, status, inner="", output=""):
    return f'<testcase name="{name}" status="{status}">{inner}<system-out>{output}</system-out></testcase>'


def skipped(name, output, message="SKIP_REGULAR_EXPRESSION_MATCHED"):
    return case(name, "notrun", f'<skipped message="{message}"/>', output)


class Summary(unittest.TestCase):
    def test_the_last_line_counts_each_test_once(self):
        passed, failed, skips = summarize.read(junit(case("a", "run"), case("b", "run"), case("c", "fail"),
                                                     skipped("d", GTEST_OUTPUT)))
        self.assertEqual(summarize.report(passed, failed, skips).splitlines()[-1], "2 passed, 1 failed, 1 skipped")

    def test_a_program_that_runs_whole_counts_its_cases(self):
        output = "[==========] 288 tests from 14 test suites ran. (900 ms total)\n[  PASSED  ] 288 tests.\n"
        passed, failed, skips = summarize.read(junit(case("rows", "run", output=output), case("b", "run")))
        self.assertEqual(summarize.report(passed, failed, skips), "289 passed, 0 failed, 0 skipped")

    def test_what_passes_the_second_time_is_named_and_counts_once(self):
        cases = [case("a", "run"), case("b", "fail"), case("c", "fail"), case("b", "run"), case("c", "fail")]
        lines = summarize.report(*summarize.read(junit(*cases))).splitlines()
        self.assertEqual(lines, ["failed: c", "passed only the second time, alone: b", "2 passed, 1 failed, 0 skipped"])

    def test_reasons_are_gathered(self):
        cases = [skipped(f"t{i}", GTEST_OUTPUT) for i in range(5)] + [skipped("s", "x\nSKIP: no clang-tidy-19\n")]
        lines = summarize.report(*summarize.read(junit(*cases))).splitlines()
        self.assertEqual(lines[1], "skipped 1: no clang-tidy-19 (s)")
        self.assertEqual(lines[0], "skipped 5: needs root: namespaces cannot be made (t0, t1, t2 and 2 more)")

    def test_a_disabled_test_is_skipped_and_says_so(self):
        _, _, skips = summarize.read(junit(case("d", "disabled", '<skipped message="Disabled"/>')))
        self.assertEqual(dict(skips), {"Disabled": ["d"]})

    def test_a_reason_ends_where_googletest_goes_on(self):
        for end in ("\n\n[  SKIPPED ] A.B (0 ms)\n", "\n[  SKIPPED ] A.B (0 ms)\n", "\n", ""):
            _, _, skips = summarize.read(junit(skipped("d", "/src/a.cpp:7: Skipped\nno bpffs" + end)))
            self.assertEqual(list(skips), ["no bpffs"], repr(end))

    def test_a_reason_that_was_not_given_is_not_invented(self):
        _, _, skips = summarize.read(junit(skipped("d", "nothing")))
        self.assertEqual(list(skips), ["no reason given"])

    def test_a_test_that_was_never_built_is_a_failure(self):
        _, failed, skips = summarize.read(junit(skipped("d", "", "Unable to find executable")))
        self.assertEqual((failed, dict(skips)), (["d"], {}))


if __name__ == "__main__":
    unittest.main()
