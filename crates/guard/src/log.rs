//! What was decided, a line a delivery, for the venue to carry out. As much of it counts as the guard's state says.

use crate::state::Broken;
use port::words::hex;
use protocol::Effect;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

const FILE: &str = "deliveries.jsonl";
/// Where every so many lines begin is remembered.
const INDEX_EVERY: u64 = 256;
/// An answer has at most so many bytes of lines, or one line.
const PAGE_BYTES: usize = 4 << 20;

#[derive(Debug, Serialize)]
struct Line {
    height: u64,
    effects: Vec<Decided>,
}

/// One effect, whose idempotency key is the line's height and its own place.
#[derive(Debug, Serialize)]
struct Decided {
    n: usize,
    /// For people.
    text: String,
    /// Its canonical bytes, in hexadecimal.
    bytes: String,
}

/// Of a line only where it stands.
#[derive(Deserialize)]
struct Place {
    height: u64,
}

#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    /// Height and offset of every so many lines, in rising order.
    index: Vec<(u64, u64)>,
    lines: u64,
}

impl Log {
    /// Up to where it counts; what a crash left behind that was never acknowledged, and is cut.
    pub(crate) fn open(home: &Path, counts: u64) -> Result<Log, Broken> {
        let path = home.join(FILE);
        let failed = |error| Broken::Io { path: path.clone(), error };
        let file = OpenOptions::new().create(true).append(true).read(true).open(&path).map_err(failed)?;
        let found = file.metadata().map_err(failed)?.len();
        if found < counts {
            let why = format!("it has {found} bytes, and {counts} were carried out");
            return Err(Broken::Unread { path, why });
        }
        file.set_len(counts).and_then(|()| file.sync_all()).map_err(failed)?;
        let (mut index, mut lines, mut offset) = (Vec::new(), 0, 0);
        let mut reader = BufReader::new(File::open(&path).map_err(failed)?);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).map_err(failed)? != 0 {
            let place: Place = serde_json::from_slice(&line).map_err(|error| Broken::Unread {
                path: path.clone(),
                why: format!("the line at byte {offset}: {error}"),
            })?;
            if lines % INDEX_EVERY == 0 {
                index.push((place.height, offset));
            }
            lines += 1;
            offset += line.len() as u64;
            line.clear();
        }
        Ok(Log { path, file, index, lines })
    }

    /// Writes a line behind those that count, durably; how many bytes count with it. Where this fails the process is at its end.
    pub(crate) fn append(&mut self, height: u64, effects: &[Effect], counts: u64) -> Result<u64, Broken> {
        let failed = |error| Broken::Io { path: self.path.clone(), error };
        let decided = |(n, effect): (usize, &Effect)| Decided {
            n,
            text: format!("{effect:?}"),
            bytes: hex(&codec::to_bytes(effect)),
        };
        let line = Line { height, effects: effects.iter().enumerate().map(decided).collect() };
        let mut text = serde_json::to_string(&line).map_err(|error| failed(error.into()))?;
        text.push('\n');
        self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data()).map_err(failed)?;
        if self.lines.is_multiple_of(INDEX_EVERY) {
            self.index.push((height, counts));
        }
        self.lines += 1;
        Ok(counts + text.len() as u64)
    }

    /// Lines behind a height, at most `most`, of the bytes that count; and whether there are more.
    pub(crate) fn behind(&self, after: u64, most: usize, counts: u64) -> Result<(Vec<String>, bool), Broken> {
        let failed = |error| Broken::Io { path: self.path.clone(), error };
        let place = self.index.partition_point(|(height, _)| *height <= after).saturating_sub(1);
        let offset = self.index.get(place).map_or(0, |(_, offset)| *offset);
        let mut file = File::open(&self.path).map_err(failed)?;
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        let mut reader = BufReader::new(file.take(counts.saturating_sub(offset)));
        let (mut lines, mut bytes, mut line) = (Vec::new(), 0, String::new());
        while reader.read_line(&mut line).map_err(failed)? != 0 {
            let place: Place = serde_json::from_str(&line).map_err(|error| failed(error.into()))?;
            if after < place.height {
                if lines.len() == most || !lines.is_empty() && PAGE_BYTES < bytes + line.len() {
                    return Ok((lines, true));
                }
                bytes += line.len();
                lines.push(line.trim_end().to_owned());
            }
            line.clear();
        }
        Ok((lines, false))
    }
}
