# SPDX-License-Identifier: Apache-2.0
"""What a run found: kept as JSON with every value, read back by whoever makes tables and charts of it."""
import datetime
import json
import statistics
import subprocess

from .machine import description
from .tools import ROOT


def commit():
    told = subprocess.run(["git", "-c", "safe.directory=*", "rev-parse", "--short", "HEAD"], cwd=ROOT,
                          capture_output=True, text=True, check=False)
    return told.stdout.strip() or "unknown"


def head(command):
    return {"date": datetime.date.today().isoformat(), "commit": commit(), "command": command, "machine": description()}


def of_samples(samples, plan):
    """Samples as nested objects: wire, contender, measurement, figure, and then a value a round."""
    tree = {}
    for (wire, contender, measurement, figure), values in samples.values.items():
        at = tree.setdefault(wire, {}).setdefault(contender, {}).setdefault(measurement, {})
        at[figure] = [float(f"{value:.5g}") for value in values]
    return {"rounds": samples.rounds, "seconds": plan.seconds, "kept": samples.kept, "disturbed": samples.disturbed,
            "discarded": samples.discarded, "wires": tree}


def values(results, wire, contender, measurement, figure):
    """A value a round; empty when it was not measured."""
    wires = results.get("paths", {}).get("wires", {})
    return wires.get(wire, {}).get(contender, {}).get(measurement, {}).get(figure, [])


def median(results, *where):
    found = values(results, *where)
    return statistics.median(found) if found else None


def ratio(results, wire, contender, versus, measurement, figure):
    mine, theirs = (median(results, wire, name, measurement, figure) for name in (contender, versus))
    return mine / theirs if mine is not None and theirs else None


def joined(results, stem):
    """With what an earlier run found for the same commit and this one did not look at: long runs can be made in parts."""
    path = stem.with_suffix(".json")
    if not path.exists():
        return results
    earlier = json.loads(path.read_text(encoding="utf-8"))
    if earlier["commit"] != results["commit"]:
        return results
    return earlier | results | {"command": f"{earlier['command']}; {results['command']}"}


def write(results, stem):
    stem.parent.mkdir(parents=True, exist_ok=True)
    path = stem.with_suffix(".json")
    text = json.dumps(results, indent=1)
    first, *parts = text.split("[")
    text = "[".join([first, *map(_joined, parts)])
    path.write_text(text + "\n", encoding="utf-8")
    return path


def _joined(part):
    """A list of numbers is a line, not a page."""
    inside, closing, rest = part.partition("]")
    return part if any(mark in inside for mark in '{["') else " ".join(inside.split()) + closing + rest
