//! Inputs that make a careless reader quadratic, or deep. Nothing is timed: with a quadratic reader these run for
//! hours instead of moments.

use countersign_fuzz::{exchange::exchange, readers};

const LONG: usize = 1 << 20;

fn times(piece: &str, count: usize) -> String {
    piece.repeat(count)
}

#[test]
fn paths_of_many_parts() {
    for piece in ["/a", "%61", "/%2561", "a/", "?a=1", "&a=1", "&a[b]=1"] {
        readers::path(format!("/{}", times(piece, LONG / piece.len())).as_bytes());
    }
}

#[test]
fn json_of_many_members_and_levels() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
        let count = LONG / open.len();
        readers::json(format!("{}1{}", times(open, count), times(close, count)).as_bytes());
        readers::json(times(open, count).as_bytes());
    }
    let members: Vec<String> = (0..50_000).map(|n| format!("\"k{n}\":{n}")).collect();
    readers::json(format!("{{{}}}", members.join(",")).as_bytes());
    readers::json(format!("\"{}\"", times("\\u0061", LONG / 6)).as_bytes());
}

#[test]
fn documents_of_many_fields_and_levels() {
    for (open, close) in [("{a", "}"), ("{a(x:[", "])}"), ("{a(x:{y:", "1})}")] {
        let count = 20_000;
        readers::graphql(format!("{}{}", times(open, count), times(close, count)).as_bytes());
    }
    readers::graphql(format!("{{ {} }}", times("a ", 100_000)).as_bytes());
    let chain: String = (0..5_000)
        .map(|n| format!("fragment F{n} on Q {{ ...F{} ...F{} }} ", n + 1, n + 1))
        .collect();
    readers::graphql(format!("{{ ...F0 }} {chain} fragment F5000 on Q {{ a }}").as_bytes());
    let variables: String = (0..5_000).map(|n| format!("$v{n}: Int = {n} ")).collect();
    readers::graphql(format!("query({variables}) {{ a(x: $v1) }}").as_bytes());
}

#[test]
fn pushes_of_many_commands() {
    let line = format!(
        "{} {} refs/heads/branch-with-a-name\n",
        "1".repeat(40),
        "2".repeat(40)
    );
    let pkt = format!("{:04x}{line}", line.len() + 4);
    readers::pkt_line(format!("{}0000", times(&pkt, 2_000)).as_bytes());
    readers::pkt_line(times(&pkt, LONG / pkt.len()).as_bytes());
}

#[test]
fn messages_of_many_members() {
    let call =
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{}}}"#;
    readers::mcp(format!("[{}{call}]", times(&format!("{call},"), 199)).as_bytes());
    readers::mcp(format!("[{}{call}]", times(&format!("{call},"), 10_000)).as_bytes());
    let names: Vec<String> = (0..50_000).map(|n| format!("\"k{n}\":1")).collect();
    let call = call.replace(
        "\"arguments\":{}",
        &format!("\"arguments\":{{{}}}", names.join(",")),
    );
    readers::mcp(call.as_bytes());
}

#[test]
fn events_of_many_channels_and_lines() {
    let size = LONG / 4;
    for piece in [
        "data: x\n",
        "\n",
        "data: {\"delta\":\"a\"}\n\n",
        "a",
        "eyJ",
        "AKIA",
        "-----BEGIN PRIVATE KEY-----\\n",
        "password=",
        "\"",
        "https://a:",
    ] {
        readers::events(times(piece, size / piece.len()).as_bytes());
    }
    let channels: String = (0..2_000)
        .map(|n| {
            format!(
                "data: {{\"choices\":[{{\"index\":{n},\"delta\":{{\"content\":\"AKIA\"}}}}]}}\n\n"
            )
        })
        .collect();
    readers::events(channels.as_bytes());
}

#[test]
fn requests_of_many_headers() {
    let headers: String = (0..2_000).map(|n| format!("x-{n}: y\n")).collect();
    exchange(
        format!("POST api.github.com/repos/acme/web/issues\n{headers}\n{{\"title\":\"x\"}}")
            .as_bytes(),
    );
    let form = times("a=b&", LONG / 16);
    exchange(
        format!(
            "POST internal.example.com/x\ncontent-type: application/x-www-form-urlencoded\n\n{form}"
        )
        .as_bytes(),
    );
}
