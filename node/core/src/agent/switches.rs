//! Whether the kernel enforces, and who decides: two switches that can go back by themselves.

use core::time::Duration;

use crate::{
    Time,
    order::{EnforcementState, Mode},
    record::{Enforcement, Switch},
};

/// A panic without a duration lasts this long.
const PANIC: Duration = Duration::from_secs(900);

/// Enforcement and mode.
#[derive(Clone, Debug)]
pub(super) struct Switches {
    pub(super) enforcement: Enforcement,
    pub(super) mode: Mode,
    pub(super) mode_rollback: Option<(Mode, Time)>,
    /// The mode of the configuration, and whether an operator has said otherwise since.
    pub(super) configured: Mode,
}

impl Switches {
    pub(super) const fn new(mode: Mode) -> Self {
        let now = Switch { state: EnforcementState::On, resume: None };
        Self { enforcement: Enforcement { now, rollback: None }, mode, mode_rollback: None, configured: mode }
    }

    pub(super) fn on(&self) -> bool {
        self.enforcement.now.state == EnforcementState::On
    }

    /// Changes enforcement; gives when it rolls back: to what was last in force without a condition.
    pub(super) fn enforce(
        &mut self,
        now: Time,
        state: EnforcementState,
        confirm: Option<Duration>,
        resume: Option<Duration>,
    ) -> Option<Time> {
        let before = self.enforcement.rollback.map_or(self.enforcement.now, |(back, _)| back);
        let panic = state == EnforcementState::Panic;
        let resume = panic.then(|| (before.underlying(), now.after(resume.unwrap_or(PANIC))));
        let rollback = confirm.filter(|_| before.state != state).map(|wait| (before, now.after(wait)));
        self.enforcement = Enforcement { now: Switch { state, resume }, rollback };
        rollback.map(|(_, at)| at)
    }

    /// Changes the mode; gives when it rolls back: to the last one without a condition.
    pub(super) fn decide(&mut self, now: Time, mode: Mode, confirm: Option<Duration>) -> Option<Time> {
        let before = self.mode_rollback.map_or(self.mode, |(back, _)| back);
        self.mode = mode;
        self.mode_rollback = confirm.filter(|_| before != mode).map(|wait| (before, now.after(wait)));
        self.mode_rollback.map(|(_, at)| at)
    }

    /// Ends a panic before its time.
    pub(super) fn end_panic(&mut self) {
        let state = self.enforcement.now.underlying();
        self.enforcement = Enforcement { now: Switch { state, resume: None }, rollback: None };
    }

    /// Keeps what would roll back; says whether enforcement and mode would have.
    pub(super) fn confirm(&mut self) -> (bool, bool) {
        (self.enforcement.rollback.take().is_some(), self.mode_rollback.take().is_some())
    }

    /// Rolls back and resumes what is due; says whether enforcement and mode changed.
    pub(super) fn due(&mut self, now: Time) -> (bool, bool) {
        let before = (self.enforcement, self.mode);
        if let Some((back, _)) = self.enforcement.rollback.filter(|(_, at)| *at <= now) {
            self.enforcement = Enforcement { now: back, rollback: None };
        }
        if let Some((state, _)) = self.enforcement.now.resume.filter(|(_, at)| *at <= now) {
            self.enforcement.now = Switch { state, resume: None };
        }
        if let Some((back, _)) = self.mode_rollback.filter(|(_, at)| *at <= now) {
            (self.mode, self.mode_rollback) = (back, None);
        }
        (before.0 != self.enforcement, before.1 != self.mode)
    }

    pub(super) fn next_due(&self) -> Time {
        let enforcement = self.enforcement.rollback.map(|(_, at)| at);
        let resume = self.enforcement.now.resume.map(|(_, at)| at);
        let mode = self.mode_rollback.map(|(_, at)| at);
        [enforcement, resume, mode].into_iter().flatten().min().unwrap_or(Time::NEVER)
    }
}

