"""Run one stress test with its full counts, or all of them with small ones.

python tests/stress NAME [OPTIONS]     # kills, interrupts, corruption or batch_faults
python tests/stress                    # all, as `make stress` does
"""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

NAMES = ("kills", "interrupts", "corruption", "batch_faults")
#: Counts that end within about 15 minutes on two cores.
SMALL = (
    ("kills", "--kills", "120", "--by-command", "10"),
    ("interrupts", "--stops", "40"),
    ("corruption", "--count", "300"),
    ("batch_faults", "driver", "--videos", "3", "--images", "60", "--frames", "100"),
    ("batch_faults", "cluster", "--videos", "3", "--images", "60", "--frames", "100"),
)


def run_all() -> int:
    """Run every test with small counts; how many of them failed."""
    failed = []
    for arguments in SMALL:
        print(f"== {' '.join(arguments)}", flush=True)
        command = [sys.executable, str(Path(__file__).parent), *arguments]
        if subprocess.run(command, check=False).returncode:
            failed.append(" ".join(arguments))
    print(f"failed: {', '.join(failed) or 'none'}")
    return len(failed)


def main() -> None:
    if len(sys.argv) == 1:
        sys.exit(run_all() > 0)
    if sys.argv[1] not in NAMES:
        sys.exit(f"name one of {', '.join(NAMES)}")
    name = sys.argv.pop(1)
    import_module(f"stress.{name}").main()


if __name__ == "__main__":
    main()
