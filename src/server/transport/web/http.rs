//! What a browser asks for first, and what it is told. Pure.
//!
//! Two things can be asked for: the page, with `GET /`, and the conversation, by upgrading `GET /ws` to WebSocket (RFC 6455,
//! section 4.2). Whatever else begins like HTTP is left to the chat, which says that it is no web server.

use std::net::IpAddr;
use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha1::{Digest, Sha1};
use sha2::Sha256;

use crate::lobby::client::Link;
use crate::protocol::command::{Audience, COMMANDS, Spec};

/// The longest request, in bytes: what web servers allow.
pub const MAX_REQUEST: usize = 8 * 1024;
/// The most header fields of a request.
const MAX_FIELDS: usize = 64;
/// How the requests begin that may be for us.
pub const START: &[u8] = b"GET ";
/// What the key of an upgrade is hashed with (RFC 6455, 1.3).
const KEY_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The page. It is in three files for those who write it, and in one for those who read it.
const STYLE: &str = include_str!("page.css");
static SCRIPT: LazyLock<String> = LazyLock::new(|| {
    let listed = |spec: &&Spec| matches!(spec.audience, Audience::Everybody | Audience::WithLog);
    let words: Vec<String> = COMMANDS.iter().filter(listed).map(|spec| format!("{:?}", spec.words[0])).collect();
    include_str!("page.js").replacen("/*commands*/", &words.join(", "), 1)
});
static PAGE: LazyLock<String> =
    LazyLock::new(|| include_str!("page.html").replacen("/*style*/", STYLE, 1).replacen("/*script*/", &SCRIPT, 1));

/// Which requests a server answers.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The names by which it may be called, apart from any address and `localhost`.
    pub hosts: Vec<String>,
    /// Whether it speaks with nobody in plain text.
    pub is_tls_required: bool,
}

/// What the first bytes of a connection come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// They may be the start of a request for us.
    Unfinished,
    /// They are not for us.
    Foreign,
    /// They are answered with these bytes, and that is all.
    Answered(String),
    /// They are answered with these bytes. From the byte with this number on, the connection is a WebSocket.
    Upgraded(String, usize),
}

/// Looks at the first bytes of a connection.
#[must_use]
pub fn look_at(bytes: &[u8], link: Link, policy: &Policy) -> Request {
    if !START.iter().zip(bytes).all(|(expected, byte)| expected == byte) {
        return Request::Foreign;
    }
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let outcome = request.parse(bytes);
    let path = request.path.map(|path| path.split_once('?').map_or(path, |(path, _)| path));
    match (outcome, path) {
        (Err(httparse::Error::TooManyHeaders), Some("/" | "/ws")) => {
            refuse(TOO_LONG, "there are too many header fields")
        }
        (Err(_), _) | (_, Some(_)) if !matches!(path, Some("/" | "/ws")) => Request::Foreign,
        (Err(_), _) => refuse("400 Bad Request", "that is not HTTP"),
        (Ok(httparse::Status::Partial), _) if bytes.len() >= MAX_REQUEST => refuse(TOO_LONG, "the request is too long"),
        (Ok(httparse::Status::Partial), _) => Request::Unfinished,
        (Ok(httparse::Status::Complete(length)), path) => {
            if path == Some("/ws") && request.version != Some(1) {
                return refuse("505 HTTP Version Not Supported", "WebSocket needs HTTP/1.1");
            }
            answer(&Fields(request.headers), path == Some("/ws"), link, policy, length)
        }
    }
}

const TOO_LONG: &str = "431 Request Header Fields Too Large";

fn answer(fields: &Fields<'_>, is_upgrade: bool, link: Link, policy: &Policy, length: usize) -> Request {
    let Some(host) = fields.only("Host") else { return refuse("400 Bad Request", "there has to be one Host") };
    // A page from elsewhere can make its own name lead here, and would then be of the same origin (DNS rebinding).
    let name = host_of(host);
    if !name.is_some_and(|name| is_ours(name, policy)) {
        let name = name.unwrap_or("NAME");
        return refuse(
            "403 Forbidden",
            &format!("this server is not known by that name; it may be, with gotcp server --web-host {name}"),
        );
    }
    if !is_upgrade {
        return if policy.is_tls_required && link == Link::Plain {
            Request::Answered(response("307 Temporary Redirect", &format!("Location: https://{host}/\r\n"), ""))
        } else {
            Request::Answered(page(host))
        };
    }
    let speaks = |field: &str, word: &str| {
        fields.all(field).flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(word))
    };
    if !speaks("Upgrade", "websocket") || !speaks("Connection", "upgrade") {
        let field = "Upgrade: websocket\r\n";
        return Request::Answered(response("426 Upgrade Required", field, "this is for WebSocket\n"));
    }
    if fields.only("Sec-WebSocket-Version") != Some("13") {
        let field = "Sec-WebSocket-Version: 13\r\n";
        return Request::Answered(response("426 Upgrade Required", field, "only version 13 of WebSocket is spoken\n"));
    }
    let origin = fields.only("Origin");
    let is_same = |origin: &str| ["http://", "https://"].iter().any(|scheme| origin.strip_prefix(scheme) == Some(host));
    if !origin.is_some_and(is_same) {
        return refuse(
            "403 Forbidden",
            "only a page of this server may speak for whoever reads it: Origin must be Host",
        );
    }
    let key =
        fields.only("Sec-WebSocket-Key").filter(|key| BASE64_STANDARD.decode(key).is_ok_and(|key| key.len() == 16));
    let Some(key) = key else { return refuse("400 Bad Request", "there has to be one Sec-WebSocket-Key of 16 bytes") };
    let accept = BASE64_STANDARD.encode(Sha1::new().chain_update(key).chain_update(KEY_SUFFIX).finalize());
    let upgraded = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    Request::Upgraded(upgraded, length)
}

