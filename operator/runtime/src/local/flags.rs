//! Flags of the local loop.

use std::path::PathBuf;

use clap::Args;

/// A project, and what this machine has in place of a cluster's objects.
#[derive(Args, Clone, Debug)]
pub(crate) struct ProjectFlags {
    /// The project: a folder with manifests and code, or one manifest.
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,
    /// File of variables, one NAME=value a line, for every function; they go before what manifests say. [default: .env of the
    /// project, if it is there]
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
    /// Folder of mock values: the file NAME/KEY stands for the key of the Secret or ConfigMap. [default: .secrets of the project,
    /// if it is there]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) secrets: Option<PathBuf>,
}

/// Flags of `muon run`.
#[derive(Args, Clone, Debug)]
pub(crate) struct RunFlags {
    #[command(flatten)]
    pub(crate) project: ProjectFlags,
    /// Port on 127.0.0.1; 0: any that is free.
    #[arg(long, short, default_value_t = 8080)]
    pub(crate) port: u16,
    /// Start each function with a debugger that listens on this port of 127.0.0.1 and the ones after it, in the order of the
    /// functions' names: debugpy for python, the inspector for node. A save then ends the process before the new one starts.
    #[arg(long, value_name = "PORT", num_args = 0..=1, default_missing_value = "5678", require_equals = true)]
    pub(crate) debug: Option<u16>,
}

/// Flags of `muon test`.
#[derive(Args, Clone, Debug)]
pub(crate) struct TestFlags {
    #[command(flatten)]
    pub(crate) project: ProjectFlags,
    /// Send the requests to this URL, of an Ingress for one, instead of running the project here.
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// A file of recorded requests, .http or .yaml; again for more. [default: those in tests/ of the project]
    #[arg(long, short)]
    pub(crate) file: Vec<PathBuf>,
    /// Only requests with this text in their name.
    #[arg(long, short = 'k', value_name = "TEXT")]
    pub(crate) only: Option<String>,
    /// Write the results to this file too, as JUnit XML.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
}
