//! Threads without which the node does not guard: when one of them panics, the process ends and is begun anew. The
//! kernel goes on dropping meanwhile.

use std::{
    any::Any,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{Receiver, Sender, channel},
    thread::{self, JoinHandle},
};

/// Starts vital threads, and tells of their end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Vital {
    failures: Sender<String>,
}

impl Vital {
    /// A way to start threads, and where it is told why the process has to end.
    pub fn new() -> (Self, Receiver<String>) {
        let (failures, told) = channel();
        (Self { failures }, told)
    }

    /// Starts a thread that returns only when it is told to: another end is a failure.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn spawn(
        &self,
        name: &'static str,
        work: impl FnOnce() + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let vital = self.clone();
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
                vital.failed(format!("the thread `{name}` {}", words(&*panic)));
            }
        })
    }

    /// The process has to end, for this reason; where it ends already, nobody listens.
    pub fn failed(&self, why: String) {
        let _ = self.failures.send(why);
    }
}

/// What a panic says.
pub(crate) fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    format!("panicked: {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_panics_is_told_of_and_one_that_returns_is_not() {
        let (vital, failures) = Vital::new();
        vital.spawn("a", || ()).unwrap().join().unwrap();
        vital.spawn("b", || panic!("injected")).unwrap().join().unwrap();
        drop(vital);
        assert_eq!(failures.iter().collect::<Vec<_>>(), ["the thread `b` panicked: injected"]);
    }
}
