//! A journal in one file, for somebody else to verify.
//!
//! ```text
//! magic 8 | version 2 | per file: length of name 1, name, length 8, bytes | zero 1 | blake3 of all before 32
//! ```

use crate::fault::{Damage, Fault, io};
use crate::open::is_ours;
use crate::record::VERSION;
use crate::storage::Storage;
use std::io::{Read, Write};

const MAGIC: [u8; 8] = *b"SEAWALLB";
/// No file of a journal is larger: a segment is followed by the next long before.
const FILE_MAX: u64 = 1 << 30;
/// The key by which checkpoints are checked, in a file of this name.
pub const VERIFIER: &str = "verifier.key";

fn whole(name: &str, damage: Damage) -> Fault {
    Fault::Foreign { name: name.to_owned(), what: "bundle", version: VERSION, damage }
}

/// Writes every file of a journal, and the key by which its checkpoints are checked. Returns how many files there are.
///
/// # Errors
/// What the storage or `out` says.
pub fn pack<S: Storage>(storage: &S, verifier: Option<&str>, out: &mut impl Write) -> Result<u64, Fault> {
    const NAME: &str = "the bundle";
    let mut names = storage.list().map_err(io("listing", "the journal"))?;
    names.retain(|name| is_ours(name));
    names.sort();
    let mut hasher = blake3::Hasher::new();
    let mut write = |bytes: &[u8]| {
        hasher.update(bytes);
        out.write_all(bytes).map_err(io("writing", NAME))
    };
    write(&MAGIC)?;
    write(&VERSION.to_le_bytes())?;
    let mut files = 0;
    let mut file = |name: &str, bytes: &[u8], write: &mut dyn FnMut(&[u8]) -> Result<(), Fault>| {
        files += 1;
        // No name of ours is longer than thirty bytes.
        write(&[u8::try_from(name.len()).unwrap_or(u8::MAX)])?;
        write(name.as_bytes())?;
        write(&(bytes.len() as u64).to_le_bytes())?;
        write(bytes)
    };
    for name in names {
        let bytes = storage.read(&name).map_err(io("reading", &name))?;
        file(&name, &bytes, &mut write)?;
    }
    if let Some(verifier) = verifier {
        file(VERIFIER, verifier.as_bytes(), &mut write)?;
    }
    write(&[0])?;
    let digest = hasher.finalize();
    out.write_all(digest.as_bytes()).and_then(|()| out.flush()).map_err(io("writing", NAME))?;
    Ok(files)
}

/// What a bundle held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// How many files.
    pub files: u64,
    /// The key by which its checkpoints are said to be checked. Whoever made the bundle chose it.
    pub verifier: Option<String>,
    /// Whether the digest at its end fits. Where it does not, something was changed: most often the files say what.
    pub is_whole: bool,
}

/// Writes the files of the bundle `name` into an empty storage.
///
/// # Errors
/// [`Fault::Foreign`] for what is no bundle, with what is wrong; what `input` or the storage says.
pub fn unpack<S: Storage>(name: &str, input: &mut impl Read, storage: &S) -> Result<Unpacked, Fault> {
    let mut hasher = blake3::Hasher::new();
    let mut read = |len: u64| {
        let mut bytes = Vec::new();
        input.by_ref().take(len).read_to_end(&mut bytes).map_err(io("reading", name))?;
        hasher.update(&bytes);
        if (bytes.len() as u64) < len { Err(whole(name, Damage::Short)) } else { Ok(bytes) }
    };
    if read(8)? != MAGIC {
        return Err(whole(name, Damage::Magic));
    }
    let version = read(2)?;
    if version != VERSION.to_le_bytes() {
        let found = version.try_into().map_or(0, u16::from_le_bytes);
        return Err(whole(name, Damage::Version { found }));
    }
    let (mut files, mut verifier) = (0, None);
    loop {
        let len = read(1)?.first().copied().unwrap_or(0);
        if len == 0 {
            break;
        }
        let file = String::from_utf8(read(len.into())?).map_err(|_| whole(name, Damage::Magic))?;
        let len = read(8)?.try_into().map_or(u64::MAX, u64::from_le_bytes);
        if FILE_MAX < len {
            return Err(whole(name, Damage::Length { len }));
        }
        let bytes = read(len)?;
        files += 1;
        if file == VERIFIER {
            verifier = Some(String::from_utf8_lossy(&bytes).trim().to_owned());
        } else if is_ours(&file) {
            storage.replace(&file, &bytes).map_err(io("writing", &file))?;
        } else {
            // Nobody is led to write elsewhere.
            return Err(whole(name, Damage::Magic));
        }
    }
    let digest = hasher.finalize();
    let mut end = Vec::new();
    input.take(33).read_to_end(&mut end).map_err(io("reading", name))?;
    Ok(Unpacked { files, verifier, is_whole: end == digest.as_bytes() })
}
