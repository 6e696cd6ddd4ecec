//! The commands.

use clap::Subcommand;

use crate::connection::Connection;
use crate::failure::Failure;
use crate::output::Terminal;
use crate::{
    build, call, completion, delete, deploy, describe, doctor, dump, environment, get, init, logs, reference, rollback,
    route, top,
};

/// What can be asked. One variant, one file.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Make a project from a language's template.
    Init(init::Arguments),
    /// Make one function more in a project.
    #[command(subcommand)]
    New(init::New),
    /// Apply a project's objects, wait until they are ready, and print the URL.
    Deploy(deploy::Arguments),
    /// Call a function or a route; tells the request's id, cold or warm, and how long each phase took.
    Call(call::Arguments),
    /// Show what a function's pods say.
    Logs(logs::Arguments),
    /// Tell on one screen whether a function can be called, if not why, and what to do.
    Describe(describe::Arguments),
    /// List functions, routes, packages and environments, or show some of them.
    Get(get::Arguments),
    /// List routes, make one, take one away.
    #[command(subcommand)]
    Route(route::Route),
    /// List Environments.
    #[command(subcommand)]
    Env(environment::Env),
    /// Show the log of a Package's build.
    Build(build::Arguments),
    /// Have a function run an earlier content of its Package again.
    Rollback(rollback::Arguments),
    /// Delete functions, routes, packages or environments, or all of a project.
    Delete(delete::Arguments),
    /// Show what the pods of functions use.
    Top(top::Arguments),
    /// Check the installation: says what is wrong, and what to do.
    Doctor(doctor::Arguments),
    /// Collect what somebody who helps needs to see, without secrets.
    Dump(dump::Arguments),
    /// Write what a shell needs to complete commands, flags and names.
    Completion(completion::Arguments),
    /// Write the man pages.
    Man(reference::Arguments),
}

impl Command {
    /// Does what was asked. `words` are all commands of the program.
    ///
    /// # Errors
    /// It could not be done; the exit code tells kinds of failures apart.
    pub async fn run(self, words: clap::Command, connection: &Connection, terminal: Terminal) -> Result<(), Failure> {
        match self {
            Self::Init(arguments) => init::init(&arguments, terminal),
            Self::New(what) => init::new(&what, terminal),
            Self::Deploy(arguments) => deploy::run(arguments, connection, terminal).await,
            Self::Call(arguments) => call::run(arguments, connection, terminal).await,
            Self::Logs(arguments) => logs::run(arguments, connection, terminal).await,
            Self::Describe(arguments) => describe::run(arguments, connection, terminal).await,
            Self::Get(arguments) => get::run(arguments, connection, terminal).await,
            Self::Build(arguments) => build::run(arguments, connection, terminal).await,
            Self::Rollback(arguments) => rollback::run(arguments, connection, terminal).await,
            Self::Delete(arguments) => delete::run(arguments, connection, terminal).await,
            Self::Route(route) => route::run(route, connection, terminal).await,
            Self::Env(env) => environment::run(env, connection, terminal).await,
            Self::Top(arguments) => top::run(arguments, connection, terminal).await,
            Self::Doctor(arguments) => doctor::run(arguments, connection, terminal).await,
            Self::Dump(arguments) => dump::run(arguments, connection, terminal).await,
            Self::Completion(arguments) => completion::run(&arguments),
            Self::Man(arguments) => reference::man(words, &arguments.directory),
        }
    }
}
