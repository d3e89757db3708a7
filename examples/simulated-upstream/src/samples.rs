//! Secrets that look real and are worth nothing, made at run time so that none stands in the source.
//!
//! All are the same in every run: a test can ask once without the gateway and search for them afterwards.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

/// Digits of GitHub's base 62, in order of value.
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// `prefix`, 30 letters and the checksum that secret scanners verify: the CRC-32 of the 30 letters in base 62, six digits.
pub fn github_token(prefix: &str, name: &str) -> String {
    let letters = letters(name, 30);
    let mut checksum = crc32fast::hash(letters.as_bytes());
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[(checksum % 62) as usize];
        checksum /= 62;
    }
    format!("{prefix}{letters}{}", String::from_utf8_lossy(&digits))
}

/// An AWS access key id and its secret.
pub fn aws_key() -> (String, String) {
    let id: String = bytes("aws-id", 16)
        .iter()
        .map(|byte| char::from(BASE32[usize::from(byte % 32)]))
        .collect();
    (
        format!("AKIA{id}"),
        STANDARD.encode(bytes("aws-secret", 30)),
    )
}

/// A JWT with three well-formed parts; its signature verifies nowhere.
pub fn jwt() -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let head = part(r#"{"alg":"RS256","typ":"JWT","kid":"acme-2026"}"#);
    let claims = part(
        r#"{"iss":"https://login.acme.example","sub":"deploy","aud":"prod","exp":4102444800}"#,
    );
    format!(
        "{head}.{claims}.{}",
        URL_SAFE_NO_PAD.encode(bytes("jwt", 256))
    )
}

/// A PEM block in the form of an RSA private key of 2048 bits; the numbers inside are not a key.
pub fn private_key() -> String {
    let mut der = vec![
        0x30, 0x82, 0x04, 0xa3, 0x02, 0x01, 0x00, 0x02, 0x82, 0x01, 0x01, 0x00,
    ];
    der.extend(bytes("rsa", 1179));
    let encoded = STANDARD.encode(der);
    let label = "RSA PRIVATE KEY";
    let mut pem = format!("-----BEGIN {label}-----\n");
    for line in encoded.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str(&format!("-----END {label}-----"));
    pem
}

/// Letters and digits.
pub fn letters(name: &str, length: usize) -> String {
    bytes(name, length)
        .iter()
        .map(|byte| char::from(BASE62[usize::from(byte % 62)]))
        .collect()
}

/// Base64 of `length` bytes.
pub fn base64_bytes(name: &str, length: usize) -> String {
    STANDARD.encode(bytes(name, length))
}

/// Bytes that depend on the name alone.
fn bytes(name: &str, length: usize) -> Vec<u8> {
    let blocks = (0u32..)
        .flat_map(|block| Sha256::digest(format!("countersign sample {name} {block}")).to_vec());
    blocks.take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_that_real_tokens_have() {
        // A published example of the format, split so that no scanner takes it for a secret.
        let known = ["zQWBuTSOoRi4A9spHcVY5", "ncnsDkxkJ", "0mLq17"].concat();
        let mut checksum = crc32fast::hash(&known.as_bytes()[..30]);
        let mut digits = Vec::new();
        for _ in 0..6 {
            digits.insert(0, BASE62[(checksum % 62) as usize]);
            checksum /= 62;
        }
        assert_eq!(known.as_bytes()[30..], digits);
        let token = github_token("ghp_", "demo");
        assert_eq!((token.len(), &token[..4]), (40, "ghp_"));
        assert_eq!(token, github_token("ghp_", "demo"));
    }

    #[test]
    fn each_sample_has_its_shape() {
        let (id, secret) = aws_key();
        assert_eq!((id.len(), secret.len()), (20, 40));
        assert_eq!(jwt().split('.').count(), 3);
        assert!(private_key().lines().all(|line| line.len() <= 64));
    }
}
