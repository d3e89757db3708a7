//! Bodies: kept once, by the hash of their bytes, packed.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::entry::Hash;
use crate::store::StoreError;
use crate::store::sql::{Connection, ToSql, Value as SqlValue};

/// Attributes of a record that are bodies, if they are text.
pub const KEYS: &[&str] = &["countersign.request.body", "countersign.response.body"];

/// How well the packer tries; higher levels cost more than they save on texts of a few kilobytes.
const LEVEL: i32 = 1;
/// The largest body that is unpacked: nothing larger gets in.
const LARGEST: usize = 64 << 20;

/// A body on its way to the database.
#[derive(Clone, Debug)]
pub struct Body {
    /// SHA-256 of the bytes.
    pub sha256: Hash,
    /// How many bytes.
    pub size: usize,
    /// Whether the attribute had them in base64.
    pub base64: bool,
    packed: Option<Vec<u8>>,
    plain: Vec<u8>,
}

impl Body {
    /// A body from an attribute's text. `encoding` is what the record says of it; bytes that do not
    /// give the same base64 again are kept as the text that they are.
    pub fn new(text: String, encoding: Option<&str>) -> Self {
        let decoded = (encoding == Some("base64"))
            .then(|| STANDARD.decode(&text).ok())
            .flatten()
            .filter(|bytes| STANDARD.encode(bytes) == text);
        let (plain, base64) = match decoded {
            Some(bytes) => (bytes, true),
            None => (text.into_bytes(), false),
        };
        let packed = pack(&plain).filter(|packed| packed.len() < plain.len());
        Self {
            sha256: Sha256::digest(&plain).into(),
            size: plain.len(),
            base64,
            packed,
            plain,
        }
    }

    /// What stands in the leaf for it.
    pub fn reference(&self) -> Value {
        let mut reference = json!({"sha256": hex(&self.sha256), "size": self.size});
        if self.base64 {
            reference["base64"] = true.into();
        }
        reference
    }

    /// Keeps the body, or notes that entry `index` has it too.
    pub fn keep(&self, c: &Connection, index: i64) -> Result<(), StoreError> {
        keep_many(c, [(index, self)].into_iter())
    }
}

/// Keeps bodies of entries, each once.
pub(super) fn keep_many<'a>(
    c: &Connection,
    bodies: impl Iterator<Item = (i64, &'a Body)>,
) -> Result<(), StoreError> {
    // Of the same body the last entry counts, which comes last.
    let different: BTreeMap<Hash, (i64, &Body)> = bodies
        .map(|(index, body)| (body.sha256, (index, body)))
        .collect();
    let rows: Vec<Vec<SqlValue<'_>>> = different
        .values()
        .map(|(index, body)| {
            let (codec, data) = match &body.packed {
                Some(packed) => (Codec::Zstd, packed),
                None => (Codec::Plain, &body.plain),
            };
            vec![
                body.sha256.to_sql(),
                SqlValue::Integer(body.size as i64),
                SqlValue::Integer(codec as i64),
                data.to_sql(),
                SqlValue::Integer(*index),
            ]
        })
        .collect();
    c.prepare_cached(
        "INSERT INTO bodies (sha256, size, codec, data, last_entry) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (sha256) DO UPDATE SET last_entry = excluded.last_entry
           WHERE excluded.last_entry > bodies.last_entry",
    )?
    .insert_many(&rows)?;
    Ok(())
}

#[derive(Clone, Copy)]
enum Codec {
    Plain = 0,
    Zstd = 1,
}

thread_local! {
    // Its tables cost more to set up than a body of a few kilobytes costs to pack.
    static PACKER: RefCell<Option<zstd::bulk::Compressor<'static>>> =
        RefCell::new(zstd::bulk::Compressor::new(LEVEL).ok());
    static UNPACKER: RefCell<Option<zstd::bulk::Decompressor<'static>>> =
        RefCell::new(zstd::bulk::Decompressor::new().ok());
}

/// The packed bytes; nothing if they could not be packed, and are kept as they are.
fn pack(bytes: &[u8]) -> Option<Vec<u8>> {
    PACKER.with_borrow_mut(|packer| packer.as_mut()?.compress(bytes).ok())
}

