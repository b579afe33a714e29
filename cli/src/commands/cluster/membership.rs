//! `cluster init`, `token`, `join`, `leave`.

mod operator;

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    net::SocketAddr,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use smartfw_identity::{Certificate, Chain, Identity, Key, Label, Passphrase, Role, SKEW, Trust};
use smartfw_proto::{
    json, limits,
    view::{Entered, Entering, Founded, Founding, Invite, Invited, OperatorKey},
    wire,
};

use crate::{
    args::{Format, Global, Init, Join, Token},
    client::{self, Daemon},
    commands::status,
    duration::{human, now, relative},
    failure::Failure,
    operator::{Home, Of, Room, ask_new, checked, given},
    output::{Output, complain},
    secret::Secret,
};

/// The port that is meant where none is said.
const PORT: u16 = 7470;

pub(super) fn init(global: &Global, output: &mut Output, args: Init) -> Result<(), Failure> {
    let home = Home::find()?;
    let cluster = args.name.as_str().to_owned();
    let operator = operator_name(&home, args.operator)?;
    let kept = home.of(&cluster);
    if kept.exists() {
        return Err(Failure::failed(format!(
            "{} is there already: an operator's key of another cluster {cluster}; move it away, or choose another --name",
            kept.display()
        )));
    }
    let advertise = with_port(&args.advertise);
    // Whatever can be refused is refused before a person types passphrases, and before anything is made.
    possible(global, &operator, &advertise)?;
    let path = args.root_file.unwrap_or_else(|| PathBuf::from(format!("smartfw-root-{cluster}.pem")));
    let file = RootFile::create(&path)?;
    let room = Room::make(&home)?;
    let root = ask_new(global, Of::Root, "the cluster's root, which you keep offline")?;
    let own = own_passphrase(global, args.no_passphrase)?;
    let founding = Founding {
        cluster,
        site: args.site.to_string(),
        operator: operator.to_string(),
        advertise,
        passphrase: root.text().to_owned(),
    };
    let founded = client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?.within(JOINING);
        let asked = wire::FoundRequest::from(founding);
        daemon.ask_cluster(async |mut client| client.found(asked).await).await
    });
    let founded = founded.map_err(|why| match why {
        why @ Failure::Unreachable(_) => why.after(
            "should `smartfw-cli cluster nodes` show a cluster all the same: its root is lost, so `smartfw-cli cluster \
             leave` and try again",
        ),
        why => why,
    })?;
    let founded = Founded::try_from(founded)?;
    file.keep(&founded.root)
        .map_err(|error| lost(&format!("its root cannot be written to {}", path.display()), &error))?;
    let identity = identity(&founded.operator)?;
    room.keep(&identity, own.as_ref()).map_err(|why| lost("its operator's key is lost", &why))?;
    told(output, &founded, &identity, &path, &kept)
}

/// A cluster without its root, or without anybody who may order it, is not worth keeping.
fn lost(what: &str, why: &dyn std::fmt::Display) -> Failure {
    Failure::failed(format!(
        "the cluster is founded, but {what}: {why}; nobody else knows it yet: `smartfw-cli cluster leave`, mend that, and \
         try again"
    ))
}

/// What the daemon would refuse only once everything was typed.
fn possible(global: &Global, operator: &Label, advertise: &str) -> Result<(), Failure> {
    let address: SocketAddr = advertise
        .parse()
        .map_err(|_| Failure::failed(format!("{advertise:?} is no ADDR:PORT, like 10.0.0.11:7470")))?;
    if address.ip().is_unspecified() || address.ip().is_multicast() || address.port() == 0 {
        return Err(Failure::failed(format!(
            "{address} is not where a peer can reach this node: name one of its addresses by --advertise"
        )));
    }
    let status = client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?;
        status::ask(&mut daemon).await
    })?;
    if let Some(cluster) = status.cluster {
        return Err(Failure::failed(format!(
            "this node is in cluster {cluster} already; leave it first by smartfw-cli cluster leave"
        )));
    }
    if operator.as_str() == status.node {
        return Err(Failure::failed(format!(
            "the operator and this node cannot both be called {operator}: choose another by --operator"
        )));
    }
    // The daemon looks at who asks; whose socket it is, it runs as.
    let (me, daemon) = (nix::unistd::geteuid(), fs::metadata(&global.socket).map(|about| about.uid()));
    if me.is_root() || daemon.is_ok_and(|uid| uid == me.as_raw()) {
        return Ok(());
    }
    Err(Failure::failed("only root may make a cluster: try it with sudo"))
}

/// For the operator's key, unless it shall have none.
fn own_passphrase(global: &Global, none: bool) -> Result<Option<Passphrase>, Failure> {
    let own = if none { None } else { Some(ask_new(global, Of::Operator, "your operator's key")?) };
    own.as_ref().map(checked).transpose()
}

/// The root's file: made before there is a root, so that a bad path is found out in time; removed when none comes.
struct RootFile {
    path: Option<PathBuf>,
    file: fs::File,
}

