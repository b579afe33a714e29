//! What is let in: window by window, hour by hour, day by day.

use std::net::IpAddr;

use smartfw_core::{Evidence, model::LEAST_PACKETS};

use super::{
    DAYS, Effect, Learner, Why,
    drift::Profile,
    samples::{HOURS, finite},
    scores,
    seen::{Row, Seen, WIDTH, estate, holder},
};

/// How sure the model that ships has to be that a window is benign. It speaks at nine tenths for an attack:
/// what it is in doubt of is neither an alarm nor a lesson.
const SURELY_BENIGN: f32 = 0.7;
/// The length of a window in seconds.
const WINDOW: f32 = 10.0;
/// How much of a day somebody must have watched, as a share: an hour may be missing. A day without its night is none.
const WATCHED: (u32, u32) = (23, 24);
/// Rows that a day must have, lest a few sources are all there is.
const LEAST_ROWS: usize = 50;

impl Learner {
    /// Lets a window into quarantine that nothing speaks against.
    pub(super) fn admit(&mut self, seen: &Seen) {
        let row = Row::from(seen);
        let holder = holder(row.source);
        if seen.suspect {
            self.quarantine.drop_source(&holder);
            return;
        }
        // What models do not judge they do not learn either.
        let says_enough = seen.features.packets_per_second * WINDOW >= LEAST_PACKETS;
        let accused = self.taints.contains(&holder) || self.taints.contains(&estate(row.source));
        let clean = says_enough && seen.known && !self.taints.is_full() && !accused;
        if !clean || !finite(&row.values) {
            return;
        }
        let (model, isolation) = (&self.shipped.model, self.shipped.model.isolation());
        let ordinary = isolation.score(&row.values) < isolation.threshold();
        if ordinary && scores::opinion(model, &row.values).1 >= SURELY_BENIGN {
            self.quarantine.offer(self.now, row, self.config.spacing);
        }
    }

    /// Believes nothing of what a source sent; where its guilt is proven, of what its whole site did: it would go on from
    /// the next /64. Where a site's customers have a /64 each, the others are not learned from for as long either.
    pub(super) fn accuse(&mut self, source: IpAddr, evidence: Option<Evidence>) {
        let proven = evidence == Some(Evidence::Handshake);
        let accused = if proven { estate(source) } else { holder(source) };
        // Who was proven guilty before has given nothing since.
        let known = self.taints.is_proven(&accused);
        if !self.taints.insert(accused, self.now.after(self.config.taint), proven) {
            self.quarantine.clear();
        }
        if !proven {
            self.quarantine.drop_source(&accused);
        } else if !known {
            self.quarantine.drop_within(&accused);
            self.samples.drop_within(&accused);
            self.stage.distrust(&accused);
        }
    }

    /// Lets go of who is clean, and ends hours and days.
    pub(super) fn sweep(&mut self) {
        self.taints.expire(self.now);
        for row in self.quarantine.release(self.now, self.config.quarantine) {
            self.samples.hour.offer(row, &mut self.chance);
        }
        if self.now.since(self.hour_since) >= self.config.day / HOURS as u32 {
            self.hour_since = self.now;
            let rows = self.samples.end_hour();
            self.baselines.take_in(self.now, &rows, self.frozen.is_some());
        }
        if self.now.since(self.day_since) >= self.config.day {
            self.day_since = self.now;
            self.end_day();
        }
        self.freeze_or_thaw();
    }

    /// Takes the day in when there is enough of it, it was watched as a whole, it is like the first week, and nothing else stands against it; else
    /// it is forgotten as a whole.
    fn end_day(&mut self) {
        let day = std::mem::take(&mut self.samples.today);
        let watched = std::mem::take(&mut self.watched);
        if watched < self.config.day * WATCHED.0 / WATCHED.1 {
            let hours = watched.as_secs() / 3600;
            self.note = Some(format!("a day of which {hours} hours were watched was not learned from"));
            return;
        }
        let usual = self.samples.len() / self.samples.days.len().max(1);
        if day.len() < LEAST_ROWS.max(usual / 3) {
            self.note = Some(format!("a day of {} windows was too thin to learn from", day.len()));
            return;
        }
        let drift = self.profile.as_ref().map(|profile| profile.drift(&values(&day)));
        let drift = drift.filter(|drift| drift.index >= f64::from(self.config.drift));
        self.freeze(drift.map(Why::Drift).or_else(|| self.obstacle()));
        if self.frozen.is_none() {
            self.samples.take_in(day);
            self.end_first_week();
            self.begin_training();
        }
    }

    fn end_first_week(&mut self) {
        if self.profile.is_none() && self.samples.days.len() == DAYS {
            self.profile = Some(Profile::new(&self.samples.rows().map(|row| row.values).collect::<Vec<_>>()));
        }
    }

    /// Baselines and accusations freeze at once; only a day like the first week ends a drift.
    fn freeze_or_thaw(&mut self) {
        if !matches!(self.frozen, Some(Why::Drift(_))) {
            self.freeze(self.obstacle());
        }
    }

    /// What stands against learning, whatever the day is like.
    fn obstacle(&self) -> Option<Why> {
        let strayed =
            self.baselines.strayed(self.now).map(|(service, feature)| Why::Strayed(service, feature));
        strayed.or_else(|| self.taints.is_full().then_some(Why::Accused))
    }

    fn freeze(&mut self, why: Option<Why>) {
        match (&self.frozen, &why) {
            (None, Some(why)) => self.effect(Effect::Freeze(why.clone())),
            (Some(_), None) => self.effect(Effect::Thaw),
            (None, None) | (Some(_), Some(_)) => (),
        }
        self.frozen = why;
    }
}

fn values(rows: &[Row]) -> Vec<[f32; WIDTH]> {
    rows.iter().map(|row| row.values).collect()
}
