//! What a client needs to come back.

use super::peer::{Peer, WELCOME};
use super::server::Server;

/// A session, as the server told it last.
pub struct Session {
    pub token: String,
    pub position: u64,
    pub heard: u64,
}

impl Session {
    /// Asks for a session, and skips to the answer.
    #[track_caller]
    pub fn open(peer: &mut Peer) -> Session {
        peer.say("!session");
        let line = peer.skip_to_start("--- session ");
        let (token, rest) = line["--- session ".len()..].split_once(" at ").expect("token and position");
        let (position, heard) = rest.strip_suffix(" heard").and_then(|rest| rest.split_once(", ")).expect("a count");
        assert!(token.len() == 32 && token.bytes().all(|b| b.is_ascii_hexdigit()), "{token}");
        let number = |text: &str| text.parse().expect("a number");
        Session { token: token.into(), position: number(position), heard: number(heard) }
    }

    /// The line to come back with.
    pub fn claim(&self) -> String {
        format!("!resume {}@{}", self.token, self.position)
    }

    /// Comes back over a new connection, which is greeted like any other.
    #[track_caller]
    pub fn resume(&self, server: &Server) -> Peer {
        let mut peer = server.connect();
        peer.say(&self.claim());
        peer.expect(WELCOME);
        peer
    }
}
