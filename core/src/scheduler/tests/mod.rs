//! Stories, one for each way a report can come late, twice or never; and a simulation of all of them at once.

mod bad_hosts;
mod data_sets;
mod elsewhere;
mod env;
mod evidence;
mod operations;
mod order;
mod recovery;
mod retries;
mod simulation;
mod stragglers;
mod submission;
