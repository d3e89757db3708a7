//! Makes the tables of the masking rules of `mask/rules.toml`: what a token looks like as parts, which classes of bytes
//! there are, and by which three bytes a token can begin. The engine has no pattern to compile at start.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write;

use serde::Deserialize;

pub const SOURCE: &str = "mask/rules.toml";

/// What the search looks at before it asks any rule: at least this many bytes of a token stand in a row.
const RUN_MIN: usize = 8;
/// Bytes of which tokens are made.
const TOKEN_MARKS: &str = "_-./+~=";

#[derive(Deserialize)]
struct File {
    rule: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    about: String,
    #[serde(default, rename = "match")]
    matches: Vec<String>,
    #[serde(default)]
    keys: Vec<String>,
    #[serde(default)]
    value: Vec<String>,
    scan: Option<String>,
    check: Option<String>,
    end: Option<String>,
    behind: Option<String>,
    yes: Vec<String>,
    no: Vec<String>,
}

/// A set of ASCII bytes.
type Set = u128;

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Run {
        class: Set,
        least: usize,
        most: usize,
    },
}

type Fault = Box<dyn Error>;

/// The tables as Rust.
pub fn text(source: &str) -> Result<String, Fault> {
    let file: File = basic_toml::from_str(source).map_err(|e| format!("{SOURCE}: {e}"))?;
    let mut tables = Tables::default();
    for row in &file.rule {
        tables
            .add(row)
            .map_err(|e| format!("{SOURCE}: rule {}: {e}", row.id))?;
    }
    tables.text()
}

#[derive(Default)]
struct Tables {
    ids: BTreeSet<String>,
    rules: String,
    samples: String,
    shapes: Vec<String>,
    values: Vec<String>,
    words: BTreeMap<String, Vec<usize>>,
    services: Vec<String>,
    classes: Vec<Set>,
    /// Shapes by their first three bytes.
    starts: BTreeMap<[u8; 3], Vec<usize>>,
    /// For each of the first bytes of a token and each value of it, which of 64 groups of shapes allow it.
    heads: [BTreeMap<u8, u64>; RUN_MIN],
}

