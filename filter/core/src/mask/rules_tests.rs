//! Examples and counter-examples of every built-in rule.

use super::samples as made;
use super::tokens_tests::{self as samples, ALNUM, HEX, random};
use super::*;

fn set() -> Rc<MaskSet> {
    let config = MaskConfig {
        rules: vec!["default".into()],
        ..MaskConfig::default()
    };
    Rc::new(MaskSet::compile(&config).unwrap())
}

fn text(input: &str) -> String {
    String::from_utf8(mask_whole(&set(), None, Format::Text, input.as_bytes()).body).unwrap()
}

#[track_caller]
fn masked(input: &str, expected: &str) {
    assert_eq!(text(input), expected, "{input}");
}

#[track_caller]
fn untouched(input: &str) {
    masked(input, input);
}

#[test]
fn every_rule_masks_its_examples_and_spares_its_counter_examples() {
    const SEEDS: u64 = 12;
    let (mut all, mut missed) = (0, Vec::new());
    for examples in made::examples() {
        let named = format!("[REDACTED:{}]", examples.rule);
        let mut found = 0;
        for (template, seed) in examples
            .yes
            .iter()
            .flat_map(|t| (1..=SEEDS).map(move |s| (t, s)))
        {
            let sample = made::expand(template, seed);
            let out = text(&sample);
            all += 1;
            if out.contains(&named) {
                found += 1;
            } else {
                missed.push(format!("{}: {sample} -> {out}", examples.rule));
            }
        }
        let wanted = SEEDS * examples.yes.len() as u64;
        assert!(
            found * 10 >= wanted * 8,
            "{}: {found} of {wanted}; {:?}",
            examples.rule,
            missed.last()
        );
        for template in examples.no {
            for seed in 1..=SEEDS {
                let sample = made::expand(template, seed);
                let out = text(&sample);
                assert!(
                    !out.contains(&named),
                    "{}: {sample} -> {out}",
                    examples.rule
                );
            }
        }
    }
    assert!(
        missed.len() * 100 <= all,
        "{} of {all}: {missed:#?}",
        missed.len()
    );
}

#[test]
fn there_are_as_many_kinds_as_promised() {
    assert!(MaskSet::built_in().count() >= 250);
}

#[test]
fn every_token_is_masked_wherever_it_stands() {
    for seed in 1..40 {
        for (rule, token) in samples::tokens(seed) {
            for (before, after) in [
                ("", ""),
                ("is ", "."),
                ("(", ")"),
                ("<", ">"),
                ("\"", "\","),
                ("`", "`"),
                ("https://host/?a=", "&b=1"),
                ("line\\n", "\\n"),
                ("x%3D", "%26"),
                ("a=", "\r\n"),
                ("path/", " and"),
                ("_", " "),
                ("\u{fc}", "\u{fc}"),
                ("\0", "\0"),
                ("[", "]"),
                ("{", "}"),
            ] {
                if rule == "private-key" && after.starts_with('\\') {
                    continue;
                }
                let input = format!("{before}{token}{after}");
                masked(&input, &format!("{before}[REDACTED:{rule}]{after}"));
            }
        }
    }
}

#[test]
fn a_wrong_checksum_is_no_token() {
    for seed in 1..20 {
        for prefix in ["ghp_", "gho_", "ghu_", "ghr_", "npm_"] {
            let mut token = samples::checksummed(prefix, seed);
            let last = if token.ends_with('0') { "1" } else { "0" };
            token.replace_range(39.., last);
            untouched(&format!("is {token} a token"));
        }
        let mut age = samples::age(seed);
        let last = if age.ends_with('Q') { "P" } else { "Q" };
        age.replace_range(age.len() - 1.., last);
        untouched(&age);
    }
    // Six digits of base 62 as other implementations write them.
    assert_eq!(&checks::base62(checks::crc32(b"hello")), b"0zNvy2");
}

