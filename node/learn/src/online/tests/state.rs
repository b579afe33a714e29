//! What outlives a restart.

use super::*;

pub(super) fn restore(bytes: &[u8]) -> Result<Learner, StateError> {
    let shipped = Shipped { model: testing::model(100.0), exam: testing::exam(testing::scores()) };
    Learner::restore(LearningConfig::default(), shipped, bytes)
}

#[test]
fn a_restart_keeps_what_was_learned_and_who_was_accused() {
    let mut rig = Rig::settled();
    let candidate = rig.lot().candidate;
    rig.learner.handle_trained(rig.now, candidate, Ok(testing::exam(testing::scores())));
    rig.learner.handle_verdict(rig.now, address(1), None);
    let saved = rig.learner.save();
    rig.learner = restore(&saved).unwrap();
    assert_eq!(rig.learner.save(), saved);
    assert_eq!(rig.learner.on_trial(), (Some(candidate), None));
    rig.window(address(1), 5.0);
    assert_eq!(rig.in_quarantine(), 0);
}

#[test]
fn a_restart_keeps_what_is_to_be_said_as_far_as_it_is_short() {
    let mut rig = Rig::new();
    rig.learner.contradicted = true;
    rig.learner.note = Some("ä".repeat(1000));
    rig.learner = restore(&rig.learner.save()).unwrap();
    assert!(rig.learner.troubles().contradicted.unwrap().what.contains("contradict"));
    assert_eq!(rig.learner.note, Some("ä".repeat(256)));
}

#[test]
fn a_training_does_not_outlive_a_restart() {
    let mut rig = Rig::settled();
    let lot = rig.lot();
    rig.learner = restore(&rig.learner.save()).unwrap();
    rig.learner.handle_trained(rig.now, lot.candidate, Ok(testing::exam(testing::scores())));
    assert_eq!(rig.learner.on_trial(), (None, None));
    rig.days(1);
    assert!(rig.lot().candidate > lot.candidate);
}

#[test]
fn corrections_are_not_blamed_where_the_candidate_without_them_was_never_judged() {
    let mut rig = Rig::settled();
    rig.learner.contradicted = true;
    rig.learner = restore(&rig.learner.save()).unwrap();
    assert_eq!(rig.learner.troubles().contradicted, None);
}

#[test]
fn a_damaged_state_is_refused_wherever_it_is_damaged() {
    let mut rig = Rig::new();
    rig.days(1);
    let saved = rig.learner.save();
    for at in (0..saved.len()).step_by(97) {
        assert!(restore(&saved[..at]).is_err(), "cut at {at}");
        let mut changed = saved.clone();
        changed[at] ^= 1;
        assert!(restore(&changed).is_err(), "changed at {at}");
    }
    assert_eq!(restore(&[]).unwrap_err(), StateError::Damaged);
    let mut other = saved;
    other[1] ^= 1;
    assert_eq!(restore(&other).unwrap_err(), StateError::Format(crate::online::state::FORMAT ^ 1));
    other[1] ^= 1;
    other[2] ^= 1;
    let schema = smartfw_core::features::SCHEMA ^ (1 << 24);
    assert_eq!(restore(&other).unwrap_err(), StateError::Schema(schema));
}

#[test]
fn a_state_beyond_its_limits_is_refused_although_its_sum_is_right() {
    let mut rig = Rig::settled();
    let day = rig.learner.samples.days[0].clone();
    rig.learner.samples.days.push_back(day);
    assert_eq!(restore(&rig.learner.save()).unwrap_err(), StateError::Damaged);
    rig.learner.samples.days.pop_back();
    rig.learner.frozen = Some(Why::Strayed(None, WIDTH));
    assert_eq!(restore(&rig.learner.save()).unwrap_err(), StateError::Damaged);
}
