//! How a body is to be read.

/// How a body is to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// One JSON value.
    Json,
    /// Server-sent events.
    EventStream,
    /// JSON values, one a line.
    Ndjson,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `multipart/…`: parts of their own types.
    Multipart,
    /// Anything that is text, or that nothing better is known about.
    Text,
    /// Passed on untouched.
    Binary,
}

/// Media types that are passed on untouched: types and whole classes of types.
const BINARY: &[&str] = &[
    "image/",
    "audio/",
    "video/",
    "font/",
    "model/",
    "application/octet-stream",
    "application/zip",
    "application/gzip",
    "application/x-gzip",
    "application/zstd",
    "application/x-tar",
    "application/x-bzip2",
    "application/x-xz",
    "application/x-7z-compressed",
    "application/java-archive",
    "application/pdf",
    "application/wasm",
    "application/protobuf",
    "application/x-protobuf",
    "application/grpc",
    "application/vnd.google.protobuf",
    "application/x-git-",
    "application/vnd.oci.image.layer",
    "application/vnd.docker.image.rootfs",
    "application/msword",
    "application/vnd.ms-",
    "application/vnd.openxmlformats-",
];

impl Format {
    /// The format of a media type, with or without parameters. An unknown or missing one is text:
    /// what is searched in vain does no harm.
    #[must_use]
    pub fn of_content_type(content_type: &str) -> Self {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let essence = essence.to_ascii_lowercase();
        match essence.as_str() {
            "application/json" | "text/json" => return Self::Json,
            "text/event-stream" => return Self::EventStream,
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonlines"
            | "application/jsonlines"
            | "application/json-seq" => {
                return Self::Ndjson;
            }
            "application/x-www-form-urlencoded" => return Self::Form,
            "image/svg+xml" => return Self::Text,
            _ => {}
        }
        if essence.starts_with("multipart/") {
            Self::Multipart
        } else if essence.ends_with("+json") {
            Self::Json
        } else if BINARY.iter().any(|prefix| essence.starts_with(prefix)) {
            Self::Binary
        } else {
            Self::Text
        }
    }
}

/// Media types that an operator reads in another way than the built-in list: whole ones (`application/pdf`) or classes
/// (`image/`).
#[derive(Clone, Debug, Default)]
pub struct MediaTypes {
    /// Searched as text.
    pub text: Vec<String>,
    /// Passed on untouched.
    pub binary: Vec<String>,
}

impl MediaTypes {
    /// The format of a media type; what the operator says comes first, and text before binary.
    #[must_use]
    pub fn format(&self, content_type: &str) -> Format {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let essence = essence.to_ascii_lowercase();
        let fits = |list: &[String]| {
            list.iter().any(|entry| match entry.ends_with('/') {
                true => essence.starts_with(entry.as_str()),
                false => essence == *entry,
            })
        };
        match Format::of_content_type(content_type) {
            Format::Binary if fits(&self.text) => Format::Text,
            Format::Binary => Format::Binary,
            _ if fits(&self.binary) && !fits(&self.text) => Format::Binary,
            format => format,
        }
    }
}
