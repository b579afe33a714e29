//! The way of a candidate.

use smartfw_core::{BlockId, Class, Detector};

use super::*;

fn comparison(used: u64, shadow: u64) -> Comparison {
    let alarms = [(Class::NetFlood, Alarms { used, shadow })].into();
    Comparison { looks: LEAST_LOOKS, alarms }
}

/// A rig with a candidate in the shadow.
fn shadowed() -> (Rig, Candidate) {
    shadowed_with(testing::exam(testing::scores()))
}

fn shadowed_with(exam: Exam) -> (Rig, Candidate) {
    let mut rig = Rig::settled();
    let candidate = rig.lot().candidate;
    rig.learner.handle_trained(rig.now, candidate, Ok(exam));
    rig.drain();
    assert_eq!(*rig.last(), Effect::Shadow(candidate));
    (rig, candidate)
}

/// A rig with a candidate in use on probation.
fn promoted() -> (Rig, Candidate) {
    promoted_with(testing::exam(testing::scores()))
}

fn promoted_with(exam: Exam) -> (Rig, Candidate) {
    let (mut rig, candidate) = shadowed_with(exam);
    rig.learner.handle_comparison(rig.now, &comparison(0, 0));
    rig.pass(DAY + MINUTE);
    assert_eq!(*rig.last(), Effect::Promote(candidate));
    (rig, candidate)
}

fn lesson(id: u64, packets_per_second: f32) -> Lesson {
    Lesson {
        id: BlockId(id),
        at: Time::ZERO,
        target: "203.0.113.9/32".parse().unwrap(),
        class: Class::NetFlood,
        detector: Detector::Forest,
        features: Some(Features { packets_per_second, ..Features::default() }),
    }
}

/// The figures of a bad model.
fn worse() -> Exam {
    testing::exam(Scores { macro_f1: 0.5, ..testing::scores() })
}

#[test]
fn nothing_is_trained_in_the_first_week_and_a_candidate_after_it() {
    let mut rig = Rig::new();
    rig.days(DAYS as u32 - 1);
    assert_eq!(rig.done, []);
    assert!(rig.learner.progress().starts_with("day 7 of the first 7"), "{}", rig.learner.progress());
    rig.days(1);
    assert_eq!(rig.lot().rows.len(), rig.learned());
}

#[test]
fn a_good_candidate_is_promoted_after_a_day_in_the_shadow_and_confirmed_after_another() {
    let (mut rig, candidate) = promoted();
    assert_eq!(rig.learner.on_trial(), (None, Some(candidate)));
    rig.learner.handle_comparison(rig.now, &comparison(0, 0));
    rig.pass(DAY + MINUTE);
    assert_eq!(*rig.last(), Effect::Confirm(candidate));
    assert!(rig.learner.progress().contains("learned-1 is in use"), "{}", rig.learner.progress());
}

#[test]
fn a_candidate_that_is_worse_on_the_reference_set_never_runs() {
    let mut rig = Rig::settled();
    let candidate = rig.lot().candidate;
    let mut scores = testing::scores();
    let recall = Share { share: 0.97 - RECALL_TOLERANCE * 1.1, rows: 1_000_000 };
    scores.recall.insert(Some(Class::NetFlood), recall);
    rig.learner.handle_trained(rig.now, candidate, Ok(testing::exam(scores)));
    rig.drain();
    assert!(!rig.done.contains(&Effect::Shadow(candidate)));
    assert!(rig.learner.progress().contains("recall of net_flood"), "{}", rig.learner.progress());
}

