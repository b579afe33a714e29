//! What is not let in.

use std::net::Ipv6Addr;

use super::{seen::Row, *};

const EVE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));

/// An address of one of a provider's sites.
fn of_site(site: u16, subnet: u16) -> IpAddr {
    Ipv6Addr::new(0x2001, 0xdb8, site, subnet, 0, 0, 0, 1).into()
}

/// Whether a window is in the day's sample or the reservoir after its time in quarantine.
fn is_learned(rig: &mut Rig) -> bool {
    rig.pass(HOUR + MINUTE);
    rig.pass(HOUR);
    !rig.learner.samples.today.is_empty()
}

#[test]
fn a_window_is_learned_after_an_hour_in_quarantine() {
    let mut rig = Rig::new();
    rig.window(EVE, 5.0);
    rig.pass(HOUR - MINUTE);
    assert_eq!(rig.in_quarantine(), 1);
    assert!(is_learned(&mut rig));
}

#[test]
fn nothing_is_learned_from_the_suspect_the_unknown_and_what_looks_like_an_attack() {
    let mut rig = Rig::new();
    let good = seen(EVE, 5.0);
    let nonsense = Features { syn_share: f32::NAN, ..good.features };
    let bad = [
        Seen { suspect: true, ..good },
        Seen { known: false, ..good },
        Seen { features: Features { packets_per_second: 500.0, ..good.features }, ..good },
        Seen { features: nonsense, ..good },
        Seen { features: Features { packets_per_second: 0.7, ..good.features }, ..good },
    ];
    for seen in bad {
        rig.learner.handle_window(rig.now, &seen);
        assert_eq!(rig.in_quarantine(), 0, "{seen:?}");
    }
    rig.learner.handle_window(rig.now, &good);
    assert_eq!(rig.in_quarantine(), 1);
}

#[test]
fn what_is_strange_is_not_learned_from_also_where_nobody_was_told() {
    let mut rig = Rig::new();
    rig.learner.shipped.model = testing::model_of(100.0, 50.0);
    rig.window(EVE, 50.0);
    assert_eq!(rig.in_quarantine(), 0);
    rig.window(EVE, 49.0);
    assert_eq!(rig.in_quarantine(), 1);
}

#[test]
fn who_becomes_suspect_loses_what_waits() {
    let mut rig = Rig::new();
    rig.window(EVE, 5.0);
    rig.learner.handle_window(rig.now, &Seen { suspect: true, ..seen(EVE, 5.0) });
    assert!(!is_learned(&mut rig));
}

#[test]
fn who_is_accused_within_the_hour_is_not_learned_from_for_a_day() {
    let mut rig = Rig::new();
    rig.window(EVE, 5.0);
    rig.pass(HOUR - MINUTE * 2);
    rig.learner.handle_verdict(rig.now, EVE, Some(Evidence::Spoofable));
    assert_eq!(rig.in_quarantine(), 0);
    rig.pass(DAY - MINUTE * 2);
    rig.window(EVE, 5.0);
    assert_eq!(rig.in_quarantine(), 0);
    rig.pass(MINUTE * 4);
    rig.window(EVE, 5.0);
    assert_eq!(rig.in_quarantine(), 1);
}

#[test]
fn who_is_accused_or_suspect_when_the_hour_ends_loses_what_waits() {
    let suspect = Seen { suspect: true, ..seen(EVE, 5.0) };
    let verdict = |rig: &mut Rig| rig.learner.handle_verdict(rig.now, EVE, Some(Evidence::Spoofable));
    let window = |rig: &mut Rig| rig.learner.handle_window(rig.now, &suspect);
    let after_others = |rig: &mut Rig| {
        rig.window(address(1), 5.0);
        rig.learner.handle_verdict(rig.now, address(2), None);
        verdict(rig);
    };
    for accuse in [&verdict as &dyn Fn(&mut Rig), &window, &after_others] {
        let mut rig = Rig::new();
        rig.window(EVE, 5.0);
        rig.now = rig.now.after(HOUR);
        accuse(&mut rig);
        rig.pass(MINUTE);
        assert_eq!(rig.learner.samples.hour, samples::Hour::default());
        assert!(rig.learner.samples.today.is_empty());
    }
}

