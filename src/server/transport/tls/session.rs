//! TLS without buffers of its own.
//!
//! A [`Session`] keeps only what cannot be dealt with at once: the beginning of a record that has not arrived whole, and
//! of a few records the rest that the socket did not take. Everything else goes through a scratch that all sessions share.
//! So a member costs a few KiB, whatever is said.
//!
//! What is encrypted counts as taken, like what a plain socket keeps in the kernel; and while there is a rest, nothing
//! more is encrypted. So a slow reader is at most a few records further behind than it seems.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, UnbufferedStatus};

use super::super::unsent::Unsent;
use super::super::{Socket, is_passing};

/// The most bytes that one record has, with its header: 2^14 bytes of text, 256 for encrypting them, 5 of header (RFC
/// 8446, 5.2).
pub const RECORD: usize = 5 + (1 << 14) + 256;
/// The most text in one record.
const TEXT: usize = 1 << 14;

/// The most records that are written at once. A write of one costs the kernel nearly as much as one of four, but what
/// the socket does not take of them has to be kept.
const MAX_BATCH: usize = 4;

/// Room that all sessions share.
#[derive(Default)]
pub struct Scratch {
    /// Text to be encrypted.
    text: Vec<u8>,
    /// Records that arrive.
    incoming: Vec<u8>,
    /// Records that leave.
    outgoing: Vec<u8>,
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scratch(..)")
    }
}

/// The server's end of one TLS connection.
#[allow(clippy::struct_excessive_bools)] // Each is a fact of its own about the connection.
pub struct Session {
    connection: UnbufferedServerConnection,
    /// What has arrived of a record that is not whole.
    incoming: Vec<u8>,
    /// What is encrypted and the socket has not taken.
    outgoing: Unsent,
    /// How many records may be written at once: more each time that the socket takes all of them, and one after it has not.
    batch: usize,
    /// Whether `incoming` has not been looked at since it arrived.
    is_fresh: bool,
    /// Whether the handshake is done.
    is_open: bool,
    /// Whether the peer has broken the rules: then nothing of it is looked at any more.
    has_failed: bool,
    /// Whether the peer has said that it will send nothing more.
    has_peer_ended: bool,
    /// Whether the peer was told that nothing more comes.
    has_ended: bool,
}

impl Session {
    /// A session of which these first bytes have arrived.
    ///
    /// # Errors
    /// Where rustls refuses the configuration.
    pub fn new(config: Arc<ServerConfig>, incoming: Vec<u8>) -> io::Result<Session> {
        Ok(Session {
            connection: UnbufferedServerConnection::new(config).map_err(io::Error::other)?,
            incoming,
            outgoing: Unsent::default(),
            batch: 1,
            is_fresh: true,
            is_open: false,
            has_failed: false,
            has_peer_ended: false,
            has_ended: false,
        })
    }

