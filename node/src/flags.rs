//! The flags: most are another way to write a key of the configuration.

use std::path::PathBuf;

use clap::Parser;
use smartfw_config::Sources;

/// Watches this host's traffic, recognises attacks, and drops the attacker in the kernel.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = "smartfw-node", version, args_override_self = true)]
pub struct Flags {
    /// The configuration [default: /etc/smartfw/node.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the node keeps what it must not forget [default: /var/lib/smartfw]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<String>,
    /// Where traffic.log and alerts.log go [default: /var/log/smartfw]
    #[arg(long, value_name = "DIR")]
    pub log_dir: Option<String>,
    /// Check the configuration, say `ok`, and end
    #[arg(long)]
    pub check: bool,
    /// How messages look: human or json [default: human]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// An interface to watch; may be given several times [default: those that lead outside]
    #[arg(long, value_name = "NAME")]
    pub interface: Vec<String>,
    /// What drops packets: iptables, nftables, xdp or dry-run [default: iptables]
    #[arg(long, value_name = "ENFORCER")]
    pub enforcer: Option<String>,
    /// Who decides: auto (the node) or manual (a person) [default: auto]
    #[arg(long, value_name = "MODE")]
    pub mode: Option<String>,
    /// This node's name [default: the host's name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The control socket [default: /run/smartfw/node.sock]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<String>,
    /// Where members of the cluster connect, or off [default: 0.0.0.0:7470 once in a cluster]
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<String>,
    /// Where metrics are served, or off [default: 127.0.0.1:9470]
    #[arg(long, value_name = "ADDR:PORT")]
    pub metrics: Option<String>,
    /// Print the commented example configuration, and end
    #[arg(long)]
    pub example_config: bool,
    /// Remove every rule and set at the end
    #[arg(long, hide = true)]
    pub remove_on_exit: bool,
}

impl Flags {
    /// Everywhere the configuration comes from, these flags and the process's environment among it.
    pub fn sources(&self) -> Sources {
        let Self { state_dir, log_dir, log_format, enforcer, mode, name, socket, listen, metrics, .. } = self;
        let interfaces = (!self.interface.is_empty()).then(|| self.interface.join(","));
        let given = [
            ("state_dir", "--state-dir", state_dir),
            ("log_dir", "--log-dir", log_dir),
            ("logs.format", "--log-format", log_format),
            ("interfaces", "--interface", &interfaces),
            ("enforcement.enforcer", "--enforcer", enforcer),
            ("enforcement.mode", "--mode", mode),
            ("name", "--name", name),
            ("socket", "--socket", socket),
            ("listen", "--listen", listen),
            ("metrics", "--metrics", metrics),
        ];
        let flags = given.into_iter().filter_map(|(key, flag, value)| Some((key, flag, value.clone()?)));
        Sources {
            file: self.config.clone(),
            environment: smartfw_config::environment(),
            flags: flags.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flag_is_a_key_of_the_configuration() {
        let arguments = "smartfw-node --state-dir /s --log-dir /l --log-format json --interface a --interface b \
             --enforcer dry-run --mode manual --name n --socket /x --listen 192.0.2.1:1 --metrics off";
        let sources = Flags::parse_from(arguments.split_whitespace()).sources();
        let config = smartfw_config::load(&Sources { environment: Vec::new(), ..sources }).unwrap();
        assert_eq!(config.interfaces, ["a", "b"]);
        assert_eq!((config.policy.node.as_str(), config.metrics), ("n", None));
        assert_eq!(config.listen, Some("192.0.2.1:1".parse().unwrap()));
        assert_eq!(config.enforcer, smartfw_config::EnforcerKind::DryRun);
    }

    #[test]
    fn a_flag_given_again_wins_but_interfaces_add_up() {
        let arguments = "smartfw-node --socket /a --interface a --remove-on-exit --socket /b --interface b --remove-on-exit";
        let flags = Flags::try_parse_from(arguments.split_whitespace()).unwrap();
        assert_eq!(flags.socket.as_deref(), Some("/b"));
        assert_eq!(flags.interface, ["a", "b"]);
    }
}
