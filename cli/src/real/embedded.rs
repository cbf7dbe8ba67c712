//! Embedded participants, each a process with a folder and a port of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use seedbed_engines::sink::embedded::{Options, Server};
use seedbed_env::OsEnv;

use super::child::{Process, Said, tail};
use super::process::{ParticipantRole, Role, writer};
use super::verify::Verifier;
use super::{Ended, failure, source};

/// How long one may take to be ready: recovery is part of it.
const READY_MAX: Duration = Duration::from_secs(60);

/// One of them.
#[derive(Debug)]
struct Site {
    dir: PathBuf,
    log: PathBuf,
    port: u16,
    process: Option<Process>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Embedded {
    sites: Vec<Site>,
    plant: Option<String>,
}

impl Embedded {
    /// Starts so many below a folder.
    pub(super) fn start(folder: &Path, count: usize, plant: Option<&str>) -> Result<Self, Ended> {
        let mut all = Self { sites: Vec::new(), plant: plant.map(str::to_owned) };
        for nth in 0..count {
            let dir = folder.join(format!("p{nth}"));
            std::fs::create_dir(&dir).map_err(|error| failure(&dir.display(), error))?;
            let log = folder.join(format!("p{nth}.log"));
            all.sites.push(Site { dir, log, port: 0, process: None });
            all.start_one(nth)?;
        }
        Ok(all)
    }

    pub(super) fn len(&self) -> usize {
        self.sites.len()
    }

    pub(super) fn addrs(&self) -> Vec<SocketAddr> {
        self.sites.iter().map(|site| SocketAddr::from(([127, 0, 0, 1], site.port))).collect()
    }

    pub(super) fn kill(&mut self, nth: usize) {
        if let Some(process) = self.sites[nth].process.take() {
            process.kill();
        }
    }

    /// Starts one, and gives how many transactions it finds prepared.
    pub(super) fn start_one(&mut self, nth: usize) -> Result<u64, Ended> {
        let plant = self.plant.clone();
        let site = &mut self.sites[nth];
        let role = ParticipantRole { dir: site.dir.clone(), port: site.port, plant };
        let started = Process::start(&Role::Participant(role), &site.log);
        let process = started.map_err(|error| failure(&"starting a participant", error))?;
        let line = answer(&process, &site.log)?;
        let mut words = line.strip_prefix("ready ").unwrap_or_default().split(' ');
        let (port, prepared) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (Ok(port), Ok(prepared)) = (port.parse(), prepared.parse()) else {
            return Err(Ended::broken(&format!("a participant said {line:?}"), &site.log));
        };
        (site.port, site.process) = (port, Some(process));
        Ok(prepared)
    }

    /// How many transactions are prepared.
    pub(super) fn prepared(&mut self) -> Result<u64, Ended> {
        let mut sum = 0;
        for site in &mut self.sites {
            let Some(process) = &mut site.process else { continue };
            process.order("list");
            let line = answer(process, &site.log)?;
            let count: Option<u64> = line.strip_prefix("prepared ").and_then(|n| n.parse().ok());
            let wrong = || Ended::broken(&format!("a participant said {line:?}"), &site.log);
            sum += count.ok_or_else(wrong)?;
        }
        Ok(sum)
    }

    /// One that has ended by itself.
    pub(super) fn check(&mut self) -> Result<(), Ended> {
        for (nth, site) in self.sites.iter_mut().enumerate() {
            if site.process.as_mut().is_some_and(Process::has_ended) {
                let process = site.process.take();
                let said = process.map_or(Said::Ended, |process| process.listen(Duration::ZERO));
                let what = format!("participant {nth} has ended by itself ({said:?})");
                return Err(Ended::broken(&what, &site.log));
            }
        }
        Ok(())
    }

    /// Ends them in good order and looks at their tables.
    pub(super) async fn verify(&mut self, verifier: &mut Verifier) -> Result<u64, Ended> {
        let mut prepared = 0;
        for (nth, site) in self.sites.iter_mut().enumerate() {
            if let Some(mut process) = site.process.take() {
                process.order("close");
                process.wait().map_err(|error| failure(&"waiting for a participant", error))?;
            }
            let (env, any) = (OsEnv::new(&site.dir), SocketAddr::from(([127, 0, 0, 1], 0)));
            let opened = Server::open(env, "rows", any, source::schema(), Options::default());
            let server = opened.await.map_err(|error| failure(&site.dir.display(), error))?;
            server.for_each_row(|row| verifier.row(nth, row));
            prepared += server.prepared(&writer()).len() as u64;
            server.close().await.map_err(|error| failure(&site.dir.display(), error))?;
        }
        Ok(prepared)
    }
}

fn answer(process: &Process, log: &Path) -> Result<String, Ended> {
    match process.listen(READY_MAX) {
        Said::Line(line) => match line.strip_prefix("failed ") {
            Some(why) => Err(Ended::broken(&format!("a participant failed: {why}"), log)),
            None => Ok(line),
        },
        said => {
            let what = if said == Said::Ended { "has ended" } else { "does not answer" };
            Err(Ended::broken(&format!("a participant {what}{}", tail(log)), log))
        }
    }
}
