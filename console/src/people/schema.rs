//! The tables for people from an identity provider, tokens, votes that say what they count for, and
//! notices that wait to be sent.

/// A step of the database's schema.
pub const SCHEMA: &str = "
ALTER TABLE users ADD COLUMN issuer TEXT;                        -- of people who sign in with OpenID
ALTER TABLE users ADD COLUMN subject TEXT;                       -- what that issuer calls them
ALTER TABLE users ADD COLUMN claims TEXT NOT NULL DEFAULT '{}';  -- JSON, of the last sign-in
ALTER TABLE users ADD COLUMN seen_at INTEGER;                    -- when that was

-- A sign-in that is under way at the identity provider.
CREATE TABLE sign_ins (
    state_hash   TEXT PRIMARY KEY,
    browser_hash TEXT NOT NULL,          -- of the cookie: the same browser has to come back
    nonce        TEXT NOT NULL,
    verifier     TEXT NOT NULL,          -- of PKCE
    next         TEXT NOT NULL,
    ends_at      INTEGER NOT NULL
);

CREATE TABLE api_tokens (
    id         TEXT PRIMARY KEY,
    token_hash TEXT NOT NULL UNIQUE,
    owner      TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    label      TEXT NOT NULL,
    scopes     TEXT NOT NULL,            -- words with blanks between
    made_at    INTEGER NOT NULL,
    ends_at    INTEGER NOT NULL,
    used_at    INTEGER
);
CREATE INDEX api_tokens_owner ON api_tokens (owner);

ALTER TABLE approval_votes ADD COLUMN counts TEXT;               -- JSON: which demands it counts for
ALTER TABLE approvals ADD COLUMN repo TEXT;
CREATE INDEX approvals_repo ON approvals (repo, asked_at);
CREATE INDEX approvals_subject ON approvals (subject, state);

-- What is to be told: first of a step, then of each channel that is told of it.
CREATE TABLE notices (
    id       TEXT PRIMARY KEY,
    approval TEXT NOT NULL,
    step     TEXT NOT NULL,
    at       INTEGER NOT NULL,           -- when the step was taken
    channel  TEXT,                       -- none: not handed to the channels yet
    state    TEXT NOT NULL,              -- new | waiting | sent | failed
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at  INTEGER NOT NULL,
    sent_at  INTEGER,
    error    TEXT
);
CREATE INDEX notices_next ON notices (state, next_at);
CREATE INDEX notices_approval ON notices (approval, at);
";
