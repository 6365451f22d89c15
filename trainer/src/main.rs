//! The `colearn-trainer` program.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use colearn_data_format::DataFolder;
use colearn_trainer::{device, process};
#[cfg(target_env = "gnu")]
use nix::libc;

/// Trains cohorts of tasks with libtorch; a colearn worker starts it
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train the cohorts that arrive on standard input; the worker starts this
    Train(TrainArgs),
    /// Print what libtorch can do on this host, as one line of JSON
    Devices,
}

#[derive(Debug, Args)]
struct TrainArgs {
    /// Folder of the data sets
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Also open data sets outside the data folder
    #[arg(long)]
    allow_data_outside: bool,
    /// Where to keep checkpoints: a folder, or s3://bucket/prefix; without it none are kept
    #[arg(long, value_name = "LOCATION")]
    checkpoints: Option<String>,
    /// Device to train on: cpu or cuda:N
    #[arg(long)]
    device: String,
    /// Number of intra-op threads of libtorch
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    threads: u32,
}

/// Keeps freed memory for the next tensors. By default the C library returns large pieces to the system at once, and
/// the system clears the pages of every new one.
#[cfg(target_env = "gnu")]
fn keep_freed_memory() {
    const LIMIT: i32 = 1 << 30;
    for parameter in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
        // SAFETY: both parameters take any number of bytes. Other threads do not exist yet.
        unsafe { libc::mallopt(parameter, LIMIT) };
    }
}

#[cfg(not(target_env = "gnu"))]
fn keep_freed_memory() {}

fn main() -> ExitCode {
    keep_freed_memory();
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
