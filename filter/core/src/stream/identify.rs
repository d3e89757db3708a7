//! From a token to an identity.

use std::sync::Arc;

use super::{Caller, Phase, Stream};
use crate::effect::Now;
use crate::identity::{self, ExtractFault, Extracted, Identity, TokenFault};
use crate::reason::Reason;
use crate::worker::{KeyState, Worker};

impl Stream {
    /// Verifies the caller's token, or waits for the keys to do so.
    pub(super) fn identify(&mut self, worker: &mut Worker, now: Now) {
        let values = |name: &str| self.head.headers.all(name).map(<[u8]>::to_vec).collect();
        let extracted = match identity::extract(&values, &self.policy.token_locations) {
            Ok(extracted) => extracted,
            Err(fault) => {
                let reason = match fault {
                    ExtractFault::Missing => Reason::TokenMissing,
                    ExtractFault::Malformed(_) => Reason::TokenInvalid,
                    ExtractFault::SeveralValues | ExtractFault::SeveralTokens => {
                        Reason::TokenAmbiguous
                    }
                };
                return self.refuse(worker, reason, fault.code(), now);
            }
        };
        let known = worker.verified_identity(&extracted.token, now);
        let identity = match known {
            Some(identity) => identity,
            None => match self.verify(worker, &extracted, now) {
                Verified::Yes(identity) => identity,
                Verified::Wait => return,
                Verified::No(reason, detail) => return self.refuse(worker, reason, detail, now),
            },
        };
        let revoked = &self.policy.revoked;
        let cut_off = revoked.subjects.contains(&identity.subject)
            || identity
                .token_id
                .as_ref()
                .is_some_and(|id| revoked.token_ids.contains(id));
        self.caller = Some(Caller {
            identity,
            headers: extracted.headers,
        });
        if cut_off {
            return self.refuse(worker, Reason::IdentityRevoked, "", now);
        }
        self.phase = Phase::Collect;
    }

    fn verify(&mut self, worker: &mut Worker, extracted: &Extracted, now: Now) -> Verified {
        let token = extracted.token.as_slice();
        let issuer = match identity::unverified_issuer(token) {
            Ok(issuer) => issuer,
            Err(fault) => return Verified::No(Reason::TokenInvalid, fault.code()),
        };
        let provider = self
            .policy
            .providers
            .iter()
            .position(|p| p.config.issuer == issuer);
        let Some((index, provider)) =
            provider.and_then(|i| Some((i, self.policy.providers.get(i)?)))
        else {
            return Verified::No(Reason::TokenInvalid, TokenFault::Issuer.code());
        };
        let KeyState::Ready(keys) = worker.keys(index) else {
            return match worker.await_keys(index, false, self.id, now) {
                true => Verified::Wait,
                false => Verified::No(Reason::KeysUnavailable, ""),
            };
        };
        match identity::verify(token, &provider.config, &keys, now.seconds()) {
            Ok(identity) => {
                let identity = Arc::new(identity);
                worker.remember_verified(index, token, Arc::clone(&identity), now);
                Verified::Yes(identity)
            }
            // The provider may have a new key: ask once, and not for every made-up key id.
            Err(TokenFault::UnknownKey) if !self.asked_newer_keys => {
                self.asked_newer_keys = true;
                match worker.await_keys(index, true, self.id, now) {
                    true => Verified::Wait,
                    false => Verified::No(Reason::TokenInvalid, TokenFault::UnknownKey.code()),
                }
            }
            Err(fault) => Verified::No(Reason::TokenInvalid, fault.code()),
        }
    }
}

enum Verified {
    Yes(Arc<Identity>),
    Wait,
    No(Reason, &'static str),
}
