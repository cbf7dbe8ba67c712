//! Tests of the embedded participant: its bytes, its kernel, and a server that meets strangers.

mod golden;
mod kernel;
mod limits;
mod model;
mod server;
mod wire;

use std::collections::BTreeMap;
use std::io;

use seedbed_env::StreamRead;

use super::super::participant::{Decision, Gid, No, Outcome, WriteMode, Writer};
use super::super::row::{Row, Rows, Schema, Value};
use super::super::tests::{any_bytes, damaged_rows, hex, narrow, narrow_row, rows_of, wide};
use super::kernel::{Begun, Kernel, Prepared, Table, row_key, transaction_key};
use crate::atomic_commit::Batch;

/// A stream of these bytes, of which each read gives a few.
struct Bytes {
    rest: Vec<u8>,
    at_once: usize,
}

impl StreamRead for Bytes {
    async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = buf.len().min(self.rest.len()).min(self.at_once);
        buf[..len].copy_from_slice(&self.rest[..len]);
        self.rest.drain(..len);
        Ok(len)
    }
}

/// Runs a future that is always ready.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    use futures_util::FutureExt;
    future.now_or_never().expect("nothing is waited for")
}

fn gid(incarnation: u64, number: u64) -> Gid {
    Gid { incarnation, number }
}

fn writer(name: &str) -> Writer {
    Writer::new(name).unwrap()
}

/// A store in memory.
#[derive(Default)]
struct Memory(BTreeMap<Vec<u8>, Vec<u8>>);

impl Table for Memory {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.get(key).cloned()
    }

    fn len(&self, key: &[u8]) -> Option<usize> {
        self.0.get(key).map(Vec::len)
    }
}

impl Memory {
    fn write(&mut self, batch: &Batch) {
        for (key, value) in batch.changes() {
            match value {
                Some(value) => drop(self.0.insert(key, value)),
                None => drop(self.0.remove(&key)),
            }
        }
    }

    fn recover(&self, schema: &Schema) -> Kernel {
        let entries = self.0.iter().map(|(key, value)| (key.as_slice(), value.as_slice()));
        Kernel::recover(schema, entries).expect("it is ours")
    }
}

/// A kernel and its store, used as the manager uses them.
struct Desk {
    schema: std::sync::Arc<Schema>,
    kernel: Kernel,
    memory: Memory,
}

impl Desk {
    fn new(schema: std::sync::Arc<Schema>) -> Self {
        Self { schema, kernel: Kernel::default(), memory: Memory::default() }
    }

    fn fence(&mut self, writer: &Writer, incarnation: u64) {
        let batch = self.kernel.fence(writer, 7, incarnation);
        self.memory.write(&batch);
    }

    fn prepare(
        &mut self,
        writer: &Writer,
        gid: Gid,
        finished: Gid,
        mode: WriteMode,
        rows: Rows,
    ) -> Result<(), No> {
        let prepared = Prepared { mode, rows };
        let mut batch = self.kernel.prepare(&self.schema, &self.memory, writer, gid, &prepared)?;
        self.kernel.finish(writer, finished, &mut batch);
        self.memory.write(&batch);
        self.kernel.prepared(writer, gid);
        Ok(())
    }

    fn commit_open(&mut self, mode: WriteMode, rows: Rows) -> Result<(), No> {
        let prepared = Prepared { mode, rows };
        self.kernel.lock(&self.schema, &self.memory, &prepared)?;
        let mut batch = Batch::new();
        prepared.apply(&self.schema, &self.memory, &mut batch).unwrap();
        self.memory.write(&batch);
        self.kernel.unlock(&self.schema, &prepared.rows);
        Ok(())
    }

    fn decide(&mut self, writer: &Writer, gid: Gid, decision: Decision, by_hand: bool) -> Outcome {
        match self.kernel.decide(writer, gid, decision) {
            Begun::Answer(outcome) => outcome,
            Begun::Agreed(batch) => {
                self.memory.write(&batch);
                self.kernel.told(writer, gid);
                Outcome::Done
            }
            Begun::Wait => panic!("nobody else works on it"),
            Begun::Ours => {
                let key = transaction_key(b'p', writer, gid);
                let prepared = Prepared::parse(&self.schema, &self.memory.0[&key]).unwrap();
                let mut batch = Batch::new();
                if decision == Decision::Commit {
                    prepared.apply(&self.schema, &self.memory, &mut batch).unwrap();
                }
                batch.delete(key);
                let mark: Option<&[u8]> = match (decision, by_hand) {
                    (Decision::Commit, false) => Some(b"c"),
                    (Decision::Commit, true) => Some(b"C"),
                    (Decision::Abort, true) => Some(b"A"),
                    (Decision::Abort, false) => None,
                };
                if let Some(mark) = mark {
                    batch.put(transaction_key(b'c', writer, gid), mark);
                }
                self.memory.write(&batch);
                let (schema, rows) = (&self.schema, &prepared.rows);
                self.kernel.decided(schema, writer, gid, decision, by_hand, rows);
                Outcome::Done
            }
        }
    }

    fn forget(&mut self, writer: &Writer, gid: Gid) {
        if let Some(batch) = self.kernel.tell(writer, gid) {
            self.memory.write(&batch);
            self.kernel.told(writer, gid);
        }
    }

    /// The rows of the narrow table.
    fn rows(&self) -> Vec<(i64, Option<String>, Option<String>)> {
        let rows = self.memory.0.range(row_key(&[])..).take_while(|(key, _)| key[0] == b'r');
        let text = |value| match value {
            Some(Value::Null) => None,
            Some(Value::Text(text)) => Some(text.to_owned()),
            other => panic!("not a row of ours: {other:?}"),
        };
        rows.map(|(_, bytes)| {
            let row = Row::parse(&self.schema, bytes).unwrap();
            let mut values = row.values();
            let Some(Value::Int(id)) = values.next() else { panic!("not a row of ours: {row:?}") };
            (id, text(values.next()), text(values.next()))
        })
        .collect()
    }
}
