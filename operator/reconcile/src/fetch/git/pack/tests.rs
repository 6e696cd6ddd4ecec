use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use proptest::prelude::*;

use super::*;

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Type and size in git's way.
fn head(kind: u8, mut size: usize) -> Vec<u8> {
    let mut bytes = vec![kind << 4 | (size & 0x0f) as u8];
    size >>= 4;
    while size > 0 {
        *bytes.last_mut().unwrap() |= 0x80;
        bytes.push((size & 0x7f) as u8);
        size >>= 7;
    }
    bytes
}

fn blob(content: &[u8]) -> Vec<u8> {
    [head(3, content.len()), zlib(content)].concat()
}

fn pack(count: u32, objects: &[Vec<u8>]) -> Vec<u8> {
    let mut pack = [b"PACK\0\0\0\x02".to_vec(), count.to_be_bytes().to_vec(), objects.concat()].concat();
    let sum = Sha1::digest(&pack);
    pack.extend_from_slice(&sum);
    pack
}

fn id(content: &[u8]) -> Id {
    let whole = [format!("blob {}\0", content.len()).as_bytes(), content].concat();
    Id::of_bytes(&Sha1::digest(whole)).unwrap()
}

/// An object that differs from a named one.
fn differing(base: Id, delta: &[u8]) -> Vec<u8> {
    [head(7, delta.len()), base.0.to_vec(), zlib(delta)].concat()
}

#[test]
fn an_object_may_come_before_what_it_differs_from() {
    // Of 5 bytes, 7: three of the base from 1, then "more".
    let delta = [&[5, 7, 0x91, 1, 3, 4][..], b"more"].concat();
    let objects = read(&pack(2, &[differing(id(b"abcde"), &delta), blob(b"abcde")]), 1000).unwrap();
    assert_eq!(objects.get(&id(b"bcdmore"), Kind::Blob).unwrap(), "bcdmore");
    assert!(objects.get(&id(b"abcde"), Kind::Tree).is_none(), "it is no tree");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let base = blob(b"abcde");
    let deltas: [&[u8]; 8] = [
        &[5, 3, 0x91, 4, 3],
        &[4, 3, 0x91, 0, 3],
        &[5, 2, 0x91, 0, 3],
        &[5, 4, 0x91, 0, 3],
        &[5, 1, 0],
        &[5, 9, 9, b'x'],
        &[5],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
    ];
    for delta in deltas {
        let refused = read(&pack(2, &[base.clone(), differing(id(b"abcde"), delta)]), 1000).unwrap_err();
        assert_eq!(refused, PackError::Damaged, "{delta:?}");
    }
    for (count, objects) in [
        (2, vec![base.clone()]),
        (1, vec![differing(id(b"nowhere"), &[5, 3, 0x91, 0, 3])]),
        (1, vec![[head(3, 4), zlib(b"abcde")].concat()]),
        (1, vec![[head(3, 6), zlib(b"abcde")].concat()]),
        (1, vec![[head(5, 0), zlib(b"")].concat()]),
        (1, vec![[head(6, 0), vec![0x7f], zlib(b"")].concat()]),
        (1, vec![vec![0xb5, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]]),
    ] {
        assert_eq!(read(&pack(count, &objects), 1000).unwrap_err(), PackError::Damaged, "{objects:?}");
    }
    let mut flipped = pack(1, &[base]);
    flipped[14] ^= 1;
    assert_eq!(read(&flipped, 1000).unwrap_err(), PackError::Damaged);
}

#[test]
fn bounds_hold_before_anything_is_unpacked() {
    assert_eq!(read(&pack(u32::MAX, &[]), 1000).unwrap_err(), PackError::Objects);
    let large = [head(3, 1 << 40), zlib(b"")].concat();
    assert_eq!(read(&pack(1, &[large]), 1000).unwrap_err(), PackError::Bytes(1000));
    let bomb = blob(&vec![0; 1 << 20]);
    assert_eq!(read(&pack(1, &[bomb]), 1000).unwrap_err(), PackError::Bytes(1000));
    // A few bytes that say: that piece of the base, again and again.
    let delta = [&[0xe8, 7, 0x80, 0x80, 0x80, 1][..], &[0xb0, 0xe8, 3].repeat(3000)].concat();
    let refused = read(&pack(2, &[blob(&[1; 1000]), differing(id(&[1; 1000]), &delta)]), 100_000).unwrap_err();
    assert_eq!(refused, PackError::Bytes(100_000));
}

proptest! {
    #[test]
    fn nonsense_is_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), count in 0u32..4) {
        let _ = read(&bytes, 10_000);
        let _ = read(&pack(count, &[bytes]), 10_000);
    }

    #[test]
    fn deltas_of_nonsense_do_no_harm(delta in prop::collection::vec(any::<u8>(), 0..60)) {
        let delta = [&[5][..], &delta].concat();
        let _ = read(&pack(2, &[blob(b"abcde"), differing(id(b"abcde"), &delta)]), 10_000);
    }
}
