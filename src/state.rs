//! Where either half keeps what it has to know the next time.

use std::fs::DirBuilder;
use std::io;
use std::path::PathBuf;

/// A directory for such files, which is there now, and is its owner's alone.
///
/// # Errors
/// Where there is no such directory, and none can be made.
pub fn directory() -> io::Result<PathBuf> {
    let home = dirs::state_dir().or_else(dirs::data_local_dir).ok_or(io::ErrorKind::NotFound)?;
    let directory = home.join("gotcp");
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&directory)?;
    Ok(directory)
}

/// Whether an error says that there is no place for such files, as in a container. Then there never is, and nobody wants
/// to be told every time.
#[must_use]
pub fn has_no_place(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ReadOnlyFilesystem)
}