#[test]
fn losses_do_not_add_up_over_candidates() {
    let losing = |lost: f32| {
        let scores = testing::scores();
        testing::exam(Scores { macro_f1: scores.macro_f1 - TOLERANCE * lost, ..scores })
    };
    assert_eq!(losing(0.9).shortfall(&losing(1.8)), None, "each loses no more than may be");
    let (mut rig, first) = promoted_with(losing(0.9));
    rig.learner.handle_comparison(rig.now, &comparison(0, 0));
    rig.pass(DAY + MINUTE);
    assert_eq!(*rig.last(), Effect::Confirm(first));
    rig.days(1);
    let second = rig.lot().candidate;
    assert!(second > first);
    rig.learner.handle_trained(rig.now, second, Ok(losing(1.8)));
    rig.drain();
    assert!(!rig.done.contains(&Effect::Shadow(second)));
    let progress = rig.learner.progress();
    assert!(progress.contains("learned-2 was refused: its macro F1"), "{progress}");
}

#[test]
fn a_louder_candidate_leaves_the_shadow() {
    let (mut rig, candidate) = shadowed();
    rig.learner.handle_comparison(rig.now, &comparison(0, 10));
    rig.pass(DAY + MINUTE);
    assert!(
        matches!(rig.last(), Effect::Withdraw(gone, why) if *gone == candidate && why.contains("alarms"))
    );
}

#[test]
fn a_candidate_that_nothing_compares_leaves_the_shadow_in_the_end() {
    let (mut rig, candidate) = shadowed();
    rig.pass(DAY * 6);
    assert_eq!(*rig.last(), Effect::Shadow(candidate));
    rig.pass(DAY * 2);
    assert!(matches!(rig.last(), Effect::Withdraw(_, why) if why.contains("too little")));
}

#[test]
fn a_trial_goes_on_when_the_clock_is_set_back() {
    let (mut rig, candidate) = shadowed();
    rig.now = Time::from_secs(500_000_000);
    rig.learner.handle_comparison(rig.now, &comparison(0, 0));
    rig.pass(DAY - MINUTE);
    assert_eq!(*rig.last(), Effect::Shadow(candidate));
    rig.pass(MINUTE * 2);
    assert_eq!(*rig.last(), Effect::Promote(candidate));
}

#[test]
fn time_in_which_nobody_watches_is_no_trial() {
    let rest = |rig: &mut Rig, time: Duration| {
        // Accusations are heard while learning rests.
        rig.now = rig.now.after(time);
        rig.learner.handle_verdict(rig.now, address(5000), Some(Evidence::Spoofable));
    };
    for away in [Rig::stop as fn(&mut Rig, Duration), rest] {
        let (mut rig, candidate) = shadowed();
        rig.learner.handle_comparison(rig.now, &comparison(0, 0));
        rig.pass(MINUTE * 5);
        away(&mut rig, DAY);
        rig.pass(DAY - MINUTE * 6);
        assert_eq!(*rig.last(), Effect::Shadow(candidate));
        rig.pass(MINUTE * 2);
        assert_eq!(*rig.last(), Effect::Promote(candidate));
        rig.learner.handle_comparison(rig.now, &comparison(0, 0));
        away(&mut rig, DAY * 2);
        rig.pass(DAY - MINUTE * 2);
        assert_eq!(*rig.last(), Effect::Promote(candidate));
        rig.pass(MINUTE * 4);
        assert_eq!(*rig.last(), Effect::Confirm(candidate));
    }
}

#[test]
fn a_candidate_that_learned_from_attackers_leaves_the_shadow() {
    let (mut rig, _) = shadowed();
    rig.learner.handle_verdict(rig.now, address(1), Some(Evidence::Handshake));
    rig.pass(MINUTE);
    assert!(matches!(rig.last(), Effect::Withdraw(_, why) if why.contains("accused")));
}

#[test]
fn a_candidate_that_learned_from_attackers_is_rolled_back_when_it_is_in_use() {
    let (mut rig, candidate) = promoted();
    rig.learner.handle_verdict(rig.now, address(1), Some(Evidence::Spoofable));
    rig.pass(MINUTE);
    assert_eq!(*rig.last(), Effect::Promote(candidate), "anybody may have forged it");
    rig.learner.handle_verdict(rig.now, address(1), Some(Evidence::Handshake));
    rig.pass(MINUTE);
    assert!(
        matches!(rig.last(), Effect::Rollback(gone, why) if *gone == candidate && why.contains("accused"))
    );
}

