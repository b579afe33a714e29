//! The flags and commands: most flags are another way to write a key of the configuration.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Parser, Subcommand};

use crate::settings::Sources;

/// Keeps what a fleet's nodes tell, and shows it.
#[derive(Clone, Default, Parser)]
#[command(name = "smartfw-coordinator", version, args_override_self = true)]
pub struct Flags {
    /// The configuration [default: /etc/smartfw/coordinator.toml, if it is there]
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Where the coordinator keeps what it must not forget [default: /var/lib/smartfw]
    #[arg(long, value_name = "DIR", global = true)]
    pub state_dir: Option<String>,
    /// Where log files go [default: /var/log/smartfw]
    #[arg(long, value_name = "DIR", global = true)]
    pub log_dir: Option<String>,
    /// Check the configuration, say `ok`, and end
    #[arg(long)]
    pub check: bool,
    /// How messages look: human or json [default: human]
    #[arg(long, value_name = "FORMAT", global = true)]
    pub log_format: Option<String>,
    /// Where nodes connect [default: 0.0.0.0:7471]
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<String>,
    /// Where the REST API is served, or off [default: 127.0.0.1:7480]
    #[arg(long, value_name = "ADDR:PORT")]
    pub http: Option<String>,
    /// Where metrics are served, or off [default: 127.0.0.1:9471]
    #[arg(long, value_name = "ADDR:PORT")]
    pub metrics: Option<String>,
    /// Where events are kept: sled, or redis://… [default: sled]
    #[arg(long, value_name = "PLACE")]
    pub history: Option<String>,
    /// Print the commented example configuration, and end
    #[arg(long)]
    pub example_config: bool,
    /// What to do instead of running.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What a person does once. A token is a secret: there is no way to print this.
#[derive(Clone, Subcommand)]
pub enum Command {
    /// Enter a cluster, with a token of `smartfw-cli cluster token --role coordinator`
    Join {
        /// The signer that printed the token
        #[arg(value_name = "ADDR:PORT")]
        address: String,
        /// The token
        #[arg(long, value_name = "TOKEN", env = "SMARTFW_TOKEN", hide_env_values = true)]
        token: String,
        /// This coordinator's name [default: the host's name, and -coordinator]
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Where nodes reach it [default: what is listened on, or the address that leads to the members]
        #[arg(long, value_name = "ADDR:PORT")]
        advertise: Option<SocketAddr>,
    },
    /// Send a test message by a webhook, Slack or mail of the file `outward`, and print what the other side says
    Test {
        /// What the file calls it
        name: String,
    },
    /// Leave the cluster: the identity is destroyed, the history stays
    Leave,
}

impl Flags {
    /// Everywhere the configuration comes from, these flags and the process's environment among it.
    pub fn sources(&self) -> Sources {
        let Self { state_dir, log_dir, log_format, listen, http, metrics, history, .. } = self;
        let given = [
            ("state_dir", "--state-dir", state_dir),
            ("log_dir", "--log-dir", log_dir),
            ("logs.format", "--log-format", log_format),
            ("listen", "--listen", listen),
            ("http", "--http", http),
            ("metrics", "--metrics", metrics),
            ("history", "--history", history),
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
    use crate::settings::{Place, Settings};

    #[test]
    fn each_flag_is_a_key_of_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("empty.toml");
        std::fs::write(&file, "").unwrap();
        let arguments = "smartfw-coordinator --state-dir /s --log-dir /l --log-format json --listen 192.0.2.1:1 \
             --http off --metrics 127.0.0.1:2 --history redis://192.0.2.3";
        let sources = Flags::parse_from(arguments.split_whitespace()).sources();
        let sources = Sources { environment: Vec::new(), file: Some(file), ..sources };
        let settings = Settings::load(&sources).unwrap();
        assert_eq!((settings.state_dir, settings.log_dir), ("/s".into(), "/l".into()));
        assert_eq!((settings.listen.port(), settings.http), (1, None));
        assert_eq!(settings.metrics, Some("127.0.0.1:2".parse().unwrap()));
        assert_eq!(settings.history, Place::Redis("redis://192.0.2.3".into()));
        assert_eq!(settings.log_format, smartfw_config::LogFormat::Json);
    }

    #[test]
    fn a_command_takes_the_flags_that_say_where() {
        let arguments = "smartfw-coordinator join 192.0.2.1:7470 --token t --name c --state-dir /s";
        let flags = Flags::parse_from(arguments.split_whitespace());
        assert_eq!(flags.state_dir.as_deref(), Some("/s"));
        assert!(matches!(flags.command, Some(Command::Join { name: Some(name), .. }) if name == "c"));
        assert!(Flags::try_parse_from(["smartfw-coordinator", "join", "192.0.2.1:7470"]).is_err());
    }
}