#[test]
fn nobody_is_clean_of_whom_accusations_may_have_been_lost() {
    let mut rig = Rig::new();
    rig.window(EVE, 5.0);
    rig.learner.handle_gap(rig.now);
    assert!(!is_learned(&mut rig));
}

#[test]
fn whoever_rotates_through_a_64_is_one_source() {
    let mut rig = Rig::new();
    let address = |host: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, host));
    (0..100).for_each(|host| rig.window(address(host), 5.0));
    assert_eq!(rig.in_quarantine(), 1);
    rig.learner.handle_verdict(rig.now, address(500), None);
    rig.window(address(501), 5.0);
    assert_eq!(rig.in_quarantine(), 0);
}

#[test]
fn a_proven_accusation_takes_back_what_was_learned_and_a_forged_one_does_not() {
    let mut rig = Rig::settled();
    let before = rig.learned();
    rig.learner.handle_verdict(rig.now, address(1), Some(Evidence::Spoofable));
    assert_eq!(rig.learned(), before);
    rig.learner.handle_verdict(rig.now, address(1), Some(Evidence::Handshake));
    assert!(rig.learned() < before);
    assert!(rig.learner.samples.rows().all(|row| row.source != address(1)));
}

#[test]
fn a_source_is_learned_from_once_in_ten_minutes_and_waits_with_seven_windows_at_most() {
    let mut rig = Rig::new();
    for _ in 0..120 {
        rig.window(EVE, 5.0);
        rig.now = rig.now.after(MINUTE / 2);
    }
    assert_eq!(rig.learner.quarantine.release(rig.now.after(DAY), HOUR).len(), 6);

    let mut rig = Rig::new();
    rig.learner.config.spacing = MINUTE;
    (0..30).for_each(|_| {
        rig.window(EVE, 5.0);
        rig.now = rig.now.after(MINUTE);
    });
    assert_eq!(rig.learner.quarantine.release(rig.now.after(DAY), HOUR).len(), WINDOWS_PER_SOURCE);
}

#[test]
fn the_quarantine_has_a_limit() {
    let mut rig = Rig::new();
    for host in 0..=SOURCES as u32 {
        rig.window(Ipv4Addr::from(0x0a00_0000 + ((host % 20) << 16) + host / 20).into(), 5.0);
    }
    assert_eq!(rig.in_quarantine(), SOURCES);
}

#[test]
fn one_site_keeps_nobody_else_out_of_quarantine_and_its_provider_neither() {
    let mut rig = Rig::new();
    let fill = |rig: &mut Rig, site: u16| (0..1100).for_each(|subnet| rig.window(of_site(site, subnet), 5.0));
    fill(&mut rig, 0);
    assert_eq!(rig.in_quarantine(), SOURCES / 10);
    (1..12).for_each(|site| fill(&mut rig, site));
    assert_eq!(rig.in_quarantine(), SOURCES / 5);
    rig.window(EVE, 5.0);
    assert_eq!(rig.in_quarantine(), SOURCES / 5 + 1);
    // Who leaves makes room, however he goes.
    rig.learner.handle_verdict(rig.now, of_site(0, 5000), Some(Evidence::Handshake));
    assert_eq!(rig.in_quarantine(), SOURCES / 10 + 1);
    fill(&mut rig, 2);
    assert_eq!(rig.in_quarantine(), SOURCES / 5 + 1);
    rig.pass(HOUR + MINUTE);
    assert_eq!(rig.in_quarantine(), 0);
    fill(&mut rig, 1);
    assert_eq!(rig.in_quarantine(), SOURCES / 10);
}

#[test]
fn a_proven_accusation_is_one_of_the_whole_48_and_a_forged_one_of_the_64() {
    let mut rig = Rig::new();
    rig.days_with(1, |rig, _| rig.window(of_site(7, 1), 5.0));
    let of_the_site = |row: &Row| seen::estate(row.source) == seen::estate(of_site(7, 1));
    let learned = |rig: &Rig| rig.learner.samples.rows().filter(|row| of_the_site(row)).count();
    let before = learned(&rig);
    assert!(before > 60, "{before}");
    rig.pass(HOUR * 2);
    (1..=3).for_each(|subnet| rig.window(of_site(7, subnet), 5.0));
    rig.learner.handle_verdict(rig.now, of_site(7, 2), Some(Evidence::Spoofable));
    assert_eq!((rig.in_quarantine(), learned(&rig)), (2, before));
    rig.learner.handle_verdict(rig.now, of_site(7, 4), Some(Evidence::Handshake));
    assert_eq!((rig.in_quarantine(), learned(&rig)), (0, 0));
    rig.window(of_site(7, 5), 5.0);
    rig.window(of_site(8, 5), 5.0);
    assert_eq!(rig.in_quarantine(), 1, "who is in another /48 is somebody else");
    rig.pass(DAY + MINUTE);
    rig.window(of_site(7, 5), 5.0);
    assert_eq!(rig.in_quarantine(), 1, "a day later it is forgiven");
}

