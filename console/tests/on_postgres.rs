//! The tests of the console again, over PostgreSQL.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // These are tests.
// Each of them brings what they share.
#![allow(clippy::duplicate_mod)]

#[path = "approval_steps.rs"]
mod approval_steps;
#[path = "approvals.rs"]
mod approvals;
#[path = "export.rs"]
mod export;
#[path = "intake.rs"]
mod intake;
#[path = "ledger_attacks.rs"]
mod ledger_attacks;
#[path = "ledger_keeping.rs"]
mod ledger_keeping;
#[path = "ledger_proofs.rs"]
mod ledger_proofs;
#[path = "pages.rs"]
mod pages;
#[path = "replay.rs"]
mod replay;
#[path = "scheduled.rs"]
mod scheduled;
#[path = "search.rs"]
mod search;
