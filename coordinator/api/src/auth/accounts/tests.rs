use super::*;

const START: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

fn name(text: &str) -> Name {
    Name::try_from(text.to_owned()).unwrap()
}

fn accounts() -> (tempfile::TempDir, PathBuf, Accounts) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("accounts.json");
    let (accounts, _) = Accounts::open(&path, START).unwrap();
    (folder, path, accounts)
}

#[test]
fn the_first_start_makes_an_admin_and_later_ones_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("accounts.json");
    let (accounts, password) = Accounts::open(&path, START).unwrap();
    let password = password.unwrap();
    assert_eq!(accounts.user(&name("admin")).unwrap().role, Role::Admin);
    assert!(!fs::read_to_string(&path).unwrap().contains(password.reveal()));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let (again, none) = Accounts::open(&path, START).unwrap();
    assert!(none.is_none());
    assert_eq!(*again.stored(), *accounts.stored());
}

#[test]
fn a_token_is_kept_as_its_hash_and_ends_when_it_expires_or_is_revoked() {
    let (_folder, path, accounts) = accounts();
    let lasts = Some(Duration::from_secs(60));
    let token = accounts.add_token(START, name("ci"), Role::Viewer, lasts, "admin").unwrap();
    let other = accounts.add_token(START, name("nginx"), Role::Bouncer, None, "admin").unwrap();
    assert!(!fs::read_to_string(&path).unwrap().contains(&token.secret.reveal()[4..]));
    let later = START + Duration::from_secs(59);
    assert_eq!(accounts.token(later, token.secret.reveal()).unwrap().1.role, Role::Viewer);
    assert!(accounts.token(START + Duration::from_secs(60), token.secret.reveal()).is_none());
    accounts.revoke(&other.shown.id).unwrap();
    assert!(accounts.token(START, other.secret.reveal()).is_none());
    assert!(matches!(accounts.revoke(&other.shown.id), Err(AccountError::Missing)));
}

#[test]
fn the_last_admin_stays() {
    let (_folder, path, accounts) = accounts();
    let admin = name("admin");
    assert!(matches!(accounts.remove_user(&admin), Err(AccountError::LastAdmin)));
    assert!(matches!(accounts.change_user(&admin, Some(Role::Viewer), None), Err(AccountError::LastAdmin)));
    assert_eq!(Accounts::open(&path, START).unwrap().0.user(&admin).unwrap().role, Role::Admin);
    accounts.add_user(START, name("ada"), Role::Admin, passwords::hash("x").unwrap()).unwrap();
    accounts.remove_user(&admin).unwrap();
}

#[test]
fn users_and_tokens_are_bounded() {
    let (_folder, _path, accounts) = accounts();
    let hashed = passwords::hash("x").unwrap();
    let add = |number: usize| {
        accounts.add_user(START, name(&format!("u{number}")), Role::Viewer, hashed.clone()).map(|_| ())
    };
    (1..USERS).for_each(|number| add(number).unwrap());
    assert!(matches!(add(USERS), Err(AccountError::TooMany(USERS))));
    assert!(matches!(add(1), Err(AccountError::Taken)));
    let token = |now, lasts| accounts.add_token(now, name("t"), Role::Viewer, lasts, "admin").map(|_| ());
    token(START, Some(Duration::from_secs(1))).unwrap();
    (1..TOKENS).for_each(|_| token(START, None).unwrap());
    assert!(matches!(token(START, None), Err(AccountError::TooMany(TOKENS))));
    token(START + Duration::from_secs(1), None).unwrap(); // one has expired
}

#[test]
fn a_file_that_cannot_be_written_changes_nothing() {
    let (folder, _path, accounts) = accounts();
    fs::create_dir(folder.path().join("accounts.new")).unwrap(); // it is in the way
    let refused = accounts.add_token(START, name("ci"), Role::Viewer, None, "admin");
    assert!(matches!(refused, Err(AccountError::Disk(..))));
    assert!(accounts.tokens().is_empty());
}

#[test]
fn a_file_that_others_may_read_or_that_makes_no_sense_is_refused() {
    let (_folder, path, _accounts) = accounts();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(Accounts::open(&path, START), Err(AccountError::Open(_))));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    for bytes in [&b"\xff{"[..], b"{\"format\":2,\"users\":{},\"tokens\":{}}", b"[]", &vec![b' '; 2 << 20]] {
        fs::write(&path, bytes).unwrap();
        assert!(matches!(Accounts::open(&path, START), Err(AccountError::Damaged(..))));
    }
}
