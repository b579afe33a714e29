use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyUsagePurpose, SanType,
};

use super::*;
use crate::fixture::{DAY, World, before, label, noon};
use crate::issue;
use crate::key::Key;
use crate::root::Root;

struct Keys {
    root: Root,
    signer: Key,
    leaf: Key,
}

fn keys() -> Keys {
    let root = Root::create(&label("prod"), noon()).unwrap();
    Keys { root, signer: Key::generate().unwrap(), leaf: Key::generate().unwrap() }
}

fn subject(name: &str, role: Role) -> Subject {
    let name = MemberName { cluster: label("prod"), site: label("default"), name: label(name) };
    Subject::Member { name, role }
}

impl Keys {
    fn authority(&self) -> Certificate {
        self.root.sign_signer(&label("default"), &label("first"), self.signer.public(), noon()).unwrap()
    }

    fn leaf(&self, subject: &Subject, role: Role) -> Chain {
        let authority = self.authority();
        let leaf =
            issue::leaf(subject, role, self.leaf.public(), (&authority, &self.signer), noon()).unwrap();
        Chain::new(leaf, authority)
    }

    fn check(&self, chain: &Chain) -> Result<Member, Refused> {
        Trust::new(self.root.certificate().clone()).unwrap().check(chain)
    }

    /// A certificate under `issuer` with whatever `change` makes of it.
    fn forged(
        &self,
        subject: &Subject,
        issuer: (&Certificate, &Key),
        change: impl FnOnce(&mut CertificateParams),
    ) -> Certificate {
        let mut params = CertificateParams::default();
        params.not_before = time::OffsetDateTime::from_unix_timestamp(noon().as_secs() as i64).unwrap();
        params.not_after = params.not_before + DAY;
        params.subject_alt_names = vec![SanType::URI(subject.to_string().try_into().unwrap())];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        change(&mut params);
        let issuer = Issuer::from_ca_cert_der(issuer.0.der(), issuer.1).unwrap();
        Certificate::parse(params.signed_by(self.leaf.public(), &issuer).unwrap().der()).unwrap()
    }
}

#[test]
fn a_chain_makes_its_holder_a_member_for_thirty_days_and_a_day_before() {
    let keys = keys();
    let member = keys.check(&keys.leaf(&subject("web-1", Role::Node), Role::Node)).unwrap();
    assert_eq!((member.id, member.role), (keys.leaf.id(), Role::Node));
    assert_eq!(member.name.to_string(), "smartfw://prod/default/web-1");
    assert_eq!(member.signer, keys.signer.id());
    assert_eq!(member.not_before, before(noon(), DAY));
    assert_eq!(member.not_after, noon().after(DAY * 30));
}

#[test]
fn an_expired_member_has_thirty_days_of_grace() {
    let keys = keys();
    let member = keys.check(&keys.leaf(&subject("web-1", Role::Node), Role::Node)).unwrap();
    let second = Duration::from_secs(1);
    assert!(matches!(member.standing(before(member.not_before, second)), Err(Refused::NotYetValid { .. })));
    assert_eq!(member.standing(member.not_before), Ok(Standing::Valid));
    assert_eq!(member.standing(member.not_after), Ok(Standing::Valid));
    assert_eq!(member.standing(member.not_after.after(second)), Ok(Standing::Grace));
    assert!(matches!(member.valid_at(member.not_after.after(second)), Err(Refused::Expired { .. })));
    assert_eq!(member.standing(member.not_after.after(GRACE)), Ok(Standing::Grace));
    assert!(matches!(member.standing(member.not_after.after(GRACE + second)), Err(Refused::Expired { .. })));
}

#[test]
fn every_role_but_signer_may_be_given_by_a_signer() {
    let keys = keys();
    for role in [Role::Node, Role::Coordinator, Role::Operator] {
        assert_eq!(keys.check(&keys.leaf(&subject("x", role), role)).unwrap().role, role);
    }
    let refused = keys.check(&keys.leaf(&subject("x", Role::Signer), Role::Signer)).unwrap_err();
    assert_eq!(refused, Refused::Path("only the root makes signers"));
}

