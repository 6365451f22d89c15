//! Scenarios, one for each way in which a report can come late, twice or never, and a simulation of all of them
//! together.

mod bad_hosts;
mod cancel;
mod data_sets;
mod elsewhere;
mod env;
mod evidence;
mod needs;
mod operations;
mod order;
mod parked;
mod prepared;
mod recovery;
mod replaced;
mod retries;
mod running_curves;
mod simulation;
mod stop;
mod stragglers;
mod submission;
mod waiting;
