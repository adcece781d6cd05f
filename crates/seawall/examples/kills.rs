//! Kills a node at random points under load, starts it again, and holds what left it against its journal.
//!
//! `kills --kind kills --seed FIRST --seconds BUDGET`
//!
//! A seed is a kill: `seawall run I-17 --speed max --effects` is killed at some moment and goes on with the next seed; when it comes to the
//! end of its data, the next seed begins with another directory. Beside it runs `seawall guard`, to which it delivers, and which is killed with every third
//! seed, too. After every kill everything that ever left is held against what the journal leads
//! to: each effect is one of those, none left twice, none is missing between two that left in one life, and none left before its cause was in the journal.
//! What the guard carried out is, at whatever height it stands, every effect up to there, each once and in order; when the data is at its end, all of them.
//! Prints what was found, and last one JSON line: `{"kind":..,"seed_from":..,"seed_to":..,"count":..,"inputs":..,"failures":..,"seconds":..}`. Exit code 1 where
//! something was found, 2 for arguments that make no sense.

use journal::FileStorage;
use node::verify;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// A node lives for at most so long, of which it takes some to begin.
const LIFE_MAX_MS: u64 = 2_000;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    let number = |name: &str| {
        let place = words.iter().position(|word| word == name)?;
        words.get(place + 1)?.parse::<u64>().ok()
    };
    let (Some(seed), Some(seconds)) = (number("--seed"), number("--seconds")) else {
        eprintln!("kills --kind kills --seed FIRST --seconds BUDGET");
        return ExitCode::from(2);
    };
    let (started, budget) = (Instant::now(), Duration::from_secs(seconds));
    let (mut count, mut inputs, mut failures) = (0, 0, 0);
    let mut story = Story::begin();
    while started.elapsed() < budget {
        match story.kill(seed + count) {
            Ok(Life::Killed) => {}
            Ok(Life::AtEnd { verified }) => {
                inputs += verified;
                story = Story::begin();
            }
            Err(found) => {
                println!("seed {}: {found}", seed + count);
                failures += 1;
                story = Story::begin();
            }
        }
        count += 1;
    }
    let seed_to = seed + count;
    let seconds = started.elapsed().as_secs_f64();
    println!(
        r#"{{"kind":"kills","seed_from":{seed},"seed_to":{seed_to},"count":{count},"inputs":{inputs},"failures":{failures},"seconds":{seconds:.1}}}"#
    );
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

/// How a life ended.
enum Life {
    Killed,
    /// It came to the end of its data, with so many inputs in its journal.
    AtEnd {
        verified: u64,
    },
}

/// One directory, from its first batch to the end of the data.
struct Story {
    home: tempfile::TempDir,
    guard: Beside,
    /// Every effect that left, by height and place.
    left: BTreeMap<(u64, u64), String>,
}

/// A number that follows from a seed (SplitMix64).
fn drawn(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The venue's side.
struct Beside {
    child: Child,
    at: String,
    home: tempfile::TempDir,
}

fn seawall() -> Result<Command, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let program = program.parent().and_then(Path::parent).map(|home| home.join("seawall")).ok_or("no home")?;
    Ok(Command::new(program))
}

impl Beside {
    fn begin() -> Result<Beside, String> {
        let home = tempfile::tempdir().map_err(|error| error.to_string())?;
        let (child, at) = Beside::start(home.path(), "127.0.0.1:0")?;
        Ok(Beside { child, at, home })
    }

    fn start(home: &Path, listen: &str) -> Result<(Child, String), String> {
        let mut command = seawall()?;
        command.args(["guard", "--listen", listen, "--data"]).arg(home);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let mut said = String::new();
        let errors = child.stderr.take().ok_or("no errors")?;
        BufReader::new(errors).read_line(&mut said).map_err(|error| error.to_string())?;
        let at = said.split("http://").nth(1).and_then(|rest| rest.split(',').next());
        Ok((child, at.ok_or_else(|| format!("the guard says {said:?}"))?.to_owned()))
    }

    /// Killed, and started again where it was.
    fn kill(&mut self) -> Result<(), String> {
        self.child.kill().and_then(|()| self.child.wait()).map_err(|error| error.to_string())?;
        (self.child, self.at) = Beside::start(self.home.path(), &self.at)?;
        Ok(())
    }

    /// Height, effects carried out and the digest over them, as they are on its disk.
    fn carried(&self) -> Result<(u64, u64, String), String> {
        let Ok(text) = std::fs::read_to_string(self.home.path().join("guard.json")) else {
            return Ok((0, 0, String::new()));
        };
        let kept: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let number = |name: &str| kept[name].as_u64().ok_or_else(|| format!("{name} in {text}"));
        Ok((number("height")?, number("carried")?, kept["digest"].as_str().unwrap_or_default().to_owned()))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _gone = self.child.kill().and_then(|()| self.child.wait());
    }
}

impl Story {
    fn begin() -> Story {
        let guard = Beside::begin().expect("a guard");
        Story { home: tempfile::tempdir().expect("a directory"), guard, left: BTreeMap::new() }
    }

