//! How long a client waits for an answer: the hold of a rule that names none.
//!
//! Each figure is below what the client was seen to bear; whoever is not known here is taken for the
//! least patient of all. A client that names its own time limit is believed if that is less.

use crate::denial::DenialStyle;
use crate::head::RequestHead;

/// PyGithub gives up after 15 s and sends DELETE and PUT again.
const UNKNOWN_MS: u64 = 14_000;
/// No default holds longer: nobody stays in front of a client for more.
const LONGEST_MS: u64 = 120_000;

/// By a part of the user agent, in lower case; the first that is found.
const AGENTS: &[(&str, u64)] = &[
    // `PyGithub/Python`, which also has "python" in it.
    ("pygithub", UNKNOWN_MS),
    // Seen for 70 s.
    ("github cli", 60_000),
    // Node's fetch gives up after 300 s.
    ("octokit", 60_000),
    // Seen for 75 s, as `copilot/1.0.102 (…)`.
    ("copilot/", 60_000),
    // The IDE's chat: seen for 45 s.
    ("githubcopilotchat", 40_000),
    ("vscode", 40_000),
    ("openai/", LONGEST_MS),
    ("anthropic/", LONGEST_MS),
];

/// Milliseconds that the sender of this request may be held.
pub fn hold_ms(style: &DenialStyle, head: &RequestHead) -> u64 {
    let text = |name: &str| head.headers.text(name);
    let usual = match style {
        // Seen for 65 s.
        DenialStyle::GitInfoRefs | DenialStyle::GitReceivePack { .. } => 60_000,
        // The npm SDK gives up after 60 s, whatever it is sent meanwhile.
        DenialStyle::Mcp { .. } => 50_000,
        DenialStyle::OpenAi if text("editor-version").is_some_and(|v| v.starts_with("vscode")) => {
            40_000
        }
        DenialStyle::OpenAi
        | DenialStyle::GitHubRest
        | DenialStyle::GraphQl
        | DenialStyle::Plain => {
            let agent = text("user-agent").unwrap_or_default().to_ascii_lowercase();
            let known = AGENTS.iter().find(|(part, _)| agent.contains(part));
            known.map_or(UNKNOWN_MS, |(_, ms)| *ms)
        }
    };
    // The openai and anthropic SDKs tell their limit, in seconds.
    let own = ["x-stainless-timeout", "x-stainless-read-timeout"]
        .iter()
        .filter_map(|name| text(name)?.parse::<f64>().ok())
        .filter(|seconds| seconds.is_finite() && *seconds > 0.0)
        .map(|seconds| (seconds * 900.0) as u64)
        .min();
    own.map_or(usual, |ms| ms.min(usual))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::Headers;

    fn held(style: &DenialStyle, headers: &[(&str, &str)]) -> u64 {
        let pairs = headers.iter();
        let pairs = pairs.map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec()));
        let head = RequestHead {
            headers: Headers::new(pairs.collect()),
            ..RequestHead::default()
        };
        hold_ms(style, &head)
    }

    #[test]
    fn every_client_is_held_for_less_than_it_waits() {
        let rest = DenialStyle::GitHubRest;
        let push = DenialStyle::GitReceivePack {
            side_band: true,
            refs: Vec::new(),
        };
        let mcp = DenialStyle::Mcp {
            calls: Vec::new(),
            batch: false,
        };
        let agent = |name| [("user-agent", name)];
        for (style, headers, gives_up) in [
            (&rest, &agent("PyGithub/Python"), 15_000),
            (&rest, &agent("GitHub CLI 2.23.0"), 70_000),
            (&rest, &agent("octokit-rest.js/22.0.1"), 300_000),
            (&rest, &agent("curl/8.5"), 15_000),
            (&DenialStyle::GraphQl, &agent("GitHub CLI 2.23.0"), 70_000),
            (&push, &agent("git/2.47.3"), 65_000),
            (&mcp, &agent("node"), 60_000),
            (
                &DenialStyle::OpenAi,
                &agent("OpenAI/Python 3.52.0"),
                600_000,
            ),
            (
                &DenialStyle::OpenAi,
                &agent("copilot/1.0.102 (linux)"),
                75_000,
            ),
            (
                &DenialStyle::OpenAi,
                &agent("GitHubCopilotChat/0.1"),
                45_000,
            ),
            (
                &DenialStyle::OpenAi,
                &[("editor-version", "vscode/1.120.0")],
                45_000,
            ),
        ] {
            let ms = held(style, headers);
            assert!(ms < gives_up && ms >= UNKNOWN_MS, "{headers:?}: {ms}");
        }
    }

    #[test]
    fn a_client_that_names_its_limit_is_believed_if_it_is_less() {
        let of = |seconds| {
            held(
                &DenialStyle::OpenAi,
                &[
                    ("user-agent", "OpenAI/JS 6.49.0"),
                    ("x-stainless-timeout", seconds),
                ],
            )
        };
        assert_eq!(of("10"), 9_000);
        assert_eq!(of("600"), LONGEST_MS);
        for nonsense in ["", "NaN", "-3", "soon"] {
            assert_eq!(of(nonsense), LONGEST_MS, "{nonsense}");
        }
    }
}
