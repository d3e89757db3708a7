"""Runs the rounds and prints the table. Called by scripts/bench; see setting.py for what is measured."""

import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from statistics import median

import scanners
import setting

ROOT = pathlib.Path(__file__).resolve().parent.parent
QUICK = "--quick" in sys.argv
ROUNDS, SECONDS, EVENT_STREAMS = (3, 1, 40) if QUICK else (7, 2, 100)
REQUESTS = 100_000
MODULE = ROOT / "dist/countersign.wasm"

SMALL, DIRECT = "/repos/acme/web", "/repos/acme/direct"


def wrk(envoy, path, bearer, connections, seconds):
    """One burst of load: requests a second, p50 and p99 in µs, and processor µs of Envoy a request."""
    before = envoy.processor_seconds()
    text = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "30s", "-H", f"Host: {setting.API}",
         "-H", f"Authorization: Bearer {bearer}", "-H", "User-Agent: bench", f"http://127.0.0.1:{envoy.port}{path}"],
        check=True, capture_output=True, text=True).stdout
    used = envoy.processor_seconds() - before
    if "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit(f"scripts/bench: {envoy.name} {path} was not answered with 200:\n{text}")
    unit = {"us": 1, "ms": 1e3, "s": 1e6}
    percentile = lambda p: next(float(n) * unit[u] for n, u in re.findall(rf"^\s+{p}%\s+([\d.]+)(us|ms|s)$", text, re.M))
    count, took = re.search(r"(\d+) requests in ([\d.]+)s", text).groups()
    count = int(count)
    return {"count": count, "rate": float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]), "p50": percentile(50), "p99": percentile(99),
            "cpu": used * 1e6 / max(count, 1)}


def first_event(envoy, bearer, times):
    """Microseconds from a streaming chat request to the first byte of its first event, over one connection."""
    body = json.dumps({"model": "gpt-5.1", "stream": True, "messages": [{"role": "user", "content": "say something"}]}).encode()
    head = (f"POST /chat/completions HTTP/1.1\r\nhost: {setting.COPILOT}\r\nauthorization: Bearer {bearer}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n").encode()
    out = []
    with socket.create_connection(("127.0.0.1", envoy.port)) as stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(times):
            begin, seen, first = time.perf_counter_ns(), b"", None
            stream.sendall(head + body)
            while not seen.endswith(b"\r\n0\r\n\r\n"):
                piece = stream.recv(65536)
                if not piece:
                    raise SystemExit(f"scripts/bench: {envoy.name} closed an event stream:\n{seen[:500]!r}")
                seen += piece
                if first is None and b"data: " in seen:
                    first = time.perf_counter_ns()
            if first is None:
                raise SystemExit(f"scripts/bench: {envoy.name} sent no event:\n{seen[:500]!r}")
            out.append((first - begin) / 1e3)
    return out


def answered(envoy):
    """Requests that Envoy has answered so far."""
    url = f"http://127.0.0.1:{envoy.admin}/stats?filter=http.{envoy.name}.downstream_rq_completed"
    return int(urllib.request.urlopen(url).read().split()[-1])


def statistics_of(envoy):
    url = f"http://127.0.0.1:{envoy.admin}/stats?filter=countersign"
    pairs = (line.split(": ") for line in urllib.request.urlopen(url).read().decode().splitlines() if ": " in line)
    return {name.rsplit("countersign.", 1)[-1]: value for name, value in pairs}


def measure(programs, bearer):
    plain, filtered, strict = (programs[n] for n in ("plain", "filtered", "strict"))
    three, two = [plain, filtered, strict], [plain, filtered]
    tests = [("small", three, SMALL, 32), ("one", three, SMALL, 1), ("direct", two, DIRECT, 32)]
    seen = {}
    note = lambda test, envoy, value: seen.setdefault((test, envoy.name), []).append(value)
    for envoy in three:
        wrk(envoy, SMALL, bearer, 1, 1)
    fresh = {e.name: e.resident() for e in three}
    for turn in range(ROUNDS):
        print(f"  round {turn + 1} of {ROUNDS}", file=sys.stderr, flush=True)
        # The order changes from round to round, so that none always follows the same neighbour.
        for test, envoys, path, connections in tests:
            for envoy in envoys if turn % 2 else envoys[::-1]:
                note(test, envoy, wrk(envoy, path, bearer, connections, SECONDS))
    for envoy in three:
        while answered(envoy) < REQUESTS:
            wrk(envoy, SMALL, bearer, 32, 2)
    time.sleep(2)
    worn = {e.name: (e.resident(), answered(e)) for e in three}
    print("  large answers and event streams", file=sys.stderr, flush=True)
    for turn in range(ROUNDS):
        order = two if turn % 2 else two[::-1]
        for kind in ("text", "json"):
            path = f"/repos/acme/web/large.{'txt' if kind == 'text' else 'json'}"
            for envoy in order:
                note(kind, envoy, wrk(envoy, path, bearer, 1, SECONDS))
        for envoy in order:
            credential = setting.CREDENTIAL if envoy is plain else bearer
            note("events", envoy, median(first_event(envoy, credential, EVENT_STREAMS)))
    heavy = {e.name: e.resident() for e in two}
    return seen, fresh, worn, heavy, statistics_of(filtered)


