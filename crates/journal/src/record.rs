//! Records and the headers of segments, as bytes.
//!
//! Integers are little-endian. A segment is a header and records:
//!
//! ```text
//! header   magic 8 | version 2 | zero 2 | rules 32 | height before 8 | hash before 32 | crc32c 4
//! record   magic 4 | length 4 | height 8 | synced 8 | hash 32 | crc32c 4 | payload
//! ```
//!
//! A checksum covers what stands before it, a record's also the payload. `synced` is the height that was durable when the
//! record was written: so a record says of those before it which of them nobody can have lost by a crash.

use crate::fault::Damage;

/// The most bytes that a record's payload has.
pub const PAYLOAD_MAX: usize = 16 << 20;
pub(crate) const VERSION: u16 = 1;
/// No height is larger, so that one more always fits.
const HEIGHT_MAX: u64 = 1 << 62;
const SEGMENT_MAGIC: [u8; 8] = *b"SEAWALLJ";
const RECORD_MAGIC: [u8; 4] = *b"SWRC";
pub(crate) const HEADER: usize = 88;
pub(crate) const PREFIX: usize = 60;

/// How far a journal has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Of the last record; zero before the first.
    pub height: u64,
    /// Its hash, which covers all records before it.
    pub hash: [u8; 32],
}

/// A payload at its place behind all that came before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub(crate) before: Head,
    pub(crate) head: Head,
    pub(crate) payload: Vec<u8>,
}

impl Head {
    /// Before the first record.
    pub const GENESIS: Head = Head { height: 0, hash: [0; 32] };

    /// The head after a payload.
    #[must_use]
    pub fn after(&self, payload: &[u8]) -> Head {
        let height = self.height + 1;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.hash).update(&height.to_le_bytes()).update(payload);
        Head { height, hash: hasher.finalize().into() }
    }

    /// The entry that puts a payload behind this.
    #[must_use]
    pub fn entry(&self, payload: Vec<u8>) -> Entry {
        Entry { before: *self, head: self.after(&payload), payload }
    }
}

impl Entry {
    /// The head behind it.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.head
    }

    /// What is written.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }
}

/// What a segment begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// The digest of the rules that it ran under.
    pub(crate) rules: [u8; 32],
    /// What it goes on from.
    pub(crate) before: Head,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER);
        out.extend(SEGMENT_MAGIC);
        out.extend(VERSION.to_le_bytes());
        out.extend([0; 2]);
        out.extend(self.rules);
        out.extend(self.before.height.to_le_bytes());
        out.extend(self.before.hash);
        let crc = crc32c::crc32c(&out);
        out.extend(crc.to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<SegmentHeader, Damage> {
        let Some((covered, crc)) = bytes.get(..HEADER).and_then(|header| header.split_last_chunk()) else {
            return Err(Damage::Short);
        };
        let mut reader = Fields(covered);
        if reader.take() != SEGMENT_MAGIC {
            return Err(Damage::Magic);
        }
        let version = u16::from_le_bytes(reader.take());
        if crc32c::crc32c(covered) != u32::from_le_bytes(*crc) {
            return Err(Damage::Checksum);
        }
        let zero: [u8; 2] = reader.take();
        if version != VERSION || zero != [0; 2] {
            return Err(Damage::Version { found: version });
        }
        let rules = reader.take();
        let height = possible(u64::from_le_bytes(reader.take()))?;
        Ok(SegmentHeader { rules, before: Head { height, hash: reader.take() } })
    }
}

/// A record as it stands in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Framed<'a> {
    pub(crate) head: Head,
    pub(crate) synced: u64,
    pub(crate) payload: &'a [u8],
}

impl Framed<'_> {
    /// Bytes in the segment.
    pub(crate) const fn len(&self) -> usize {
        PREFIX + self.payload.len()
    }
}

pub(crate) fn encode(entry: &Entry, synced: u64, out: &mut Vec<u8>) {
    let from = out.len();
    out.extend(RECORD_MAGIC);
    // No payload is larger than `PAYLOAD_MAX`: `Journal::append` refuses it.
    out.extend(u32::try_from(entry.payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend(entry.head.height.to_le_bytes());
    out.extend(synced.to_le_bytes());
    out.extend(entry.head.hash);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&out[from..]), &entry.payload);
    out.extend(crc.to_le_bytes());
    out.extend_from_slice(&entry.payload);
}

/// The record at the beginning of `bytes`, if it is intact. Whether it is the one that is expected there is another question.
pub(crate) fn decode(bytes: &[u8]) -> Result<Framed<'_>, Damage> {
    let Some((prefix, rest)) = bytes.split_at_checked(PREFIX) else { return Err(Damage::Short) };
    let Some((covered, crc)) = prefix.split_last_chunk() else { return Err(Damage::Short) };
    let mut reader = Fields(covered);
    if reader.take() != RECORD_MAGIC {
        return Err(Damage::Magic);
    }
    let len = u32::from_le_bytes(reader.take()) as usize;
    if PAYLOAD_MAX < len {
        return Err(Damage::Length { len: len as u64 });
    }
    let payload = rest.get(..len).ok_or(Damage::Short)?;
    if crc32c::crc32c_append(crc32c::crc32c(covered), payload) != u32::from_le_bytes(*crc) {
        return Err(Damage::Checksum);
    }
    let height = possible(u64::from_le_bytes(reader.take()))?;
    let synced = u64::from_le_bytes(reader.take());
    Ok(Framed { head: Head { height, hash: reader.take() }, synced, payload })
}

