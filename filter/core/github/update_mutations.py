"""Writes mutations.txt anew from GitHub's schema. Called by scripts/github-graphql; see there."""

import sys

import schema

HEADER = """\
# GitHub's GraphQL mutations and what each of them is here. graphql/table.rs reads it.
# @octokit/graphql-schema {version}
#
#   field  names  reads  targets  shown
#
# Names: the operation (area.verb), then its aliases; the same as in operations.txt for the same effect.
# Reads: how the input is read, see `Reads` in graphql/table.rs; `plain` for what needs no care.
# Targets: members of the input that tell where it happens.
#   repo:M    M is the id of a repository, or of something in one       ref of it where `reads` says so
#   owner:M   M is the id of an account, or of something that is an account's and no repository's
#   reach:M   the same, and it has an effect on repositories that the request does not name
#   login:M   M is a login      url:M   M is the address of something in a repository
#   branch    as in createCommitOnBranch      anyone   accounts that nothing tells      none   the caller's own
# Shown: members that become attributes, in snake case, or under the name after `=`; - for none.
# scripts/github-graphql keeps our columns and adds and checks the fields. ? is a name still to be given.
"""


def read(table):
    rows = {}
    for number, line in enumerate(table.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        field, *columns = line.split()
        if len(columns) != 4:
            raise SystemExit(f"github-graphql: mutations.txt:{number}: expected field names reads targets shown")
        if field in rows:
            raise SystemExit(f"github-graphql: mutations.txt:{number}: {field} comes twice")
        rows[field] = columns
    return rows


def faults(field, columns, members):
    """Members that a row names and the input does not have."""
    _, _, targets, shown = columns
    for target in targets.split(","):
        kind, _, member = target.partition(":")
        known = {"branch", "anyone", "none"} if not member else {"repo", "owner", "reach", "login", "url"}
        if kind not in known:
            yield f"{field}: no target is called {target}"
        elif member and member not in members:
            yield f"{field}: its input has no {member}"
        elif kind in {"repo", "owner", "reach"} and members[member] != "ID":
            yield f"{field}: {member} is no id"
    for member in shown.split(","):
        if member != "-" and member.split("=")[0] not in members:
            yield f"{field}: its input has no {member}"


def main():
    table_file, schema_file, version, *options = sys.argv[1:]
    types = schema.read(schema_file)
    with open(table_file, encoding="utf-8") as file:
        before = file.read()
    rows = read(before)
    found = types["Mutation"][1]
    after, wrong = {}, []
    for field, (_, arguments) in found.items():
        if list(arguments) != ["input"]:
            wrong.append(f"{field}: it takes {', '.join(arguments)}, and this reads `input` alone")
            continue
        if field not in rows:
            print(f"new       {field}")
        after[field] = rows.pop(field, ["?", "plain", "repo:?", "-"])
        if after[field][0] == "?":
            wrong.append(f"{field}: no name")
            continue
        members = {name: result for name, (result, _) in types[arguments["input"]][1].items()}
        wrong.extend(faults(field, after[field], members))
    for field, columns in rows.items():
        print(f"vanished  {field}")
        if "--drop" not in options:
            after[field] = columns
    lines = [HEADER.format(version=version)]
    for field in sorted(after):
        names, reads, targets, shown = after[field]
        lines.append(f"{field:<68} {names:<30} {reads:<10} {targets:<46} {shown}")
    text = "\n".join(lines) + "\n"
    for line in wrong:
        print(f"wrong     {line}", file=sys.stderr)
    print(f"{len(found)} mutations described by @octokit/graphql-schema {version}, {len(after)} rows")
    if "--check" in options:
        if text != before:
            raise SystemExit("github-graphql: mutations.txt is out of step; run scripts/github-graphql")
    elif text != before:
        with open(table_file, "w", encoding="utf-8") as file:
            file.write(text)
        print(f"wrote {table_file}")
    if wrong:
        raise SystemExit("github-graphql: mend the rows above in mutations.txt")


main()
