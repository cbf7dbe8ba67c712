//! Plans: what is read, what errors say, and the limits.

use proptest::prelude::*;

use super::{DURATION_NS_MAX, PLAN_BYTES_MAX, Plan, RULES_MAX};
use crate::{On, OpKind, PlanError, Rule, Then};

fn error(text: &str) -> String {
    Plan::from_toml(text, "my.toml").unwrap_err().to_string()
}

#[test]
fn an_empty_file_is_the_default_plan() {
    assert_eq!(Plan::from_toml("", "my.toml").unwrap(), Plan::default());
}

#[test]
fn a_plan_with_rules_reads_and_reads_back_equal() {
    let text = r#"
        name = "mine"
        swarm = true
        [disk]
        sync_error_probability = "1/1000..1/10"
        [[rule]]
        on = "sync_data"
        path = "*.log"
        nth = 3
        then = "eio"
        [[rule]]
        on = "sync"
        node = 1
        boot = 2
        site = "engine.rs:210"
        then = "stall"
        stall = "300ms"
    "#;
    let plan = Plan::from_toml(text, "my.toml").unwrap();
    assert_eq!(plan.rules.len(), 2);
    assert_eq!(plan.rules[0].on, On::Op(OpKind::SyncData));
    assert_eq!(plan.rules[0].nth, Some(3));
    assert_eq!(plan.rules[1].stall.unwrap().min_ns, 300_000_000);
    assert_eq!(Plan::from_toml(&plan.to_toml(), "again").unwrap(), plan);
}

#[test]
fn a_typo_names_the_line_and_the_nearest_known_word() {
    let cases = [
        (
            "[disk]\nsync_eror_probability = 1",
            "my.toml:2: disk.sync_eror_probability: ",
            "sync_error_probability",
        ),
        ("swram = true", "my.toml:1: swram: ", "swarm"),
        ("\n[dsk]\n", "my.toml:2: dsk: ", "disk"),
        ("[[rule]]\non = \"sync\"\nthen = \"omitt\"", "my.toml:3: rule.then: ", "omit"),
        ("[[rule]]\non = \"sync_dat\"\nthen = \"eio\"", "my.toml:2: rule.on: ", "sync_data"),
        ("[[rule]]\non = \"sync\"\nthen = \"eio\"\npth = \"*\"", "my.toml:4: rule.pth: ", "path"),
    ];
    for (text, start, nearest) in cases {
        let message = error(text);
        assert!(message.starts_with(start), "{text}: {message}");
        assert!(message.contains(&format!("did you mean \"{nearest}\"?")), "{text}: {message}");
    }
}

#[test]
fn a_word_that_is_no_typo_gets_no_suggestion_but_the_known_words() {
    let message = error("[clock]\nzzz = 1");
    assert!(message.starts_with("my.toml:2: clock.zzz: "), "{message}");
    assert!(!message.contains("did you mean"), "{message}");
    assert!(message.contains("drift_ppm"), "{message}");
}

#[test]
fn bad_values_name_the_key_what_was_found_and_an_example() {
    let cases = [
        (
            "[disk]\nread_latency = \"5ms..1ms\"",
            ["my.toml:2: disk.read_latency: ", "5ms..1ms", "10us..50ms"],
        ),
        ("[node]\ncrash_count = -1", ["my.toml:2: node.crash_count: ", "-1", "1..200"]),
        (
            "[disk]\nread_error_probability = 0.5",
            ["my.toml:2: disk.read_error_probability: ", "0.5", "1/100"],
        ),
        ("swarm = \"yes\"", ["my.toml:1: swarm: ", "yes", "boolean"]),
        ("[disk\n", ["my.toml:1: ", "", ""]),
        ("[[rule]]\non = \"any\"", ["my.toml:1: rule: ", "then", ""]),
        (
            "[[rule]]\non = 'any'\nthen = 'eio'\n[[rule]]\non = 'any'\nthen = 'eio'\nnth = 0",
            ["my.toml:4: rule 2: ", "nth = 0", "from 1"],
        ),
        (
            "[[rule]]\non = \"any\"\nthen = \"eio\"\npath = \"a[\"",
            ["my.toml:1: rule 1: ", "a[", "*.log"],
        ),
    ];
    for (text, parts) in cases {
        let message = error(text);
        assert!(message.starts_with(parts[0]), "{text}: {message}");
        assert!(parts.iter().all(|part| message.contains(part)), "{text}: {message}");
    }
}

