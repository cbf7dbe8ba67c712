//! temp
use seedbed::*;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let plan = faults::Plan::load(&args[1]).unwrap();
    let n: u64 = args[2].parse().unwrap();
    let all = seedbed_scenarios::all();
    let mut sw = Sweep::new(0..n, plan);
    sw.jobs = 2;
    sw.plant = args.get(3).filter(|p| *p != "-").cloned();
    sw.violations_max = args.get(4).map_or(1, |a| a.parse().unwrap());
    #[allow(clippy::disallowed_methods)]
    let t = std::time::Instant::now();
    let swept = sweep(&*all[0], &sw, &Progress::default());
    println!("{:?} {} seeds, {:#?}", t.elapsed(), swept.seeds, swept.stats);
    for f in &swept.found {
        println!("{f:?}");
    }
    println!("{:?} {:?} {:x}", swept.inconclusive, swept.internal, swept.digest);
    if let Some(f) = swept.found.first()
        && args.len() > 5
    {
        let t = std::time::Instant::now();
        let trace = record(&*all[0], &sw.job(f.seed));
        if args[5] == "full" {
            println!("{}", traces::render(&trace, None));
        }
        let stop = Default::default();
        let s = shrink(&*all[0], &trace, &ShrinkLimits { runs_max: 20000, stop: &stop }).unwrap();
        println!("{}", traces::render(&s.trace, None));
        println!(
            "{:?} -> {:?} runs {} finished {} {:?}",
            s.before,
            s.after,
            s.runs,
            s.finished,
            t.elapsed()
        );
    }
}
