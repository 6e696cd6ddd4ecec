//! The crate of a function, and the program that is made around it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use crate::Failure;

/// The folder that is added to the crate, and the name of the program in it.
const FOLDER: &str = "muon_program";
/// Cargo's own settings, among what the Environment says of registries.
const SETTINGS: &str = "/etc/muon/registries/config.toml";
/// Where a crate's library may lie; the last is for sources without a Cargo.toml.
const LIBRARIES: [&str; 3] = ["src/lib.rs", "lib.rs", "handler.rs"];

pub struct Project {
    root: PathBuf,
    library: PathBuf,
    name: String,
    pub library_file: PathBuf,
}

impl Project {
    /// Sees to it that there is a manifest, that a lock file decides what is used, and that the crate knows `muon`.
    pub fn prepare(root: &Path, library: &Path) -> Result<Self, Failure> {
        let file = LIBRARIES.iter().find(|file| root.join(file).is_file());
        let Some(file) = file else {
            return Err(Failure::Told(format!("the source has no {}", LIBRARIES.join(", "))));
        };
        let manifest = root.join("Cargo.toml");
        if !manifest.exists() {
            let text = format!(
                "[package]\nname = \"function\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[lib]\npath = \"{file}\"\n"
            );
            fs::write(&manifest, text)?;
        }
        let mut text = fs::read_to_string(&manifest)?;
        let name = field(&text, "package", "name");
        let name = name.ok_or_else(|| Failure::Told("Cargo.toml: there is no `name` in [package]".to_owned()))?;
        if !root.join("Cargo.lock").exists() && has_dependencies(&text) {
            let message = "Cargo.toml names dependencies, and there is no Cargo.lock that says which: run `cargo generate-lockfile` and add it";
            return Err(Failure::Told(message.to_owned()));
        }
        if field(&text, "dependencies", "muon").is_none() && !text.contains("[dependencies.muon]") {
            text.push_str(&format!("\n[dependencies.muon]\npath = {library:?}\n"));
        }
        if !text.lines().any(|line| line.trim() == "[workspace]") {
            text.push_str("\n[workspace]\n");
        }
        text = text.replacen("[workspace]", &format!("[workspace]\nmembers = [\"{FOLDER}\"]"), 1);
        fs::write(&manifest, text)?;
        let (root, library) = (root.to_owned(), library.to_owned());
        Ok(Self { root, library, name, library_file: PathBuf::from(file) })
    }

    /// Adds the program: a table of the functions, and the server that calls one of them.
    pub fn add_program(&self, functions: &[String]) -> Result<(), Failure> {
        let folder = self.root.join(FOLDER);
        fs::create_dir_all(&folder)?;
        let (name, library) = (&self.name, &self.library);
        let manifest = format!(
            "[package]\nname = \"{FOLDER}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[[bin]]\nname = \"program\"\npath = \"main.rs\"\n\n\
             [dependencies]\nmuon = {{ path = {library:?} }}\nfunction = {{ package = \"{name}\", path = \"..\" }}\n"
        );
        fs::write(folder.join("Cargo.toml"), manifest)?;
        let entries: Vec<String> =
            functions.iter().map(|path| format!("        ({path:?}, muon::handler(function::{path})),\n")).collect();
        let text = format!("fn main() {{\n    muon::serve(vec![\n{}    ])\n}}\n", entries.concat());
        fs::write(folder.join("main.rs"), text)?;
        Ok(())
    }

    /// Runs cargo, whose words have the place of each error, and returns where the program is.
    pub fn compile(&self, work: &Path) -> Result<PathBuf, Failure> {
        let home = env::var_os("CARGO_HOME").map_or_else(|| work.join("cargo"), PathBuf::from);
        fs::create_dir_all(&home)?;
        if Path::new(SETTINGS).is_file() && !home.join("config.toml").exists() {
            fs::copy(SETTINGS, home.join("config.toml"))?;
        }
        let target = host()?;
        let built = work.join("target");
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--release", "--quiet", "--package", FOLDER, "--target", &target]);
        cargo.env("CARGO_HOME", home).env("CARGO_TARGET_DIR", &built).current_dir(&self.root);
        // A static program, whose stacks have files and lines.
        cargo.env("RUSTFLAGS", "-C target-feature=+crt-static").env("CARGO_PROFILE_RELEASE_DEBUG", "line-tables-only");
        cargo.env("CARGO_INCREMENTAL", "0").env("CARGO_TERM_COLOR", "never").stdin(Stdio::null());
        let status = cargo.status().map_err(|error| Failure::Told(format!("cargo cannot be run: {error}")))?;
        if !status.success() {
            return Err(Failure::Told("cargo build failed: see the lines above".to_owned()));
        }
        Ok(built.join(target).join("release/program"))
    }
}

/// The compiler's own platform: named, so that build scripts and macros are not made static.
fn host() -> Result<String, Failure> {
    let said = Command::new("rustc").arg("-vV").output()?;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned).ok_or_else(|| Failure::Told("rustc does not say its platform".to_owned()))
}

/// What follows `key =` in a section, without quotes.
fn field(manifest: &str, section: &str, key: &str) -> Option<String> {
    let heading = format!("[{section}]");
    let lines = manifest.lines().map(str::trim).skip_while(|line| *line != heading).skip(1);
    let mut lines = lines.take_while(|line| !line.starts_with('['));
    let value = lines.find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix('='))?;
    Some(value.trim().trim_matches('"').to_owned())
}

fn has_dependencies(manifest: &str) -> bool {
    let lines = manifest.lines().map(str::trim).skip_while(|line| !line.starts_with("[dependencies"));
    let mut inside = lines.clone().skip(1).take_while(|line| !line.starts_with('['));
    let named = lines.clone().next().is_some_and(|line| line.starts_with("[dependencies."));
    named || inside.any(|line| !line.is_empty() && !line.starts_with('#'))
}
