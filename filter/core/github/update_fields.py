"""Writes fields.txt anew from GitHub's schema, and proves what it says. Called by scripts/github-graphql; see there."""

import sys

import schema

HEADER = """\
# Fields of GitHub's GraphQL schema, by where they lead. graphql/reach.rs reads it.
# @octokit/graphql-schema {version}
#
#   class  field  what it results in
#
# stays: from an object of a repository to another object of the same one, or to public reference data (a licence, a
#        topic, an advisory). scripts/github-graphql proves that no account and no list of repositories is reached from
#        Repository by fields that stay, whatever type they are asked of.
# lists: repositories, whoever they belong to.
# Every other field leaves: below it, only what identifies an object is no reading of it.
"""

# What repositories can be reached from that are not the one a walk began with.
ACCOUNTS = {
    "Actor", "Bot", "Enterprise", "EnterpriseUserAccount", "Gist", "Mannequin", "Organization", "PackageOwner",
    "ProfileOwner", "ProjectOwner", "ProjectV2Owner", "Query", "RepositoryOwner", "Sponsorable", "Team", "User",
}
# Roots that are no repository and no account: reference data. Those of graphql/query.rs.
REFERENCE = {
    "codeOfConduct", "codesOfConduct", "license", "licenses", "meta", "rateLimit", "securityAdvisories",
    "securityAdvisory", "securityVulnerabilities", "topic",
}


def possible(types, name):
    kind, _, others = types[name]
    if kind == "union":
        return others
    if kind == "interface":
        return [other for other, (k, _, implements) in types.items() if k == "type" and name in implements]
    return [name]


def composite(types, name):
    return name in types and types[name][0] in ("type", "interface", "union")


def reached(types, start, follow):
    """Types that a walk along the fields in `follow` comes to, with how it came there."""
    seen, todo = {}, [(start, start)]
    while todo:
        name, way = todo.pop()
        if name in seen:
            continue
        seen[name] = way
        for other in possible(types, name):
            todo.append((other, way))
        for field, (result, _) in types[name][1].items():
            if field in follow and composite(types, result):
                todo.append((result, f"{way}.{field}"))
    return seen


def read(table):
    rows = {}
    for number, line in enumerate(table.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        kind, field, *_ = line.split()
        if kind not in ("stays", "lists") or field in rows:
            raise SystemExit(f"github-graphql: fields.txt:{number}: expected `stays` or `lists`, and a field once")
        rows[field] = kind
    return rows


def main():
    table_file, schema_file, version, *options = sys.argv[1:]
    types = schema.read(schema_file)
    with open(table_file, encoding="utf-8") as file:
        before = file.read()
    rows = read(before)
    results = {}
    for name, (kind, fields, _) in types.items():
        if kind in ("type", "interface") and name != "Mutation":
            for field, (result, _) in fields.items():
                if composite(types, result):
                    results.setdefault(field, set()).add(result)
    # A connection whose nodes can be repositories, by the fields that lead to it.
    lists = set()
    for name, (_, fields, _) in types.items():
        node = fields.get("nodes") or fields.get("edges")
        if name.endswith("Connection") and node and "Repository" in possible(types, node[0]):
            lists.update(field for field, found in results.items() if name in found)
    wrong = []
    for field in sorted(lists):
        if rows.get(field) == "stays":
            wrong.append(f"{field} lists repositories, and fields.txt says that it stays")
        rows.setdefault(field, "lists")
    after = {}
    for field, kind in rows.items():
        if field in results:
            after[field] = kind
        else:
            print(f"vanished  {field}")
            if "--drop" not in options:
                after[field] = kind
    stays = {field for field, kind in after.items() if kind == "stays"}
    starts = {"Repository": "Repository"}
    starts.update({root: types["Query"][1][root][0] for root in REFERENCE})
    for root, start in starts.items():
        for name, way in sorted(reached(types, start, stays).items()):
            if name in ACCOUNTS or (name == "Repository" and root in REFERENCE):
                wrong.append(f"{name} is reached by fields that stay: {root}: {way}")
    lines = [HEADER.format(version=version)]
    for kind in "lists", "stays":
        for field in sorted(field for field in after if after[field] == kind):
            lines.append(f"{kind}  {field:<32} {' '.join(sorted(results.get(field, [])))[:86]}".rstrip())
    text = "\n".join(lines) + "\n"
    for line in wrong:
        print(f"wrong     {line}", file=sys.stderr)
    print(f"{len(results)} fields lead somewhere: {len(stays)} stay, {len(after) - len(stays)} list repositories")
    if wrong:
        raise SystemExit("github-graphql: mend fields.txt")
    if "--check" in options:
        if text != before:
            raise SystemExit("github-graphql: fields.txt is out of step; run scripts/github-graphql")
    elif text != before:
        with open(table_file, "w", encoding="utf-8") as file:
            file.write(text)
        print(f"wrote {table_file}")


main()
