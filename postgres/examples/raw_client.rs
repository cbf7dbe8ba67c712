//! raw
#![allow(clippy::disallowed_methods, missing_docs)]
use bytes::Bytes;
use futures_util::{SinkExt, pin_mut};
use seedbed_postgres::cluster::Cluster;
use std::time::Instant;
use tokio_postgres::{
    Client, NoTls,
    binary_copy::BinaryCopyInWriter,
    types::{ToSql, Type},
};
async fn connect(url: &str) -> Client {
    let (c, d) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(d);
    c
}
#[tokio::main]
async fn main() {
    let cluster = Cluster::start(&Cluster::find().unwrap()).unwrap();
    let url = cluster.create_database("bench").await.unwrap();
    let c = connect(&url).await;
    c.batch_execute(
        "create table t(id bigint primary key, account bigint, amount bigint, note text)",
    )
    .await
    .unwrap();
    let ins = c
        .prepare(
            "insert into t select * from unnest($1::bigint[],$2::bigint[],$3::bigint[],$4::text[])",
        )
        .await
        .unwrap();
    let one = c.prepare("insert into t values($1,$2,$3,$4)").await.unwrap();
    let copy = c.prepare("copy t from stdin binary").await.unwrap();
    let mut id = 0i64;
    for batch in [1usize, 10, 30, 100, 300, 1000, 10000] {
        let reps = (20000 / batch).clamp(20, 1000);
        let mut res = vec![vec![]; 4];
        for _ in 0..5 {
            for which in 0..4 {
                if which == 3 && batch > 1 {
                    continue;
                }
                c.batch_execute("truncate t").await.unwrap();
                let t = Instant::now();
                for _ in 0..reps {
                    let ids: Vec<i64> = (0..batch as i64).map(|x| x + id).collect();
                    id += batch as i64;
                    match which {
                        0 => {
                            let (_, s) = tokio::join!(
                                c.batch_execute("begin"),
                                c.copy_in::<_, Bytes>(&copy)
                            );
                            let s = s.unwrap();
                            let w = BinaryCopyInWriter::new(
                                s,
                                &[Type::INT8, Type::INT8, Type::INT8, Type::TEXT],
                            );
                            pin_mut!(w);
                            for i in &ids {
                                let n = "a note of 20 bytes..".to_string();
                                w.as_mut()
                                    .write(&[i as &(dyn ToSql + Sync), i, i, &n])
                                    .await
                                    .unwrap();
                            }
                            w.finish().await.unwrap();
                            c.batch_execute("commit").await.unwrap();
                        }
                        1 => {
                            let notes = vec!["a note of 20 bytes.."; batch];
                            let p: [&(dyn ToSql + Sync); 4] = [&ids, &ids, &ids, &notes];
                            let (a, b, d) = tokio::join!(
                                c.batch_execute("begin"),
                                c.execute(&ins, &p),
                                c.batch_execute("commit")
                            );
                            a.unwrap();
                            b.unwrap();
                            d.unwrap();
                        }
                        2 => {
                            let mut buf = Vec::with_capacity(batch * 64);
                            buf.extend_from_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
                            for i in &ids {
                                buf.extend_from_slice(&4i16.to_be_bytes());
                                for _ in 0..3 {
                                    buf.extend_from_slice(&8i32.to_be_bytes());
                                    buf.extend_from_slice(&i.to_be_bytes());
                                }
                                buf.extend_from_slice(&20i32.to_be_bytes());
                                buf.extend_from_slice(b"a note of 20 bytes..");
                            }
                            buf.extend_from_slice(&(-1i16).to_be_bytes());
                            let (_, s) = tokio::join!(
                                c.batch_execute("begin"),
                                c.copy_in::<_, Bytes>(&copy)
                            );
                            let s = s.unwrap();
                            pin_mut!(s);
                            s.send(Bytes::from(buf)).await.unwrap();
                            let (a, b) = tokio::join!(s.finish(), c.batch_execute("commit"));
                            a.unwrap();
                            b.unwrap();
                        }
                        _ => {
                            let n = "a note of 20 bytes..";
                            let p: [&(dyn ToSql + Sync); 4] = [&ids[0], &ids[0], &ids[0], &n];
                            let (a, b, d) = tokio::join!(
                                c.batch_execute("begin"),
                                c.execute(&one, &p),
                                c.batch_execute("commit")
                            );
                            a.unwrap();
                            b.unwrap();
                            d.unwrap();
                        }
                    }
                }
                res[which].push(t.elapsed().as_secs_f64() / reps as f64 * 1e6);
            }
        }
        let med = |v: &mut Vec<f64>| {
            v.sort_by(f64::total_cmp);
            v.get(v.len() / 2).copied().unwrap_or(0.)
        };
        println!(
            "{batch}: copywriter {:.0} unnest {:.0} copyown {:.0} one {:.0} us",
            med(&mut res[0]),
            med(&mut res[1]),
            med(&mut res[2]),
            med(&mut res[3])
        );
    }
}
