//! PostgreSQL servers of one's own, for tests: a cluster in a temporary folder, reached by a socket
//! in that folder and by nothing else.
//!
//! Nothing is left behind, however the process ends (`guard.rs`), and no other cluster is touched.

// A helper of the real world: it waits for real processes.
#![allow(clippy::disallowed_methods)]

mod find;
mod guard;

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use guard::{Guarded, Stop, as_owner};

pub use find::{BIN_VARIABLE, Missing, Programs, REQUIRE_VARIABLE};

/// How long a server may take to be ready; recovery is part of it.
const START_MAX: Duration = Duration::from_secs(60);
/// How often to look meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// What a cluster allows if nobody says otherwise.
const PREPARED_MAX: u32 = 1_200;

/// A cluster and its server. Dropped, the server is stopped and the folder removed.
#[derive(Debug)]
pub struct Cluster {
    programs: Programs,
    folder: Option<TempDir>,
    server: Option<Guarded>,
}

/// Why a cluster could not be made or started.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A file, a folder or a process.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What went wrong.
        source: io::Error,
    },
    /// A program of PostgreSQL ended with an error.
    #[error("{what}:\n{output}")]
    Program {
        /// Which one.
        what: String,
        /// What it said.
        output: String,
    },
}

fn failed(what: impl Into<String>) -> impl FnOnce(io::Error) -> ClusterError {
    let what = what.into();
    move |source| ClusterError::Io { what, source }
}

/// A server's programs; `None`, said on standard error, if there are none and the test is to be
/// skipped.
///
/// # Panics
/// There are none, and [`REQUIRE_VARIABLE`] is 1.
#[track_caller]
pub fn postgres_or_skip() -> Option<Programs> {
    match Programs::find() {
        Ok(programs) => Some(programs),
        Err(missing) => {
            let required = std::env::var_os(REQUIRE_VARIABLE).is_some_and(|value| value == "1");
            assert!(!required, "{REQUIRE_VARIABLE} is set, and there is {missing}");
            let place = std::panic::Location::caller();
            // Not by eprintln!, which the test harness hides where a test passes.
            // One write, on a line of its own, as other threads write too.
            let line = format!("\nSKIPPED {place}: {missing}\n");
            let _ = io::stderr().write_all(line.as_bytes());
            None
        }
    }
}

/// One running cluster for all tests of a process, or `None` as in [`postgres_or_skip`]. It ends
/// with the process.
///
/// # Panics
/// It cannot be started, or is missing and required.
#[track_caller]
pub fn shared_or_skip() -> Option<&'static Cluster> {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    let programs = postgres_or_skip()?;
    Some(SHARED.get_or_init(|| Cluster::start(&programs).expect("a cluster starts")))
}

impl Cluster {
    /// The programs that a cluster needs.
    ///
    /// # Errors
    /// They are not installed; the error says what to do.
    pub fn find() -> Result<Programs, Missing> {
        Programs::find()
    }

    /// A new cluster with the usual settings, running.
    ///
    /// # Errors
    /// What went wrong, with the server's own words.
    pub fn start(programs: &Programs) -> Result<Self, ClusterError> {
        Self::start_with(programs, &[])
    }

    /// A new cluster, running, with settings of `postgresql.conf`. Before them come: no TCP,
    /// durable commits, `max_prepared_transactions` of 1 200.
    ///
    /// # Errors
    /// What went wrong, with the server's own words.
    pub fn start_with(
        programs: &Programs,
        settings: &[(&str, &str)],
    ) -> Result<Self, ClusterError> {
        let folder = new_folder(programs)?;
        let mut cluster = Self { programs: programs.clone(), folder: Some(folder), server: None };
        cluster.initdb()?;
        let socket_folder = cluster.folder().display().to_string();
        let prepared = PREPARED_MAX.to_string();
        let ours = [
            ("listen_addresses", ""),
            ("unix_socket_directories", &socket_folder),
            ("fsync", "on"),
            ("synchronous_commit", "on"),
            ("max_prepared_transactions", &prepared),
            ("max_connections", "100"),
            ("logging_collector", "off"),
            ("log_min_messages", "fatal"),
            ("log_min_error_statement", "panic"),
        ];
        for (name, value) in ours.iter().chain(settings) {
            cluster.set(name, value)?;
        }
        cluster.start_again()?;
        Ok(cluster)
    }

