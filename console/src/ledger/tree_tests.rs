use serde_json::json;

use super::*;
use crate::ledger::Kind;
use crate::ledger::entry::{append, leaf_hash};
use crate::store::Store;
use crate::store::sql::Connection;

/// RFC 6962's own definition, as it is written there.
fn mth(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [one] => *one,
        more => {
            let k = 1 << (more.len() - 1).ilog2();
            node_hash(&mth(&more[..k]), &mth(&more[k..]))
        }
    }
}

fn with_entries(n: i64, test: impl FnOnce(&Connection, &[Hash])) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    Store::open(&path).unwrap().close();
    let c = Connection::open(&path).unwrap();
    c.execute_batch("BEGIN").unwrap();
    for i in 0..n {
        append(&c, i, Kind::Access, &json!({ "n": i })).unwrap();
        if i % 300 == 0 {
            store_tiles(&c).unwrap();
        }
    }
    store_tiles(&c).unwrap();
    let leaves = super::leaves(&c, 0, n).unwrap();
    test(&c, &leaves);
}

#[test]
fn the_known_roots_of_rfc_6962_come_out() {
    // The test vectors of the Certificate Transparency reference implementation.
    let inputs: [&[u8]; 8] = [
        b"",
        &[0x00],
        &[0x10],
        &[0x20, 0x21],
        &[0x30, 0x31],
        &[0x40, 0x41, 0x42, 0x43],
        &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
        &[
            0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d,
            0x6e, 0x6f,
        ],
    ];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut edge = Edge::default();
    assert_eq!(edge.root(), empty_root());
    for (input, root) in inputs.into_iter().zip(roots) {
        edge.push(leaf_hash(input));
        assert_eq!(crate::ledger::body::hex(&edge.root()), root);
    }
}

#[test]
fn stored_tiles_give_every_root_and_every_proof() {
    // Past a tile of level 1, and then some.
    let n = 700;
    with_entries(n, |c, leaves| {
        for size in (0..=n).step_by(7).chain([1, 255, 256, 257, 512, n]) {
            let expected = mth(&leaves[..size as usize]);
            assert_eq!(root(c, size).unwrap(), expected, "root of {size}");
            for index in [0, 1, size / 2, size - 2, size - 1] {
                if !(0..size).contains(&index) {
                    continue;
                }
                let path = inclusion(c, index, size).unwrap();
                let (leaf, i, s) = (leaves[index as usize], index as u64, size as u64);
                assert!(check_inclusion(leaf, i, s, &path, &expected));
                assert!(!check_inclusion(leaf, i + 1, s, &path, &expected) || size == 1);
                assert!(!check_inclusion([7; 32], i, s, &path, &expected));
                if !path.is_empty() {
                    assert!(!check_inclusion(leaf, i, s, &path[1..], &expected));
                }
            }
            for old in [1, 2, 3, 100, 256, 300, size - 1, size] {
                if !(1..=size).contains(&old) {
                    continue;
                }
                let path = consistency(c, old, size).unwrap();
                let before = mth(&leaves[..old as usize]);
                let (o, s) = (old as u64, size as u64);
                assert!(
                    check_consistency((o, &before), (s, &expected), &path),
                    "{old} to {size}"
                );
                assert!(!check_consistency((o, &[7; 32]), (s, &expected), &path));
                assert!(!check_consistency((o, &before), (s, &[7; 32]), &path));
            }
        }
    });
}

#[test]
fn a_tree_of_many_levels_keeps_its_root() {
    // 65,536 leaves fill a tile of level 1.
    with_entries(66_000, |c, leaves| {
        let mut edge = Edge::default();
        for (i, leaf) in leaves.iter().enumerate() {
            edge.push(*leaf);
            let size = i as i64 + 1;
            if [65_535, 65_536, 65_537, 66_000].contains(&size) {
                assert_eq!(root(c, size).unwrap(), edge.root(), "{size}");
            }
        }
        let level_1: i64 = c
            .query_row("SELECT count(*) FROM tiles WHERE level = 1", [], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(level_1, 1);
    });
}
