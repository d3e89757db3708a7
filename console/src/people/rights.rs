//! Who may read what of the trail.

use super::Person;

/// The group whose members may read the trail, if the console is not told another.
pub const AUDITORS: &str = "auditors";

/// Which groups have which right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Members read the trail: search, exchanges, sessions, exports.
    pub auditors: Vec<String>,
    /// Auditors who are in one of these see bodies as well; if there are none, every auditor does.
    pub body_readers: Vec<String>,
}

impl Default for Rights {
    fn default() -> Self {
        Self {
            auditors: vec![AUDITORS.to_owned()],
            body_readers: Vec::new(),
        }
    }
}

impl Rights {
    /// Whether `person` may read the trail.
    pub fn reads_trail(&self, person: &Person) -> bool {
        self.auditors
            .iter()
            .any(|group| person.groups.contains(group))
    }

    /// Whether a reviewer may read the prompt behind a request that is his to decide: with the right
    /// to read bodies, where that is a right of its own.
    pub fn reads_prompts(&self, person: &Person) -> bool {
        let readers = &self.body_readers;
        readers.is_empty() || readers.iter().any(|group| person.groups.contains(group))
    }

    /// Whether `person` may read bodies in the trail: prompts, answers, uploads.
    pub fn reads_bodies(&self, person: &Person) -> bool {
        let readers = &self.body_readers;
        self.reads_trail(person)
            && (readers.is_empty() || readers.iter().any(|group| person.groups.contains(group)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_reads_without_the_group_and_bodies_can_need_a_second_one() {
        let person = |groups: &[&str]| Person {
            name: "x".into(),
            groups: groups.iter().map(|g| (*g).to_owned()).collect(),
            ..Person::default()
        };
        let open = Rights::default();
        let strict = Rights {
            auditors: vec!["audit".into()],
            body_readers: vec!["bodies".into()],
        };
        for (rights, groups, trail, bodies) in [
            (&open, &[][..], false, false),
            (&open, &["auditors"][..], true, true),
            (&strict, &["auditors"][..], false, false),
            (&strict, &["bodies"][..], false, false),
            (&strict, &["audit"][..], true, false),
            (&strict, &["bodies", "audit"][..], true, true),
        ] {
            let person = person(groups);
            assert_eq!(rights.reads_trail(&person), trail, "{groups:?}");
            assert_eq!(rights.reads_bodies(&person), bodies, "{groups:?}");
        }
    }
}
