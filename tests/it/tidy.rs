//! Tidiness that a machine can see. Each rule says what to do instead.

use std::fs;
use std::path::{Path, PathBuf};

/// Most lines of a function, its signature and braces included.
const FUNCTION_LINES_MAX: usize = 70;
/// Most lines of a file of production code.
const FILE_LINES_MAX: usize = 800;
/// Widest line, in characters.
const COLUMNS_MAX: usize = 100;
/// Files that may hold `unsafe`.
const UNSAFE_FILES: &[&str] = &[
    "sim/src/waker.rs",
    "env/src/os/linux.rs",
    "litmus/src/sys.rs",
    "hardware/src/allocations.rs",
    "benches/src/commits/stores/lmdb.rs",
];

/// Which of our packages each may depend on. Arrows point down the list.
const ARROWS: &[(&str, &[&str])] = &[
    ("env", &[]),
    ("faults", &[]),
    ("traces", &[]),
    ("check", &[]),
    ("sim", &["seedbed-env", "seedbed-faults", "seedbed-traces", "seedbed-check"]),
    ("engines", &["seedbed-env"]),
    ("scenarios", &["seedbed", "seedbed-engines"]),
    ("litmus", &["seedbed"]),
    ("postgres", &["seedbed-engines", "seedbed-env"]),
    ("measure", &[]),
    ("hardware", &["seedbed", "seedbed-engines", "seedbed-env", "seedbed-measure"]),
    (
        "cli",
        &[
            "seedbed",
            "seedbed-scenarios",
            "seedbed-litmus",
            "seedbed-faults",
            "seedbed-traces",
            "seedbed-engines",
            "seedbed-env",
            "seedbed-postgres",
            "seedbed-hardware",
            "seedbed-measure",
        ],
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All Rust files of the workspace with their text, by path from the root.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let folders = ARROWS.iter().map(|(folder, _)| *folder).chain(["tests", "benches"]);
    for folder in folders {
        collect(&root().join(folder), &mut found);
    }
    assert!(found.len() > 50, "the workspace has more files than {}", found.len());
    found
}

fn collect(folder: &Path, found: &mut Vec<(String, String)>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("readable").path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("UTF-8");
            let name = path.strip_prefix(root()).expect("below the root").display().to_string();
            found.push((name, text));
        }
    }
}

/// Collects complaints and fails with all of them.
fn check(complaints: impl IntoIterator<Item = String>) {
    let complaints: Vec<_> = complaints.into_iter().collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_file_says_what_it_is() {
    let silent = sources().into_iter().filter(|(_, text)| !text.starts_with("//!"));
    check(silent.map(|(name, _)| format!("{name}: begin with //! what this is and why")));
}

#[test]
fn lines_are_at_most_100_columns() {
    check(sources().iter().flat_map(|(name, text)| {
        let wide = |(_, line): &(usize, &str)| line.chars().count() > COLUMNS_MAX;
        let lines = text.lines().enumerate().filter(wide);
        lines.map(|(at, _)| format!("{name}:{}: break the line", at + 1)).collect::<Vec<_>>()
    }));
}

#[test]
fn functions_are_at_most_70_lines() {
    check(sources().iter().flat_map(|(name, text)| long_functions(name, text)));
}

/// Functions by indentation, which rustfmt makes reliable.
fn long_functions(name: &str, text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut complaints = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let body = line.trim_start();
        let is_fn = ["fn ", "pub fn ", "async fn ", "pub async fn ", "const fn ", "pub const fn "]
            .iter()
            .any(|head| body.starts_with(head))
            || (body.starts_with("pub(") && body.contains(" fn "));
        if !is_fn || body.ends_with(';') {
            continue;
        }
        let close = format!("{}}}", &line[..line.len() - body.len()]);
        let end = lines[start..].iter().position(|line| *line == close).unwrap_or(0);
        if end + 1 > FUNCTION_LINES_MAX {
            complaints.push(format!("{name}:{}: {} lines: split it", start + 1, end + 1));
        }
    }
    complaints
}