/// Whether an intact record that `is_one` stands anywhere in `bytes`, also behind what is damaged. Where so much only looks like records that it
/// would take long to tell, the answer is yes, which is the careful one.
pub(crate) fn any_intact(bytes: &[u8], is_one: impl Fn(&Framed<'_>) -> bool) -> bool {
    // Records one behind the other are looked at once.
    let mut effort = bytes.len().saturating_mul(4);
    let mut from = 0;
    while let Some(rest) = bytes.get(from..) {
        let Some(begins) = rest.windows(RECORD_MAGIC.len()).position(|window| window == RECORD_MAGIC) else {
            return false;
        };
        let candidate = rest.get(begins..).unwrap_or(&[]);
        let claimed = candidate.get(4..8).and_then(|len| len.try_into().ok()).map_or(0, u32::from_le_bytes) as usize;
        let looked_at = if claimed <= PAYLOAD_MAX { (PREFIX + claimed).min(candidate.len()) } else { PREFIX };
        let Some(left) = effort.checked_sub(looked_at) else { return true };
        effort = left;
        let found = decode(candidate);
        from += begins + found.as_ref().map_or(1, Framed::len);
        if found.is_ok_and(|framed| is_one(&framed)) {
            return true;
        }
    }
    false
}

/// A height, if there can be one.
pub(crate) const fn possible(height: u64) -> Result<u64, Damage> {
    if height <= HEIGHT_MAX { Ok(height) } else { Err(Damage::Height { found: height }) }
}

/// Fixed fields one after the other. Asked for more than there is, it gives zeros; callers have checked the length.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl Fields<'_> {
    pub(crate) fn take<const N: usize>(&mut self) -> [u8; N] {
        let Some((field, rest)) = self.0.split_first_chunk::<N>() else { return [0; N] };
        self.0 = rest;
        *field
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_pinned() {
        // Whoever changes these bytes can't read older journals: a new version, and a way to read the old one.
        let entry = Head::GENESIS.entry(b"seawall".to_vec());
        let mut bytes = Vec::new();
        encode(&entry, 0, &mut bytes);
        assert_eq!(bytes.len(), PREFIX + 7);
        let header = SegmentHeader { rules: [7; 32], before: Head::GENESIS }.encode();
        assert_eq!(header.len(), HEADER);
        bytes.extend(header);
        assert_eq!(
            blake3::hash(&bytes).to_string(),
            "e732fb2e4116df2d76b6b9042f4c32af92cb73db857770192b079150bc35ec8c"
        );
    }

    #[test]
    fn what_is_written_is_read_and_no_flipped_bit_is() {
        let entry = Head { height: 41, hash: [3; 32] }.entry(vec![9; 100]);
        let mut bytes = Vec::new();
        encode(&entry, 40, &mut bytes);
        let framed = Framed { head: entry.head, synced: 40, payload: &entry.payload };
        assert_eq!(decode(&bytes), Ok(framed));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&flipped).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert_eq!(decode(&bytes[..len]), Err(Damage::Short), "{len} bytes");
        }
        let header = SegmentHeader { rules: [1; 32], before: entry.head };
        let bytes = header.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_hash_covers_height_payload_and_what_came_before() {
        let head = Head::GENESIS.after(b"a").after(b"b");
        assert_eq!(head.height, 2);
        for other in [Head::GENESIS.after(b"a").after(b"c"), Head::GENESIS.after(b"c").after(b"b")] {
            assert_ne!(other.hash, head.hash);
        }
        let later = Head { height: 1, ..Head::GENESIS };
        assert_ne!(later.after(b"a").hash, Head::GENESIS.after(b"a").hash);
    }

    #[test]
    fn intact_records_are_found_behind_damage() {
        let mut bytes = b"SWRC".to_vec();
        let first = Head::GENESIS.entry(b"SWRCSWRC".to_vec());
        encode(&first, 0, &mut bytes);
        bytes.extend([0; 9]);
        let second = first.head.entry(Vec::new());
        encode(&second, 1, &mut bytes);
        bytes.extend(b"SW");
        let has = |height: u64, synced: u64| {
            any_intact(&bytes, |framed| (framed.head.height, framed.synced) == (height, synced))
        };
        assert_eq!((has(1, 0), has(2, 1), has(1, 1), has(2, 0)), (true, true, false, false));
    }

    #[test]
    fn what_only_looks_like_records_is_given_up_in_time() {
        // Each of a million beginnings claims megabytes that are there: checksums of all would be 10^13 bytes.
        let claim = [&RECORD_MAGIC[..], &[0, 0, 0x3f, 0]].concat();
        let bytes = claim.repeat(1 << 20);
        assert!(any_intact(&bytes, |_| false));
        // Few of them are looked at.
        assert!(!any_intact(&bytes[bytes.len() - 24..], |_| false));
    }

    #[test]
    fn no_height_is_so_large_that_none_follows() {
        let entry = Head { height: HEIGHT_MAX - 1, hash: [0; 32] }.entry(vec![]);
        let mut bytes = Vec::new();
        encode(&entry, 0, &mut bytes);
        assert_eq!(decode(&bytes).map(|framed| framed.head.height), Ok(HEIGHT_MAX));
        bytes.clear();
        encode(&entry.head.entry(vec![]), 0, &mut bytes);
        assert_eq!(decode(&bytes), Err(Damage::Height { found: HEIGHT_MAX + 1 }));
        let header = SegmentHeader { rules: [0; 32], before: entry.head.after(&[]) };
        assert_eq!(SegmentHeader::decode(&header.encode()), Err(Damage::Height { found: HEIGHT_MAX + 1 }));
    }
}
