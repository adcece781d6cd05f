//! What a batch's decision was, in a log under one hash, and signed statements of how far that log is.

use crate::fault::NodeFault;
use crate::replay::rules;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use codec::canonical_struct;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use journal::merkle::{self, Hash, Tree};
use journal::{Head, Snapshot};
use kernel::state::State;
use protocol::governance::Governed;
use protocol::{Effect, VenueParams};
use sha2::{Digest, Sha256};

/// What was decided: a leaf of the log. Whoever has the record can derive it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Of the batch.
    pub height: u64,
    /// The record's hash, which covers the batch and all before it.
    pub record: [u8; 32],
    /// BLAKE3 of the effects' canonical bytes.
    pub effects: [u8; 32],
    /// BLAKE3 of the parameters' canonical bytes.
    pub parameters: [u8; 32],
    /// The digest of the rules.
    pub rules: [u8; 32],
}

canonical_struct!(Receipt { height, record, effects, parameters, rules });

/// Writes down what was decided, batch by batch.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) tree: Tree,
    parameters: [u8; 32],
    rules: [u8; 32],
}

impl Log {
    pub(crate) fn new(tree: Tree, parameters: &VenueParams) -> Log {
        Log { tree, parameters: codec::hash(parameters), rules: rules() }
    }

    /// Writes down what a batch came to; the parameters are those in force behind it.
    pub(crate) fn push(&mut self, head: Head, effects: &Vec<Effect>, state: &State) -> Receipt {
        let changes = |effect: &Effect| matches!(effect, Effect::Governed { what: Governed::Executed { .. } });
        if effects.iter().any(changes) {
            self.parameters = codec::hash(&state.params());
        }
        let (parameters, rules) = (self.parameters, self.rules);
        let effects = codec::hash(effects);
        let receipt = Receipt { height: head.height, record: head.hash, effects, parameters, rules };
        self.tree.push(receipt.leaf());
        receipt
    }
}

/// What a node's snapshot holds: how far the receipts' log is, and the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    size: u64,
    whole: Vec<[u8; 32]>,
    state: Vec<u8>,
}

canonical_struct!(Kept { size, whole, state });

impl Kept {
    /// The payload of a snapshot.
    #[must_use]
    pub fn of(tree: &Tree, state: &State) -> Vec<u8> {
        let (size, whole) = tree.parts();
        codec::to_bytes(&Kept { size, whole: whole.to_vec(), state: state.to_snapshot() })
    }

    /// What a snapshot holds.
    ///
    /// # Errors
    /// Bytes that no node wrote, a state that is not sound, or one of another height than the snapshot's.
    pub fn read(snapshot: &Snapshot) -> Result<(Tree, State), NodeFault> {
        let height = snapshot.head.height;
        let decoded = codec::from_bytes(&snapshot.payload);
        let kept: Kept = decoded.map_err(|error| NodeFault::Undecodable { what: "snapshot", height, error })?;
        let state = State::from_snapshot(&kept.state).map_err(|error| NodeFault::Snapshot { height, error })?;
        let tree = Tree::of_parts(kept.size, kept.whole).filter(|tree| tree.size() == height);
        let tree = tree.filter(|_| state.height == height).ok_or(NodeFault::Misplaced { height })?;
        Ok((tree, state))
    }
}

impl Receipt {
    /// Its hash as a leaf: of its canonical bytes.
    #[must_use]
    pub fn leaf(&self) -> Hash {
        merkle::leaf(&codec::to_bytes(self))
    }
}

/// Marks an Ed25519 key in a verifier key and its id (C2SP signed-note).
const ED25519: u8 = 1;

/// A key that signs checkpoints, and its name.
#[derive(Clone)]
pub struct Signer {
    name: String,
    key: SigningKey,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The secret stays where it is.
        f.debug_struct("Signer").field("verifier", &self.verifier().to_string()).finish()
    }
}

/// A key that checks signatures of checkpoints, with its name: as text `NAME+ID+KEY` (C2SP signed-note).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    key: VerifyingKey,
}

/// How far a log is, and its hash there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whose log: the name of the key.
    pub origin: String,
    /// Leaves: the height.
    pub size: u64,
    /// The hash of all leaves.
    pub root: Hash,
}

/// What shows that a receipt is in a log, to whoever trusts the key that signed how far that log is: a kilobyte instead of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// What was decided.
    pub receipt: Receipt,
    /// From its leaf to the root, from below (RFC 6962).
    pub path: Vec<Hash>,
    /// The signed statement of the log's size and root.
    pub checkpoint: String,
}

impl Proof {
    /// Whether the receipt is in the log that the checkpoint states, and whose.
    ///
    /// # Errors
    /// A checkpoint that the key did not sign; [`BadCheckpoint::Elsewhere`] for a receipt that is not in that log.
    pub fn holds(&self, verifier: &Verifier) -> Result<Checkpoint, BadCheckpoint> {
        let stated = verifier.read(&self.checkpoint)?;
        let index = self.receipt.height.checked_sub(1).ok_or(BadCheckpoint::Elsewhere)?;
        let is_in = merkle::includes(&stated.root, stated.size, index, &self.receipt.leaf(), &self.path);
        if is_in { Ok(stated) } else { Err(BadCheckpoint::Elsewhere) }
    }
}

/// Why a checkpoint is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCheckpoint {
    /// Not the text of one.
    #[error("it is no checkpoint")]
    Malformed,
    /// Nobody who is trusted signed it.
    #[error("it has no signature by a known key")]
    Unsigned,
    /// The receipt is not in the log that it states.
    #[error("it states a log in which that receipt is not")]
    Elsewhere,
    /// A signature of a known key that does not fit.
    #[error("its signature does not fit")]
    Forged,
}

