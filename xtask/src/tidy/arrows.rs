//! Which crate may know which. A dependency of any kind, tests included, that has no arrow here is a finding.

use super::Finding;
use crate::repo::Package;

enum Allowed {
    Only(&'static [&'static str]),
    AllBut(&'static [&'static str]),
}

/// In reading order: each line may look left, never right.
const ARROWS: [(&str, Allowed); 15] = [
    ("units", Allowed::Only(&[])),
    ("protocol", Allowed::Only(&["units"])),
    ("codec", Allowed::Only(&["units", "protocol"])),
    ("kernel", Allowed::Only(&["units", "protocol", "codec"])),
    ("venue", Allowed::Only(&["units", "protocol", "codec", "kernel"])),
    ("policy", Allowed::Only(&["units", "protocol"])),
    ("journal", Allowed::Only(&["units", "protocol", "codec"])),
    ("port", Allowed::Only(&["units", "protocol"])),
    ("guard", Allowed::Only(&["units", "protocol", "codec", "port"])),
    ("node", Allowed::AllBut(&["guard", "lab", "api", "alerts", "seawall", "xtask"])),
    ("api", Allowed::Only(&["units", "protocol", "codec", "kernel", "port", "node", "journal", "venue"])),
    ("alerts", Allowed::Only(&[])),
    ("lab", Allowed::AllBut(&["api", "alerts", "seawall", "xtask"])),
    ("seawall", Allowed::AllBut(&["xtask"])),
    ("xtask", Allowed::Only(&[])),
];

pub(super) fn check(packages: &[Package]) -> Vec<Finding> {
    packages.iter().flat_map(package).collect()
}

fn package(package: &Package) -> Vec<Finding> {
    let path = if package.name == "xtask" { "xtask/Cargo.toml".to_owned() } else { manifest(&package.name) };
    let finding = |message| Finding { path: path.clone(), line: 1, message };
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == package.name) else {
        let message = format!("`{}` has no arrows: give it a line in xtask/src/tidy/arrows.rs", package.name);
        return vec![finding(message)];
    };
    let forbidden = |name: &str| match allowed {
        Allowed::Only(names) => !names.contains(&name),
        Allowed::AllBut(names) => names.contains(&name),
    };
    let depends = package.depends.iter().filter(|name| forbidden(name));
    depends
        .map(|name| finding(format!("`{}` must not depend on `{name}`: arrows go left to right", package.name)))
        .collect()
}

fn manifest(name: &str) -> String {
    format!("crates/{name}/Cargo.toml")
}

#[cfg(test)]
mod tests {
    use super::super::assert_findings;
    use super::*;

    #[track_caller]
    fn check(name: &str, depends: &[&str], expected: &[&str]) {
        let depends = depends.iter().map(|&name| name.to_owned()).collect();
        assert_findings(super::check(&[Package { name: name.to_owned(), depends, roots: vec![] }]), expected);
    }

    #[test]
    fn an_arrow_to_the_right_is_found() {
        check("kernel", &["units", "protocol", "codec"], &[]);
        check(
            "kernel",
            &["units", "venue", "lab"],
            &[
                "crates/kernel/Cargo.toml:1: `kernel` must not depend on `venue`: arrows go left to right",
                "crates/kernel/Cargo.toml:1: `kernel` must not depend on `lab`: arrows go left to right",
            ],
        );
        check("lab", &["kernel", "venue", "policy", "node"], &[]);
        check(
            "lab",
            &["seawall"],
            &["crates/lab/Cargo.toml:1: `lab` must not depend on `seawall`: arrows go left to right"],
        );
    }

    #[test]
    fn a_crate_without_a_line_is_found() {
        check(
            "oracle",
            &["units"],
            &["crates/oracle/Cargo.toml:1: `oracle` has no arrows: give it a line in xtask/src/tidy/arrows.rs"],
        );
    }
}
