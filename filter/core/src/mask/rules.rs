//! The built-in rules, as data. A rule is a shape (how the scanner finds it) and checks (what it
//! must pass). A new token format is one more row here and its examples in `rules_tests.rs`.

use super::checks;
use super::classes::{
    ALNUM, BASE32, BASE64_URL, Class, DASH, DIGIT, DOT, HEX, LOWER, UNDERSCORE, UPPER, UPPER_DIGIT,
    WORD,
};

/// One kind of secret.
pub(super) struct Rule {
    /// Stands in the replacement, in policies and in records.
    pub id: &'static str,
    /// What it is, for people.
    pub description: &'static str,
    pub shape: Shape,
}

/// How the scanner finds a kind of secret.
pub(super) enum Shape {
    /// A run of one class of bytes that begins with a prefix.
    Prefix {
        prefixes: &'static [&'static str],
        class: Class,
        length: Length,
        check: Check,
    },
    /// `???dQ~` and 31 to 34 more bytes: an Azure client secret, known by its fourth to sixth.
    AzureClientSecret,
    /// Three base64url parts whose first decodes to a JSON object with `alg`.
    Jwt,
    /// A PEM block that says PRIVATE KEY and has a body.
    PrivateKey,
    /// The password of `scheme://user:password@host`.
    UrlPassword,
    /// What follows `Bearer` or `token` in an Authorization value.
    Bearer,
    /// What follows `Basic` in an Authorization value.
    Basic,
    /// A value after a key that says what it is; the kind tells which keys.
    Keyed(Keyed),
}

/// Kinds of `key = value` rules, told apart by key and value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Keyed {
    AwsSecret,
    AzureStorage,
    Password,
    Secret,
}

/// How many bytes follow the prefix.
#[derive(Clone, Copy)]
pub(super) enum Length {
    /// This many, whatever follows (the format has a checksum).
    Fixed(usize),
    /// This many, and no word byte after them.
    Exactly(usize),
    /// The whole run, if it is this long.
    Range(usize, usize),
}

/// What the bytes after the prefix must pass. Prefix and body are handed over.
pub(super) type Check = fn(prefix: &[u8], body: &[u8]) -> bool;

fn any(_: &[u8], body: &[u8]) -> bool {
    !checks::placeholder(body)
}

fn random(_: &[u8], body: &[u8]) -> bool {
    checks::entropy(body) >= 3.0 && checks::letter_and_digit(body) && !checks::placeholder(body)
}

fn crc(_: &[u8], body: &[u8]) -> bool {
    checks::crc_base62(body)
}

fn age(prefix: &[u8], body: &[u8]) -> bool {
    let human = prefix.strip_suffix(b"1").unwrap_or(prefix);
    checks::bech32_polymod(human, body) == Some(1)
}

fn fine_grained(_: &[u8], body: &[u8]) -> bool {
    body.get(22) == Some(&b'_') && checks::letter_and_digit(body) && checks::entropy(body) >= 3.0
}

fn openai(_: &[u8], body: &[u8]) -> bool {
    body.windows(8).any(|w| w == b"T3BlbkFJ")
}

fn sendgrid(_: &[u8], body: &[u8]) -> bool {
    let mut parts = body.split(|&b| b == b'.');
    parts.next().map(<[u8]>::len) == Some(22) && parts.next().map(<[u8]>::len) == Some(43)
}

fn stripe(_: &[u8], body: &[u8]) -> bool {
    checks::letter_and_digit(body) && checks::entropy(body) >= 2.5
}

const fn prefix(
    id: &'static str,
    description: &'static str,
    prefixes: &'static [&'static str],
    class: Class,
    length: Length,
    check: Check,
) -> Rule {
    Rule {
        id,
        description,
        shape: Shape::Prefix {
            prefixes,
            class,
            length,
            check,
        },
    }
}

const fn shaped(id: &'static str, description: &'static str, shape: Shape) -> Rule {
    Rule {
        id,
        description,
        shape,
    }
}

use Length::{Exactly, Fixed, Range};

