//! Chance, for those who may be told none by anybody outside.

use std::{fs::File, io, io::Read as _};

/// Sixty-four bits that nobody outside can know.
///
/// # Errors
/// When the system gives none.
pub fn seed() -> io::Result<u64> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}
