//! What a candidate must pass beyond its shape: checksums, decoded headers, entropy, and the
//! look of a placeholder.

use super::classes::{ALNUM, DIGIT, LOWER, UPPER, is};
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

static CRC: [u32; 256] = crc_table();

#[allow(clippy::indexing_slicing, reason = "run by the compiler")]
const fn crc_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut n = 0;
    while n < 256 {
        let mut value = n as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 {
                0xEDB8_8320 ^ (value >> 1)
            } else {
                value >> 1
            };
            bit += 1;
        }
        table[n] = value;
        n += 1;
    }
    table
}

/// CRC-32 as zip and PNG have it (IEEE 802.3).
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        let index = usize::from((crc as u8) ^ byte);
        CRC.get(index).copied().unwrap_or(0) ^ (crc >> 8)
    })
}

/// A number in base 62 (`0-9A-Za-z`), six digits, as GitHub and npm write their checksums.
pub(super) fn base62(mut value: u32) -> [u8; 6] {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS.get((value % 62) as usize).copied().unwrap_or(b'0');
        value /= 62;
    }
    digits
}

/// Whether the last six bytes are the base-62 CRC-32 of those before them.
pub(super) fn crc_base62(body: &[u8]) -> bool {
    body.len()
        .checked_sub(6)
        .and_then(|split| body.split_at_checked(split))
        .is_some_and(|(random, checksum)| base62(crc32(random)) == checksum)
}

/// The bech32 polynomial (BIP 173) over the human-readable part and the data.
pub(super) fn bech32_polymod(readable: &[u8], data: &[u8]) -> Option<u32> {
    const ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    let lower = readable.iter().map(u8::to_ascii_lowercase);
    let high = lower.clone().map(|b| u32::from(b >> 5));
    let low = lower.map(|b| u32::from(b & 31));
    let mut check = 1u32;
    let mut step = |value: u32| {
        let top = check >> 25;
        check = ((check & 0x01ff_ffff) << 5) ^ value;
        for (bit, generator) in [
            0x3b6a_57b2,
            0x2650_8e6d,
            0x1ea1_19fa,
            0x3d42_33dd,
            0x2a14_62b3u32,
        ]
        .into_iter()
        .enumerate()
        {
            if (top >> bit) & 1 == 1 {
                check ^= generator;
            }
        }
    };
    high.for_each(&mut step);
    step(0);
    low.for_each(&mut step);
    for byte in data {
        let digit = byte.to_ascii_lowercase();
        step(ALPHABET.iter().position(|&a| a == digit)? as u32);
    }
    Some(check)
}

/// Whether the header part of a JWT decodes to a JSON object that names an algorithm.
pub(super) fn jwt_header(header: &[u8]) -> bool {
    URL_SAFE.decode(header).is_ok_and(|json| {
        json.starts_with(b"{")
            && json.windows(5).any(|w| w == b"\"alg\"")
            && std::str::from_utf8(&json).is_ok()
    })
}

/// Whether a `Basic` credential decodes to `user:password` with a password in it.
pub(super) fn basic_credential(value: &[u8]) -> bool {
    let decoded = STANDARD.decode(value).or_else(|_| URL_SAFE.decode(value));
    decoded.is_ok_and(|text| {
        text.iter().all(|b| !b.is_ascii_control())
            && std::str::from_utf8(&text).is_ok_and(|text| {
                text.split_once(':').is_some_and(|(_, password)| {
                    !password.is_empty() && !stand_in(password.as_bytes())
                })
            })
    })
}

/// Whether a token looks random: no digit is asked for, one in thirty tokens of twenty characters has none.
pub(super) fn random(body: &[u8]) -> bool {
    // Sixteen letters or more; what is shorter has less to show.
    let least = if body.len() < 16 { 2.5 } else { 3.0 };
    entropy(body) >= least && !identifier(body) && !placeholder(body)
}

/// Whether the first part of a Discord token decodes to the number of an account.
pub(super) fn discord(token: &[u8]) -> bool {
    let number = token.split(|&b| b == b'.').next().unwrap_or_default();
    URL_SAFE
        .decode(number)
        .is_ok_and(|digits| digits.len() >= 17 && digits.iter().all(u8::is_ascii_digit))
}

/// Whether the last eight digits are the CRC-32 of what stands before their underscore, lowest byte first.
pub(super) fn grafana(token: &[u8]) -> bool {
    let Some((body, sum)) = token
        .len()
        .checked_sub(8)
        .and_then(|split| token.split_at_checked(split))
    else {
        return false;
    };
    let body = body.strip_suffix(b"_").unwrap_or(body);
    let expected = u32::from_be_bytes(crc32(body).to_le_bytes());
    std::str::from_utf8(sum).is_ok_and(|sum| u32::from_str_radix(sum, 16) == Ok(expected))
}