impl Switch {
    /// What is in force once a panic is over.
    fn underlying(self) -> EnforcementState {
        match (self.state, self.resume) {
            (EnforcementState::Panic, Some((state, _))) => state,
            (EnforcementState::Panic, None) => EnforcementState::On,
            (state, _) => state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Option<Duration> = Some(Duration::from_secs(60));

    fn state(switches: &Switches) -> EnforcementState {
        switches.enforcement.now.state
    }

    #[test]
    fn a_panic_within_a_panic_still_ends_in_what_was_before() {
        let mut switches = Switches::new(Mode::Auto);
        switches.enforce(Time::ZERO, EnforcementState::Panic, None, MINUTE);
        switches.enforce(Time::from_secs(30), EnforcementState::Panic, None, MINUTE);
        assert_eq!(switches.due(Time::from_secs(60)), (false, false));
        assert_eq!(switches.due(Time::from_secs(90)), (true, false));
        assert_eq!(state(&switches), EnforcementState::On);
    }

    #[test]
    fn a_panic_while_switched_off_does_not_switch_on() {
        let mut switches = Switches::new(Mode::Auto);
        switches.enforce(Time::ZERO, EnforcementState::Off, None, None);
        switches.enforce(Time::ZERO, EnforcementState::Panic, None, None);
        switches.due(Time::from_secs(900));
        assert_eq!(state(&switches), EnforcementState::Off);
    }

    #[test]
    fn an_unconfirmed_switch_out_of_a_panic_falls_back_into_it_and_still_resumes() {
        let mut switches = Switches::new(Mode::Auto);
        switches.enforce(Time::ZERO, EnforcementState::Panic, None, Some(Duration::from_secs(100)));
        switches.enforce(Time::from_secs(10), EnforcementState::Off, MINUTE, None);
        switches.due(Time::from_secs(70));
        assert_eq!(state(&switches), EnforcementState::Panic);
        switches.due(Time::from_secs(100));
        assert_eq!(state(&switches), EnforcementState::On);
    }

    #[test]
    fn an_unconfirmed_switch_that_is_repeated_still_rolls_back() {
        let mut switches = Switches::new(Mode::Auto);
        switches.enforce(Time::ZERO, EnforcementState::Off, None, None);
        for second in [0, 30] {
            let at = Time::from_secs(second);
            assert!(switches.enforce(at, EnforcementState::On, MINUTE, None).is_some());
            assert!(switches.decide(at, Mode::Manual, MINUTE).is_some());
        }
        assert_eq!(switches.due(Time::from_secs(60)), (false, false), "the later deadline counts");
        assert_eq!(switches.due(Time::from_secs(90)), (true, true));
        assert_eq!((state(&switches), switches.mode), (EnforcementState::Off, Mode::Auto));
    }

    #[test]
    fn a_panic_does_not_confirm_what_it_interrupts() {
        let mut switches = Switches::new(Mode::Auto);
        switches.enforce(Time::ZERO, EnforcementState::Off, None, None);
        switches.enforce(Time::ZERO, EnforcementState::On, MINUTE, None);
        switches.enforce(Time::from_secs(10), EnforcementState::Panic, None, MINUTE);
        switches.due(Time::from_secs(70));
        assert_eq!(state(&switches), EnforcementState::Off);
    }

    #[test]
    fn a_switch_without_a_condition_is_its_own_confirmation() {
        let mut switches = Switches::new(Mode::Auto);
        switches.enforce(Time::ZERO, EnforcementState::Off, None, None);
        switches.enforce(Time::ZERO, EnforcementState::On, MINUTE, None);
        assert_eq!(switches.enforce(Time::ZERO, EnforcementState::On, None, None), None);
        assert_eq!(switches.next_due(), Time::NEVER);
    }

    #[test]
    fn a_change_to_what_is_already_so_never_rolls_back() {
        let mut switches = Switches::new(Mode::Auto);
        assert_eq!(switches.enforce(Time::ZERO, EnforcementState::On, MINUTE, None), None);
        assert_eq!(switches.decide(Time::ZERO, Mode::Auto, MINUTE), None);
        assert_eq!(switches.next_due(), Time::NEVER);
    }
}
