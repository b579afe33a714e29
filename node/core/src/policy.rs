//! What may follow from a verdict: the one place that says how hard detection may act, and why not harder.

use ipnet::IpNet;

use crate::{
    Class, Detector, Evidence, Strength, Verdict, class::named, config::BlastLimits, protect::Protected,
};

/// What policy knows beside the verdict.
#[derive(Clone, Debug, Default)]
pub(crate) struct Circumstances {
    /// Why the source can never be blocked.
    pub(crate) protected: Option<Protected>,
    /// Whether the kernel drops anything at all.
    pub(crate) off: bool,
    /// Whether an operator said that blocking this source was wrong.
    pub(crate) held_back: bool,
    /// The configured proxy that the source belongs to.
    pub(crate) proxy: Option<IpNet>,
}

named! {
    /// Why detection did less than drop a source.
    Veto {
        /// The source can never be blocked.
        Protected = "protected",
        /// There is no single source, or nothing is known about its packets.
        NoEvidence = "no_evidence",
        /// The isolation forest alone never blocks.
        Isolation = "isolation",
        /// A model alone drops nobody on packets that anybody could have sent.
        Forest = "forest",
        /// Our own host is the offender: its targets are not to blame.
        Outbound = "outbound",
        /// Enforcement is switched off.
        Off = "off",
        /// An operator unblocked it a short time ago.
        HeldBack = "held_back",
        /// It completed a benign handshake within a day, and these packets could be anybody's.
        Known = "known",
        /// It is a configured proxy.
        Proxy = "proxy",
        /// It shows several clients behind it.
        Shared = "shared",
        /// It carries a large share of the established flows.
        FlowShare = "flow_share",
        /// Detection made too many new blocks of this class within a minute.
        TooMany = "too_many",
        /// Detection blocked too many sources with connections open within a minute.
        TooManyEstablished = "too_many_established",
        /// Blocks of this class were followed by a collapse of completed handshakes.
        Collapse = "collapse",
        /// As many automatic blocks as there may be.
        ListFull = "list_full",
        /// As many decisions wait for approval as there may be.
        QueueFull = "queue_full",
    }
}

impl Veto {
    /// The same for a human being.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Protected => "the source is protected",
            Self::NoEvidence => "nothing proves whose packets these are",
            Self::Isolation => "an anomaly alone is reported, never blocked",
            Self::Forest => "a model's word about packets that may be forged is reported, never blocked",
            Self::Outbound => "our own host is the offender: its targets are not blocked",
            Self::Off => "enforcement is switched off",
            Self::HeldBack => "an operator unblocked or rejected it a short time ago",
            Self::Known => {
                "the packets may be forged, and the source completed a benign handshake within a day"
            }
            Self::Proxy => "a configured proxy: others speak through it",
            Self::Shared => "several clients share the address",
            Self::FlowShare => "it carries a large share of the established connections",
            Self::TooMany => "too many new automatic blocks of this class within a minute: only reporting",
            Self::TooManyEstablished => {
                "too many automatic blocks of connected sources within a minute: only reporting"
            }
            Self::Collapse => "completed handshakes collapsed after blocks of this class: only reporting",
            Self::ListFull => "as many automatic blocks as there may be: only reporting",
            Self::QueueFull => "as many decisions wait for approval as there may be: only reporting",
        }
    }
}

