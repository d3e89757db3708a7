"""Writes operations.txt anew from GitHub's description. Called by scripts/github-operations; see there."""

import json
import re
import sys

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
HEADER = """\
# GitHub's REST operations and what each of them is here. build.rs makes the table of the engine of it.
# @octokit/openapi {version}
#
# A path, then a line for each of its methods:
#   METHOD  GitHub's operationId (- where GitHub describes none)  names  resource  where attributes come from
#
# In a path, {{x}} is one segment, {{x*}} one or more, {{x#}} a number, {{x=a|b}} one of these words.
# Names: the operation (area.verb; .read changes nothing), then its aliases. See vocabulary.md.
# Resource: the attribute that is also shown as `resource`; - for none.
# The rest is read by github/attributes.rs: a source with members of the body (`body:state,title`; `a.b` is a member of
# a member, `a.*` each of its members), `reach` where it reaches repositories that the request does not name, and
# `anyone` where it reaches accounts that it does not name, but no repository.
# scripts/github-operations keeps the last three columns and writes the others. ? is a name still to be given.
"""


def described(description):
    """(path, method) -> operationId."""
    shared = description.get("components", {}).get("parameters", {})
    found = {}
    for template, item in description["paths"].items():
        for method in METHODS:
            operation = item.get(method.lower())
            if operation is None:
                continue
            path = template
            for parameter in [*operation.get("parameters", []), *item.get("parameters", [])]:
                parameter = shared[parameter["$ref"].split("/")[-1]] if "$ref" in parameter else parameter
                if parameter["in"] == "path":
                    name = parameter["name"]
                    path = path.replace("{" + name + "}", "{" + name + kind(parameter) + "}")
            if (path, method) in found:
                raise SystemExit(f"github-operations: {method} {path} is described twice")
            found[path, method] = operation["operationId"]
        odd = set(item) - {m.lower() for m in METHODS} - {"parameters", "summary", "description", "servers"}
        if odd:
            raise SystemExit(f"github-operations: {template} has {sorted(odd)}, which this script does not know")
    return found


def kind(parameter):
    schema = parameter.get("schema", {})
    if parameter.get("x-multi-segment"):
        return "*"
    if "enum" in schema:
        return "=" + "|".join(schema["enum"])
    return "#" if schema.get("type") == "integer" else ""


def plain(path):
    """The path as it identifies its operation: a parameter's kind and name may change."""
    return re.sub(r"\{[^}]*\}", "{}", path)


def read(table):
    """(path, method) -> [operationId, names, resource, source...]."""
    rows, path = {}, None
    for number, line in enumerate(table.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("/"):
            path = line.strip()
            continue
        method, *columns = line.split()
        if path is None or method not in METHODS or len(columns) < 4:
            raise SystemExit(f"github-operations: operations.txt:{number}: expected METHOD id names resource source")
        if (path, method) in rows:
            raise SystemExit(f"github-operations: operations.txt:{number}: {method} {path} comes twice")
        rows[path, method] = columns
    return rows


def write(rows, version):
    lines, last = [HEADER.format(version=version)], None
    for path, method in sorted(rows, key=lambda key: (key[0].lower(), METHODS.index(key[1]))):
        if path != last:
            lines.append(path)
            last = path
        identity, names, resource, *source = rows[path, method]
        lines.append(f"  {method:<7} {identity:<62} {names:<36} {resource:<20} {' '.join(source)}")
    return "\n".join(lines) + "\n"


def unnamed(path, method):
    """Our columns of a row that is new."""
    captured = [re.sub(r"[*#=].*", "", name) for name in re.findall(r"\{([^}]*)\}", path)]
    captured = [name for name in captured if name not in ("owner", "repo", "template_owner", "template_repo")]
    read = "repo.read" if path.startswith("/repos/") else "github.read"
    return [read if method == "GET" else "?", captured[-1] if captured else "-", "path"]


def main():
    table_file, description_file, version, *options = sys.argv[1:]
    with open(table_file, encoding="utf-8") as file:
        before = file.read()
    with open(description_file, encoding="utf-8") as file:
        found = described(json.load(file))
    rows = read(before)
    ours = {(plain(path), method): (path, columns) for (path, method), columns in rows.items()}
    after, added = {}, []
    for (path, method), identity in found.items():
        _, columns = ours.pop((plain(path), method), (path, None))
        if columns is None:
            columns = [identity, *unnamed(path, method)]
            added.append(f"{method} {path} {identity} {columns[1]}")
        after[path, method] = [identity, *columns[1:]]
    vanished = []
    for path, columns in ours.values():
        method = next(m for p, m in rows if p == path and rows[p, m] is columns)
        if columns[0] != "-":
            vanished.append(f"{method} {path} {columns[0]}")
            if "--drop" in options:
                continue
        after[path, method] = columns
    text = write(after, version)
    for title, lines in ("new", added), ("vanished", vanished):
        for line in lines:
            print(f"{title:<9} {line}")
    nameless = [f"{method} {path} {columns[0]}" for (path, method), columns in after.items() if columns[1] == "?"]
    for line in nameless:
        print(f"no name   {line}", file=sys.stderr)
    print(f"{len(found)} operations described by @octokit/openapi {version}, {len(after)} rows")
    if "--check" in options:
        if text != before:
            raise SystemExit("github-operations: operations.txt is out of step; run scripts/github-operations")
    elif text != before:
        with open(table_file, "w", encoding="utf-8") as file:
            file.write(text)
        print(f"wrote {table_file}")
    if nameless:
        raise SystemExit("github-operations: give every row above its name (third column; ? now) in operations.txt")


main()
