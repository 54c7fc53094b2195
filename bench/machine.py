"""The machine: what it is, which core does what, what a process has cost."""

import importlib.metadata
import os
import platform
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from statistics import median

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
FSYNCS = 200
# What WAL writes at a time.
FSYNC_BYTES = 8192


def can_pin() -> bool:
    return hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > 1


def cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def pin(wanted: list[int]) -> None:
    """This process, and what it starts from now on, runs on these cores only."""
    os.sched_setaffinity(0, wanted)


def fsync_ms(directory: Path) -> float:
    """The median time of writing a page through to the disk that holds `directory`."""
    times: list[float] = []
    with tempfile.TemporaryFile(dir=directory) as file:
        data = os.urandom(FSYNC_BYTES)
        for _ in range(FSYNCS):
            begun = time.perf_counter()
            os.pwrite(file.fileno(), data, 0)
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - begun)
    return median(times) * 1000


def description() -> list[str]:
    """What a reader must know of the machine to make sense of the absolute numbers."""
    packages = ("uvicorn", "uvloop", "httptools", "aiohttp", "psycopg", "msgspec", "Django")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    return [
        f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        f"{platform.python_implementation()} {platform.python_version()}, {versions}",
        f"commit {_commit()}",
    ]


def cpu_seconds(pid: int) -> float:
    """What a process and its children that still live have used so far."""
    return sum(_ticks(each) for each in family(pid)) / TICKS_PER_SECOND


def busy_seconds() -> float:
    """What all cores together have worked so far. 0 where there is no /proc."""
    with suppress(OSError):
        user, nice, system, _idle, _iowait, irq, softirq = map(
            int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:8]
        )
        return (user + nice + system + irq + softirq) / TICKS_PER_SECOND
    return 0.0


def resident_mb(pid: int) -> float:
    return sum(_resident_pages(each) for each in family(pid)) * PAGE_BYTES / 1e6


def family(pid: int) -> list[int]:
    """`pid` and its descendants, as far as /proc tells."""
    children: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            # A thread may end while we look.
            with suppress(OSError):
                children += map(int, (task / "children").read_text().split())
    return [pid, *(each for child in children for each in family(child))]


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


def _resident_pages(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    return said.stdout.strip() or "unknown"
