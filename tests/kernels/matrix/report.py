# SPDX-License-Identifier: Apache-2.0
"""What a guest said, counted. Whatever is missing is a failure."""
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field


@dataclass
class Outcome:
    """Of one suite in one kernel."""
    passed: list = field(default_factory=list)
    failed: list = field(default_factory=list)
    skipped: dict = field(default_factory=dict)  # case: reason
    properties: dict = field(default_factory=dict)  # what tests recorded
    seconds: float = 0.0
    said: str = ""  # the end of its output, when something failed


@dataclass
class Report:
    """Of one kernel."""
    release: str = ""
    booted_s: float = 0.0
    outcomes: dict = field(default_factory=dict)  # suite name: Outcome

    def count(self):
        every = self.outcomes.values()
        return tuple(sum(len(getattr(o, kind)) for o in every) for kind in ("passed", "failed", "skipped"))


def read(run, suites):
    """A guest's results. A suite that did not end, or ended without a list of its cases, has failed."""
    report = Report()
    if found := re.search(r"^kernel (\S+)$", run.results, re.M):
        report.release = found[1]
    if found := re.search(r"^booted ([\d.]+)", run.results, re.M):
        report.booted_s = float(found[1])
    ended = re.search(r"^done$", run.results, re.M)
    since = report.booted_s
    for suite in suites:
        block = re.search(rf"^begin {suite.name}\n.*?^end {suite.name} (\d+) ([\d.]+).*?\n(.*?)^closed {suite.name}$", run.results,
                          re.M | re.S)
        outcome = _read_block(block) if block else _not_ended(suite, run)
        if block:
            outcome.seconds, since = float(block[2]) - since, float(block[2])
        report.outcomes[suite.name] = outcome
    if not ended and not any(outcome.failed for outcome in report.outcomes.values()):
        last = report.outcomes[suites[-1].name]
        last.failed.append(f"the guest did not come to its end{': ' + _last_words(run) if run.console else ''}")
    return report


def _not_ended(suite, run):
    why = "the guest took too long" if run.timed_out else f"the guest ended without its results: {_last_words(run)}"
    return Outcome(failed=[f"{suite.name}: {why}"], said=run.console[-2000:])


def _last_words(run):
    panic = re.search(r"(Kernel panic.*|BUG: .*|Oops.*)", run.console)
    lines = run.console.strip().splitlines()
    return panic[1] if panic else (lines[-1] if lines else "nothing on its console")


def _read_block(block):
    status, text = int(block[1]), block[3]
    outcome = Outcome()
    found = re.search(r"<\?xml.*?</testsuites>", text, re.S)
    try:
        root = ElementTree.fromstring(found[0]) if found else None
    except ElementTree.ParseError:
        root = None
    output = text[found.end():] if found else text
    if root is None:
        return Outcome(failed=[f"no list of cases (exit status {status})"], said=output[-3000:])
    for case in root.iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        for recorded in case.iter("property"):
            outcome.properties[recorded.get("name")] = recorded.get("value")
        if case.find("failure") is not None:
            outcome.failed.append(name)
        elif (skipped := case.find("skipped")) is not None or case.get("result") == "skipped":
            message = (skipped.get("message") if skipped is not None else "") or "no reason given"
            outcome.skipped[name] = " ".join(re.sub(r"^\S+:\d+\s*", "", message).split())
        else:
            outcome.passed.append(name)
    if status and not outcome.failed:
        outcome.failed.append(f"exit status {status}")
    if not outcome.passed and not outcome.failed and not outcome.skipped:
        outcome.failed.append("no case ran")
    if outcome.failed:
        outcome.said = output[-3000:]
    return outcome


def table(reports, suites):
    """One line a kernel: {kernel name: Report}."""
    head = ["kernel", "release", "booted", *(suite.name for suite in suites), "passed", "failed", "skipped"]
    rows = []
    for name, report in reports.items():
        cells = []
        for suite in suites:
            outcome = report.outcomes[suite.name]
            word = "FAILED" if outcome.failed else "ok" if outcome.passed else "skipped"
            cells.append(f"{word} {len(outcome.passed)}/{len(outcome.failed)}/{len(outcome.skipped)} {outcome.seconds:.0f}s")
        rows.append([name, report.release or "?", f"{report.booted_s:.1f}s", *cells, *map(str, report.count())])
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in [head, *rows])


def details(reports):
    """What failed, with the end of its output, and what was skipped, and why."""
    lines = []
    for name, report in reports.items():
        for suite, outcome in report.outcomes.items():
            lines += [f"failed: {name} {suite}: {case}" for case in outcome.failed]
            if outcome.said:
                lines.append(outcome.said.strip())
            reasons = {}
            for case, why in outcome.skipped.items():
                reasons.setdefault(why, []).append(case)
            lines += [f"skipped {len(cases)}: {name} {suite}: {why} ({cases[0]}{' ...' if cases[1:] else ''})"
                      for why, cases in sorted(reasons.items())]
    return "\n".join(lines)