def native_speed():
    """What the mask engine does outside V8, from its own benchmark."""
    command = ["cargo", "bench", "--locked", "--quiet", "-p", "countersign-core", "--bench", "mask"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return re.findall(r"^(.+?)\s{2,}(\d+) MB/s", run.stdout, re.M) if run.returncode == 0 else []


BUDGETS = {"REST": "15 µs or less", "GraphQL": "50 µs or less"}


def judging():
    """What judging costs outside V8, from its own benchmark: name, figure with its yardsticks, budget."""
    command = ["cargo", "bench", "--locked", "--quiet", "--profile", "wasm", "-p", "countersign-core", "--bench", "judge"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    found = re.findall(r"^(.+?): ([\d.]+ µs), (.+)$", run.stdout, re.M) if run.returncode == 0 else []
    return [(name, cost, beside, BUDGETS.get(name.split()[0], "(information)")) for name, cost, beside in found]


def table(seen, fresh, worn, heavy, counters, sizes, native, judged, beside):
    middle = lambda test, name, key: median(v[key] for v in seen[test, name])
    # A ratio of neighbours in time, then the median: slow noise cancels out.
    ratio = lambda test, name, key: median(a[key] / b[key] for a, b in zip(seen[test, name], seen[test, "plain"]))
    added = lambda test, name, key: median(a[key] - b[key] for a, b in zip(seen[test, name], seen[test, "plain"]))
    rows = []

    def row(what, without, with_, verdict, budget=""):
        rows.append(f"| {what} | {without} | {with_} | {verdict} | {budget} |")

    for name, budget in (("filtered", "0.55 or more"), ("strict", "(information)")):
        audit = {"filtered": "best-effort audit", "strict": "strict audit, a sink that answers at once"}[name]
        row(f"small allowed call, 32 connections, {audit}: requests/s", f"{middle('small', 'plain', 'rate'):,.0f}",
            f"{middle('small', name, 'rate'):,.0f}", f"× {ratio('small', name, 'rate'):.2f}", budget)
        row(f"the same: processor time of Envoy a request, µs", f"{middle('small', 'plain', 'cpu'):.1f}",
            f"{middle('small', name, 'cpu'):.1f}", f"+ {added('small', name, 'cpu'):.1f}")
        for key, limit in (("p50", "50 µs"), ("p99", "1 ms")):
            row(f"the same, 1 connection: latency {key}, µs", f"{middle('one', 'plain', key):.0f}", f"{middle('one', name, key):.0f}",
                f"+ {added('one', name, key):.0f} µs", limit if name == "filtered" else "(information)")
    row("small call that Envoy answers itself (no upstream): requests/s", f"{middle('direct', 'plain', 'rate'):,.0f}",
        f"{middle('direct', 'filtered', 'rate'):,.0f}", f"× {ratio('direct', 'filtered', 'rate'):.2f}", "(information)")
    row("the same: processor time of Envoy a request, µs", f"{middle('direct', 'plain', 'cpu'):.1f}",
        f"{middle('direct', 'filtered', 'cpu'):.1f}", f"+ {added('direct', 'filtered', 'cpu'):.1f}")
    events = {n: median(seen["events", n]) for n in ("plain", "filtered")}
    delay = median(a - b for a, b in zip(seen["events", "filtered"], seen["events", "plain"]))
    row("streamed chat: first byte of the first event, µs", f"{events['plain']:.0f}", f"{events['filtered']:.0f}",
        f"+ {delay:.0f} µs", "the request's own cost; no event is held")
    for kind in ("text", "json"):
        size = sizes[kind]
        speed = {n: middle(kind, n, "rate") * size / 1e6 for n in ("plain", "filtered")}
        row(f"10 MB {kind} answer, masked and captured: MB/s", f"{speed['plain']:,.0f}", f"{speed['filtered']:,.0f}",
            f"× {ratio(kind, 'filtered', 'rate'):.2f}")
        inside = size / median(max(a["cpu"] - b["cpu"], 1) for a, b in zip(seen[kind, "filtered"], seen[kind, "plain"]))
        row(f"the same: bytes a second of processor time that the filter adds, MB/s", "", f"{inside:,.0f}", "inside V8", "300 MB/s or more")
    mib = lambda size: f"{size / 2**20:.1f} MiB"
    row("`countersign.wasm`", "", f"{MODULE.stat().st_size / 1e6:.2f} MB", "", "3 MB or less")
    row("resident memory of Envoy, fresh", mib(fresh["plain"]), mib(fresh["filtered"]), f"+ {mib(fresh['filtered'] - fresh['plain'])}")
    for name in ("filtered", "strict"):
        count = min(worn["plain"][1], worn[name][1])
        row(f"resident memory after {count:,} requests or more ({'best effort' if name == 'filtered' else name})", mib(worn["plain"][0]), mib(worn[name][0]),
            f"+ {mib(worn[name][0] - worn['plain'][0])}; grew {mib(worn[name][0] - fresh[name])}", "32 MiB for the VM")
    row("resident memory after the large answers too", mib(heavy["plain"]), mib(heavy["filtered"]), f"+ {mib(heavy['filtered'] - heavy['plain'])}")
    for name, speed in native:
        row(f"mask engine outside V8: {name.strip()}", "", f"{speed} MB/s", "native")
    limits = {"text, all rules": "300 MB/s or more", "text, prefix rules alone": "1,000 MB/s or more", "start: rules compiled in": "20 ms or less",
              "start: memory for it": "2 MiB or less"}
    for name, speed, found in beside:
        row(name.strip(), "", speed, f"{found} found" if found else "", limits.get(name.split(": ", 1)[-1].strip(), "") if " in V8" in name else "")
    for name, cost, yardsticks, budget in judged:
        row(f"judging, 50 rules, outside V8: {name}", "", cost, yardsticks, budget)
    lost = counters.get("records_dropped", "0")
    head = ["| what | without | with | with against without | budget |", "|---|---|---|---|---|"]
    tail = [f"Audit records acknowledged {counters.get('records_acked')}, lost {lost}; deliveries that failed {counters.get('deliveries_failed')}."]
    return "\n".join([*head, *rows, "", *tail])


def machine():
    processor = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), os.uname().machine)
    say = lambda *command: subprocess.run(command, capture_output=True, text=True).stdout.strip()
    version = re.search(r"/(\d+\.\d+\.\d+)/", say(os.environ["ENVOY_BIN"], "--version"))[1]
    busy = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    return [f"- {say('date', '-u', '+%Y-%m-%d %H:%M UTC')}, commit {say('git', 'rev-parse', '--short', 'HEAD')}"
            + (" with changes" if say("git", "status", "--porcelain", "filter") else ""),
            f"- {processor}, {os.cpu_count()} cores, Linux {os.uname().release}", f"- Envoy {version}, one worker (`--concurrency 1`)",
            f"- {ROUNDS} rounds of {SECONDS} s each; load averages before the run {busy}"]


