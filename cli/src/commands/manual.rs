//! `completion` and `man`: made from the same description as the parser.

use std::{fs, path::Path};

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::{args::Args, failure::Failure, output::Output};

pub(super) fn completion(output: &mut Output, shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut shown(), "smartfw-cli", &mut script);
    output.bytes(&script)
}

/// The commands that people type: the others would be completed, too.
fn shown() -> Command {
    let all = Args::command();
    let visible = all.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let args = all.get_arguments().cloned();
    Command::new("smartfw-cli").version(env!("CARGO_PKG_VERSION")).args(args).subcommands(visible)
}

/// All pages one after the other, or each into its own file.
pub(super) fn man(output: &mut Output, directory: Option<&Path>) -> Result<(), Failure> {
    for (name, page) in pages()? {
        match directory {
            None => output.bytes(&page)?,
            Some(directory) => {
                let path = directory.join(format!("{name}.1"));
                let cannot = |error| Failure::failed(format!("cannot write {}: {error}", path.display()));
                fs::write(&path, page).map_err(cannot)?;
            }
        }
    }
    Ok(())
}

fn pages() -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let mut command = Args::command();
    command.build();
    let mut pages = Vec::new();
    let mut waiting = vec![command];
    while let Some(command) = waiting.pop() {
        let children: Vec<_> =
            command.get_subcommands().filter(|child| !child.is_hide_set()).cloned().collect();
        waiting.extend(children.into_iter().rev());
        let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
        let mut page = Vec::new();
        Man::new(command).render(&mut page)?;
        pages.push((name, page));
    }
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_has_a_page_for_every_command_that_is_shown() {
        let names: Vec<String> = pages().unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names[0], "smartfw-cli");
        for name in
            ["smartfw-cli-status", "smartfw-cli-allow-add", "smartfw-cli-support-dump", "smartfw-cli-replay"]
        {
            assert!(names.iter().any(|one| one == name), "{name} is missing: {names:?}");
        }
        assert!(!names.iter().any(|name| name.contains("restore") || name.contains("resume")), "{names:?}");
    }

    #[test]
    fn a_page_names_the_command_and_its_options() {
        let (_, page) = pages().unwrap().into_iter().find(|(name, _)| name == "smartfw-cli-block").unwrap();
        let page = String::from_utf8(page).unwrap();
        assert!(page.contains(".TH") && page.contains("TARGET") && page.contains("force"), "{page}");
    }
}
