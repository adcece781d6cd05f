//! Memory is flat in the length of a file and of a line. Alone in its process, because it reads the process's peak.
#![cfg(target_os = "linux")]

mod feed_support;

use std::io::Write;

use feed_support::{Files, START, minute_bars};
use flate2::{Compression, write::GzEncoder};
use lab::feed::{Feed, FeedOptions};

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("linux");
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).expect("linux");
    line.split_ascii_whitespace().nth(1).expect("a number").parse().expect("a number")
}

fn write_file(files: &Files, name: &str, rows: i64, long_line: usize) -> std::path::PathBuf {
    let path = files.path(name);
    let mut out =
        GzEncoder::new(std::io::BufWriter::new(std::fs::File::create(&path).expect("create")), Compression::fast());
    writeln!(out, "ts_s,open,high,low,close,volume").expect("write");
    for m in 0..rows {
        writeln!(out, "{},100.5,110.25,90.125,105.0625,{m}", START + 60 * m).expect("write");
    }
    let piece = [b'x'; 1 << 16];
    for _ in 0..long_line / piece.len() {
        out.write_all(&piece).expect("write");
    }
    out.finish().expect("write").flush().expect("write");
    path
}

#[test]
fn memory_does_not_grow_with_rows_or_with_a_line() {
    let files = Files::new();
    let read = |path| {
        let feed = Feed::open(&FeedOptions::new(vec![minute_bars(path)], vec![])).expect("opens");
        let seen = feed.replay().expect("replay").inspect(|e| assert!(e.is_ok())).count() as u64;
        assert_eq!(seen, feed.counts().observations);
        feed.counts()
    };
    let small = write_file(&files, "small.csv.gz", 10_000, 0);
    let large = write_file(&files, "large.csv.gz", 600_000, 256 << 20);
    assert_eq!(read(small).used, 10_000);
    let before = peak_kib();
    let counts = read(large);
    let grown = peak_kib() - before;
    assert_eq!((counts.used, counts.listed), (600_000, 1));
    // The spool of the large file is 65 MB and its last line 256 MiB; neither is ever held.
    assert!(grown < 2_048, "the peak grew by {grown} KiB");
}
