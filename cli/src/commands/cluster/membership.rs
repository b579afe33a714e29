//! `cluster init`, `token`, `join`, `leave`.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use smartfw_identity::{
    Certificate, Chain, Identity, JoinError, Key, Label, Passphrase, Role, SKEW, Trust, Wish, tls::DialError,
};
use smartfw_proto::{
    json, limits,
    view::{Entered, Entering, Founded, Founding, Invite, Invited, OperatorKey},
    wire,
};

use crate::{
    args::{Format, Global, Init, Join, Token},
    client::{self, Daemon},
    duration::{human, now, relative},
    failure::Failure,
    operator::{Home, Operator, ask_new},
    output::{Output, complain},
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
    // Asked for before anything is made; the daemon is tried first, so that nobody types in vain.
    client::block_on(async { Daemon::connect(&global.socket).await.map(drop) })?;
    let root = ask_new(global, "the cluster's root, which you keep offline")?;
    let own = if args.no_passphrase { None } else { Some(ask_new(global, "your operator's key")?) };
    let own = own.map(Passphrase::new).transpose().map_err(|why| Failure::failed(why.to_string()))?;
    let path = args.root_file.unwrap_or_else(|| PathBuf::from(format!("smartfw-root-{cluster}.pem")));
    let file = RootFile::create(&path)?;
    let founding = Founding {
        cluster,
        site: args.site.to_string(),
        operator: operator.to_string(),
        advertise,
        passphrase: root,
    };
    let founded = client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?;
        let asked = wire::FoundRequest::from(founding);
        daemon.ask_cluster(async |mut client| client.found(asked).await).await
    })?;
    let founded = Founded::try_from(founded)?;
    file.keep(&founded.root).map_err(|error| {
        Failure::failed(format!(
            "the cluster is founded, but its root cannot be written to {}: {error}; without it no second signer can be \
             made: `smartfw-cli cluster leave`, then try again",
            path.display()
        ))
    })?;
    let identity = identity(&founded.operator)?;
    Operator::save(&home, &identity, own.as_ref())?;
    told(output, &founded, &operator, &path, &kept)
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
    operator: &Label,
    root: &Path,
    kept: &Path,
) -> Result<(), Failure> {
    let fingerprint: String = founded.fingerprint.iter().map(|byte| format!("{byte:02x}")).collect();
    match output.format {
        Format::Json => output.json(&serde_json::json!({
            "cluster": founded.cluster,
            "name": founded.name,
            "id": format!("{:#}", founded.node),
            "fingerprint": fingerprint,
            "root_file": root.display().to_string(),
            "operator": operator.as_str(),
            "operator_dir": kept.display().to_string(),
        })),
        Format::Raw => output.raw(&[founded.cluster.clone(), format!("{:#}", founded.node), fingerprint]),
        Format::Human => {
            let Founded { cluster, name, node, .. } = founded;
            output.line(&format!("Cluster {cluster} is founded; {name} ({node}) is its first signer."))?;
            output.line(&format!("You are its operator {operator}; your key is in {}.", kept.display()))?;
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
        (Role::Coordinator, _) => format!("smartfw-coordinator join {address} --token TOKEN"),
        (Role::Operator, _) => format!("smartfw-cli cluster join {address} --token TOKEN --operator {name}"),
        (_, Some(name)) => format!("smartfw-cli cluster join {address} --token TOKEN --name {name}"),
        (_, None) => format!("smartfw-cli cluster join {address} --token TOKEN"),
    }
}

/// The exported root, with its passphrase.
pub(super) fn sealed_root(global: &Global, path: &Path) -> Result<(String, String), Failure> {
    let cannot = |error| Failure::failed(format!("cannot read {}: {error}", path.display()));
    let about = fs::metadata(path).map_err(cannot)?;
    if about.len() > limits::ROOT as u64 {
        return Err(Failure::failed(format!("{} is no exported root: it is too long", path.display())));
    }
    let text = fs::read_to_string(path).map_err(cannot)?;
    let passphrase = crate::operator::given_text(global, "Passphrase of the cluster's root: ")?;
    let passphrase = passphrase.ok_or_else(|| {
        Failure::failed("the root is under a passphrase, and there is nobody to ask: SMARTFW_PASSPHRASE or --passphrase-file")
    })?;
    Ok((text, passphrase))
}

pub(super) fn join(global: &Global, output: &mut Output, args: Join) -> Result<(), Failure> {
    let address = with_port(&args.address);
    if let Some(name) = &args.operator {
        return join_as_operator(global, output, &address, &args.token, name, args.no_passphrase);
    }
    let entering = Entering {
        address,
        token: args.token,
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

fn join_as_operator(
    global: &Global,
    output: &mut Output,
    address: &str,
    token: &str,
    name: &Label,
    no_passphrase: bool,
) -> Result<(), Failure> {
    let token: smartfw_identity::Token =
        token.parse().map_err(|why: smartfw_identity::BadToken| Failure::failed(why.to_string()))?;
    let home = Home::find()?;
    let own = if no_passphrase { None } else { Some(ask_new(global, "your operator's key")?) };
    let own = own.map(Passphrase::new).transpose().map_err(|why| Failure::failed(why.to_string()))?;
    let admitted = client::block_on(async {
        let wish = Wish { name, roles: &[Role::Operator], folder: Path::new("/nonexistent") };
        let mut last = Failure::failed(format!("{address} leads nowhere"));
        for address in resolved(address).await? {
            match smartfw_identity::join(address, &token, wish, now()).await {
                Ok(admitted) => return Ok(admitted),
                Err(why @ JoinError::Dial(DialError::Connect { .. } | DialError::Slow { .. })) => {
                    last = Failure::failed(why.to_string());
                }
                Err(why) => return Err(Failure::failed(why.to_string())),
            }
        }
        Err(last)
    })?;
    let here = now();
    let skew = if admitted.clock > here { admitted.clock.since(here) } else { here.since(admitted.clock) };
    warn_of_clocks(i64::try_from(skew.as_nanos()).unwrap_or(i64::MAX));
    Operator::save(&home, &admitted.identity, own.as_ref())?;
    let cluster = admitted.identity.trust().cluster();
    let kept = home.of(cluster.as_str());
    let id = admitted.identity.id();
    match output.format {
        Format::Json => output.json(&serde_json::json!({
            "cluster": cluster.as_str(), "operator": name.as_str(), "id": format!("{id:#}"),
            "operator_dir": kept.display().to_string(),
        })),
        Format::Raw => output.raw(&[cluster.to_string(), name.to_string(), format!("{id:#}")]),
        Format::Human => output.line(&format!(
            "You are operator {name} ({id:#}) of cluster {cluster}; your key is in {}.",
            kept.display()
        )),
    }
}

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

async fn resolved(address: &str) -> Result<Vec<SocketAddr>, Failure> {
    let found = tokio::net::lookup_host(address).await;
    let found = found.map_err(|error| {
        Failure::failed(format!("cannot find {address:?}: {error}; write ADDR:PORT, like 10.0.0.11:7470"))
    })?;
    Ok(found.take(8).collect())
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
        assert!(redeeming(Role::Coordinator, at, None).starts_with("smartfw-coordinator join"));
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
