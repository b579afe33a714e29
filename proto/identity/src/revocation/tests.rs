use proptest::prelude::*;

use super::*;
use crate::fixture::{DAY, World, before, noon};
use crate::revocations::{Revocations, parse_any};

fn id(byte: u8) -> NodeId {
    NodeId([byte; 32])
}

impl World {
    fn says(&self, operator: &Identity, node: NodeId) -> Revocation {
        let bytes = Revocation::by_operator(operator, node, Role::Node, self.now).unwrap();
        Revocation::verify(&bytes, self.founded.identity.trust()).unwrap()
    }

    fn root_says(&self, node: NodeId) -> Revocation {
        let bytes = Revocation::by_root(&self.founded.root, node, self.now).unwrap();
        Revocation::verify(&bytes, self.founded.identity.trust()).unwrap()
    }
}

fn set(of: impl IntoIterator<Item = Revocation>) -> RevocationSet {
    let mut set = RevocationSet::default();
    for revocation in of {
        let _ = set.insert(revocation);
    }
    set
}

#[test]
fn an_operator_expels_a_member() {
    let world = World::new(noon());
    let (node, other) = (world.join(Role::Node, "web-1"), world.join(Role::Node, "web-2"));
    let set = set([world.says(&world.founded.operator, node.id())]);
    let refused = set.check(node.member()).unwrap_err();
    assert!(matches!(&refused, Refused::Revoked { id, .. } if *id == node.id()), "{refused}");
    assert_eq!(set.check(other.member()), Ok(()));
}

#[test]
fn only_operators_and_the_root_expel() {
    let world = World::new(noon());
    let node = world.join(Role::Node, "web-1");
    for author in [&node, &world.founded.identity] {
        let refused = Revocation::by_operator(author, id(1), Role::Node, world.now).unwrap_err();
        assert!(matches!(refused, RevocationError::Author(Refused::WrongRole { .. })));
        // And a node that signs all the same is not believed.
        let statement = statement(author.trust().cluster(), id(1), world.now).unwrap();
        let signature = author.key().sign(Domain::Revocation, &statement).to_vec();
        let wire = Wire { statement, signature, chain: Some(author.chain().to_bytes()) };
        let refused = Revocation::verify(&encode(&wire).unwrap(), author.trust()).unwrap_err();
        assert!(matches!(refused, RevocationError::Author(Refused::WrongRole { .. })));
    }
}

#[test]
fn a_statement_is_believed_only_as_it_was_signed_and_in_its_cluster() {
    let (world, other) = (World::new(noon()), World::called("test", noon()));
    let good = world.says(&world.founded.operator, id(1));
    for at in 0..good.bytes().len() {
        let mut changed = good.bytes().to_vec();
        changed[at] ^= 1;
        assert!(Revocation::verify(&changed, world.founded.identity.trust()).is_err(), "byte {at}");
    }
    let refused = Revocation::verify(good.bytes(), other.founded.identity.trust()).unwrap_err();
    assert!(matches!(refused, RevocationError::WrongCluster));
    let late = world.now.after(DAY * 31);
    let refused = Revocation::by_operator(&world.founded.operator, id(1), Role::Node, late).unwrap_err();
    assert!(matches!(refused, RevocationError::Author(Refused::Expired { .. })));
}

#[test]
fn expelling_an_operator_needs_the_root() {
    let world = World::new(noon());
    let (alice, bob) = (&world.founded.operator, world.join(Role::Operator, "bob"));
    let refused = Revocation::by_operator(alice, bob.id(), Role::Operator, world.now).unwrap_err();
    assert!(matches!(refused, RevocationError::NeedsRoot));
    // One who says it all the same, of the operator or of the signer of all operators, changes nothing.
    let signer = world.founded.identity.id();
    let by_alice = set([world.says(alice, bob.id()), world.says(alice, signer)]);
    assert_eq!(by_alice.check(bob.member()), Ok(()));
    assert!(by_alice.check(world.founded.identity.member()).is_err(), "the signer itself is expelled");
    assert!(by_alice.check(world.join(Role::Node, "web-1").member()).is_err(), "and whom it signed");
    let by_root = set([world.root_says(bob.id())]);
    assert!(by_root.check(bob.member()).is_err());
    assert!(set([world.root_says(signer)]).check(bob.member()).is_err());
}

#[test]
fn what_an_expelled_operator_said_is_void_whatever_came_first() {
    let world = World::new(noon());
    let (mallory, node) = (world.join(Role::Operator, "mallory"), world.join(Role::Node, "web-1"));
    let (said, expelled) = (world.says(&mallory, node.id()), world.root_says(mallory.id()));
    let one = set([said.clone(), expelled.clone()]);
    let other = set([expelled.clone(), said.clone()]);
    assert_eq!(one.digest(), other.digest());
    assert_eq!(one.check(node.member()), Ok(()));
    assert!(matches!(one.clone().insert(said.clone()), Err(RevocationError::Void(id)) if id == mallory.id()));
    let confirmed = set([said, world.says(&world.founded.operator, node.id()), expelled]);
    assert!(confirmed.check(node.member()).is_err(), "another operator said it, too");
}

