//! A PostgreSQL database as a participant: where it is, and how to write there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use seedbed_engines::sink::{Participant, ParticipantError, Session, WriteMode, Writer};
use tokio_postgres::config::Host;
use tokio_postgres::{Config, NoTls};

use crate::connection::{Driver, PostgresConnection};
use crate::setup;
use crate::sweep::Sweep;
use crate::trouble::{Trouble, chain};

/// A database that a sink writes to.
#[derive(Debug)]
pub struct PostgresParticipant {
    name: String,
    config: Config,
    settings: Settings,
    /// By owner: what was forgotten last.
    sweeps: Mutex<BTreeMap<String, Arc<Sweep>>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) namespace: String,
    pub(crate) branch: Option<Writer>,
    pub(crate) lock_timeout: Duration,
    pub(crate) prepared_min: u32,
}

/// Whose transactions a connection deals with, and what for.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// The writer; with a branch, `<writer>+<branch>`.
    pub(crate) owner: String,
    pub(crate) writer: Writer,
    pub(crate) identity: i64,
    pub(crate) incarnation: i64,
    pub(crate) schema: Arc<seedbed_engines::sink::Schema>,
    pub(crate) mode: WriteMode,
    /// The table with its namespace, quoted.
    pub(crate) table: String,
    pub(crate) sweep: Arc<Sweep>,
}

impl PostgresParticipant {
    /// A database as libpq's connection strings name it: `host=/var/run/postgresql dbname=shop`, or
    /// `postgresql://user@host/shop`. Connections are not encrypted.
    ///
    /// # Errors
    /// The string cannot be understood.
    pub fn new(name: impl Into<String>, url: &str) -> Result<Self, ParticipantError> {
        let name = name.into();
        // Not the string itself, which may hold a password.
        let config = url.parse::<Config>().map_err(|error| {
            ParticipantError::Refused(format!("{name}: a connection string: {}", chain(&error)))
        })?;
        let settings = Settings {
            namespace: "public".to_owned(),
            branch: None,
            lock_timeout: Duration::from_secs(1),
            prepared_min: 16,
        };
        Ok(Self { name, config, settings, sweeps: Mutex::default() })
    }

    /// In which schema of the database the table is; `public` if nothing is said.
    ///
    /// # Errors
    /// A name with other than letters, digits and underscores.
    pub fn in_schema(mut self, namespace: &str) -> Result<Self, ParticipantError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if !(1..=63).contains(&namespace.len()) || !namespace.bytes().all(plain) {
            let rule = "1 to 63 letters, digits and underscores";
            let text = format!("{}: a schema called {namespace:?}: names are {rule}", self.name);
            return Err(ParticipantError::Refused(text));
        }
        namespace.clone_into(&mut self.settings.namespace);
        Ok(self)
    }

    /// Tells participants of one sink apart that are at the same server: names of prepared
    /// transactions are unique in a whole server, not in each database. Must stay the same from
    /// start to start.
    #[must_use]
    pub fn branch(mut self, branch: Writer) -> Self {
        self.settings.branch = Some(branch);
        self
    }

    /// How long a statement may wait for a lock, one second if nothing is said. Then the vote is
    /// `No::Conflict`.
    #[must_use]
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        // To PostgreSQL 0 means for ever.
        self.settings.lock_timeout = timeout.max(Duration::from_millis(1));
        self
    }

    /// How many prepared transactions the server must allow at least, 16 if nothing is said. One
    /// that allows fewer is refused.
    #[must_use]
    pub fn prepared_min(mut self, least: u32) -> Self {
        self.settings.prepared_min = least.max(1);
        self
    }

    fn context(&self, session: &Session) -> Result<Context, ParticipantError> {
        let incarnation = i64::try_from(session.incarnation)
            .map_err(|_| ParticipantError::Refused("an incarnation above i64::MAX".to_owned()))?;
        let writer = session.writer.as_str();
        let branch = self.settings.branch.as_ref();
        let owner = branch.map_or_else(|| writer.to_owned(), |part| format!("{writer}+{part}"));
        let mut sweeps = self.sweeps.lock().unwrap_or_else(PoisonError::into_inner);
        let sweep = Arc::clone(sweeps.entry(owner.clone()).or_default());
        Ok(Context {
            owner,
            writer: session.writer.clone(),
            identity: session.identity.cast_signed(),
            incarnation,
            schema: Arc::clone(&session.schema),
            mode: session.mode,
            table: format!("\"{}\".\"{}\"", self.settings.namespace, session.schema.table()),
            sweep,
        })
    }

    /// Where it is, without a password.
    fn place(&self) -> String {
        let hosts = self.config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        });
        let hosts = hosts.collect::<Vec<_>>().join(",");
        let database = self.config.get_dbname().unwrap_or("of the role's name");
        format!("{} (host {hosts}, database {database})", self.name)
    }

    /// Says where it happened.
    fn at_place(&self, error: ParticipantError) -> ParticipantError {
        match error {
            ParticipantError::Lost(text) => {
                ParticipantError::Lost(format!("{}: {text}", self.place()))
            }
            ParticipantError::Refused(text) => {
                ParticipantError::Refused(format!("{}: {text}", self.place()))
            }
            fenced @ ParticipantError::Fenced { .. } => fenced,
        }
    }

    async fn open(&self, session: &Session) -> Result<PostgresConnection, ParticipantError> {
        let context = self.context(session)?;
        let mut config = self.config.clone();
        config.application_name(setup::session_name(&context.owner, context.incarnation));
        let (client, connection) = config.connect(NoTls).await.map_err(|error| {
            match (Trouble::of(&error), error.code().map(|code| &code.code()[..2])) {
                // Authentication, the name of the database.
                (_, Some("28" | "3D" | "08")) => ParticipantError::Refused(chain(&error)),
                (trouble, _) => trouble.error(),
            }
        })?;
        let driver = Driver::spawn(connection);
        let statements = setup::set_up(&client, &context, &self.settings).await?;
        Ok(PostgresConnection::new(client, driver, context, statements))
    }
}

impl Participant for PostgresParticipant {
    type Connection = PostgresConnection;

    fn name(&self) -> &str {
        &self.name
    }

    fn spreads_decisions(&self) -> bool {
        true
    }

    async fn connect(&self, session: &Session) -> Result<PostgresConnection, ParticipantError> {
        self.open(session).await.map_err(|error| self.at_place(error))
    }
}