#[test]
fn what_a_simulator_could_not_add_up_is_refused() {
    let cases = [
        "[clock]\noffset = \"18446744073s\"",
        "[disk]\nsync_latency = \"1ms..18446744073s\"",
        "[clock]\ndrift_ppm = 1000000",
        "[node]\ncrash_count = \"1..18446744073709551615\"",
    ];
    for text in cases {
        let message = error(text);
        assert!(message.starts_with("my.toml:2: "), "{message}");
        assert!(message.contains("too much"), "{message}");
    }
    let longest = format!("[clock]\noffset = \"{DURATION_NS_MAX}ns\"");
    assert!(Plan::from_toml(&longest, "my.toml").is_ok());
}

#[test]
fn too_many_rules_and_too_many_bytes_are_refused() {
    let rule = "[[rule]]\non = \"any\"\nthen = \"eio\"\n";
    assert!(Plan::from_toml(&rule.repeat(RULES_MAX), "my.toml").is_ok());
    assert!(error(&rule.repeat(RULES_MAX + 1)).contains("at most 1000 rules"));
    let comment = format!("#{}", "x".repeat(PLAN_BYTES_MAX as usize));
    assert!(error(&comment).contains("at most 1048576 bytes"));
    assert!(Plan::from_toml(&comment[..PLAN_BYTES_MAX as usize], "my.toml").is_ok());
}

#[test]
fn deep_nesting_is_an_error_and_not_a_stack_overflow() {
    assert!(Plan::from_toml(&format!("name = {}", "[".repeat(100_000)), "my.toml").is_err());
    assert!(Plan::from_toml(&format!("{} = 1", "a.".repeat(100_000) + "a"), "my.toml").is_err());
}

#[test]
fn load_takes_names_and_paths() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    std::fs::write(&file, "name = \"mine\"\n[node]\ncrash_count = 3\n").unwrap();
    let plan = Plan::load(file.to_str().unwrap()).unwrap();
    assert_eq!((plan.name.as_str(), plan.node.crash_count.max), ("mine", 3));

    std::fs::write(&file, "x".repeat(PLAN_BYTES_MAX as usize + 9)).unwrap();
    let large = Plan::load(file.to_str().unwrap());
    assert!(matches!(large, Err(PlanError::TooLarge { .. })));

    let missing = Plan::load("no/such.toml").unwrap_err().to_string();
    assert!(missing.starts_with("cannot read the fault plan no/such.toml: "), "{missing}");
    assert!(matches!(Plan::load(folder.path().to_str().unwrap()), Err(PlanError::Io { .. })));
}

#[test]
fn an_unknown_name_lists_the_presets_and_the_nearest() {
    let message = Plan::load("ruogh").unwrap_err().to_string();
    assert!(message.contains("did you mean \"rough\"?"), "{message}");
    assert!(message.contains("none, crashes, rough, sync_errors"), "{message}");
    let message = Plan::load("\x1b[31m").unwrap_err().to_string();
    assert!(!message.contains('\x1b') && !message.contains("did you mean"), "{message}");
}

#[test]
fn absurd_numbers_of_a_rule_made_in_code_still_write() {
    let rule = Rule { nth: Some(u64::MAX), ..Rule::new(On::Any, Then::Eio) };
    let plan = Plan { rules: vec![rule], ..Plan::default() };
    let again = Plan::from_toml(&plan.to_toml(), "again").unwrap();
    assert_eq!(again.rules[0].nth, Some(i64::MAX as u64));
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text: String, near in "[a-z_\\[\\]=\"0-9./\n é]{0,60}") {
        let _ = Plan::from_toml(&text, "my.toml");
        let _ = Plan::from_toml(&near, "my.toml");
        let _ = Plan::from_toml(&format!("[disk]\nread_latency = \"{near}\""), "my.toml");
        let _ = Plan::from_toml(&format!("[[rule]]\non = \"any\"\n{near}"), "my.toml");
    }
}