#[test]
fn whoever_forges_accusations_stops_learning_and_washes_nobody_clean() {
    let mut rig = Rig::new();
    rig.learner.handle_verdict(rig.now, EVE, None);
    rig.window(address(1), 5.0);
    for host in 0..=TAINTS as u32 {
        rig.learner.handle_verdict(rig.now, Ipv4Addr::from(0x0a00_0000 + host).into(), None);
    }
    assert!(rig.learner.taints.contains(&seen::holder(EVE)));
    rig.window(address(1), 5.0);
    assert_eq!(rig.in_quarantine(), 0);
    rig.pass(MINUTE);
    assert_eq!(rig.done, [Effect::Freeze(Why::Accused)]);
    assert!(rig.learner.troubles().frozen.unwrap().what.contains("accused"));
    rig.pass(DAY);
    assert_eq!(*rig.last(), Effect::Thaw);
}

#[test]
fn a_network_gives_no_more_than_its_share_of_an_hour() {
    let mut rig = Rig::new();
    for host in 0..1000_u32 {
        // A quarter of the sources in one /24, the rest in its /16.
        let third = if host % 4 == 0 { 0 } else { 1 + host % 200 };
        rig.window(Ipv4Addr::from(0xcb00_0000 + (third << 8) + host / 4).into(), 5.0);
    }
    (0..1000).for_each(|client| rig.window(address(client % 250), 5.0));
    rig.pass(HOUR * 2);
    let rows = rig.learner.samples.today.clone();
    let of = |net: &str| {
        let net: smartfw_core::IpNet = net.parse().unwrap();
        rows.iter().filter(|row| net.contains(&row.source)).count()
    };
    assert!(of("203.0.0.0/24") <= SHARES[0]);
    assert_eq!(of("203.0.0.0/16"), SHARES[1]);
    assert!(rows.len() <= ROWS_PER_HOUR);
}

#[test]
fn the_reservoir_is_full_at_twenty_thousand_rows() {
    let mut rig = Rig::new();
    let crowd = |rig: &mut Rig, _: u64| (0..120).for_each(|host| rig.window(address(1000 + host * 60), 12.0));
    rig.days_with(DAYS as u32 + 2, crowd);
    assert!(rig.learned() <= ROWS);
    assert!(rig.learned() > ROWS * 9 / 10, "{}", rig.learned());
    assert_eq!(rig.learner.samples.days.len(), DAYS);
}

#[test]
fn a_day_unlike_the_first_week_is_not_learned_and_says_so() {
    let mut rig = Rig::settled();
    let before = rig.learner.samples.days.clone();
    let botnet = |rig: &mut Rig, _: u64| (0..30).for_each(|bot| rig.window(address(5000 + bot), 60.0));
    rig.days_with(1, botnet);
    assert_eq!(rig.learner.samples.days, before);
    assert!(matches!(rig.last(), Effect::Freeze(Why::Drift(Drift { feature: 0, .. }))), "{:?}", rig.last());
    assert!(rig.learner.troubles().frozen.unwrap().what.contains("packets_per_second"));
    rig.days(2);
    assert_eq!(rig.done.iter().filter(|effect| **effect == Effect::Thaw).count(), 1);
    assert_eq!(rig.learner.troubles().frozen, None);
}

#[test]
fn a_thin_day_is_not_learned() {
    let mut rig = Rig::settled();
    let days = rig.learner.samples.days.clone();
    rig.pass(DAY * 2);
    assert_eq!(rig.learner.samples.days, days);
    assert!(rig.learner.progress().contains("too thin"), "{}", rig.learner.progress());
}

