//! A writer of Zstandard streams that writes whatever it is told.

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const LARGEST_BLOCK: usize = 128 << 10;
/// A window of 1 MiB.
const WINDOW: u8 = 10 << 3;

/// One frame of this content: runs of one byte as such, everything else as it is.
pub fn zstd(content: &[u8]) -> Vec<u8> {
    frame(&[0, WINDOW], content)
}

/// A frame with these bytes as its header, after the magic number.
pub fn frame(header: &[u8], content: &[u8]) -> Vec<u8> {
    let mut bytes = [&MAGIC[..], header].concat();
    let blocks = content.len().div_ceil(LARGEST_BLOCK).max(1);
    for index in 0..blocks {
        let from = index * LARGEST_BLOCK;
        let piece = &content[from..content.len().min(from + LARGEST_BLOCK)];
        let last = index + 1 == blocks;
        match piece.first() {
            Some(first) if piece.len() > 64 && piece.iter().all(|byte| byte == first) => {
                bytes.extend(block(last, 1, piece.len(), &[*first]));
            }
            _ => bytes.extend(block(last, 0, piece.len(), piece)),
        }
    }
    bytes
}

/// One block: its type is 0 for bytes as they are, 1 for one byte repeated, 2 for compressed ones, and 3 for none.
pub fn block(last: bool, kind: u32, size: usize, data: &[u8]) -> Vec<u8> {
    let header = u32::from(last) | kind << 1 | (size as u32) << 3;
    [&header.to_le_bytes()[..3], data].concat()
}

/// A frame that readers skip.
pub fn skippable(says: u32, data: &[u8]) -> Vec<u8> {
    [&0x184d_2a50u32.to_le_bytes()[..], &says.to_le_bytes(), data].concat()
}