#[test]
fn a_signer_is_a_member_by_its_own_word_under_its_own_name_only() {
    let mut keys = keys();
    keys.leaf = Key::from_pkcs8(keys.signer.pkcs8()).unwrap();
    assert_eq!(
        keys.check(&keys.leaf(&subject("first", Role::Signer), Role::Signer)).unwrap().role,
        Role::Signer
    );
    let other = keys.check(&keys.leaf(&subject("second", Role::Signer), Role::Signer)).unwrap_err();
    assert_eq!(other, Refused::Path("only the root makes signers"));
}

#[test]
fn another_root_of_the_same_name_is_refused() {
    let (ours, theirs) = (keys(), keys());
    let chain = theirs.leaf(&subject("web-1", Role::Node), Role::Node);
    assert_eq!(ours.check(&chain), Err(Refused::Foreign { cluster: label("prod") }));
}

#[test]
fn a_signer_of_ours_speaks_for_our_cluster_only() {
    let keys = keys();
    let name = MemberName { cluster: label("test"), site: label("default"), name: label("web-1") };
    let chain = keys.leaf(&Subject::Member { name, role: Role::Node }, Role::Node);
    assert_eq!(keys.check(&chain), Err(Refused::Foreign { cluster: label("prod") }));
}

#[test]
fn a_member_signs_nobody() {
    let keys = keys();
    let node = keys.leaf(&subject("web-1", Role::Node), Role::Node);
    let below = issue::leaf(
        &subject("web-2", Role::Node),
        Role::Node,
        keys.leaf.public(),
        (node.leaf(), &keys.leaf),
        noon(),
    );
    let chain = Chain::new(below.unwrap(), node.leaf().clone());
    assert!(matches!(keys.check(&chain), Err(Refused::Path(_))));

    // A signer's certificate as a member is no right to sign either, though its key and its role are a signer's.
    let mut keys = keys;
    keys.leaf = Key::from_pkcs8(keys.signer.pkcs8()).unwrap();
    let own = keys.leaf(&subject("first", Role::Signer), Role::Signer);
    let below = issue::leaf(
        &subject("web-2", Role::Node),
        Role::Node,
        keys.leaf.public(),
        (own.leaf(), &keys.signer),
        noon(),
    );
    let refused = keys.check(&Chain::new(below.unwrap(), own.leaf().clone())).unwrap_err();
    assert_eq!(refused, Refused::Path("a member's own certificate signs nobody"));
}

#[test]
fn the_root_signs_no_members_and_a_signer_no_authorities() {
    let keys = keys();
    let root = (keys.root.certificate(), keys.root.key());
    let direct =
        issue::leaf(&subject("web-1", Role::Node), Role::Node, keys.leaf.public(), root, noon()).unwrap();
    let chain = Chain::new(direct, keys.authority());
    assert!(matches!(keys.check(&chain), Err(Refused::Foreign { .. } | Refused::Path(_))));
    let by_root = Chain::new(chain.leaf().clone(), keys.root.certificate().clone());
    assert_eq!(keys.check(&by_root), Err(Refused::Path("only signers sign members")));

    let authority = keys.authority();
    let issuer = (&authority, &keys.signer);
    let second = keys.forged(&subject("second", Role::Signer), issuer, |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.extended_key_usages.clear();
    });
    let below = issue::leaf(
        &subject("web-2", Role::Node),
        Role::Node,
        keys.leaf.public(),
        (&second, &keys.leaf),
        noon(),
    );
    assert!(keys.check(&Chain::new(below.unwrap(), second.clone())).is_err());
    assert_eq!(keys.check(&Chain::new(second, authority)), Err(Refused::Path("an authority is no member")));
}

