use seedbed::explore::*;
use std::sync::atomic::Ordering;
use std::time::Instant;
fn main() {
    let a: Vec<u32> = std::env::args().skip(1).map(|x| x.parse().unwrap()).collect();
    let all = seedbed_scenarios::all();
    let p = ExploreProgress::default();
    let what = Exploration {
        length_max: a[0],
        depth: a[1],
        deep_length_max: a[2],
        jobs: 2,
        plant: std::env::var("PLANT").ok(),
        rules: std::env::var("OMIT")
            .ok()
            .map(seedbed::faults::Rule::omit_sync)
            .into_iter()
            .chain(std::env::var("WEAKEN").ok().map(seedbed::faults::Rule::weaken_sync))
            .collect(),
        profiles: std::env::var("PROFILE")
            .ok()
            .map_or(seedbed::faults::Profile::FIVE.to_vec(), |p| {
                p.split(',').map(|p| p.parse().unwrap()).collect()
            }),
        ..Default::default()
    };
    let t = Instant::now();
    std::thread::scope(|s| {
        s.spawn(|| {
            for _ in 0..a[3] * 10 {
                std::thread::sleep(std::time::Duration::from_millis(100));
                if p.cases.load(Ordering::Relaxed) >= p.cases_total.load(Ordering::Relaxed).max(1) {
                    break;
                }
            }
            p.stop.store(true, Ordering::Relaxed);
        });
        let e = explore(&*all[0], &what, &p).unwrap();
        println!(
            "{:?} {} of {} {:?} found {}",
            e.tally,
            e.done,
            e.cases,
            t.elapsed(),
            e.found.len()
        );
        println!("checked/s/core {}", e.tally.checked as f64 / t.elapsed().as_secs_f64() / 2.0);
        println!("{:?}", e.inconclusive);
        for f in e.found {
            println!(
                "{:#?} {:?} {:?} {:?} trace {}",
                f.violation,
                f.case.sequence,
                f.case.profile.name,
                f.case.setting.name,
                f.trace.is_some()
            );
            println!("{:?} nodes {}", f.ordering(), f.nodes());
            if std::env::var("STORY").is_ok() {
                println!("{:#?}", f.story);
            }
        }
    });
}
