"""What is measured: three Envoys that differ only in the filter, and what stands behind them.

`plain` has no filter, `filtered` the filter with best-effort audit, `strict` the filter in strict mode. Behind
them: one more Envoy that answers small and large bodies and takes the audit records, fast enough not to be the
bottleneck; and the simulated upstream for event streams.
"""

import base64
import json
import os
import random
import socket
import subprocess
import time

CREDENTIAL = "ghs_benchcredential00000000000000000000"
API, COPILOT = "api.github.com", "api.githubcopilot.com"
LARGE = 10_000_000

SMALL = json.dumps({
    "id": 1296269, "node_id": "MDEwOlJlcG9zaXRvcnkxMjk2MjY5", "name": "web", "full_name": "acme/web", "private": True,
    "owner": {"login": "acme", "id": 1, "type": "Organization", "html_url": "https://github.com/acme"},
    "html_url": "https://github.com/acme/web", "description": "The web shop.", "default_branch": "main",
    "visibility": "private", "forks": 3, "open_issues": 7, "pushed_at": "2026-11-20T09:10:11Z",
})

PROSE = ("The gateway reads each request, decides, and writes a record. Nobody waits for more than the answer of a "
         "person; see https://example.com/docs/page-1 for the details.\n")
CODE = ("fn decide(&self, head: &RequestHead) -> Result<Verdict, Reason> {\n    let token = self.tokens.get(index)"
        ".ok_or(Reason::Missing)?;\n    self.count += 1; // 0x1f3a\n}\n")
LOG = ("2026-11-21T08:28:09.123Z INFO gateway[4242] request id=4f1c9a7e-0b1d-4c55-9f39-6a2d1e8b7c10 "
       "sha=9b74c9897bac770ffc029102a200c5de9b74c989 status=200 path=/repos/acme/web\n")


def large_text(seed):
    """Prose, code and log lines, with a token-shaped secret in every 64 KiB."""
    dice = random.Random(seed)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    out, size, next_secret = [], 0, 65536
    while size < LARGE:
        part = dice.choice((PROSE, CODE, LOG))
        if size > next_secret:
            next_secret += 65536
            part = "export AWS_ACCESS_KEY_ID=AKIA" + "".join(dice.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=16)) \
                + " AWS_SECRET_ACCESS_KEY=" + "".join(dice.choices(letters, k=40)) + "\n"
        out.append(part)
        size += len(part)
    return "".join(out)


