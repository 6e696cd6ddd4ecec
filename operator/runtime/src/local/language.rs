//! The languages that run here, and what a machine must have for each.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::sources::{self, SourcesError};

/// A language whose runtime can be a process of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Language {
    Python,
    Node,
    Ruby,
    Php,
    Binary,
}

/// How a runtime is started: a command, and variables beside those of every runtime.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) env: BTreeMap<String, String>,
}

/// Why no runtime of a language can be started.
#[derive(thiserror::Error, Debug)]
pub(crate) enum LanguageError {
    #[error(transparent)]
    Sources(#[from] SourcesError),
    #[error("no {program} on PATH, which functions of the Environment {language} need: {install}")]
    NotFound { program: &'static str, language: &'static str, install: &'static str },
    #[error("{program} cannot run functions of the Environment {language}: {said}{install}")]
    Unfit { program: PathBuf, language: &'static str, said: String, install: String },
    #[error("--debug is for python and node; the Environment {0} has no debugger here")]
    NoDebugger(&'static str),
    #[error("the runtime of the Environment binary could not be built with {program}: {said}")]
    Build { program: PathBuf, said: String },
}

/// What a language asks of its interpreter.
struct Needs {
    program: &'static str,
    /// Arguments that end well where the runtime can run.
    probe: &'static [&'static str],
    install: &'static str,
}

impl Language {
    pub(crate) const ALL: [Self; 5] = [Self::Python, Self::Node, Self::Ruby, Self::Php, Self::Binary];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Node => "node",
            Self::Ruby => "ruby",
            Self::Php => "php",
            Self::Binary => "binary",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.name() == name)
    }

    fn needs(self) -> Needs {
        match self {
            Self::Python => Needs {
                program: "python3",
                probe: &[
                    "-c",
                    "import importlib.util as u, sys; missing = [m for m in ('uvicorn', 'uvloop', 'httptools', 'websockets') if not u.find_spec(m)]; \
                     sys.exit('it lacks ' + ', '.join(missing) if missing else 0)",
                ],
                install: "python3 -m venv .venv && .venv/bin/pip install uvicorn uvloop httptools websockets (or Debian's python3-uvicorn python3-uvloop python3-httptools python3-websockets)",
            },
            Self::Node => Needs {
                program: "node",
                probe: &[
                    "-e",
                    "if (Number(process.versions.node.split('.')[0]) < 18) { console.error('it is ' + process.version); process.exit(1) }",
                ],
                install: "install Node.js 18 or newer",
            },
            Self::Ruby => Needs {
                program: "ruby",
                probe: &["-e", "begin; require 'puma'; rescue LoadError; abort 'it lacks puma'; end"],
                install: "gem install puma (or Debian's package puma), with Ruby 3.1 or newer",
            },
            Self::Php => Needs {
                program: "php",
                probe: &[
                    "-r",
                    "if (PHP_VERSION_ID < 80100 || !extension_loaded('pcntl')) { fwrite(STDERR, 'it is ' . PHP_VERSION . ' and has ' . implode(' ', get_loaded_extensions())); exit(1); }",
                ],
                install: "install PHP 8.1 or newer for the command line, with pcntl (Debian's php-cli)",
            },
            Self::Binary => Needs {
                program: "go",
                probe: &["version"],
                install: "put muon-binary, the program of the image muon/binary, on PATH, or Go to build it with",
            },
        }
    }

    /// How the runtime is started for a project in this folder; `debug`: with a debugger that listens on this port.
    pub(crate) async fn start(self, project: &Path, debug: Option<u16>) -> Result<Start, LanguageError> {
        let runtime = sources::unpacked(self.name())?;
        let plain = |program, arguments: Vec<OsString>| Start { program, arguments, env: BTreeMap::new() };
        match (self, debug) {
            (Self::Python, debug) => {
                let program = self.interpreter(project).await?;
                let mut arguments: Vec<OsString> = Vec::new();
                if let Some(port) = debug {
                    probe(&program, &["-c", "import importlib.util as u, sys; sys.exit(0 if u.find_spec('debugpy') else 'it lacks debugpy')"])
                        .await
                        .map_err(|said| self.unfit(&program, said, &format!("{} -m pip install debugpy", program.display())))?;
                    arguments.extend(["-Xfrozen_modules=off".into(), "-m".into(), "debugpy".into(), "--listen".into()]);
                    arguments.push(format!("127.0.0.1:{port}").into());
                }
                arguments.push(runtime.into());
                let env = [("PYTHONUTF8", "1"), ("PYDEVD_DISABLE_FILE_VALIDATION", "1")];
                let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
                Ok(Start { program, arguments, env })
            }
            (Self::Node, debug) => {
                let mut arguments: Vec<OsString> = vec!["--max-http-header-size=65536".into()];
                arguments.extend(debug.map(|port| format!("--inspect=127.0.0.1:{port}").into()));
                arguments.push(runtime.join("main.js").into());
                Ok(plain(self.interpreter(project).await?, arguments))
            }
            (_, Some(_)) => Err(LanguageError::NoDebugger(self.name())),
            (Self::Ruby, None) => Ok(plain(self.interpreter(project).await?, vec![runtime.join("main.rb").into()])),
            (Self::Php, None) => {
                let arguments = vec!["-c".into(), runtime.join("php.ini").into(), runtime.join("main.php").into()];
                Ok(plain(self.interpreter(project).await?, arguments))
            }
            (Self::Binary, None) => Ok(plain(self.program(&runtime).await?, Vec::new())),
        }
    }

    /// The first interpreter that can run the runtime: the project's own, then those on PATH.
    async fn interpreter(self, project: &Path) -> Result<PathBuf, LanguageError> {
        let Needs { program, probe: wanted, install } = self.needs();
        let own = [".venv/bin/python", "venv/bin/python"].map(|path| project.join(path));
        let mut candidates: Vec<PathBuf> =
            own.into_iter().filter(|path| self == Self::Python && path.exists()).collect();
        candidates.extend(on_path(program));
        let mut first = None;
        for candidate in candidates {
            match probe(&candidate, wanted).await {
                Ok(()) => return Ok(candidate),
                Err(said) => first = first.or(Some(self.unfit(&candidate, said, install))),
            }
        }
        Err(first.unwrap_or(LanguageError::NotFound { program, language: self.name(), install }))
    }

    fn unfit(self, program: &Path, said: String, install: &str) -> LanguageError {
        let install = format!("; {install}");
        LanguageError::Unfit { program: program.to_owned(), language: self.name(), said, install }
    }

    /// The runtime that is a program: the one on PATH, or built once from its sources.
    async fn program(self, sources: &Path) -> Result<PathBuf, LanguageError> {
        if let Some(program) = on_path("muon-binary").into_iter().next() {
            return Ok(program);
        }
        let built = sources.join("muon-binary");
        if built.is_file() {
            return Ok(built);
        }
        let go = self.interpreter(sources).await?;
        // Its name comes last, so that a build that is broken off leaves none.
        let unfinished = sources.join(format!("muon-binary.{}", std::process::id()));
        let failed = |said: String| LanguageError::Build { program: go.clone(), said };
        let build = Command::new(&go)
            .args(["build", "-trimpath", "-o"])
            .arg(&unfinished)
            .arg(".")
            .current_dir(sources.join("binary").join("runtime"))
            .env("CGO_ENABLED", "0")
            .env("GOTOOLCHAIN", "local")
            .env("GOFLAGS", "-buildvcs=false")
            .output();
        let said = build.await.map_err(|error| failed(error.to_string()))?;
        if !said.status.success() {
            return Err(failed(String::from_utf8_lossy(&said.stderr).trim().to_owned()));
        }
        std::fs::rename(&unfinished, &built).map_err(|error| failed(error.to_string()))?;
        Ok(built)
    }
}

/// All programs of this name on PATH, in its order.
fn on_path(program: &str) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(program)).filter(|file| file.is_file()).collect()
}

