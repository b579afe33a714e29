//! Which datagrams of a sender were seen: none is taken twice.

/// How far a datagram may arrive behind a later one.
const WIDTH: u64 = 128;

/// The counters seen of one sender, as in RFC 4303, section 3.4.3: an epoch (new at every start of the sender), the highest
/// sequence, and which of the 128 below it were seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) epoch: u64,
    highest: u64,
    seen: u128,
}

impl Window {
    /// A window that has seen nothing of `epoch`, and refuses earlier ones.
    pub(super) const fn of(epoch: u64) -> Self {
        Self { epoch, highest: 0, seen: 0 }
    }

    /// Whether the datagram is new. Says nothing about who sent it: accept only after its signature was checked.
    pub(super) const fn is_new(&self, epoch: u64, sequence: u64) -> bool {
        if epoch != self.epoch || sequence > self.highest {
            return epoch >= self.epoch && sequence > 0;
        }
        let age = self.highest - sequence;
        age < WIDTH && sequence > 0 && self.seen & (1 << age) == 0
    }

    /// Remembers a new datagram. Whether its sender has started anew.
    pub(super) const fn accept(&mut self, epoch: u64, sequence: u64) -> bool {
        let restarted = epoch > self.epoch;
        if restarted {
            *self = Self::of(epoch);
        }
        if sequence > self.highest {
            let ahead = sequence - self.highest;
            self.seen = if ahead < WIDTH { self.seen << ahead } else { 0 };
            self.highest = sequence;
        }
        self.seen |= 1 << (self.highest - sequence);
        restarted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(window: &mut Window, epoch: u64, sequence: u64) -> bool {
        let new = window.is_new(epoch, sequence);
        if new {
            window.accept(epoch, sequence);
        }
        new
    }

    #[test]
    fn every_number_is_taken_once_in_any_order() {
        let mut window = Window::of(7);
        for sequence in [1, 3, 2, 200, 150, 73] {
            assert!(takes(&mut window, 7, sequence), "{sequence}");
            assert!(!takes(&mut window, 7, sequence), "{sequence} again");
        }
        assert!(!takes(&mut window, 7, 72), "too far behind");
        assert!(!takes(&mut window, 7, 0), "numbers begin at one");
    }

    #[test]
    fn an_earlier_life_of_the_sender_is_over() {
        let mut window = Window::of(7);
        assert!(takes(&mut window, 7, 900));
        assert!(takes(&mut window, 8, 1));
        assert!(!takes(&mut window, 7, 901));
        assert!(takes(&mut window, u64::MAX, u64::MAX));
        assert!(!takes(&mut window, u64::MAX, u64::MAX));
    }
}
