use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyUsagePurpose, SanType};

use super::*;
use crate::fixture::{DAY, World, label, nobody, noon};
use crate::identity::Renewal;
use crate::issue::request;
use crate::revocation::Revocation;

fn key() -> Arc<Key> {
    Arc::new(Key::generate().unwrap())
}

struct Newcomer {
    key: Arc<Key>,
    request: Vec<u8>,
    name: Label,
}

impl Newcomer {
    fn new(name: &str) -> Self {
        let key = key();
        Self { request: request(&key).unwrap(), key, name: label(name) }
    }

    fn joins(&self, world: &World, token: &Token) -> Result<Joined, SignError> {
        let joining = Joining { name: &self.name, request: &self.request, roles: &Role::ALL };
        world.founded.signer.redeem(token, &joining, world.known(&nobody, None), world.now)
    }
}

fn member(joined: Joined, world: &World) -> Member {
    let Joined::Member(chain) = joined else { panic!("no member") };
    world.founded.identity.trust().check(&chain).unwrap()
}

#[test]
fn a_token_lets_one_machine_in_as_what_the_token_says() {
    let world = World::new(noon());
    let newcomer = Newcomer::new("web-1");
    let invitation = Invitation { site: label("berlin"), ..world.invitation(Role::Coordinator) };
    let token = world.founded.signer.invite(invitation, world.now).unwrap();
    let joined = member(newcomer.joins(&world, &token.to_string().parse().unwrap()).unwrap(), &world);
    assert_eq!((joined.id, joined.role), (newcomer.key.id(), Role::Coordinator));
    assert_eq!(joined.name.to_string(), "smartfw://prod/berlin/web-1");
}

#[test]
fn a_token_is_redeemed_once_even_by_the_same_machine() {
    let world = World::new(noon());
    let (one, other, token) = (Newcomer::new("web-1"), Newcomer::new("web-2"), world.token(Role::Node));
    one.joins(&world, &token).unwrap();
    for again in [&other, &one] {
        let refused = again.joins(&world, &token).unwrap_err();
        assert!(matches!(refused, SignError::Ledger(LedgerError::Used { by, .. }) if by == one.key.id()));
        assert!(refused.to_string().contains("used already"), "{refused}");
    }
}

#[test]
fn of_many_who_redeem_a_token_at_once_one_gets_in() {
    let world = World::new(noon());
    let token = world.token(Role::Node);
    let wins = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..8)
            .map(|i| {
                let (world, token) = (&world, &token);
                scope.spawn(move || Newcomer::new(&format!("web-{i}")).joins(world, token).is_ok())
            })
            .collect();
        tries.into_iter().map(|t| t.join().unwrap()).filter(|won| *won).count()
    });
    assert_eq!(wins, 1);
}

#[test]
fn two_processes_cannot_both_redeem_a_token() {
    let world = World::new(noon());
    let token = world.token(Role::Node);
    let twin = Signer::new(
        world.founded.identity.key().clone(),
        world.founded.signer.authority.clone(),
        world.founded.root.certificate().clone(),
        world.dir.path(),
        world.now,
    );
    let (twin, _) = twin.unwrap();
    Newcomer::new("web-1").joins(&world, &token).unwrap();
    let late = Newcomer::new("web-2");
    let joining = Joining { name: &late.name, request: &late.request, roles: &Role::ALL };
    let refused = twin.redeem(&token, &joining, world.known(&nobody, None), world.now).unwrap_err();
    assert!(matches!(refused, SignError::Ledger(LedgerError::Used { .. })));
}

#[test]
fn an_expired_token_is_refused() {
    let world = World::new(noon());
    let (newcomer, token) = (Newcomer::new("web-1"), world.token(Role::Node));
    let joining = Joining { name: &newcomer.name, request: &newcomer.request, roles: &Role::ALL };
    let at = world.now.after(DAY);
    let refused = world.founded.signer.redeem(&token, &joining, world.known(&nobody, None), at).unwrap_err();
    assert!(matches!(refused, SignError::Ledger(LedgerError::Expired(_))), "{refused}");
    let long = Invitation { expires: world.now.after(TOKEN_LIFE + DAY), ..world.invitation(Role::Node) };
    assert!(matches!(world.founded.signer.invite(long, world.now), Err(SignError::TooLong)));
}

#[test]
fn only_the_signer_that_gave_out_a_token_redeems_it() {
    let world = World::new(noon());
    let elsewhere = tempfile::tempdir().unwrap();
    let (second, newcomer) = (second_signer(&world, elsewhere.path()), Newcomer::new("web-1"));
    let joining = Joining { name: &newcomer.name, request: &newcomer.request, roles: &Role::ALL };
    let token = world.token(Role::Node);
    let refused = second.redeem(&token, &joining, world.known(&nobody, None), world.now).unwrap_err();
    assert!(matches!(refused, SignError::WrongSigner { .. }), "{refused}");
    let foreign = World::new(noon()).token(Role::Node);
    assert!(matches!(newcomer.joins(&world, &foreign), Err(SignError::WrongCluster)));
    newcomer.joins(&world, &token).unwrap();
}

