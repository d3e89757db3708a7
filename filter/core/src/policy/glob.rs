//! Patterns of the policy: `*` within a segment, `**` across segments, `?` for one character.

/// A checked pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(String);

impl Glob {
    /// Checks a pattern. A leading `!` would turn its meaning around, `{}` and `[]` read
    /// differently in every tool: both are refused.
    pub fn new(pattern: &str) -> Result<Self, String> {
        if pattern.is_empty() {
            return Err("a pattern is empty".to_owned());
        }
        if let Some(c) = pattern
            .chars()
            .find(|c| "!{}[]\\".contains(*c) || c.is_control())
        {
            return Err(format!(
                "`{}` cannot be used in the pattern `{pattern}`; use *, ** and ?",
                c.escape_default()
            ));
        }
        Ok(Glob(pattern.to_owned()))
    }

    /// Whether the whole of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        fast_glob::glob_match(&self.0, text)
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Glob;

    #[test]
    fn stars_stop_at_slashes_and_double_stars_do_not() {
        let matches = |pattern: &str, text: &str| Glob::new(pattern).unwrap().matches(text);
        assert!(matches("acme/*", "acme/web"));
        assert!(!matches("acme/*", "acme/web/x"));
        assert!(!matches("acme/*", "evil/web"));
        assert!(matches("refs/heads/release/*", "refs/heads/release/1.2"));
        assert!(matches(".github/workflows/**", ".github/workflows/a/b.yml"));
        assert!(matches(".github/workflows/**", ".github/workflows/ci.yml"));
        assert!(!matches(
            ".github/workflows/**",
            "x/.github/workflows/ci.yml"
        ));
        assert!(matches("**", "a/b/c"));
        assert!(matches(
            "*.githubcopilot.com",
            "api.business.githubcopilot.com"
        ));
        assert!(!matches("*.githubcopilot.com", "githubcopilot.com"));
        assert!(!matches("*.githubcopilot.com", "evil.com"));
        assert!(matches("repo.*", "repo.delete"));
        assert!(matches("github:repos/*", "github:repos/delete"));
        assert!(matches("*", "anything"));
    }

    #[test]
    fn patterns_that_mean_different_things_elsewhere_are_refused() {
        for pattern in ["", "!refs/heads/main", "{a,b}", "[ab]", "a\\b", "a\nb"] {
            assert!(Glob::new(pattern).is_err(), "{pattern:?}");
        }
    }
}
