//! The laws of the house, in one binary. Each module is one law.

mod common_laws;
mod conformance;
mod corpus;
mod determinism;
mod explore;
mod fencing;
mod patterns;
mod ranges;
mod real_folder;
mod stalls;
mod tidy;
mod unread;
mod variations;
mod zoo;
