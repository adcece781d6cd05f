//! Names the rules that this build decides by: the BLAKE3 hash of the sources of all crates that decide.

use std::path::{Path, PathBuf};

const DECIDING: [&str; 5] = ["units", "protocol", "codec", "kernel", "venue"];

fn main() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut hasher = blake3::Hasher::new();
    for name in DECIDING {
        let home = crates.join(name).join("src");
        println!("cargo:rerun-if-changed={}", home.display());
        for path in sources(&home) {
            let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("reading {}: {error}", path.display()));
            let inside = path.strip_prefix(&crates).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            for part in [inside.as_bytes(), &bytes] {
                hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
            }
        }
    }
    println!("cargo:rustc-env=SEAWALL_RULES={}", hasher.finalize().to_hex());
}

/// Every Rust source under a directory, in order of path.
fn sources(home: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(home).unwrap_or_else(|error| panic!("listing {}: {error}", home.display()));
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let inside = |path: PathBuf| if path.is_dir() { sources(&path) } else { vec![path] };
    paths.into_iter().flat_map(inside).filter(|path| path.extension().is_some_and(|kind| kind == "rs")).collect()
}
