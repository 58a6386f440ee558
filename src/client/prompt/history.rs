//! What the user sent in earlier sessions, kept in a file where such files belong.

use std::fs::DirBuilder;
use std::io;
use std::path::PathBuf;

/// Lines that are kept.
pub const MAX_LINES: usize = 1000;

/// The file, in a directory that exists and that is its owner's alone. (rustyline sees to the file's own mode.)
///
/// # Errors
/// Fails when there is no such directory, and none can be made.
pub fn file() -> io::Result<PathBuf> {
    let home = dirs::state_dir().or_else(dirs::data_local_dir).ok_or(io::ErrorKind::NotFound)?;
    let directory = home.join("gotcp");
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&directory)?;
    Ok(directory.join("history"))
}
