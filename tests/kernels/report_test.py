#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a guest did not say is a failure, whatever else it said."""
import unittest

from matrix import report
from matrix.guest import Run
from matrix.suites import Suite

SUITES = (Suite("one", "tests/one"), Suite("two", "tests/two"))
CASES = """<?xml version="1.0" encoding="UTF-8"?>
<testsuites><testsuite><testcase classname="A" name="passes"/>
<testcase classname="A" name="skips" result="skipped"><skipped message="a.cpp:1&#x0A;no reason to run"/></testcase>
%s</testsuite></testsuites>
"""
FAILURE = '<testcase classname="A" name="fails"><failure message="no"/></testcase>'


def suite(name, status=0, cases=CASES % ""):
    return f"begin {name}\nend {name} {status} 7.5 0.0\n{cases}\nsome output\nclosed {name}\n"


def read(results, console="", timed_out=False):
    return report.read(Run("kernel 6.1.0\nbooted 2.5 0.0\n" + results, console, 9.0, timed_out), SUITES)


class ReportTest(unittest.TestCase):
    def test_a_whole_run_is_counted(self):
        found = read(suite("one") + suite("two") + "done\n")
        self.assertEqual((found.release, found.booted_s, found.count()), ("6.1.0", 2.5, (2, 0, 2)))
        self.assertEqual(found.outcomes["one"].skipped, {"A.skips": "no reason to run"})

    def test_a_case_that_fails_is_named(self):
        found = read(suite("one", 1, CASES % FAILURE) + suite("two") + "done\n")
        self.assertEqual(found.outcomes["one"].failed, ["A.fails"])

    def test_a_panic_fails_the_suite_that_ran(self):
        found = read(suite("one") + "begin two\n", "[    5.7] Kernel panic - not syncing: Fatal exception\n")
        self.assertEqual(found.outcomes["two"].failed,
                         ["two: the guest ended without its results: Kernel panic - not syncing: Fatal exception"])

    def test_a_hang_is_a_failure(self):
        self.assertEqual(read(suite("one") + "begin two\n", timed_out=True).count()[1], 1)

    def test_a_guest_that_never_came_up_fails_everything(self):
        self.assertEqual(report.read(Run("", "", 9.0, True), SUITES).count(), (0, 2, 0))

    def test_results_without_the_last_word_are_a_failure(self):
        self.assertEqual(read(suite("one") + suite("two")).count()[1], 1)

    def test_a_program_that_dies_without_a_list_is_a_failure(self):
        self.assertEqual(read(suite("one", 139, "") + suite("two") + "done\n").count()[1], 1)

    def test_an_exit_status_counts_where_no_case_failed(self):
        self.assertEqual(read(suite("one", 1) + suite("two") + "done\n").count()[1], 1)

    def test_a_program_without_cases_is_a_failure(self):
        self.assertEqual(read(suite("one", 0, "<?xml?><testsuites></testsuites>") + suite("two") + "done\n").count()[1], 1)


if __name__ == "__main__":
    unittest.main()
