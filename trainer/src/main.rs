//! The `colearn-trainer` program.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use colearn_data_format::DataFolder;
use colearn_trainer::{device, process};

/// Trains cohorts of tasks with libtorch, for a worker of colearn.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Trains what it is told on standard input; started by the worker
    Train(TrainArgs),
    /// Prints what libtorch can do on this host, as one line of JSON
    Devices,
}

#[derive(Debug, Args)]
struct TrainArgs {
    /// Folder that holds the data sets
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Also open data sets outside that folder
    #[arg(long)]
    allow_data_outside: bool,
    /// Where checkpoints lie: a folder, or s3://bucket/prefix; none are kept unless given
    #[arg(long, value_name = "LOCATION")]
    checkpoints: Option<String>,
    /// What to train on: cpu or cuda:N
    #[arg(long)]
    device: String,
    /// Intra-op threads
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    threads: u32,
}

fn main() -> ExitCode {
    let cli: Cli = colearn_command_line::parse();
    match cli.command {
        Command::Train(TrainArgs { data_dir, allow_data_outside, checkpoints, device, threads }) => {
            let data = if allow_data_outside {
                DataFolder::unconfined(data_dir)
            } else {
                DataFolder::confined(data_dir)
            };
            process::run(data, checkpoints.as_deref(), &device, threads)
        }
        Command::Devices => {
            let devices = serde_json::to_string(&device::inventory()).expect("it is plain data");
            match writeln!(io::stdout(), "{devices}") {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            }
        }
    }
}
