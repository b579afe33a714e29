//! `reload`: the configuration again.

use smartfw_proto::{convert::reloaded_from_wire, wire};

use crate::{
    args::{Format, Global},
    client::{self, Daemon},
    failure::Failure,
    output::Output,
};

pub(super) fn run(global: &Global, output: &mut Output) -> Result<(), Failure> {
    let answer = client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?;
        daemon.ask(async |mut client| client.reload(wire::ReloadRequest {}).await).await
    })?;
    let reloaded = reloaded_from_wire(answer)?.map_err(|wrong| {
        Failure::failed(format!("the configuration is not reloaded, nothing changed: {wrong}"))
    })?;
    match output.format {
        Format::Json => {
            output.json(&serde_json::json!({"applied": reloaded.applied, "restart": reloaded.restart}))
        }
        Format::Raw => {
            let lines = reloaded.applied.iter().map(|key| ["applied".to_owned(), key.clone()]);
            lines
                .chain(reloaded.restart.iter().map(|key| ["restart".to_owned(), key.clone()]))
                .try_for_each(|line| output.raw(&line))
        }
        Format::Human => {
            match (reloaded.applied.is_empty(), reloaded.restart.is_empty()) {
                (true, true) => output.line("Nothing has changed in the configuration.")?,
                (false, _) => output.line(&format!("In use now: {}", reloaded.applied.join(", ")))?,
                (true, false) => {}
            }
            if reloaded.restart.is_empty() {
                return Ok(());
            }
            let keys = reloaded.restart.join(", ");
            output.line(&format!("In use after a restart (systemctl restart smartfw-node): {keys}"))
        }
    }
}
