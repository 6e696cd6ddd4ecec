//! Why an archive is not unpacked.

use std::io;

/// A rule or a bound that an archive breaks.
#[derive(thiserror::Error, Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It holds nothing.
    #[error("the archive holds no file")]
    Empty,
    /// It cannot be read.
    #[error("the archive is damaged: {0}")]
    Damaged(String),
    /// It uses something that is not read.
    #[error("{name:?} {what}")]
    Unsupported {
        /// The entry.
        name: String,
        /// What it has.
        what: &'static str,
    },
    /// A name that leads outside, or is no name.
    #[error("the name {name:?} {why}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Neither a file nor a directory.
    #[error("{name:?} is a {kind}; only files and directories are unpacked")]
    Kind {
        /// The entry.
        name: String,
        /// What it is.
        kind: &'static str,
    },
    /// Two entries of one name.
    #[error("{0:?} is in the archive twice, or is a file where another entry needs a directory")]
    Duplicate(String),
    /// More entries than the bound.
    #[error("the archive holds more than {0} files and directories")]
    Entries(u64),
    /// More bytes than the bound.
    #[error("the archive unpacks to more than {0} bytes")]
    Bytes(u64),
    /// One file over its bound.
    #[error("a file in the archive is larger than {0} bytes")]
    FileBytes(u64),
    /// Far more bytes than the archive itself has.
    #[error("the archive unpacks to more than {0} times its own size")]
    Ratio(u64),
    /// More of what came out would have to be held in memory.
    #[error(
        "the archive is compressed with a window of more than {0} MiB, which unpacking would hold in memory: compress \
         it with zstd -19 or less, and without --long"
    )]
    Window(u64),
    /// It can be read only with something that is not in it.
    #[error("the archive is compressed with a dictionary, which is not in it")]
    Dictionary,
    /// The time that the load had is over.
    #[error("the time for the load was over")]
    Time,
}

impl Refused {
    /// One CamelCase word for machines.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Empty => "ArchiveEmpty",
            Self::Damaged(_) => "ArchiveDamaged",
            Self::Unsupported { .. } | Self::Dictionary => "ArchiveUnsupported",
            Self::Window(_) => "ArchiveWindow",
            Self::Name { .. } => "ArchiveNameRefused",
            Self::Kind { .. } => "ArchiveEntryRefused",
            Self::Duplicate(_) => "ArchiveNameTwice",
            Self::Entries(_) => "ArchiveTooManyEntries",
            Self::Bytes(_) | Self::FileBytes(_) => "ArchiveTooLarge",
            Self::Ratio(_) => "ArchiveRatio",
            Self::Time => "ArchiveTime",
        }
    }
}

/// Unpacking failed: the archive's fault, or this machine's.
#[derive(thiserror::Error, Debug)]
pub enum UnpackError {
    /// The archive's fault.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The disk's.
    #[error("the package could not be written: {0}")]
    Disk(#[from] io::Error),
}

impl UnpackError {
    /// An error from reading the archive: a refusal that passed through a reader, or damage.
    pub fn reading(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Refused>()) {
            Some(refused) => Self::Refused(refused.clone()),
            None => Self::Refused(Refused::Damaged(error.to_string())),
        }
    }
}
