//! Files that others write, read with a limit and without trust.

use std::{
    fs::{self, File},
    io::Read,
    net::IpAddr,
    path::{Path, PathBuf},
};

/// Bytes read of a file. The longest of these in the wild, a lease file of years, is of this order; what matters in it is
/// at its end, see [`tail`].
const MAX_FILE: u64 = 256 * 1024;
/// Files looked at in a folder.
const MAX_FILES: usize = 256;

/// The beginning of a regular file, or nothing.
pub(crate) fn bytes(path: &Path) -> Vec<u8> {
    // A pipe (logind keeps some beside its files) would block the reader.
    if !fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
        return Vec::new();
    }
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut bytes));
    if read.is_ok() { bytes } else { Vec::new() }
}

/// The beginning of a text file, with what is no text replaced.
pub(crate) fn text(path: &Path) -> String {
    String::from_utf8_lossy(&bytes(path)).into_owned()
}

/// The end of a text file.
pub(crate) fn tail(path: &Path) -> String {
    use std::io::{Seek, SeekFrom};
    if !fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
        return String::new();
    }
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(MAX_FILE)))?;
        file.take(MAX_FILE).read_to_end(&mut bytes)
    });
    if read.is_ok() { String::from_utf8_lossy(&bytes).into_owned() } else { String::new() }
}

/// The files of a folder whose names are `wanted`, in order of their names.
pub(crate) fn files(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let named = entries.flatten().filter(|entry| wanted(&entry.file_name().to_string_lossy()));
    let mut paths: Vec<PathBuf> = named.map(|entry| entry.path()).take(MAX_FILES).collect();
    paths.sort();
    paths
}

/// An address as configuration files write it: perhaps with a zone, which says nothing to other hosts.
pub(crate) fn address(word: &str) -> Option<IpAddr> {
    let word = word.split('%').next()?;
    word.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// The values of `KEY=a b c` lines.
pub(crate) fn values<'a>(text: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    let values =
        text.lines().filter_map(move |line| line.trim().strip_prefix(key)?.trim_start().strip_prefix('='));
    values.flat_map(str::split_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_does_not_block_the_reader() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("1.ref");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(bytes(&pipe).is_empty() && tail(&pipe).is_empty());
    }

    #[test]
    fn a_file_without_end_is_read_up_to_the_limit_from_either_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long");
        fs::write(&path, [vec![b'a'; MAX_FILE as usize], vec![b'z'; 10]].concat()).unwrap();
        assert_eq!(bytes(&path).len() as u64, MAX_FILE);
        assert!(tail(&path).ends_with("zzz") && tail(&path).len() as u64 == MAX_FILE);
    }

    #[test]
    fn more_files_than_the_limit_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        (0..300).for_each(|index| fs::write(folder.path().join(format!("{index}.conf")), "").unwrap());
        assert_eq!(files(folder.path(), |name| name.ends_with(".conf")).len(), MAX_FILES);
    }

    #[test]
    fn addresses_are_read_strictly() {
        assert_eq!(address("fe80::1%eth0"), Some("fe80::1".parse().unwrap()));
        assert_eq!(address("::ffff:10.0.0.1"), Some("10.0.0.1".parse().unwrap()));
        for garbage in ["", "10.0.0", "10.0.0.1/8", "pool.ntp.org", "010.1.1.1x"] {
            assert_eq!(address(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn values_are_those_of_their_key_alone() {
        let all: Vec<_> =
            values("NTP=1.1.1.1 2.2.2.2\n#NTP=3.3.3.3\nNTPX=4.4.4.4\n NTP = 5.5.5.5\n", "NTP").collect();
        assert_eq!(all, ["1.1.1.1", "2.2.2.2", "5.5.5.5"]);
    }
}
