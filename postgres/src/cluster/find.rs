//! Where a PostgreSQL server's programs are on this machine, and who may run them.
//!
//! The programs that stand in `PATH` may be wrappers of a distribution that know only its own
//! clusters, so a folder counts only if it holds both `initdb` and `postgres`, links followed.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Names a folder with a server's programs, before all other places.
pub const BIN_VARIABLE: &str = "SEEDBED_POSTGRES_BIN";
/// Set to 1, a missing server is a failure of the test, not a reason to skip it.
pub const REQUIRE_VARIABLE: &str = "SEEDBED_REQUIRE_POSTGRES";

/// The programs of a server that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    pub(super) bin: PathBuf,
    pub(super) owner: Option<Owner>,
}

/// Whom to run a server as, where we are root: PostgreSQL refuses to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// There is no server to be found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no PostgreSQL server ({why}; looked in {}); install one: \
     `apt-get install postgresql`, `dnf install postgresql-server` or `brew install postgresql`, \
     or set {BIN_VARIABLE} to the folder of its programs",
    .looked.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
)]
pub struct Missing {
    /// What was not found.
    pub why: String,
    /// The folders that were looked at.
    pub looked: Vec<PathBuf>,
}

impl Programs {
    /// Looks in the folder that [`BIN_VARIABLE`] names, or else in `PATH` and where packages
    /// install, the newest version first.
    ///
    /// # Errors
    /// Where it looked, and what to install.
    pub fn find() -> Result<Self, Missing> {
        let named = std::env::var_os(BIN_VARIABLE);
        let looked = match named {
            Some(folder) => vec![PathBuf::from(folder)],
            None => usual_folders(std::env::var_os("PATH")),
        };
        let Some(bin) = looked.iter().find_map(|folder| server_in(folder)) else {
            return Err(Missing { why: "no initdb beside a postgres".to_owned(), looked });
        };
        if !rustix::process::geteuid().is_root() {
            return Ok(Self { bin, owner: None });
        }
        match unprivileged() {
            Some(owner) => Ok(Self { bin, owner: Some(owner) }),
            None => {
                let why = "we are root, and there is no user postgres or nobody to run it as";
                Err(Missing { why: why.to_owned(), looked })
            }
        }
    }

    /// The folder that they are in.
    pub fn bin(&self) -> &Path {
        &self.bin
    }
}

/// The folder with the programs that `folder` holds or links to.
fn server_in(folder: &Path) -> Option<PathBuf> {
    let initdb = fs::canonicalize(folder.join("initdb")).ok()?;
    let bin = initdb.parent()?.to_owned();
    bin.join("postgres").is_file().then_some(bin)
}

fn usual_folders(path: Option<OsString>) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        path.iter().flat_map(std::env::split_paths).filter(|one| one.is_absolute()).collect();
    folders.extend(versions("/usr/lib/postgresql", "", "bin"));
    folders.extend(versions("/usr", "pgsql-", "bin"));
    folders.extend(versions("/opt/homebrew/opt", "postgresql@", "bin"));
    folders.extend(versions("/usr/local/opt", "postgresql@", "bin"));
    folders.extend(["/opt/homebrew/bin", "/usr/local/pgsql/bin"].map(PathBuf::from));
    folders
}

/// The folders `parent/<prefix><number>/<inner>`, the highest number first.
fn versions(parent: &str, prefix: &str, inner: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name();
            let number = name.to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((number, entry.path().join(inner)))
        })
        .collect();
    found.sort_by(|left, right| right.cmp(left));
    found.into_iter().map(|(_, path)| path).collect()
}

fn unprivileged() -> Option<Owner> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    ["postgres", "nobody"].iter().find_map(|name| owner_in(&users, name))
}

/// The user of this name out of the text of a `passwd` file.
fn owner_in(users: &str, name: &str) -> Option<Owner> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        Some(Owner { uid, gid: fields.next()?.parse().ok()? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_their_whole_name() {
        let users = "postgresql:x:1:2::/:/bin/sh\npostgres:x:101:104:x:/var:/bin/bash\n";
        assert_eq!(owner_in(users, "postgres"), Some(Owner { uid: 101, gid: 104 }));
        assert_eq!(owner_in(users, "nobody"), None);
    }

    #[test]
    fn a_folder_without_a_server_says_what_to_install() {
        let missing = Missing { why: "none".to_owned(), looked: vec!["/nowhere".into()] };
        let text = missing.to_string();
        assert!(text.contains("apt-get install postgresql") && text.contains("/nowhere"), "{text}");
        assert_eq!(server_in(Path::new("/nowhere")), None);
    }

    #[test]
    fn newer_versions_come_first() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["9", "15", "100", "other"] {
            fs::create_dir(folder.path().join(name)).expect("made");
        }
        let found = versions(folder.path().to_str().expect("UTF-8"), "", "bin");
        let names: Vec<String> = found.iter().map(|path| path.display().to_string()).collect();
        assert!(names[0].ends_with("/100/bin") && names[2].ends_with("/9/bin"), "{names:?}");
    }
}
