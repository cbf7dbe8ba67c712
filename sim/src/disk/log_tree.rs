//! btrfs between its commits: the log tree, which holds single files and directories that were
//! synced, out of the order of everything else.
//!
//! What a sync makes durable for sure is little: the file, where it is now and that it is no longer
//! where it was; of a directory its names. What a log takes along besides may persist, or not.

use super::names::{NameVersion, Place};
use super::{Disk, Ino, Node};

impl Disk {
    /// Whether nothing that readers see stands for this inode.
    pub(super) fn is_nameless(&self, ino: Ino) -> bool {
        let names = |inode: &super::Inode| match &inode.node {
            Node::Dir(dir) => dir.iter().any(|(_, named)| named == ino),
            Node::File(_) => false,
        };
        ino != super::ROOT && !self.inodes.iter().any(|(_, inode)| names(inode))
    }

    /// A change of a name joins the log if it has the inode or the directory.
    pub(super) fn joins_log(&self, dir: Ino, name: &str, ino: Option<Ino>) -> bool {
        let Some(data) = data_of(self, dir) else { return false };
        let is_logged = |ino: Ino| self.inodes[ino as usize].logged;
        is_logged(dir) || ino.is_some_and(is_logged) || data.get(name).is_some_and(is_logged)
    }

    /// Gives a name a new version, and lets go what the log may hold of it no more, or not yet.
    pub(super) fn bind_in_log(&mut self, dir: Ino, name: &str, mut version: NameVersion) {
        version.free |= self.joins_log(dir, name, version.ino);
        let (is_free, ino) = (version.free, version.ino);
        if is_free {
            // The log holds what the name stands for now, without what it stood for before.
            self.dir_mut(dir).loosen(|other, _, _| other == name);
            // And the directory, with where it is now.
            self.loosen_names_of(dir, version.op);
            self.loosen_moved_dirs(version.op);
            self.inodes[dir as usize].logged |= dir != super::ROOT;
        }
        // A new one that the log has as well comes with its name.
        let is_new_logged =
            ino.is_some_and(|ino| self.inodes[ino as usize].logged && !self.is_dir(ino));
        let old = self.dir_mut(dir).get(name);
        let replaced = old.filter(|&old| {
            is_free && ino.is_some() && !is_new_logged && self.inodes[old as usize].logged
        });
        if version.ino.is_none() && version.pair.is_some() {
            let first = self.seq + 1;
            self.seq += 2;
            self.dir_mut(dir).push(name, version);
            let unsettled = self.dir_mut(dir).unsettle_moved(name, first);
            self.link(unsettled);
        } else {
            let op = version.op;
            if !is_new_logged {
                let unsettled = self.dir_mut(dir).unsettle(name, &version);
                self.link(unsettled);
            }
            self.dir_mut(dir).push(name, version);
            if let Some(old) = old.filter(|&old| self.is_dir(old)) {
                self.bring_back(old, op - 1);
            }
        }
        if let Some(old) = replaced {
            // The log holds that the old one is gone, and not yet what took its place.
            self.dir_mut(dir).interrupt(old);
        }
        if is_free && let Some(ino) = ino {
            self.log_len(ino);
        }
    }

    /// A directory is gone by operation `op`, and the log had it: with that, what the log held of
    /// it may go as well, and leave it where the last commit has it.
    fn bring_back(&mut self, ino: Ino, op: u64) {
        let last = self.next_seq();
        let mut times = 0;
        for (_, inode) in &mut self.inodes {
            if let Node::Dir(dir) = &mut inode.node {
                times += dir.bring_back(ino, (op, last), self.site);
            }
        }
        (0..times).for_each(|_| self.link(Some(ino)));
    }

    /// A sync of a file without a name, whose names may still come back. The log may hold that it
    /// is gone, even where another file has replaced it, and its directories with it; or nothing of
    /// it any more, so that a name that comes back has what the last commit has. None of it for
    /// sure.
    pub(super) fn log_nameless(&mut self, ino: Ino, upto: u64) {
        let by = (self.next_seq(), self.site);
        // What it held of the file is an operation of its own.
        self.next_seq();
        self.loosen_around(ino, upto);
        for (_, inode) in &mut self.inodes {
            match &mut inode.node {
                Node::Dir(dir) if dir.mentions(ino) => dir.interrupt(ino),
                _ => {}
            }
        }
        let Some(inode) = self.inodes.get_mut(ino as usize) else { return };
        let Node::File(file) = &mut inode.node else { return };
        self.used -= file.page_bytes();
        match inode.committed.take() {
            Some(committed) => file.revert(&committed, by),
            None => file.loosen(upto),
        }
        self.used += file.page_bytes();
    }

