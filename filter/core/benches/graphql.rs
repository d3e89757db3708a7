//! Prints what reading a GraphQL request of 4 KB costs: JSON, document, operations. No host calls.
//! `cargo bench -p countersign-core --bench graphql`

use countersign_core::head::{Headers, RequestHead};
use countersign_core::path::RequestPath;
use countersign_core::protocol::{self, Context, ProtocolKind, Request};

const SIZE: usize = 4_000;

#[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    for (name, document) in [
        ("29 refs created", refs()),
        ("one query of a pull request", query()),
        ("tokens of one byte", tokens()),
    ] {
        let body = serde_json::json!({ "query": document }).to_string();
        let head = RequestHead {
            method: "POST".to_owned(),
            scheme: "https".to_owned(),
            authority: "api.github.com".to_owned(),
            path: "/graphql".to_owned(),
            headers: Headers::new(vec![(
                "content-type".to_owned(),
                b"application/json".to_vec(),
            )]),
        };
        let path = RequestPath::read(&head.path).map_err(|fault| format!("{fault:?}"))?;
        let request = Request {
            head: &head,
            path: &path,
            body: body.as_bytes(),
            context: Context::default(),
        };
        let mut best = f64::MAX;
        let mut found = 0;
        for _ in 0..9 {
            let start = std::time::Instant::now();
            for _ in 0..500 {
                let judged = protocol::judge(ProtocolKind::GitHub, &request)
                    .map_err(|undecided| undecided.detail)?;
                found = judged.operations.len();
            }
            best = best.min(start.elapsed().as_secs_f64() / 500.0);
        }
        println!(
            "{name}: {} bytes, {found} operations, {:.1} µs",
            document.len(),
            best * 1e6
        );
    }
    Ok(())
}

fn refs() -> String {
    let mut document = "mutation M {\n".to_owned();
    for n in 0.. {
        let field = format!(
            "a{n}: createRef(input: {{repositoryId: \"R_kgDOA{n}\", name: \"refs/heads/b{n}\", oid: \"{n:040}\"}}) {{ ref {{ id name }} }}\n"
        );
        if document.len() + field.len() > SIZE {
            break;
        }
        document.push_str(&field);
    }
    document + "}"
}

fn query() -> String {
    let mut document = "query($owner: String!, $repo: String!) { repository(owner: \"acme\", name: \"web\") { pullRequest(number: 1) {\n".to_owned();
    for n in 0.. {
        let field = format!(
            "  c{n}: comments(first: 100) {{ nodes {{ id author {{ login }} authorAssociation body createdAt url }} totalCount }}\n"
        );
        if document.len() + field.len() > SIZE {
            break;
        }
        document.push_str(&field);
    }
    document + "} } }"
}

fn tokens() -> String {
    let field = "a:b(c:{d:1,e:\"x\",f:[1,2]}){g{h}}";
    format!("{{{}}}", field.repeat(SIZE / field.len()))
}