    /// Whether the handshake is done.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether something is encrypted that the socket has not taken.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Reads once, and returns how many bytes of text came of it. `buffer` has room for at least one [`RECORD`].
    ///
    /// # Errors
    /// Those of the socket; `Interrupted` if no text came of it; `UnexpectedEof` if the peer was cut off; `InvalidData` if
    /// it does not speak TLS.
    pub fn read(&mut self, socket: &mut impl Socket, scratch: &mut Scratch, buffer: &mut [u8]) -> io::Result<usize> {
        if self.has_peer_ended {
            return Ok(0);
        }
        if self.has_failed {
            return Err(ErrorKind::InvalidData.into());
        }
        let kept = self.incoming.len();
        // No more than `buffer` has room for, since the text is never longer than its records.
        let limit = buffer.len().max(kept + 1);
        if scratch.incoming.len() < limit {
            scratch.incoming.resize(limit, 0);
        }
        let mut arrived = 0;
        if !std::mem::take(&mut self.is_fresh) {
            arrived = socket.read(&mut scratch.incoming[kept..limit])?;
            if arrived == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        let records = &mut scratch.incoming[..kept + arrived];
        records[..kept].copy_from_slice(&self.incoming);
        let outcome = self.process(records, buffer);
        match outcome {
            Ok((used, _)) => self.incoming = records[used..].to_vec(),
            Err(_) => self.has_failed = true,
        }
        // The handshake goes on without waiting for something to be said; and if it failed, the peer is told why. If that
        // cannot be written, it is the next write that fails: what has arrived counts first.
        let _ = self.flush(socket);
        let (_, text) = outcome.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        // What is left is less than a record, unless a message of a handshake has several; no honest one does.
        if self.incoming.len() >= RECORD {
            return Err(ErrorKind::InvalidData.into());
        }
        if text == 0 && !self.has_peer_ended {
            return Err(ErrorKind::Interrupted.into());
        }
        Ok(text)
    }

    /// Encrypts and writes a few records of text at most; returns how much text that is.
    ///
    /// # Errors
    /// Those of the socket, if it took nothing.
    pub fn write(
        &mut self,
        socket: &mut impl Socket,
        scratch: &mut Scratch,
        slices: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        self.flush(socket)?;
        let Scratch { text, outgoing: records, .. } = scratch;
        let limit = self.batch * TEXT;
        let text = match slices {
            // Worth a record of its own, and a copy less.
            [first, ..] if first.len() >= TEXT => &first[..first.len().min(limit)],
            _ => {
                text.clear();
                for slice in slices {
                    text.extend_from_slice(&slice[..slice.len().min(limit - text.len())]);
                }
                text
            }
        };
        // Before them, an answer to new keys may have to be sent.
        records.resize((MAX_BATCH + 1) * RECORD, 0);
        let length = self.encrypt(|traffic| traffic.encrypt(text, records).map_err(io::Error::other))?;
        let written = if self.is_behind() {
            0
        } else {
            match socket.write(&[IoSlice::new(&records[..length])]) {
                Ok(count) => count,
                Err(error) if is_passing(&error) => 0,
                Err(error) => return Err(error),
            }
        };
        self.outgoing.push(&records[written..length]);
        self.batch = if self.is_behind() { 1 } else { MAX_BATCH.min(2 * self.batch) };
        Ok(text.len())
    }

    /// Writes what is encrypted.
    ///
    /// # Errors
    /// Those of the socket, `WouldBlock` if it did not take all of it.
    pub fn flush(&mut self, socket: &mut impl Socket) -> io::Result<()> {
        self.outgoing.flush(socket)
    }

    /// Tells the peer that nothing more comes. Returns whether the socket has taken that.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn end(&mut self, socket: &mut impl Socket) -> io::Result<bool> {
        if self.is_open && !self.has_failed && !std::mem::replace(&mut self.has_ended, true) {
            let mut notice = [0; 64];
            let length = self.encrypt(|traffic| traffic.queue_close_notify(&mut notice).map_err(io::Error::other))?;
            self.outgoing.push(&notice[..length]);
        }
        match self.flush(socket) {
            Ok(()) => Ok(true),
            Err(error) if is_passing(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Decrypts whole records into `text`. Returns how many bytes of each there are.
    fn process(&mut self, records: &mut [u8], text: &mut [u8]) -> Result<(usize, usize), rustls::Error> {
        let (mut used, mut written) = (0, 0);
        loop {
            let UnbufferedStatus { mut discard, state, .. } = self.connection.process_tls_records(&mut records[used..]);
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        let room = text.get_mut(written..written + record.payload.len());
                        // Before the handshake is done, nobody may send that much.
                        room.ok_or(rustls::Error::HandshakeNotComplete)?.copy_from_slice(record.payload);
                        written += record.payload.len();
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, &mut self.outgoing),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::WriteTraffic(_)) => {
                    self.is_open = true;
                    return Ok((used + discard, written));
                }
                Ok(ConnectionState::PeerClosed) => self.has_peer_ended = true,
                Ok(_) => return Ok((used + discard, written)),
                Err(error) => {
                    // The first thing it has to say now is to tell the peer why.
                    let rest = &mut records[used + discard..];
                    if let Ok(ConnectionState::EncodeTlsData(mut data)) =
                        self.connection.process_tls_records(rest).state
                    {
                        encode(&mut data, &mut self.outgoing);
                    }
                    return Err(error);
                }
            }
            used += discard;
        }
    }

    /// Encrypts something, once what else is to be sent before is encoded.
    fn encrypt(
        &mut self,
        mut encrypt: impl FnMut(
            &mut rustls::unbuffered::WriteTraffic<'_, rustls::server::ServerConnectionData>,
        ) -> io::Result<usize>,
    ) -> io::Result<usize> {
        if self.has_failed {
            return Err(ErrorKind::BrokenPipe.into());
        }
        loop {
            // What has arrived of a message is not used up, and rustls knows where in it it was.
            let UnbufferedStatus { discard, state, .. } = self.connection.process_tls_records(&mut self.incoming);
            let outcome = match state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => Some(encrypt(&mut traffic)),
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    encode(&mut data, &mut self.outgoing);
                    None
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    None
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.has_peer_ended = true;
                    None
                }
                Ok(_) => Some(Err(ErrorKind::BrokenPipe.into())),
                Err(error) => {
                    self.has_failed = true;
                    Some(Err(io::Error::new(ErrorKind::InvalidData, error)))
                }
            };
            self.incoming.drain(..discard);
            if let Some(outcome) = outcome {
                return outcome;
            }
        }
    }
}

fn encode<Data>(data: &mut rustls::unbuffered::EncodeTlsData<'_, Data>, outgoing: &mut Unsent) {
    use rustls::unbuffered::{EncodeError, InsufficientSizeError};
    let mut room = Vec::new();
    loop {
        match data.encode(&mut room) {
            Ok(length) => return outgoing.push(&room[..length]),
            Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
                room.resize(required_size, 0);
            }
            Err(EncodeError::AlreadyEncoded) => return,
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("is_open", &self.is_open).finish_non_exhaustive()
    }
}
