//! An append-only log of leaves under one hash (RFC 6962 §2.1, SHA-256): whoever has two of its hashes can be shown that the later one only added, and
//! whoever has one, that a leaf is in it, with as many hashes as the number of leaves has binary digits.

use sha2::{Digest, Sha256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// The hash of a leaf.
#[must_use]
pub fn leaf(bytes: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(bytes).finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The largest power of two below `size`, which is at least two.
const fn split(size: u64) -> u64 {
    1 << (63 - (size - 1).leading_zeros())
}

/// A log by the hashes of its whole subtrees: what it takes to append, and no more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    /// A hash for each digit of `size` that is one, the largest subtree first.
    whole: Vec<Hash>,
}

impl Tree {
    /// Without a leaf.
    #[must_use]
    pub fn new() -> Tree {
        Tree::default()
    }

    /// What [`Tree::parts`] gave; `None` where the hashes are not as many as the size asks for.
    #[must_use]
    pub fn of_parts(size: u64, whole: Vec<Hash>) -> Option<Tree> {
        (whole.len() == size.count_ones() as usize).then_some(Tree { size, whole })
    }

    /// The number of leaves, and the hashes of its whole subtrees.
    #[must_use]
    pub fn parts(&self) -> (u64, &[Hash]) {
        (self.size, &self.whole)
    }

    /// How many leaves there are.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds the hash of a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.whole.pop() {
                hash = node(&left, &hash);
            }
        }
        self.whole.push(hash);
        self.size += 1;
    }

    /// The hash of everything; of no leaves that of nothing.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut rising = self.whole.iter().rev();
        let Some(smallest) = rising.next() else { return Sha256::digest([]).into() };
        rising.fold(*smallest, |right, left| node(left, &right))
    }
}

/// The hash of some leaves' hashes.
#[must_use]
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Sha256::digest([]).into(),
        [one] => *one,
        more => {
            let (left, right) = more.split_at(split(more.len() as u64) as usize);
            node(&root(left), &root(right))
        }
    }
}

/// The path from a leaf to the root, from below; `None` where there is no such leaf.
#[must_use]
pub fn inclusion(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    if leaves.len() <= index {
        return None;
    }
    if leaves.len() == 1 {
        return Some(Vec::new());
    }
    let at = split(leaves.len() as u64) as usize;
    let (left, right) = leaves.split_at(at);
    let (mut path, other) =
        if index < at { (inclusion(left, index)?, root(right)) } else { (inclusion(right, index - at)?, root(left)) };
    path.push(other);
    Some(path)
}

/// Whether a path leads from a leaf's hash at `index` to the root of a log of `size` leaves.
#[must_use]
pub fn includes(root: &Hash, size: u64, index: u64, leaf: &Hash, path: &[Hash]) -> bool {
    fn climbed(size: u64, index: u64, leaf: &Hash, path: &[Hash]) -> Option<Hash> {
        let (Some((other, below)), true) = (path.split_last(), 1 < size) else {
            return (path.is_empty() && size == 1).then_some(*leaf);
        };
        let at = split(size);
        if index < at {
            Some(node(&climbed(at, index, leaf, below)?, other))
        } else {
            Some(node(other, &climbed(size - at, index - at, leaf, below)?))
        }
    }
    index < size && climbed(size, index, leaf, path) == Some(*root)
}

/// What shows that the log of the first `before` leaves is the beginning of this one; `None` where there are not so many, or none.
#[must_use]
pub fn consistency(leaves: &[Hash], before: usize) -> Option<Vec<Hash>> {
    fn proof(leaves: &[Hash], before: usize, is_known: bool) -> Vec<Hash> {
        if before == leaves.len() {
            return if is_known { Vec::new() } else { vec![root(leaves)] };
        }
        let at = split(leaves.len() as u64) as usize;
        let (left, right) = leaves.split_at(at);
        let (mut path, other) = if before <= at {
            (proof(left, before, is_known), root(right))
        } else {
            (proof(right, before - at, false), root(left))
        };
        path.push(other);
        path
    }
    (1..=leaves.len()).contains(&before).then(|| proof(leaves, before, true))
}

