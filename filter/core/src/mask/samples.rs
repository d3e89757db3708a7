//! Well-formed secrets for tests, put together at run time so that nobody's scanner takes this
//! repository for a leak.

use super::checks;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

pub(super) const ALNUM: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
pub(super) const HEX: &[u8] = b"0123456789abcdef";
pub(super) const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Random text of an alphabet; the same seed gives the same text.
pub(super) fn random(alphabet: &[u8], length: usize, seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(alphabet[(state >> 33) as usize % alphabet.len()])
        })
        .collect()
}

/// `prefix` and 36 characters of which the last six are the checksum.
pub(super) fn checksummed(prefix: &str, seed: u64) -> String {
    let body = random(ALNUM, 30, seed);
    let checksum = checks::base62(checks::crc32(body.as_bytes()));
    format!("{prefix}{body}{}", std::str::from_utf8(&checksum).unwrap())
}

pub(super) fn jwt(seed: u64) -> String {
    let header = URL_SAFE_NO_PAD.encode(br#"{"alg":"RS256","typ":"JWT"}"#);
    let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"sub":"user-{seed}","exp":1}}"#));
    format!("{header}.{claims}.{}", random(ALNUM, 43, seed))
}

pub(super) fn pem(label: &str, lines: usize, newline: &str, seed: u64) -> String {
    let mut text = format!("-----BEGIN {label}-----{newline}");
    for line in 0..lines {
        let length = if line + 1 == lines { 20 } else { 64 };
        text.push_str(&random(ALNUM, length, seed + line as u64 + 1));
        text.push_str(newline);
    }
    text.push_str(&format!("-----END {label}-----"));
    text
}

pub(super) fn age(seed: u64) -> String {
    const ALPHABET: &[u8] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    let data = random(ALPHABET, 52, seed);
    let zero =
        checks::bech32_polymod(b"age-secret-key-", format!("{data}qqqqqq").as_bytes()).unwrap() ^ 1;
    let checksum: String = (0..6)
        .map(|i| char::from(ALPHABET[((zero >> (5 * (5 - i))) & 31) as usize]))
        .collect();
    format!("age-secret-key-1{data}{checksum}").to_uppercase()
}

pub(super) fn basic(seed: u64) -> String {
    STANDARD.encode(format!("robot:{}", random(ALNUM, 14, seed)))
}

/// One well-formed secret of each rule that needs no context, by rule id.
pub(super) fn tokens(seed: u64) -> Vec<(&'static str, String)> {
    let r = |alphabet: &[u8], length: usize| random(alphabet, length, seed + 77);
    vec![
        ("github-token", checksummed("ghp_", seed)),
        ("github-token", checksummed("gho_", seed)),
        ("github-token", checksummed("ghu_", seed)),
        ("github-token", checksummed("ghr_", seed)),
        ("github-app-token", checksummed("ghs_", seed)),
        (
            "github-fine-grained-token",
            format!("github_pat_{}_{}", r(ALNUM, 22), r(ALNUM, 59)),
        ),
        ("gitlab-token", format!("glpat-{}", r(ALNUM, 20))),
        ("npm-token", checksummed("npm_", seed)),
        (
            "pypi-token",
            format!("pypi-AgEIcHlwaS5vcmc{}", r(ALNUM, 120)),
        ),
        ("crates-io-token", format!("cio{}", r(ALNUM, 32))),
        ("aws-access-key-id", format!("AKIA{}", r(BASE32, 16))),
        ("aws-access-key-id", format!("ASIA{}", r(BASE32, 16))),
        (
            "slack-token",
            format!(
                "xoxb-{}-{}-{}",
                r(b"0123456789", 12),
                r(b"0123456789", 12),
                r(ALNUM, 24)
            ),
        ),
        ("stripe-key", format!("sk_live_{}", r(ALNUM, 24))),
        ("stripe-key", format!("rk_live_{}", r(ALNUM, 99))),
        ("google-api-key", format!("AIza{}", r(ALNUM, 35))),
        ("google-oauth-token", format!("ya29.{}", r(ALNUM, 150))),
        ("anthropic-key", format!("sk-ant-api03-{}", r(ALNUM, 95))),
        ("openai-key", format!("sk-proj-{}", r(ALNUM, 120))),
        (
            "openai-key",
            format!("sk-{}T3BlbkFJ{}", r(ALNUM, 20), random(ALNUM, 20, seed + 5)),
        ),
        (
            "hugging-face-token",
            format!(
                "hf_{}",
                r(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", 34)
            ),
        ),
        (
            "sendgrid-key",
            format!("SG.{}.{}", r(ALNUM, 22), random(ALNUM, 43, seed + 5)),
        ),
        ("twilio-key", format!("SK{}", r(HEX, 32))),
        ("digitalocean-token", format!("dop_v1_{}", r(HEX, 64))),
        ("vault-token", format!("hvs.{}", r(ALNUM, 95))),
        ("docker-token", format!("dckr_pat_{}", r(ALNUM, 27))),
        ("age-secret-key", age(seed)),
        (
            "azure-client-secret",
            format!("{}8Q~{}", r(ALNUM, 3), random(ALNUM, 34, seed + 5)),
        ),
        ("jwt", jwt(seed)),
        ("private-key", pem("RSA PRIVATE KEY", 6, "\n", seed)),
        ("private-key", pem("PRIVATE KEY", 4, "\\n", seed)),
        ("private-key", pem("OPENSSH PRIVATE KEY", 9, "\r\n", seed)),
        ("private-key", pem("EC PRIVATE KEY", 3, "\n", seed)),
    ]
}