/// The header fields of a request.
struct Fields<'a>(&'a [httparse::Header<'a>]);

impl<'a> Fields<'a> {
    /// The values of the fields with a name. One that is not text says nothing, but it is there.
    fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| str::from_utf8(field.value).unwrap_or_default())
    }

    /// The value of a field that must be there once.
    fn only(&self, name: &str) -> Option<&'a str> {
        let mut values = self.all(name);
        values.next().filter(|_| values.next().is_none()).map(str::trim)
    }
}

/// Host without its port.
fn host_of(host: &str) -> Option<&str> {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !host.ends_with(']') => (name, port),
        _ => (host, "0"),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    (!name.is_empty() && name.chars().all(is_name) && is_port).then_some(name)
}

/// Whether nobody else can have chosen this name for the server: it is an address, this machine, or a name that the
/// operator has given.
fn is_ours(name: &str, policy: &Policy) -> bool {
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    address.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || policy.hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
}

/// The page, which may load nothing, run nothing but itself, and connect only to where it came from.
fn page(host: &str) -> String {
    static HASHES: LazyLock<[String; 2]> =
        LazyLock::new(|| [&SCRIPT, STYLE].map(|text| BASE64_STANDARD.encode(Sha256::digest(text))));
    let [script, style] = &*HASHES;
    // What is of the same origin includes WebSocket, for browsers since 2022; others need it word for word, and an address in
    // brackets cannot be given so.
    let sockets = if host.starts_with('[') { String::new() } else { format!(" ws://{host} wss://{host}") };
    let fields = format!(
        "Content-Type: text/html; charset=utf-8\r\nContent-Security-Policy: default-src 'none'; script-src 'sha256-{script}'; \
         style-src 'sha256-{style}'; img-src data:; connect-src 'self'{sockets}; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'\r\n"
    );
    response("200 OK", &fields, &PAGE)
}

fn refuse(status: &str, why: &str) -> Request {
    Request::Answered(response(status, "", &format!("{why}\n")))
}

