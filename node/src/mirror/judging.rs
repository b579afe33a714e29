//! What of another cluster's run may be followed.

use std::{collections::BTreeSet, sync::Arc};

use smartfw_core::{
    Detector, Strength, Time,
    agent::Foreigner,
    fleet::{
        Entry, FleetBlock, NodeId, OperatorOrder, OrderKind, OrderVerifier as _, SignedOrder, SignedRun,
        VerifiedOrder, Verifier as _, Version,
    },
};
use smartfw_identity::{Chain, Subject};
use smartfw_proto::convert::run_from_bytes;

use super::Root;
use crate::fleet::{ForeignSays, ForeignWord};

/// What a run says, and what of it is not followed, with the reason.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) words: Vec<ForeignWord>,
    pub(super) refused: Vec<String>,
}

/// Judges what stood in the list of a cluster, under the root that is believed of it.
pub(super) fn judge(root: &Root, bytes: &[u8]) -> Result<Judged, String> {
    let run = run_from_bytes(bytes).map_err(|why| format!("it is no signed run: {why}"))?;
    let verified = root.judge.verify(&run).map_err(|why| why.to_string())?;
    let header = verified.header();
    if header.site.is_some() {
        return Err("it is for one site of that cluster".to_owned());
    }
    let from = Arc::new(foreigner(root, header.origin, &name(&run)));
    let (mut judged, mut orders) = (Judged::default(), BTreeSet::new());
    for (index, entry) in verified.entries().iter().enumerate() {
        let word = |lasts, says| ForeignWord {
            from: from.clone(),
            version: header.version(index),
            issued: header.issued,
            lasts,
            says,
        };
        match entry {
            // Operators sign orders; their blocks need no proof, so that nobody else may claim to be one.
            Entry::Block(block) if block.detector == Detector::Operator => {
                judged.refused.push("a member that is no operator speaks as one".to_owned());
            }
            Entry::Block(block) => {
                judged.words.push(word(block.duration, ForeignSays::Block(Box::new(block.clone()))));
            }
            Entry::Withdraw { target, lasts } => {
                judged.words.push(word(*lasts, ForeignSays::Withdraw(*target)));
            }
            Entry::Order(order) => judged.order(root, order, &mut orders),
            Entry::Sessions { .. } | Entry::Coordinator { .. } | Entry::Unknown { .. } => {
                judged.refused.push("another cluster may only block".to_owned());
            }
        }
    }
    Ok(judged)
}

impl Judged {
    /// An order that stands among `known`, in the same run, says nothing more.
    fn order(&mut self, root: &Root, order: &SignedOrder, known: &mut BTreeSet<u128>) {
        match root.judge.verify_order(order) {
            Ok(VerifiedOrder { order, .. }) if !known.insert(order.id) => {}
            Ok(VerifiedOrder { order, signer, .. }) => self.ordered(root, signer, order),
            Err(why) => self.refused.push(format!("an order in it: {why}")),
        }
    }

    fn ordered(&mut self, root: &Root, signer: NodeId, order: OperatorOrder) {
        let OperatorOrder { operator, issued, site, kind, .. } = order;
        let OrderKind::Block { targets, duration, class, reason, .. } = kind else {
            let refused =
                format!("an order of {operator} in it does not block: another cluster may do nothing else");
            return self.refused.push(refused);
        };
        if site.is_some() {
            return self
                .refused
                .push(format!("an order of {operator} in it is for one site of that cluster"));
        }
        let from = Arc::new(foreigner(root, signer, &operator));
        for (sequence, target) in (1..).zip(targets) {
            let block = FleetBlock {
                target,
                class,
                confidence: 1.0,
                strength: Strength::Hard,
                detector: Detector::Operator,
                evidence: None,
                reason: reason.clone(),
                level: 1,
                duration,
            };
            self.words.push(ForeignWord {
                from: from.clone(),
                version: Version { epoch: millis(issued), sequence },
                issued,
                lasts: duration,
                says: ForeignSays::Block(Box::new(block)),
            });
        }
    }
}

fn foreigner(root: &Root, node: NodeId, name: &str) -> Foreigner {
    Foreigner { cluster: root.id, node, name: format!("{}/{name}", root.cluster) }
}

/// What the certificate calls who signed: the judge has checked it.
fn name(run: &SignedRun) -> String {
    let chain = Chain::from_bytes(&run.certificate).ok();
    match chain.as_ref().map(|chain| &chain.leaf().subject) {
        Some(Subject::Member { name, .. }) => name.name.to_string(),
        _ => String::new(),
    }
}