fn id_of(name: &str, key: &VerifyingKey) -> [u8; 4] {
    let hash = Sha256::new().chain_update(name).chain_update([b'\n', ED25519]).chain_update(key.as_bytes()).finalize();
    [hash[0], hash[1], hash[2], hash[3]]
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

impl Signer {
    /// A signer by its name and the 32 bytes of its secret; `None` for a name that is empty or has blanks or a plus.
    #[must_use]
    pub fn new(name: &str, secret: &[u8; 32]) -> Option<Signer> {
        is_name(name).then(|| Signer { name: name.to_owned(), key: SigningKey::from_bytes(secret) })
    }

    /// Who checks what it signs.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        Verifier { name: self.name.clone(), key: self.key.verifying_key() }
    }

    /// A signed checkpoint, as text (C2SP tlog-checkpoint).
    #[must_use]
    pub fn checkpoint(&self, size: u64, root: &Hash) -> String {
        let text = format!("{}\n{size}\n{}\n", self.name, BASE64.encode(root));
        let mut signature = id_of(&self.name, &self.key.verifying_key()).to_vec();
        signature.extend(self.key.sign(text.as_bytes()).to_bytes());
        format!("{text}\n\u{2014} {} {}\n", self.name, BASE64.encode(signature))
    }
}

impl std::fmt::Display for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id = u32::from_be_bytes(id_of(&self.name, &self.key));
        let mut key = vec![ED25519];
        key.extend(self.key.as_bytes());
        write!(f, "{}+{id:08x}+{}", self.name, BASE64.encode(key))
    }
}

impl std::str::FromStr for Verifier {
    type Err = BadCheckpoint;

    fn from_str(text: &str) -> Result<Verifier, BadCheckpoint> {
        let found = || {
            let (name, rest) = text.split_once('+')?;
            let (id, key) = rest.split_once('+')?;
            let bytes = BASE64.decode(key).ok()?;
            let (kind, key) = bytes.split_first()?;
            let key = VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
            let fits = *kind == ED25519
                && is_name(name)
                && u32::from_str_radix(id, 16) == Ok(u32::from_be_bytes(id_of(name, &key)));
            fits.then(|| Verifier { name: name.to_owned(), key })
        };
        found().ok_or(BadCheckpoint::Malformed)
    }
}

impl Verifier {
    /// Reads a checkpoint that this key signed.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(&self, text: &str) -> Result<Checkpoint, BadCheckpoint> {
        let (body, signatures) = text.split_once("\n\n").ok_or(BadCheckpoint::Malformed)?;
        let signed = format!("{body}\n");
        let mut lines = body.lines();
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(BadCheckpoint::Malformed);
        };
        let size: u64 = size.parse().ok().filter(|n: &u64| n.to_string() == size).ok_or(BadCheckpoint::Malformed)?;
        let root = BASE64.decode(root).ok().and_then(|root| root.try_into().ok()).ok_or(BadCheckpoint::Malformed)?;
        let own = signatures.lines().find_map(|line| {
            let (name, signature) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
            let bytes = BASE64.decode(signature).ok()?;
            let (id, signature) = bytes.split_first_chunk::<4>()?;
            let is_own = name == self.name && *id == id_of(&self.name, &self.key);
            is_own.then(|| Signature::from_slice(signature).ok())
        });
        let signature = own.ok_or(BadCheckpoint::Unsigned)?.ok_or(BadCheckpoint::Forged)?;
        if self.key.verify_strict(signed.as_bytes(), &signature).is_err() {
            return Err(BadCheckpoint::Forged);
        }
        Ok(Checkpoint { origin: origin.to_owned(), size, root })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer() -> Signer {
        Signer::new("venue.example/seawall", &[7; 32]).unwrap()
    }

    #[test]
    fn a_checkpoint_is_read_by_its_key_and_no_other() {
        let text = signer().checkpoint(42, &[3; 32]);
        let verifier: Verifier = signer().verifier().to_string().parse().unwrap();
        assert_eq!(verifier, signer().verifier());
        let expected = Checkpoint { origin: "venue.example/seawall".to_owned(), size: 42, root: [3; 32] };
        assert_eq!(verifier.read(&text), Ok(expected));
        let stranger = Signer::new("venue.example/seawall", &[8; 32]).unwrap().verifier();
        assert_eq!(stranger.read(&text), Err(BadCheckpoint::Unsigned));
        assert_eq!(Signer::new("other", &[7; 32]).unwrap().verifier().read(&text), Err(BadCheckpoint::Unsigned));
    }

    #[test]
    fn no_changed_byte_is_accepted() {
        let text = signer().checkpoint(42, &[3; 32]);
        let verifier = signer().verifier();
        for place in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[place] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            assert!(verifier.read(&changed).is_err(), "byte {place} of {text:?}");
        }
        for len in 0..text.len() - 1 {
            assert!(text.get(..len).is_none_or(|text| verifier.read(text).is_err()), "{len} bytes");
        }
    }

    #[test]
    fn a_note_that_another_program_signed_is_read() {
        // The verifier key and the note of golang.org/x/mod/sumdb/note's documentation.
        let key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let verifier: Verifier = key.parse().unwrap();
        assert_eq!(verifier.to_string(), key);
        let changed = key.replace("c74f20a3", "c74f20a4");
        assert_eq!(changed.parse::<Verifier>(), Err(BadCheckpoint::Malformed));
        let note =
            "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
        let signature = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
        let bytes = BASE64.decode(signature).unwrap();
        let signature = Signature::from_slice(&bytes[4..]).unwrap();
        assert!(verifier.key.verify_strict(note.as_bytes(), &signature).is_ok());
    }
}
