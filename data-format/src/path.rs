//! The path of a data set, from its name in a sweep file.

use std::path::{Path, PathBuf};

/// The path of the data set that a sweep or a user calls `name_or_path`.
///
/// A bare name (no folder, no `.safetensors` ending) is `<data_dir>/<name>.safetensors`; anything else is used as a
/// path unchanged.
#[must_use]
pub fn resolve(name_or_path: &str, data_dir: &Path) -> PathBuf {
    let is_path =
        name_or_path.contains(['/', std::path::MAIN_SEPARATOR]) || name_or_path.ends_with(".safetensors");
    if is_path { PathBuf::from(name_or_path) } else { data_dir.join(format!("{name_or_path}.safetensors")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_names_lie_in_the_data_folder_and_paths_stand() {
        let dir = Path::new("data");
        assert_eq!(resolve("demo", dir), Path::new("data/demo.safetensors"));
        assert_eq!(resolve("utd-mhad.v2", dir), Path::new("data/utd-mhad.v2.safetensors"));
        assert_eq!(resolve("demo.safetensors", dir), Path::new("demo.safetensors"));
        assert_eq!(resolve("./demo", dir), Path::new("./demo"));
        assert_eq!(resolve("/srv/sets/a", dir), Path::new("/srv/sets/a"));
    }
}
