//! Our own certificate, renewed when two thirds of its life are over: a signer by itself, others by any signer.

use std::time::Duration;

use smartfw_core::members::MemberState;
use smartfw_identity::{
    Identity, Renewal, Role, Signer, renew,
    tls::{Expected, Net},
};
use tokio::time::sleep;

use super::Desk;
use crate::{
    clock,
    fleet::MemberView,
    health::{Level, Matter},
};

/// How often it is looked whether it is time: against ten days this is nothing.
const LOOK: Duration = Duration::from_secs(600);
/// The first look: members have to be heard of before.
const FIRST: Duration = Duration::from_secs(30);

/// Looks for ever.
pub(super) async fn forever(desk: Desk) {
    sleep(FIRST).await;
    let mut unsaved = false;
    loop {
        once(&desk, &mut unsaved).await;
        sleep(LOOK).await;
    }
}

/// Looks once. `unsaved` is whether a renewed certificate is not on disk yet.
async fn once(desk: &Desk, unsaved: &mut bool) {
    if *unsaved {
        *unsaved = save(desk).is_err();
    }
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
            tracing::info!(id = %renewed.id(), "audit: our certificate was renewed");
            desk.current.replace(renewed);
            *unsaved = save(desk).is_err();
        }
        Err(why) if loud => tracing::error!(%why, "our certificate is not renewed and ends soon"),
        Err(why) => tracing::warn!(%why, "our certificate is not renewed yet"),
    }
}

/// Keeps the certificate in use, and shows where that fails: a restart would go on with the old one.
fn save(desk: &Desk) -> Result<(), ()> {
    let saved = desk.current.get().save_certificates(&desk.folder);
    if let Some(control) = desk.control.upgrade() {
        match &saved {
            Ok(()) => control.health.clear(Matter::Certificate),
            Err(why) => control.health.set(
                Matter::Certificate,
                Level::Error,
                format!(
                    "this node's renewed certificate cannot be kept, and a restart would forget it: {why}"
                ),
                "make room on the disk of the state folder and repair its permissions: it is tried again",
            ),
        }
    }
    saved.map_err(drop)
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use smartfw_identity::{Current, Founding, Label, Revocations};

    use super::*;
    use crate::{
        counters::Counters,
        fleet::{Control, beside::Nothing, joining::Vault},
        health::Health,
        inbox::inbox,
        uplink::Uplink,
    };

    /// A signer's desk whose certificate was made so long ago, and the folder of its identity.
    fn desk(age: Duration) -> (Desk, Arc<Control>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let label = |text| Label::new(text).unwrap();
        let (cluster, site) = (&label("prod"), &Label::default_site());
        let founding = Founding { cluster, site, signer: &label("signer"), operator: &label("operator") };
        let made = smartfw_core::Time::from_nanos(clock::now().as_nanos() - age.as_nanos() as u64);
        let founded = founding.found(folder.path(), made).unwrap();
        founded.identity.save(folder.path(), None).unwrap();
        founded.signer.save(folder.path()).unwrap();
        let counters = Arc::<Counters>::default();
        let (inbox, _) = inbox(counters.clone());
        let control = Arc::new(Control {
            state_dir: folder.path().to_owned(),
            listen: None,
            inbox: inbox.clone(),
            uplink: Uplink::new(folder.path(), counters.clone(), Arc::default()),
            mouth: Default::default(),
            counters,
            health: Arc::<Health>::default(),
            beside: Box::new(|_| Arc::new(Nothing)),
            state: Mutex::default(),
        });
        let desk = Desk {
            inbox,
            control: Arc::downgrade(&control),
            revocations: Arc::new(Revocations::in_memory(founded.identity.trust().clone())),
            current: Current::new(founded.identity),
            folder: folder.path().to_owned(),
            vault: Vault::default(),
            signer: Arc::default(),
            turns: Arc::new(tokio::sync::Semaphore::new(1)),
        };
        (desk, control, folder)
    }

    #[tokio::test]
    async fn a_renewed_certificate_that_cannot_be_kept_is_shown_and_kept_as_soon_as_it_can_be() {
        let (mut desk, control, folder) = desk(Duration::from_secs(22 * 24 * 3600));
        let (before, real) = (desk.current.get().member().not_after, desk.folder.clone());
        let mut unsaved = false;
        let renewed = by_ourselves(&desk, &desk.current.get()).unwrap();
        desk.current.replace(renewed);
        desk.folder = real.join("key.pem"); // no folder
        unsaved |= save(&desk).is_err();
        assert!(unsaved && control.health.list()[0].what.contains("cannot be kept"));
        once(&desk, &mut unsaved).await;
        assert!(unsaved, "it is tried again");
        desk.folder = real;
        once(&desk, &mut unsaved).await;
        assert!(!unsaved && control.health.list().is_empty());
        let kept = Identity::load(folder.path(), None).unwrap().member().not_after;
        assert!(kept > before && kept == desk.current.get().member().not_after);
    }

    #[tokio::test]
    async fn a_signer_whose_certificate_is_due_renews_itself_and_one_that_is_not_does_nothing() {
        for (days, renews) in [(22, true), (5, false)] {
            let (desk, _control, folder) = desk(Duration::from_secs(days * 24 * 3600));
            let before = desk.current.get().member().not_after;
            once(&desk, &mut false).await;
            assert_eq!(desk.current.get().member().not_after > before, renews, "{days}");
            let kept = Identity::load(folder.path(), None).unwrap();
            assert_eq!(kept.member().not_after > before, renews);
        }
    }
}