/// A body that was stored, as the leaf tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// SHA-256 of the bytes.
    pub sha256: Hash,
    /// How many bytes.
    pub size: u64,
    /// Whether the attribute had them in base64.
    pub base64: bool,
}

impl Reference {
    /// Reads what [`Body::reference`] wrote.
    pub fn read(value: &Value) -> Option<Self> {
        Some(Self {
            sha256: unhex(value.get("sha256")?.as_str()?)?,
            size: value.get("size")?.as_u64()?,
            base64: value.get("base64").and_then(Value::as_bool) == Some(true),
        })
    }

    /// The text that the attribute had; nothing if the body has been deleted.
    pub fn text(&self, c: &Connection) -> Result<Option<String>, StoreError> {
        self.text_of(bytes(c, &self.sha256)?)
    }

    /// The text that the attribute had, from the body's bytes.
    pub fn text_of(&self, bytes: Option<Vec<u8>>) -> Result<Option<String>, StoreError> {
        let Some(bytes) = bytes else {
            return Ok(None);
        };
        if self.base64 {
            return Ok(Some(STANDARD.encode(bytes)));
        }
        String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| StoreError::Unreadable(format!("body {}", hex(&self.sha256))))
    }
}

/// The references of a leaf's value, by the attribute they stand for.
pub fn references(value: &Map<String, Value>) -> Vec<(&str, Option<Reference>)> {
    value
        .get("bodies")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, reference)| (key.as_str(), Reference::read(reference)))
        .collect()
}

/// The bytes of a body; nothing if it has been deleted.
pub fn bytes(c: &Connection, sha256: &Hash) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(many(c, &[*sha256])?.remove(sha256))
}

/// The bytes of bodies, of those that have not been deleted.
pub fn many(c: &Connection, wanted: &[Hash]) -> Result<HashMap<Hash, Vec<u8>>, StoreError> {
    let asked: Vec<Vec<SqlValue<'_>>> = wanted.iter().map(|hash| vec![hash.to_sql()]).collect();
    let found = c
        .prepare_cached("SELECT codec, size, data FROM bodies WHERE sha256 = ?1")?
        .first_rows(&asked, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let mut bodies = HashMap::with_capacity(found.len());
    for (hash, found) in wanted.iter().zip(found) {
        let Some((codec, size, data)) = found else {
            continue;
        };
        let bytes = unpack(codec, size, data)
            .map_err(|why| StoreError::Unreadable(format!("body {}: {why}", hex(hash))))?;
        bodies.insert(*hash, bytes);
    }
    Ok(bodies)
}

/// The bytes behind a row of `bodies`.
pub(super) fn unpack(codec: i64, size: i64, data: Vec<u8>) -> Result<Vec<u8>, String> {
    if codec == Codec::Plain as i64 {
        return Ok(data);
    }
    if codec != Codec::Zstd as i64 {
        return Err(format!("codec {codec} is not known"));
    }
    let size = usize::try_from(size).unwrap_or(usize::MAX).min(LARGEST);
    let unpacked = UNPACKER.with_borrow_mut(|unpacker| match unpacker {
        Some(unpacker) => unpacker.decompress(&data, size),
        None => zstd::bulk::decompress(&data, size),
    });
    unpacked.map_err(|error| error.to_string())
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Reads 32 bytes of hex.
pub fn unhex(text: &str) -> Option<Hash> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_base64_come_back_as_they_were() {
        for (text, encoding, base64) in [
            ("hello".repeat(100), Some("utf8"), false),
            (STANDARD.encode([0, 255, 7]), Some("base64"), true),
            // Not what the encoder writes: the last bits are not zero.
            ("AP8=\n".to_owned(), Some("base64"), false),
        ] {
            let body = Body::new(text.clone(), encoding);
            assert_eq!(body.base64, base64, "{text}");
            let reference = Reference::read(&body.reference()).unwrap();
            assert_eq!(reference.sha256, body.sha256);
        }
    }

    #[test]
    fn hex_reads_back() {
        let hash: Hash = Sha256::digest(b"x").into();
        assert_eq!(unhex(&hex(&hash)), Some(hash));
        assert_eq!(unhex("zz"), None);
    }
}