fn second_signer(world: &World, folder: &Path) -> Signer {
    let newcomer = Newcomer::new("second");
    let joining = Joining { name: &newcomer.name, request: &newcomer.request, roles: &Role::ALL };
    let (first, token) = (&world.founded.signer, world.token(Role::Signer));
    let joined =
        first.redeem(&token, &joining, world.known(&nobody, Some(&world.founded.root)), world.now).unwrap();
    let Joined::Signer(authority) = joined else { panic!("no signer") };
    let root = world.founded.root.certificate().clone();
    Signer::new(newcomer.key, authority, root, folder, world.now).unwrap().0
}

#[test]
fn a_second_signer_needs_the_root_and_then_renews_what_the_first_signed() {
    let world = World::new(noon());
    let (newcomer, token) = (Newcomer::new("second"), world.token(Role::Signer));
    assert!(matches!(newcomer.joins(&world, &token), Err(SignError::RootNeeded)));
    let other_root = World::new(noon()).founded.root;
    let joining = Joining { name: &newcomer.name, request: &newcomer.request, roles: &Role::ALL };
    let refused =
        world.founded.signer.redeem(&token, &joining, world.known(&nobody, Some(&other_root)), world.now);
    assert!(matches!(refused, Err(SignError::RootNeeded)));

    let elsewhere = tempfile::tempdir().unwrap();
    let second = second_signer(&world, elsewhere.path());
    let node = world.join(Role::Node, "web-1");
    let later = world.now.after(DAY * 20);
    let chain =
        second.renew(node.member(), &request(node.key()).unwrap(), &world.revocations, later).unwrap();
    let renewed = node.renewed(chain).unwrap();
    assert_eq!(renewed.member().not_after, later.after(DAY * 30));
    assert_eq!((renewed.member().id, &renewed.member().name), (node.id(), &node.member().name));
    assert_eq!(renewed.member().signer, second.key.id());
}

#[test]
fn a_request_that_asks_for_more_gets_what_the_token_says() {
    let world = World::new(noon());
    let key = key();
    let mut wishes = CertificateParams::default();
    let uri = "smartfw://prod/default/alice?role=operator".to_owned();
    wishes.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
    wishes.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    wishes.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let request = wishes.serialize_request(&*key).unwrap().der().to_vec();
    let newcomer = Newcomer { key, request, name: label("web-1") };
    let Joined::Member(chain) = newcomer.joins(&world, &world.token(Role::Node)).unwrap() else { panic!() };
    let joined = world.founded.identity.trust().check(&chain).unwrap();
    assert_eq!((joined.role, joined.name.name.as_str()), (Role::Node, "web-1"));
    assert!(!chain.leaf().authority);
}

#[test]
fn a_request_about_anothers_key_is_refused_and_the_token_stays_good() {
    let world = World::new(noon());
    let (mut thief, victim, token) =
        (Newcomer::new("web-1"), Newcomer::new("web-2"), world.token(Role::Node));
    let mut request = victim.request.clone();
    let signature = request.len() - 1;
    request[signature] ^= 1;
    thief.request = request;
    assert!(matches!(thief.joins(&world, &token), Err(SignError::Request(CertificateError::NotPossessed))));
    thief.request = vec![0x30; 100];
    assert!(matches!(thief.joins(&world, &token), Err(SignError::Request(CertificateError::Malformed(_)))));
    victim.joins(&world, &token).unwrap();
}

#[test]
fn a_taken_name_is_refused_whoever_knows_that_it_is() {
    let world = World::new(noon());
    let (one, other) = (Newcomer::new("web-1"), Newcomer::new("web-1"));
    one.joins(&world, &world.token(Role::Node)).unwrap();
    let token = world.token(Role::Node);
    let refused = other.joins(&world, &token).unwrap_err();
    assert!(matches!(&refused, SignError::Ledger(LedgerError::Taken { by, .. }) if *by == one.key.id()));
    assert!(refused.to_string().contains("--replace web-1"), "{refused}");

    let stranger = Newcomer::new("web-9");
    let joining = Joining { name: &stranger.name, request: &stranger.request, roles: &Role::ALL };
    let id = one.key.id();
    let holder = move |_: &Label| Some(id);
    let refused =
        world.founded.signer.redeem(&token, &joining, world.known(&holder, None), world.now).unwrap_err();
    assert!(matches!(refused, SignError::Ledger(LedgerError::Taken { .. })), "the cluster knows it");
    stranger.joins(&world, &token).unwrap();
}