#[test]
fn a_day_without_its_night_is_not_learned_and_one_with_a_short_stop_is() {
    let half_a_day = |rig: &mut Rig| {
        for tick in 0..72 {
            rig.honest(tick);
            rig.pass(MINUTE * 10);
        }
    };
    let mut rig = Rig::settled();
    let days = rig.learner.samples.days.clone();
    (0..2).for_each(|_| {
        half_a_day(&mut rig);
        rig.stop(DAY / 2);
    });
    rig.pass(MINUTE);
    assert_eq!(rig.learner.samples.days, days);
    let progress = rig.learner.progress();
    assert!(progress.contains("a day of which 12 hours were watched"), "{progress}");

    half_a_day(&mut rig);
    rig.stop(MINUTE * 30);
    half_a_day(&mut rig);
    rig.pass(MINUTE);
    assert_ne!(rig.learner.samples.days, days);
}

#[test]
fn a_service_that_strays_freezes_learning() {
    let mut rig = Rig::new();
    rig.days(1);
    for hour in 0..100 {
        let pace = 18.0 * 1.03_f32.powi(hour);
        (0..CLIENTS).for_each(|client| rig.window(address(client), pace.min(95.0)));
        rig.pass(HOUR);
    }
    let strayed = Why::Strayed(None, 0);
    assert!(rig.done.contains(&Effect::Freeze(strayed)), "{:?}", rig.done);
}

#[test]
fn nothing_is_trained_while_the_usual_has_strayed_and_training_goes_on_after_it() {
    let mut rig = Rig::settled();
    rig.learner.handle_trained(rig.now, rig.lot().candidate, Err("no candidate is on trial any more".into()));
    rig.done.clear();
    let learned = rig.learner.samples.days.clone();
    // What is usual is led as far beyond the leash as it takes four days to come back.
    for hour in 0..=(LEASH / STEP) as u64 + 96 {
        let led = |client| Row::from(&seen(address(client), 1e6 * (hour + 1) as f32));
        let rows: Vec<Row> = (0..CLIENTS).map(led).collect();
        rig.learner.baselines.take_in(rig.now, &rows, false);
    }
    rig.days(3);
    assert_eq!(rig.done, [Effect::Freeze(Why::Strayed(None, 0))]);
    assert_eq!(rig.learner.samples.days, learned);
    rig.days(3);
    assert!(matches!(&rig.done[1..], [Effect::Thaw, Effect::Train(_), ..]), "{} effects", rig.done.len());
}

#[test]
fn effects_that_nobody_takes_are_bounded() {
    let mut rig = Rig::new();
    (0..100).for_each(|_| rig.learner.effect(Effect::Thaw));
    assert_eq!(rig.learner.effects.len(), EFFECTS);
}

#[test]
fn a_clock_that_is_set_back_ends_nothing() {
    let right = Time::from_secs(2_000_000_000);
    let mut rig = Rig::settled();
    for far in [right.after(DAY * 3650), Time::NEVER] {
        rig.learner.handle_timeout(far);
        rig.learner.handle_verdict(far, EVE, Some(Evidence::Spoofable));
        // Also one that is only corrected while the program does not run.
        rig.learner = state::restore(&rig.learner.save()).unwrap();
        rig.now = right;
        rig.learner.handle_timeout(right);
        assert_eq!(rig.learner.poll_timeout(), right.after(MINUTE));
        assert!(rig.learner.progress().contains("set back"), "{}", rig.learner.progress());
        assert_eq!(rig.in_quarantine(), 0);
        rig.window(address(1), 5.0);
        assert!(is_learned(&mut rig));
        rig.pass(DAY);
        rig.window(EVE, 5.0);
        assert_eq!(rig.in_quarantine(), 1, "who was accused then is forgiven a day later");
    }
}

#[test]
fn inputs_that_come_a_little_out_of_order_set_no_clock_back() {
    let mut rig = Rig::new();
    rig.now = rig.now.after(HOUR);
    rig.window(EVE, 5.0);
    rig.learner.handle_timeout(Time::from_secs(rig.now.as_secs() - 60));
    assert_eq!((rig.in_quarantine(), rig.learner.now), (1, rig.now));
    rig.learner.handle_timeout(Time::ZERO);
    assert_eq!(rig.in_quarantine(), 0);
}
