//! `muon run`: a project, served on this machine, and again after each save.

use muon_proxy::AccessLog;

use super::LocalError;
use super::flags::RunFlags;
use super::saves::Saves;
use super::session::{Options, Report, Session, SessionError};
use super::terminal::{Terminal, Tone};
use crate::shutdown::Shutdown;

/// Serves until the signal to stop.
pub(crate) async fn run(flags: RunFlags) -> Result<(), LocalError> {
    let shutdown = Shutdown::on_signal().map_err(LocalError::Signals)?;
    let terminal = Terminal::stdout();
    let options = Options {
        path: flags.project.path,
        port: flags.port,
        env_file: flags.project.env_file,
        secrets: flags.project.secrets,
        debug: flags.debug,
        access_log: AccessLog::All,
    };
    let mut session = Session::start(options, terminal.clone()).await?;
    let mut saves = Saves::new()?;
    // Watched before it is read: no save comes between the two.
    saves.follow(session.folders())?;
    let mut first = true;
    loop {
        let reloaded = tokio::select! {
            reloaded = session.reload() => Some(reloaded),
            // What is being loaded is old already.
            () = saves.next(), if !first => None,
            () = shutdown.clone().requested() => break,
        };
        if let Some(reloaded) = reloaded {
            tell(&terminal, &session, reloaded, first);
            first = false;
            tokio::select! {
                () = saves.next() => {}
                () = shutdown.clone().requested() => break,
            }
        }
        saves.follow(session.folders())?;
    }
    terminal.say(Tone::Quiet, "stopping: requests in flight are finished first");
    session.stop().await;
    Ok(())
}

/// What became of a look at the files.
fn tell(terminal: &Terminal, session: &Session, reloaded: Result<Report, SessionError>, first: bool) {
    let report = match reloaded {
        Ok(report) => report,
        Err(error) => return terminal.say(Tone::Error, &format!("{error}\nwhat was served before is served on")),
    };
    for (name, why) in &report.failed {
        let on = if session.serves(name) { "; the code before it serves on" } else { "" };
        let why: Vec<String> = why.lines().map(|line| format!("  {line}")).collect();
        terminal.say(Tone::Error, &format!("{name}: not loaded{on}\n{}", why.join("\n")));
    }
    if first {
        for line in &report.lines {
            terminal.say(Tone::Good, line);
        }
        terminal.say(Tone::Quiet, &format!("listening on http://{}; a save reloads, Ctrl-C stops", session.address));
    }
    if !report.changed.is_empty() {
        let took = report.took.as_millis();
        terminal.say(Tone::Good, &format!("serving {} (after {took} ms)", report.changed.join(", ")));
    }
}