const fn millis(time: Time) -> u64 {
    time.as_nanos() / 1_000_000
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use smartfw_core::{
        Class, Evidence, IpNet,
        fleet::{RunHeader, Signer as _},
    };
    use smartfw_identity::{Current, Founded, Founding, Label, RunSigner, sign_order};
    use smartfw_proto::convert::run_to_bytes;

    use super::*;
    use crate::{clock, fleet::PeerCodec, mirror::Roots};

    const HOUR: Option<Duration> = Some(Duration::from_secs(3600));

    struct Abroad {
        founded: Founded,
        folder: tempfile::TempDir,
    }

    impl Abroad {
        fn found() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let label = |text| Label::new(text).unwrap();
            let founding = Founding {
                cluster: &label("east"),
                site: &Label::default_site(),
                signer: &label("web-1"),
                operator: &label("alice"),
            };
            let founded = founding.found(folder.path(), clock::now()).unwrap();
            Self { founded, folder }
        }

        fn root(&self) -> Arc<Root> {
            let pem = self.founded.identity.trust().root().to_pem();
            Roots::open(self.folder.path()).add(&pem, None).unwrap()
        }

        fn ordered(&self, id: u128, kind: OrderKind) -> Entry {
            let order = OperatorOrder {
                id,
                operator: "alice".into(),
                issued: clock::now(),
                lasts: HOUR,
                site: None,
                kind,
            };
            Entry::Order(sign_order(&self.founded.operator, &order, &PeerCodec).unwrap())
        }

        /// A run of the first signer's, as it stands in a database.
        fn says(self, entries: Vec<Entry>) -> Vec<u8> {
            let header = RunHeader {
                cluster: "east".into(),
                site: None,
                origin: self.founded.identity.id(),
                epoch: 1,
                first: 1,
                issued: clock::now(),
                floor: Version::default(),
            };
            let mut signer = RunSigner::new(Current::new(self.founded.identity), PeerCodec);
            run_to_bytes(signer.seal(header, entries).unwrap().signed())
        }
    }

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn block() -> Entry {
        Entry::Block(FleetBlock {
            target: net("203.0.113.7/32"),
            class: Class::BruteForce,
            confidence: 0.9,
            strength: Strength::Hard,
            detector: Detector::Rules,
            evidence: Some(Evidence::Handshake),
            reason: String::new(),
            level: 1,
            duration: HOUR,
        })
    }

    #[test]
    fn of_another_cluster_blocks_are_followed_and_nothing_else() {
        let abroad = Abroad::found();
        let targets = vec![net("203.0.113.8/32"), net("203.0.113.9/32")];
        let (class, reason) = (Class::Manual, "by hand".to_owned());
        let orders = [
            abroad.ordered(1, OrderKind::Block { targets, duration: HOUR, class, reason, force: true }),
            abroad.ordered(
                2,
                OrderKind::Allow { target: net("203.0.113.7/32"), duration: None, comment: String::new() },
            ),
            abroad.ordered(3, OrderKind::Resume),
        ];
        let sessions = Entry::Sessions { addresses: vec![[192, 0, 2, 1].into()], lasts: HOUR };
        let withdrawn = Entry::Withdraw { target: net("203.0.113.7/32"), lasts: HOUR };
        let root = abroad.root();
        let twice = orders.clone();
        let all = [block(), withdrawn, sessions].into_iter().chain(orders).chain(twice).collect();
        let judged = judge(&root, &abroad.says(all)).unwrap();
        let said = |word: &ForeignWord| match &word.says {
            ForeignSays::Block(block) => (word.from.name.clone(), block.target.to_string()),
            ForeignSays::Withdraw(target) => (word.from.name.clone(), format!("not {target}")),
        };
        let said: Vec<_> = judged.words.iter().map(said).collect();
        let expected = [
            ("east/web-1", "203.0.113.7/32"),
            ("east/web-1", "not 203.0.113.7/32"),
            ("east/alice", "203.0.113.8/32"),
            ("east/alice", "203.0.113.9/32"),
        ];
        assert_eq!(said, expected.map(|(from, what)| (from.to_owned(), what.to_owned())));
        assert!(judged.words.iter().all(|word| word.from.cluster == root.id));
        assert_eq!(judged.refused.len(), 3);
    }

    #[test]
    fn a_member_that_speaks_as_an_operator_is_not_followed() {
        let abroad = Abroad::found();
        let root = abroad.root();
        let Entry::Block(block) = block() else { unreachable!() };
        let claimed = FleetBlock { detector: Detector::Operator, evidence: None, ..block };
        let judged = judge(&root, &abroad.says(vec![Entry::Block(claimed)])).unwrap();
        assert_eq!((judged.words.len(), judged.refused.len()), (0, 1), "{judged:?}");
    }

    #[test]
    fn an_order_that_was_changed_fails_by_the_signature_of_the_run_that_carries_it() {
        let abroad = Abroad::found();
        let root = abroad.root();
        let (targets, class) = (vec![net("203.0.113.8/32")], Class::Manual);
        let kind = OrderKind::Block { targets, duration: HOUR, class, reason: String::new(), force: false };
        let order = abroad.ordered(1, kind);
        let mut bytes = abroad.says(vec![order]);
        let at = bytes.len() / 3;
        bytes[at] ^= 1;
        assert_eq!(judge(&root, &bytes).unwrap_err(), "its signature is not its origin's");
    }

    #[test]
    fn what_is_forged_or_signed_under_another_root_is_refused() {
        let (abroad, liar) = (Abroad::found(), Abroad::found());
        let root = abroad.root();
        let bytes = abroad.says(vec![block()]);
        assert!(judge(&root, &bytes).is_ok());
        for at in [bytes.len() / 4, bytes.len() / 2, bytes.len() - 1] {
            let mut forged = bytes.clone();
            forged[at] ^= 1;
            assert!(judge(&root, &forged).is_err(), "{at}");
        }
        let lie = judge(&root, &liar.says(vec![block()])).unwrap_err();
        assert!(lie.contains("certificate"), "{lie}");
        assert!(judge(&root, b"nothing").unwrap_err().contains("no signed run"));
    }
}
