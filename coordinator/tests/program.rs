//! The program itself: flags, its start, its end, its reload.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use smartfw_coordinator::{
    clock,
    place::{Kept, Reach},
};
use smartfw_identity::{
    Founding, Identity, Invitation, Joined, Joining, Key, Known, Label, Revocations, Role, request,
};

fn program(state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smartfw-coordinator"));
    std::fs::write(state.join("coordinator.toml"), "").unwrap();
    command.arg("--config").arg(state.join("coordinator.toml")).arg("--state-dir").arg(state);
    command.arg("--log-dir").arg(state.join("log"));
    command.env_clear().stdin(Stdio::null());
    command
}

#[test]
fn a_configuration_is_checked_and_a_mistake_is_named() {
    let state = tempfile::tempdir().unwrap();
    let good = program(state.path()).arg("--check").output().unwrap();
    assert!(good.status.success() && good.stdout == b"ok\n");
    let bad = program(state.path()).arg("--check").env("SMARTFW_COORDINATOR__LISEN", "x").output().unwrap();
    let said = String::from_utf8(bad.stderr).unwrap();
    assert!(!bad.status.success() && said.contains("`listen`") && said.contains("LISEN"), "{said}");
    let example = program(state.path()).arg("--example-config").output().unwrap();
    let kept = include_str!("../../deploy/coordinator.toml");
    assert_eq!(String::from_utf8(example.stdout).unwrap(), kept, "deploy/coordinator.toml is what it prints");
}

#[test]
fn without_a_cluster_it_says_how_to_join_one() {
    let state = tempfile::tempdir().unwrap();
    for arguments in [&[][..], &["leave"]] {
        let ran = program(state.path()).args(arguments).output().unwrap();
        let said = String::from_utf8(ran.stderr).unwrap();
        assert!(!ran.status.success() && said.contains("smartfw-coordinator join"), "{said}");
    }
    let joining =
        program(state.path()).args(["join", "127.0.0.1:1", "--token", "nonsense"]).output().unwrap();
    let said = String::from_utf8(joining.stderr).unwrap();
    assert!(!joining.status.success() && said.contains("no token"), "{said}");
}

#[test]
fn it_runs_until_it_is_told_to_end_and_reads_its_configuration_again() {
    let state = tempfile::tempdir().unwrap();
    let folder = state.path().join("coordinator");
    std::fs::create_dir_all(&folder).unwrap();
    equip(&folder);
    let mut running = program(state.path())
        .args(["--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--http", "127.0.0.1:0"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(running.stderr.take().unwrap()).lines();
    let mut hear = |word: &str| assert!(said.any(|line| line.unwrap().contains(word)), "{word}");
    hear("the coordinator is there");
    let second = program(state.path()).args(["--listen", "127.0.0.1:0"]).output().unwrap();
    assert!(String::from_utf8(second.stderr).unwrap().contains("stop it first"));
    std::fs::write(state.path().join("coordinator.toml"), "retention.age = \"1d\"\nhttp = \"off\"").unwrap();
    signal(&running, "HUP");
    hear("retention.age");
    signal(&running, "TERM");
    hear("has ended");
    assert!(ended(&mut running, Duration::from_secs(20)));
    let left = program(state.path()).arg("leave").output().unwrap();
    assert!(left.status.success() && String::from_utf8(left.stdout).unwrap().contains("prod"));
    assert!(!folder.join("identity").exists() && folder.join("history").exists());
}

fn signal(to: &Child, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(to.id().to_string()).status().unwrap();
    assert!(sent.success());
}

fn ended(running: &mut Child, patience: Duration) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < patience {
        if let Some(status) = running.try_wait().unwrap() {
            return status.success();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    running.kill().unwrap();
    false
}

/// Puts the identity of a coordinator where a start finds it.
fn equip(state: &Path) {
    let label = |text: &str| Label::new(text).unwrap();
    let (now, ledger) = (clock::now(), tempfile::tempdir().unwrap());
    let (cluster, site) = (label("prod"), Label::default_site());
    let (signer, operator) = (label("signer"), label("operator"));
    let founding = Founding { cluster: &cluster, site: &site, signer: &signer, operator: &operator };
    let founded = founding.found(ledger.path(), now).unwrap();
    let trust = founded.identity.trust().clone();
    let (role, expires) = (Role::Coordinator, now.after(Duration::from_secs(60)));
    let token = founded.signer.invite(Invitation { role, site, replace: None, expires }, now).unwrap();
    let key = Arc::new(Key::generate().unwrap());
    let wanted = request(&key).unwrap();
    let joining = Joining { name: &label("memory"), request: &wanted, roles: &[role] };
    let revocations = Revocations::in_memory(trust.clone());
    let known = Known { holder: &|_| None, revocations: &revocations, root: None };
    let Joined::Member(chain) = founded.signer.redeem(&token, &joining, known, now).unwrap() else {
        panic!("only the root makes signers")
    };
    Kept::save(state, &Identity::new(key, chain, trust).unwrap(), &Reach::default()).unwrap();
}