/// A response, after which the connection is closed. `fields` are further header fields, each with its end.
fn response(status: &str, fields: &str, body: &str) -> String {
    let kind = if fields.contains("Content-Type:") { "" } else { "Content-Type: text/plain; charset=utf-8\r\n" };
    format!(
        "HTTP/1.1 {status}\r\n{fields}{kind}Content-Length: {}\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: \
         no-referrer\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:7777\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
        Origin: http://127.0.0.1:7777\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

    fn policy(hosts: &[&str], is_tls_required: bool) -> Policy {
        Policy { hosts: hosts.iter().map(ToString::to_string).collect(), is_tls_required }
    }

    /// What a request is answered with.
    fn answered(request: &str, hosts: &[&str]) -> String {
        match look_at(request.as_bytes(), Link::Plain, &policy(hosts, false)) {
            Request::Answered(answer) | Request::Upgraded(answer, _) => answer,
            other => panic!("{request:?} came to {other:?}"),
        }
    }

    /// The example of RFC 6455, 1.3: the key and what it is answered with.
    #[test]
    fn upgrades_as_the_example_does() {
        let outcome = look_at(UPGRADE.as_bytes(), Link::Plain, &policy(&[], false));
        let Request::Upgraded(answer, length) = outcome else { panic!("{outcome:?}") };
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        assert!(answer.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{answer}");
        assert_eq!(length, UPGRADE.len());
    }

    /// A request may come in pieces, and nothing is decided before it can be.
    #[test]
    fn waits_for_the_whole_request() {
        for length in 0..UPGRADE.len() {
            let outcome = look_at(&UPGRADE.as_bytes()[..length], Link::Plain, &policy(&[], false));
            assert_eq!(outcome, Request::Unfinished, "{length}");
        }
        let endless = format!("GET / HTTP/1.1\r\nHost: {}", "a".repeat(MAX_REQUEST));
        assert!(answered(&endless, &[]).starts_with("HTTP/1.1 431 "));
        let fields = format!("GET / HTTP/1.1\r\n{}", "A: b\r\n".repeat(MAX_FIELDS + 1));
        assert!(answered(&fields, &[]).starts_with("HTTP/1.1 431 "));
    }

    /// What is neither the page nor the upgrade is left to the chat: names, other methods and paths.
    #[test]
    fn leaves_the_rest_alone() {
        for bytes in [
            "carol\n",
            "\n",
            "GETTY\n",
            "GE\n",
            "GET me a beer\n",
            "GET /favicon.ico HTTP/1.1\r\n",
            "GET /ws/ HTTP/1.1\r\nHost: a\r\n",
            "HEAD / HTTP/1.1\r\n",
            "POST / HTTP/1.1\r\n",
            "GET http://127.0.0.1/ HTTP/1.1\r\n",
        ] {
            assert_eq!(look_at(bytes.as_bytes(), Link::Plain, &policy(&[], false)), Request::Foreign, "{bytes:?}");
        }
    }

    /// The page is shown to whoever calls the server by a name that it knows.
    #[test]
    fn knows_its_names() {
        let get = |host: &str| format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        for host in
            ["127.0.0.1:7777", "192.168.1.7", "[::1]:7777", "[fe80::1]", "localhost", "LOCALHOST:1", "Chat.lan:80"]
        {
            let page = answered(&get(host), &["chat.lan"]);
            assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{host}: {page}");
            let sockets = format!("connect-src 'self' ws://{host} wss://{host};");
            assert!(page.contains(&sockets) || host.starts_with('[') && page.contains("connect-src 'self';"), "{host}");
        }
        for host in [
            "evil.example",
            "chat.lan.evil.example",
            "127.0.0.1.evil.example",
            "chat.lan:x",
            "chat.lan:+80",
            "",
            "a b",
            "a;b",
        ] {
            // What stands for a name in the answer is none.
            let answer = answered(&get(host), &["chat.lan", "NAME"]);
            assert!(answer.starts_with("HTTP/1.1 403 "), "{host}: {answer}");
        }
        assert!(answered(&get("chat.lan"), &[]).contains("--web-host chat.lan\n"));
        assert!(answered("GET / HTTP/1.1\r\n\r\n", &[]).starts_with("HTTP/1.1 400 "));
        assert!(answered("GET / HTTP/1.1\r\nHost: ::1\r\nHost: localhost\r\n\r\n", &[]).starts_with("HTTP/1.1 400 "));
        let two = look_at(b"GET / HTTP/1.1\r\nHost: ::1\r\nHost: \xff\r\n\r\n", Link::Plain, &policy(&[], false));
        assert!(matches!(&two, Request::Answered(answer) if answer.starts_with("HTTP/1.1 400 ")), "{two:?}");
    }

    /// Who may not be upgraded is told why.
    #[test]
    fn refuses_with_a_reason() {
        for (from, to, status) in [
            ("Origin: http://127.0.0.1:7777", "Origin: http://evil.example", "403"),
            ("Origin: http://127.0.0.1:7777", "Origin: http://127.0.0.1", "403"),
            ("Origin: http://127.0.0.1:7777", "Origin: http://127.0.0.1:7777.evil.example", "403"),
            ("Origin: http://127.0.0.1:7777", "Origin: null", "403"),
            ("Origin: http://127.0.0.1:7777\r\n", "", "403"),
            ("Origin: ", "Origin: http://127.0.0.1:7777\r\nOrigin: ", "403"),
            ("Host: 127.0.0.1:7777", "Host: evil.example:7777", "403"),
            ("Upgrade: websocket", "Upgrade: h2c", "426"),
            ("Connection: keep-alive, Upgrade", "Connection: keep-alive", "426"),
            ("Version: 13", "Version: 8", "426"),
            ("HTTP/1.1", "HTTP/1.0", "505"),
            ("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ=", "400"),
            ("dGhlIHNhbXBsZSBub25jZQ==", "!", "400"),
        ] {
            let answer = answered(&UPGRADE.replace(from, to), &[]);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{to}: {answer}");
            assert!(answer.contains("\r\nConnection: close\r\n") && answer.ends_with('\n'), "{answer}");
        }
        assert!(matches!(
            look_at(UPGRADE.replace("http:", "https:").as_bytes(), Link::Tls, &policy(&[], true)),
            Request::Upgraded(..)
        ));
    }

    /// Where plain text is not wanted, a browser is sent to where it can come in.
    #[test]
    fn leads_to_tls() {
        let get = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:7777\r\n\r\n";
        let outcome = look_at(get, Link::Plain, &policy(&[], true));
        let Request::Answered(answer) = outcome else { panic!("{outcome:?}") };
        assert!(answer.starts_with("HTTP/1.1 307 "), "{answer}");
        assert!(answer.contains("\r\nLocation: https://127.0.0.1:7777/\r\n"), "{answer}");
        assert!(
            matches!(look_at(get, Link::Tls, &policy(&[], true)), Request::Answered(page) if page.contains("200 OK"))
        );
    }

    /// The page is small, whole, and loads nothing.
    #[test]
    fn the_page_is_one_small_file() {
        let page = answered("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", &[]);
        let (_, body) = page.split_once("\r\n\r\n").unwrap();
        assert!(body.len() < 40 * 1024, "{} bytes", body.len());
        assert!(body.contains(&*SCRIPT) && body.contains(STYLE));
        for word in
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "src=", "@import", "url("]
        {
            assert!(!body.contains(word), "{word}");
        }
    }
}
