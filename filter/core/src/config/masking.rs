//! `masking`: which secrets are masked, in which direction, and what stands in their place.

use std::rc::Rc;

use super::decode::{Node, Object};
use super::services::Secrets;
use super::shape::{Shape, Takes, may, must};
use crate::mask::{CustomRule, MaskConfig, MaskPath, MaskSet, MediaTypes, Replacement};
use crate::policy::{Globs, Masking, Spared};

pub static MASKING: Shape = Shape {
    name: "masking",
    about: "Secrets that are masked.",
    fields: &[
        may(
            "request",
            Takes::Object(&MASK_REQUEST),
            "In prompts and writes.",
        ),
        may("response", Takes::Object(&MASK_RESPONSE), "In answers."),
        may(
            "custom",
            Takes::List(&Takes::Object(&CUSTOM)),
            "Expressions of your own, masked where rules are named.",
        ),
        may(
            "without",
            Takes::List(&Takes::Text),
            "Built-in rules that are left out of `default`.",
        ),
        may(
            "allow",
            Takes::Object(&ALLOW),
            "What is not masked although a rule finds it.",
        ),
        may(
            "replacement",
            Takes::Object(&REPLACEMENT),
            "What stands in the place of a secret; its kind unless said otherwise.",
        ),
        may(
            "types",
            Takes::Object(&TYPES),
            "Media types that are read in another way than the built-in list says.",
        ),
        may(
            "over_limit",
            Takes::Choice(&["mask", "refuse"]),
            "A body that passes a limit of the masker: masked with less context, unless said otherwise.",
        ),
    ],
};

static MASK_REQUEST: Shape = Shape {
    name: "mask_request",
    about: "What is masked in requests.",
    fields: &[
        must(
            "rules",
            Takes::List(&Takes::Text),
            "Names of masking rules, or `default` for all.",
        ),
        must(
            "action",
            Takes::Choice(&["mask", "deny"]),
            "Mask the secret, or refuse the request.",
        ),
        may(
            "deny",
            Takes::List(&Takes::Text),
            "Rules whose secrets refuse the request even where `action` masks.",
        ),
        may(
            "pushes",
            Takes::Choice(&["mask", "deny"]),
            "A write that adds a secret to a file of a repository: as `action` says, or refused with file and rule.",
        ),
    ],
};

static MASK_RESPONSE: Shape = Shape {
    name: "mask_response",
    about: "What is masked in answers.",
    fields: &[
        must(
            "rules",
            Takes::List(&Takes::Text),
            "Names of masking rules, or `default` for all.",
        ),
        must("action", Takes::Choice(&["mask"]), "Mask the secret."),
    ],
};

static CUSTOM: Shape = Shape {
    name: "mask_custom",
    about: "An expression of your own.",
    fields: &[
        must("id", Takes::Text, "The mask shows it."),
        must("regex", Takes::Text, "What it matches, within a line."),
    ],
};

static ALLOW: Shape = Shape {
    name: "mask_allow",
    about: "What is not masked although a rule finds it.",
    fields: &[
        may(
            "values",
            Takes::List(&Takes::Form("^[0-9a-f]{64}$")),
            "SHA-256 of values that are no secrets.",
        ),
        may(
            "paths",
            Takes::List(&Takes::Text),
            "Request paths, without their query, with * and **.",
        ),
        may(
            "connections",
            Takes::List(&Takes::Text),
            "Names of connections.",
        ),
    ],
};

static REPLACEMENT: Shape = Shape {
    name: "mask_replacement",
    about: "What stands in the place of a secret.",
    fields: &[
        must(
            "with",
            Takes::Choice(&["kind", "hash", "last", "text"]),
            "Its kind; kind and keyed hash, by which equal secrets are known again; kind and last four characters; a text.",
        ),
        may(
            "key",
            Takes::Text,
            "For `hash`: the name of one of `secrets`.",
        ),
        may("text", Takes::Text, "For `text`: the text."),
    ],
};

static TYPES: Shape = Shape {
    name: "mask_types",
    about: "Media types: whole ones, or classes such as `image/`.",
    fields: &[
        may("text", Takes::List(&Takes::Text), "Searched as text."),
        may("binary", Takes::List(&Takes::Text), "Passed on untouched."),
    ],
};

/// Reads `masking`. Without it nothing is masked but the injected credential.
pub fn read(document: &Object, secrets: &Secrets) -> Option<Masking> {
    let none = Rc::new(MaskSet::compile(&MaskConfig::default()).ok()?);
    let Some(section) = document.get("masking").and_then(|n| n.object(&MASKING)) else {
        return Some(Masking {
            request: None,
            deny_request: false,
            denied: Vec::new(),
            deny_pushes: false,
            response: None,
            none,
            spared: Spared::default(),
            types: MediaTypes::default(),
            refuse_over_limit: false,
        });
    };
    let common = Common::read(&section, secrets);
    let mut denied = Vec::new();
    let mut deny_request = false;
    let mut deny_pushes = false;
    let request = section.get("request").and_then(|node| {
        let object = node.object(&MASK_REQUEST)?;
        let deny = [("mask", false), ("deny", true)];
        deny_request = object
            .require("action", "mask, or deny (requests only)")?
            .choice(&deny)?;
        deny_pushes = object
            .get("pushes")
            .and_then(|n| n.choice(&deny))
            .unwrap_or(false);
        denied = denied_rules(&object);
        common.set(&node, &object)
    });
    let response = section.get("response").and_then(|node| {
        let object = node.object(&MASK_RESPONSE)?;
        object.require("action", "mask")?.choice(&[("mask", ())])?;
        common.set(&node, &object)
    });
    Some(Masking {
        request,
        deny_request,
        denied,
        deny_pushes,
        response,
        none,
        spared: spared(&section),
        types: types(&section),
        refuse_over_limit: section
            .get("over_limit")
            .and_then(|n| n.choice(&[("mask", false), ("refuse", true)]))
            .unwrap_or(false),
    })
}

