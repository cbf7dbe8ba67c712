//! The participant's server: accepts connections, and has a task for each.
//!
//! Invariants: a request is carried out to its end once it was read, whether its sender is still
//! there or not; what one connection has written and not prepared is its own, and is gone with it;
//! after a failure of the store the server ends, and with it all connections.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use seedbed_env::sync::{Either, Notify, race, timeout};
use seedbed_env::{Env, Listener, Net, Stream, StreamWrite};

use super::super::error::{Error, net};
use super::super::event::Event;
use super::super::participant::{Decision, Gid, No, Outcome, Vote, WriteMode, Writer};
use super::super::plant::Plant;
use super::super::probe::Probe;
use super::super::row::{Row, Rows, Schema};
use super::Options;
use super::kernel::{Barred, TRANSACTION_LEN_MAX};
use super::manager::Manager;
use super::wire::{Answer, FrameReader, GIDS_MAX, Request, VERSION};

/// A participant that is open and listens.
#[derive(Debug)]
pub struct Server<E: Env + Net> {
    env: E,
    manager: Manager<E>,
    listener: Arc<E::Listener>,
    addr: SocketAddr,
    /// Why it ended, for all its connections and for [`Server::serve`].
    end: Arc<End>,
    idle_max: Duration,
    connections_max: usize,
}

impl<E: Env + Net> Clone for Server<E> {
    fn clone(&self) -> Self {
        Self {
            env: self.env.clone(),
            manager: self.manager.clone(),
            listener: Arc::clone(&self.listener),
            addr: self.addr,
            end: Arc::clone(&self.end),
            idle_max: self.idle_max,
            connections_max: self.connections_max,
        }
    }
}

impl<E: Env + Net> Server<E> {
    /// Opens the table in `dir`, creating both if they are missing (the parent must exist), and
    /// listens at `addr`; port 0 picks a free one. [`Server::serve`] does the rest.
    ///
    /// # Errors
    /// The store's and the network's; [`Error::Foreign`] if the folder holds another table;
    /// [`Error::Invalid`] for a durability with which it could not keep its promise.
    pub async fn open(
        env: E,
        dir: impl AsRef<Path>,
        addr: SocketAddr,
        schema: Arc<Schema>,
        options: Options,
    ) -> Result<Self, Error> {
        if !options.store.durability.survives_power_loss() {
            let reason = "a participant's store must be durable: Immediate or Group".to_owned();
            return Err(Error::Invalid { reason });
        }
        let (idle_max, connections_max) = (options.idle_max, options.connections_max);
        let manager = Manager::open(env.clone(), dir.as_ref(), schema, options).await?;
        let listener = env.bind(addr).await.map_err(net("listen"))?;
        let addr = listener.local_addr().map_err(net("listen"))?;
        let (listener, end) = (Arc::new(listener), Arc::new(End::default()));
        Ok(Self { env, manager, listener, addr, end, idle_max, connections_max })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until the store fails or [`Server::close`] is called, and says why it ended. Then it
    /// can be opened again.
    pub async fn serve(self) -> Error {
        // Each connection has one more of it.
        let count = Arc::new(());
        loop {
            let accepted = match race(self.end.wait(), self.listener.accept()).await {
                Either::Left(reason) => return reason,
                Either::Right(accepted) => accepted,
            };
            match accepted {
                Ok((_, peer)) if Arc::strong_count(&count) > self.connections_max => {
                    let max = self.connections_max;
                    tracing::warn!(%peer, max, "closed: there are as many connections as may be");
                }
                Ok((stream, _)) => {
                    let (session, counted) = (Session::new(self.clone()), Arc::clone(&count));
                    let served = async move {
                        session.run(stream).await;
                        drop(counted);
                    };
                    drop(self.env.spawn(crate::classes::participant(served)));
                }
                // Too many open files, or a caller that gave up: neither ends a server.
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    self.env.sleep(Duration::from_millis(10)).await;
                }
            }
        }
    }

    /// Ends all connections and the server, with everything durable.
    ///
    /// # Errors
    /// The store's.
    pub async fn close(&self) -> Result<(), Error> {
        self.end.tell(Error::Closed);
        self.manager.close().await
    }

