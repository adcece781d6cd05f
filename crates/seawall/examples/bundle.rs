//! Writes a journal of so many inputs, exports it, verifies the bundle with nothing beside it, and shows that no change of it passes.
//!
//! `bundle INPUTS CHANGES`
//!
//! The inputs are the lab's traffic of bad days. Each change is of a copy of the bundle: a bit that flips somewhere, a stretch that is taken out, two neighbouring
//! stretches in each other's place. Prints a line for each that says where it was found; exit code 1 where one passed.

use journal::{FileStorage, pack};
use kernel::Kernel;
use lab::model::traffic::Traffic;
use node::{Config, Node, Signer};
use protocol::MarketId;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;
use venue::Limits;

const NAME: &str = "seawall.bundle";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    let number = |place: usize| words.get(place).and_then(|word| word.parse::<u64>().ok());
    let (Some(inputs), Some(changes)) = (number(1), number(2)) else {
        eprintln!("bundle INPUTS CHANGES");
        return ExitCode::from(2);
    };
    let home = tempfile::tempdir().expect("a directory");
    let signer = || Signer::new(NAME, &[7; 32]).expect("a name");
    let written = written(&home.path().join("journal"), signer(), inputs);
    let bundle = home.path().join("bundle");
    let key = signer().verifier().to_string();
    {
        let storage = FileStorage::open(&home.path().join("journal")).expect("it was written");
        let file = File::create_new(&bundle).expect("a file");
        pack(&storage, Some(&key), &mut BufWriter::new(file)).expect("it is packed");
    }
    let bytes = std::fs::read(&bundle).expect("it was packed");
    println!("{written} inputs, {} bytes", bytes.len());
    let started = Instant::now();
    let (code, said) = verify(&bundle, &key);
    println!("whole: exit {code} after {:.1} s: {said}", started.elapsed().as_secs_f64());
    let mut passed = u64::from(code != 0);
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    for change in 0..changes {
        let (what, changed) = changed(&bytes, change);
        let copy = home.path().join("changed");
        std::fs::write(&copy, changed).expect("a file");
        let (code, said) = verify(&copy, &key);
        println!("{what}: exit {code}: {said}");
        passed += u64::from(code != 3);
        *kinds.entry(what.split(' ').next().unwrap_or_default().to_owned()).or_default() += 1;
    }
    println!("{kinds:?}, of which {passed} passed");
    if passed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

/// Traffic until so many inputs are in a journal; how many there are.
fn written(home: &Path, signer: Signer, inputs: u64) -> u64 {
    let mut traffic = Traffic::new(11);
    let limits = Limits { orders_max: 1 << 20, kernel_orders_max: 1 << 20 };
    let config = Config { segment_bytes: 64 << 20, snapshot_every: 50_000, limits };
    let genesis = Kernel::new(traffic.params(), traffic.genesis()).expect("the seed's venue is well formed");
    let storage = FileStorage::open(home).expect("a directory");
    let (mut node, _) = Node::open(storage, config, Some(signer), genesis).expect("a new journal");
    let markets = u16::try_from(traffic.params().markets.len()).expect("few");
    let mut written = 0;
    while written < inputs {
        let batch = traffic.next(node.state());
        node.turn(batch.at, batch.inputs).expect("a disk");
        for market in 0..markets {
            node.auction(MarketId(market));
        }
        while let Some(decided) = node.released().expect("a disk") {
            written += decided.inputs.len() as u64;
        }
    }
    node.close().expect("a disk");
    written
}

/// A copy with something wrong, and what.
fn changed(bytes: &[u8], seed: u64) -> (String, Vec<u8>) {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5ea_3a11;
    let mut draw = |below: usize| {
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9).wrapping_add(seed);
        z ^= z >> 27;
        (z % below as u64) as usize
    };
    let mut copy = bytes.to_vec();
    let at = draw(bytes.len() - 4_096);
    let len = 1 + draw(2_000);
    match seed % 4 {
        0 | 1 => {
            let bit = draw(8);
            copy[at] ^= 1 << bit;
            (format!("bit {bit} of byte {at} flipped"), copy)
        }
        2 => {
            copy.drain(at..at + len);
            (format!("removed: {len} bytes at {at}"), copy)
        }
        _ => {
            let (first, second) = (bytes[at..at + len].to_vec(), bytes[at + len..at + 2 * len].to_vec());
            copy[at..at + len].copy_from_slice(&second);
            copy[at + len..at + 2 * len].copy_from_slice(&first);
            (format!("swapped: two times {len} bytes at {at}"), copy)
        }
    }
}

/// Exit code and the last line of what was said.
fn verify(bundle: &Path, key: &str) -> (i32, String) {
    let program = std::env::current_exe().expect("this program");
    let program = program.parent().and_then(Path::parent).map(|home| home.join("seawall")).expect("a home");
    let ended = Command::new(program).args(["journal", "verify", "--key", key]).arg(bundle).output().expect("it runs");
    let said = [ended.stdout, ended.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    let line = said.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    (ended.status.code().unwrap_or(-1), line.to_owned())
}
