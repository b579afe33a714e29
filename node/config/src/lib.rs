//! From TOML, environment and flags to configuration that cannot be wrong.
//!
//! ```text
//! node.toml, node.toml.d/*.toml, environment, flags  -> Layers   later ones win, each value knows its place
//! Layers + schema                                    -> NodeConfig   or the first error, with its place
//! schema                                             -> the commented example
//! ```
//!
//! The schema is written once (`schema.rs`) and walked by whoever needs it, so a key cannot be read and yet be missing
//! from the example.
#![forbid(unsafe_code)]

mod changes;
mod checks;
mod duration;
mod error;
mod example;
mod kinds;
mod layers;
mod nearest;
mod place;
mod raw;
mod read;
mod schema;
mod settings;

pub use changes::changed_keys;
pub use duration::parse_duration;
pub use error::ConfigError;
pub use example::example;
pub use layers::{DEFAULT_FILE, ENVIRONMENT_PREFIX, Sources, environment};
pub use place::Place;
pub use settings::{
    EnforcerKind, ExternalSettings, FeedConfig, LearningSettings, LogFormat, LogSettings, LoginSource,
    MirrorSettings, MirroredEvents, MirroredRuns, NodeConfig,
};

/// Reads the configuration from everywhere it may come from.
///
/// # Errors
/// [`ConfigError`]: what is wrong, where, and what would be right.
pub fn load(sources: &Sources) -> Result<NodeConfig, ConfigError> {
    interpret(sources.gather()?)
}

/// Reads one file and nothing else: no drop-ins, no environment.
///
/// # Errors
/// [`ConfigError`]: what is wrong, where, and what would be right.
pub fn load_file(path: &std::path::Path) -> Result<NodeConfig, ConfigError> {
    interpret(layers::Layers::of_file(path)?)
}

/// As much of it as can be read; what is wrong or unreadable is the default. For those who must find the daemon's
/// folders even where it cannot start because of a mistake.
pub fn load_what_is_right(sources: &Sources) -> NodeConfig {
    let mut config = NodeConfig::default();
    if let Ok(layers) = sources.gather() {
        schema::walk(&mut read::Reader::new(&layers), &mut config);
    }
    config
}

fn interpret(layers: layers::Layers) -> Result<NodeConfig, ConfigError> {
    let mut config = NodeConfig::default();
    let mut reader = read::Reader::new(&layers);
    schema::walk(&mut reader, &mut config);
    reader.finish()?;
    checks::consistent(&config, &layers)?;
    Ok(config)
}
