//! No checker complains about a lawful history, and none panics on an unlawful one.

use crate::lawful::Lawful;
use crate::{Variant, check_all};

pub(super) const VARIANTS: [Variant; 3] =
    [Variant::PresumedNothing, Variant::PresumedAbort, Variant::PresumedCommit];

/// A case of each seed: all variants, one to five participants, with and without trouble.
pub(super) fn case(seed: u64) -> Lawful {
    let variant = VARIANTS[(seed % 3) as usize];
    let participants = 1 + (seed % 5) as u8;
    let trouble_one_in = [0, 30, 100, 400][(seed / 3 % 4) as usize];
    Lawful { seed, events: 600, participants, variant, trouble_one_in }
}

#[test]
fn every_law_holds_on_1200_lawful_histories() {
    for seed in 0..1_200 {
        let (history, given) = case(seed).generate();
        for judgement in check_all(&history, &given) {
            let shown = judgement.verdict.violation().map(|found| {
                found.witness.iter().map(|at| history[*at].to_string()).collect::<Vec<_>>()
            });
            assert!(judgement.verdict.is_ok(), "seed {seed}: {judgement}: {shown:#?}");
        }
    }
}
