//! C2SP signed notes (`c2sp.org/signed-note`) with Ed25519, and what a checkpoint says
//! (`c2sp.org/tlog-checkpoint`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use super::entry::Hash;
use crate::clock::{Millis, rfc3339};
use crate::secret::{NoRandomness, random_bytes};

/// The signature algorithm's number for Ed25519.
const ED25519: u8 = 1;
/// What a signature line begins with: an em dash and a blank.
const DASH: &str = "\u{2014} ";
/// What the line with the number of seals begins with.
const SEALS: &str = "seals ";
const PRIVATE: &str = "PRIVATE+KEY+";

/// Why a key or a note cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not of the form `name+hash+key`.
    #[error("not a key of a signed note (name+hash+base64): {0}")]
    Key(&'static str),
    /// Not a note.
    #[error("not a signed note: {0}")]
    Note(&'static str),
    /// A note, but not a checkpoint.
    #[error("not a checkpoint: {0}")]
    Checkpoint(&'static str),
}

/// A public key with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    id: [u8; 4],
    key: VerifyingKey,
}

/// A key that signs.
#[derive(Clone)]
pub struct NoteKey {
    verifier: Verifier,
    key: SigningKey,
}

impl std::fmt::Debug for NoteKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "NoteKey({})", self.verifier)
    }
}

/// Signed-note, "Signatures": the first four bytes of SHA-256 over name, newline, algorithm and key.
fn key_id(name: &str, key: &VerifyingKey) -> [u8; 4] {
    let mut hash = Sha256::new();
    hash.update(name.as_bytes());
    hash.update([b'\n', ED25519]);
    hash.update(key.as_bytes());
    let hash: Hash = hash.finalize().into();
    [hash[0], hash[1], hash[2], hash[3]]
}

/// Whether `name` can stand in a signature line.
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 200
        && !name
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

impl Verifier {
    fn new(name: &str, key: VerifyingKey) -> Self {
        Self {
            name: name.to_owned(),
            id: key_id(name, &key),
            key,
        }
    }

    /// Reads a verifier key: `name+hash+base64`.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::Key("it has not three parts"));
        };
        let key = STANDARD
            .decode(key)
            .map_err(|_| NoteError::Key("the key is not base64"))?;
        let [ED25519, key @ ..] = key.as_slice() else {
            return Err(NoteError::Key("the algorithm is not Ed25519"));
        };
        let key = <&[u8; 32]>::try_from(key)
            .ok()
            .and_then(|key| VerifyingKey::from_bytes(key).ok())
            .ok_or(NoteError::Key("the key is not one of Ed25519"))?;
        if !is_name(name) {
            return Err(NoteError::Key("the name has blanks or is empty"));
        }
        let verifier = Self::new(name, key);
        if hash != format!("{:08x}", u32::from_be_bytes(verifier.id)) {
            return Err(NoteError::Key(
                "the hash is not that of the name and the key",
            ));
        }
        Ok(verifier)
    }

    /// The key's name, which is the ledger's.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn made(&self, line: &SignatureLine, text: &str) -> bool {
        line.name == self.name
            && line.id == self.id
            && Signature::from_slice(&line.signature)
                .is_ok_and(|s| self.key.verify_strict(text.as_bytes(), &s).is_ok())
    }
}

impl std::fmt::Display for Verifier {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id = u32::from_be_bytes(self.id);
        let key = STANDARD.encode([&[ED25519], self.key.as_bytes().as_slice()].concat());
        write!(out, "{}+{id:08x}+{key}", self.name)
    }
}

impl NoteKey {
    /// A new key.
    pub fn generate(name: &str) -> Result<Self, NoRandomness> {
        Ok(Self::new(name, SigningKey::from_bytes(&random_bytes()?)))
    }

    fn new(name: &str, key: SigningKey) -> Self {
        Self {
            verifier: Verifier::new(name, key.verifying_key()),
            key,
        }
    }

    /// Reads what [`NoteKey::to_private_text`] wrote.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let rest = text
            .trim()
            .strip_prefix(PRIVATE)
            .ok_or(NoteError::Key("it does not begin with PRIVATE+KEY+"))?;
        let mut parts = rest.splitn(3, '+');
        let (Some(name), Some(_), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::Key("it has not five parts"));
        };
        let bytes = STANDARD
            .decode(key)
            .map_err(|_| NoteError::Key("the key is not base64"))?;
        let [ED25519, seed @ ..] = bytes.as_slice() else {
            return Err(NoteError::Key("the algorithm is not Ed25519"));
        };
        let seed: [u8; 32] = seed
            .try_into()
            .map_err(|_| NoteError::Key("the key is not 32 bytes"))?;
        if !is_name(name) {
            return Err(NoteError::Key("the name has blanks or is empty"));
        }
        Ok(Self::new(name, SigningKey::from_bytes(&seed)))
    }

    /// The key as it is kept in its file: `PRIVATE+KEY+name+hash+base64`.
    pub fn to_private_text(&self) -> String {
        let id = u32::from_be_bytes(self.verifier.id);
        let key = STANDARD.encode([&[ED25519], self.key.as_bytes().as_slice()].concat());
        format!("{PRIVATE}{}+{id:08x}+{key}", self.verifier.name)
    }

    /// What verifies its signatures.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The signature over `text`, which ends with a newline, as a line of a note.
    pub fn signature_line(&self, text: &str) -> String {
        let signature = self.key.sign(text.as_bytes()).to_bytes();
        let blob = STANDARD.encode([self.verifier.id.as_slice(), &signature].concat());
        format!("{DASH}{} {blob}\n", self.verifier.name)
    }
}

