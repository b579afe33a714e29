//! `replay`, as a whole.

use std::path::Path;

use crate::program::smartfw;

#[test]
fn a_capture_that_ends_too_early_says_so_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("short.pcap");
    let mut bytes = 0xa1b2_c3d4_u32.to_le_bytes().to_vec();
    bytes.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 101, 0, 0, 0]);
    bytes.extend([0; 8]); // half a packet's header
    std::fs::write(&file, bytes).unwrap();
    let ran = smartfw(Path::new("/nonexistent/node.sock"), &["replay", file.to_str().unwrap()]);
    ran.failed_with(1);
    assert!(ran.stderr.contains("short.pcap ends in the middle of a packet"), "{}", ran.stderr);
}
