//! Giving memory back: a list of a hundred thousand blocks is copied now and then, and the allocator keeps what it
//! was given.
#![allow(unsafe_code, reason = "one call into the C library")]

/// Gives freed memory back to the system. Takes a millisecond for each few megabytes freed; call it after something
/// large, on a thread that may take its time.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes no pointers and may be called at any time from any thread.
    let _ = unsafe { libc::malloc_trim(0) };
}