/// Whether a log of `size` leaves with `root` begins with the log of `before` leaves that had the root `old`.
#[must_use]
pub fn extends(old: &Hash, before: u64, root: &Hash, size: u64, path: &[Hash]) -> bool {
    /// The two roots that a path stands for.
    fn climbed(old: &Hash, before: u64, size: u64, is_known: bool, path: &[Hash]) -> Option<(Hash, Hash)> {
        if before == size {
            return match (is_known, path) {
                (true, []) => Some((*old, *old)),
                (false, [whole]) => Some((*whole, *whole)),
                (_, _) => None,
            };
        }
        let (other, below) = path.split_last()?;
        let at = split(size);
        if before <= at {
            let (earlier, left) = climbed(old, before, at, is_known, below)?;
            Some((earlier, node(&left, other)))
        } else {
            let (earlier, right) = climbed(old, before - at, size - at, false, below)?;
            Some((node(other, &earlier), node(other, &right)))
        }
    }
    1 <= before && before <= size && climbed(old, before, size, true, path) == Some((*old, *root))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digit = |place: usize| u8::from_str_radix(&hex[place..place + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(digit).collect()
    }

    /// The reference leaves and roots of Certificate Transparency's tests (google/certificate-transparency, merkletree tests).
    const LEAVES: [&str; 8] =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    const ROOTS: [&str; 8] = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count).map(|n| leaf(&(n as u64).to_le_bytes())).collect()
    }

    #[test]
    fn roots_are_those_of_certificate_transparency() {
        let hashes: Vec<Hash> = LEAVES.iter().map(|hex| leaf(&bytes(hex))).collect();
        let mut tree = Tree::new();
        assert_eq!(tree.root().to_vec(), bytes("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
        for (size, expected) in (1..).zip(ROOTS) {
            tree.push(hashes[size - 1]);
            assert_eq!((tree.root().to_vec(), root(&hashes[..size]).to_vec()), (bytes(expected), bytes(expected)));
            let (size, whole) = tree.parts();
            assert_eq!(Tree::of_parts(size, whole.to_vec()), Some(tree.clone()));
            assert_eq!(Tree::of_parts(size, vec![[0; 32]; whole.len() + 1]), None);
        }
    }

    #[test]
    fn a_leaf_is_shown_to_be_where_it_is_and_nowhere_else() {
        for size in 1..40 {
            let leaves = leaves(size);
            let whole = root(&leaves);
            assert_eq!(inclusion(&leaves, size), None);
            for index in 0..size {
                let path = inclusion(&leaves, index).unwrap();
                for other in 0..=size {
                    let shown = includes(&whole, size as u64, other as u64, &leaves[index], &path);
                    assert_eq!(shown, other == index, "{index} of {size} as {other}");
                }
                assert!(!includes(&whole, size as u64, index as u64, &[0; 32], &path));
                let mut longer = path.clone();
                longer.push([0; 32]);
                assert!(!includes(&whole, size as u64, index as u64, &leaves[index], &longer));
                for place in 0..path.len() {
                    let mut wrong = path.clone();
                    wrong[place][0] ^= 1;
                    assert!(!includes(&whole, size as u64, index as u64, &leaves[index], &wrong));
                }
            }
        }
    }

    #[test]
    fn a_log_is_shown_to_go_on_from_its_beginning_and_from_no_other() {
        for size in 1..40 {
            let all = leaves(size);
            let whole = root(&all);
            assert_eq!((consistency(&all, 0), consistency(&all, size + 1)), (None, None));
            for before in 1..=size {
                let (old, path) = (root(&all[..before]), consistency(&all, before).unwrap());
                assert!(extends(&old, before as u64, &whole, size as u64, &path), "{before} of {size}");
                let mut changed = all.clone();
                changed[before - 1] = [7; 32];
                assert!(!extends(&root(&changed[..before]), before as u64, &whole, size as u64, &path));
                assert!(!extends(&old, before as u64, &root(&changed), size as u64, &path));
                for place in 0..path.len() {
                    let mut wrong = path.clone();
                    wrong[place][0] ^= 1;
                    assert!(!extends(&old, before as u64, &whole, size as u64, &wrong));
                }
                let mut longer = path.clone();
                longer.push([0; 32]);
                assert!(!extends(&old, before as u64, &whole, size as u64, &longer));
            }
        }
        assert!(!extends(&[0; 32], 0, &[0; 32], 5, &[]));
        assert!(!extends(&[0; 32], 6, &[0; 32], 5, &[]));
    }
}
