//! Named reasons: why an exchange did not simply pass, and what its caller is told.
//!
//! One table, matched without `_`: a new reason does not compile until it has its code, its class,
//! its status and its text.

/// Why an exchange was denied, held or could not be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// No token where the policy expects one.
    TokenMissing,
    /// The token is not valid: the detail names the check (`identity::TokenFault::code`).
    TokenInvalid,
    /// Several tokens, or one that two readers could read differently.
    TokenAmbiguous,
    /// The identity is on the policy's revocation list.
    IdentityRevoked,
    /// The key set that the token needs could not be had.
    KeysUnavailable,
    /// No connection of the policy has this host and path.
    ConnectionUnknown,
    /// The path could be read in two ways.
    PathAmbiguous,
    /// A header that decides came twice, or could be read in two ways.
    HeaderAmbiguous,
    /// The body is over the policy's limit.
    BodyTooLarge,
    /// The body has a content encoding that is not read.
    BodyEncoding,
    /// The body could not be parsed, so the operation is not known.
    BodyUnreadable,
    /// The caller wants another protocol (WebSocket), which would pass unjudged.
    UpgradeRefused,
    /// The connection does not take this method.
    MethodRefused,
    /// A write that no operation table knows.
    UnknownWrite,
    /// A read that no operation table knows, and the policy does not let those through.
    UnknownRead,
    /// A rule of the policy denies it.
    RuleDenied,
    /// No rule matched, and the default is to deny.
    DefaultDenied,
    /// The request holds a secret, and the policy refuses such requests.
    SecretInRequest,
    /// A person refused it.
    ApprovalRefused,
    /// Nobody has answered yet; the ticket is open.
    ApprovalPending,
    /// A later copy of the same request waits for the answer.
    ApprovalSuperseded,
    /// The gateway has taken another policy while the request was held.
    PolicyChanged,
    /// Too many requests of this identity already wait for a person.
    ApprovalLimit,
    /// The approval service could not be asked.
    ApprovalUnavailable,
    /// The record could not be written, and delivery is strict.
    AuditUnavailable,
    /// The answer came in a form that can not be masked.
    ResponseEncoding,
    /// A person has to see the answer first, and it is too large or in a form that is not read.
    AnswerUnreadable,
    /// Envoy does not deliver bodies to a paused filter (`allow_on_headers_stop_iteration`).
    HeaderPauseMissing,
    /// A call to the host failed.
    HostFault,
}

/// The three outcomes, less "allowed".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Decided: no.
    Denied,
    /// Not decided: something needed could not be read or asked.
    Undecided,
    /// Waiting for a person.
    Waiting,
}

