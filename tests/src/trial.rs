//! One attack against a guarded server: was it seen, was it called by its name, how fast was it dropped, who else
//! suffered.

use std::{
    fmt,
    net::IpAddr,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{
    attack::{Attack, From},
    benign::{self, Guest},
    crew::Crew,
    daemon::Guard,
    kernel::{self, Meter, Reading, Sources},
    net::{Net, Side},
    process::Stop,
    site::Site,
    web::Connection,
};

/// How long an attack goes on after its first dropped packet.
const AFTER_DROP: Duration = Duration::from_secs(3);
/// How often the counters are read.
const LOOK: Duration = Duration::from_millis(5);
/// How many entries a flood from random addresses may leave in the sets.
const FEW: usize = 10;

/// What came of one attack.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The attack's name.
    pub variant: &'static str,
    /// The class that SmartFW saw; none when it saw nothing.
    pub class: Option<String>,
    /// What SmartFW did about it; none when it saw nothing.
    pub action: Option<String>,
    /// Whether the class is the right one.
    pub right: bool,
    /// From the first attack packet to the first that the kernel dropped.
    pub drop_after: Option<Duration>,
    /// The attack's packets.
    pub packets: Reading,
    /// Whom it hurt, and how.
    pub hurt: Vec<String>,
}

/// Where trials take place.
#[derive(Debug)]
pub struct Ground<'a> {
    /// The network.
    pub net: &'a Net,
    /// The services.
    pub site: &'a Site,
    /// The node that guards them.
    pub guard: &'a Guard<'a>,
    /// The benign clients.
    pub crew: &'a Crew,
    /// Where programs may log.
    pub dir: &'a Path,
}

impl Ground<'_> {
    /// Runs an attack from a new address.
    pub fn run(&self, attack: &'static Attack) -> Result<Outcome> {
        let attacker = self.net.host(Side::Attackers)?;
        let source = match attack.from {
            From::V4 => Some(IpAddr::from(attacker.v4)),
            From::V6 => Some(attacker.v6.into()),
            From::Random => None,
        };
        let since = self.alerts()?.len();
        let meter = Meter::install(self.net.server(), "trial", source.map_or(Sources::Forged, Sources::One))?;
        self.crew.harm();
        let stop = Stop::after(Duration::from_secs(attack.seconds));
        let (drop_after, mut hurt) = thread::scope(|scope| -> Result<_> {
            let attacking = scope.spawn(|| {
                let done = attack.run(&attacker, self.dir, &stop);
                stop.now();
                done
            });
            let newcomer = scope.spawn(|| self.newcomer(&stop));
            let drop_after = watch(&meter, &stop);
            stop.now();
            attacking.join().map_err(|_| anyhow::anyhow!("the attack panicked"))??;
            let hurt = newcomer.join().map_err(|_| anyhow::anyhow!("the newcomer panicked"))??;
            Ok((drop_after?, hurt))
        })?;
        thread::sleep(Duration::from_millis(500));
        let alerts = self.alerts()?;
        let alert = alerts.get(since..).and_then(|new| new.iter().find(|alert| is_about(alert, source)));
        let text = |key: &str| alert.and_then(|alert| alert[key].as_str()).map(str::to_owned);
        let (class, action) = (text("class"), text("action"));
        hurt.extend(self.crew.harm());
        hurt.extend(self.wrongly_blocked(source)?);
        Ok(Outcome {
            variant: attack.name,
            right: class.as_deref() == Some(attack.class.as_str()),
            class,
            action,
            drop_after,
            packets: meter.read()?,
            hurt,
        })
    }

    fn alerts(&self) -> Result<Vec<Value>> {
        let alerts = self.guard.json(&["alerts"])?;
        Ok(alerts.as_array().context("alerts are no list")?.clone())
    }

    /// Somebody who comes for the first time while the attack goes on: mistypes a password twice, and opens new
    /// connections to the page.
    fn newcomer(&self, stop: &Stop) -> Result<Vec<String>> {
        let host = self.net.host(Side::Clients)?;
        let typist =
            benign::ALL.iter().find(|benign| benign.name == "ssh-typos").context("no such client")?;
        let guest = Guest { host: &host, site: self.site, dir: self.dir, v6: false, stop: stop.clone() };
        let mut hurt = Vec::new();
        thread::scope(|scope| {
            let typing = scope.spawn(|| typist.run(&guest));
            let surfing = host.namespace.inside(|| surf(stop)).and_then(|result| result);
            hurt.extend(surfing.err().map(|e| format!("a new client ({}): {e:#}", host.v4)));
            let typed = typing.join().unwrap_or_else(|_| Err(anyhow::anyhow!("panicked")));
            hurt.extend(typed.err().map(|e| format!("ssh-typos ({}): {e:#}", host.v4)));
        });
        if kernel::drops(self.net.server(), host.v4.into())? {
            hurt.push(format!("a new client ({}) is blocked", host.v4));
        }
        Ok(hurt)
    }

    fn wrongly_blocked(&self, source: Option<IpAddr>) -> Result<Vec<String>> {
        let entries = kernel::blocked(self.net.server())?;
        let members =
            self.crew.members.iter().filter(|(_, address)| entries.iter().any(|e| e.covers(*address)));
        let mut wrong: Vec<String> =
            members.map(|(benign, address)| format!("{} ({address}) is blocked", benign.name)).collect();
        let forged = entries
            .iter()
            .filter(|entry| !entry.target.starts_with("203.0.113.") && !entry.target.contains(':'));
        let forged = forged.count();
        if source.is_none() && forged > FEW {
            wrong.push(format!("{forged} forged addresses stand in the sets"));
        }
        Ok(wrong)
    }
}