#[test]
fn a_role_comes_with_its_usages() {
    let keys = keys();
    let authority = keys.authority();
    let issuer = (&authority, &keys.signer);
    let node = subject("web-1", Role::Node);
    let good = keys.forged(&node, issuer, |_| {});
    assert!(keys.check(&Chain::new(good, authority.clone())).is_ok(), "the forge makes good ones, too");
    let silent = keys.forged(&node, issuer, |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let refused = keys.check(&Chain::new(silent, authority.clone())).unwrap_err();
    assert_eq!(refused, Refused::Path("it lacks the usages of its role"));
    let constrained = keys.forged(&node, issuer, |params| {
        let mut extension = rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 1], vec![5, 0]);
        extension.set_criticality(true);
        params.custom_extensions.push(extension);
    });
    assert!(keys.check(&Chain::new(constrained, authority)).is_err(), "an unknown critical extension");
}

#[test]
fn a_certificate_has_exactly_one_name() {
    let keys = keys();
    let authority = keys.authority();
    let uri = |text: &str| SanType::URI(text.to_owned().try_into().unwrap());
    let one = "smartfw://prod/default/web-1?role=node";
    for names in [
        vec![],
        vec![uri(one), uri("smartfw://prod/default/web-2?role=node")],
        vec![uri(one), SanType::DnsName("web-1".to_owned().try_into().unwrap())],
        vec![SanType::DnsName("web-1".to_owned().try_into().unwrap())],
        vec![uri("smartfw://prod/default/web-1")],
    ] {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        let issuer = Issuer::from_ca_cert_der(authority.der(), &keys.signer).unwrap();
        let der = params.signed_by(keys.leaf.public(), &issuer).unwrap();
        assert_eq!(Certificate::parse(der.der()), Err(CertificateError::NoName));
    }
}

#[test]
fn a_changed_byte_is_never_believed() {
    let keys = keys();
    let chain = keys.leaf(&subject("web-1", Role::Node), Role::Node);
    let bytes = chain.to_bytes();
    assert_eq!(Chain::from_bytes(&bytes).unwrap(), chain);
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let believed = Chain::from_bytes(&changed).and_then(|chain| keys.check(&chain));
        assert!(believed.is_err(), "byte {at}");
    }
}

#[test]
fn a_member_never_outlives_its_signer() {
    let world = World::new(noon());
    let late = noon().after(issue::SIGNER_LIFE - DAY * 3);
    let member = world.join_at(Role::Node, "web-1", late);
    assert_eq!(member.member().not_after, world.founded.signer.until());
}

#[test]
fn only_the_asked_for_roles_are_admitted() {
    let world = World::new(noon());
    let node = world.join(Role::Node, "web-1");
    assert!(Roles::ANY.admit(node.member()).is_ok());
    let refused = Roles::OPERATOR.admit(node.member()).unwrap_err();
    assert_eq!(refused.to_string(), "smartfw://prod/default/web-1 is a node, and this is for operators only");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_a_chain_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = (Chain::from_bytes(&bytes), Certificate::parse(&bytes), crate::certificate::requested_key(&bytes));
        let _ = Chain::parse([bytes.as_slice(), bytes.as_slice()]);
    }

    #[test]
    fn any_spoilt_chain_is_read_or_refused(at in 0usize..2000, cut in 0usize..2000, byte: u8) {
        let keys = keys();
        let mut bytes = keys.leaf(&subject("web-1", Role::Node), Role::Node).to_bytes();
        let (at, cut) = (at % bytes.len(), cut % bytes.len());
        let (old, request) = (bytes[at], issue::request(&keys.leaf).unwrap());
        bytes[at] = byte;
        let read = Chain::from_bytes(&bytes).and_then(|chain| keys.check(&chain));
        prop_assert!(read.is_err() || byte == old);
        prop_assert!(Chain::from_bytes(&bytes[..cut]).is_err());
        let mut spoilt = request.clone();
        let at = at % request.len();
        spoilt[at] = byte;
        // What surrounds the signed part may be spelt in more than one way; the key may not.
        let key = crate::certificate::requested_key(&spoilt);
        prop_assert!(key.is_err() || key == Ok(*keys.leaf.public()));
    }
}