/// Whether the program ends well with these arguments; else what it says.
async fn probe(program: &Path, arguments: &[&str]) -> Result<(), String> {
    let ended = Command::new(program).args(arguments).stdin(std::process::Stdio::null()).output().await;
    let ended = ended.map_err(|error| error.to_string())?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    Err(said.trim().lines().last().map_or_else(|| ended.status.to_string(), str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_an_interpreter_lacks_is_said() {
        let said = probe(Path::new("/bin/sh"), &["-c", "echo it lacks much >&2; exit 1"]).await;
        assert_eq!(said, Err("it lacks much".to_owned()));
        assert_eq!(probe(Path::new("/bin/sh"), &["-c", "exit 0"]).await, Ok(()));
        assert!(probe(Path::new("/nowhere/at/all"), &[]).await.is_err());
        let error = Language::Python.unfit(Path::new("/usr/bin/python3"), "it lacks uvicorn".into(), "pip install it");
        let error = error.to_string();
        assert!(error.contains("/usr/bin/python3") && error.ends_with("it lacks uvicorn; pip install it"), "{error}");
    }

    #[test]
    fn names_are_those_of_the_environments() {
        for language in Language::ALL {
            assert_eq!(Language::parse(language.name()), Some(language));
            assert!(sources::environment(language.name()).is_some());
        }
        assert_eq!(Language::parse("go"), None);
    }
}