    /// The directories that an inode was or is in may be in the log as well, with all their names,
    /// where they are now, and other names of what is in them.
    fn loosen_around(&mut self, ino: Ino, upto: u64) {
        self.loosen_moved_dirs(upto);
        let (mut around, mut pairs) = (Vec::new(), Vec::new());
        for (at, inode) in &mut self.inodes {
            if let Node::Dir(dir) = &mut inode.node
                && dir.mentions(ino)
            {
                inode.logged |= at as Ino != super::ROOT;
                around.push(at as Ino);
                let pending = dir.pending().flat_map(|(_, versions)| versions);
                around.extend(pending.filter_map(|version| version.ino));
                pairs.extend(dir.loosen(|_, _, version| version.op <= upto));
            }
        }
        self.loosen_pairs(&pairs);
        around.sort_unstable();
        around.dedup();
        around.into_iter().for_each(|ino| self.loosen_names_of(ino, upto));
    }

    /// Which renames of directories a log takes along is nothing to rely on.
    fn loosen_moved_dirs(&mut self, upto: u64) {
        let is_dir = |inode: &super::Inode| matches!(inode.node, Node::Dir(_));
        let dirs: Vec<Ino> =
            self.inodes.iter().filter(|(_, i)| is_dir(i)).map(|(at, _)| at as Ino).collect();
        let mut pairs = Vec::new();
        for &at in &dirs {
            if let Node::Dir(dir) = &mut self.inodes[at as usize].node {
                pairs.extend(dir.loosen(|_, _, version| {
                    let moves = version.pair.is_some()
                        && version.ino.is_some_and(|ino| dirs.contains(&ino));
                    moves && version.op <= upto
                }));
            }
        }
        self.loosen_pairs(&pairs);
    }

    /// The other names of an inode may be in the log as well, and that it has lost some.
    pub(super) fn loosen_names_of(&mut self, ino: Ino, upto: u64) {
        let mut pairs = Vec::new();
        for (_, inode) in &mut self.inodes {
            if let Node::Dir(dir) = &mut inode.node {
                pairs.extend(dir.loosen(|_, before, version| {
                    version.op <= upto && (version.ino == Some(ino) || before == Some(ino))
                }));
            }
        }
        self.loosen_pairs(&pairs);
    }

    fn loosen_pairs(&mut self, pairs: &[(Place, u64)]) {
        for (place, op) in pairs {
            if let Some(Node::Dir(dir)) =
                self.inodes.get_mut(place.dir as usize).map(|inode| &mut inode.node)
            {
                dir.loosen(|name, _, version| *name == *place.name && version.op == *op);
            }
        }
    }

    /// Before a file's first sync since the last commit: what that commit has of it.
    pub(super) fn keep_committed(&mut self, ino: Ino) {
        if let Some(inode) = self.inodes.get_mut(ino as usize)
            && let Node::File(file) = &inode.node
            && inode.committed.is_none()
        {
            inode.committed = Some(Box::new(file.durable_part()));
        }
    }

    /// A commit: what the log held is in the trees, and the log is empty.
    pub(super) fn end_log(&mut self) {
        let mut displaced = Vec::new();
        for (_, inode) in &mut self.inodes {
            inode.logged = false;
            inode.committed = None;
            if let Node::Dir(dir) = &mut inode.node {
                displaced.extend(dir.forget_committed());
            }
        }
        displaced.into_iter().for_each(|ino| self.unlink(Some(ino)));
    }

    /// The log takes a file's length from memory when it takes its name: as it is, or as it was
    /// when data was written back.
    pub(super) fn log_len(&mut self, ino: Ino) {
        let by = (self.next_seq(), self.site);
        if let Some(Node::File(file)) = self.inodes.get_mut(ino as usize).map(|i| &mut i.node) {
            file.log_len(by);
        }
    }

    /// A sync of a file or directory: its own names become durable, with the directories above
    /// them, and of a directory the names in it. A file that is displaced by that keeps a name.
    pub(super) fn log(&mut self, ino: Ino, upto: u64) {
        if self.is_nameless(ino) {
            return;
        }
        if self.is_dir(ino) {
            // The old place of what was moved here is not looked at: it may have both names then.
            self.settle_names_in(ino, upto);
        } else {
            self.loosen_around(ino, upto);
        }
        self.log_names(ino, upto);
    }

    fn settle_names_in(&mut self, dir: Ino, upto: u64) {
        let Some(data) = data_of(self, dir) else { return };
        let names = data.pending().filter(|(_, versions)| versions[0].op <= upto);
        let places: Vec<Place> = names.map(|(name, _)| Place { dir, name: name.into() }).collect();
        for place in places {
            let named = data_of(self, dir).and_then(|data| data.get(&place.name));
            self.log_place(place, upto);
            if let Some(ino) = named {
                // The log has the inode as well.
                self.inodes[ino as usize].logged = true;
                self.log_len(ino);
                self.loosen_around(ino, upto);
            }
        }
    }

