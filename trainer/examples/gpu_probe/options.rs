//! The probe's command line.

use std::str::FromStr;

use colearn_trainer::{device::TrainingDevice, model::Kernels};
use tch::Device;

/// `COMMAND [NETWORK] --name value...`
pub(crate) struct Options {
    pub(crate) command: String,
    /// Empty if no network was given.
    pub(crate) network: String,
    named: Vec<(String, String)>,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut words = arguments.iter().cloned().peekable();
        let command = words.next().ok_or("a command is needed")?;
        let network = words.next_if(|word| !word.starts_with("--")).unwrap_or_default();
        let mut named = Vec::new();
        while let Some(name) = words.next() {
            if !name.starts_with("--") {
                return Err(format!("`{name}` is not understood: options are --name value"));
            }
            let value = words.next().ok_or_else(|| format!("{name} needs a value"))?;
            named.push((name, value));
        }
        Ok(Self { command, network, named })
    }

    /// The value of an option as it was typed.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.named.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn number<T: FromStr>(&self, name: &str, default: T) -> Result<T, String> {
        match self.text(name) {
            Some(value) => value.parse().map_err(|_| format!("{name} {value} is not understood")),
            None => Ok(default),
        }
    }

    /// Numbers separated by commas.
    pub(crate) fn numbers(&self, name: &str, default: &[usize]) -> Result<Vec<usize>, String> {
        let Some(text) = self.text(name) else { return Ok(default.to_vec()) };
        let numbers: Result<Vec<usize>, _> = text.split(',').map(str::parse).collect();
        let numbers = numbers.map_err(|_| format!("{name} {text} is not understood"))?;
        if numbers.contains(&0) { Err(format!("{name} must be at least 1")) } else { Ok(numbers) }
    }

    /// The kernels to use; by default those of the device.
    pub(crate) fn kernels(&self, device: Device) -> Result<Kernels, String> {
        match self.text("--kernels") {
            None => Ok(Kernels::of(device)),
            Some("in-place") => Ok(Kernels::InPlace),
            Some("fused") => Ok(Kernels::Fused),
            Some(other) => Err(format!("--kernels {other} is not in-place or fused")),
        }
    }

    pub(crate) fn device(&self) -> Result<Device, String> {
        let name = self.text("--device").ok_or("--device is needed: cpu or cuda:N")?;
        TrainingDevice::find(name, 1).map(|found| found.device).map_err(|error| error.to_string())
    }
}
