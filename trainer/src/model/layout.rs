//! Names, shapes and places of the parameters in a flat tensor.

use tch::{Device, Kind, Tensor};

use crate::random::{Purpose, Stream};

/// The initial values of a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Uniform in [-bound, bound).
    Uniform(f64),
    /// All values are equal to this one.
    Constant(f64),
}

/// One parameter of one member.
#[derive(Clone, Debug, PartialEq)]
pub struct LayoutEntry {
    /// Its name, PyTorch's where PyTorch has one.
    pub name: String,
    /// Its shape without the cohort axis.
    pub shape: Vec<i64>,
    /// Offset of the first value within a member's values.
    pub offset: i64,
    /// Initial values.
    pub init: Init,
}

impl LayoutEntry {
    fn len(&self) -> i64 {
        self.shape.iter().product()
    }
}

/// The parameters of one member, one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    entries: Vec<LayoutEntry>,
    total: i64,
}

impl Layout {
    /// Appends a parameter.
    pub fn push(&mut self, name: impl Into<String>, shape: &[i64], init: Init) {
        let entry = LayoutEntry { name: name.into(), shape: shape.to_vec(), offset: self.total, init };
        self.total += entry.len();
        self.entries.push(entry);
    }

    /// The parameters in the order of the flat tensor.
    #[must_use]
    pub fn entries(&self) -> &[LayoutEntry] {
        &self.entries
    }

    /// Number of values of one member.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.total
    }

    /// The view [K, shape...] of a parameter in a flat tensor [K, total].
    ///
    /// # Panics
    /// If there is no parameter of this name. All names are written in this program.
    pub fn view(&self, flat: &Tensor, name: &str) -> Tensor {
        let entry = self.entries.iter().find(|entry| entry.name == name);
        let entry = entry.unwrap_or_else(|| panic!("no parameter is named {name}"));
        let members = flat.size()[0];
        let shape: Vec<i64> = std::iter::once(members).chain(entry.shape.iter().copied()).collect();
        flat.narrow(1, entry.offset, entry.len()).view(shape.as_slice())
    }

    /// A new flat tensor [K, total]. The values of member k depend on its seed only, not on the other members.
    pub fn initialise(&self, seeds: &[u64], kind: Kind, device: Device) -> Tensor {
        let total = self.total as usize;
        // `vec!` would abort the process if memory is short. `try_reserve` allows a panic instead, which the trainer
        // catches.
        let mut values: Vec<f32> = Vec::new();
        if values.try_reserve_exact(seeds.len() * total).is_err() {
            panic!("out of memory for {} times {total} parameters", seeds.len());
        }
        values.resize(seeds.len() * total, 0.0);
        for (member, &seed) in values.chunks_mut(total.max(1)).zip(seeds) {
            for (number, entry) in self.entries.iter().enumerate() {
                let out = &mut member[entry.offset as usize..(entry.offset + entry.len()) as usize];
                match entry.init {
                    Init::Constant(value) => out.fill(value as f32),
                    Init::Uniform(bound) => {
                        Stream::new(seed, Purpose::Init(number as u32), 0, 0).fill_uniform(bound, out);
                    }
                }
            }
        }
        Tensor::from_slice(&values).view([seeds.len() as i64, self.total]).to_kind(kind).to_device(device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        let mut layout = Layout::default();
        layout.push("a", &[3, 5], Init::Uniform(0.5));
        layout.push("b", &[4], Init::Constant(2.0));
        layout.push("c", &[100, 100], Init::Uniform(0.1));
        layout
    }

    #[test]
    fn views_are_named_places() {
        let layout = layout();
        assert_eq!(layout.total(), 15 + 4 + 10_000);
        let flat = layout.initialise(&[1, 2], Kind::Float, Device::Cpu);
        assert_eq!(layout.view(&flat, "a").size(), [2, 3, 5]);
        assert_eq!(layout.view(&flat, "b").sum(Kind::Float).double_value(&[]), 16.0);
        let mut c = layout.view(&flat, "c");
        assert!(c.abs().max().double_value(&[]) <= 0.1);
        // Uniform in +-0.1: standard deviation 0.2 / sqrt(12).
        assert!((c.std(true).double_value(&[]) - 0.057_735).abs() < 0.001);
        let _ = c.fill_(7.0);
        assert_eq!(flat.double_value(&[1, 19]), 7.0);
    }

    #[test]
    fn a_member_begins_as_its_seed_says() {
        let layout = layout();
        let together = layout.initialise(&[1, 2, 3], Kind::Float, Device::Cpu);
        let alone = layout.initialise(&[2], Kind::Float, Device::Cpu);
        assert!(together.get(1).equal(&alone.get(0)));
        assert!(!together.get(1).equal(&together.get(2)));
    }
}