/// Every built-in rule. Where two match the same text, the earlier row names it.
pub(super) const RULES: &[Rule] = &[
    // ghp_ gho_ ghu_ ghr_: the last six bytes are a checksum, and a token whose checksum is wrong
    // is no token. https://github.blog/2021-04-05-behind-githubs-new-authentication-token-formats/
    prefix(
        "github-token",
        "GitHub token (personal, OAuth, user-to-server, refresh)",
        &["ghp_", "gho_", "ghu_", "ghr_"],
        ALNUM,
        Fixed(36),
        crc,
    ),
    // Installation tokens without a valid checksum have been seen: their shape is enough.
    prefix(
        "github-app-token",
        "GitHub App installation token",
        &["ghs_"],
        ALNUM,
        Exactly(36),
        random,
    ),
    prefix(
        "github-fine-grained-token",
        "GitHub fine-grained personal access token",
        &["github_pat_"],
        WORD,
        Exactly(82),
        fine_grained,
    ),
    prefix(
        "gitlab-token",
        "GitLab token (personal, deploy, runner, trigger, CI job, feed, agent)",
        &[
            "glpat-", "gldt-", "glrt-", "glptt-", "glcbt-", "glft-", "glagent-", "glsoat-",
            "gloas-",
        ],
        BASE64_URL | DOT,
        Range(20, 320),
        random,
    ),
    prefix(
        "npm-token",
        "npm access token",
        &["npm_"],
        ALNUM,
        Fixed(36),
        crc,
    ),
    prefix(
        "pypi-token",
        "PyPI upload token",
        &["pypi-AgEIcHlwaS5vcmc", "pypi-AgENdGVzdC5weXBpLm9yZ"],
        BASE64_URL,
        Range(50, 1000),
        any,
    ),
    prefix(
        "crates-io-token",
        "crates.io API token",
        &["cio"],
        ALNUM,
        Exactly(32),
        random,
    ),
    prefix(
        "aws-access-key-id",
        "AWS access key id",
        &["AKIA", "ASIA", "ABIA", "ACCA"],
        BASE32,
        Exactly(16),
        any,
    ),
    prefix(
        "slack-token",
        "Slack token",
        &[
            "xoxb-",
            "xoxp-",
            "xoxa-",
            "xoxr-",
            "xoxs-",
            "xoxe-",
            "xoxe.xoxp-",
            "xoxe.xoxb-",
            "xoxo-",
            "xoxc-",
            "xoxd-",
            "xapp-",
        ],
        ALNUM | DASH,
        Range(20, 400),
        random,
    ),
    prefix(
        "stripe-key",
        "Stripe live secret or restricted key",
        &["sk_live_", "rk_live_"],
        ALNUM,
        Range(16, 247),
        stripe,
    ),
    prefix(
        "google-api-key",
        "Google API key",
        &["AIza"],
        BASE64_URL,
        Exactly(35),
        random,
    ),
    prefix(
        "google-oauth-token",
        "Google OAuth access token",
        &["ya29."],
        BASE64_URL,
        Range(20, 1024),
        any,
    ),
    prefix(
        "anthropic-key",
        "Anthropic API key",
        &["sk-ant-"],
        BASE64_URL,
        Range(32, 256),
        random,
    ),
    prefix(
        "openai-key",
        "OpenAI API key",
        &["sk-proj-", "sk-svcacct-", "sk-admin-"],
        BASE64_URL,
        Range(40, 256),
        random,
    ),
    prefix(
        "openai-key",
        "OpenAI API key",
        &["sk-"],
        BASE64_URL,
        Range(40, 256),
        openai,
    ),
    prefix(
        "hugging-face-token",
        "Hugging Face access token",
        &["hf_", "api_org_"],
        ALNUM,
        Exactly(34),
        hugging_face,
    ),
    prefix(
        "sendgrid-key",
        "SendGrid API key",
        &["SG."],
        BASE64_URL | DOT,
        Exactly(66),
        sendgrid,
    ),
    prefix(
        "twilio-key",
        "Twilio API key",
        &["SK"],
        HEX,
        Exactly(32),
        random,
    ),
    prefix(
        "digitalocean-token",
        "DigitalOcean token",
        &["dop_v1_", "doo_v1_", "dor_v1_"],
        HEX,
        Exactly(64),
        random,
    ),
    prefix(
        "vault-token",
        "HashiCorp Vault token",
        &["hvs.", "hvb.", "hvr."],
        BASE64_URL,
        Range(24, 300),
        random,
    ),
    prefix(
        "docker-token",
        "Docker Hub access token",
        &["dckr_pat_", "dckr_oat_"],
        BASE64_URL,
        Range(27, 64),
        random,
    ),
    prefix(
        "age-secret-key",
        "age secret key",
        &["AGE-SECRET-KEY-1"],
        UPPER_DIGIT,
        Fixed(58),
        age,
    ),
    shaped(
        "azure-client-secret",
        "Azure client secret",
        Shape::AzureClientSecret,
    ),
    shaped("jwt", "JSON Web Token", Shape::Jwt),
    shaped(
        "private-key",
        "Private key (PEM, OpenSSH, PGP)",
        Shape::PrivateKey,
    ),
    shaped("url-password", "Password in a URL", Shape::UrlPassword),
    shaped(
        "basic-credential",
        "Basic credential in an Authorization value",
        Shape::Basic,
    ),
    shaped(
        "bearer-token",
        "Token in an Authorization value",
        Shape::Bearer,
    ),
    shaped(
        "aws-secret-access-key",
        "AWS secret access key",
        Shape::Keyed(Keyed::AwsSecret),
    ),
    shaped(
        "azure-storage-key",
        "Azure storage account key",
        Shape::Keyed(Keyed::AzureStorage),
    ),
    shaped(
        "password",
        "Value of a key that says password",
        Shape::Keyed(Keyed::Password),
    ),
    shaped(
        "generic-secret",
        "Random value of a key that says secret, token or key",
        Shape::Keyed(Keyed::Secret),
    ),
];

fn hugging_face(_: &[u8], body: &[u8]) -> bool {
    // Letters alone are common in these tokens, so no digit is asked for.
    checks::entropy(body) >= 3.5 && !checks::placeholder(body) && mixed_case(body)
}

fn mixed_case(body: &[u8]) -> bool {
    use super::classes::is;
    body.iter().any(|&b| is(b, UPPER)) && body.iter().any(|&b| is(b, LOWER))
}

/// The classes an Azure client secret is made of.
pub(super) const AZURE_CLASS: Class = ALNUM | UNDERSCORE | DOT | DASH | super::classes::TILDE;

/// Digits, for the fixed place of [`Shape::AzureClientSecret`].
pub(super) const AZURE_DIGIT: Class = DIGIT;
