//! What a person may decide: in his own right, in the place of somebody who is away or has delegated,
//! or alone where the glass may be broken.

use super::decide::Refused;
use super::demand::Count;
use super::{Question, State};
use crate::clock::Millis;
use crate::people::{self, Person};
use crate::settings::{Approvals, BreakGlass};
use crate::store::StoreError;
use crate::store::sql::Connection;

/// A person with all that he may do, as of one moment.
#[derive(Clone, Debug)]
pub struct Authority {
    /// Who.
    pub person: Person,
    /// Whose right he may use as well.
    acts_for: Vec<Person>,
    /// Until when he is away himself.
    away_until: Option<Millis>,
    break_glass: Option<BreakGlass>,
    same_person: Vec<String>,
}

impl Authority {
    /// What `person` may decide at `now`.
    pub fn of(
        c: &Connection,
        now: Millis,
        settings: &Approvals,
        person: Person,
    ) -> Result<Self, StoreError> {
        let is_now = |starts: Option<Millis>, ends: Millis| {
            starts.is_none_or(|starts| starts <= now) && now < ends
        };
        let is = |name: &str| named(name, &person);
        let absent: Vec<_> = settings
            .out_of_office
            .iter()
            .filter(|absence| is_now(absence.starts, absence.ends))
            .collect();
        let delegated = settings
            .delegations
            .iter()
            .filter(|one| is_now(one.starts, one.ends) && one.to.iter().any(|to| is(to)))
            .map(|one| &one.from);
        let instead = absent
            .iter()
            .filter(|one| one.instead.iter().any(|to| is(to)))
            .map(|one| &one.person);
        let mut acts_for: Vec<Person> = Vec::new();
        for name in delegated.chain(instead) {
            if !acts_for.iter().any(|known| named(name, known)) {
                acts_for.push(known_as(c, name)?);
            }
        }
        let away_until = absent
            .iter()
            .filter(|one| is(&one.person))
            .map(|one| one.ends)
            .max();
        Ok(Self {
            acts_for,
            away_until,
            break_glass: settings
                .break_glass
                .clone()
                .filter(|glass| glass.reviewers.name(&person)),
            same_person: settings.same_person.clone(),
            person,
        })
    }

    /// What a vote of his would count for: each consent in his own right, or in the place of
    /// somebody. Who stands in for the requester has nothing of him: he could not approve it either.
    pub fn counts(&self, question: &Question) -> Vec<Count> {
        let mut counts: Vec<Count> = Vec::new();
        let own = (&self.person, None);
        let others = self
            .acts_for
            .iter()
            .filter(|absent| !question.is_asked_by(absent, &self.same_person))
            .map(|absent| (absent, Some(absent.name.clone())));
        for (person, instead_of) in std::iter::once(own).chain(others) {
            for (demand, consent) in question.places_of(person) {
                if !counts
                    .iter()
                    .any(|c| (c.demand, c.consent) == (demand, consent))
                {
                    counts.push(Count {
                        demand,
                        consent,
                        instead_of: instead_of.clone(),
                    });
                }
            }
        }
        counts.sort();
        counts
    }

    /// Whether the request is his to see: as a reviewer, or because he may break the glass.
    pub fn sees(&self, question: &Question) -> bool {
        !self.counts(question).is_empty() || self.glass(question).is_some()
    }

    /// The terms on which he may let the request through alone, if he may.
    pub fn glass(&self, question: &Question) -> Option<&BreakGlass> {
        let demands = question.demands();
        let rules: Vec<&str> = demands.iter().filter_map(|d| d.rule.as_deref()).collect();
        self.break_glass
            .as_ref()
            .filter(|glass| !rules.is_empty() && glass.covers(&rules))
    }

    /// Whether he is the one who asks.
    pub fn asks(&self, question: &Question) -> bool {
        question.is_asked_by(&self.person, &self.same_person)
    }

    /// Why he may not decide now, if so. Breaking the glass needs no right of a reviewer, and is no
    /// way around the four eyes.
    pub fn objection(
        &self,
        question: &Question,
        state: State,
        break_glass: bool,
    ) -> Option<Refused> {
        if state != State::Pending {
            return Some(Refused::Settled(state));
        }
        if self.asks(question) {
            return Some(Refused::OwnRequest);
        }
        if break_glass {
            return match self.glass(question) {
                Some(_) => None,
                None => Some(Refused::NoGlass),
            };
        }
        if let Some(until) = self.away_until {
            return Some(Refused::Away(until));
        }
        if self.counts(question).is_empty() {
            return Some(Refused::NotReviewer(question.reviewers_in_words()));
        }
        None
    }

    /// Whether he is away.
    pub fn is_away(&self) -> bool {
        self.away_until.is_some()
    }
}

/// Whether a name in the settings is this person's name or address.
fn named(name: &str, person: &Person) -> bool {
    let same = |other: &str| name.to_lowercase() == other.to_lowercase();
    same(&person.name) || person.email.as_deref().is_some_and(same)
}

/// Somebody in the settings: with his groups if he has ever signed in, else by his name alone.
fn known_as(c: &Connection, name: &str) -> Result<Person, StoreError> {
    if let Some(person) = people::by_name(c, name)? {
        return Ok(person);
    }
    let by_address = people::list(c)?.into_iter().find(|p| named(name, p));
    Ok(by_address.unwrap_or_else(|| Person {
        name: name.to_owned(),
        ..Person::default()
    }))
}
