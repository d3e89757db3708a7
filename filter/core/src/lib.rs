//! Countersign's pure engine: who calls, what it does, whether it may, and what remains of it.
//!
//! No host calls, no clock, no I/O. Whatever the engine needs is an argument, whatever it wants is a
//! value: `filter/wasm` runs it inside Envoy, the console runs the same code for `check`, and tests
//! run it natively. There is no host trait and nothing to mock.
//!
//! # One exchange, and where each step lives
//! ```text
//!            Envoy callback                                            module
//!  on_configure          JSON or Struct ──▶ Policy                     config ─▶ policy
//!  request headers       connection by host and path                   policy
//!                        one reading of the path                       path
//!                        token ─▶ identity                             identity   (keys: worker::keys)
//!  request body          head + body ─▶ operations                     protocol ─▶ operation
//!                        operations × rules ─▶ verdict                 policy::rules
//!                        secrets in the body masked                    mask
//!                        the live request held, a person asked         approval ─▶ ext_authz (stream::hold)
//!                        request record durable                        record     (worker::queue)
//!                        credential put in, request let go             stream::forward
//!                        … or refused in the caller's own protocol     reason ─▶ denial
//!  response              masked and captured as it streams             mask       (stream::response)
//!                        … or held until a person has seen it          approval   (stream::answer_hold)
//!  log                   outcome record, access-log line               record     (stream::account)
//! ```
//! [`stream::Stream`] is that life as a state machine, one per HTTP stream. [`worker::Worker`] is
//! what the streams of one Envoy worker share. Both answer every callback with [`effect`]s.
//!
//! # Rules of the house
//! - Three outcomes, never two: allowed, denied, *could not decide*. The third has its own
//!   [`reason::Reason`]s and its own answer in the policy; "no" unless it says otherwise.
//! - One way out: a refusal is made in `stream::forward` and nowhere else.
//! - Nothing of a request goes upstream before its verdict, and nothing of it changes afterwards.
//! - Time and randomness are arguments. Header values are bytes. No panic paths: a panic would trap
//!   the VM and end every stream of its worker.
//!
//! # To add a check
//! A field in `config`, its compiled form in `policy`, its module, its call in `stream`, its reason
//! in [`reason`] (which does not compile until status, text and class are there), a scenario in
//! `testdata/scenarios`, and an example.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod approval;
pub mod config;
pub mod denial;
pub mod effect;
pub mod ext_authz;
pub mod head;
pub mod identity;
pub mod json;
pub mod mask;
pub mod operation;
pub mod path;
pub mod patience;
pub mod policy;
pub mod protocol;
pub mod reason;
pub mod record;
pub mod stream;
pub mod worker;

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
