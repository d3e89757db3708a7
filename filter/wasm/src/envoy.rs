//! The Envoy this runs in.
//!
//! Before 1.37.6, 1.38.4 and 1.39.1, Envoy could lose a chunk of a request body when a filter
//! resumed it from outside its callbacks, and before 1.35 it does not know
//! `allow_on_headers_stop_iteration` at all. On such an Envoy the filter refuses its configuration.

use proxy_wasm::hostcalls;

/// `(major, minor, patch)`.
pub type Version = (u64, u64, u64);

/// First good patch of each minor version that has bad ones; from 1.40 on all are good.
const FIRST_GOOD: &[Version] = &[(1, 37, 6), (1, 38, 4), (1, 39, 1)];

/// Why this Envoy is not good enough; `None` if it is.
pub fn refusal(version: Option<Version>) -> Option<String> {
    let needed = "Countersign needs Envoy 1.37.6, 1.38.4, 1.39.1 or later";
    let Some((major, minor, patch)) = version else {
        return Some(format!("this Envoy does not tell its version; {needed}"));
    };
    let of_minor = FIRST_GOOD
        .iter()
        .find(|good| (good.0, good.1) == (major, minor));
    let good = match of_minor {
        Some(good) => patch >= good.2,
        None => (major, minor) >= (1, 40),
    };
    (!good).then(|| {
        format!("this is Envoy {major}.{minor}.{patch}, which can lose request bytes on a resume; {needed}")
    })
}

/// The version that Envoy puts into its own node description.
pub fn version() -> Option<Version> {
    let number = |part: &str| {
        let path = vec!["xds", "node", "user_agent_build_version", "version", part];
        // A CEL int64, little endian.
        let bytes = hostcalls::get_property(path).ok()??;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    };
    Some((
        number("major_number")?,
        number("minor_number")?,
        number("patch").unwrap_or(0),
    ))
}