#[test]
fn a_token_to_replace_is_bound_to_the_name() {
    let world = World::new(noon());
    let (old, new, other) = (Newcomer::new("web-1"), Newcomer::new("web-1"), Newcomer::new("web-2"));
    let replaced = member(old.joins(&world, &world.token(Role::Node)).unwrap(), &world);
    let invitation = Invitation { replace: Some(label("web-1")), ..world.invitation(Role::Node) };
    let token = world.founded.signer.invite(invitation, world.now).unwrap();
    assert!(matches!(other.joins(&world, &token), Err(SignError::WrongName { .. })));
    assert_eq!(member(new.joins(&world, &token).unwrap(), &world).name.name, label("web-1"));
    let refused =
        world.founded.signer.renew(&replaced, &old.request, &world.revocations, world.now).unwrap_err();
    assert!(matches!(refused, SignError::Ledger(LedgerError::Taken { .. })), "the old one has lost its name");
}

#[test]
fn the_expired_and_other_keys_are_not_renewed() {
    let world = World::new(noon());
    let node = world.join(Role::Node, "web-1");
    let signer = &world.founded.signer;
    let asked = request(node.key()).unwrap();
    let grace = node.member().not_after.after(DAY);
    assert!(matches!(
        signer.renew(node.member(), &asked, &world.revocations, grace),
        Err(SignError::Expired(_))
    ));
    let past = node.member().not_after.after(DAY * 40);
    assert!(matches!(
        signer.renew(node.member(), &asked, &world.revocations, past),
        Err(SignError::Refused(_))
    ));
    let other = request(&key()).unwrap();
    assert!(matches!(
        signer.renew(node.member(), &other, &world.revocations, world.now),
        Err(SignError::OtherKey(_))
    ));
}

#[test]
fn a_certificate_is_due_at_two_thirds_and_late_below_ten_days() {
    let world = World::new(noon());
    let node = world.join(Role::Node, "web-1");
    let second = Duration::from_secs(1);
    assert_eq!(node.renewal(noon().after(DAY * 20 - second)), Renewal::NotDue);
    assert_eq!(node.renewal(noon().after(DAY * 20)), Renewal::Due);
    assert_eq!(node.renewal(noon().after(DAY * 20 + second)), Renewal::Late);
    assert_eq!(node.renewal(noon().after(DAY * 30)), Renewal::Late);
    assert_eq!(node.renewal(noon().after(DAY * 30 + second)), Renewal::Expired);
}

#[test]
fn an_identity_and_a_signer_come_back_from_disk() {
    let world = World::new(noon());
    let folder = world.dir.path();
    let (identity, signer) = (&world.founded.identity, &world.founded.signer);
    identity.save(folder, None).unwrap();
    signer.save(folder).unwrap();
    let again = Identity::load(folder, None).unwrap();
    assert_eq!((again.member(), again.chain()), (identity.member(), identity.chain()));
    let loaded = Signer::load(folder, &again, world.now).unwrap();
    let token = loaded.invite(world.invitation(Role::Node), world.now).unwrap();
    Newcomer::new("web-1").joins(&world, &token).unwrap();
}

#[test]
fn who_guesses_tokens_makes_a_signer_write_nothing() {
    use std::os::unix::fs::MetadataExt;
    let world = World::new(noon());
    let folder = world.dir.path();
    world.founded.identity.save(folder, None).unwrap();
    world.founded.signer.save(folder).unwrap();
    let token = world.founded.signer.invite(world.invitation(Role::Node), world.now).unwrap();
    // The ledger is written whole, into a new file.
    let written = || {
        let seen = std::fs::metadata(folder.join(LEDGER)).unwrap();
        (seen.ino(), seen.mtime(), seen.mtime_nsec())
    };
    let before = written();
    let signer = Signer::load(folder, &world.founded.identity, world.now).unwrap();
    let guessed = Token::new([7; 16], *token.root(), token.signer(), token.expires());
    let refused = signer.look(&guessed, world.now).unwrap_err();
    assert!(matches!(refused, SignError::Ledger(LedgerError::Unknown)));
    assert_eq!(signer.look(&token, world.now).unwrap().role, Role::Node);
    assert_eq!(written(), before);
}

#[test]
fn a_signer_knows_whether_it_still_expects_somebody() {
    let world = World::new(noon());
    let signer = &world.founded.signer;
    let expects = |role, now| signer.expects(role, now).unwrap();
    assert!(!expects(Role::Node, world.now));
    let invitation = world.invitation(Role::Node);
    let token = signer.invite(invitation.clone(), world.now).unwrap();
    assert!(expects(Role::Node, world.now) && !expects(Role::Signer, world.now));
    assert!(!expects(Role::Node, invitation.expires));
    Newcomer::new("web-1").joins(&world, &token).unwrap();
    assert!(!expects(Role::Node, world.now));
}

