//! The lowest priority: learning takes what nobody else wants.
#![allow(unsafe_code, reason = "one call into the C library")]

/// Lowers the priority of the calling thread, and of those that it starts.
pub(super) fn lower() {
    // On Linux a thread has a priority of its own, and 0 is the caller.
    // SAFETY: it reads no memory and changes nothing but the priority.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) } != 0 {
        tracing::info!(error = %std::io::Error::last_os_error(), "learning runs at the usual priority");
    }
}
