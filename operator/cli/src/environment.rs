//! `muon env`: the Environments.

use clap::Subcommand;

use crate::connection::Connection;
use crate::failure::Failure;
use crate::get;
use crate::kinds::Kind;
use crate::output::Terminal;

/// What to do with Environments.
#[derive(Subcommand, Debug)]
pub enum Env {
    /// List Environments: which languages there are, and how many pods wait for code.
    #[command(visible_alias = "ls")]
    List(get::Listing),
}

pub(crate) async fn run(env: Env, connection: &Connection, terminal: Terminal) -> Result<(), Failure> {
    match env {
        Env::List(listing) => get::run(listing.of(Kind::Environment), connection, terminal).await,
    }
}