struct SignatureLine {
    name: String,
    id: [u8; 4],
    signature: Vec<u8>,
}

impl SignatureLine {
    fn parse(line: &str) -> Option<Self> {
        let (name, blob) = line.strip_prefix(DASH)?.split_once(' ')?;
        let blob = STANDARD.decode(blob).ok()?;
        let (id, signature) = blob.split_first_chunk::<4>()?;
        Some(Self {
            name: name.to_owned(),
            id: *id,
            signature: signature.to_vec(),
        })
    }
}

/// What a checkpoint says: so many entries have this root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The ledger's name.
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// Their root.
    pub root: Hash,
    /// Lines after the root.
    pub more: Vec<String>,
}

impl Checkpoint {
    /// A checkpoint made at `at`, before which there were so many seals, if that is known; it says both
    /// on lines of their own.
    pub fn new(origin: &str, size: u64, root: Hash, at: Millis, seals: Option<u64>) -> Self {
        let mut more = vec![format!("time {}", rfc3339(at))];
        more.extend(seals.map(|seals| format!("{SEALS}{seals}")));
        Self {
            origin: origin.to_owned(),
            size,
            root,
            more,
        }
    }

    /// How many seals there were of fewer entries.
    pub fn seals(&self) -> Option<u64> {
        let line = self.more.iter().find_map(|line| line.strip_prefix(SEALS));
        line?.parse().ok()
    }

    /// The text that is signed.
    pub fn text(&self) -> String {
        let mut text = format!(
            "{}\n{}\n{}\n",
            self.origin,
            self.size,
            STANDARD.encode(self.root)
        );
        for line in &self.more {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// The whole note, signed with each of `keys`.
    pub fn sign(&self, keys: &[&NoteKey]) -> String {
        let text = self.text();
        let lines: String = keys.iter().map(|key| key.signature_line(&text)).collect();
        format!("{text}\n{lines}")
    }
}

/// A note that was read, nothing of it verified.
pub struct Note {
    text: String,
    lines: Vec<SignatureLine>,
}

impl Note {
    /// Takes a note apart. Signature lines that cannot be read are left out, as the format wants.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        let cut = note
            .rfind("\n\n")
            .ok_or(NoteError::Note("no empty line before the signatures"))?;
        let (text, signatures) = note.split_at(cut + 1);
        let lines: Vec<SignatureLine> = signatures
            .lines()
            .filter_map(SignatureLine::parse)
            .collect();
        if lines.is_empty() {
            return Err(NoteError::Note("no signature"));
        }
        Ok(Self {
            text: text.to_owned(),
            lines,
        })
    }

    /// Whether `verifier` signed it.
    pub fn is_signed_by(&self, verifier: &Verifier) -> bool {
        self.lines
            .iter()
            .any(|line| verifier.made(line, &self.text))
    }

    /// The checkpoint that the note is.
    pub fn checkpoint(&self) -> Result<Checkpoint, NoteError> {
        let wrong = NoteError::Checkpoint;
        let mut lines = self.text.lines();
        let origin = lines.next().filter(|line| !line.is_empty());
        let size = lines.next().ok_or(wrong("no size"))?;
        let root = lines.next().ok_or(wrong("no root"))?;
        if size.len() > 1 && size.starts_with('0') {
            return Err(wrong("the size begins with a zero"));
        }
        Ok(Checkpoint {
            origin: origin.ok_or(wrong("no origin"))?.to_owned(),
            size: size.parse().map_err(|_| wrong("the size is no number"))?,
            root: STANDARD
                .decode(root)
                .ok()
                .and_then(|root| root.try_into().ok())
                .ok_or(wrong("the root is not 32 bytes of base64"))?,
            more: lines.map(str::to_owned).collect(),
        })
    }
}

/// Whether a line of a note is one of its signatures.
pub fn is_signature(line: &str) -> bool {
    line.starts_with(DASH)
}

/// The notes of a file that has them one after the other: a note ends with its last signature line.
pub fn split_notes(file: &str) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = String::new();
    let mut signed = false;
    for line in file.lines() {
        if signed && !is_signature(line) {
            notes.push(std::mem::take(&mut note));
            signed = false;
            if line.is_empty() {
                continue;
            }
        }
        signed |= is_signature(line);
        note.push_str(line);
        note.push('\n');
    }
    if !note.trim().is_empty() {
        notes.push(note);
    }
    notes
}

#[cfg(test)]
#[path = "note_tests.rs"]
mod tests;
