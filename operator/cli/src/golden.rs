//! Golden files: `testdata/NAME` holds what was said, `BLESS=1` rewrites it.

use std::path::Path;

/// Compares with `testdata/NAME`, or writes it.
#[track_caller]
pub(crate) fn check(name: &str, said: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, said).unwrap();
        return;
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(golden, said, "{} differs; BLESS=1 rewrites it: look at the difference", path.display());
}