def main():
    os.chdir(ROOT)
    about = machine()
    with tempfile.TemporaryDirectory(prefix="countersign-bench-") as name:
        folder = pathlib.Path(name)
        programs = {}
        try:
            programs, bearer = setting.start(folder, str(MODULE))
            sizes = {"text": (folder / "large.txt").stat().st_size, "json": (folder / "large.json").stat().st_size}
            results = measure(programs, bearer)
        finally:
            for program in programs.values():
                program.stop()
    text = "\n".join(["# What the filter costs", "", INTRODUCTION, "", *about, "", table(*results, sizes, native_speed(), judging(), [] if QUICK else scanners.rows()), ""])
    print(text)
    if not QUICK:
        (ROOT / "bench/results.md").write_text(text)
        print("written to bench/results.md", file=sys.stderr)


INTRODUCTION = """\
Made by `scripts/bench`. Envoy with and without the filter in turn, on one machine in one run; medians of the rounds, ratios
between neighbours in time. All programs (load, gateway, upstream, sink) share the cores with whatever else ran then: read the
ratios and the processor times, not the rates. A small call is `GET /repos/acme/web` with a 620-byte token and a 600-byte JSON answer,
its identity cached, 20 rules, masking of both directions and capture of bodies on. The sink answers at once: in strict mode a real ledger's
disk comes on top."""

if __name__ == "__main__":
    main()
