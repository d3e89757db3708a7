//! The masking engine on the command line: `countersign mask` and `countersign rules`.
//!
//! It is the very engine that Envoy runs, so that a security team can see what it makes of a file, and measure it on a
//! corpus of its own ([`measure`]) or on ours ([`corpus`]).

pub mod corpus;
pub mod measure;
pub mod tree;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;

use clap::{Args, Subcommand, ValueEnum};
use countersign_core::mask::{Finding, Format, MaskConfig, MaskSet, StreamMasker};

use crate::cli::print;
use crate::failure::Failure;

/// What `countersign mask` is asked.
#[derive(Args)]
#[command(after_help = "\
Example:
  countersign mask < server.log > clean.log")]
pub struct Mask {
    /// How standard input is to be read
    #[arg(long, value_enum, default_value = "auto")]
    format: Kind,
    /// A rule to use, by its id; all if not given; may be given several times
    #[arg(long = "rule", value_name = "ID")]
    rules: Vec<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// JSON, an event stream or text, as it begins
    Auto,
    Json,
    /// Server-sent events, as models answer
    Sse,
    /// name=value&name=value
    Form,
    /// Parts of their own types, as forms send files
    Multipart,
    Text,
}

/// What `countersign rules` can do.
#[derive(Subcommand)]
pub enum Rules {
    /// List the built-in masking rules
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Measure recall and precision on a labelled file
    ///
    /// Each line of FILE is {"text", "spans": [[start, end]], "kind"}; spans count characters. A span is found
    /// when all of it is masked; a masked stretch is right when it touches a span.
    Test {
        /// The labelled file; - for standard input
        file: PathBuf,
        /// Also print what was missed and what was masked wrongly
        #[arg(long)]
        verbose: bool,
        /// End with 1 if recall is less, such as 0.95
        #[arg(long, value_name = "SHARE")]
        min_recall: Option<f64>,
        /// End with 1 if precision is less, such as 0.96
        #[arg(long, value_name = "SHARE")]
        min_precision: Option<f64>,
    },
    /// Search files and folders, and tell where something was found
    ///
    /// Each find is FILE:LINE: RULE, never the value; the last line has their number and how many they are in a
    /// megabyte of text. Binary files and files over 8 MiB are left out.
    Scan {
        /// What to search
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// Only the last line
        #[arg(long)]
        quiet: bool,
    },
    /// Write a labelled corpus of made-up secrets in all kinds and contexts
    Corpus {
        /// Another corpus for each number
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

/// The rules by their ids, or all of them.
pub(crate) fn set(rules: &[String]) -> Result<Rc<MaskSet>, Failure> {
    let rules = match rules {
        [] => vec!["default".to_owned()],
        some => some.to_vec(),
    };
    let config = MaskConfig {
        rules,
        ..MaskConfig::default()
    };
    MaskSet::compile(&config).map(Rc::new).map_err(|faults| {
        let faults: Vec<String> = faults.into_iter().map(|(_, fault)| fault).collect();
        Failure::new(
            faults.join("; "),
            "`countersign rules list` shows the rules there are.",
        )
    })
}

/// Masks standard input to standard output, piece by piece.
pub fn mask(asked: &Mask) -> Result<ExitCode, Failure> {
    let set = set(&asked.rules)?;
    let unreadable =
        |e: std::io::Error| Failure::plain(format!("standard input cannot be read: {e}"));
    let mut input = std::io::stdin().lock();
    let mut output = std::io::stdout().lock();
    let mut piece = vec![0; 64 * 1024];
    let mut size = input.read(&mut piece).map_err(unreadable)?;
    let format = match asked.format {
        Kind::Auto => guess(piece.get(..size).unwrap_or_default()),
        Kind::Json => Format::Json,
        Kind::Sse => Format::EventStream,
        Kind::Form => Format::Form,
        Kind::Multipart => Format::Multipart,
        Kind::Text => Format::Text,
    };
    let mut masker = StreamMasker::new(set, None, format);
    let mut out = Vec::new();
    loop {
        let last = size == 0;
        if last {
            masker.finish(&mut out);
        } else {
            masker.push(piece.get(..size).unwrap_or_default(), &mut out);
        }
        match output.write_all(&out).and_then(|()| output.flush()) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => break,
            Err(error) => {
                return Err(Failure::plain(format!(
                    "the output cannot be written: {error}"
                )));
            }
            Ok(()) => {}
        }
        if last {
            break;
        }
        out.clear();
        size = input.read(&mut piece).map_err(unreadable)?;
    }
    eprintln!("{}", summary(masker.findings()));
    Ok(ExitCode::SUCCESS)
}

fn summary(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return "nothing masked".to_owned();
    }
    let found: Vec<String> = findings
        .iter()
        .map(|finding| format!("{} {}", finding.count, finding.rule))
        .collect();
    format!("masked: {}", found.join(", "))
}

/// How a text is to be read, by its beginning.
fn guess(text: &[u8]) -> Format {
    let text = text
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(text)
        .trim_ascii_start();
    let events: [&[u8]; 4] = [b"data:", b"event:", b"id:", b"retry:"];
    match text.first() {
        Some(b'{' | b'[' | b'"') => Format::Json,
        _ if events.iter().any(|field| text.starts_with(field)) => Format::EventStream,
        _ => Format::Text,
    }
}

/// Does what `countersign rules` is asked.
pub fn rules(asked: &Rules) -> Result<ExitCode, Failure> {
    match asked {
        Rules::List { json } => {
            if *json {
                let list: Vec<serde_json::Value> = MaskSet::built_in()
                    .map(|(id, about)| serde_json::json!({"id": id, "about": about}))
                    .collect();
                print(&serde_json::to_string_pretty(&list).unwrap_or_default())?;
            } else {
                for (id, about) in MaskSet::built_in() {
                    print(&format!("{id:36} {about}"))?;
                }
            }
        }
        Rules::Test {
            file,
            verbose,
            min_recall,
            min_precision,
        } => {
            let measured = measure::measure(&set(&[])?, &read(file)?)?;
            print(&measured.report(*verbose))?;
            let less = |share: f64, least: &Option<f64>| least.is_some_and(|least| share < least);
            if less(measured.recall(), min_recall) || less(measured.precision(), min_precision) {
                return Ok(ExitCode::FAILURE);
            }
        }
        Rules::Scan { paths, quiet } => {
            let scanned = tree::scan(&set(&[])?, paths, *quiet)?;
            print(&format!(
                "{} found in {} files, {:.1} MB: {:.2} a megabyte",
                scanned.finds,
                scanned.files,
                scanned.bytes as f64 / 1e6,
                scanned.per_megabyte()
            ))?;
        }
        Rules::Corpus { seed } => {
            for line in corpus::lines(*seed)? {
                print(&serde_json::to_string(&line).unwrap_or_default())?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path) -> Result<String, Failure> {
    if file.as_os_str() == "-" {
        let mut text = String::new();
        return match std::io::stdin().read_to_string(&mut text) {
            Ok(_) => Ok(text),
            Err(error) => Err(Failure::plain(format!(
                "standard input cannot be read: {error}"
            ))),
        };
    }
    std::fs::read_to_string(file)
        .map_err(|error| Failure::plain(format!("{} cannot be read: {error}", file.display())))
}
