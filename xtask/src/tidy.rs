//! House rules that no compiler knows: unfinished marks, machine paths, long files, dead links.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};

use crate::process::printed;

/// Lines after which a Rust file is asked whether it is one subject. A hint, not an error.
const FILE_LINES_HINT: usize = 600;

/// What the checks found: errors fail, hints do not.
#[derive(Debug, Default)]
pub struct Findings {
    pub errors: Vec<String>,
    pub hints: Vec<String>,
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for hint in &self.hints {
            writeln!(f, "hint: {hint}")?;
        }
        for error in &self.errors {
            writeln!(f, "error: {error}")?;
        }
        writeln!(f, "{} errors, {} hints", self.errors.len(), self.hints.len())
    }
}

/// Checks every text file that is or may be committed.
pub fn check(root: &Path) -> Result<Findings> {
    let list = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let files = printed(root, "git", &list).context("cannot list the files: is this a git work tree?")?;
    let mut findings = Findings::default();
    for name in files.lines() {
        // Binary fixtures are not text; a file deleted but not yet committed is not there.
        if let Ok(text) = std::fs::read_to_string(root.join(name)) {
            check_file(root, name, &text, &mut findings);
        }
    }
    unlisted_decisions(root, &files, &mut findings.errors);
    wrong_directions(root, &mut findings.errors)?;
    findings.errors.sort();
    findings.errors.dedup();
    Ok(findings)
}

fn check_file(root: &Path, name: &str, text: &str, findings: &mut Findings) {
    if name.starts_with("testdata/") || name.ends_with(".lock") || name.ends_with("package-lock.json") {
        return;
    }
    machine_paths(name, text, &mut findings.errors);
    if name.ends_with(".rs") {
        unfinished(name, text, &mut findings.errors);
        unwraps(name, text, &mut findings.errors);
        if text.lines().count() > FILE_LINES_HINT {
            findings.hints.push(format!("{name} has {} lines: is it one subject?", text.lines().count()));
        }
    }
    if name.ends_with(".md") {
        dead_links(root, name, text, &mut findings.errors);
    }
    if !text.is_empty() && !text.ends_with('\n') {
        findings.errors.push(format!("{name}: does not end with a newline"));
    }
}

/// Marks of unfinished work; `concat!` keeps this file from finding itself.
fn unfinished(name: &str, text: &str, errors: &mut Vec<String>) {
    let marks = [
        concat!("todo", "!("),
        concat!("unimpl", "emented!("),
        concat!("dbg", "!("),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
    ];
    for (number, line) in numbered(text) {
        for mark in marks.iter().filter(|mark| line.contains(**mark)) {
            errors.push(format!("{name}:{number}: unfinished mark `{mark}`"));
        }
        let note = concat!("TO", "DO");
        if line.contains(note) && !line.contains('#') {
            errors.push(format!("{name}:{number}: a note of work left to do names its issue (`#12`)"));
        }
    }
}

/// `unwrap` is for tests: in `src`, nothing above the tests module may use it.
fn unwraps(name: &str, text: &str, errors: &mut Vec<String>) {
    let tests_only = ["/tests/", "/benches/", "fuzz/", "/tests.rs"];
    if tests_only.iter().any(|part| name.contains(part)) || text.starts_with("#![cfg(test)]") {
        return;
    }
    for (number, line) in numbered(text).take_while(|(_, line)| !line.contains("#[cfg(test)]")) {
        let code = line.split("//").next().unwrap_or(line);
        if code.contains(concat!(".unw", "rap()")) {
            errors.push(format!(
                "{name}:{number}: `unwrap` outside tests: say why it cannot fail with `expect`"
            ));
        }
    }
}

/// Paths that exist on one person's machine only.
fn machine_paths(name: &str, text: &str, errors: &mut Vec<String>) {
    let starts =
        [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/"), concat!("/wo", "rk/")];
    for (number, line) in numbered(text) {
        for start in starts {
            let begins_word = line.match_indices(start).any(|(at, _)| begins_path(line, at));
            if begins_word {
                errors.push(format!("{name}:{number}: path of one machine, `{start}…`"));
            }
        }
    }
}

/// Whether a slash at `at` begins an absolute path, and is not the middle of a URL or a relative one.
fn begins_path(line: &str, at: usize) -> bool {
    let before = line[..at].chars().next_back();
    !before.is_some_and(|c| c.is_alphanumeric() || "._-}~$".contains(c))
}

/// Relative links in Markdown must lead to a file.
fn dead_links(root: &Path, name: &str, text: &str, errors: &mut Vec<String>) {
    let folder = Path::new(name).parent().unwrap_or(Path::new(""));
    for (number, line) in numbered(text) {
        for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or(target);
            let outside = file.is_empty() || file.contains("://") || file.starts_with("mailto:");
            if !outside && !root.join(folder).join(file).exists() {
                errors.push(format!("{name}:{number}: link to `{target}`, which is not there"));
            }
        }
    }
}