    /// The rows of the table, in the order of their encoded keys.
    pub fn for_each_row(&self, with: impl FnMut(Row<'_>)) {
        self.manager.for_each_row(with);
    }

    /// The transactions of a writer that are prepared, and those decided by hand of which its
    /// coordinator has not heard.
    pub fn prepared(&self, writer: &Writer) -> Vec<Gid> {
        self.manager.list(writer)
    }

    /// Decides a prepared transaction by hand, against the rules of two-phase commit: for a person
    /// whose coordinator does not come back, and who needs the rows that it holds. If the
    /// coordinator decides otherwise, it reports the damage.
    ///
    /// # Errors
    /// [`Error::NotPrepared`], or the store's.
    pub async fn decide_by_hand(
        &self,
        writer: &Writer,
        gid: Gid,
        decision: Decision,
    ) -> Result<(), Error> {
        if !self.manager.is_prepared(writer, gid) {
            return Err(Error::NotPrepared { writer: writer.to_string(), gid });
        }
        // A task of its own: whoever gives up waiting does not leave it half done.
        let (manager, of) = (self.manager.clone(), writer.clone());
        let decided = self
            .env
            .spawn(async move { manager.decide(&of, &[gid], decision, true).await })
            .await
            .map_err(|_| Error::Closed)?;
        // Without its store it can answer nobody, and what is half done stays so until it opens.
        let outcomes = decided.inspect_err(|error| self.end.tell(error.clone()))?;
        match outcomes[0] {
            Outcome::Done => Ok(()),
            _ => Err(Error::NotPrepared { writer: writer.to_string(), gid }),
        }
    }
}

/// The end of a server, and why.
#[derive(Debug, Default)]
struct End {
    reason: Mutex<Option<Error>>,
    came: Notify,
}

impl End {
    fn reason(&self) -> Option<Error> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends it. The first reason counts.
    fn tell(&self, error: Error) {
        let mut reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        reason.get_or_insert(error);
        drop(reason);
        self.came.notify_waiters();
    }

    async fn wait(&self) -> Error {
        loop {
            let came = self.came.notified();
            if let Some(reason) = self.reason() {
                return reason;
            }
            came.await;
        }
    }
}

/// One connection.
struct Session<E: Env + Net> {
    server: Server<E>,
    hello: Option<Hello>,
    /// Rows that were written and not prepared.
    open: Vec<u8>,
    /// There were too many, or a row that does not fit.
    refused: Option<String>,
    out: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Hello {
    writer: Writer,
    incarnation: u64,
    mode: WriteMode,
}

/// What follows a request.
enum Next {
    GoOn,
    Hang,
}

impl<E: Env + Net> Session<E> {
    fn new(server: Server<E>) -> Self {
        Self { server, hello: None, open: Vec::new(), refused: None, out: Vec::new() }
    }

    /// Answers requests until the connection or the server ends.
    async fn run(mut self, stream: <E as Net>::Stream) {
        let (mut read, mut write) = stream.split();
        let end = Arc::clone(&self.server.end);
        let mut frames = FrameReader::default();
        let (env, idle_max) = (self.server.env.clone(), self.server.idle_max);
        loop {
            let next = timeout(&env, idle_max, frames.next(&mut read));
            let frame = match race(end.wait(), next).await {
                Either::Left(_) | Either::Right(None | Some(Ok(None) | Err(_))) => return,
                Either::Right(Some(Ok(Some(frame)))) => frame,
            };
            let number = frame.request;
            let next = match Request::parse(frame) {
                Ok(request) => self.handle(number, request).await,
                Err(error) => {
                    self.answer(number, &Answer::Refused(error.to_string()));
                    Ok(Next::Hang)
                }
            };
            let next = match next {
                Ok(next) => next,
                Err(error) => {
                    // Without its store it can answer nobody.
                    end.tell(error);
                    return;
                }
            };
            if !self.out.is_empty() {
                // A reader that does not read is given up like one that says nothing.
                let written = timeout(&env, idle_max, write.write_all(&self.out)).await;
                self.out.clear();
                if !matches!(written, Some(Ok(()))) || matches!(next, Next::Hang) {
                    return;
                }
            }
        }
    }

    fn answer(&mut self, number: u32, answer: &Answer) {
        answer.put(&mut self.out, number);
    }

