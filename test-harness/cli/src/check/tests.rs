//! The shipped shapes compile, the shipped manifests pass, every bad manifest is refused by the rule in its name.

use super::*;

#[test]
fn the_shapes_compile() {
    for yaml in SHAPES {
        Shapes::parse(yaml).unwrap();
    }
}

fn check_without_modules(path: &Path) -> Vec<Finding> {
    let mut report = Report::default();
    check_path(path, false, None, &mut report).unwrap();
    assert!(
        report.checked > 0,
        "{}: nothing was checked",
        path.display()
    );
    report.findings
}

#[test]
fn the_shipped_manifests_pass() {
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../envoy-configs");
    for folder in ["istio", "istio/traffic-extension", "envoy-gateway"] {
        let found = check_without_modules(&configs.join(folder));
        assert!(
            found.is_empty(),
            "{}",
            found
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n")
        );
    }
}

/// `testdata/bad/<rule>[--case].yaml`; its first line is `# <path>: <message>`.
#[test]
fn every_bad_manifest_is_refused_with_the_reason() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/check/bad");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 30, "{} bad manifests", files.len());
    for file in files {
        let stem = file.file_stem().unwrap().to_str().unwrap();
        let rule = stem.split("--").next().unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        let expected = text.lines().next().unwrap().strip_prefix("# ").unwrap();
        let found = check_without_modules(&file);
        let lines: Vec<_> = found
            .iter()
            .map(|f| format!("{}: {} [{}]", f.path, f.message, f.rule))
            .collect();
        assert_eq!(
            lines,
            [format!("{expected} [{rule}]")],
            "{}",
            file.display()
        );
    }
}
