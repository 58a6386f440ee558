//! A session that outlives the client: kept in a file, one for each room, so that a client that was killed is who it was
//! when it is started again.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::protocol::name::Name;
use crate::state;

/// How often the position is written down at most. After a kill, what was shown in that time may be shown again.
pub const SAVE_TIME: Duration = Duration::from_secs(1);

/// The first word of the file: what follows is in the order of [`Kept`].
const FORMAT: &str = "gotcp-session-1";

/// The longest name of a file that is made of addresses: what file systems take, less an extension.
const MAX_NAME: usize = 240;

/// What it takes to come back to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The name that the user asked for, and whether with a tag: a session serves nobody who asks for another one.
    pub asked_for: AskedFor,
    /// What everyone calls the user.
    pub name: String,
    /// The secret.
    pub token: String,
    /// How far the room was read and shown, in bytes.
    pub position: u64,
}

/// The name that a user asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedFor {
    /// The name.
    pub name: String,
    /// Whether a tag is to be added to it.
    pub is_tagged: bool,
}

/// The file of a room's session, which no other client has meanwhile.
#[derive(Debug)]
pub struct Keeper {
    file: PathBuf,
    asked_for: AskedFor,
    /// What is in the file.
    saved: Option<Kept>,
    /// What is to be there.
    latest: Option<Kept>,
    saved_at: Option<Instant>,
    _lock: File,
}

impl Keeper {
    /// The file for sessions in a room, which its servers stand for, and the session in it, if it is that of a user who
    /// asks for this name. `None` if another client has it, or there is no place for such files.
    ///
    /// # Errors
    /// Says what is wrong with the file. Then the user comes as a newcomer, and nothing is kept.
    pub fn open(room: &str, asked_for: AskedFor, is_new: bool) -> io::Result<Option<(Keeper, Option<Kept>)>> {
        let directory = match state::directory() {
            Err(error) if state::has_no_place(&error) => return Ok(None),
            directory => directory?.join("sessions"),
        };
        fs::create_dir_all(&directory)?;
        let file = directory.join(file_name(room));
        let lock =
            private(OpenOptions::new().write(true).create(true).truncate(false)).open(file.with_extension("lock"))?;
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(None),
            result => result?,
        }
        let saved = if is_new { None } else { read(&file)? }.filter(|kept| kept.asked_for == asked_for);
        let keeper = Keeper { file, asked_for, saved: saved.clone(), latest: None, saved_at: None, _lock: lock };
        if is_new {
            keeper.remove()?;
        }
        Ok(Some((keeper, saved)))
    }

    /// Notes what the session has come to.
    pub fn note(&mut self, name: &str, token: &str, position: u64) {
        let (asked_for, name, token) = (self.asked_for.clone(), name.to_owned(), token.to_owned());
        self.latest = Some(Kept { asked_for, name, token, position });
    }

    /// Whether that is what was noted last.
    #[must_use]
    pub fn has(&self, name: &str, token: &str, position: u64) -> bool {
        let noted = self.latest.as_ref();
        noted.is_some_and(|kept| (&*kept.name, &*kept.token, kept.position) == (name, token, position))
    }

    /// When [`Keeper::save`] has something to do.
    #[must_use]
    pub fn save_at(&self) -> Option<Instant> {
        let latest = self.latest.as_ref().filter(|&latest| self.saved.as_ref() != Some(latest))?;
        // A new session must not be lost; what was read in it can be read again.
        let is_known = self.saved.as_ref().is_some_and(|saved| saved.token == latest.token);
        let now = Instant::now();
        Some(self.saved_at.filter(|_| is_known).map_or(now, |at| at + SAVE_TIME))
    }

    /// Writes down what is due.
    ///
    /// # Errors
    /// Where that cannot be done. It is not tried again before something changes.
    pub fn save(&mut self) -> io::Result<()> {
        if self.save_at().is_none_or(|at| at > Instant::now()) {
            return Ok(());
        }
        self.saved_at = Some(Instant::now());
        self.saved.clone_from(&self.latest);
        let Some(kept) = &self.saved else { return Ok(()) };
        let Kept { asked_for: AskedFor { name: asked, is_tagged }, name, token, position } = kept;
        let new = self.file.with_extension("new");
        let mut file = private(OpenOptions::new().write(true).create(true).truncate(true)).open(&new)?;
        writeln!(file, "{FORMAT} {asked} {is_tagged} {name} {token} {position}")?;
        fs::rename(new, &self.file)
    }

    /// The session is over.
    ///
    /// # Errors
    /// Where the file cannot be removed.
    pub fn forget(&mut self) -> io::Result<()> {
        (self.latest, self.saved) = (None, None);
        self.remove()
    }

    fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.file) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }
}

/// Whoever can read the file can be the user.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

fn read(file: &Path) -> io::Result<Option<Kept>> {
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text?,
    };
    let damaged = || io::Error::new(ErrorKind::InvalidData, format!("{} is damaged", file.display()));
    Kept::parse(&text).map(Some).ok_or_else(damaged)
}

impl Kept {
    fn parse(text: &str) -> Option<Kept> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [FORMAT, asked_for, is_tagged, name, token, position] = words[..] else { return None };
        let are_names = Name::is_one(asked_for) && Name::is_one(name);
        let is_token = token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit());
        (are_names && is_token).then_some(())?;
        let asked_for = AskedFor { name: asked_for.into(), is_tagged: is_tagged.parse().ok()? };
        Some(Kept { asked_for, name: name.into(), token: token.into(), position: position.parse().ok()? })
    }
}

/// A name for the file of a room, another one for each.
fn file_name(room: &str) -> String {
    let mut name = String::new();
    for byte in room.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' => name.push(byte.into()),
            // Capitals as well: some file systems do not tell them apart. And dots, which begin an extension.
            _ => drop(write!(name, "%{byte:02x}")),
        }
    }
    if name.len() > MAX_NAME { digest(room) } else { name }
}

fn digest(room: &str) -> String {
    let mut name = String::new();
    for byte in Sha256::digest(room) {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every room has a file of its own, whose name has nothing in it that a file system minds, and is not too long.
    #[test]
    fn rooms_have_files_of_their_own() {
        assert_eq!(file_name("[::1]:7777"), "%5b%3a%3a1%5d%3a7777");
        assert_eq!(file_name("../Host"), "%2e%2e%2f%48ost");
        assert_eq!(file_name("host-1"), "host-1");
        let long = |last: char| file_name(&format!("{}{last}", "10.20.30.40:7777,".repeat(20)));
        assert!(long('a').len() == 64 && long('a') != long('b'), "{}", long('a'));
    }

    /// What is in a file is believed only if it can be true.
    #[test]
    fn damaged_files_are_noticed() {
        let token = "0123456789abcdef0123456789abcdef";
        let kept = Kept::parse(&format!("{FORMAT} carol true carol#0b9189 {token} 17\n")).unwrap();
        assert_eq!((kept.name.as_str(), kept.position, kept.asked_for.is_tagged), ("carol#0b9189", 17, true));
        for text in [
            String::new(),
            format!("{FORMAT} carol true carol#0b9189 {token}"),
            format!("{FORMAT} carol true carol#0b9189 {token} -1"),
            format!("{FORMAT} carol maybe carol#0b9189 {token} 17"),
            format!("{FORMAT} carol true a:b {token} 17"),
            format!("{FORMAT} carol true carol#0b9189 {token}0 17"),
            format!("gotcp-session-2 carol true carol#0b9189 {token} 17"),
        ] {
            assert_eq!(Kept::parse(&text), None, "{text}");
        }
    }
}
