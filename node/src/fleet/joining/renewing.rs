//! Our own certificate, renewed when two thirds of its life are over: a signer by itself, others by any signer.

use std::time::Duration;

use smartfw_core::members::MemberState;
use smartfw_identity::{
    Identity, Renewal, Role, Signer, renew,
    tls::{Expected, Net},
};
use tokio::time::sleep;

use super::Desk;
use crate::{clock, fleet::MemberView};

/// How often it is looked whether it is time: against ten days this is nothing.
const LOOK: Duration = Duration::from_secs(600);
/// The first look: members have to be heard of before.
const FIRST: Duration = Duration::from_secs(30);

/// Looks for ever.
pub(super) async fn forever(desk: Desk) {
    sleep(FIRST).await;
    loop {
        once(&desk).await;
        sleep(LOOK).await;
    }
}

async fn once(desk: &Desk) {
    let now = clock::now();
    let identity = desk.current.get();
    let loud = match identity.renewal(now) {
        Renewal::NotDue => return,
        Renewal::Due => false,
        Renewal::Late => true,
        // Only a token helps; the health list says so.
        Renewal::Expired if identity.member().role != Role::Signer => return,
        Renewal::Expired => true,
    };
    let renewed = if Signer::is_at(&desk.folder) {
        by_ourselves(desk, &identity)
    } else {
        by_a_signer(desk, &identity).await
    };
    match renewed {
        Ok(renewed) => {
            if let Err(why) = renewed.save_certificates(&desk.folder) {
                tracing::error!(%why, "our certificate was renewed, and cannot be kept: a restart forgets it");
            }
            tracing::info!(id = %renewed.id(), "audit: our certificate was renewed");
            desk.current.replace(renewed);
        }
        Err(why) if loud => tracing::error!(%why, "our certificate is not renewed and ends soon"),
        Err(why) => tracing::warn!(%why, "our certificate is not renewed yet"),
    }
}

fn by_ourselves(desk: &Desk, identity: &Identity) -> Result<Identity, String> {
    let now = clock::now();
    let signer = Signer::load(&desk.folder, identity, now).map_err(|why| why.to_string())?;
    signer.own(now).map_err(|why| why.to_string())
}

/// Asks one signer after the other.
async fn by_a_signer(desk: &Desk, identity: &Identity) -> Result<Identity, String> {
    let members = desk.members().await.map_err(|status| status.message().to_owned())?;
    let mut last = "no signer answers: look at smartfw-cli cluster nodes".to_owned();
    for signer in members.iter().filter(|member| is_signer(member)) {
        let net = Net::new(desk.current.clone(), desk.revocations.clone());
        let expected = Expected { id: Some(signer.id), name: None };
        let renewed = match net.dial(signer.address, expected).await {
            Ok(stream) => renew(stream, identity, clock::now()).await.map_err(|why| why.to_string()),
            Err(why) => Err(why.to_string()),
        };
        match renewed {
            Ok(renewed) => return Ok(renewed),
            Err(why) => last = format!("{}: {why}", signer.name),
        }
    }
    Err(last)
}

fn is_signer(member: &MemberView) -> bool {
    member.role == Some(Role::Signer) && matches!(member.state, MemberState::Alive | MemberState::Suspect)
}
