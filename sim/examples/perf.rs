//! temp
use seedbed::seam::*;
use seedbed::*;
use std::time::Duration;
fn main() {
    #[allow(clippy::disallowed_methods)]
    let t = |name: &str, n: u64, f: &mut dyn FnMut()| {
        let s = std::time::Instant::now();
        f();
        let e = s.elapsed();
        println!("{name}: {:.2} M/s", n as f64 / e.as_secs_f64() / 1e6);
    };
    for _ in 0..2 {
        t("timers 1000 tasks", 1000 * 2000, &mut || {
            let mut sim = Sim::new(1);
            let n = sim.add_node("a");
            let env = sim.boot(n);
            sim.run(env, async move {
                let hs: Vec<_> = (0..1000u64)
                    .map(|i| {
                        env.spawn(async move {
                            for k in 0..2000u64 {
                                env.sleep(Duration::from_nanos(
                                    1000 + (i * 7919 + k * 104729) % 5000,
                                ))
                                .await;
                            }
                        })
                    })
                    .collect();
                for h in hs {
                    h.await.unwrap();
                }
            })
            .unwrap();
        });
        t("append+sync evented", 1_000_000, &mut || {
            let mut sim = Sim::new(1);
            let n = sim.add_node("a");
            let env = sim.boot(n);
            sim.run(env, async move {
                let f = env.open("log", OpenOptions::read_write_create()).await.unwrap();
                for k in 0..1_000_000u64 {
                    f.write_all_at(&[7; 128], k * 128).await.unwrap();
                    f.sync_data().await.unwrap();
                }
            })
            .unwrap();
        });
        t("ping-pong", 2_000_000, &mut || {
            let mut sim = Sim::new(1);
            let n = sim.add_node("a");
            let env = sim.boot(n);
            sim.run(env, async move {
                let (tx, mut rx) = seam::sync::mpsc::channel::<u64>(16);
                let (tx2, mut rx2) = seam::sync::mpsc::channel::<u64>(16);
                env.spawn(async move {
                    while let Some(x) = rx.recv().await {
                        if tx2.send(x).await.is_err() {
                            break;
                        }
                    }
                });
                for i in 0..1_000_000u64 {
                    tx.send(i).await.unwrap();
                    rx2.recv().await.unwrap();
                }
            })
            .unwrap();
        });
        t("fresh 3-node world", 1_000_000, &mut || {
            for s in 0..1_000_000 {
                let mut sim = Sim::new(s);
                sim.add_node("a");
                sim.add_node("b");
                let n = sim.add_node("c");
                let env = sim.boot(n);
                sim.run(env, async move {}).unwrap();
                sim.finish();
            }
        });
        t("crash reopen verify", 200_000, &mut || {
            let mut sim = Sim::new(1);
            let n = sim.add_node("a");
            for i in 0..200_000u64 {
                let env = sim.boot(n);
                sim.run(env, async move {
                    let f = env.open("log", OpenOptions::read_write_create()).await.unwrap();
                    let mut b = [0; 128];
                    f.read_at(&mut b, 0).await.unwrap();
                    if i > 0 {
                        assert_eq!(b[0], (i as u8).wrapping_sub(1));
                    }
                    f.write_all_at(&[i as u8; 128], 0).await.unwrap();
                    f.sync_data().await.unwrap();
                    env.sync_dir("").await.unwrap();
                })
                .ok();
                if i < 3 {}
                sim.crash(n, CrashKind::PowerLoss);
            }
        });
    }
}
