//! One mutation in many spellings is one operation.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::operations;
use crate::operation::Operation;
use crate::path::RequestPath;
use crate::protocol::github::nodes::Nodes;
use crate::protocol::tests::head;

fn judge(body: &Value) -> Vec<Operation> {
    let head = head("POST", "/graphql");
    let path = RequestPath::read(&head.path).unwrap();
    let nodes = Nodes::default();
    operations(&head, &path, body.to_string().as_bytes(), &nodes)
        .unwrap_or_else(|fault| panic!("{body}: {fault:?}"))
        .0
}

/// A string literal: plain, with escapes of each kind, or as a block.
fn literal(text: &str, style: usize) -> String {
    match style % 4 {
        0 => format!("\"{text}\""),
        1 => {
            let escaped: String = text
                .chars()
                .map(|c| format!("\\u{{{:x}}}", c as u32))
                .collect();
            format!("\"{escaped}\"")
        }
        2 => {
            // The parser takes `\uXXXX` in pairs: a surrogate pair behind an odd number of them is
            // refused, which is safe. So here they stay as they are.
            let escaped: String = text
                .chars()
                .map(|c| match u16::try_from(c as u32) {
                    Ok(unit) => format!("\\u{unit:04X}"),
                    Err(_) => c.to_string(),
                })
                .collect();
            format!("\"{escaped}\"")
        }
        _ => format!("\"\"\"\n      {text}\n    \"\"\""),
    }
}

/// What may stand between any two tokens.
fn gap(style: usize) -> &'static str {
    [" ", ",", "\n\t", "\u{feff} ", "# mutation { addStar }\n"][style % 5]
}

proptest! {
    #[test]
    fn every_spelling_of_a_ref_is_the_same(
        branch in "[a-z][a-z0-9_é🦀]{0,8}",
        string in 0..4_usize,
        space in 0..5_usize,
        form in 0..8_usize,
    ) {
        let name = format!("refs/heads/{branch}");
        let plain = json!({ "query": format!("mutation {{ createRef(input: {{repositoryId: \"R\", name: \"{name}\", oid: \"1\"}}) {{ clientMutationId }} }}") });
        let expected = judge(&plain);
        let name_literal = literal(&name, string);
        let s = gap(space);
        let input = format!("{{{s}oid{s}:{s}\"1\"{s}repositoryId:\"R\",name{s}:{name_literal}}}");
        let call = format!("createRef(input{s}:{input}){{clientMutationId}}");
        let body = match form {
            0 => json!({ "query": format!("mutation{s}{{{s}{call}{s}}}") }),
            1 => json!({ "query": format!("mutation M{{ x:{s}{call} }}"), "operationName": "M" }),
            2 => json!({ "query": format!("mutation{s}{{...{s}F}} fragment F on Mutation{{ {call} }}") }),
            3 => json!({ "query": format!("mutation{{ ... on Mutation{s}{{ ...{{ {call} }} }} }}") }),
            4 => json!({
                "query": "mutation($n: String!){createRef(input:{repositoryId:\"R\" name:$n oid:\"1\"}){clientMutationId}}",
                "variables": { "n": name },
            }),
            5 => json!({
                "query": format!("mutation($n: String ={s}{name_literal}){{createRef(input:{{repositoryId:\"R\" name:$n oid:\"1\"}}){{clientMutationId}}}}"),
            }),
            6 => json!({
                "query": "mutation($i: CreateRefInput!) @x(y: 1) {createRef(input:$i) @include(if: false) {clientMutationId}}",
                "variables": json!({ "i": { "repositoryId": "R", "name": name, "oid": "1" } }).to_string(),
            }),
            _ => json!([{ "query": format!("mutation {{ {call} }}") }]),
        };
        prop_assert_eq!(judge(&body), expected);
    }

    /// Whatever a document is, it is read or refused: nothing panics.
    #[test]
    fn no_document_makes_it_panic(text in "[ {}()\\[\\]:,.$@!|&#\"\\\\a-cé\u{feff}\n0-9u]{0,60}") {
        let head = head("POST", "/graphql");
        let path = RequestPath::read(&head.path).unwrap();
        for document in [text.clone(), format!("mutation {{ createRef(input: {text}) {{ x }} }}"), format!("{{ a(b: \"\"\"{text}\"\"\") }}")] {
            let body = json!({ "query": document }).to_string();
            let _ = operations(&head, &path, body.as_bytes(), &Nodes::default());
        }
    }
}
