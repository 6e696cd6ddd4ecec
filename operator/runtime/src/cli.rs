//! The commands that people type, in this same program.

use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};
use muon_cli::{Command, Connection, Failure, Terminal};

use crate::flags::Flags;

/// What was typed. As `kubectl-muon`, which kubectl runs for `kubectl muon`, it calls itself so; as
/// `kubectl_complete-muon` it answers kubectl what may follow, and a shell that asks is answered as well.
pub(crate) fn flags() -> Flags {
    let mut words = Flags::command();
    if called_as("kubectl_complete-muon") {
        let typed = std::env::args_os().skip(1).collect();
        let _ = muon_cli::output::write(&muon_cli::completion::answer_kubectl(words, typed));
        std::process::exit(0);
    }
    muon_cli::completion::answer_shell(Flags::command);
    if called_as("kubectl-muon") {
        words = words.bin_name("kubectl muon");
    }
    let matches = words.get_matches();
    Flags::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

fn called_as(name: &str) -> bool {
    let word = std::env::args_os().next();
    word.is_some_and(|word| Path::new(&word).file_stem().is_some_and(|stem| stem == name))
}

/// Does what was asked.
pub(crate) fn run(command: Command, connection: &Connection) -> ExitCode {
    let terminal = Terminal::found();
    match start(command, connection, terminal) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            muon_cli::output::note(&format!("error: {failure}"));
            failure.into()
        }
    }
}

fn start(command: Command, connection: &Connection, terminal: Terminal) -> Result<(), Failure> {
    let failed = |why: &dyn std::fmt::Display| Failure::Failed(format!("cannot start: {why}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| failed(&error))?;
    runtime.block_on(command.run(Flags::command(), connection, terminal))
}
