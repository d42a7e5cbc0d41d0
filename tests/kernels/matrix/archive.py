# SPDX-License-Identifier: Apache-2.0
"""Debian's kernel packages, from the mirror that this machine's apt knows, kept outside the tree with their checksums."""
import hashlib
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(os.environ.get("WEFT_KERNEL_CACHE", "/var/cache/weft-kernels"))
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SUMS = "SHA256SUMS"
# A kernel is one package, or since 7.x a binary and its modules; meta packages and headers are none.
KERNEL_PACKAGE = re.compile(r"^linux-(?:image|binary|modules)-\d.*-cloud-amd64$")
# The list of one suite is 10 MB: a mirror that takes longer is one that is not there.
TIMEOUT_S = 240


class NotHere(Exception):
    """What cannot be had on this machine: a reason to skip."""


@dataclass(frozen=True)
class Kernel:
    """A line of the matrix: the cloud kernel of a suite of Debian."""
    name: str
    suite: str
    security: bool = False  # taken from the security suite too, where an old release goes on


KERNELS = (Kernel("5.10", "bullseye", security=True), Kernel("6.1", "bookworm"), Kernel("6.12", "trixie"),
           Kernel("newest", "sid"))


def packages(kernel, refresh=False):
    """The kernel's package files. Downloads them when they are not kept, or with `refresh`."""
    kept = CACHE / kernel.name
    if not refresh and (found := _checked(kept)):
        return found
    names = _download(kernel, kept)
    return [kept / name for name in names]


def _checked(kept):
    """The kept files, when all of them are what was downloaded."""
    try:
        lines = (kept / SUMS).read_text().splitlines()
        files = {kept / name: digest for digest, name in (line.split("  ", 1) for line in lines)}
        return list(files) if files and all(_digest(file) == digest for file, digest in files.items()) else []
    except (OSError, ValueError):
        return []


def _digest(file):
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _run(argv, cwd=None):
    try:
        done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotHere(f"kernel packages: {error}") from error
    if done.returncode:
        raise NotHere(f"kernel packages: {argv[0]}: {(done.stderr.strip() or 'failed').splitlines()[-1]}")
    return done.stdout


def _mirrors():
    """Debian's own mirror and its security mirror, as this machine's apt is set up with them."""
    listed = _run(["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)"]).splitlines()
    ours = [line.split(" ", 1)[1] for line in listed if line.startswith("Debian ")]
    main = next((uri for uri in ours if "security" not in uri), None)
    if not main:
        raise NotHere("kernel packages: apt knows no mirror of Debian here (apt-get update)")
    return main, next((uri for uri in ours if "security" in uri), None)


def _apt_root(kernel, root):
    """An apt of its own, which knows one suite and no installed package, so that nothing of the host's is touched."""
    for directory in ("etc/apt/apt.conf.d", "etc/apt/preferences.d", "etc/apt/sources.list.d", "var/lib/apt/lists/partial",
                      "var/cache/apt/archives/partial", "var/lib/dpkg"):
        (root / directory).mkdir(parents=True, exist_ok=True)
    (root / "var/lib/dpkg/status").touch()
    main, security = _mirrors()
    options = "[arch=amd64" + (f" signed-by={KEYRING}" if KEYRING.exists() else "") + "]"
    sources = [f"deb {options} {main} {kernel.suite} main"]
    if kernel.security and security:
        sources.append(f"deb {options} {security} {kernel.suite}-security main")
    (root / "etc/apt/sources.list").write_text("\n".join(sources) + "\n")
    settings = {"Dir": root, "Dir::State::status": root / "var/lib/dpkg/status", "APT::Sandbox::User": "root",
                "Acquire::Languages": "none", "APT::Architecture": "amd64", "Acquire::Retries": "2"}
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def _download(kernel, kept):
    kept.mkdir(parents=True, exist_ok=True)
    for old in kept.glob("*.deb"):
        old.unlink()
    options = _apt_root(kernel, kept / "apt")
    _run(["apt-get", *options, "-qq", "update"])
    wanted = _run(["apt-get", *options, "-qq", "install", "--print-uris", "--no-install-recommends", "linux-image-cloud-amd64"])
    files = (line.split()[1] for line in wanted.splitlines() if line.startswith("'"))
    names = [name for name in (file.split("_")[0] for file in files) if KERNEL_PACKAGE.match(name)]
    if not names:
        raise NotHere(f"kernel packages: {kernel.suite} has no cloud kernel")
    _run(["apt-get", *options, "-qq", "download", *names], cwd=kept)  # apt checks them by the signed lists
    found = sorted(file.name for file in kept.glob("*.deb"))
    (kept / SUMS).write_text("".join(f"{_digest(kept / name)}  {name}\n" for name in found))
    return found
