//! The templates: each a function that says hello, as its Environment's samples do.

use std::fmt::Write as _;

use clap::ValueEnum;

/// Languages with a template; the value is the Environment's name, but for TypeScript.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    Python,
    Node,
    Typescript,
    Go,
    Java,
    Csharp,
    Rust,
    Php,
    Ruby,
    Binary,
}

struct Template {
    environment: &'static str,
    entrypoint: &'static str,
    /// The code is built: it is in a Package.
    built: bool,
    file: &'static str,
    code: &'static str,
}

impl Language {
    const fn template(self) -> Template {
        match self {
            Self::Python => Template {
                environment: "python",
                entrypoint: "main.main",
                built: false,
                file: "main.py",
                code: include_str!("../../templates/main.py.txt"),
            },
            Self::Node => Template {
                environment: "node",
                entrypoint: "",
                built: false,
                file: "index.js",
                code: include_str!("../../templates/index.js.txt"),
            },
            Self::Typescript => Template {
                environment: "node",
                entrypoint: "index.handler",
                built: true,
                file: "index.ts",
                code: include_str!("../../templates/index.ts.txt"),
            },
            Self::Go => Template {
                environment: "go",
                entrypoint: "Handle",
                built: true,
                file: "hello.go",
                code: include_str!("../../templates/hello.go.txt"),
            },
            Self::Java => Template {
                environment: "java",
                entrypoint: "hello.Hello.handle",
                built: true,
                file: "hello/Hello.java",
                code: include_str!("../../templates/Hello.java.txt"),
            },
            Self::Csharp => Template {
                environment: "csharp",
                entrypoint: "App.Hello.Handle",
                built: true,
                file: "Hello.cs",
                code: include_str!("../../templates/Hello.cs.txt"),
            },
            Self::Rust => Template {
                environment: "rust",
                entrypoint: "handle",
                built: true,
                file: "lib.rs",
                code: include_str!("../../templates/lib.rs.txt"),
            },
            Self::Php => Template {
                environment: "php",
                entrypoint: "",
                built: false,
                file: "main.php",
                code: include_str!("../../templates/main.php.txt"),
            },
            Self::Ruby => Template {
                environment: "ruby",
                entrypoint: "",
                built: false,
                file: "main.rb",
                code: include_str!("../../templates/main.rb.txt"),
            },
            Self::Binary => Template {
                environment: "binary",
                entrypoint: "",
                built: false,
                file: "main.sh",
                code: include_str!("../../templates/main.sh.txt"),
            },
        }
    }
}

/// Says what cannot be written into a manifest as it is.
pub(crate) fn check(name: &str, path: &str, host: Option<&str>) -> Result<(), String> {
    let label = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_lowercase())
            && !text.ends_with('-')
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    if !label(name) || name.len() > 50 {
        return Err(format!(
            "{name:?} is no name for a function: lower-case letters, digits and '-', beginning with a letter, at most 50 characters; --name says another one"
        ));
    }
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/{}*".contains(&byte));
    if !path.starts_with('/') || !plain(path) {
        return Err(format!("{path:?} is no path for a route: it begins with '/', as in /hello or /users/{{id}}"));
    }
    match host {
        Some(host) if host.is_empty() || !plain(host) || host.contains('/') => Err(format!("{host:?} is no host")),
        _ => Ok(()),
    }
}

/// Paths and texts of all files. The code goes into `directory`, the manifests to the top.
pub(crate) fn files(
    language: Language,
    name: &str,
    path: &str,
    host: Option<&str>,
    directory: &str,
) -> Vec<(String, String)> {
    let template = language.template();
    vec![
        (crate::project::FILE.to_owned(), manifests(&template, name, path, host)),
        (format!("{directory}{}", template.file), template.code.to_owned()),
    ]
}

fn manifests(template: &Template, name: &str, path: &str, host: Option<&str>) -> String {
    let mut text = String::from("# What runs, and where it answers; the code is in the files beside this one.\n");
    if template.built {
        let _ = write!(
            text,
            "apiVersion: muon.dev/v1alpha1\nkind: Package\nmetadata:\n  name: {name}\nspec:\n  environment: {}\n  build: {{}}\n---\n",
            template.environment
        );
    }
    let _ = write!(
        text,
        "apiVersion: muon.dev/v1alpha1\nkind: Function\nmetadata:\n  name: {name}\nspec:\n  environment: {}\n",
        template.environment
    );
    if template.built {
        let _ = writeln!(text, "  package: {name}");
    }
    if !template.entrypoint.is_empty() {
        let _ = writeln!(text, "  entrypoint: {}", template.entrypoint);
    }
    let _ = write!(text, "---\napiVersion: muon.dev/v1alpha1\nkind: HTTPTrigger\nmetadata:\n  name: {name}\nspec:\n");
    if let Some(host) = host {
        let _ = writeln!(text, "  host: {:?}", host);
    }
    let _ = write!(text, "  path: {path:?}\n  function:\n    name: {name}\n");
    if host.is_some() {
        text.push_str("  ingress: {}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::golden;
    use crate::project::{FILE, Project, Tree};

    #[test]
    fn every_template_is_a_project_of_an_environment_that_there_is() {
        let mut all = String::new();
        for language in Language::value_variants() {
            let environment = language.template().environment;
            let known =
                format!("{}/../../config/environments/{environment}/environment.yaml", env!("CARGO_MANIFEST_DIR"));
            assert!(std::path::Path::new(&known).is_file(), "{known}");
            for (host, directory) in [(Some("hello.example.com"), ""), (None, "hello/")] {
                let mut files: BTreeMap<String, String> =
                    files(*language, "hello", "/hello", host, directory).into_iter().collect();
                let manifests = files.remove(FILE).unwrap();
                let files = files.into_iter().map(|(path, text)| (path, text.into_bytes())).collect();
                let made = Project::of(&Tree { manifests, files }).unwrap().yaml().unwrap();
                let _ = write!(all, "# {language:?}, {host:?}\n{made}");
            }
        }
        golden::check("templates.yaml", &all);
    }

    #[test]
    fn names_and_paths_are_those_of_the_api() {
        assert_eq!(check("hello-2", "/users/{id}", Some("*.example.com")), Ok(()));
        for (name, path, host) in [
            ("Hello", "/", None),
            ("2", "/", None),
            ("", "/", None),
            ("a-", "/", None),
            ("a", "x", None),
            ("a", "/ b", None),
            ("a", "/\n", None),
            ("a", "/", Some("a b")),
            ("a", "/", Some("")),
        ] {
            assert!(check(name, path, host).is_err(), "{name:?} {path:?} {host:?}");
        }
    }
}
