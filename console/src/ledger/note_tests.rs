use super::*;

/// The example of the Go package golang.org/x/mod/sumdb/note, whose format this is.
const SKEY: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const NOTE: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\n\
    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

#[test]
fn the_published_example_verifies_and_is_made_again() {
    let verifier = Verifier::parse(VKEY).unwrap();
    let note = Note::parse(NOTE).unwrap();
    assert!(note.is_signed_by(&verifier));
    assert_eq!(verifier.to_string(), VKEY);
    let key = NoteKey::parse(SKEY).unwrap();
    assert_eq!(key.verifier(), &verifier);
    assert_eq!(key.to_private_text(), SKEY);
    let (text, line) = NOTE.split_at(NOTE.find("\u{2014}").unwrap());
    assert_eq!(key.signature_line(text.strip_suffix('\n').unwrap()), line);
    let changed = Note::parse(&NOTE.replace("answer", "Answer")).unwrap();
    assert!(!changed.is_signed_by(&verifier));
}

#[test]
fn a_key_that_was_changed_is_refused() {
    for bad in [
        "PeterNeumann",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+AhpcWQcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ] {
        assert!(Verifier::parse(bad).is_err(), "{bad}");
    }
    assert!(NoteKey::parse(VKEY).is_err());
}

#[test]
fn checkpoints_read_back_one_by_one_from_a_file() {
    let (old, new) = (
        NoteKey::generate("ledger.test").unwrap(),
        NoteKey::generate("ledger.test").unwrap(),
    );
    let one = Checkpoint::new("ledger.test", 7, [1; 32], 0, Some(1));
    let two = Checkpoint::new("ledger.test", 1_000, [2; 32], 60_000, None);
    let file = format!("{}\n{}", one.sign(&[&old]), two.sign(&[&old, &new]));
    let notes = split_notes(&file);
    assert_eq!(notes, [one.sign(&[&old]), two.sign(&[&old, &new])]);
    let first = Note::parse(&notes[0]).unwrap();
    assert_eq!(first.checkpoint().unwrap(), one);
    assert_eq!(one.seals(), Some(1));
    assert!(first.is_signed_by(old.verifier()) && !first.is_signed_by(new.verifier()));
    let second = Note::parse(&notes[1]).unwrap();
    assert!(second.is_signed_by(old.verifier()) && second.is_signed_by(new.verifier()));
    assert_eq!(second.checkpoint().unwrap().size, 1_000);
    for bad in ["x\n01\nAA==\n\n", "x\n1\nAA==\n\n", "\n1\n\n\n"] {
        let key = old.signature_line("x");
        let note = Note::parse(&format!("{bad}{key}"));
        assert!(
            note.is_err() || note.unwrap().checkpoint().is_err(),
            "{bad}"
        );
    }
}
