//! A document for tests of the engine, complete and small.

use serde_json::{Value, json};

/// Best effort, one provider with remote keys, one GitHub connection, nothing denied.
pub fn document() -> Value {
    json!({
        "version": "v1",
        "identity": {"providers": [{
            "name": "corporate",
            "issuer": "https://idp.example.com/",
            "audiences": ["countersign"],
            "jwks": {"remote": {"cluster": "idp", "path": "/jwks"}},
        }]},
        "connections": [{
            "name": "github-api", "hosts": ["api.github.com"], "protocol": "github",
            "credential": {"secret": "github", "scheme": "bearer"},
        }],
        "secrets": {"github": {"env": "GITHUB_TOKEN"}},
        "default": "allow",
        "approval_service": {"cluster": "console"},
        "audit": {"sink": {"cluster": "console"}, "delivery": "best_effort"},
    })
}