/// What both directions share.
struct Common<'a> {
    config: MaskConfig,
    custom: Vec<Node<'a>>,
    without: Option<Node<'a>>,
    replacement: Option<Node<'a>>,
}

impl<'a> Common<'a> {
    fn read(section: &Object<'a>, secrets: &Secrets) -> Self {
        let (custom, nodes) = custom_rules(section);
        let replacement = section.get("replacement");
        let allow = section.get("allow").and_then(|n| n.object(&ALLOW));
        let allowed = allow
            .and_then(|allow| allow.get("values"))
            .map(|n| n.list())
            .unwrap_or_default();
        Self {
            config: MaskConfig {
                rules: Vec::new(),
                custom,
                without: section.strings("without"),
                allowed: allowed.iter().filter_map(digest).collect(),
                replacement: replacement
                    .as_ref()
                    .and_then(|node| self::replacement(node, secrets))
                    .unwrap_or_default(),
            },
            custom: nodes,
            without: section.get("without"),
            replacement,
        }
    }

    /// The rules of one direction, compiled.
    fn set(&self, node: &Node<'a>, object: &Object<'a>) -> Option<Rc<MaskSet>> {
        let rules = object
            .require("rules", "names of masking rules, or `default` for all")?
            .strings();
        let config = MaskConfig {
            rules,
            ..self.config.clone()
        };
        match MaskSet::compile(&config) {
            Ok(set) => Some(Rc::new(set)),
            Err(faults) => {
                for (place, message) in faults {
                    let at = match place {
                        MaskPath::Custom(index) => self.custom.get(index),
                        MaskPath::Without(_) => self.without.as_ref(),
                        MaskPath::Replacement => self.replacement.as_ref(),
                        MaskPath::Rule(_) => None,
                    };
                    at.unwrap_or(node).fault(message);
                }
                None
            }
        }
    }
}

fn custom_rules<'a>(section: &Object<'a>) -> (Vec<CustomRule>, Vec<Node<'a>>) {
    let mut rules = Vec::new();
    let mut nodes = Vec::new();
    for node in section.get("custom").map(|n| n.list()).unwrap_or_default() {
        let Some(object) = node.object(&CUSTOM) else {
            continue;
        };
        let id = object
            .require("id", "the mask shows it")
            .and_then(|n| n.string());
        let regex = object
            .require("regex", "what it matches")
            .and_then(|n| n.string());
        if let (Some(id), Some(regex)) = (id, regex) {
            rules.push(CustomRule { id, regex });
            nodes.push(node);
        }
    }
    (rules, nodes)
}

/// Rules that refuse; each has to be one that there is.
fn denied_rules(object: &Object) -> Vec<String> {
    let ids = object.strings("deny");
    for id in &ids {
        let known = id == "default" || MaskSet::built_in().any(|(rule, _)| rule == id);
        if let (false, Some(node)) = (known, object.get("deny")) {
            node.fault(format!(
                "unknown masking rule {id:?}; `countersign rules list` shows them, and `default` stands for all"
            ));
        }
    }
    ids
}

fn digest(node: &Node) -> Option<[u8; 32]> {
    let text = node.string()?;
    let mut bytes = [0; 32];
    let whole = text.len() == 64;
    for (place, slot) in bytes.iter_mut().enumerate() {
        let pair = text.get(place * 2..place * 2 + 2);
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) if whole => *slot = byte,
            _ => {
                node.fault(
                    "this is no SHA-256: 64 hexadecimal digits (printf %s VALUE | sha256sum)",
                );
                return None;
            }
        }
    }
    Some(bytes)
}

fn replacement(node: &Node, secrets: &Secrets) -> Option<Replacement> {
    let object = node.object(&REPLACEMENT)?;
    let with = object
        .require("with", "kind, hash, last or text")?
        .choice(&[("kind", 0), ("hash", 1), ("last", 2), ("text", 3)])?;
    let text = object.get("text").map(|node| node.string());
    let named = object.get("key").map(|node| secrets.named(&node));
    match with {
        1 => {
            object.require(
                "key",
                "the name of one of `secrets`: without it a hash can be guessed",
            )?;
            let secret = named??;
            Some(Replacement::Hash {
                key: secret.expose().as_bytes().to_vec(),
            })
        }
        2 => Some(Replacement::KeepLast),
        3 => {
            object.require("text", "what stands in the place of a secret")?;
            text?.map(Replacement::Fixed)
        }
        _ => Some(Replacement::Kind),
    }
}

fn spared(section: &Object) -> Spared {
    let mut spared = Spared::default();
    let Some(allow) = section.get("allow").and_then(|n| n.object(&ALLOW)) else {
        return spared;
    };
    let mut paths = Globs::default();
    for node in allow.get("paths").map(|n| n.list()).unwrap_or_default() {
        if let Some(Err(fault)) = node.string().map(|pattern| paths.push(&pattern)) {
            node.fault(fault);
        }
    }
    if paths.is_negative() {
        allow.fault("`paths` says what is not masked: at least one pattern without `!`");
    }
    spared.paths = paths;
    spared.connections = allow.strings("connections");
    spared
}

fn types(section: &Object) -> MediaTypes {
    let Some(types) = section.get("types").and_then(|n| n.object(&TYPES)) else {
        return MediaTypes::default();
    };
    let list = |key: &str| {
        let mut list = types.strings(key);
        list.iter_mut()
            .for_each(|entry| entry.make_ascii_lowercase());
        list
    };
    MediaTypes {
        text: list("text"),
        binary: list("binary"),
    }
}
