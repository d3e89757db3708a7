//! Equivalent spellings of a request are the same operations, or refused: never other ones.

#![allow(clippy::unwrap_used, reason = "a test ends with it, and says where")]

use countersign_core::head::{Headers, RequestHead};
use countersign_core::operation::Operation;
use countersign_core::path::RequestPath;
use countersign_core::protocol::{ProtocolKind, operations};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn head(method: &str, target: &str) -> RequestHead {
    RequestHead {
        method: method.to_owned(),
        scheme: "https".to_owned(),
        authority: "api.github.com".to_owned(),
        path: target.to_owned(),
        headers: Headers::new(vec![(
            "content-type".to_owned(),
            b"application/json".to_vec(),
        )]),
    }
}

/// The operations, or nothing where they are refused; without the attribute that shows the path itself.
fn read(kind: ProtocolKind, method: &str, target: &str, body: &[u8]) -> Option<Vec<Operation>> {
    let path = RequestPath::read(target).ok()?;
    let judged = operations(kind, &head(method, target), &path, Some(body)).ok()?;
    let mut all = judged.operations;
    for operation in &mut all {
        operation.attributes.remove("path");
        operation.attributes.remove("query");
    }
    Some(all)
}

/// Calls whose attributes come from path, query and body: method, segments, body.
fn calls() -> Vec<(&'static str, Vec<&'static str>, Value)> {
    let sha = "1111111111111111111111111111111111111111";
    vec![
        ("DELETE", vec!["repos", "acme", "web"], Value::Null),
        (
            "PATCH",
            vec!["repos", "acme", "web"],
            json!({"private": false, "name": "n", "description": "d"}),
        ),
        (
            "PUT",
            vec![
                "repos",
                "acme",
                "web",
                "contents",
                ".github/workflows/ci.yml",
            ],
            json!({"message": "m", "content": "eA==", "branch": "main", "sha": sha}),
        ),
        (
            "DELETE",
            vec!["repos", "acme", "web", "contents", "docs/a b+c%.md"],
            json!({"message": "m", "sha": sha}),
        ),
        (
            "POST",
            vec!["repos", "acme", "web", "git", "refs"],
            json!({"ref": "refs/heads/main", "sha": sha}),
        ),
        (
            "PATCH",
            vec!["repos", "acme", "web", "git", "refs", "heads/main"],
            json!({"sha": sha, "force": true}),
        ),
        (
            "POST",
            vec!["repos", "acme", "web", "git", "trees"],
            json!({"tree": [{"path": "a/b", "mode": "100644", "type": "blob", "content": "x"}, {"path": "c", "mode": "100644", "type": "blob", "sha": null}]}),
        ),
        (
            "PUT",
            vec!["repos", "acme", "web", "pulls", "7", "merge"],
            json!({"merge_method": "squash"}),
        ),
        (
            "POST",
            vec!["repos", "acme", "web", "merges"],
            json!({"base": "main", "head": "feature"}),
        ),
        (
            "PUT",
            vec!["repos", "acme", "web", "actions", "secrets", "TOKEN"],
            json!({"encrypted_value": "eA==", "key_id": "1"}),
        ),
        (
            "PUT",
            vec![
                "repos",
                "acme",
                "web",
                "branches",
                "release/1.0",
                "protection",
            ],
            json!({"enforce_admins": true}),
        ),
        (
            "POST",
            vec![
                "repos",
                "acme",
                "web",
                "actions",
                "workflows",
                "ci.yml",
                "dispatches",
            ],
            json!({"ref": "main", "inputs": {"a": "b"}}),
        ),
        (
            "POST",
            vec!["repos", "acme", "web", "transfer"],
            json!({"new_owner": "evil"}),
        ),
        (
            "POST",
            vec!["repos", "acme", "web", "hooks"],
            json!({"config": {"url": "https://evil.example/"}, "active": true}),
        ),
        (
            "POST",
            vec!["repos", "acme", "web", "quantum"],
            json!({"a": 1}),
        ),
        (
            "GET",
            vec!["repos", "acme", "web", "contents", "src/lib.rs"],
            Value::Null,
        ),
        (
            "GET",
            vec!["repos", "acme", "web", "tarball", "feature/x"],
            Value::Null,
        ),
    ]
}

/// A segment with some of its bytes encoded, in upper or lower case digits; what has to be encoded always is.
fn segment(text: &'static str) -> impl Strategy<Value = String> {
    proptest::collection::vec(0..4u8, text.len()).prop_map(move |ways| {
        let mut out = String::new();
        for (byte, way) in text.bytes().zip(ways) {
            let plain = byte.is_ascii_alphanumeric() || b"-._~+".contains(&byte);
            match (plain, way) {
                (true, 0 | 1) => out.push(char::from(byte)),
                (_, 2) => out.push_str(&format!("%{byte:02x}")),
                _ => out.push_str(&format!("%{byte:02X}")),
            }
        }
        out
    })
}