impl RootFile {
    fn create(path: &Path) -> Result<Self, Failure> {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = made.map_err(|error| {
            Failure::failed(format!("cannot make {}: {error}; name another by --root-file", path.display()))
        })?;
        Ok(Self { path: Some(path.to_owned()), file })
    }

    fn keep(mut self, text: &str) -> std::io::Result<()> {
        self.file.write_all(text.as_bytes())?;
        self.file.sync_all()?;
        self.path = None;
        Ok(())
    }
}

impl Drop for RootFile {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            // It is empty.
            let _ = fs::remove_file(path);
        }
    }
}

fn told(
    output: &mut Output,
    founded: &Founded,
    operator: &Identity,
    root: &Path,
    kept: &Path,
) -> Result<(), Failure> {
    let (operator, id) = (operator.member().name.name.as_str(), operator.id());
    let fingerprint: String = founded.fingerprint.iter().map(|byte| format!("{byte:02x}")).collect();
    match output.format {
        Format::Json => output.json(&serde_json::json!({
            "cluster": founded.cluster,
            "name": founded.name,
            "id": format!("{:#}", founded.node),
            "fingerprint": fingerprint,
            "root_file": root.display().to_string(),
            "operator": operator,
            "operator_dir": kept.display().to_string(),
            "operator_id": format!("{id:#}"),
        })),
        Format::Raw => output.raw(&[
            founded.cluster.clone(),
            format!("{:#}", founded.node),
            fingerprint,
            format!("{id:#}"),
        ]),
        Format::Human => {
            let Founded { cluster, name, node, .. } = founded;
            output.line(&format!("Cluster {cluster} is founded; {name} ({node}) is its first signer."))?;
            output.line(&format!("You are its operator {operator}; your key is in {}.", kept.display()))?;
            output.line(&format!("Its id, by which it is expelled should it be stolen: {id:#}"))?;
            output.line("")?;
            output.line("Next:")?;
            output.line(&format!(
                "  1. Move {} to a safe place that is offline: only it makes signers and expels operators.",
                root.display()
            ))?;
            output.line("  2. On this host, for each other one:   smartfw-cli cluster token")?;
            output.line(
                "     On the other host:                  smartfw-cli cluster join ADDR:PORT --token TOKEN",
            )?;
            output.line(
                "  3. Make a second signer, so that certificates are renewed when this host is gone:",
            )?;
            output.line("     smartfw-cli cluster token --role signer --root FILE")
        }
    }
}

pub(super) fn token(global: &Global, output: &mut Output, args: Token) -> Result<(), Failure> {
    let root = args.root.as_deref().map(|path| sealed_root(global, path)).transpose()?;
    let root = root.map(|(text, passphrase)| (text, passphrase.text().to_owned()));
    let invite = Invite {
        lasts: args.duration,
        site: args.site.as_ref().map(ToString::to_string),
        role: args.role.to_string(),
        replace: args.replace.as_ref().map(ToString::to_string),
        root,
    };
    let answer = client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?;
        let asked = wire::InviteRequest::from(invite);
        daemon.ask_cluster(async |mut client| client.invite(asked).await).await
    })?;
    let Invited { token, expires, address } = Invited::try_from(answer)?;
    match output.format {
        Format::Raw => output.raw(&[token]),
        Format::Json => output.json(&serde_json::json!({
            "token": token,
            "expires": json::rfc3339(expires),
            "address": address,
            "role": args.role.as_str(),
        })),
        Format::Human => {
            output.line(&token)?;
            output.line("")?;
            let lasts = relative(expires, now());
            output.line(&format!("It lets one {} in, once, and expires {lasts}. There, type:", args.role))?;
            output.line(&format!("  {}", redeeming(args.role, &address, args.replace.as_ref())))
        }
    }
}

fn redeeming(role: Role, address: &str, replace: Option<&Label>) -> String {
    let name = replace.map_or("NAME", Label::as_str);
    match (role, replace) {
        (Role::Operator, _) => format!("smartfw-cli cluster join {address} --token TOKEN --operator {name}"),
        (Role::Coordinator, Some(name)) => {
            format!("smartfw-coordinator join {address} --token TOKEN --name {name}")
        }
        (Role::Coordinator, None) => format!("smartfw-coordinator join {address} --token TOKEN"),
        (_, Some(name)) => format!("smartfw-cli cluster join {address} --token TOKEN --name {name}"),
        (_, None) => format!("smartfw-cli cluster join {address} --token TOKEN"),
    }
}

/// The exported root, with its passphrase.
pub(super) fn sealed_root(global: &Global, path: &Path) -> Result<(String, Secret), Failure> {
    let cannot = |error| Failure::failed(format!("cannot read {}: {error}", path.display()));
    let about = fs::metadata(path).map_err(cannot)?;
    if about.len() > limits::ROOT as u64 {
        return Err(Failure::failed(format!("{} is no exported root: it is too long", path.display())));
    }
    let text = fs::read_to_string(path).map_err(cannot)?;
    let passphrase = given(global, Of::Root, "Passphrase of the cluster's root: ")?.ok_or_else(|| {
        Failure::failed(
            "the root is under a passphrase, and there is nobody to ask: SMARTFW_ROOT_PASSPHRASE or \
             --root-passphrase-file",
        )
    })?;
    Ok((text, passphrase))
}