def large_json(seed):
    """The same, as the strings of many small objects."""
    items = []
    for number, line in enumerate(large_text(seed)[:LARGE * 7 // 10].splitlines()):
        items.append({"id": number, "path": "src/part.rs", "line": number * 3, "text": line, "kept": True})
    return json.dumps(items)


def token(folder):
    """A key set and a token of an identity provider made for this run."""
    encode = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    key = folder / "key.pem"
    openssl = lambda *arguments, data=b"": subprocess.run(
        ["openssl", *arguments], input=data, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout
    openssl("genrsa", "-out", str(key), "2048")
    modulus = openssl("rsa", "-in", str(key), "-noout", "-modulus").decode().strip().split("=")[1]
    now = int(time.time())
    claims = {"iss": "https://idp.bench.example/", "aud": "countersign", "sub": "dana", "email": "dana@acme.example",
              "groups": ["developers", "web"], "iat": now, "exp": now + 86400, "jti": "bench"}
    head = {"alg": "RS256", "typ": "JWT", "kid": "bench"}
    signed = ".".join(encode(json.dumps(part).encode()) for part in (head, claims))
    signature = openssl("dgst", "-sha256", "-sign", str(key), data=signed.encode())
    keys = {"keys": [{"kty": "RSA", "kid": "bench", "alg": "RS256", "use": "sig", "n": encode(bytes.fromhex(modulus)), "e": "AQAB"}]}
    return keys, f"{signed}.{encode(signature)}"


def policy(keys, delivery):
    """Twenty rules as a security team would have them; the measured calls match none of them."""
    deny = [
        ("no-repo-delete", ["repo.delete"]), ("no-repo-transfer", ["repo.transfer"]), ("no-visibility", ["repo.visibility"]),
        ("no-archive", ["repo.archive"]), ("no-protection", ["branch_protection.*"]), ("no-rulesets", ["ruleset.*"]),
        ("no-hooks", ["hook.*", "webhook.*"]), ("no-keys", ["key.*", "deploy_key.*"]), ("no-secrets", ["secret.*", "actions.secret.*"]),
        ("no-members", ["member.*", "collaborator.*"]), ("no-teams", ["team.*"]), ("no-apps", ["app.*", "installation.*"]),
        ("no-release-delete", ["release.delete"]), ("no-runner", ["runner.*"]),
    ]
    rules = [{"name": name, "operations": operations, "action": "deny"} for name, operations in deny]
    held = {"reviewers": {"groups": ["platform-leads"]}, "min": 1, "hold": "45s", "ticket": "15m"}
    rules += [
        {"name": "ci-config", "operations": ["content.write", "ref.push"], "paths": [".github/workflows/**"], "unknown_paths": "allow", "action": "deny"},
        {"name": "code-owners", "operations": ["content.write"], "paths": ["**/CODEOWNERS"], "action": "deny"},
        {"name": "production-branch", "operations": ["ref.push", "ref.update", "pr.merge"], "repos": ["acme/*"],
         "refs": ["refs/heads/main", "refs/heads/release/*"], "except": {"groups": ["release-managers"]},
         "action": "require_approval", "approval": held},
        {"name": "tags", "operations": ["ref.*"], "refs": ["refs/tags/*"], "action": "require_approval", "approval": held},
        {"name": "releases", "operations": ["release.*"], "repos": ["acme/web", "acme/api"], "action": "require_approval", "approval": held},
        {"name": "contractors", "operations": ["*.write", "*.delete"], "groups": ["contractors"], "action": "deny"},
    ]
    credential = {"secret": "github", "scheme": "bearer"}
    return {
        "version": "v1", "mode": "enforce",
        "identity": {"providers": [{
            "name": "bench", "issuer": "https://idp.bench.example/", "audiences": ["countersign"], "jwks": {"inline": keys},
            "tokens": [{"header": "authorization", "scheme": "bearer"}, {"header": "authorization", "scheme": "basic"}],
            "claims": {"subject": "sub", "email": "email", "groups": "groups"},
        }]},
        "connections": [
            {"name": "github-api", "hosts": [API], "protocol": "github", "credential": credential},
            {"name": "copilot", "hosts": ["*.githubcopilot.com"], "protocol": "openai", "credential": credential},
        ],
        "secrets": {"github": {"env": "GITHUB_TOKEN"}},
        "default": "allow", "rules": rules,
        "masking": {"request": {"rules": ["default"], "action": "mask"}, "response": {"rules": ["default"], "action": "mask"}},
        "approval_service": {"cluster": "sink", "on_error": "deny"},
        "audit": {"sink": {"cluster": "sink", "path": "/v1/logs"}, "delivery": delivery,
                  "capture": {"request_body": "256KiB", "response_body": "1MiB"}},
        "limits": {"request_body": "8MiB"},
    }


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def cluster(name, port):
    http1 = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return {
        "name": name, "type": "STATIC", "connect_timeout": "2s",
        "circuit_breakers": {"thresholds": [{"max_connections": 4096, "max_pending_requests": 4096, "max_requests": 4096}]},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}]},
        "typed_extension_protocol_options": {http1.split("/")[1]: {
            "@type": http1, "explicit_http_config": {"http_protocol_options": {}}}},
    }


def listener(name, port, hosts, filters):
    router = {"name": "envoy.filters.http.router", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router", "suppress_envoy_headers": True}}
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name, "codec_type": "AUTO", "use_remote_address": True, "normalize_path": False,
        "internal_address_config": {"cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": 32}]},
        "http_filters": [*filters, router],
        "route_config": {"name": name, "max_direct_response_body_size_bytes": 2 * LARGE, "virtual_hosts": hosts},
    }
    return {
        "name": name, "address": address(port), "per_connection_buffer_limit_bytes": 16 << 20,
        "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}],
    }