/// How much may be dropped on the word of `verdict`.
///
/// # Errors
/// Why nothing may.
pub(crate) fn answer(
    verdict: &Verdict,
    known: &Circumstances,
    limits: &BlastLimits,
) -> Result<Strength, Veto> {
    let standing = verdict.standing;
    let strength = match verdict.evidence {
        Some(Evidence::Handshake) => Strength::Hard,
        Some(Evidence::Spoofable) | None => Strength::Soft,
    };
    let vetoes = [
        (known.protected.is_some(), Veto::Protected),
        (verdict.class == Class::Botnet, Veto::Outbound),
        (verdict.detector == Detector::Isolation, Veto::Isolation),
        (verdict.detector == Detector::Forest && strength == Strength::Soft, Veto::Forest),
        (verdict.evidence.is_none(), Veto::NoEvidence),
        (known.off, Veto::Off),
        (known.held_back, Veto::HeldBack),
        (strength == Strength::Soft && standing.known, Veto::Known),
        (known.proxy.is_some(), Veto::Proxy),
        (standing.shared, Veto::Shared),
        (standing.flow_share > limits.flow_share, Veto::FlowShare),
    ];
    vetoes.into_iter().find(|(applies, _)| *applies).map_or(Ok(strength), |(_, veto)| Err(veto))
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;
    use crate::{Features, Reason, Subject, Time, verdict::Standing};

    fn verdict(evidence: Option<Evidence>) -> Verdict {
        Verdict {
            at: Time::ZERO,
            subject: Subject::Source("192.0.2.1".parse().unwrap()),
            class: Class::BruteForce,
            confidence: 1.0,
            detector: Detector::Rules,
            evidence,
            reason: Reason { rule: String::new(), measured: 0.0, limit: 0.0, text: String::new() },
            features: Features::default(),
            standing: Standing::default(),
        }
    }

    fn decide(verdict: &Verdict) -> Result<Strength, Veto> {
        answer(verdict, &Circumstances::default(), &BlastLimits::default())
    }

    #[test]
    fn only_a_handshake_leads_to_a_hard_block() {
        assert_eq!(decide(&verdict(Some(Evidence::Handshake))), Ok(Strength::Hard));
        assert_eq!(decide(&verdict(Some(Evidence::Spoofable))), Ok(Strength::Soft));
        assert_eq!(decide(&verdict(None)), Err(Veto::NoEvidence));
    }

    #[test]
    fn forged_packets_hurt_nobody_who_is_known() {
        let mut forged = verdict(Some(Evidence::Spoofable));
        forged.standing.known = true;
        assert_eq!(decide(&forged), Err(Veto::Known));
        let mut proven = verdict(Some(Evidence::Handshake));
        proven.standing.known = true;
        assert_eq!(decide(&proven), Ok(Strength::Hard));
    }

    #[test]
    fn an_anomaly_alone_never_blocks() {
        let mut odd = verdict(Some(Evidence::Handshake));
        odd.detector = Detector::Isolation;
        assert_eq!(decide(&odd), Err(Veto::Isolation));
    }

    #[test]
    fn a_models_word_blocks_only_who_proved_the_address() {
        let mut learned = verdict(Some(Evidence::Handshake));
        learned.detector = Detector::Forest;
        assert_eq!(decide(&learned), Ok(Strength::Hard));
        let forged = Verdict { evidence: Some(Evidence::Spoofable), ..learned };
        assert_eq!(decide(&forged), Err(Veto::Forest));
    }

    #[test]
    fn the_targets_of_our_own_scan_are_not_blocked() {
        let mut ours = verdict(Some(Evidence::Handshake));
        ours.class = Class::Botnet;
        assert_eq!(decide(&ours), Err(Veto::Outbound));
    }

    #[test]
    fn whoever_carries_others_is_not_blocked() {
        let mut shared = verdict(Some(Evidence::Handshake));
        shared.standing.shared = true;
        assert_eq!(decide(&shared), Err(Veto::Shared));
        let mut busy = verdict(Some(Evidence::Handshake));
        busy.standing.flow_share = BlastLimits::default().flow_share;
        assert_eq!(decide(&busy), Ok(Strength::Hard));
        busy.standing.flow_share += 1;
        assert_eq!(decide(&busy), Err(Veto::FlowShare));
        let proxy = Circumstances { proxy: "192.0.2.0/24".parse().ok(), ..Circumstances::default() };
        let proven = verdict(Some(Evidence::Handshake));
        assert_eq!(answer(&proven, &proxy, &BlastLimits::default()), Err(Veto::Proxy));
    }

    #[test]
    fn nothing_is_decided_while_enforcement_is_off_or_a_person_objects() {
        let proven = verdict(Some(Evidence::Handshake));
        let off = Circumstances { off: true, ..Circumstances::default() };
        assert_eq!(answer(&proven, &off, &BlastLimits::default()), Err(Veto::Off));
        let held = Circumstances { held_back: true, ..Circumstances::default() };
        assert_eq!(answer(&proven, &held, &BlastLimits::default()), Err(Veto::HeldBack));
    }
}
