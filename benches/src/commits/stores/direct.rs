//! The four baselines: ways to write a value to a file that are not durable.
//!
//! Every writer has a file of its own. Nothing is synced; what the operating system does by itself
//! (ext4 starts writing a file back when it replaces another one by rename) is in the figure.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::wal::write_zeros;
use super::{Kept, Put, Store, text};
use crate::commits::cell::Subject;
use crate::commits::load::{KEYS, Key, VALUE_LEN, Value};

/// See the module.
#[derive(Debug)]
pub(crate) struct Direct {
    how: Subject,
    /// By writer; the second is the temporary file.
    paths: Vec<(PathBuf, PathBuf)>,
    /// By writer, open all the time.
    files: Vec<File>,
}

impl Direct {
    pub(crate) fn create(how: Subject, dir: &Path, writers: usize) -> Result<Self, String> {
        let names = |nth| (dir.join(format!("file{nth}")), dir.join(format!("tmp{nth}")));
        let paths: Vec<_> = (0..writers).map(names).collect();
        let in_place = matches!(how, Subject::Reopen | Subject::Pwrite);
        let len = if in_place { KEYS * VALUE_LEN as u64 } else { VALUE_LEN as u64 };
        for (path, _) in &paths {
            let file = File::create(path).map_err(text("a baseline's file"))?;
            write_zeros(&file, len).map_err(text("a baseline's zeros"))?;
        }
        Self::open(how, paths)
    }

    fn open(how: Subject, paths: Vec<(PathBuf, PathBuf)>) -> Result<Self, String> {
        let files = paths.iter().map(|(path, _)| File::options().read(true).write(true).open(path));
        let files = files.collect::<Result<_, _>>().map_err(text("a baseline's file"))?;
        Ok(Self { how, paths, files })
    }

    fn write(&self, put: Put<'_>) -> std::io::Result<()> {
        let (path, temporary) = &self.paths[put.writer];
        let at = put.index * VALUE_LEN as u64;
        match self.how {
            Subject::Rewrite => fs::write(path, put.value),
            Subject::Rename => {
                fs::write(temporary, put.value)?;
                fs::rename(temporary, path)
            }
            Subject::Reopen => File::options().write(true).open(path)?.write_all_at(put.value, at),
            _ => self.files[put.writer].write_all_at(put.value, at),
        }
    }
}

impl Store for Direct {
    /// The files are there.
    fn fill(&self, _: &mut dyn Iterator<Item = (Key, Value)>) -> Result<(), String> {
        Ok(())
    }

    fn put(&self, put: Put<'_>) -> Result<u64, String> {
        self.write(put).map_err(text("a direct write"))?;
        Ok(0)
    }

    fn reopen(self: Box<Self>) -> Result<Box<dyn Store>, String> {
        let Self { how, paths, files } = *self;
        drop(files);
        Ok(Box::new(Self::open(how, paths)?))
    }

    fn find(&self, writer: usize, index: u64, key: &Key, _: u64) -> Result<Kept, String> {
        let whole = matches!(self.how, Subject::Rewrite | Subject::Rename);
        let at = if whole { 0 } else { index * VALUE_LEN as u64 };
        let mut found = vec![0; VALUE_LEN];
        self.files[writer].read_exact_at(&mut found, at).map_err(text("reading back"))?;
        // A file that is written anew holds the last key only.
        let other = whole && found[8..8 + key.len()] != key[..];
        Ok(if other { Kept::LetGo } else { Kept::Value(found) })
    }
}