impl Reason {
    /// Every reason, for tables and tests.
    pub const ALL: &'static [Reason] = &[
        Reason::TokenMissing,
        Reason::TokenInvalid,
        Reason::TokenAmbiguous,
        Reason::IdentityRevoked,
        Reason::KeysUnavailable,
        Reason::ConnectionUnknown,
        Reason::PathAmbiguous,
        Reason::HeaderAmbiguous,
        Reason::BodyTooLarge,
        Reason::BodyEncoding,
        Reason::BodyUnreadable,
        Reason::UpgradeRefused,
        Reason::MethodRefused,
        Reason::UnknownWrite,
        Reason::UnknownRead,
        Reason::RuleDenied,
        Reason::DefaultDenied,
        Reason::SecretInRequest,
        Reason::ApprovalRefused,
        Reason::ApprovalPending,
        Reason::ApprovalSuperseded,
        Reason::PolicyChanged,
        Reason::ApprovalLimit,
        Reason::ApprovalUnavailable,
        Reason::AuditUnavailable,
        Reason::ResponseEncoding,
        Reason::AnswerUnreadable,
        Reason::HeaderPauseMissing,
        Reason::HostFault,
    ];

    /// Stable name in records, metrics and denial bodies.
    pub fn code(self) -> &'static str {
        match self {
            Reason::TokenMissing => "token_missing",
            Reason::TokenInvalid => "token_invalid",
            Reason::TokenAmbiguous => "token_ambiguous",
            Reason::IdentityRevoked => "identity_revoked",
            Reason::KeysUnavailable => "keys_unavailable",
            Reason::ConnectionUnknown => "connection_unknown",
            Reason::PathAmbiguous => "path_ambiguous",
            Reason::HeaderAmbiguous => "header_ambiguous",
            Reason::BodyTooLarge => "body_too_large",
            Reason::BodyEncoding => "body_encoding",
            Reason::BodyUnreadable => "body_unreadable",
            Reason::UpgradeRefused => "upgrade_refused",
            Reason::MethodRefused => "method_refused",
            Reason::UnknownWrite => "unknown_write",
            Reason::UnknownRead => "unknown_read",
            Reason::RuleDenied => "rule_denied",
            Reason::DefaultDenied => "default_denied",
            Reason::SecretInRequest => "secret_in_request",
            Reason::ApprovalRefused => "approval_refused",
            Reason::ApprovalPending => "approval_pending",
            Reason::ApprovalSuperseded => "approval_superseded",
            Reason::PolicyChanged => "policy_changed",
            Reason::ApprovalLimit => "approval_limit",
            Reason::ApprovalUnavailable => "approval_unavailable",
            Reason::AuditUnavailable => "audit_unavailable",
            Reason::ResponseEncoding => "response_encoding",
            Reason::AnswerUnreadable => "answer_unreadable",
            Reason::HeaderPauseMissing => "header_pause_missing",
            Reason::HostFault => "host_fault",
        }
    }

    /// Decided against, or not decided.
    pub fn class(self) -> Class {
        match self {
            Reason::TokenMissing
            | Reason::TokenInvalid
            | Reason::TokenAmbiguous
            | Reason::IdentityRevoked
            | Reason::ConnectionUnknown
            | Reason::UpgradeRefused
            | Reason::MethodRefused
            | Reason::UnknownWrite
            | Reason::UnknownRead
            | Reason::RuleDenied
            | Reason::DefaultDenied
            | Reason::SecretInRequest
            | Reason::ApprovalRefused
            | Reason::ApprovalSuperseded
            | Reason::PolicyChanged
            | Reason::ApprovalLimit => Class::Denied,
            Reason::ApprovalPending => Class::Waiting,
            Reason::KeysUnavailable
            | Reason::PathAmbiguous
            | Reason::HeaderAmbiguous
            | Reason::BodyTooLarge
            | Reason::BodyEncoding
            | Reason::BodyUnreadable
            | Reason::ApprovalUnavailable
            | Reason::AuditUnavailable
            | Reason::ResponseEncoding
            | Reason::AnswerUnreadable
            | Reason::HeaderPauseMissing
            | Reason::HostFault => Class::Undecided,
        }
    }

    /// HTTP status for callers of plain REST; other protocols map it further (`denial`).
    pub fn status(self) -> u16 {
        match self {
            Reason::TokenMissing | Reason::TokenInvalid | Reason::TokenAmbiguous => 401,
            Reason::IdentityRevoked
            | Reason::UnknownWrite
            | Reason::UnknownRead
            | Reason::RuleDenied
            | Reason::DefaultDenied
            | Reason::SecretInRequest
            | Reason::ApprovalRefused
            | Reason::ApprovalPending
            | Reason::ApprovalSuperseded
            | Reason::PolicyChanged
            | Reason::ApprovalLimit
            | Reason::UpgradeRefused
            | Reason::MethodRefused => 403,
            Reason::ConnectionUnknown => 404,
            Reason::PathAmbiguous | Reason::HeaderAmbiguous | Reason::BodyUnreadable => 400,
            Reason::BodyTooLarge => 413,
            Reason::BodyEncoding => 415,
            Reason::ResponseEncoding | Reason::AnswerUnreadable => 502,
            Reason::KeysUnavailable | Reason::ApprovalUnavailable | Reason::AuditUnavailable => 503,
            Reason::HeaderPauseMissing | Reason::HostFault => 500,
        }
    }

    /// Whether the same request, sent again, can pass.
    pub fn retry(self) -> bool {
        match self {
            Reason::KeysUnavailable
            | Reason::ApprovalPending
            | Reason::PolicyChanged
            | Reason::ApprovalLimit
            | Reason::ApprovalUnavailable
            | Reason::AuditUnavailable => true,
            Reason::TokenMissing
            | Reason::TokenInvalid
            | Reason::TokenAmbiguous
            | Reason::IdentityRevoked
            | Reason::ConnectionUnknown
            | Reason::PathAmbiguous
            | Reason::HeaderAmbiguous
            | Reason::BodyTooLarge
            | Reason::BodyEncoding
            | Reason::BodyUnreadable
            | Reason::UpgradeRefused
            | Reason::MethodRefused
            | Reason::UnknownWrite
            | Reason::UnknownRead
            | Reason::RuleDenied
            | Reason::DefaultDenied
            | Reason::SecretInRequest
            | Reason::ApprovalRefused
            | Reason::ApprovalSuperseded
            | Reason::ResponseEncoding
            | Reason::AnswerUnreadable
            | Reason::HeaderPauseMissing
            | Reason::HostFault => false,
        }
    }

    /// What the caller reads when the rule gives no text of its own.
    pub fn text(self) -> &'static str {
        match self {
            Reason::TokenMissing => {
                "No identity token was sent. Sign in and send it as a bearer token."
            }
            Reason::TokenInvalid => "The identity token was refused.",
            Reason::TokenAmbiguous => "More than one identity token was sent.",
            Reason::IdentityRevoked => "This identity has been cut off by the policy.",
            Reason::KeysUnavailable => "The identity provider's keys are not available right now.",
            Reason::ConnectionUnknown => "The policy has no connection for this host and path.",
            Reason::PathAmbiguous => {
                "The path can be read in more than one way; send it in its plain form."
            }
            Reason::HeaderAmbiguous => {
                "A header that decides was sent twice or in an unclear form."
            }
            Reason::BodyTooLarge => "The body is larger than the policy lets the gateway judge.",
            Reason::BodyEncoding => "The body is encoded in a way the gateway does not read.",
            Reason::BodyUnreadable => "The body could not be read as what it claims to be.",
            Reason::UpgradeRefused => "Protocol upgrades are not let through; use plain HTTP.",
            Reason::MethodRefused => "The policy does not let this method through to this system.",
            Reason::UnknownWrite => "This write is not in the gateway's table of known operations.",
            Reason::UnknownRead => "This read is not in the gateway's table of known operations.",
            Reason::RuleDenied => "The policy denies this.",
            Reason::DefaultDenied => "No rule of the policy allows this.",
            Reason::SecretInRequest => "The request holds a secret.",
            Reason::ApprovalRefused => "A reviewer refused this.",
            Reason::ApprovalPending => {
                "This needs a reviewer's approval, and nobody has answered yet."
            }
            Reason::ApprovalSuperseded => {
                "A newer copy of this request is waiting for the reviewer."
            }
            Reason::PolicyChanged => {
                "The gateway's policy has changed while this waited for a reviewer. Send it again."
            }
            Reason::ApprovalLimit => {
                "Too many of your requests already wait for a reviewer. Wait until some are decided."
            }
            Reason::ApprovalUnavailable => "The approval service could not be reached.",
            Reason::AuditUnavailable => {
                "The audit record could not be written, so nothing was sent."
            }
            Reason::ResponseEncoding => "The answer came in an encoding that can not be masked.",
            Reason::AnswerUnreadable => {
                "A reviewer has to see this answer first, and it is too large or can not be read."
            }
            Reason::HeaderPauseMissing => {
                "The gateway's Envoy does not hand bodies to a waiting filter; its operator must set \
                 allow_on_headers_stop_iteration."
            }
            Reason::HostFault => "The gateway met a fault of its own and let nothing through.",
        }
    }
}