/// Our crates, and those of ours that each may depend on. `sim` and `hustings` wire everything together.
const DIRECTIONS: &[(&str, &[&str])] = &[
    ("election", &[]),
    ("proof", &[]),
    ("ledger", &["proof"]),
    ("cluster", &["ledger"]),
    ("node", &["cluster", "election", "ledger", "proof"]),
    ("server", &["election", "node", "proof"]),
    ("audit", &["election", "proof"]),
];

/// Dependencies point one way; above all, no server code in `audit`.
fn wrong_directions(root: &Path, errors: &mut Vec<String>) -> Result<()> {
    let ours = ["audit", "cluster", "election", "hustings", "ledger", "node", "proof", "server", "sim"];
    for (name, allowed) in DIRECTIONS {
        let path = root.join("crates").join(name).join("Cargo.toml");
        let manifest =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        for dependency in dependencies(&manifest) {
            if ours.contains(&dependency) && !allowed.contains(&dependency) {
                errors.push(format!("crates/{name}: must not depend on `{dependency}`"));
            }
        }
    }
    Ok(())
}

/// Names in a manifest's `[dependencies]`; tests may depend on more.
fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    let lines = manifest.lines().map(str::trim).skip_while(|line| *line != "[dependencies]").skip(1);
    lines.take_while(|line| !line.starts_with('[')).filter_map(|line| line.split([' ', '.', '=']).next())
}

/// Each decision has its line in the index.
fn unlisted_decisions(root: &Path, files: &str, errors: &mut Vec<String>) {
    const FOLDER: &str = "docs/decisions";
    let index = std::fs::read_to_string(root.join(FOLDER).join("README.md")).unwrap_or_default();
    let names = files.lines().filter_map(|name| name.strip_prefix(FOLDER)?.strip_prefix('/'));
    for name in names.filter(|name| name.starts_with(|c: char| c.is_ascii_digit())) {
        if !index.contains(&format!("({name})")) {
            errors.push(format!("{FOLDER}/README.md: no line for {name}"));
        }
    }
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(name: &str, text: &str) -> Vec<String> {
        let mut findings = Findings::default();
        check_file(Path::new(env!("CARGO_MANIFEST_DIR")), name, text, &mut findings);
        findings.errors
    }

    #[test]
    fn the_repository_is_tidy() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let findings = check(root).unwrap();
        assert!(findings.errors.is_empty(), "{findings}");
    }

    #[test]
    fn dependencies_are_read_and_those_of_tests_left_out() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\na.workspace = true\nb = { path = \"b\" }\n\n[dev-dependencies]\nc = 1\n";
        let names: Vec<&str> = dependencies(manifest).filter(|name| !name.is_empty()).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn unfinished_marks_are_found() {
        let text = concat!("fn f() { todo", "!() }\n");
        assert_eq!(errors("a/src/lib.rs", text).len(), 1);
        assert_eq!(errors("a/src/lib.rs", concat!("// TO", "DO: later\n")).len(), 1);
        assert_eq!(errors("a/src/lib.rs", concat!("// TO", "DO(#12): later\n")), Vec::<String>::new());
    }

    #[test]
    fn unwrap_is_for_tests() {
        let call = concat!("f().unw", "rap();\n");
        assert_eq!(errors("a/src/lib.rs", call).len(), 1);
        assert!(errors("a/tests/it.rs", call).is_empty());
        assert!(errors("a/src/lib.rs", &format!("#[cfg(test)]\nmod tests {{ {call} }}\n")).is_empty());
    }

    #[test]
    fn paths_of_one_machine_are_found_and_addresses_are_not() {
        assert_eq!(errors("a.md", concat!("see /ho", "me/ann/x\n")).len(), 1);
        assert!(errors("a.md", concat!("see example.org/ho", "me/ann\n")).is_empty());
    }

    #[test]
    fn dead_links_are_found() {
        assert_eq!(errors("a.md", "[x](nowhere.md)\n").len(), 1);
        assert!(errors("a.md", "[x](Cargo.toml) [y](https://example.org) [z](#here)\n").is_empty());
    }
}
