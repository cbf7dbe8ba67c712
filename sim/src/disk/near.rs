//! What is looked at where a disk has too many images: legal sets near prefixes of the program
//! order.
//!
//! Most known crash bugs need one or two operations out of order (Pillai et al., OSDI 2014), so
//! each prefix is looked at, and prefixes with a few nodes *flipped*: lost though they are older
//! than the prefix's end, or kept though they are newer, with what they need and what needs them.
//!
//! Of many nodes only *representatives* are flipped: those that the same line of the engine made in
//! the same way are a class, and what one of them breaks, the others mostly break as well (Gu et
//! al., OOPSLA 2025). Of each class these are the ones next to the prefix's end on either side, the
//! first and the last; and prefixes to flip nodes of are taken where the class of the last node
//! says something new. So the work grows with the nodes times a number that the source has, not
//! with their cube.

use seedbed_env::map::{FxHashMap, FxHashSet};
use xxhash_rust::xxh3::xxh3_128;

use super::images::{Bounds, Tear};
use super::{CrashImage, Kept, NodeOp, Pending};

/// Up to so many nodes, each represents itself.
const FEW: usize = 40;
/// Nodes of a class that are flipped, on each side of a prefix's end.
const NEAR: usize = 2;
/// Prefixes of which nodes are flipped, for each class of their last node.
const ENDS: usize = 4;

/// What a node was made by: the operation, and the line of the engine.
type Origin<'a> = (NodeOp, Option<(&'a str, u32)>);

/// The classes of a disk's nodes.
struct Classes {
    /// Of each node.
    class: Vec<usize>,
    /// Of each class its nodes, in program order.
    members: Vec<Vec<usize>>,
}

impl Classes {
    fn new(pending: &Pending<'_>) -> Self {
        let mut known: FxHashMap<Origin<'_>, usize> = FxHashMap::default();
        let (mut class, mut members) = (Vec::new(), Vec::<Vec<usize>>::new());
        for (node, persist) in pending.nodes().iter().enumerate() {
            let line = persist.site.map(|site| (site.file(), site.line()));
            let next = match pending.len() <= FEW {
                true => node,
                false => *known.entry((pending.op(node), line)).or_insert(members.len()),
            };
            if next == members.len() {
                members.push(Vec::new());
            }
            members[next].push(node);
            class.push(next);
        }
        Self { class, members }
    }

    /// The nodes to flip of the prefix of so many nodes.
    fn to_flip(&self, end: usize) -> Vec<usize> {
        let of_class = |members: &Vec<usize>| {
            let at = members.partition_point(|&node| node < end);
            let near = at.saturating_sub(NEAR)..(at + NEAR).min(members.len());
            let mut picked: Vec<usize> = members[near].to_vec();
            picked.extend(members.first().into_iter().chain(members.last()));
            picked
        };
        let mut nodes: Vec<usize> = self.members.iter().flat_map(of_class).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }

    /// Of which prefixes nodes are flipped, by their lengths: a few for each class of the last
    /// node, spread over the class, the longest first.
    fn ends(&self) -> Vec<usize> {
        let of_class = |members: &Vec<usize>| {
            let step = members.len().div_ceil(ENDS);
            members.iter().rev().step_by(step).map(|node| node + 1).collect::<Vec<_>>()
        };
        let mut ends: Vec<usize> = self.members.iter().flat_map(of_class).chain([0]).collect();
        ends.sort_unstable();
        ends.reverse();
        ends
    }

    /// Of these nodes the first ones of each class.
    fn representatives(&self, nodes: Vec<usize>) -> Vec<usize> {
        let mut taken = vec![0; self.members.len()];
        let is_among_first = |node: &usize| {
            taken[self.class[*node]] += 1;
            taken[self.class[*node]] <= NEAR
        };
        nodes.into_iter().filter(is_among_first).collect()
    }
}

impl Pending<'_> {
    /// Visits the images of prefixes, all of them, then of prefixes with up to `bounds.flips` nodes
    /// flipped, until these and `bounds.images` are reached or `visit` returns false.
    pub(super) fn images_near_prefixes(
        &self,
        bounds: Bounds,
        visit: &mut impl FnMut(&CrashImage<'_>) -> bool,
    ) {
        let (classes, mut seen, mut visited) = (Classes::new(self), FxHashSet::default(), 0);
        self.near_prefixes(&classes, bounds.flips, &mut |kept: &Kept, flipped| {
            if !self.is_legal(kept) {
                return true;
            }
            if flipped && visited >= bounds.images {
                return false;
            }
            let torn = classes.representatives(self.first_lost(kept));
            self.tear_each(kept, &torn, |tears: &[Tear]| {
                let hash = self.image(kept, tears).content_hash();
                if !seen.insert(hash) {
                    return true;
                }
                visited += 1;
                visit(&CrashImage { pending: self, kept, tears, hash, parts: None })
            })
        });
    }

    /// Visits the sets themselves, and says whether nodes are flipped.
    fn near_prefixes(
        &self,
        classes: &Classes,
        flips: u32,
        visit: &mut impl FnMut(&Kept, bool) -> bool,
    ) {
        let prefix = |len: usize| (0..self.len()).map(|node| node < len).collect::<Kept>();
        // The two ends first: they are on every list of images that must be looked at.
        let between = (1..self.len()).rev();
        let lens = [self.len(), 0].into_iter().chain(between);
        if !lens.into_iter().all(|len| visit(&prefix(len), false)) || flips == 0 {
            return;
        }
        let mut seen = FxHashSet::default();
        for flips in 1..=flips {
            for end in classes.ends() {
                let nodes = classes.to_flip(end);
                let mut each = |kept: &Kept| {
                    let bytes: Vec<u8> = kept.iter().map(|&kept| u8::from(kept)).collect();
                    !seen.insert(xxh3_128(&bytes)) || visit(kept, true)
                };
                if !self.flip_each(&prefix(end), &nodes, flips, &mut each) {
                    return;
                }
            }
        }
    }

    /// Visits the set with each choice of so many of these nodes flipped, one after the other.
    fn flip_each(
        &self,
        kept: &Kept,
        nodes: &[usize],
        flips: u32,
        visit: &mut impl FnMut(&Kept) -> bool,
    ) -> bool {
        if flips == 0 {
            return visit(kept);
        }
        let mut each = |&node: &usize| {
            self.flip_each(&self.flipped(kept, node), nodes, flips - 1, &mut *visit)
        };
        nodes.iter().all(&mut each)
    }

    fn flipped(&self, kept: &Kept, node: usize) -> Kept {
        let mut kept = kept.clone();
        kept[node] = !kept[node];
        match kept[node] {
            true => self.close_up(&mut kept),
            false => self.close_down(&mut kept),
        }
        kept
    }
}