/// Whether the text is the base64 of a JSON object.
pub(super) fn encoded_object(body: &[u8]) -> bool {
    STANDARD
        .decode(body)
        .is_ok_and(|json| json.starts_with(b"{\"") && std::str::from_utf8(&json).is_ok())
}

/// Shannon entropy in bits per byte.
pub(super) fn entropy(text: &[u8]) -> f32 {
    let mut counts = [0u16; 256];
    for &b in text {
        if let Some(count) = counts.get_mut(usize::from(b)) {
            *count = count.saturating_add(1);
        }
    }
    let total = text.len() as f32;
    counts
        .iter()
        .filter(|&&count| count > 0)
        .map(|&count| {
            let share = f32::from(count) / total;
            -share * share.log2()
        })
        .sum()
}

/// Whether the text holds a letter and a digit.
pub(super) fn letter_and_digit(text: &[u8]) -> bool {
    text.iter().any(|&b| is(b, DIGIT)) && text.iter().any(|&b| is(b, UPPER | LOWER))
}

/// A UUID: 8-4-4-4-12 hexadecimal digits.
pub(super) fn uuid(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => *b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

/// Text that stands where a secret would: examples, templates, masks, names of variables.
pub(super) fn placeholder(text: &[u8]) -> bool {
    const WORDS: [&[u8]; 21] = [
        b"example",
        b"changeme",
        b"change_me",
        b"change-me",
        b"placeholder",
        b"redacted",
        b"dummy",
        b"sample",
        b"your_",
        b"your-",
        b"yourtoken",
        b"xxxx",
        b"****",
        b"....",
        b"1234567890abcdef",
        b"00000000",
        b"insert",
        b"replace",
        b"process.env",
        b"environ",
        b"getenv",
    ];
    const MARKS: [&[u8]; 8] = [b"${", b"{{", b"$(", b"%(", b"<", b"[redacted", b"}}", b"#{"];
    let lower: Vec<u8> = text.iter().map(u8::to_ascii_lowercase).collect();
    let has = |needle: &[u8]| lower.windows(needle.len()).any(|w| w == needle);
    WORDS.iter().any(|w| has(w))
        || MARKS.iter().any(|m| has(m))
        || lower.starts_with(b"$")
        || stand_in(text)
}

/// A bare word that people write where the password goes (`user:password@host`), or one byte
/// repeated.
pub(super) fn stand_in(text: &[u8]) -> bool {
    const WORDS: [&[u8]; 16] = [
        b"password",
        b"passwd",
        b"pass",
        b"pwd",
        b"secret",
        b"token",
        b"apikey",
        b"key",
        b"null",
        b"none",
        b"undefined",
        b"true",
        b"false",
        b"x-oauth-basic",
        b"string",
        b"test",
    ];
    let mut distinct = text.iter();
    let first = distinct.next();
    let repeated = first.is_some_and(|f| distinct.all(|b| b == f));
    repeated || WORDS.iter().any(|w| text.eq_ignore_ascii_case(w))
}

/// Names rather than random text: every part between separators is one short word or one number
/// (`my-token-name-2`, `projects/acme/secrets/web-1`, `config.auth.token2`).
pub(super) fn identifier(text: &[u8]) -> bool {
    text.split(|&b| !is(b, ALNUM)).all(|word| {
        let digits = word.iter().filter(|&&b| is(b, DIGIT)).count();
        let tail = word.iter().rev().take_while(|&&b| is(b, DIGIT)).count();
        let upper = word.iter().skip(1).filter(|&&b| is(b, UPPER)).count();
        digits == word.len()
            || (digits == tail
                && tail <= 3
                && word.len() <= 20
                && (upper * 5 <= word.len() || upper + 1 + digits == word.len()))
    })
}

/// A name in source code: words, in capitals or joined by underscores or capitals, make up most
/// of it (`X509HardwareKeyUsageFlags`, `generate_private_key_25519`).
pub(super) fn code_name(text: &[u8]) -> bool {
    let joined = text.contains(&b'_')
        || (text.iter().any(|&b| is(b, UPPER)) && text.iter().any(|&b| is(b, LOWER)));
    if !joined || !text.iter().all(|&b| is(b, ALNUM) || b == b'_') {
        return false;
    }
    // Words of four letters: in random text of 24 characters they make up two thirds of the
    // letters once in a hundred times.
    let mut in_words = 0;
    let mut letters = 0;
    let mut word = 0;
    let mut previous = 0;
    let mut close = |word: &mut usize| {
        if *word >= 4 {
            in_words += *word;
        }
        letters += *word;
        *word = 0;
    };
    for &b in text {
        let hump = is(b, UPPER) && !is(previous, UPPER);
        let fall = is(b, LOWER) && is(previous, UPPER) && word > 1;
        if hump || fall || !is(b, UPPER | LOWER) {
            close(&mut word);
        }
        word += usize::from(is(b, UPPER | LOWER));
        previous = b;
    }
    close(&mut word);
    in_words * 20 >= letters * 13
}
