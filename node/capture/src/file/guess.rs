//! What a file that is no capture looks like, so that the error helps.

/// In words, what the first bytes of a file are.
pub(super) fn looks_like(head: &[u8]) -> String {
    const KNOWN: [(&[u8], &str); 16] = [
        (b"snoop\0\0\0", "a snoop capture: convert it with `editcap -F pcapng`"),
        (b"GMBU", "a Network Monitor capture: convert it with `editcap -F pcapng`"),
        (b"RTSS", "a Network Monitor capture: convert it with `editcap -F pcapng`"),
        (b"\x54\x52\x00\xff", "a LANalyzer capture: convert it with `editcap -F pcapng`"),
        (b"\x28\xb5\x2f\xfd", "a zstd archive: unpack it with `unzstd`"),
        (b"\xfd7zXZ\0", "an xz archive: unpack it with `unxz`"),
        (b"BZh", "a bzip2 archive: unpack it with `bunzip2`"),
        (b"PK\x03\x04", "a zip archive: unpack it with `unzip`"),
        (b"7z\xbc\xaf", "a 7-zip archive: unpack it first"),
        (b"\x04\x22\x4d\x18", "an lz4 archive: unpack it with `unlz4`"),
        (b"\x1f\x8b", "a gzip archive within a gzip archive: unpack it once with `gunzip`"),
        (b"\x7fELF", "a program"),
        (b"<!DOCTYPE", "a web page: perhaps the download failed"),
        (b"<html", "a web page: perhaps the download failed"),
        (b"version https://git-lfs", "a Git LFS pointer: fetch the file itself with `git lfs pull`"),
        (b"\xa1\xb2", "a pcap file of an unknown kind"),
    ];
    if head.is_empty() {
        return "an empty file".into();
    }
    if let Some((_, what)) = KNOWN.iter().find(|(magic, _)| head.starts_with(magic)) {
        return (*what).into();
    }
    if head.get(257..262) == Some(b"ustar") {
        return "a tar archive: unpack it first".into();
    }
    let shown = &head[..head.len().min(16)];
    if head.iter().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e)) {
        return format!("text that begins with {:?}", String::from_utf8_lossy(shown));
    }
    let hex: Vec<String> = shown.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("data that begins with {}", hex.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_mistakes_are_recognised() {
        assert_eq!(looks_like(b""), "an empty file");
        assert!(looks_like(b"PK\x03\x04....").contains("zip"));
        assert!(looks_like(b"\x28\xb5\x2f\xfdxyz").contains("unzstd"));
        assert_eq!(looks_like(b"source,class\n1.2.3.4"), "text that begins with \"source,class\\n1.2\"");
        assert_eq!(looks_like(b"\x00\x01\xff"), "data that begins with 00 01 ff");
    }

    #[test]
    fn terminal_escapes_do_not_get_through() {
        assert!(!looks_like(b"\x1b]0;evil\x07").contains('\x1b'));
    }
}
