//! PostgreSQL as a participant, against a real server: what the sink's traits promise, kept through
//! crashes, lost connections and people's hands. Skipped, visibly, where there is no server.

mod bed;
mod cluster;
mod crash;
mod fence;
mod hands;
mod lost;
mod modes;
mod outcome;
mod reject;
mod setup;
mod start;
mod types;
mod whole;