    /// Makes durable where an inode is, and that it is not where it durably was.
    fn log_names(&mut self, ino: Ino, upto: u64) {
        if self.is_replaced(ino) && self.is_in_new_dir(ino) {
            // What took its name is looked at instead, and not the directory that it moved to.
            return self.loosen_around(ino, upto);
        }
        let Some(inode) = self.inodes.get_mut(ino as usize) else { return };
        let was_logged = std::mem::replace(&mut inode.logged, true);
        let (mut present, mut left) = (Vec::new(), Vec::new());
        for (dir, inode) in &self.inodes {
            let Node::Dir(data) = &inode.node else { continue };
            for (name, versions) in data.pending() {
                let place = Place { dir: dir as Ino, name: name.into() };
                let versions = || versions.iter().filter(|version| version.op <= upto);
                if let Some(last) = versions().next_back().filter(|last| last.ino == Some(ino)) {
                    present.push((place, last.op));
                } else if let Some(first) = versions().next()
                    && data.durable(name) == Some(ino)
                    && first.ino.is_none()
                {
                    // That a file was unlinked which the log had already, or whose directory it
                    // had, it may not notice.
                    let is_missed = (was_logged || inode.logged) && first.pair.is_none();
                    left.push((place, first.op, is_missed));
                }
            }
        }
        for (place, op) in present {
            let dir = place.dir;
            self.log_place(place, op);
            if dir == super::ROOT {
                continue;
            }
            match self.has_durable_name(dir) {
                // That a directory above was renamed is not in the log: it has its old name there.
                true => self.inodes[dir as usize].logged = true,
                false => self.log_names(dir, upto),
            }
        }
        for (place, op, is_missed) in left {
            let Some(Node::Dir(data)) =
                self.inodes.get_mut(place.dir as usize).map(|inode| &mut inode.node)
            else {
                continue;
            };
            match data.uncover(&place.name, ino) {
                true => self.unlink(Some(ino)),
                false if is_missed => {}
                false => self.log_place(place, op),
            }
        }
    }

    /// Makes a name durable up to an operation. What durably had it keeps a name elsewhere.
    fn log_place(&mut self, place: Place, upto: u64) {
        // The directory may have gone with what was made durable just before.
        let Some(data) = data_of(self, place.dir) else { return };
        // A rename took it away; of a file that was unlinked no other name is looked for.
        let displaced = data.durable(&place.name).filter(|_| data.is_moved(&place.name));
        let handle = displaced.filter(|&ino| !self.is_nameless(ino));
        self.make_places_durable(vec![(place, upto)], |_| false);
        if let Some(ino) = handle.filter(|&ino| !self.has_durable_name(ino)) {
            if self.is_in_new_dir(ino) {
                // Nor does it look for a file that was moved into a directory it has not.
                return self.loosen_names_of(ino, u64::MAX);
            }
            self.loosen_around(ino, u64::MAX);
            self.log_names(ino, u64::MAX);
            self.log_len(ino);
        }
    }

    /// Whether a rename has put another inode in the place of one, where it durably is.
    fn is_replaced(&self, ino: Ino) -> bool {
        let replaces = |(_, durable, versions): (_, Option<Ino>, &[NameVersion])| {
            let moved = |version: &NameVersion| version.ino.is_some() && version.pair.is_some();
            durable == Some(ino) && versions.iter().any(moved)
        };
        self.inodes.iter().any(|(_, inode)| match &inode.node {
            Node::Dir(dir) => dir.all().any(replaces),
            Node::File(_) => false,
        })
    }

    /// Whether all that stands for an inode is in directories that are not durable.
    fn is_in_new_dir(&self, ino: Ino) -> bool {
        let names = |dir: &super::DirData| dir.iter().any(|(_, named)| named == ino);
        let dirs = self.inodes.iter().filter_map(|(dir, inode)| match &inode.node {
            Node::Dir(data) if names(data) => Some(dir as Ino),
            _ => None,
        });
        dirs.into_iter().all(|dir| dir != super::ROOT && !self.has_durable_name(dir))
    }

    fn has_durable_name(&self, ino: Ino) -> bool {
        let names = |inode: &super::Inode| match &inode.node {
            Node::Dir(dir) => dir.names_durably(ino),
            Node::File(_) => false,
        };
        self.inodes.iter().any(|(_, inode)| names(inode))
    }
}

fn data_of(disk: &Disk, dir: Ino) -> Option<&super::DirData> {
    match &disk.inodes.get(dir as usize)?.node {
        Node::Dir(data) => Some(data),
        Node::File(_) => None,
    }
}