    async fn handle(&mut self, number: u32, request: Request) -> Result<Next, Error> {
        let answer = match (request, self.hello.clone()) {
            (Request::Hello { version, writer, identity, incarnation, schema, mode }, None) => {
                let who = (writer, identity, incarnation);
                match self.greet(version, who, schema, mode).await? {
                    Ok(hello) => {
                        self.hello = Some(hello);
                        Answer::Welcome
                    }
                    Err(refusal) => {
                        self.answer(number, &refusal);
                        return Ok(Next::Hang);
                    }
                }
            }
            (Request::Write(rows), Some(_)) => {
                self.write(&rows);
                return Ok(Next::GoOn);
            }
            (Request::Ping, Some(_)) => Answer::Pong,
            (Request::List, Some(hello)) => {
                let mut gids = self.server.manager.list(&hello.writer);
                gids.truncate(GIDS_MAX);
                Answer::Gids(gids)
            }
            (request, Some(hello)) => self.decide_or_prepare(request, &hello).await?,
            (_, None) => {
                self.answer(number, &Answer::Refused("a hello comes first".to_owned()));
                return Ok(Next::Hang);
            }
        };
        self.answer(number, &answer);
        Ok(Next::GoOn)
    }

    /// Requests that only the latest incarnation may make.
    async fn decide_or_prepare(
        &mut self,
        request: Request,
        hello: &Hello,
    ) -> Result<Answer, Error> {
        let manager = self.server.manager.clone();
        if let Some(by) = manager.fenced(&hello.writer, hello.incarnation)
            && !manager.planted(Plant::NotFenced)
        {
            Probe::Fenced.reached();
            return Ok(Answer::Fenced { by });
        }
        manager.observer().tell(Event::LetThrough { incarnation: hello.incarnation });
        Ok(match request {
            Request::Prepare { gid, finished } => Answer::Vote(match self.take_open() {
                Err(no) => self.voted(gid, Vote::No(no)),
                Ok(rows) => {
                    let prepared = manager.prepare(&hello.writer, gid, finished, hello.mode, rows);
                    let vote = prepared.await?;
                    self.voted(gid, vote)
                }
            }),
            Request::CommitOpen => Answer::Vote(match self.take_open() {
                Err(no) => Vote::No(no),
                Ok(rows) => manager.commit_open(hello.mode, rows).await?,
            }),
            Request::Decide { gids, .. } | Request::Forget { gids } if gids.len() > GIDS_MAX => {
                Answer::Refused(format!("{} transactions in one request", gids.len()))
            }
            Request::Decide { decision, gids } => {
                Answer::Outcomes(manager.decide(&hello.writer, &gids, decision, false).await?)
            }
            Request::Forget { gids } => {
                manager.forget(&hello.writer, &gids).await?;
                Answer::Pong
            }
            _ => Answer::Refused("a second hello".to_owned()),
        })
    }

    fn voted(&self, gid: Gid, vote: Vote) -> Vote {
        self.server.manager.observer().tell(Event::VoteSent { gid, yes: vote == Vote::Yes });
        vote
    }

    /// Lets a sink in, if it is one that this participant can work with.
    async fn greet(
        &self,
        version: u32,
        (writer, identity, incarnation): (String, u64, u64),
        schema: u64,
        mode: WriteMode,
    ) -> Result<Result<Hello, Answer>, Error> {
        let manager = &self.server.manager;
        let refuse = |why: String| Ok(Err(Answer::Refused(why)));
        if version != VERSION {
            return refuse(format!("version {version} of the protocol; this is {VERSION}"));
        }
        if schema != manager.schema().fingerprint() {
            let table = manager.schema().table();
            return refuse(format!("the sink's table is not the one here, which is {table}"));
        }
        let writer = match Writer::new(&writer) {
            Ok(writer) => writer,
            Err(error) => return refuse(error.to_string()),
        };
        Ok(match manager.fence(&writer, identity, incarnation).await? {
            Err(Barred::Later(by)) => Err(Answer::Fenced { by }),
            Err(Barred::Stranger) => Err(Answer::Refused(writer.is_taken())),
            Ok(()) => Ok(Hello { writer, incarnation, mode }),
        })
    }

    fn write(&mut self, rows: &[u8]) {
        if self.open.len() + rows.len() > TRANSACTION_LEN_MAX {
            let limit = TRANSACTION_LEN_MAX;
            self.refused = Some(format!("more than {limit} bytes of rows in a transaction"));
        }
        if self.refused.is_none() {
            self.open.extend_from_slice(rows);
        }
    }

    /// Takes what is open; nothing is, after it.
    fn take_open(&mut self) -> Result<Rows, No> {
        let bytes = std::mem::take(&mut self.open);
        if let Some(reason) = self.refused.take() {
            return Err(No::Unable { reason });
        }
        let rows = Rows::parse(self.server.manager.schema(), bytes);
        rows.map_err(|error| No::Unable { reason: error.to_string() })
    }
}
