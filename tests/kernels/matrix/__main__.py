# SPDX-License-Identifier: Apache-2.0
"""Starts Debian's kernels, two at a time, runs this build's tests in each, and says what became of them.

The last line is "N passed, N failed, N skipped". Exit status: 0 when nothing failed, 77 when no kernel could be started."""
import argparse
import concurrent.futures
import shutil
import sys
import tempfile
import time
from pathlib import Path

from . import archive, document, guest, image, report
from .archive import KERNELS, NotHere
from .suites import SUITES

HERE = Path(__file__).resolve().parent.parent
SHORT_KERNELS = (KERNELS[0].name, KERNELS[-1].name)  # what is oldest lacks most, what is newest breaks first
BOOT_S = 60  # of emulation on a busy machine
AT_ONCE = 2  # a guest is one busy CPU


def parse():
    parser = argparse.ArgumentParser(prog="tests/kernels/run.sh", description=__doc__)
    parser.add_argument("--build", type=Path, required=True, help="the build folder")
    parser.add_argument("--short", action="store_true", help=f"only {' and '.join(SHORT_KERNELS)}, and what is quick")
    parser.add_argument("--kernel", action="append", choices=[k.name for k in KERNELS], help="only these; may be repeated")
    parser.add_argument("--suite", action="append", choices=[s.name for s in SUITES], help="only these; may be repeated")
    parser.add_argument("--cases", help="only these cases of the suites, as --gtest_filter")
    parser.add_argument("--refresh", action="store_true", help="ask the archive for newer packages")
    parser.add_argument("--write", action="store_true", help="docs/kernels.md and verifier-budget.json, from the whole run")
    return parser.parse_args()


def chosen(options):
    names = options.kernel or (SHORT_KERNELS if options.short else [k.name for k in KERNELS])
    suites = [s for s in SUITES if s.name in (options.suite or [s.name]) and (s.short or not options.short)]
    return [k for k in KERNELS if k.name in names], suites


def programs(build, suites):
    found = [build / path for path in dict.fromkeys(path for suite in suites for path in (suite.program, *suite.needs))]
    for path in found:
        if not path.exists():
            raise NotHere(f"{path} is not built")
    return found


def run_kernel(kernel, base, suites, options, folder):
    """Starts one guest. @return its report"""
    started = time.monotonic()
    work = Path(folder) / kernel.name
    work.mkdir()
    vmlinuz, release, modules = image.unpack_kernel(archive.packages(kernel, options.refresh), work)
    initrd = work / "initrd"
    shutil.copy(base, initrd)
    archived = work / "modules.cpio"
    image.modules_image(release, modules, work).write(archived)
    with open(initrd, "ab") as stream:
        stream.write(archived.read_bytes())
    run = guest.boot(vmlinuz, initrd, work, BOOT_S + sum(suite.timeout_s for suite in suites))
    shutil.rmtree(work)
    found = report.read(run, suites)
    passed, failed, skipped = found.count()
    print(f"{kernel.name}: {passed} passed, {failed} failed, {skipped} skipped, {time.monotonic() - started:.0f} s", flush=True)
    return found


def main():
    options = parse()
    options.build = options.build.resolve()
    kernels, suites = chosen(options)
    reports, missing = {}, {}
    with tempfile.TemporaryDirectory(prefix="weft-kernels-", dir="/var/tmp") as folder:
        try:
            image.find_tool("qemu-system-x86_64")
            init = (HERE / "init").read_bytes()
            lines = "\n".join(suite.line(options.build, options.short, options.cases) for suite in suites) + "\n"
            kept = [*(HERE.parent / "interop/fixtures").glob("*.pcap"), document.BUDGET]
            files = [("/init", init), ("/suites", lines.encode()), *((str(path), path.read_bytes()) for path in kept)]
            base = Path(folder) / "base.cpio"
            image.base_image(programs(options.build, suites), files, folder).write(base)
        except NotHere as reason:
            print(f"SKIP: {reason}")
            return 77
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            running = {kernel.name: pool.submit(run_kernel, kernel, base, suites, options, folder) for kernel in kernels}
            for name, future in running.items():
                try:
                    reports[name] = future.result()
                    print(report.details({name: reports[name]}), flush=True)
                except NotHere as reason:
                    missing[name] = str(reason)
    status = tell(reports, missing, suites)
    if options.write and status == 0 and len(reports) == len(KERNELS) and not options.cases:
        document.write(reports, suites)
    return status


def tell(reports, missing, suites):
    if not reports:
        print(f"SKIP: {'; '.join(dict.fromkeys(missing.values()))}")
        return 77
    print(report.table(reports, suites))
    for name, reason in missing.items():
        print(f"skipped 1: {name}: {reason}")
    passed, failed, skipped = (sum(column) for column in zip(*(r.count() for r in reports.values())))
    print(f"{passed} passed, {failed} failed, {skipped + len(missing)} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