#[test]
fn files_are_not_too_long() {
    let long = |(name, text): (String, String)| {
        let lines = text.lines().count();
        (lines > FILE_LINES_MAX).then(|| format!("{name}: {lines} lines: split it"))
    };
    check(sources().into_iter().filter_map(long));
}

#[test]
fn unsafe_stays_in_its_module() {
    let uses = |text: &str| text.lines().any(|line| line.contains(concat!("unsafe", " {")));
    let outside = |(name, _): &(String, String)| !UNSAFE_FILES.contains(&name.as_str());
    let found = sources().into_iter().filter(outside).filter(|(_, text)| uses(text));
    check(found.map(|(name, _)| format!("{name}: do without unsafe, or name it in UNSAFE_FILES")));
}

#[test]
fn no_test_is_switched_off_and_nothing_is_left_undone() {
    let words = [concat!("#[ig", "nore"), concat!("TO", "DO"), concat!("FIX", "ME")];
    check(sources().iter().flat_map(|(name, text)| {
        let found = words.iter().filter(|word| text.contains(**word));
        found
            .map(|word| format!("{name}: {word}: do it, or say it in a sentence"))
            .collect::<Vec<_>>()
    }));
}

#[test]
fn dependencies_point_one_way() {
    for (folder, allowed) in ARROWS {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("there");
        let production = manifest.split("[dev-dependencies]").next().unwrap_or_default();
        let ours = production
            .lines()
            .filter_map(|line| line.split(['.', ' ', '=']).next())
            .filter(|name| name.starts_with("seedbed"));
        let wrong = ours.filter(|name| !allowed.contains(name));
        check(wrong.map(|name| format!("{folder} must not depend on {name}")));
    }
}

#[test]
fn every_dependency_is_pinned_and_explained() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("there");
    let table = manifest.split("[workspace.dependencies]").nth(1).expect("the table");
    let table = table.split("\n[").next().unwrap_or_default();
    let foreign = table.lines().filter(|line| line.contains(" = ") && !line.contains("path = "));
    check(foreign.filter(|line| !(line.contains("\"=") && line.contains(" # "))).map(|line| {
        format!("{line}: pin it with \"=version\" and say in a comment why it is there")
    }));
}

#[test]
fn tests_that_the_network_page_names_exist() {
    let page = fs::read_to_string(root().join("docs/network.md")).expect("UTF-8");
    let page = page.replace("```", "");
    let sources: String = sources().into_iter().map(|(_, text)| text).collect();
    let words = page.split('`').skip(1).step_by(2);
    let is_name = |word: &str| word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let is_test = |word: &&str| is_name(word) && word.matches('_').count() > 3;
    let named: Vec<&str> = words.filter(is_test).collect();
    assert!(named.len() > 50, "the page names only {} tests", named.len());
    let is_there = |name: &str| {
        sources.contains(&format!("fn {name}(")) || sources.contains(&format!("async fn {name}<"))
    };
    let gone = named.into_iter().filter(|name| !is_there(name));
    check(gone.map(|name| format!("docs/network.md: there is no test {name}")));
}

#[test]
fn documents_have_no_placeholders() {
    let mut documents = vec![root().join("README.md"), root().join("ARCHITECTURE.md")];
    let book = fs::read_dir(root().join("docs")).expect("there");
    let pages = book.map(|entry| entry.expect("readable").path());
    documents.extend(pages.filter(|path| path.extension().is_some_and(|end| end == "md")));
    let is_placeholder = |word: &str| {
        let inner = word.strip_prefix('@').and_then(|rest| rest.strip_suffix('@'));
        inner.is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase()))
    };
    check(documents.iter().flat_map(|path| {
        let text = fs::read_to_string(path).expect("UTF-8");
        let found = text.split_whitespace().filter(|word| is_placeholder(word));
        found.map(|word| format!("{}: {word}", path.display())).collect::<Vec<_>>()
    }));
}
