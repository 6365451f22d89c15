//! Disks that can be filled.

use std::{fs, io::Write as _, path::PathBuf, process};

/// A small file system, unmounted at the end.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Needs root; returns `None` after a message if it cannot be mounted.
    pub(crate) fn mount(folder: PathBuf, kilobytes: u32) -> Option<Self> {
        fs::create_dir(&folder).unwrap();
        let size = format!("size={kilobytes}k");
        let mounted = process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&folder)
            .stderr(process::Stdio::null())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(folder));
        }
        println!("skipped: mounting a small tmpfs needs root");
        None
    }

    /// Takes the remaining space of the disk, so that the next commit fails.
    pub(crate) fn fill(&self) -> Hog {
        let path = self.0.join("hog");
        let mut rest = fs::File::create(&path).unwrap();
        while rest.write_all(&[1; 4096]).is_ok() {}
        while rest.write_all(&[1; 1]).is_ok() {}
        Hog { path, rest }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = process::Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// The file that fills a disk.
pub(crate) struct Hog {
    path: PathBuf,
    rest: fs::File,
}

impl Hog {
    /// The space is free only after the file is closed.
    pub(crate) fn remove(self) {
        drop(self.rest);
        fs::remove_file(self.path).unwrap();
    }
}