pub(super) fn join(global: &Global, output: &mut Output, args: Join) -> Result<(), Failure> {
    let address = with_port(&args.address);
    if let Some(name) = &args.operator {
        return operator::join(global, output, &address, &args.token, name, args.no_passphrase);
    }
    let entering = Entering {
        address,
        token: args.token.text().to_owned(),
        advertise: args.advertise.as_deref().map(with_port),
        name: args.name.as_ref().map(ToString::to_string),
    };
    let answer = client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?.within(JOINING);
        let asked = wire::EnterRequest::from(entering);
        daemon.ask_cluster(async |mut client| client.enter(asked).await).await
    })?;
    let entered = Entered::try_from(answer)?;
    warn_of_clocks(entered.ahead);
    let Entered { cluster, site, name, role, node, members, .. } = entered;
    match output.format {
        Format::Json => output.json(&serde_json::json!({
            "cluster": cluster, "site": site, "name": name, "role": role, "id": format!("{node:#}"), "members": members,
        })),
        Format::Raw => output.raw(&[cluster, name, format!("{node:#}")]),
        Format::Human => output.line(&format!(
            "This node is {name} ({node}), a {role} of cluster {cluster}, at site {site}. Look: smartfw-cli cluster nodes"
        )),
    }
}

/// Handshakes with several addresses, and a start with a full store.
const JOINING: Duration = Duration::from_secs(90);

pub(super) fn leave(global: &Global, output: &mut Output, force: bool) -> Result<(), Failure> {
    let answer = client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?;
        daemon.ask_cluster(async |mut client| client.leave(wire::LeaveRequest { force }).await).await
    })?;
    match output.format {
        Format::Human => output.line(&format!(
            "This node has left cluster {}. What is blocked stays blocked until it ends.",
            answer.cluster
        )),
        Format::Json => output.json(&serde_json::json!({"cluster": null, "left": answer.cluster})),
        Format::Raw => Ok(()),
    }
}

fn operator_name(home: &Home, wanted: Option<Label>) -> Result<Label, Failure> {
    let user = || home.user.as_deref().and_then(|user| Label::new(user).ok());
    wanted
        .or_else(user)
        .ok_or_else(|| Failure::failed("your user name cannot be an operator's: say --operator NAME"))
}

fn identity(key: &OperatorKey) -> Result<Identity, Failure> {
    let unreadable = |why: String| Failure::failed(format!("the operator's key that the daemon made: {why}"));
    let root = Certificate::parse(&key.root).map_err(|why| unreadable(why.to_string()))?;
    let trust = Trust::new(root).map_err(|why| unreadable(why.to_string()))?;
    let chain = Chain::from_bytes(&key.chain).map_err(|why| unreadable(why.to_string()))?;
    let own = Key::from_pkcs8(&key.key).map_err(|why| unreadable(why.to_string()))?;
    Identity::new(Arc::new(own), chain, trust).map_err(|why| unreadable(why.to_string()))
}

fn warn_of_clocks(ahead: i64) {
    let apart = Duration::from_nanos(ahead.unsigned_abs());
    if apart > SKEW {
        complain(&format!(
            "the signer's clock and this host's are {} apart: set both by a time service",
            human(apart)
        ));
    }
}

/// The address with the port that peers use, where none is said.
fn with_port(text: &str) -> String {
    if text.parse::<SocketAddr>().is_ok() {
        return text.to_owned();
    }
    match text.parse::<std::net::IpAddr>() {
        Ok(address) => SocketAddr::from((address, PORT)).to_string(),
        Err(_) if text.contains(':') => text.to_owned(),
        Err(_) => format!("{text}:{PORT}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_port_means_the_peers_port() {
        let cases = [
            ("10.0.0.1", "10.0.0.1:7470"),
            ("10.0.0.1:1", "10.0.0.1:1"),
            ("2001:db8::1", "[2001:db8::1]:7470"),
            ("[2001:db8::1]:2", "[2001:db8::1]:2"),
            ("web-1", "web-1:7470"),
            ("web-1:3", "web-1:3"),
        ];
        for (typed, meant) in cases {
            assert_eq!(with_port(typed), meant);
        }
    }

    #[test]
    fn a_token_says_how_it_is_redeemed() {
        let name = Label::new("web-2").unwrap();
        let at = "10.0.0.1:7470";
        assert!(redeeming(Role::Node, at, Some(&name)).ends_with("--token TOKEN --name web-2"));
        assert!(redeeming(Role::Operator, at, None).ends_with("--operator NAME"));
    }

    #[test]
    fn the_root_s_file_is_private_never_written_over_and_gone_when_no_root_comes() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.pem");
        drop(RootFile::create(&path).unwrap());
        assert!(!path.exists());
        RootFile::create(&path).unwrap().keep("sealed").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "sealed");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(RootFile::create(&path).err().unwrap().line().unwrap().contains("--root-file"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "sealed");
    }
}