    fn initdb(&self) -> Result<(), ClusterError> {
        let mut command = as_owner(&self.programs, self.programs.bin.join("initdb"));
        command.args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C"]);
        // The folder goes away with us; what a server writes into it later is synced.
        command.arg("--no-sync").arg("-D").arg(self.data());
        let output =
            command.current_dir(self.folder()).output().map_err(failed("running initdb"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(ClusterError::Program { what: "initdb".to_owned(), output: said })
    }

    /// Changes a setting, from the next start on.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set(&self, name: &str, value: &str) -> Result<(), ClusterError> {
        let path = self.data().join("postgresql.conf");
        let file = fs::OpenOptions::new().append(true).open(&path);
        let line = format!("{name} = '{}'\n", value.replace('\'', "''"));
        file.and_then(|mut file| file.write_all(line.as_bytes()))
            .map_err(failed(format!("writing {}", path.display())))
    }

    /// Starts the server of a cluster that was stopped, and waits until it is ready. A server that
    /// runs is let be.
    ///
    /// # Errors
    /// It ends, or is not ready in time; with its log.
    pub fn start_again(&mut self) -> Result<(), ClusterError> {
        let end = Instant::now() + START_MAX;
        while self.server.is_none() {
            let logged = self.log().len();
            let server = Guarded::spawn(&self.programs, self.folder(), &self.data());
            let server = server.map_err(failed("starting postgres"))?;
            if self.becomes_ready(&server, end) {
                self.server = Some(server);
                break;
            }
            server.stop(Stop::Immediate).map_err(failed("stopping postgres"))?;
            // After a kill, processes of the last server may live on for a moment.
            let is_left_over = self.log()[logged..].contains("shared memory block");
            if !is_left_over || Instant::now() >= end {
                return Err(ClusterError::Program { what: "postgres".into(), output: self.log() });
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    fn becomes_ready(&self, server: &Guarded, end: Instant) -> bool {
        while Instant::now() < end && !server.has_ended() {
            // The first line is the server's process, the eighth its state.
            let text = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
            let mut lines = text.lines();
            let is_ours = lines.next().is_some_and(|pid| pid == server.server().to_string());
            if is_ours && lines.nth(6).is_some_and(|state| state.trim() == "ready") {
                return true;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        false
    }

    /// Stops the server in good order.
    ///
    /// # Errors
    /// It cannot be told.
    pub fn stop(&mut self) -> Result<(), ClusterError> {
        self.stop_as(Stop::Fast)
    }

    /// Stops the server without a checkpoint; it has to recover at the next start.
    ///
    /// # Errors
    /// It cannot be told.
    pub fn crash(&mut self) -> Result<(), ClusterError> {
        self.stop_as(Stop::Immediate)
    }

    fn stop_as(&mut self, how: Stop) -> Result<(), ClusterError> {
        match self.server.take() {
            Some(server) => server.stop(how).map_err(failed("stopping postgres")),
            None => Ok(()),
        }
    }

    /// Kills the postmaster by SIGKILL. Its other processes end by themselves a moment later.
    ///
    /// # Errors
    /// It cannot be killed.
    pub fn kill(&mut self) -> Result<(), ClusterError> {
        match self.server.take() {
            Some(server) => server.kill().map_err(failed("killing postgres")),
            None => Ok(()),
        }
    }

    /// Stops the server in good order and starts it again.
    ///
    /// # Errors
    /// As of [`stop`](Self::stop) and [`start_again`](Self::start_again).
    pub fn restart(&mut self) -> Result<(), ClusterError> {
        self.stop()?;
        self.start_again()
    }

    /// Whether a server was started and not stopped.
    pub fn is_running(&self) -> bool {
        self.server.is_some()
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder().join("log")).unwrap_or_default()
    }

    /// The folder of the cluster, and of its socket.
    pub fn folder(&self) -> &Path {
        self.folder.as_ref().expect("there until dropped").path()
    }

    fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// How to connect to a database of it, as its superuser.
    pub fn url(&self, database: &str) -> String {
        format!("host={} user=postgres dbname={database}", self.folder().display())
    }

    /// Makes an empty database and says how to connect to it.
    ///
    /// # Errors
    /// The server's answer.
    pub async fn create_database(&self, name: &str) -> Result<String, tokio_postgres::Error> {
        let (client, connection) =
            tokio_postgres::connect(&self.url("postgres"), tokio_postgres::NoTls).await?;
        let driver = tokio::spawn(connection);
        let made = client.batch_execute(&format!("CREATE DATABASE \"{name}\"")).await;
        driver.abort();
        made.map(|()| self.url(name))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // In good order takes a checkpoint; what is removed right after needs none.
        let _ = self.crash();
        self.folder = None;
    }
}

/// A folder that belongs to whom the server runs as. A socket's path has room for 107 bytes.
fn new_folder(programs: &Programs) -> Result<TempDir, ClusterError> {
    let usual = std::env::temp_dir();
    let parent = if usual.as_os_str().len() > 60 { Path::new("/tmp") } else { &usual };
    let what = format!("making a folder in {}", parent.display());
    let made = tempfile::Builder::new().prefix("seedbed-pg-").tempdir_in(parent).and_then(|made| {
        if let Some(owner) = programs.owner {
            chown(made.path(), Some(owner.uid), Some(owner.gid))?;
        }
        fs::set_permissions(made.path(), fs::Permissions::from_mode(0o700))?;
        Ok(made)
    });
    made.map_err(failed(what))
}