/// A whole target: segments in some spelling, owner and repository in some case, `.git`, a slash at the end, a
/// prefix.
fn target(segments: &[&'static str]) -> impl Strategy<Value = String> + use<> {
    let parts: Vec<BoxedStrategy<String>> = segments.iter().map(|s| segment(s).boxed()).collect();
    let repository = segments.first() == Some(&"repos");
    (parts, any::<[bool; 5]>()).prop_map(move |(mut parts, [upper, git, slash, prefix, mixed])| {
        if repository {
            for part in parts.iter_mut().take(3).skip(1) {
                if upper {
                    *part = part.to_ascii_uppercase();
                }
            }
            if git && let Some(name) = parts.get_mut(2) {
                name.push_str(if mixed { ".GIT" } else { ".git" });
            }
        }
        let prefix = match (prefix, mixed) {
            (true, true) => "/API/v3",
            (true, false) => "/api/v3",
            (false, _) => "",
        };
        format!(
            "{prefix}/{}{}",
            parts.join("/"),
            if slash { "/" } else { "" }
        )
    })
}

/// A JSON value in some spelling: order of members, blanks, escapes.
fn spelled(value: &Value, random: &mut dyn FnMut() -> u32, out: &mut String) {
    let blank = |random: &mut dyn FnMut() -> u32, out: &mut String| {
        out.push_str(["", "", " ", "\n", "\t \r\n"][random() as usize % 5]);
    };
    match value {
        Value::String(text) => {
            out.push('"');
            for c in text.chars() {
                match (c, random() % 6) {
                    ('"' | '\\', _) => {
                        out.push('\\');
                        out.push(c);
                    }
                    ('/', 0 | 1) => out.push_str("\\/"),
                    (c, way) if c.is_control() || (way == 0 && (c as u32) < 0x1_0000) => {
                        out.push_str(&format!("\\u{:04x}", c as u32))
                    }
                    (c, 1) if (c as u32) < 0x1_0000 => {
                        out.push_str(&format!("\\u{:04X}", c as u32))
                    }
                    (c, _) => out.push(c),
                }
            }
            out.push('"');
        }
        Value::Array(items) => {
            out.push('[');
            for (number, item) in items.iter().enumerate() {
                if number > 0 {
                    out.push(',');
                }
                blank(random, out);
                spelled(item, random, out);
                blank(random, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            for at in (1..names.len()).rev() {
                names.swap(at, random() as usize % (at + 1));
            }
            out.push('{');
            for (number, name) in names.into_iter().enumerate() {
                if number > 0 {
                    out.push(',');
                }
                blank(random, out);
                spelled(&Value::String(name.clone()), random, out);
                blank(random, out);
                out.push(':');
                blank(random, out);
                spelled(&members[name], random, out);
                blank(random, out);
            }
            out.push('}');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

fn spelling(value: &Value, seed: u32) -> String {
    let mut state = seed | 1;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    let mut out = String::new();
    spelled(value, &mut random, &mut out);
    out
}

fn written(body: &Value, seed: u32) -> Vec<u8> {
    match body {
        Value::Null => Vec::new(),
        body => spelling(body, seed).into_bytes(),
    }
}

/// The shapes that one mutation can have in a document; each has to be read alike.
fn document(field: &str, shape: usize, noise: &str) -> Value {
    let call = format!("{field}(input: $input)");
    let inline = format!("{field}(input:{noise}$input{noise})");
    let text = match shape {
        0 => format!("mutation($input: I!) {{ {call} {{ clientMutationId }} }}"),
        1 => {
            format!("mutation M($input:I!,){noise}{{{noise}x:{inline}{{clientMutationId}}{noise}}}")
        }
        2 => format!(
            "mutation($input: I!) {{ ...F }} fragment F on Mutation {{ {call} {{ clientMutationId }} }}"
        ),
        3 => format!(
            "mutation($input: I!) {{ ... on Mutation {{ ... {{ y: {call} {{ clientMutationId }} }} }} }}"
        ),
        4 => format!("mutation($input: I!) {{ {call} @include(if: true) {{ clientMutationId }} }}"),
        5 => format!("# {field}\n,,mutation,($input: I!),{{,{call},{{,clientMutationId,}},}},"),
        6 => format!("\u{feff}mutation($input: I!) {{ {call} {{ clientMutationId }} }}"),
        _ => format!(
            "mutation($input: I!) {{ ...A }} fragment B on Mutation {{ {call} {{ clientMutationId }} }} fragment A on Mutation {{ ...B }}"
        ),
    };
    Value::String(text)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rest_calls(
        (index, target, seed) in (0..calls().len()).prop_flat_map(|index| {
            let (_, segments, _) = calls().swap_remove(index);
            (Just(index), target(&segments), any::<u32>())
        })
    ) {
        let (method, segments, body) = calls().swap_remove(index);
        let encoded: Vec<String> = segments.iter().map(|s| s.replace('%', "%25").replace(' ', "%20")).collect();
        let plain = read(ProtocolKind::GitHub, method, &format!("/{}", encoded.join("/")), &written(&body, 0));
        let other = read(ProtocolKind::GitHub, method, &target, &written(&body, seed));
        prop_assert!(plain.is_some(), "{method} {segments:?}");
        let shown = |all: &Option<Vec<Operation>>| format!("{all:#?}").to_lowercase();
        // Names in a path keep their case where it is theirs: secrets, files. Owner and repository do not.
        prop_assert_eq!(shown(&plain), shown(&other), "{} {}", method, target);
    }

    #[test]
    fn paths_that_a_server_would_tidy_up(
        index in 0..calls().len(),
        at in 0..6usize,
        noise in prop::sample::select(vec!["/", "/.", "/x/..", "/%2e", "/x/%2e%2e", ";v=1", "%2f", "\\", "%5c.."]),
    ) {
        let (method, segments, body) = calls().swap_remove(index);
        let encoded: Vec<String> = segments.iter().map(|s| s.replace('%', "%25").replace(' ', "%20")).collect();
        let mut target = String::new();
        for (number, part) in encoded.iter().enumerate() {
            target.push('/');
            target.push_str(part);
            if number == at {
                target.push_str(noise);
            }
        }
        let body = written(&body, 0);
        let plain = read(ProtocolKind::GitHub, method, &format!("/{}", encoded.join("/")), &body);
        // Either refused, or what it says: a slash at the very end.
        if let Some(other) = read(ProtocolKind::GitHub, method, &target, &body) {
            prop_assert_eq!(Some(other), plain, "{}", target);
        }
    }

    #[test]
    fn graphql_documents(shape in 0..8usize, seed in any::<u32>(), batch in any::<bool>(),
        noise in prop::sample::select(vec!["", " ", "\n", ",", "#c\n", "\t,,\r\n"]))
    {
        let mutations = [
            ("createCommitOnBranch", json!({
                "branch": {"repositoryNameWithOwner": "Acme/web", "branchName": "main"},
                "fileChanges": {"additions": [{"path": ".github/workflows/ci.yml", "contents": "eA=="}], "deletions": [{"path": "b"}]},
                "message": {"headline": "x"}, "expectedHeadOid": "11"})),
            ("updateRefs", json!({"repositoryId": "R_1", "refUpdates": [{"name": "refs/heads/main", "afterOid": "1"}, {"name": "refs/tags/v1", "afterOid": "0"}]})),
            ("deleteRef", json!({"refId": "R"})),
            ("quantumLeap", json!({"a": {"b": [1, 2.5, null, true]}})),
        ];
        let (field, input) = &mutations[seed as usize % mutations.len()];
        let request = |shape: usize, noise: &str| {
            let mut request = Map::new();
            request.insert("query".to_owned(), document(field, shape, noise));
            request.insert("variables".to_owned(), json!({"input": input}));
            Value::Object(request)
        };
        let plain = read(ProtocolKind::GitHub, "POST", "/graphql", &written(&request(0, " "), 0));
        let body = request(shape, noise);
        let body = if batch { json!([body]) } else { body };
        let other = read(ProtocolKind::GitHub, "POST", "/api/graphql/", &written(&body, seed));
        prop_assert!(plain.is_some());
        // Commas and a byte order mark where nobody writes them may be refused, but not read otherwise.
        if other.is_some() || !matches!(shape, 5 | 6) {
            prop_assert_eq!(plain, other);
        }
    }

    #[test]
    fn tool_calls(seed in any::<u32>(), batch in any::<bool>(), tool in 0..4usize) {
        let arguments = [
            ("push_files", json!({"owner": "acme", "repo": "web", "branch": "main", "message": "m",
                "files": [{"path": ".github/workflows/ci.yml", "content": "x"}, {"path": "b", "content": "y"}]})),
            ("delete_repository", json!({"owner": "acme", "repo": "web"})),
            ("actions_run_trigger", json!({"method": "run_workflow", "owner": "acme", "repo": "web", "workflow_id": "ci.yml", "ref": "main"})),
            ("other_tool", json!({"x": {"y": ["z", 1]}})),
        ];
        let (name, arguments) = &arguments[tool];
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}});
        let plain = read(ProtocolKind::OpenAi, "POST", "/mcp", &written(&call, 0));
        let body = if batch { json!([call]) } else { call };
        let other = read(ProtocolKind::OpenAi, "POST", "/mcp/", &written(&body, seed));
        prop_assert!(plain.is_some());
        prop_assert_eq!(plain, other);
    }
}