#[test]
fn tokens_of_a_wrong_length_or_class_are_left() {
    for (rule, token) in samples::tokens(3) {
        if [
            "aws-access-key-id",
            "crates-io-token",
            "google-api-key",
            "hugging-face-token",
            "twilio-key",
            "github-app-token",
        ]
        .contains(&rule)
        {
            untouched(&format!("{token}A"));
            untouched(&token[..token.len() - 1]);
            untouched(&format!("A{token}"));
        }
    }
    untouched("AKIAIOSFODNN7EXAMPLE");
    untouched("ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    untouched("glpat-xxxxxxxxxxxxxxxxxxxx sk-ant-your-key-goes-here-and-is-long-enough");
}

#[test]
fn private_keys_need_a_body() {
    untouched("if line == '-----BEGIN RSA PRIVATE KEY-----':\n    return True");
    untouched("-----BEGIN PRIVATE KEY-----");
    untouched(&samples::pem("PUBLIC KEY", 5, "\n", 4));
    untouched(&samples::pem("CERTIFICATE", 25, "\n", 4));
    let body = random(ALNUM, 64, 9);
    masked(
        &format!(
            "a\n-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00FF\n\n{body}\n{body}\nshort==\n-----END RSA PRIVATE KEY-----\nb"
        ),
        "a\n[REDACTED:private-key]\nb",
    );
    masked(
        &format!(
            "-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2\n\n{body}\n{body}\n=aB3d\n-----END PGP PRIVATE KEY BLOCK-----\n"
        ),
        "[REDACTED:private-key]\n",
    );
    // Joined in source code.
    masked(
        &format!(
            "k = \"-----BEGIN EC PRIVATE KEY-----\\n\" +\n  \"{body}\\n\" +\n  \"{body}\\n\" + \"-----END EC PRIVATE KEY-----\";"
        ),
        "k = \"[REDACTED:private-key]\";",
    );
    // Cut off: what is there goes, and nothing else.
    masked(
        &format!("-----BEGIN RSA PRIVATE KEY-----\n{body}\n{body}\nThe log was cut here.\n"),
        "[REDACTED:private-key]\nThe log was cut here.\n",
    );
}

#[test]
fn a_key_body_is_swallowed_up_to_its_limit() {
    let body = random(ALNUM, 40_000, 3);
    let out = text(&format!("-----BEGIN PRIVATE KEY-----\n{body}"));
    assert_eq!(
        out.len(),
        "[REDACTED:private-key]".len() + 40_000 - pem::BODY_MAX
    );
}

#[test]
fn values_with_a_key_before_them() {
    let secret = random(ALNUM, 32, 11);
    let hex = random(HEX, 40, 12);
    let aws = random(ALNUM, 40, 13);
    let storage = format!("{}==", random(ALNUM, 86, 14));
    for (input, rule, value) in [
        ("api_key = \"@\"", "generic-secret", &secret),
        ("API_KEY=@", "generic-secret", &secret),
        ("\"apiKey\": \"@\",", "generic-secret", &secret),
        ("{\\\"token\\\": \\\"@\\\"}", "generic-secret", &secret),
        ("client-secret: @", "generic-secret", &hex),
        ("config['secret_key'] = '@'", "generic-secret", &secret),
        ("SECRET_KEY_BASE: @\n", "generic-secret", &secret),
        ("?access_token=@&x=1", "generic-secret", &secret),
        (":token => '@'", "generic-secret", &secret),
        ("token := \"@\"", "generic-secret", &secret),
        ("--auth-token=@ run", "generic-secret", &secret),
        ("aws_secret_access_key = @", "aws-secret-access-key", &aws),
        ("AWS_SECRET_ACCESS_KEY=\"@\"", "aws-secret-access-key", &aws),
        (
            "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=@;EndpointSuffix=x",
            "azure-storage-key",
            &storage,
        ),
        ("Authorization: Bearer @\r\n", "bearer-token", &secret),
        ("-H 'authorization: token @'", "bearer-token", &hex),
        ("{\"Authorization\": \"Bearer @\"}", "bearer-token", &secret),
    ] {
        let expected = input.replace('@', &format!("[REDACTED:{rule}]"));
        masked(&input.replace('@', value), &expected);
    }
    for (input, value) in [
        ("password: \"@\"", "hunter22"),
        ("password=@ next", "Tr0ub4dor&3".split('&').next().unwrap()),
        ("DB_PASSWORD='@'", "pa ss".replace(' ', "$w0rd!").as_str()),
        ("<password>", ""),
        ("PGPASSWORD=@\n", "s3cr3tive-Gorilla!"),
        ("spring.datasource.password=@", "zx9!kkPq"),
        ("password: '@'", "a\\'quoted1"),
    ] {
        if value.is_empty() {
            untouched(input);
        } else if input.contains('\'') && value.contains('\\') {
            // A backslash escape in quotes belongs to the value.
            masked(
                &input.replace('@', value),
                &input.replace('@', "[REDACTED:password]"),
            );
        } else {
            masked(
                &input.replace('@', value),
                &input.replace('@', "[REDACTED:password]"),
            );
        }
    }
    let basic = samples::basic(4);
    masked(
        &format!("authorization: Basic {basic}\n"),
        "authorization: Basic [REDACTED:basic-credential]\n",
    );
    untouched("Basic authentication is weak");
    untouched("Bearer authentication-and-authorization tokens");
}

#[test]
fn passwords_in_urls() {
    masked(
        "postgres://app:s3cr3t@db.internal:5432/x",
        "postgres://app:[REDACTED:url-password]@db.internal:5432/x",
    );
    masked("redis://:p%40ss@h", "redis://:[REDACTED:url-password]@h");
    masked("ftp://u:p@ss@h/", "ftp://u:[REDACTED:url-password]@h/");
    untouched("http://localhost:8080/a@b");
    untouched("https://user:password@example.com/");
    untouched("https://user:${PASSWORD}@example.com/ https://u:<password>@h https://u:****@h");
    untouched("see http://host:80 and mail me@host");
}

#[test]
fn what_only_looks_like_a_secret_is_left() {
    let hex = random(HEX, 40, 21);
    let long = random(ALNUM, 64, 22);
    untouched(&format!(
        "commit {hex}\nindex {}..{}",
        &hex[..7],
        &hex[7..14]
    ));
    untouched("token: 123e4567-e89b-12d3-a456-426614174000");
    untouched(&format!("\"integrity\": \"sha512-{long}==\""));
    untouched(&format!("secret: sha256:{hex}"));
    untouched(&format!(
        "data:image/png;base64,{}",
        random(ALNUM, 9000, 23)
    ));
    untouched("password: ${DB_PASSWORD} password={{ vault.password }} token=$GITHUB_TOKEN1234567");
    untouched("api_key = \"YOUR_API_KEY_GOES_HERE_1\" token: <your-token-here-1234>");
    untouched("password: string; token: Option<String>, secret = get_secret(name1)");
    untouched("token = self.tokens.next_token1() max_tokens: 4096000000000000");
    untouched(&format!("next_page_token: {long}"));
    untouched(&format!("public_key = {long}"));
    untouched("\"password\": \"Enter your password 2\"");
    untouched("secretName: my-service-token-2 token: my-service-token-name-2");
    untouched("key_token: X509HardwareKeyUsageFlags = 2, token: D3DKMT_PRESENTHISTORYTOKEN_0,");
    untouched("private_key: x25519_generate_private_key,");
    untouched("CHALLENGE_PASSWORD: \"challengePassword\",");
    untouched("The password: it must be eight characters long.");
    untouched("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0x me@host");
    untouched("eyJhIjoxfQ.eyJhIjoxfQ.c2lnbmF0dXJlc2lnbmF0dXJl no algorithm");
    untouched("token: [REDACTED:generic-secret] password=[REDACTED:password]");
}

#[test]
fn masking_twice_is_masking_once() {
    for seed in 1..10 {
        for (_, token) in samples::tokens(seed) {
            let once = text(&format!("token = \"{token}\" and password={token}"));
            assert_eq!(text(&once), once);
        }
    }
}

#[test]
fn configurations_that_are_refused_say_why() {
    let rule = |id: &str, regex: &str| CustomRule {
        id: id.into(),
        regex: regex.into(),
    };
    let config = MaskConfig {
        rules: vec!["default".into(), "no-such-rule".into()],
        custom: vec![
            rule("ok", "https://[a-z]+\\.corp\\.example\\.com\\S*"),
            rule("a b", "x"),
            rule("empty", "x*"),
            rule("broken", "("),
            rule("lines", "a\\nb"),
            rule("jwt", "x"),
            rule("ok", "x"),
        ],
        ..MaskConfig::default()
    };
    let errors = MaskSet::compile(&config).unwrap_err();
    let places: Vec<MaskPath> = errors.iter().map(|(place, _)| *place).collect();
    assert_eq!(
        places,
        [
            MaskPath::Rule(1),
            MaskPath::Custom(1),
            MaskPath::Custom(2),
            MaskPath::Custom(3),
            MaskPath::Custom(4),
            MaskPath::Custom(5),
            MaskPath::Custom(6)
        ]
    );
    for (error, word) in errors
        .iter()
        .zip(["unknown", "id", "empty", "parse", "line", "taken", "taken"])
    {
        assert!(error.1.contains(word), "{}", error.1);
    }
}

#[test]
fn only_the_named_rules_are_used() {
    let config = MaskConfig {
        rules: vec!["jwt".into()],
        custom: vec![CustomRule {
            id: "internal-url".into(),
            regex: "https://[a-z]+\\.corp\\.example\\S*".into(),
        }],
        ..MaskConfig::default()
    };
    let set = Rc::new(MaskSet::compile(&config).unwrap());
    let github = samples::checksummed("ghp_", 1);
    let input = format!(
        "{} {github} https://wiki.corp.example/a?b c\nhttps://x.corp.example",
        samples::jwt(1)
    );
    let out = mask_whole(&set, None, Format::Text, input.as_bytes());
    assert_eq!(
        String::from_utf8(out.body).unwrap(),
        format!("[REDACTED:jwt] {github} [REDACTED:internal-url] c\n[REDACTED:internal-url]")
    );
    let counts: Vec<(&str, u32)> = out
        .findings
        .iter()
        .map(|f| (f.rule.as_str(), f.count))
        .collect();
    assert_eq!(counts, [("jwt", 1), ("internal-url", 2)]);
}

#[test]
fn every_rule_has_an_id_that_needs_no_escape() {
    for (id, description) in MaskSet::built_in() {
        assert!(
            id.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        );
        assert!(!description.is_empty());
    }
}
