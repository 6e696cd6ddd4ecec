//! What there is to read of the commands: a page for people, and man pages, both made from the commands themselves.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Arg, Command};

use crate::failure::Failure;

/// Arguments of `muon man`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The directory that the pages are written into.
    #[arg(value_name = "DIRECTORY")]
    pub directory: PathBuf,
}

/// Writes one man page a command: `muon.1`, `muon-get.1` and so on.
///
/// # Errors
/// They cannot be written.
pub fn man(words: Command, directory: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::Failed(format!("{}: {error}", directory.display()));
    std::fs::create_dir_all(directory).map_err(failed)?;
    clap_mangen::generate_to(words, directory).map_err(failed)
}

/// The page of all commands, in Markdown.
pub fn page(words: Command) -> String {
    let mut words = words.disable_help_flag(true).disable_help_subcommand(true).disable_version_flag(true);
    words.build();
    let mut text = String::from(
        "# Commands of `muon`\n\nMade from the program (`BLESS=1 cargo test -p muon-cli` writes it). Every command also has `--help`.\n",
    );
    let everywhere: Vec<&Arg> =
        words.get_arguments().filter(|argument| argument.is_global_set() && !argument.is_hide_set()).collect();
    text.push_str("\n## With every command\n\n");
    rows(&mut text, &everywhere);
    for command in words.get_subcommands().filter(|command| !command.is_hide_set()) {
        section(&mut text, command, "muon", 2);
    }
    text
}

fn section(text: &mut String, command: &Command, before: &str, level: usize) {
    let name = format!("{before} {}", command.get_name());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let _ = write!(text, "\n{} {name}\n\n{}.\n", "#".repeat(level), about.trim_end_matches('.'));
    let own: Vec<&Arg> = command
        .get_arguments()
        .filter(|argument| !argument.is_global_set() && !argument.is_hide_set() && !is_help(argument))
        .collect();
    if !own.is_empty() {
        text.push('\n');
        rows(text, &own);
    }
    for below in command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help") {
        section(text, below, &name, level + 1);
    }
}

fn is_help(argument: &Arg) -> bool {
    matches!(argument.get_id().as_str(), "help" | "version")
}

fn rows(text: &mut String, arguments: &[&Arg]) {
    text.push_str("| argument | meaning |\n| --- | --- |\n");
    for argument in arguments {
        let mut meaning = argument.get_help().map(ToString::to_string).unwrap_or_default();
        if !meaning.ends_with('.') {
            meaning.push('.');
        }
        let values: Vec<String> =
            argument.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
        if !values.is_empty() && argument.get_action().takes_values() {
            let _ = write!(meaning, " One of {}.", values.join(", "));
        }
        let defaults: Vec<String> =
            argument.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
        if !defaults.is_empty() && argument.get_action().takes_values() {
            let _ = write!(meaning, " Default: `{}`.", defaults.join(" "));
        }
        if let Some(variable) = argument.get_env() {
            let _ = write!(meaning, " Also `${}`.", variable.to_string_lossy());
        }
        let _ = writeln!(text, "| `{}` | {} |", shown(argument), meaning.replace('|', "\\|"));
    }
}

fn shown(argument: &Arg) -> String {
    let value =
        argument.get_value_names().map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    let value = value.unwrap_or_else(|| argument.get_id().as_str().to_uppercase());
    if argument.is_positional() {
        return value.replace('|', " or ");
    }
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let names: Vec<String> = short.into_iter().chain(long).collect();
    match argument.get_action().takes_values() {
        true => format!("{} {value}", names.join(", ")),
        false => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, Subcommand as _};

    use super::*;

    /// `BLESS=1` writes it.
    #[test]
    fn the_page_is_that_of_the_program() {
        let words = crate::Connection::augment_args(Command::new("muon"));
        let page = page(crate::Command::augment_subcommands(words));
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("reference.md");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, page).unwrap();
            return;
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(written == page, "operator/cli/reference.md is of other commands: BLESS=1 cargo test -p muon-cli");
    }

    #[test]
    fn every_command_has_a_man_page() {
        let place = tempfile::tempdir().unwrap();
        man(crate::Command::augment_subcommands(Command::new("muon")), place.path()).unwrap();
        for name in ["muon.1", "muon-deploy.1", "muon-route-add.1"] {
            assert!(std::fs::read_to_string(place.path().join(name)).unwrap().contains(".SH NAME"), "{name}");
        }
    }
}
