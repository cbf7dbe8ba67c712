//! Rules: what matches, what is counted, what is refused.

use super::{On, OpKind, Rule, RuleState, Then};
use crate::errors::RuleError;
use crate::range::DurationRange;

fn rule(on: &str, then: Then) -> Rule {
    Rule::new(on.parse().unwrap(), then)
}

#[test]
fn every_operation_has_its_name_in_text_serde_and_rules() {
    for op in OpKind::ALL {
        let text = toml::Value::try_from(op).unwrap();
        assert_eq!(text.as_str(), Some(op.name()));
        assert_eq!(op.name().parse::<On>(), Ok(On::Op(*op)));
    }
    let syncs: Vec<_> = OpKind::ALL.iter().filter(|op| op.is_sync()).map(|op| op.name()).collect();
    assert_eq!(syncs, ["sync_data", "sync_all", "sync_dir"]);
}

#[test]
fn globs_match_names_without_a_slash_and_paths_with_one() {
    let cases = [
        ("*.log", "a.log", true),
        ("*.log", "store/deep/a.log", true),
        ("*.log", "/store/a.log", true),
        ("*.log", "store/a.log.tmp", false),
        ("wal.1", "store/wal.1", true),
        ("wal.1", "wal.1/x", false),
        ("store/*.log", "store/a.log", true),
        ("store/*.log", "/store/a.log", true),
        ("store/*.log", "store/deep/a.log", false),
        ("store/**/*.log", "store/deep/a.log", true),
        ("**/wal", "a/b/wal", true),
        ("/wal", "wal", true),
        ("/wal", "store/wal", false),
        ("{a,b}.db", "b.db", true),
        ("wal.[0-9]", "wal.7", true),
        ("wal.?", "wal.10", false),
        ("*", "", true),
    ];
    for (pattern, path, expected) in cases {
        let rule = Rule { path: Some(pattern.to_owned()), ..rule("write", Then::Eio) };
        let matches = rule.compile().unwrap().matches(OpKind::Write, path, ("x.rs", 1), 0, 0);
        assert_eq!(matches, expected, "{pattern} on {path}");
    }
}

#[test]
fn sites_match_from_their_end_at_a_folder_boundary() {
    let cases = [
        ("engine.rs:210", "engine.rs", 210, true),
        ("engine.rs:210", "src/engine.rs", 210, true),
        ("engine.rs:210", "src\\engine.rs", 210, true),
        ("engine.rs:210", "src/engine.rs", 21, false),
        ("engine.rs:210", "src/my_engine.rs", 210, false),
        ("src/engine.rs:210", "engines/src/engine.rs", 210, true),
        ("src\\engine.rs:210", "engines/src/engine.rs", 210, true),
        ("src/engine.rs:210", "engine.rs", 210, false),
        ("engine.rs", "src/engine.rs", 77, true),
        ("/src/engine.rs", "/src/engine.rs", 1, true),
    ];
    for (site, file, line, expected) in cases {
        let rule = Rule::omit_sync(site).compile().unwrap();
        let matches = rule.matches(OpKind::SyncAll, "p", (file, line), 0, 0);
        assert_eq!(matches, expected, "{site} on {file}:{line}");
    }
}

#[test]
fn operation_node_and_boot_all_have_to_match() {
    let sync = Rule { node: Some(1), boot: Some(2), ..rule("sync", Then::Eio) };
    let sync = sync.compile().unwrap();
    let site = ("x.rs", 1);
    assert!(sync.matches(OpKind::SyncDir, "p", site, 1, 2));
    assert!(!sync.matches(OpKind::Write, "p", site, 1, 2));
    assert!(!sync.matches(OpKind::SyncDir, "p", site, 0, 2));
    assert!(!sync.matches(OpKind::SyncDir, "p", site, 1, 3));
}

#[test]
fn any_matches_only_where_the_outcome_has_a_meaning() {
    let matched = |then: Then| {
        let rule = rule("any", then).compile().unwrap();
        let site = ("x.rs", 1);
        let ops = OpKind::ALL.iter().filter(|op| rule.matches(**op, "p", site, 0, 0));
        ops.map(|op| op.name()).collect::<Vec<_>>()
    };
    assert_eq!(matched(Then::Short), ["read", "write"]);
    assert_eq!(matched(Then::Crash).len(), OpKind::ALL.len());
    assert!(!matched(Then::Omit).contains(&"read"));
    assert!(!matched(Then::NoSpace).contains(&"remove_file"));
}

#[test]
fn nth_fires_once_and_every_call_fires_without_it() {
    let fired = |nth: Option<u64>| {
        let rule = Rule { nth, ..rule("write", Then::Eio) }.compile().unwrap();
        let mut state = RuleState::default();
        [(); 4].map(|()| state.fires(&rule))
    };
    assert_eq!(fired(None), [true; 4]);
    assert_eq!(fired(Some(1)), [true, false, false, false]);
    assert_eq!(fired(Some(3)), [false, false, true, false]);
}

#[test]
fn rules_that_cannot_work_are_refused() {
    let refused = |rule: Rule| rule.compile().unwrap_err();
    let path = |path: &str| Rule { path: Some(path.to_owned()), ..rule("any", Then::Eio) };
    assert!(matches!(refused(path("a[")), RuleError::Glob { .. }));
    assert!(matches!(refused(path("{a")), RuleError::Glob { .. }));
    assert!(matches!(refused(path("")), RuleError::Glob { .. }));
    assert!(matches!(refused(path(&"a".repeat(2000))), RuleError::Glob { .. }));
    assert!(path(&"{a,".repeat(300)).compile().is_err());
    for site in ["", ":12", "engine.rs:x", "engine.rs:12:5", "src/", "engine.rs:-1"] {
        assert!(matches!(refused(Rule::omit_sync(site)), RuleError::Site { .. }), "{site}");
    }
    assert_eq!(refused(Rule { nth: Some(0), ..rule("any", Then::Eio) }), RuleError::NthZero);
    assert!(matches!(refused(rule("any", Then::Stall)), RuleError::Stall(_)));
    let stall = Some(DurationRange::just(1));
    assert!(matches!(refused(Rule { stall, ..rule("any", Then::Eio) }), RuleError::Stall(_)));
    assert!(Rule { stall, ..rule("any", Then::Stall) }.compile().is_ok());
    let message = refused(rule("rename", Then::Short)).to_string();
    assert_eq!(message, "then = \"short\" has no meaning for on = \"rename\"");
    assert!(matches!(refused(rule("read", Then::Omit)), RuleError::Meaningless { .. }));
}

proptest::proptest! {
    #[test]
    fn arbitrary_patterns_and_paths_never_panic(
        pattern: String, near in r"[a*?\[\]{},/!\\-]{0,40}", path: String, line: u32,
    ) {
        for pattern in [pattern, near] {
            let path_rule = Rule { path: Some(pattern.clone()), ..rule("any", Then::Eio) };
            for rule in [path_rule, Rule::omit_sync(pattern)] {
                if let Ok(rule) = rule.compile() {
                    let _ = rule.matches(OpKind::SyncAll, &path, (&path, line), 0, 0);
                }
            }
        }
    }
}
