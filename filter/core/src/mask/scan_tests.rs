//! The places that the scan picks against the rules asked everywhere.

use super::context::Verdict;
use super::scan::Walk;
use super::stream_tests::{body, grammar, set};
use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn no_secret_begins_at_a_place_that_is_passed_over(bodies in prop::collection::vec(body(), 1..4), pieces in grammar(), from in 0usize..40) {
        let set = set(&["default"], false);
        let mut text = bodies.concat();
        text.extend_from_slice(pieces.concat().as_bytes());
        let from = from.min(text.len());
        let mut walk = Walk::new(from, true);
        let mut places = Vec::new();
        while let Some(block) = walk.block(&text, text.len()) {
            places.extend(glance::questions(&text, &block));
        }
        prop_assert!(places.windows(2).all(|pair| pair[0].0 < pair[1].0));
        prop_assert!(places.last().is_none_or(|&(last, _)| last < text.len()));
        for at in from..text.len() {
            let all = probe::at(&set, &text, at, false);
            let asked = places.iter().find(|(place, _)| *place == at);
            let answer = asked.map_or(Verdict::No, |&(_, question)| probe::ask(&set, &text, at, question, false));
            let around = String::from_utf8_lossy(&text[at.saturating_sub(20)..(at + 20).min(text.len())]).into_owned();
            prop_assert_eq!(answer, all, "at {}: {}", at, around);
        }
    }
}

#[test]
fn ordinary_text_has_few_places() {
    let text =
        "The gateway reads each request, decides, and writes a record; nobody waits for it. "
            .repeat(50);
    let mut walk = Walk::new(0, true);
    let mut count = 0;
    while let Some(block) = walk.block(text.as_bytes(), text.len()) {
        count += (block.tokens | block.others).count_ones() as usize;
    }
    assert!(
        count * 12 < text.len(),
        "{count} places in {} bytes",
        text.len()
    );
}

#[test]
fn two_slashes_behind_a_colon_are_a_url_unless_the_key_says_something() {
    let set = set(&["default"], false);
    let answer = |text: &str| {
        let at = text.find("//").unwrap();
        probe::at(&set, text.as_bytes(), at, true)
    };
    assert_eq!(
        answer("see https://AKq7xYzN3vR9tL2mW8pB4cD6fG1hJ5kS0uT"),
        Verdict::No
    );
    let secret = "aws_secret_access_key://q7xYzN3vR9tL2mW8pB4cD6fG1hJ5kS0uTvE9wx";
    assert_eq!(secret.len() - secret.find("//").unwrap(), 40);
    assert_ne!(answer(secret), Verdict::No);
}
