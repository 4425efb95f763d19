"""How long a user waits for `sanderling --help`, against Python starting and doing nothing."""

import subprocess
import sys
import time

ROUNDS = 15


def best_s(words: list[str]) -> float:
    def once() -> float:
        start = time.perf_counter()
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start

    return min(once() for _ in range(ROUNDS))


def main() -> int:
    nothing = best_s([sys.executable, "-c", "pass"])
    print("| command | best of 15, s | Python alone = 1 |")
    print("|---|---|---|")
    for words in (["--help"], ["--version"], ["train", "--help"], ["list", "passes"]):
        taken = best_s([sys.executable, "-m", "toolkit", *words])
        print(f"| `sanderling {' '.join(words)}` | {taken:.3f} | {taken / nothing:.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
