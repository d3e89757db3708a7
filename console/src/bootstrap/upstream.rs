//! `--upstream github`: the three clusters go to GitHub itself, over TLS that is checked.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::edits::{Address, at, endpoint, named};
use crate::failure::Failure;

const CLUSTERS: [(&str, &str); 3] = [
    ("github-api", "api.github.com"),
    ("github-git", "github.com"),
    ("copilot", "api.githubcopilot.com"),
];

/// Where systems keep their certificate authorities.
const SYSTEM_CA: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Sends each cluster to its host, with SNI and a certificate of that very name from a trusted
/// authority.
pub(super) fn to_github(bootstrap: &mut Value, ca: Option<&Path>) -> Result<(), Failure> {
    let ca = trusted(ca)?;
    for (name, host) in CLUSTERS {
        let cluster = named(bootstrap, "clusters", "cluster", name)?;
        let address = Address {
            host: host.to_owned(),
            port: 443,
        };
        endpoint(cluster, name, &address);
        *at(cluster, &["dns_lookup_family"]) = Value::from("V4_PREFERRED");
        *at(cluster, &["transport_socket"]) = json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "sni": host,
                "common_tls_context": {
                    "validation_context": {
                        "trusted_ca": {"filename": ca},
                        "match_typed_subject_alt_names": [
                            {"san_type": "DNS", "matcher": {"exact": host}},
                        ],
                    },
                },
            },
        });
    }
    Ok(())
}

fn trusted(ca: Option<&Path>) -> Result<PathBuf, Failure> {
    match ca {
        Some(file) if file.is_file() => Ok(file.to_owned()),
        Some(file) => Err(Failure::new(
            format!("there is no file {}", file.display()),
            "Give a PEM file with --upstream-ca FILE.",
        )),
        None => SYSTEM_CA
            .iter()
            .map(PathBuf::from)
            .find(|file| file.is_file())
            .ok_or_else(|| {
                Failure::new(
                    "this system's certificate authorities were not found",
                    "Install the package ca-certificates, or give a PEM file with --upstream-ca FILE.",
                )
            }),
    }
}