#[test]
fn what_a_candidate_learned_from_all_of_an_attacker_s_48_counts() {
    let subnet = |n: u64| IpAddr::from([0x2001, 0xdb8, 7, n as u16, 0, 0, 0, 1]);
    let mut rig = Rig::new();
    rig.days_with(DAYS as u32, |rig, tick| rig.window(subnet(tick), 5.0 + (tick * 13 % 31) as f32));
    let candidate = rig.lot().candidate;
    rig.learner.handle_trained(rig.now, candidate, Ok(testing::exam(testing::scores())));
    rig.learner.handle_verdict(rig.now, subnet(5000), Some(Evidence::Handshake));
    rig.pass(MINUTE);
    assert!(
        matches!(rig.last(), Effect::Withdraw(gone, why) if *gone == candidate && why.contains("accused"))
    );
}

#[test]
fn what_counts_is_what_a_candidate_learned_and_not_what_came_later() {
    let newcomer = address(5000);
    let (mut rig, candidate) = shadowed();
    rig.days_with(1, |rig, tick| rig.window(newcomer, 5.0 + (tick * 13 % 31) as f32));
    assert!(rig.learner.samples.rows().filter(|row| row.source == newcomer).count() > 60);
    rig.learner.handle_verdict(rig.now, newcomer, Some(Evidence::Handshake));
    rig.pass(MINUTE);
    assert_eq!(*rig.last(), Effect::Shadow(candidate), "it never saw them");

    // Who gave a hundredth and is in the reservoir no more did give it.
    let (mut rig, _) = shadowed();
    rig.learner.samples.days.clear();
    rig.learner.handle_verdict(rig.now, address(1), Some(Evidence::Handshake));
    rig.pass(MINUTE);
    assert!(matches!(rig.last(), Effect::Withdraw(_, why) if why.contains("accused")));
}

#[test]
fn nothing_is_promoted_while_learning_stands_still() {
    let (mut rig, candidate) = shadowed();
    rig.learner.handle_comparison(rig.now, &comparison(0, 0));
    let botnet = |rig: &mut Rig, _: u64| (0..30).for_each(|bot| rig.window(address(5000 + bot), 60.0));
    rig.days_with(2, botnet);
    assert!(!rig.done.contains(&Effect::Promote(candidate)));
    rig.days(2);
    assert!(rig.done.contains(&Effect::Promote(candidate)));
}

#[test]
fn a_promoted_model_that_alarms_far_more_often_is_rolled_back_within_a_minute() {
    let (mut rig, candidate) = promoted();
    rig.learner.handle_comparison(rig.now, &comparison(50, 0));
    rig.pass(MINUTE);
    assert!(matches!(rig.last(), Effect::Rollback(gone, _) if *gone == candidate));
    assert_eq!(rig.learner.on_trial(), (None, None));
}

#[test]
fn a_promoted_model_is_confirmed_only_by_enough_windows_and_rolled_back_in_the_end() {
    let (mut rig, candidate) = promoted();
    rig.pass(DAY * 6);
    assert_eq!(*rig.last(), Effect::Promote(candidate), "nobody saw what it does");
    let mut confirmed = Rig { learner: rig.learner.clone(), now: rig.now, done: Vec::new() };
    confirmed.learner.handle_comparison(rig.now, &comparison(0, 0));
    confirmed.pass(MINUTE);
    assert_eq!(confirmed.done, [Effect::Confirm(candidate)]);
    rig.pass(DAY * 2);
    assert!(matches!(rig.last(), Effect::Rollback(_, why) if why.contains("too little")), "{:?}", rig.last());
}

