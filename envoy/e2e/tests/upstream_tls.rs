//! `--upstream github`: the same configuration with GitHub's own names behind TLS. The simulated
//! upstream stands in GitHub's place, with a certificate for those names.

use std::fs;
use std::path::Path;

use anyhow::Result;
use countersign_e2e::curl::Curl;
use countersign_e2e::stack::{Stack, StackOptions, UpstreamTls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

const GITHUB: [&str; 3] = ["api.github.com", "github.com", "api.githubcopilot.com"];

fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

/// An upstream with a certificate for `names`, and an Envoy that trusts `trusted`.
fn stack(
    folder: &Path,
    names: &[&str],
    issuer: &CertifiedIssuer<KeyPair>,
    trusted: &CertifiedIssuer<KeyPair>,
) -> Result<Stack> {
    let key = KeyPair::generate()?;
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names)?.signed_by(&key, issuer)?;
    let tls = UpstreamTls {
        certificate: folder.join("upstream.pem"),
        key: folder.join("upstream.key"),
        trusted: folder.join("trusted.pem"),
    };
    fs::write(&tls.certificate, certificate.pem())?;
    fs::write(&tls.key, key.serialize_pem())?;
    fs::write(&tls.trusted, trusted.pem())?;
    Stack::start_with(&StackOptions {
        upstream_tls: Some(tls),
        ..StackOptions::default()
    })
}

fn call(stack: &Stack, path: &str) -> Result<u16> {
    let token = stack.token("agent-tls", &[])?;
    let url = format!("{}{path}", stack.gateway());
    Ok(Curl::get(&url).bearer(&token).run()?.status)
}

/// Behind the gateway's back, and without a look at the certificate.
fn seen(stack: &Stack) -> Result<String> {
    let url = format!("{}/__seen", stack.upstream());
    Ok(Curl::get(&url).option(&["--insecure"]).run()?.text())
}

#[test]
fn a_certificate_of_githubs_names_from_a_trusted_authority_is_spoken_to() -> Result<()> {
    let folder = TempDir::new()?;
    let authority = authority("trusted")?;
    let stack = stack(folder.path(), &GITHUB, &authority, &authority)?;
    assert_eq!(call(&stack, "/api/v3/user")?, 200);
    assert_eq!(
        call(&stack, "/acme/web.git/info/refs?service=git-upload-pack")?,
        200
    );
    assert_eq!(call(&stack, "/copilot/models")?, 200);
    let seen = seen(&stack)?;
    assert!(GITHUB.iter().all(|host| seen.contains(host)), "{seen}");
    Ok(())
}

#[test]
fn a_certificate_of_an_unknown_authority_never_sees_the_credential() -> Result<()> {
    let folder = TempDir::new()?;
    let stack = stack(
        folder.path(),
        &GITHUB,
        &authority("stranger")?,
        &authority("trusted")?,
    )?;
    assert_eq!(call(&stack, "/api/v3/user")?, 503);
    assert!(!seen(&stack)?.contains("/user"));
    Ok(())
}

#[test]
fn a_trusted_certificate_of_another_name_never_sees_the_credential() -> Result<()> {
    let folder = TempDir::new()?;
    let authority = authority("trusted")?;
    let names = ["github.com", "example.com"];
    let stack = stack(folder.path(), &names, &authority, &authority)?;
    assert_eq!(call(&stack, "/api/v3/user")?, 503);
    assert!(!seen(&stack)?.contains("/user"));
    assert_eq!(
        call(&stack, "/acme/web.git/info/refs?service=git-upload-pack")?,
        200
    );
    Ok(())
}
