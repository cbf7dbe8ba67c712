//! Whether the tables hold exactly the rows of the source.

use std::sync::Arc;

use seedbed_engines::sink::{Row, Rows, Schema, Value};

use super::source::{self, Item};

/// Complaints that are kept; the others are counted.
const COMPLAINTS_MAX: usize = 5;

/// Compares rows with the source, in whatever order they come.
pub(super) struct Verifier {
    seed: u64,
    rows: u64,
    participants: usize,
    schema: Arc<Schema>,
    /// A bit for each row that was found.
    seen: Vec<u64>,
    expected: Rows,
    pub(super) count: u64,
    pub(super) checksum: u64,
    wrong: u64,
    complaints: Vec<String>,
}

impl Verifier {
    pub(super) fn new(seed: u64, rows: u64, participants: usize) -> Self {
        let words = usize::try_from(rows.div_ceil(64)).expect("fewer rows than memory has bits");
        Self {
            seed,
            rows,
            participants,
            schema: source::schema(),
            seen: vec![0; words],
            expected: Rows::new(),
            count: 0,
            checksum: 0,
            wrong: 0,
            complaints: Vec::new(),
        }
    }

    /// The table's schema.
    pub(super) fn schema(&self) -> Arc<Schema> {
        Arc::clone(&self.schema)
    }

    /// Looks at one row of a participant's table.
    pub(super) fn row(&mut self, participant: usize, row: Row<'_>) {
        self.count += 1;
        self.checksum = self.checksum.wrapping_add(checksum(row.bytes()));
        let id = match row.values().next() {
            Some(Value::Int(id)) => id.cast_unsigned(),
            _ => u64::MAX,
        };
        if id >= self.rows {
            return self.complain(format!("participant {participant} has row {row:?}: no such"));
        }
        let (word, bit) = ((id / 64) as usize, 1 << (id % 64));
        if self.seen[word] & bit != 0 {
            self.complain(format!("row {id} is there twice"));
        }
        self.seen[word] |= bit;
        let home = row.participant(&self.schema, self.participants);
        if home != participant {
            self.complain(format!("row {id} is at participant {participant}, not at {home}"));
        }
        Item::new(self.seed, id).encode(&self.schema, &mut self.expected);
        let expected = self.expected.iter().next().map(Row::bytes);
        if expected != Some(row.bytes()) {
            self.complain(format!("row {id} is {row:?}, which the source does not have"));
        }
    }

    fn complain(&mut self, text: String) {
        self.wrong += 1;
        if self.complaints.len() < COMPLAINTS_MAX {
            self.complaints.push(text);
        }
    }

    /// What is wrong, if anything is.
    pub(super) fn verdict(&mut self) -> Option<String> {
        let missing = |id: &u64| self.seen[(id / 64) as usize] & 1 << (id % 64) == 0;
        let all: Vec<u64> = (0..self.rows).filter(missing).collect();
        if let (Some(first), Some(last)) = (all.first(), all.last()) {
            let count = all.len();
            let missing = format!("{count} rows are missing, the first {first}, the last {last}");
            self.complain(missing);
        }
        let mut sum = 0_u64;
        for id in 0..self.rows {
            Item::new(self.seed, id).encode(&self.schema, &mut self.expected);
            let row = self.expected.iter().next().map(Row::bytes);
            sum = sum.wrapping_add(row.map_or(0, checksum));
        }
        if sum != self.checksum {
            let found = self.checksum;
            self.complain(format!("checksum {found:016x}, the source's is {sum:016x}"));
        }
        let more = self.wrong.saturating_sub(self.complaints.len() as u64);
        if more > 0 {
            self.complaints.push(format!("and {more} more"));
        }
        (self.wrong > 0).then(|| self.complaints.join("; "))
    }
}

/// A hash whose sum over rows does not depend on their order.
fn checksum(row: &[u8]) -> u64 {
    let hash = blake3::hash(row);
    hash.as_bytes()[..8].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rows: &[(u64, u64)]) -> Option<String> {
        let mut verifier = Verifier::new(7, 10, 1);
        let schema = source::schema();
        for (seed, id) in rows {
            let mut encoded = Rows::new();
            Item::new(*seed, *id).encode(&schema, &mut encoded);
            encoded.iter().for_each(|row| verifier.row(0, row));
        }
        verifier.verdict()
    }

    #[test]
    fn missing_double_changed_and_foreign_rows_are_told() {
        let all: Vec<_> = (0..10).map(|id| (7, id)).collect();
        assert_eq!(found(&all), None);
        assert!(found(&all[1..]).expect("one").contains("1 rows are missing, the first 0"));
        assert!(found(&[&all[..], &[(7, 3)]].concat()).expect("one").contains("row 3 is there tw"));
        assert!(found(&[&all[1..], &[(8, 0)]].concat()).expect("one").contains("row 0 is ["));
        assert!(found(&[&all[..], &[(7, 10)]].concat()).expect("one").contains("no such"));
    }
}