impl Tables {
    fn add(&mut self, row: &Row) -> Result<(), Fault> {
        let plain = |id: &str| {
            id.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        if !plain(&row.id) || row.about.is_empty() {
            return Err("an id of a-z, 0-9 and -, and an `about`".into());
        }
        if !self.ids.insert(row.id.clone()) {
            return Err("the id is there twice".into());
        }
        if row.yes.is_empty() || row.no.is_empty() {
            return Err("examples in `yes` and counter-examples in `no`".into());
        }
        let rule = self.ids.len() - 1;
        let kinds = [
            !row.matches.is_empty(),
            !row.keys.is_empty(),
            row.scan.is_some(),
        ];
        if kinds.iter().filter(|kind| **kind).count() != 1 {
            return Err("exactly one of `match`, `keys` and `scan`".into());
        }
        let check = name(row.check.as_deref().unwrap_or("random"));
        let end = match row.end.as_deref() {
            None | Some("word") => "Word",
            Some("any") => "Any",
            Some(other) => return Err(format!("end = {other:?}: word or any").into()),
        };
        let behind = match row.behind.as_deref() {
            None => false,
            Some("digits-colon") => true,
            Some(other) => return Err(format!("behind = {other:?} is not known").into()),
        };
        for pattern in row.matches.iter().flat_map(|pattern| alternatives(pattern)) {
            let parts = parts(&pattern).map_err(|e| format!("{pattern}: {e}"))?;
            self.starts_of(&parts, self.shapes.len())
                .map_err(|e| format!("{pattern}: {e}"))?;
            let shape = self.shape(rule, &parts, &check, end, behind)?;
            self.shapes.push(shape);
        }
        if !row.keys.is_empty() {
            let first = self.values.len();
            for pattern in row.value.iter().flat_map(|pattern| alternatives(pattern)) {
                let parts = parts(&pattern).map_err(|e| format!("{pattern}: {e}"))?;
                if least(&parts) < 14 {
                    return Err(format!("{pattern}: a value has at least 14 bytes").into());
                }
                let shape = self.shape(rule, &parts, &check, "Any", false)?;
                self.values.push(shape);
            }
            if self.values.len() == first {
                return Err("keys need a `value`".into());
            }
            for word in &row.keys {
                let fits = word.len() >= 3
                    && word
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
                if !fits {
                    return Err(format!("key {word:?}: three letters or digits, or more").into());
                }
                let service = self.services.len();
                self.words.entry(word.clone()).or_default().push(service);
            }
            self.services
                .push(format!("({first}, {})", self.values.len()));
        }
        let scan = row.scan.as_ref().map_or("None".to_owned(), |scan| {
            format!("Some(Scan::{})", name(scan))
        });
        writeln!(
            self.rules,
            "    Rule {{ id: {:?}, about: {:?}, scan: {scan} }},",
            row.id, row.about
        )?;
        writeln!(self.samples, "    (&{:?}, &{:?}),", row.yes, row.no)?;
        Ok(())
    }

    fn class(&mut self, set: Set) -> usize {
        let known = self.classes.iter().position(|&class| class == set);
        known.unwrap_or_else(|| {
            self.classes.push(set);
            self.classes.len() - 1
        })
    }

    fn shape(
        &mut self,
        rule: usize,
        parts: &[Part],
        check: &str,
        end: &str,
        behind: bool,
    ) -> Result<String, Fault> {
        let mut text = String::new();
        for part in parts {
            match part {
                Part::Text(plain) => write!(text, "Part::Text(b{plain:?}), ")?,
                Part::Run { class, least, most } => {
                    let class = self.class(*class);
                    write!(
                        text,
                        "Part::Run {{ class: {class}, least: {least}, most: {most} }}, "
                    )?;
                }
            }
        }
        Ok(format!(
            "Shape {{ rule: {rule}, check: Check::{check}, end: End::{end}, behind: {behind}, parts: &[{text}] }}"
        ))
    }

    /// Notes by which three bytes a shape can begin.
    fn starts_of(&mut self, parts: &[Part], shape: usize) -> Result<(), Fault> {
        let mut sets: Vec<Set> = Vec::new();
        for part in parts {
            match part {
                Part::Text(plain) => sets.extend(plain.bytes().map(|b| 1 << b)),
                Part::Run { class, least, most } => {
                    sets.extend(std::iter::repeat_n(*class, *least));
                    if least != most {
                        break;
                    }
                }
            }
        }
        let token = |set: &Set| {
            members(*set).all(|b| b.is_ascii_alphanumeric() || TOKEN_MARKS.contains(char::from(b)))
        };
        let [first, second, third, ..] = sets.as_slice() else {
            return Err("the first three bytes are not certain".into());
        };
        if sets.len() < RUN_MIN || !sets[..RUN_MIN].iter().all(token) {
            return Err(
                format!("its first {RUN_MIN} bytes are letters, digits or {TOKEN_MARKS}").into(),
            );
        }
        if !members(*first).all(|b| b.is_ascii_alphanumeric()) {
            return Err("it begins with a letter or digit".into());
        }
        for (head, set) in self.heads.iter_mut().zip(&sets) {
            for byte in members(*set) {
                *head.entry(byte).or_default() |= 1 << (shape % 64);
            }
        }
        for a in members(*first) {
            for b in members(*second) {
                for c in members(*third) {
                    self.starts.entry([a, b, c]).or_default().push(shape);
                }
            }
        }
        if self.starts.len() > 6000 {
            return Err("it can begin in too many ways: more plain text at its beginning".into());
        }
        Ok(())
    }

    fn text(&self) -> Result<String, Fault> {
        let mut out = String::new();
        writeln!(
            out,
            "pub(super) static RULES: [Rule; {}] = [\n{}];",
            self.ids.len(),
            self.rules
        )?;
        writeln!(
            out,
            "pub(super) static SAMPLES: [(&[&str], &[&str]); {}] = [\n{}];",
            self.ids.len(),
            self.samples
        )?;
        list(&mut out, "SHAPES", "Shape", &self.shapes)?;
        list(&mut out, "VALUES", "Shape", &self.values)?;
        if self.classes.len() > 64 {
            return Err(format!("{SOURCE}: more than 64 classes of bytes").into());
        }
        let masks: Vec<String> = (0..256u32)
            .map(|b| {
                let mask = (self.classes.iter().enumerate())
                    .filter(|(_, set)| b < 128 && **set >> b & 1 == 1)
                    .fold(0u64, |mask, (class, _)| mask | 1 << class);
                mask.to_string()
            })
            .collect();
        list(&mut out, "MEMBERS", "u64", &masks)?;
        let mut shapes = Vec::new();
        let mut starts = Vec::new();
        let mut bits = vec![0u64; 512];
        for (bytes, found) in &self.starts {
            let key = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
            starts.push(format!("({key}, {}, {})", shapes.len(), found.len()));
            shapes.extend(found.iter().map(usize::to_string));
            let hash = super::hash(*bytes);
            bits[hash / 64] |= 1 << (hash % 64);
        }
        list(&mut out, "STARTS", "(u32, u16, u16)", &starts)?;
        list(&mut out, "START_SHAPES", "u16", &shapes)?;
        let bits: Vec<String> = bits.iter().map(u64::to_string).collect();
        list(&mut out, "START_BITS", "u64", &bits)?;
        let heads: Vec<String> = self
            .heads
            .iter()
            .map(|head| {
                let groups = (0..128u8).map(|b| head.get(&b).copied().unwrap_or(0));
                format!("{:?}", groups.collect::<Vec<u64>>())
            })
            .collect();
        list(&mut out, "HEADS", "[u64; 128]", &heads)?;
        let words: Vec<String> = self
            .words
            .iter()
            .map(|(word, services)| format!("(b{word:?}, &{services:?})"))
            .collect();
        list(&mut out, "WORDS", "(&[u8], &[u16])", &words)?;
        let mut bits = vec![0u64; 512];
        for word in self.words.keys() {
            let bytes = word.as_bytes();
            let hash = super::hash([bytes[0], bytes[1], bytes[2]]);
            bits[hash / 64] |= 1 << (hash % 64);
        }
        let bits: Vec<String> = bits.iter().map(u64::to_string).collect();
        list(&mut out, "WORD_BITS", "u64", &bits)?;
        list(&mut out, "SERVICES", "(u16, u16)", &self.services)?;
        Ok(out)
    }
}

fn list(out: &mut String, name: &str, of: &str, items: &[String]) -> Result<(), Fault> {
    writeln!(
        out,
        "pub(super) static {name}: [{of}; {}] = [\n    {},\n];",
        items.len(),
        items.join(",\n    ")
    )?;
    Ok(())
}

fn members(set: Set) -> impl Iterator<Item = u8> {
    (0..128u8).filter(move |b| set >> b & 1 == 1)
}

/// `crc32` as `Crc32`, `grafana-cloud` as `GrafanaCloud`.
fn name(text: &str) -> String {
    text.split('-')
        .flat_map(|word| {
            let mut letters = word.chars();
            let first = letters.next().map(|c| c.to_ascii_uppercase());
            first.into_iter().chain(letters)
        })
        .collect()
}

/// A pattern without its groups, once for each of their alternatives.
fn alternatives(pattern: &str) -> Vec<String> {
    let Some((before, rest)) = pattern.split_once('(') else {
        return vec![pattern.to_owned()];
    };
    let Some((inside, after)) = rest.split_once(')') else {
        return vec![pattern.to_owned()];
    };
    inside
        .split('|')
        .flat_map(|word| alternatives(&format!("{before}{word}{after}")))
        .collect()
}

/// The fewest bytes that match.
fn least(parts: &[Part]) -> usize {
    parts
        .iter()
        .map(|part| match part {
            Part::Text(plain) => plain.len(),
            Part::Run { least, .. } => *least,
        })
        .sum()
}

fn parts(pattern: &str) -> Result<Vec<Part>, Fault> {
    let mut parts: Vec<Part> = Vec::new();
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        let mut single = None;
        let set = match c {
            '[' => {
                let (inside, after) = rest.split_once(']').ok_or("a class without its ]")?;
                rest = after;
                class(inside)?
            }
            '\\' => {
                let c = rest.chars().next().ok_or("a backslash at the end")?;
                if c.is_ascii_alphanumeric() {
                    return Err("a backslash only before a mark; classes are written out".into());
                }
                rest = &rest[1..];
                single = Some(c);
                1 << u32::from(c)
            }
            '(' | ')' | '|' | '*' | '+' | '?' | '.' | '^' | '$' | '{' | '}' => {
                return Err(format!("{c:?} means nothing here; put a backslash before it").into());
            }
            c if c.is_ascii() => {
                single = Some(c);
                1 << u32::from(c)
            }
            _ => return Err("ASCII only".into()),
        };
        let counted = rest.strip_prefix('{').and_then(|r| r.split_once('}'));
        match (counted, single) {
            (None, Some(c)) => match parts.last_mut() {
                Some(Part::Text(plain)) => plain.push(c),
                _ => parts.push(Part::Text(c.to_string())),
            },
            (None, None) => parts.push(Part::Run {
                class: set,
                least: 1,
                most: 1,
            }),
            (Some((count, after)), _) => {
                rest = after;
                let (least, most) = count.split_once(',').unwrap_or((count, count));
                let (least, most) = (least.parse()?, most.parse()?);
                if least > most || most == 0 || most > 2000 {
                    return Err("a count from 1 to 2000, the smaller number first".into());
                }
                parts.push(Part::Run {
                    class: set,
                    least,
                    most,
                });
            }
        }
    }
    // A run takes all it can get, so what may follow one of no fixed length must be of another class.
    for (place, part) in parts.iter().enumerate() {
        let Part::Run { class, least, most } = part else {
            continue;
        };
        if least == most {
            continue;
        }
        for next in &parts[place + 1..] {
            let (first, certain) = match next {
                Part::Text(plain) => (1 << plain.as_bytes()[0], true),
                Part::Run { class, least, .. } => (*class, *least > 0),
            };
            if first & class != 0 {
                return Err(
                    "a run of no fixed length, and behind it bytes of its own class".into(),
                );
            }
            if certain {
                break;
            }
        }
    }
    Ok(parts)
}

fn class(inside: &str) -> Result<Set, Fault> {
    let bytes = inside.as_bytes();
    let mut set = 0;
    let mut at = 0;
    while at < bytes.len() {
        let from = bytes[at];
        let to = match bytes.get(at + 1..at + 3) {
            Some([b'-', to]) => {
                at += 2;
                *to
            }
            _ => from,
        };
        if from > to || !inside.is_ascii() {
            return Err(format!("[{inside}] is no class").into());
        }
        for b in from..=to {
            set |= 1 << b;
        }
        at += 1;
    }
    Ok(set)
}
