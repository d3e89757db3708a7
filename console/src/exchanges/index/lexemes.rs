//! Words for PostgreSQL's full-text index, cut and folded as FTS5 does it for SQLite: runs of letters
//! and digits, in small letters, without accents. PostgreSQL's own parsers would take addresses and
//! numbers for one word, and another language would find other things.
//!
//! What a `tsvector` cannot hold in one piece goes into parts: it knows 16,383 places, 255 of one
//! word, and a megabyte. Parts overlap, so that a phrase across their border is found.

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Words of a part.
const WORDS: usize = 8_000;
/// Places of one word in a part.
const PLACES: u32 = 250;
/// Bytes of a part.
const BYTES: usize = 256 << 10;
/// Words that the next part has too; a longer phrase is found by so many of its words.
const OVERLAP: usize = 32;
/// Letters of a word that count.
const LETTERS: usize = 200;

/// The words of a text, in order.
fn lexemes(text: &str) -> Vec<String> {
    let is_part = |letter: char| letter.is_alphanumeric() || is_combining_mark(letter);
    text.split(|letter| !is_part(letter))
        .map(|word| {
            word.nfd()
                .filter(|letter| !is_combining_mark(*letter))
                .flat_map(char::to_lowercase)
                .take(LETTERS)
                .collect::<String>()
        })
        .filter(|word| !word.is_empty())
        .collect()
}

/// A text as the parts that are stored: each a `tsvector`, as it is written.
pub fn parts(text: &str) -> Vec<String> {
    let words = lexemes(text);
    let mut parts = Vec::new();
    let mut from = 0;
    while from < words.len() {
        let mut part = String::new();
        let mut places: HashMap<&str, u32> = HashMap::new();
        let mut count = 0;
        for word in words.iter().skip(from).take(WORDS) {
            let known = places.entry(word).or_default();
            *known += 1;
            if *known > PLACES || part.len() > BYTES {
                break;
            }
            count += 1;
            // Letters and digits: nothing to escape.
            part.push_str(&format!("'{word}':{count} "));
        }
        parts.push(part);
        from += count;
        if from < words.len() {
            // A part has more words than that.
            from = from.saturating_sub(OVERLAP);
        }
    }
    parts
}

/// A phrase as a `tsquery`; nothing if there is no word in it.
pub fn phrase(text: &str, prefix: bool) -> Option<String> {
    let mut words: Vec<String> = lexemes(text);
    let whole = words.len() <= OVERLAP;
    words.truncate(OVERLAP);
    let star = if prefix && whole { ":*" } else { "" };
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    (!quoted.is_empty()).then(|| format!("{}{star}", quoted.join(" <-> ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_and_folded_as_fts5_does() {
        assert_eq!(
            lexemes("DROP table_x; Ärger caf\u{65}\u{301} (a.b@c.example)"),
            [
                "drop", "table", "x", "arger", "cafe", "a", "b", "c", "example"
            ]
        );
    }

    #[test]
    fn nothing_of_a_phrase_is_syntax() {
        assert_eq!(phrase("a' | b & !c", false).unwrap(), "'a' <-> 'b' <-> 'c'");
        assert_eq!(phrase("tab", true).unwrap(), "'tab':*");
        assert_eq!(phrase("--", true), None);
    }

    #[test]
    fn a_long_text_is_in_parts_that_overlap() {
        let text: String = (0..20_000).map(|n| format!("w{n} ")).collect();
        let all = parts(&text);
        assert_eq!(all.len(), 3);
        assert!(all[0].contains("'w7999':8000 ") && all[1].starts_with("'w7968':1 "));
        assert!(all[2].ends_with("'w19999':4064 "));
        let same = "again ".repeat(600);
        assert!(
            parts(&same)
                .iter()
                .all(|part| part.matches("again").count() <= 250)
        );
    }
}