#[test]
fn members_that_heard_the_same_agree_in_whatever_order_they_heard_it() {
    let world = World::new(noon());
    let alice = &world.founded.operator;
    let again = |at| {
        let bytes = Revocation::by_operator(alice, id(1), Role::Node, at).unwrap();
        Revocation::verify(&bytes, alice.trust()).unwrap()
    };
    let (early, late) = (again(before(world.now, DAY / 2)), again(world.now));
    let (mut one, mut other) = (set([early.clone(), late.clone()]), set([late, early]));
    assert_eq!((one.digest(), one.len()), (other.digest(), 1));
    for node in 2..5 {
        one.insert(world.says(alice, id(node))).unwrap();
    }
    for node in (2..5).rev() {
        assert_ne!(one.digest(), other.digest());
        assert!(other.insert(world.says(alice, id(node))).unwrap());
    }
    assert_eq!(one.digest(), other.digest());
}

#[test]
fn one_operator_cannot_fill_the_set_and_nobody_can_for_the_root() {
    let world = World::new(noon());
    let mut set = RevocationSet::default();
    let numbered = |number: usize| {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&(number as u64).to_be_bytes());
        NodeId(id)
    };
    let like = |revocation: &Revocation, author, number| Revocation {
        node: numbered(number),
        author,
        ..revocation.clone()
    };
    let said = world.says(&world.founded.operator, id(1));
    for operator in 0..REVOCATIONS / REVOCATIONS_EACH {
        let author = Author::Operator { id: id(operator as u8), signer: id(200) };
        for number in 0..REVOCATIONS_EACH {
            assert!(set.insert(like(&said, author, number)).unwrap());
        }
        assert!(matches!(
            set.insert(like(&said, author, usize::MAX)),
            Err(RevocationError::Full("this operator"))
        ));
    }
    let author = Author::Operator { id: id(100), signer: id(200) };
    assert!(matches!(set.insert(like(&said, author, 0)), Err(RevocationError::Full("all operators"))));
    for number in 0..ROOT_REVOCATIONS {
        set.insert(like(&said, Author::Root, 1 << 32 | number)).unwrap();
    }
    let more = set.insert(like(&said, Author::Root, usize::MAX));
    assert!(matches!(more, Err(RevocationError::Full("the root"))));
}

#[test]
fn a_set_knows_the_statements_that_it_holds_and_no_others() {
    let world = World::new(noon());
    let said = world.says(&world.founded.operator, id(1));
    let mut set = RevocationSet::default();
    assert!(!set.knows(said.bytes()));
    set.insert(said.clone()).unwrap();
    assert!(set.knows(said.bytes()) && !set.knows(b"rubbish"));
    set.insert(world.root_says(world.founded.operator.id())).unwrap();
    assert!(!set.knows(said.bytes()), "it is void");
}

#[test]
fn a_set_comes_back_from_disk() {
    let world = World::new(noon());
    let (path, trust) = (world.dir.path().join("revocations"), world.founded.identity.trust().clone());
    let node = world.join(Role::Node, "web-1");
    let kept = Revocations::create(&path, trust.clone()).unwrap();
    let mut changes = kept.changes();
    let bytes = world.says(&world.founded.operator, node.id()).bytes().to_vec();
    let (new, refused) = kept.insert([bytes.as_slice(), b"rubbish"]).unwrap();
    assert_eq!((new.len(), new[0].node), (1, node.id()));
    assert!(
        matches!(refused, Some(RevocationError::Malformed(_))),
        "what is bad does not keep out what is good"
    );
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    assert!(kept.insert([bytes.as_slice()]).unwrap().0.is_empty());
    assert!(!changes.has_changed().unwrap(), "nothing new");
    let again = Revocations::open(&path, trust);
    assert!(matches!(again.check(node.member()), Err(Refused::Revoked { .. })));
    assert_eq!(again.get().unwrap().digest(), kept.get().unwrap().digest());
}

#[test]
fn a_set_that_cannot_be_read_admits_nobody() {
    let world = World::new(noon());
    let (path, trust) = (world.dir.path().join("revocations"), world.founded.identity.trust().clone());
    let member = world.founded.identity.member();
    let refuses = |why: &str| {
        let set = Revocations::open(&path, trust.clone());
        let refused = set.check(member).unwrap_err();
        assert!(matches!(refused, Refused::RevocationsUnreadable(_)), "{why}: {refused}");
        assert!(matches!(set.insert([]), Err(RevocationError::Unreadable(_))));
        assert!(set.unreadable().is_some());
    };
    refuses("missing");
    let kept = Revocations::create(&path, trust.clone()).unwrap();
    assert_eq!(Revocations::open(&path, trust.clone()).check(member), Ok(()));
    kept.insert([world.says(&world.founded.operator, id(1)).bytes()]).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for (why, bytes) in [
        ("empty", Vec::new()),
        ("cut off", whole[..whole.len() - 1].to_vec()),
        ("cut to none", whole[..54].to_vec()),
        ("changed", whole.iter().enumerate().map(|(i, b)| if i == 90 { b ^ 1 } else { *b }).collect()),
    ] {
        std::fs::write(&path, bytes).unwrap();
        refuses(why);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_statement_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let world = WORLD.get_or_init(|| World::new(noon()));
        let trust = world.founded.identity.trust();
        prop_assert!(Revocation::verify(&bytes, trust).is_err());
        parse_any(&bytes, trust);
        let wire = Wire { statement: bytes.clone(), signature: bytes.clone(), chain: Some(bytes) };
        prop_assert!(Revocation::verify(&encode(&wire).unwrap(), trust).is_err());
    }
}

static WORLD: std::sync::OnceLock<World> = std::sync::OnceLock::new();
