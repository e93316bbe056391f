//! The documentation holds: links lead somewhere, commands are run or say why not, the reference is what the code says.
//!
//! A fenced `sh` or `console` block stands under one of two comments: `<!-- run -->`, and then this test runs it from the root of the
//! repository, or `<!-- not run: reason -->`. What changes the repository stands under `<!-- run in a copy -->`: see `tutorial.rs`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use launchgate_harness::envoy::workspace;
use regex::Regex;

/// Every Markdown file of the repository.
fn pages() -> Vec<PathBuf> {
    let list = Command::new("git")
        .args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "*.md",
        ])
        .current_dir(workspace())
        .output()
        .unwrap();
    let pages: Vec<_> = String::from_utf8(list.stdout)
        .unwrap()
        .lines()
        .map(|l| workspace().join(l))
        .filter(|p| p.is_file())
        .collect();
    assert!(pages.len() > 20, "{pages:?}");
    pages
}

/// The text without code.
fn prose(text: &str) -> String {
    let fences = Regex::new(r"(?ms)^\s*```.*?^\s*```[ \t]*$").unwrap();
    let spans = Regex::new(r"`[^`\n]*`").unwrap();
    spans
        .replace_all(&fences.replace_all(text, ""), "``")
        .into_owned()
}

/// Anchors as Git forges make them of headings.
fn anchors(page: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(page).unwrap();
    let headings = text.lines().filter(|l| l.starts_with('#'));
    let slug = |heading: &str| -> String {
        let title = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = title
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(slug).collect()
}

#[test]
fn every_relative_link_leads_to_a_file_and_its_heading() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut broken = Vec::new();
    let mut count = 0;
    for page in pages() {
        for found in link.captures_iter(&prose(&fs::read_to_string(&page).unwrap())) {
            let target = &found[1];
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            count += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            let heading = anchor.is_empty()
                || file.is_dir()
                || (file.is_file() && anchors(&file).contains(anchor));
            if !file.exists() || !heading {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(count > 50, "only {count} links were found");
}

/// A block of commands.
struct Block {
    at: String,
    marker: String,
    commands: String,
}

fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let lines: Vec<_> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            if !matches!(line.trim(), "```sh" | "```console" | "```bash" | "```shell") {
                continue;
            }
            let name = page.strip_prefix(workspace()).unwrap().display();
            let commands = lines[number + 1..].iter().take_while(|l| l.trim() != "```");
            blocks.push(Block {
                at: format!("{name}:{}", number + 1),
                marker: number
                    .checked_sub(1)
                    .map_or("", |above| lines[above].trim())
                    .to_owned(),
                commands: commands.copied().collect::<Vec<_>>().join("\n"),
            });
        }
    }
    blocks
}

#[test]
fn every_block_of_commands_is_run_or_says_why_not() {
    let reason = Regex::new(r"^<!-- (run|run in a copy|not run: .{8,}) -->$").unwrap();
    let unmarked: Vec<_> = blocks()
        .into_iter()
        .filter(|b| !reason.is_match(&b.marker))
        .map(|b| b.at)
        .collect();
    assert!(
        unmarked.is_empty(),
        "neither `<!-- run -->` nor `<!-- not run: reason -->` above: {unmarked:#?}"
    );
}

#[test]
fn the_commands_that_can_be_run_succeed() {
    let mut ran = 0;
    for block in blocks().into_iter().filter(|b| b.marker == "<!-- run -->") {
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &block.commands])
            .current_dir(workspace())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{}: {}\n{told}",
            block.at,
            block.commands
        );
        ran += 1;
    }
    assert!(ran >= 4, "only {ran} blocks are run");
}

#[test]
fn the_reference_is_what_the_code_says() {
    let output = Command::new(env!("CARGO_BIN_EXE_launchgate"))
        .args(["generate", "reference", "--check"])
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