def answer(path, media_type, body):
    content_type = {"header": {"key": "content-type", "value": media_type}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    return {"match": {"prefix": path}, "direct_response": {"status": 200, "body": body}, "response_headers_to_add": [content_type]}


def small_answer(path):
    return answer(path, "application/json; charset=utf-8", {"inline_string": SMALL})


def wasm_filter(configuration, module):
    return {"name": "countersign", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
        "config": {
            "name": "countersign", "root_id": "countersign", "allow_on_headers_stop_iteration": True, "failure_policy": "FAIL_RELOAD",
            "vm_config": {"vm_id": "countersign", "runtime": "envoy.wasm.runtime.v8", "code": {"local": {"filename": module}},
                          "environment_variables": {"host_env_keys": ["GITHUB_TOKEN"]}},
            "configuration": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": json.dumps(configuration)},
        }}}


class Program:
    """A child process, its processor time and its memory."""

    def __init__(self, name, command, folder, environment=None):
        self.name, self.log = name, folder / f"{name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**os.environ, **(environment or {})})

    def processor_seconds(self):
        """Time on a processor of all its threads, from the scheduler's own nanoseconds."""
        total, tasks = 0, f"/proc/{self.process.pid}/task"
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/schedstat") as file:
                total += int(file.read().split()[0])
        return total / 1e9

    def resident(self):
        """Bytes of memory that are its own or mapped and touched."""
        with open(f"/proc/{self.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def wait_for(self, port):
        for _ in range(600):
            if self.process.poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        raise SystemExit(f"scripts/bench: {self.name} did not start:\n" + self.log.read_text(errors="replace")[-2000:])

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Envoy(Program):
    """An Envoy of one worker."""

    def __init__(self, name, folder, listeners, clusters):
        self.port = listeners[0]["address"]["socket_address"]["port_value"]
        self.admin = free_port()
        file = folder / f"{name}.json"
        file.write_text(json.dumps({
            "node": {"id": name, "cluster": "bench"}, "admin": {"address": address(self.admin)},
            "static_resources": {"listeners": listeners, "clusters": clusters}}))
        command = [os.environ["ENVOY_BIN"], "-c", str(file), "--concurrency", "1", "--use-dynamic-base-id", "-l", "warning"]
        super().__init__(name, command, folder, {"GITHUB_TOKEN": CREDENTIAL})
        self.wait_for(self.port)


def start(folder, module):
    """Starts everything; gives the programs by name, and the token."""
    (folder / "large.txt").write_text(large_text(1))
    (folder / "large.json").write_text(large_json(1))
    keys, bearer = token(folder)
    programs = {}
    api, sink, copilot = free_port(), free_port(), free_port()
    file = lambda name: {"filename": str(folder / name)}
    answers = [answer("/repos/acme/web/large.txt", "text/plain; charset=utf-8", file("large.txt")),
               answer("/repos/acme/web/large.json", "application/json; charset=utf-8", file("large.json")), small_answer("/")]
    # A sink that waits for the whole batch: Envoy would otherwise answer at its head and close.
    whole = {"name": "envoy.filters.http.buffer", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer", "max_request_bytes": 8 << 20}}
    everything = lambda routes: [{"name": "all", "domains": ["*"], "routes": routes}]
    programs["upstream"] = Envoy("upstream", folder, [
        listener("upstream", api, everything(answers), []),
        listener("sink", sink, everything([answer("/", "application/json", {"inline_string": "{}"})]), [whole])], [])
    programs["simulated"] = Program("simulated", ["dist/simulated-upstream", "--listen", f"127.0.0.1:{copilot}",
                                                  "--data", str(folder / "simulated"), "--credential", CREDENTIAL], folder)
    programs["simulated"].wait_for(copilot)
    for name, delivery in [("plain", None), ("filtered", "best_effort"), ("strict", "strict")]:
        filters = [wasm_filter(policy(keys, delivery), module)] if delivery else []
        hosts = [{"name": "api", "domains": [API], "routes": [
                    small_answer("/repos/acme/direct"), {"match": {"prefix": "/"}, "route": {"cluster": "api"}}]},
                 {"name": "copilot", "domains": [COPILOT], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "copilot"}}]}]
        programs[name] = Envoy(name, folder, [listener(name, free_port(), hosts, filters)],
                               [cluster("api", api), cluster("sink", sink), cluster("copilot", copilot)])
    return programs, bearer
