//! Making itself known: every minute one member hears where the coordinator is, and tells the fleet. Its answer is who is
//! in the fleet and who was expelled.

mod expelling;
mod known;
mod renewing;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use smartfw_core::Time;
use smartfw_identity::{
    Current, Revocations,
    tls::{Expected, Net, channel},
};
use smartfw_proto::{
    convert::Announced,
    limits,
    wire::{AnnounceRequest, announcement_client::AnnouncementClient},
};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tonic::transport::Endpoint;

use crate::{
    clock,
    health::{Health, Level, Matter},
    intake::Count,
    membership::reachable,
    view::View,
};
pub use expelling::{Expelling, NotExpelled};
pub use known::Known;
pub use renewing::Renewing;

/// How often: the fleet forgets after an hour.
const EVERY: Duration = Duration::from_secs(60);
/// How long one member may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Members that are tried in one turn: together they may take as long as a turn.
const TRIED: usize = 6;

/// Announces.
pub struct Announcing {
    /// The way to members.
    pub net: Arc<Net>,
    /// Who we are.
    pub current: Current,
    /// Who was expelled.
    pub revocations: Arc<Revocations>,
    /// What the fleet is.
    pub view: Arc<View>,
    /// What is wrong.
    pub health: Arc<Health>,
    /// Whom we know.
    pub known: Arc<Known>,
    /// Where nodes reach us, where a person said so.
    pub advertise: Option<SocketAddr>,
    /// What we listen on.
    pub listen: SocketAddr,
    /// How often a member heard us.
    pub heard: Arc<Count>,
}

impl Announcing {
    /// Announces for ever.
    pub async fn run(self) {
        let mut turn = interval(EVERY);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut until = Time::ZERO;
        loop {
            turn.tick().await;
            if let Some(lasts) = self.once().await {
                until = clock::now().after(lasts);
                self.health.clear(Matter::Announcing);
            } else {
                self.unheard(until);
            }
        }
    }

    /// One turn; for how long the fleet knows of us, where a member answered.
    async fn once(&self) -> Option<Duration> {
        for address in self.known.next(TRIED) {
            match timeout(PATIENCE, self.announce(address)).await {
                Ok(Ok(announced)) => {
                    let lasts = announced.lasts;
                    self.heard.add(1);
                    self.take_in(address, announced).await;
                    return Some(lasts);
                }
                Ok(Err(why)) => {
                    tracing::info!(%address, why, "a member does not hear where the coordinator is")
                }
                Err(_) => tracing::info!(%address, "a member does not answer in time"),
            }
        }
        None
    }

    async fn announce(&self, to: SocketAddr) -> Result<Announced, String> {
        let address = self.reached(to)?;
        let stream = self.net.dial(to, Expected::default()).await.map_err(|why| why.to_string())?;
        if stream.info().id() == self.current.get().id() {
            return Err("it is our own address".into());
        }
        let channel = channel(stream, endpoint()).await.map_err(|why| why.to_string())?;
        let mut client = AnnouncementClient::new(channel).max_decoding_message_size(MOST);
        let request = AnnounceRequest { address: address.to_string() };
        let answer = client.announce(request).await.map_err(|status| status.message().to_owned())?;
        answer.into_inner().try_into().map_err(|why: smartfw_proto::ConvertError| why.to_string())
    }

    /// Where nodes reach us: as a person said, else what is listened on, else the address that leads to the member.
    fn reached(&self, to: SocketAddr) -> Result<SocketAddr, String> {
        if let Some(address) = self.advertise.or_else(|| Some(self.listen).filter(reachable)) {
            return Ok(address);
        }
        let any: IpAddr = match to {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        // Nothing is sent: the system says which address it would use.
        let probe = UdpSocket::bind((any, 0)).and_then(|socket| {
            socket.connect(to)?;
            socket.local_addr()
        });
        let local = probe.map_err(|why| format!("no address of this machine leads there: {why}"))?;
        Ok(SocketAddr::new(local.ip(), self.listen.port()))
    }

    async fn take_in(&self, from: SocketAddr, announced: Announced) {
        let Announced { lasts: _, members, revocations } = announced;
        let (set, known) = (self.revocations.clone(), self.known.clone());
        self.view.heard(&members);
        let kept = tokio::task::spawn_blocking(move || {
            known.hear(from, &members);
            set.insert(revocations.iter().map(Vec::as_slice))
        });
        let matter = Matter::Revocations;
        match kept.await {
            Ok(Ok((_, None))) => self.health.clear(matter),
            Ok(Ok((_, Some(why)))) => tracing::warn!(%why, "a revocation that a member passed on is refused"),
            Ok(Err(why)) => {
                let what =
                    format!("who was expelled cannot be read or kept, and nobody new is let in: {why}");
                self.health.set(
                    matter,
                    Level::Error,
                    what,
                    "repair the file in the identity's folder, then restart",
                );
            }
            Err(why) => tracing::warn!(%why, "what a member answered is lost"),
        }
    }

    fn unheard(&self, until: Time) {
        let (level, what) = if clock::now() < until {
            (Level::Warn, "no member answers: nodes that are known stay connected, and others are not found")
        } else {
            (Level::Error, "no member answers, and nodes do not know where this coordinator is")
        };
        let remedy = "look whether the members of reach.json in the identity's folder run and can be reached; it is tried \
                      again every minute";
        self.health.set(Matter::Announcing, level, what, remedy);
    }
}

/// The largest answer: four thousand members, and a thousand revocations.
const MOST: usize = limits::ANNOUNCED * 1024 + limits::REVOCATIONS * (limits::REVOCATION + 64);

fn endpoint() -> Endpoint {
    Endpoint::from_static("http://smartfw.member").timeout(PATIENCE)
}

#[cfg(test)]
mod tests;