    fn kill(&mut self, seed: u64) -> Result<Life, String> {
        let life = Duration::from_micros(drawn(seed) % (LIFE_MAX_MS * 1_000));
        let mut command = seawall()?;
        command.args([
            "run",
            "--no-listen",
            "I-17",
            "--speed",
            "max",
            "--effects",
            "--json",
            "--draw",
            "60",
            "--snapshot-every",
            "20000",
        ]);
        command.args(["--deliver", &format!("http://{}", self.guard.at)]);
        command.arg("--data").arg(self.home.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let mut reader = BufReader::new(child.stdout.take().ok_or("no output")?);
        let last_before = self.left.last_key_value().map(|(id, _)| *id);
        let (mut last, mut at_end) = (None, false);
        let mut line = String::new();
        // One that begins waits for nobody's clock but its own.
        let killer = std::thread::spawn(move || {
            std::thread::sleep(life);
            // Where it has ended by itself there is nothing to kill.
            let _gone = child.kill();
            child.wait().map(|status| status.success())
        });
        if seed.is_multiple_of(3) {
            std::thread::sleep(life / 2);
            self.guard.kill()?;
        }
        while reader.read_line(&mut line).map_err(|error| error.to_string())? != 0 {
            // The last line of one that was killed may be half of one.
            if let Ok(said) = serde_json::from_str::<Value>(&line) {
                at_end |= said["at_end"] == true;
                if let (Some(height), Some(n), Some(effect)) =
                    (said["height"].as_u64(), said["n"].as_u64(), said["effect"].as_str())
                {
                    let id = (height, n);
                    if last.max(last_before).is_some_and(|last| id <= last) {
                        return Err(format!("effect {id:?} left after {:?}", last.max(last_before)));
                    }
                    last = Some(id);
                    self.left.insert(id, effect.to_owned());
                }
            }
            line.clear();
        }
        killer.join().map_err(|_| "the killer panicked")?.map_err(|error| error.to_string())?;
        let (verified, is_all) = self.hold(last_before)?;
        // What was decided last may still wait for the guard: the next life delivers it.
        Ok(if at_end && is_all { Life::AtEnd { verified } } else { Life::Killed })
    }

    /// Everything that left is what the journal leads to, and between the first and the last of this life nothing is missing. Returns the inputs in the
    /// journal, and whether the guard carried all of it out.
    fn hold(&self, last_before: Option<(u64, u64)>) -> Result<(u64, bool), String> {
        let home = self.home.path().join("journal");
        let snapshots = std::fs::read_dir(&home).into_iter().flatten().flatten();
        if !snapshots.into_iter().any(|entry| entry.file_name().to_string_lossy().ends_with(".snapshot")) {
            // It was killed before it had begun.
            return if self.left.is_empty() {
                Ok((0, false))
            } else {
                Err("effects left, and there is no journal".to_owned())
            };
        }
        let this_life =
            self.left.range((std::ops::Bound::Excluded(last_before.unwrap_or((0, 0))), std::ops::Bound::Unbounded));
        let (first, last) = (this_life.clone().next().map(|(id, _)| *id), this_life.last().map(|(id, _)| *id));
        let (mut met, mut wrong) = (0, None);
        let (height, carried, digest) = self.guard.carried()?;
        let (mut counted, mut over, mut last_effects) = (0, [0; 32], 0);
        let mut observe = |batch: &protocol::Batch, effects: &[protocol::Effect]| {
            if !effects.is_empty() {
                last_effects = batch.height;
                if batch.height <= height {
                    counted += effects.len() as u64;
                    over = guard::Guard::digest(&over, batch.height, &effects.to_vec());
                }
            }
            for (n, effect) in (0..).zip(effects) {
                let id = (batch.height, n);
                match self.left.get(&id) {
                    Some(told) if *told == format!("{effect:?}") => met += 1,
                    Some(told) => wrong = wrong.take().or(Some(format!("{id:?} left as {told}, and is {effect:?}"))),
                    None if first < Some(id) && Some(id) < last => {
                        wrong = wrong.take().or(Some(format!("{id:?} never left, and {last:?} did")));
                    }
                    None => {}
                }
            }
        };
        let verifier =
            std::fs::read_to_string(self.home.path().join(journal::VERIFIER)).map_err(|error| error.to_string())?;
        let verifier = verifier.trim().parse().map_err(|error: node::BadCheckpoint| error.to_string())?;
        let storage = FileStorage::open(&home).map_err(|fault| fault.to_string())?;
        let found = verify(storage, Some(&verifier), &mut observe).map_err(|fault| fault.to_string())?;
        if let Some(wrong) = wrong {
            return Err(wrong);
        }
        if met != self.left.len() {
            return Err(format!("{} effects left, and the journal leads to {met} of them", self.left.len()));
        }
        let over: String = over.iter().map(|byte| format!("{byte:02x}")).collect();
        if height != 0 && (counted, &over) != (carried, &digest) {
            return Err(format!(
                "the guard carried {carried} effects to height {height}, and the journal leads to {counted} there"
            ));
        }
        if found.head.height < height {
            return Err(format!(
                "the guard carried height {height} out, and the journal ends at {}",
                found.head.height
            ));
        }
        Ok((found.inputs, last_effects <= height))
    }
}