#[test]
fn a_correction_is_an_example_until_it_contradicts_the_reference_set() {
    let mut rig = Rig::new();
    rig.learner.handle_lesson(rig.now, &lesson(1, 300.0));
    rig.learner.handle_lesson(rig.now, &Lesson { features: None, ..lesson(2, 1.0) });
    rig.days(DAYS as u32);
    let first = rig.lot();
    assert_eq!(first.corrections.iter().map(|correction| correction.id).collect::<Vec<_>>(), [BlockId(1)]);

    rig.learner.handle_trained(rig.now, first.candidate, Ok(worse()));
    rig.drain();
    let second = rig.lot();
    assert!(second.candidate > first.candidate && second.corrections.is_empty());
    rig.learner.handle_trained(rig.now, second.candidate, Ok(testing::exam(testing::scores())));
    rig.drain();
    assert_eq!(*rig.last(), Effect::Shadow(second.candidate));
    assert!(rig.learner.troubles().contradicted.unwrap().what.contains("contradict"));
}

#[test]
fn corrections_are_not_blamed_where_a_candidate_without_them_is_no_better_or_there_is_none() {
    let broken = || Err("the disk is full".to_owned());
    for results in [vec![broken()], vec![Ok(worse()), broken()], vec![Ok(worse()), Ok(worse())]] {
        let mut rig = Rig::new();
        rig.learner.handle_lesson(rig.now, &lesson(1, 300.0));
        rig.days(DAYS as u32);
        for result in &results {
            rig.learner.handle_trained(rig.now, rig.lot().candidate, result.clone());
            rig.drain();
        }
        assert_eq!(rig.lot().candidate, Candidate(results.len() as u64), "{results:?}");
        assert_eq!(rig.learner.troubles().contradicted, None, "{results:?}");
        assert!(rig.learner.progress().contains("was refused"), "{}", rig.learner.progress());
    }
}

#[test]
fn a_correction_excuses_only_the_candidate_that_learned_it() {
    // So many silences as one correction excuses.
    let silent = comparison(7, 0);
    let shadowed = |lesson_at_day: u32, contradicts: bool| {
        let mut rig = Rig::new();
        rig.days(lesson_at_day);
        rig.learner.handle_lesson(rig.now, &lesson(1, 300.0));
        rig.days(DAYS as u32 - lesson_at_day);
        if contradicts {
            rig.learner.handle_trained(rig.now, rig.lot().candidate, Ok(worse()));
            rig.drain();
        }
        let candidate = rig.lot().candidate;
        rig.learner.handle_trained(rig.now, candidate, Ok(testing::exam(testing::scores())));
        rig.learner.handle_comparison(rig.now, &silent);
        rig.pass(DAY + MINUTE);
        *rig.last() == Effect::Promote(candidate)
    };
    assert!(shadowed(1, false));
    assert!(!shadowed(1, true), "it was made again without the correction");
    let (mut rig, candidate) = self::shadowed();
    rig.learner.handle_lesson(rig.now, &lesson(1, 300.0));
    rig.learner.handle_comparison(rig.now, &silent);
    rig.pass(DAY + MINUTE);
    assert!(matches!(rig.last(), Effect::Withdraw(gone, _) if *gone == candidate), "it came later");
}

#[test]
fn a_training_that_fails_leaves_all_as_it_was() {
    let mut rig = Rig::settled();
    let candidate = rig.lot().candidate;
    rig.learner.handle_trained(rig.now, Candidate(99), Ok(testing::exam(testing::scores())));
    assert_eq!(rig.learner.on_trial(), (None, None));
    rig.learner.handle_trained(rig.now, candidate, Err("the disk is full".into()));
    assert!(rig.learner.progress().contains("the disk is full"));
}

#[test]
fn a_candidate_that_is_lost_is_on_trial_no_more() {
    let (mut rig, candidate) = shadowed();
    rig.learner.handle_lost(rig.now, Candidate(99));
    assert_eq!(rig.learner.on_trial(), (Some(candidate), None));
    rig.learner.handle_lost(rig.now, candidate);
    assert_eq!(rig.learner.on_trial(), (None, None));
}

#[test]
fn candidates_are_numbered_after_those_that_were_made_before() {
    let mut rig = Rig::new();
    rig.learner.begin_after(Candidate(7));
    rig.learner.begin_after(Candidate(3));
    rig.days(DAYS as u32);
    assert_eq!(rig.lot().candidate, Candidate(8));
}
