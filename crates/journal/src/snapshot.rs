//! Snapshots: what a reader of records may begin with.
//!
//! ```text
//! magic 8 | version 2 | zero 2 | height 8 | hash 32 | length 8 | payload | blake3 of all before 32
//! ```

use crate::fault::Damage;
use crate::record::{Fields, Head, VERSION, possible};

const MAGIC: [u8; 8] = *b"SEAWALLS";
const PREFIX: usize = 60;
const DIGEST: usize = 32;

/// What there was behind a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Behind which.
    pub head: Head,
    /// What the writer gave.
    pub payload: Vec<u8>,
}

impl Snapshot {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(PREFIX + self.payload.len() + DIGEST);
        out.extend(MAGIC);
        out.extend(VERSION.to_le_bytes());
        out.extend([0; 2]);
        out.extend(self.head.height.to_le_bytes());
        out.extend(self.head.hash);
        out.extend((self.payload.len() as u64).to_le_bytes());
        out.extend_from_slice(&self.payload);
        let digest = blake3::hash(&out);
        out.extend(digest.as_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Snapshot, Damage> {
        let Some((covered, digest)) = bytes.split_last_chunk::<DIGEST>() else { return Err(Damage::Short) };
        let Some((prefix, payload)) = covered.split_at_checked(PREFIX) else { return Err(Damage::Short) };
        let mut reader = Fields(prefix);
        if reader.take() != MAGIC {
            return Err(Damage::Magic);
        }
        let version = u16::from_le_bytes(reader.take());
        let _zero: [u8; 2] = reader.take();
        let height = u64::from_le_bytes(reader.take());
        let hash = reader.take();
        let len = u64::from_le_bytes(reader.take());
        if blake3::hash(covered).as_bytes() != digest {
            return Err(Damage::Checksum);
        }
        if version != VERSION {
            return Err(Damage::Version { found: version });
        }
        if len != payload.len() as u64 {
            return Err(Damage::Length { len });
        }
        Ok(Snapshot { head: Head { height: possible(height)?, hash }, payload: payload.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_no_flipped_bit_is() {
        let snapshot = Snapshot { head: Head { height: 5, hash: [6; 32] }, payload: vec![1, 2, 3] };
        let bytes = snapshot.encode();
        assert_eq!(Snapshot::decode(&bytes), Ok(snapshot));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Snapshot::decode(&flipped).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(Snapshot::decode(&bytes[..len]).is_err(), "{len} bytes");
        }
    }
}
