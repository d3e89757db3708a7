//! Patterns of the policy: `*` within a segment, `**` across segments, `?` for one character; and
//! lists of them, where `!x` excludes.

/// A checked pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    pattern: String,
    shape: Shape,
}

/// Patterns that need no general matcher: most of a policy, and every rule meets every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// No wildcard.
    Literal,
    /// `**`.
    Everything,
    /// `text*`: up to the next slash.
    Beginning,
    /// `*text`: from the last slash.
    Ending,
    /// Anything else.
    General,
}

impl Glob {
    /// Checks a pattern. `{}` and `[]` read differently in every tool, and `!` turns its meaning
    /// around: all are refused here ([`Globs`] takes a leading `!`).
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
        let wild = |text: &str| text.contains(['*', '?']);
        let shape = match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
            _ if !wild(pattern) => Shape::Literal,
            _ if pattern == "**" => Shape::Everything,
            (_, Some(text)) if !wild(text) => Shape::Beginning,
            (Some(text), _) if !wild(text) => Shape::Ending,
            _ => Shape::General,
        };
        Ok(Glob {
            pattern: pattern.to_owned(),
            shape,
        })
    }

    /// Whether the whole of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        match self.shape {
            Shape::Literal => self.pattern == text,
            Shape::Everything => true,
            Shape::Beginning => text
                .strip_prefix(self.pattern.trim_end_matches('*'))
                .is_some_and(|rest| !rest.contains('/')),
            Shape::Ending => text
                .strip_suffix(self.pattern.trim_start_matches('*'))
                .is_some_and(|rest| !rest.contains('/')),
            Shape::General => fast_glob::glob_match(&self.pattern, text),
        }
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.pattern
    }

    /// What every match begins with: the pattern up to its first wildcard.
    pub fn beginning(&self) -> &str {
        self.pattern.split(['*', '?']).next().unwrap_or_default()
    }

    /// Whether it names one thing only.
    pub fn is_literal(&self) -> bool {
        self.shape == Shape::Literal
    }
}

/// A list of patterns, in which `!x` excludes. A list of nothing but `!x` means "anything but".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Globs {
    include: Vec<Glob>,
    exclude: Vec<Glob>,
}

impl Globs {
    /// Adds a pattern, with or without a leading `!`.
    ///
    /// # Errors
    /// What [`Glob::new`] refuses.
    pub fn push(&mut self, pattern: &str) -> Result<(), String> {
        match pattern.strip_prefix('!') {
            Some(excluded) => self.exclude.push(Glob::new(excluded)?),
            None => self.include.push(Glob::new(pattern)?),
        }
        Ok(())
    }

    /// Whether the list asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// Whether it only excludes.
    pub fn is_negative(&self) -> bool {
        self.include.is_empty() && !self.exclude.is_empty()
    }

    /// Whether `text` is meant; an empty list means anything.
    pub fn matches(&self, text: &str) -> bool {
        self.matches_any(|glob| glob.matches(text))
    }

    /// Whether a thing with several names is meant: one name is enough to be included, and one to be
    /// excluded. `known` tells whether a pattern fits any of them.
    pub fn matches_any(&self, known: impl Fn(&Glob) -> bool) -> bool {
        (self.include.is_empty() || self.include.iter().any(&known))
            && !self.exclude.iter().any(known)
    }

    /// The patterns that include.
    pub fn included(&self) -> &[Glob] {
        &self.include
    }

    /// The patterns that exclude, without their `!`.
    pub fn excluded(&self) -> &[Glob] {
        &self.exclude
    }
}

#[cfg(test)]
mod tests {
    use super::{Glob, Globs};
    use proptest::prelude::*;

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
        assert!(matches("*.read", "repo.read"));
        assert!(!matches("*.read", "repo.readme"));
    }

    #[test]
    fn patterns_that_mean_different_things_elsewhere_are_refused() {
        for pattern in ["", "!refs/heads/main", "{a,b}", "[ab]", "a\\b", "a\nb"] {
            assert!(Glob::new(pattern).is_err(), "{pattern:?}");
        }
        for pattern in ["!", "!!a", "!{a}"] {
            assert!(Globs::default().push(pattern).is_err(), "{pattern:?}");
        }
    }

    #[test]
    fn an_exclusion_beats_every_inclusion() {
        let globs = |patterns: &[&str]| {
            let mut globs = Globs::default();
            patterns.iter().for_each(|p| globs.push(p).unwrap());
            globs
        };
        let both = globs(&["acme/*", "!acme/secret"]);
        assert!(both.matches("acme/web"));
        assert!(!both.matches("acme/secret"));
        assert!(!both.matches("evil/web"));
        let but = globs(&["!acme/*"]);
        assert!(but.is_negative() && but.matches("evil/web") && !but.matches("acme/web"));
        assert!(globs(&[]).matches("anything"));
        assert_eq!(both, globs(&["!acme/secret", "acme/*"]), "order is nothing");
    }

    proptest! {
        /// The short cuts are only that.
        #[test]
        fn every_shape_matches_as_the_general_matcher(
            pattern in "[ab/.*?]{1,6}", text in "[ab/.]{0,8}",
        ) {
            let glob = Glob::new(&pattern).unwrap();
            prop_assert_eq!(glob.matches(&text), fast_glob::glob_match(&pattern, &text));
        }
    }
}