fn surf(stop: &Stop) -> Result<()> {
    while stop.sleep(Duration::from_millis(300)) {
        Connection::open(crate::net::SERVER_V4.into())?.get("/index.html")?;
    }
    Ok(())
}

/// Reads the counters until the attack was dropped for a while, or is over.
fn watch(meter: &Meter<'_>, stop: &Stop) -> Result<Option<Duration>> {
    let (mut first_seen, mut first_drop) = (None, None);
    loop {
        // A tool whose connections are destroyed may be over before the counters are read again: they are, once more.
        let over = stop.reached();
        let now = Instant::now();
        let reading = meter.read()?;
        if reading.seen > 0 {
            first_seen.get_or_insert(now);
        }
        // The two counters are not read at one moment: a packet between them is not dropped, as the next look shows.
        first_drop = (reading.dropped() > 0).then(|| first_drop.unwrap_or(now));
        if over || first_drop.is_some_and(|at: Instant| at.elapsed() >= AFTER_DROP) {
            break;
        }
        thread::sleep(LOOK);
    }
    Ok(first_seen.zip(first_drop).map(|(seen, dropped)| dropped - seen))
}

/// Whether an alert is about this source, or about a destination where there is no single source.
fn is_about(alert: &Value, source: Option<IpAddr>) -> bool {
    match source {
        Some(source) => alert["source"] == source.to_string(),
        None => alert["source"].is_null() && alert["destination"].is_string(),
    }
}

impl Outcome {
    /// Whether all is as it should be: seen, named, dropped (if it has a single source), and nobody hurt.
    pub fn good(&self, attack: &Attack) -> bool {
        let dropped = self.drop_after.is_some() || attack.from == From::Random;
        self.right && dropped && self.hurt.is_empty()
    }

    /// The heading of a table of outcomes.
    pub const HEADING: &str =
        "variant            detected     right  action     seconds to drop  packets   let through  hurt";
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let drop = self.drop_after.map_or("-".to_owned(), |after| format!("{:.3}", after.as_secs_f64()));
        let class = self.class.as_deref().unwrap_or("-");
        let action = self.action.as_deref().unwrap_or("-");
        let right = if self.right { "yes" } else { "NO" };
        let Reading { seen, passed } = self.packets;
        write!(
            f,
            "{:<18} {class:<12} {right:<6} {action:<10} {drop:>15} {seen:>8} {passed:>13}  {}",
            self.variant,
            self.hurt.len()
        )
    }
}
