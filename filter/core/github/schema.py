"""Reads GitHub's GraphQL schema (schema.graphql), as far as update_mutations.py and update_fields.py need it."""

import re


def read(file_name):
    """name -> (kind, {field: (type, {argument: type})}, names after `implements` or the members of a union)."""
    with open(file_name, encoding="utf-8") as file:
        text = file.read()
    text = re.sub(r'"""(?:.|\n)*?"""', "", text)
    text = re.sub(r"#[^\n]*", "", text)
    text = re.sub(r'"(?:[^"\\\n]|\\.)*"', '""', text)
    types = {}
    for kind, name, head, body in re.findall(r"^(type|interface|input) (\w+)([^{\n]*)\{((?:.|\n)*?)^\}", text, re.M):
        body = re.sub(r"@\w+(\([^)]*\))?", "", body)
        fields = {
            field: (bare(result), {a: bare(t) for a, t in re.findall(r"(\w+):\s*([\[\]!\w]+)", arguments)})
            for field, arguments, result in re.findall(r"^  (\w+)(\((?:.|\n)*?\))?:\s*([\[\]!\w]+)", body, re.M)
        }
        types[name] = (kind, fields, re.findall(r"\w+", head.replace("implements", "")))
    for name, members in re.findall(r"^union (\w+)[^=]*=((?:\s*\|?\s*\w+)+?)(?=\n\n|\Z)", text, re.M):
        types[name] = ("union", {}, re.findall(r"\w+", members))
    return types


def bare(result):
    return re.sub(r"[\[\]!]", "", result)
