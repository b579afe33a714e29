use std::{fs::OpenOptions, io::Write as _};

use proptest::prelude::*;

use super::*;

/// A file that is followed.
struct Case {
    folder: tempfile::TempDir,
    tail: Tail,
}

impl Case {
    /// An empty file, followed from its beginning.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("eve.json");
        fs::write(&path, "").unwrap();
        let mut case = Self { folder, tail: Tail::new(path, None) };
        assert_eq!(case.lines(), Vec::<String>::new());
        case
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("eve.json")
    }

    fn append(&self, text: &str) {
        let file = OpenOptions::new().append(true).create(true).open(self.path());
        file.unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// What a few looks give: one may only notice that a file was replaced.
    fn lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        for _ in 0..4 {
            let mut take = |line: &[u8]| lines.push(String::from_utf8_lossy(line).into_owned());
            while self.tail.poll(&mut take).unwrap_or(false) {}
        }
        lines
    }

    fn restart(&mut self) {
        self.tail = Tail::new(self.path(), self.tail.position());
    }
}

#[test]
fn lines_come_once_they_have_ended() {
    let mut case = Case::new();
    case.append("one\ntw");
    assert_eq!(case.lines(), ["one"]);
    case.append("o\n\nthree\n");
    assert_eq!(case.lines(), ["two", "three"]);
}

#[test]
fn what_was_there_before_the_first_start_is_history() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("eve.json");
    fs::write(&path, "old\n").unwrap();
    let mut case = Case { folder, tail: Tail::new(path, None) };
    assert!(case.lines().is_empty());
    case.append("new\n");
    assert_eq!(case.lines(), ["new"]);
}

#[test]
fn a_file_that_comes_later_is_read_from_its_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("eve.json");
    let mut case = Case { folder, tail: Tail::new(path, None) };
    assert!(case.tail.poll(|_| ()).is_err());
    case.append("first\n");
    assert_eq!(case.lines(), ["first"]);
}

#[test]
fn a_rotation_by_rename_loses_nothing_that_is_written_meanwhile() {
    let mut case = Case::new();
    case.append("one\n");
    let rotated = case.folder.path().join("eve.json.1");
    fs::rename(case.path(), &rotated).unwrap();
    assert_eq!(case.lines(), ["one"]);
    OpenOptions::new().append(true).open(&rotated).unwrap().write_all(b"two\n").unwrap();
    case.append("three\nfo");
    OpenOptions::new().append(true).open(&rotated).unwrap().write_all(b"half").unwrap();
    assert_eq!(case.lines(), ["two", "three"]);
    assert_eq!((case.tail.met().rotations, case.tail.met().cut), (1, 1));
    case.append("ur\n");
    assert_eq!(case.lines(), ["four"]);
}

#[test]
fn a_truncated_file_is_read_from_its_beginning() {
    let mut case = Case::new();
    case.append("one\ntwo\nhalf");
    assert_eq!(case.lines(), ["one", "two"]);
    fs::write(case.path(), "").unwrap();
    assert!(case.lines().is_empty());
    case.append("three\n");
    assert_eq!(case.lines(), ["three"]);
    assert_eq!((case.tail.met().truncations, case.tail.met().cut), (1, 1));
}

#[test]
fn a_restart_goes_on_at_the_line_that_was_not_read_to_its_end() {
    let mut case = Case::new();
    case.append("one\ntw");
    assert_eq!(case.lines(), ["one"]);
    case.restart();
    case.append("o\n");
    assert_eq!(case.lines(), ["two"]);
    case.restart();
    fs::remove_file(case.path()).unwrap();
    // Kept open, lest the new file gets the old one's inode.
    let _other = File::create(case.folder.path().join("other")).unwrap();
    case.append("three\n");
    assert_eq!(case.lines(), ["three"], "rotated while nobody looked");
    case.restart();
    fs::write(case.path(), "4\n").unwrap();
    assert_eq!(case.lines(), ["4"], "cut while nobody looked");
}

#[test]
fn a_line_as_long_as_may_be_is_read_and_a_longer_one_is_passed_over() {
    let mut case = Case::new();
    case.append(&format!("{}\n{}\nshort\n", "a".repeat(LINE), "b".repeat(LINE + 1)));
    let lines = case.lines();
    assert_eq!((lines.len(), lines[0].len(), lines[1].as_str()), (2, LINE, "short"));
    case.append(&"c".repeat(3 * PIECE));
    case.append("\nafter\n");
    assert_eq!((case.lines(), case.tail.met().too_long), (vec!["after".to_owned()], 2));
}

#[test]
fn a_folder_and_a_missing_file_are_told_of() {
    let case = Case::new();
    assert!(Tail::new(case.folder.path().to_owned(), None).poll(|_| ()).is_err());
    assert!(Tail::new(case.folder.path().join("missing"), None).poll(|_| ()).is_err());
}

proptest! {
    #[test]
    fn however_it_is_written_every_line_comes_once(pieces in proptest::collection::vec("[a\n]{0,9}", 0..12)) {
        let mut case = Case::new();
        let mut lines = Vec::new();
        for (piece, n) in pieces.iter().zip(0..) {
            case.append(piece);
            lines.extend(case.lines());
            if n % 3 == 2 {
                case.restart();
            }
        }
        case.append("\n");
        lines.extend(case.lines());
        let all = pieces.concat();
        let expected: Vec<&str> = all.split('\n').filter(|line| !line.is_empty()).collect();
        prop_assert_eq!(lines, expected);
    }
}
