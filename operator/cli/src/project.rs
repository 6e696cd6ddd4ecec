//! A project: one directory with `muon.yaml`, which holds plain manifests without the code, and the code beside it as
//! plain files (hack/adr/0017-projects.md).
//!
//! [`read`] looks at the directory; everything else is pure: the same files make the same objects, byte for byte.

use std::path::Path;

use crate::failure::Failure;

mod code;
mod manifest;
#[cfg(test)]
mod tests;
mod tree;

pub use manifest::{Manifest, Sort};
pub use tree::{Tree, ignored, left_out};

/// The file that makes a directory a project.
pub const FILE: &str = "muon.yaml";
/// Annotation in `muon.yaml`: the directory of an object's code, where it is not the one that its name says. It is for
/// this program alone, and no object in a cluster has it.
pub const CODE: &str = "muon.dev/code";

/// The objects that a directory stands for, the code in them, in the order in which one needs the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Project {
    /// The objects, complete.
    pub objects: Vec<Manifest>,
}

/// Why a directory is no project.
#[derive(thiserror::Error, Debug, PartialEq, Eq)]
pub enum ProjectError {
    /// Nothing to start from.
    #[error("there is no {FILE} in {0}: `muon init` makes a project, or name its directory")]
    NoProject(String),
    /// The file system says no.
    #[error("{path}: {message}")]
    Unreadable {
        /// Which file.
        path: String,
        /// What is said.
        message: String,
    },
    /// `muon.yaml` is no list of manifests.
    #[error("{FILE}, document {document}: {message}")]
    Manifest {
        /// Counted from one.
        document: usize,
        /// What is wrong with it.
        message: String,
    },
    /// The code of an object cannot be found, or cannot be in a manifest.
    #[error("{object}: {message}")]
    Code {
        /// Kind and name.
        object: String,
        /// What is wrong with its code.
        message: String,
    },
}

impl From<ProjectError> for Failure {
    fn from(error: ProjectError) -> Self {
        match error {
            ProjectError::Unreadable { .. } => Self::Failed(error.to_string()),
            error => Self::Usage(error.to_string()),
        }
    }
}

impl Project {
    /// Reads the manifests and puts the code into them.
    ///
    /// # Errors
    /// They cannot be read, or an object's code is not there.
    pub fn of(tree: &Tree) -> Result<Self, ProjectError> {
        let mut objects = manifest::documents(&tree.manifests)?;
        code::fill(&mut objects, tree)?;
        objects.sort_by(|one, other| (one.sort, &one.name).cmp(&(other.sort, &other.name)));
        Ok(Self { objects })
    }

    /// The manifests as a GitOps repository keeps them: the same bytes for the same files.
    pub fn yaml(&self) -> Result<String, Failure> {
        let documents: Result<Vec<String>, Failure> =
            self.objects.iter().map(|object| crate::output::yaml(&object.value)).collect();
        Ok(documents?.join("---\n"))
    }
}

/// The project in a directory.
///
/// # Errors
/// There is none, or it cannot be read.
pub fn read(directory: &Path) -> Result<Project, ProjectError> {
    Project::of(&Tree::read(directory)?)
}