#[test]
fn an_operators_key_is_under_its_passphrase() {
    use crate::seal::{Passphrase, SealError};
    let world = World::new(noon());
    let home = tempfile::tempdir().unwrap();
    let passphrase = Passphrase::new("four random words here").unwrap();
    world.founded.operator.save(home.path(), Some(&passphrase)).unwrap();
    assert!(matches!(Identity::load(home.path(), None), Err(IdentityError::Sealed)));
    let wrong = Passphrase::new("four other words here").unwrap();
    let refused = Identity::load(home.path(), Some(&wrong)).unwrap_err();
    assert!(matches!(refused, IdentityError::Seal(SealError::Wrong)));
    assert_eq!(Identity::load(home.path(), Some(&passphrase)).unwrap().id(), world.founded.operator.id());
}

#[test]
fn an_identity_with_anothers_key_is_refused() {
    let world = World::new(noon());
    let (one, other) = (world.join(Role::Node, "web-1"), world.join(Role::Node, "web-2"));
    let mixed = Identity::new(one.key().clone(), other.chain().clone(), one.trust().clone());
    assert!(matches!(mixed, Err(IdentityError::OtherKey)));
    let foreign = World::new(noon()).founded.identity;
    let foreign = Identity::new(one.key().clone(), one.chain().clone(), foreign.trust().clone());
    assert!(matches!(foreign, Err(IdentityError::Refused(Refused::Foreign { .. }))));
}

#[test]
fn tokens_are_limited_and_a_ledger_forgets() {
    use crate::ledger::{Give, Ledger, TOKENS};
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::at(dir.path().join("ledger"));
    let world = World::new(noon());
    let make = |i: u32| {
        let mut secret = [0; 16];
        secret[..4].copy_from_slice(&i.to_be_bytes());
        Token::new(secret, [0; 32], NodeId([0; 32]), world.now)
    };
    ledger.fill((0..TOKENS as u32).map(make), world.invitation(Role::Node));
    let one_more = ledger.invite(&make(u32::MAX), world.invitation(Role::Node), world.now);
    assert!(matches!(one_more, Err(LedgerError::Full)));
    let later = world.now.after(DAY * 9);
    ledger.invite(&make(u32::MAX), world.invitation(Role::Node), later).unwrap();
    assert!(matches!(ledger.look(&make(0), later), Err(LedgerError::Unknown)));

    let name = label("web-1");
    let give = |to: u8| Give { name: &name, to: NodeId([to; 32]), until: world.now.after(DAY * 30) };
    ledger.give(give(1), world.now).unwrap();
    assert!(matches!(ledger.give(give(2), world.now.after(DAY * 60)), Err(LedgerError::Taken { .. })));
    ledger.give(give(2), world.now.after(DAY * 61)).unwrap();
}

#[test]
fn only_the_hash_of_a_token_is_on_disk() {
    let world = World::new(noon());
    let token = world.token(Role::Node);
    let secret = token.secret_for_tests();
    let kept = std::fs::read(world.dir.path().join(LEDGER)).unwrap();
    assert!(!kept.windows(16).any(|window| window == secret));
    assert!(kept.windows(32).any(|window| window == token.hash()));
}

#[test]
fn the_revoked_are_neither_renewed_nor_let_in_again_with_the_same_key() {
    let world = World::new(noon());
    let (newcomer, operator) = (Newcomer::new("web-1"), &world.founded.operator);
    let joined = member(newcomer.joins(&world, &world.token(Role::Node)).unwrap(), &world);
    let bytes = Revocation::by_operator(operator, joined.id, Role::Node, world.now).unwrap();
    world.revocations.insert([bytes.as_slice()]).unwrap();
    let renewed = world.founded.signer.renew(&joined, &newcomer.request, &world.revocations, world.now);
    assert!(matches!(renewed, Err(SignError::Refused(Refused::Revoked { .. }))));
    let token = world.token(Role::Node);
    let again = newcomer.joins(&world, &token).unwrap_err();
    assert!(matches!(again, SignError::Refused(Refused::Revoked { .. })), "{again}");
    Newcomer::new("web-2").joins(&world, &token).unwrap();
}

#[test]
fn a_token_for_another_role_is_told_apart_and_not_used_up() {
    let world = World::new(noon());
    let (newcomer, token) = (Newcomer::new("bob"), world.token(Role::Operator));
    let as_node =
        Joining { name: &newcomer.name, request: &newcomer.request, roles: &[Role::Node, Role::Signer] };
    let refused =
        world.founded.signer.redeem(&token, &as_node, world.known(&nobody, None), world.now).unwrap_err();
    assert!(matches!(refused, SignError::WrongRole { role: Role::Operator }), "{refused}");
    assert!(refused.to_string().contains("--operator NAME"), "{refused}");
    newcomer.joins(&world, &token).unwrap();
}
