//! `muon init` and `muon new`: a project, and one function more of it, from a language's template.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::failure::Failure;
use crate::output::{self, Terminal};
use crate::project;

mod template;

pub(crate) use template::Language;

/// Arguments of `muon init`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The directory that is made; its name is the function's.
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
    /// The function's name, where it is not the directory's.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    function: FunctionArguments,
}

/// What `muon new` makes.
#[derive(Subcommand, Debug)]
pub enum New {
    /// One function more, with a directory of its own in the project.
    #[command(visible_alias = "function")]
    Fn(NewFunction),
}

/// Arguments of `muon new fn`.
#[derive(Args, Debug)]
pub struct NewFunction {
    /// The function's name, and that of its directory.
    #[arg(value_name = "NAME")]
    name: String,
    /// The project's directory.
    #[arg(short = 'f', long, default_value = ".", value_name = "DIRECTORY")]
    project: PathBuf,
    #[command(flatten)]
    function: FunctionArguments,
}

/// What a function starts from.
#[derive(Args, Debug)]
struct FunctionArguments {
    /// The language.
    #[arg(short, long, value_enum)]
    language: Language,
    /// Path of the route; absent: `/` and the function's name.
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// Host of the route; it becomes public. Absent: the route is inside the cluster only.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
}

pub(crate) fn init(arguments: &Arguments, _: Terminal) -> Result<(), Failure> {
    let directory = &arguments.directory;
    let own = directory.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = arguments.name.clone().or(own).unwrap_or_default();
    let files = files(&name, &arguments.function, "")?;
    if directory.join(project::FILE).exists() {
        return Err(Failure::Usage(format!(
            "{} is a project already: muon new fn NAME makes one function more in it",
            directory.display()
        )));
    }
    write(directory, &files)?;
    let at = directory.display();
    output::write(&format!("{at}: function {name}\nmuon deploy {at}\nmuon call {name}\n"))
}

pub(crate) fn new(New::Fn(arguments): &New, _: Terminal) -> Result<(), Failure> {
    let file = arguments.project.join(project::FILE);
    let manifests = std::fs::read_to_string(&file)
        .map_err(|error| Failure::Usage(format!("{}: {error}; muon init makes a project", file.display())))?;
    let mut files = files(&arguments.name, &arguments.function, &format!("{}/", arguments.name))?;
    let Some(position) = files.iter().position(|(path, _)| path == project::FILE) else { return Ok(()) };
    let (_, more) = files.remove(position);
    let whole = format!("{}\n---\n{more}", manifests.trim_end());
    // What is there stays as it is: a name that is taken is refused before anything is written.
    write(&arguments.project, &files)?;
    let project = project::Tree::read(&arguments.project)
        .and_then(|tree| project::Project::of(&project::Tree { manifests: whole.clone(), ..tree }));
    if let Err(error) = project {
        for (path, _) in &files {
            let _ = std::fs::remove_file(arguments.project.join(path));
        }
        let _ = std::fs::remove_dir(arguments.project.join(&arguments.name));
        return Err(error.into());
    }
    std::fs::write(&file, whole).map_err(|error| Failure::Failed(format!("{}: {error}", file.display())))?;
    output::write(&format!("function {} in {}\n", arguments.name, arguments.project.join(&arguments.name).display()))
}

fn files(name: &str, function: &FunctionArguments, directory: &str) -> Result<Vec<(String, String)>, Failure> {
    let path = function.path.clone().unwrap_or_else(|| match function.host {
        Some(_) => "/".to_owned(),
        None => format!("/{name}"),
    });
    template::check(name, &path, function.host.as_deref()).map_err(Failure::Usage)?;
    Ok(template::files(function.language, name, &path, function.host.as_deref(), directory))
}

/// Writes files that are not there yet.
fn write(directory: &Path, files: &[(String, String)]) -> Result<(), Failure> {
    let failed = |path: &Path, error: std::io::Error| Failure::Failed(format!("{}: {error}", path.display()));
    for (path, _) in files {
        let path = directory.join(path);
        if path.exists() {
            return Err(Failure::Usage(format!("{} is there already, and is not overwritten", path.display())));
        }
    }
    for (path, text) in files {
        let path = directory.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| failed(parent, error))?;
        }
        std::fs::write(&path, text).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}
