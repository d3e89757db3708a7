//! One secret of each well-known kind, for the properties of the stream.

use super::checks;
pub(super) use super::samples::{age, basic, jwt, pem, random};

pub(super) const ALNUM: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
pub(super) const HEX: &[u8] = b"0123456789abcdef";
pub(super) const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// `prefix` and 36 characters of which the last six are the checksum.
pub(super) fn checksummed(prefix: &str, seed: u64) -> String {
    let body = random(ALNUM, 30, seed);
    let checksum = checks::base62(checks::crc32(body.as_bytes()));
    format!("{prefix}{body}{}", std::str::from_utf8(&checksum).unwrap())
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
            "openai-legacy-key",
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
