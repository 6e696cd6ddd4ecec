//! Builds a function in Rust: reads `$SRC_PKG` and leaves, at `$DEPLOY_PKG`, the static executable `program` and what of the
//! source is not Rust. The one argument is the folder of the crate `muon`.

mod discover;
mod project;
mod trees;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

use project::Project;

/// Why there is no result.
enum Failure {
    /// The author of the source reads it as it is.
    Told(String),
    Io(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn main() -> ExitCode {
    let folder = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let (Some(source), Some(target), Some(library)) = (folder("SRC_PKG"), folder("DEPLOY_PKG"), env::args_os().nth(1))
    else {
        eprintln!(
            "SRC_PKG and DEPLOY_PKG must name the source and the result, the argument the folder of the crate muon"
        );
        return ExitCode::from(2);
    };
    let work = env::temp_dir().join(format!("rust-build-{}", std::process::id()));
    let built = build(&source, &work, &target, Path::new(&library));
    let _ = fs::remove_dir_all(&work);
    match built {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Told(message)) => eprintln!("{message}"),
        Err(Failure::Io(error)) => eprintln!("build: {error}"),
    }
    ExitCode::FAILURE
}

fn build(source: &Path, work: &Path, target: &Path, library: &Path) -> Result<(), Failure> {
    let root = work.join("source");
    trees::copy(source, &root, &|_| true)?;
    let project = Project::prepare(&root, library)?;
    let functions = discover::functions(&root, &project.library_file)?;
    project.add_program(&functions)?;
    let program = project.compile(work)?;
    fs::create_dir_all(target)?;
    fs::copy(program, target.join("program"))?;
    trees::copy(source, target, &trees::is_data)?;
    Ok(())
}
