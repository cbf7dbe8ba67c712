//! Where a file of results goes. It is there whole or not at all: written beside its place, then
//! renamed; and a place that cannot be written to is told before minutes are spent on measuring.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::exit::Failure;

/// A place that could be written to when it was asked for.
#[derive(Debug)]
pub(super) struct Place(PathBuf);

impl Place {
    /// The place that a flag names; refuses one that cannot be written to.
    pub(super) fn new(flag: &str, path: &Path) -> Result<Self, Failure> {
        let place = Self(path.to_owned());
        let refused =
            |what: &dyn Display| Failure::usage(format!("{flag} {}: {what}", path.display()));
        if path.is_dir() || path.file_name().is_none() {
            return Err(refused(&"a folder; name a file in it"));
        }
        let folder = place.folder();
        if !folder.is_dir() {
            return Err(refused(&format!("there is no folder {}", folder.display())));
        }
        place.beside().map(drop).map_err(|error| refused(&error))?;
        Ok(place)
    }

    fn folder(&self) -> &Path {
        let folder = self.0.parent().filter(|folder| !folder.as_os_str().is_empty());
        folder.unwrap_or(Path::new("."))
    }

    fn beside(&self) -> io::Result<tempfile::NamedTempFile> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".seedbed-bench-");
        // As readable as any new file, not for its owner only.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        builder.tempfile_in(self.folder())
    }

    /// Writes it; what was there before is replaced.
    pub(super) fn write(&self, text: &str) -> Result<(), Failure> {
        let written = self.beside().and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.persist(&self.0).map_err(|error| error.error)
        });
        let told = |error| format!("{}: not written: {error}", self.0.display());
        written.map(drop).map_err(|error| Failure::usage(told(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn a_file_appears_whole_and_replaces_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("report.html");
        let place = Place::new("--html", &file).expect("can be written to");
        assert!(!file.exists(), "looking leaves nothing");
        place.write("before, and longer").unwrap();
        place.write("after").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "after");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing beside it");
        Place::new("--html", &file).expect("a file that is there is replaced");
    }

    #[test]
    fn a_place_that_cannot_be_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let refused = |path: &Path, why: &str| {
            let failure = Place::new("--html", path).expect_err("refused");
            assert_eq!(failure.exit, Exit::Usage);
            assert!(failure.message.contains(why), "{}", failure.message);
        };
        refused(folder.path(), "name a file in it");
        refused(&folder.path().join("missing/report.html"), "there is no folder");
        refused(&file.join("report.html"), "there is no folder");
        #[cfg(target_os = "linux")]
        refused(Path::new("/proc/report.html"), "--html /proc/report.html: ");
    }
}
