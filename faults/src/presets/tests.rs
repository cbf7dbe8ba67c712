//! Presets: each reads, says what its table says, and stays what its name promises.

use crate::{Plan, Ratio, presets};

#[test]
fn every_preset_reads_reads_back_equal_and_says_what_the_table_says() {
    let mut names = Vec::new();
    for preset in presets() {
        let plan = Plan::preset(preset.name).unwrap();
        assert_eq!(plan.name, preset.name);
        assert_eq!(plan.about, preset.about);
        assert_eq!(Plan::from_toml(&plan.to_toml(), "again").unwrap(), plan);
        assert_eq!(Plan::load(preset.name).unwrap(), plan);
        names.push(preset.name);
    }
    let expected = [
        "none",
        "crashes",
        "rough",
        "sync_errors",
        "disk_full",
        "bit_rot",
        "slow_disk",
        "media",
        "lying_disk",
        "net",
        "cluster",
    ];
    assert_eq!(names, expected);
}

#[test]
fn every_plan_file_in_the_folder_is_a_preset() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/plans");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut files: Vec<String> = files.map(|name| name.into_string().unwrap()).collect();
    files.sort();
    let mut presets: Vec<String> = presets().map(|p| format!("{}.toml", p.name)).collect();
    presets.sort();
    assert_eq!(files, presets);
}

#[test]
fn presets_have_the_faults_that_their_names_promise() {
    let worst = |name: &str| Plan::preset(name).unwrap().draw(&mut |_, bound| bound - 1);
    let none = worst("none");
    assert_eq!((none.node.crash_count, none.kinds_on()), (0, vec![]));
    assert_eq!(worst("crashes").kinds_on(), ["torn_page", "recovery_crash"]);
    assert_eq!(worst("sync_errors").kinds_on(), ["sync_error"]);
    assert_eq!(worst("disk_full").kinds_on(), ["no_space", "short_write", "capacity"]);
    assert_eq!(worst("bit_rot").kinds_on(), ["bit_rot"]);
    assert_eq!(worst("bit_rot").device.bit_rot_probability, Ratio::ALWAYS);
    assert_eq!(worst("lying_disk").kinds_on(), ["lying_sync"]);
    let media = [
        "bit_rot",
        "latent_error",
        "garbage",
        "lost_write",
        "misdirected_write",
        "stale_read",
        "misdirected_read",
    ];
    assert_eq!(worst("media").kinds_on(), media);
    let net = [
        "offset",
        "drift",
        "step",
        "pause",
        "net_drop",
        "net_duplicate",
        "net_reorder",
        "net_clog",
        "net_partition",
        "net_swizzle",
        "connect_failure",
        "connect_hang",
        "net_short_read",
        "net_short_write",
        "net_reset",
    ];
    assert_eq!(worst("net").kinds_on(), net);
    assert_eq!(worst("slow_disk").disk.sync_latency.min_ns, 300_000_000);
    for name in presets().map(|preset| preset.name).filter(|name| *name != "none") {
        assert!(Plan::preset(name).unwrap().node.crash_count.min > 0, "{name}");
    }
    for kind in ["read_error", "write_error", "sync_error", "no_space", "torn_page", "pause"] {
        assert!(worst("rough").kinds_on().contains(&kind), "{kind}");
    }
}
