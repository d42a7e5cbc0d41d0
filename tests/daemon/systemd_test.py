#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""weftd.service under a systemd that is process 1, in a guest of its own: systemd_test.py --build DIR

No systemd is started on the host. Exit status 77: there is no kernel, or no systemd, to start."""
import argparse
import re
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "kernels"))
from matrix import archive, guest, image  # noqa: E402  pylint: disable=wrong-import-position

SYSTEMD = ("/lib/systemd/systemd", "/usr/bin/systemctl", "/usr/bin/systemd-analyze")
UNITS = {
    "default.target": "[Unit]\nRequires=check.service\n",
    "check.service": "[Unit]\nRequires=etcd.service\nAfter=etcd.service\n[Service]\nType=oneshot\nTimeoutStartSec=infinity\nExecStart=/systemd_guest\n",
    "etcd.service": "[Service]\nType=notify\nTimeoutStartSec=infinity\nExecStart=/usr/bin/etcd --data-dir=/var/lib/etcd\nStandardError=null\nStandardOutput=null\n",
    # There is no journal in the guest.
    "weftd.service.d/log.conf": "[Service]\nStandardError=append:/var/log/weftd\nStandardOutput=null\n",
}
ENVIRONMENT = "FLANNELD_ETCD_ENDPOINTS=http://127.0.0.1:2379\nFLANNELD_IFACE=eth0\n"
TIMEOUT_S = 600  # of emulation on a busy machine


def files(build):
    unit = (build / "deploy/weftd.service").read_text()
    program = re.search(r"^ExecStart=(\S+)", unit, re.M)[1]
    yield "/systemd_guest", (HERE / "systemd_guest").read_bytes()
    yield program, (build / "bin/weftd").read_bytes()
    yield "/usr/local/bin/weftctl", (build / "bin/weftctl").read_bytes()
    yield "/etc/systemd/system/weftd.service", unit.encode()
    yield "/etc/default/weftd", ENVIRONMENT.encode()
    yield "/etc/machine-id", b"0123456789abcdef0123456789abcdef\n"
    for name, text in UNITS.items():
        yield f"/etc/systemd/system/{name}", text.encode()


def make_image(build, work):
    for path in SYSTEMD:
        if not Path(path).exists():
            raise archive.NotHere(f"no {path}")
    base = image.base_image([build / "bin/weftd", build / "bin/weftctl"], list(files(build)), work)
    for path in SYSTEMD:
        base.host_program(path)
    for target in Path("/lib/systemd/system").glob("*.target"):
        if target.is_file() and not target.is_symlink():
            base.host_file(str(target))
    base.link("/init", SYSTEMD[0])
    return base


def run(build, kernel, work):
    vmlinuz, release, modules = image.unpack_kernel(archive.packages(kernel), work)
    initrd = work / "initrd"
    make_image(build, work).write(initrd)
    archived = work / "modules.cpio"
    image.modules_image(release, modules, work).write(archived)
    with open(initrd, "ab") as stream:
        stream.write(archived.read_bytes())
    return guest.boot(vmlinuz, initrd, work, TIMEOUT_S)


def steps(results):
    """{name: (exit status, output)}"""
    found, begin = {}, 0
    for end in re.finditer(r"^= (\S+) (\d+)\n", results, re.M):
        found[end[1]] = (int(end[2]), results[begin:end.start()])
        begin = end.end()
    return found


def wrong(found):
    """What is not as it should be, a sentence each."""
    for name in ("start", "active", "leases", "confined", "run-is-written", "tmp-is-its-own", "restart", "started-again", "security",
                 "stop", "result", "leases-stay", "log"):
        if found.get(name, (-1, ""))[0] != 0:
            yield f"{name}: {found.get(name, 'never reached')}"
    for name in ("etc-is-read-only", "devices-are-hidden"):
        if found.get(name, (0, ""))[0] in (0, 124):
            yield f"{name}: {found.get(name, 'never reached')}"

    def says(name, *texts):
        return [f"{name}: no {text!r} in {found[name][1]}" for text in texts if name in found and text not in found[name][1]]
    yield from says("leases", "10.244.77.0/24")
    yield from says("leases-stay", "10.244.77.0/24")
    yield from says("confined", "NoNewPrivs:\t1", "Seccomp:\t2")
    yield from says("etc-is-read-only", "Read-only file system")
    yield from says("result", "Result=success", "ExecMainStatus=0")
    if "tmp-is-its-own" in found and found["tmp-is-its-own"][1]:
        yield f"tmp-is-its-own: {found['tmp-is-its-own'][1]}"
    if "log" in found and "not permitted" in found["log"][1]:
        yield f"something is refused: {found['log'][1]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--kernel", default="6.1", help="Debian 12's, whose systemd this is")
    parser.add_argument("--verbose", action="store_true", help="all that the guest said")
    options = parser.parse_args()
    kernel = next(k for k in archive.KERNELS if k.name == options.kernel)
    with tempfile.TemporaryDirectory(prefix="weft-systemd-", dir="/var/tmp") as folder:
        try:
            image.find_tool("qemu-system-x86_64")
            ended = run(options.build.resolve(), kernel, Path(folder))
        except archive.NotHere as reason:
            print(f"SKIP: {reason}")
            return 77
    found = steps(ended.results)
    complaints = list(wrong(found))
    if complaints or options.verbose:
        print(ended.console[-4000:], ended.results, sep="\n")
    for complaint in complaints:
        print(f"FAILED: {complaint}")
    exposure = re.search(r"Overall exposure level.*", found.get("security", (1, ""))[1])
    print(f"{len(found)} steps in {ended.seconds:.0f} s; {exposure[0] if exposure else 'no figure of exposure'}")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
