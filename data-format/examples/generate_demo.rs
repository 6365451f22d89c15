//! Write the demo set and print its summary: `cargo run -p colearn-data-format --example generate_demo -- PATH`.

use std::path::PathBuf;

use colearn_data_format::generate::{DemoOptions, demo};
use colearn_data_format::inspect::Summary;
use colearn_data_format::{Dataset, write};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).map_or_else(|| "data/demo.safetensors".into(), PathBuf::from);
    write(&path, &demo(&DemoOptions::default())?)?;
    print!("{}", Summary::new(&Dataset::open(&path)?));
    Ok(())
}
