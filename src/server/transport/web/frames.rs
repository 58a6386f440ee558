//! WebSocket frames (RFC 6455, section 5), one way each: those of clients are read, those of the server are written. Pure.
//!
//! The borders of frames and messages mean nothing here: what the data frames hold, one after the other, is the stream.

/// The most text that a frame of a client may have, in bytes.
pub const MAX_LENGTH: usize = 64 * 1024;
/// The longest header of a client's frame: two bytes, eight of length, four of mask.
const MAX_HEADER: usize = 14;

/// The bit that says that a message ends with this frame.
const FINAL: u8 = 0x80;
/// The bit that says that a frame is masked.
const MASKED: u8 = 0x80;

/// In place of a length: it is in the next 2 bytes. Shorter ones have no bytes of their own; those of control frames always
/// are shorter.
const LENGTH_16: u8 = 0x7e;
/// In place of a length: it is in the next 8 bytes.
const LENGTH_64: u8 = 0x7f;

/// What a frame is, as the four bits in its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// More of a message.
    Continuation = 0,
    /// The start of a message that is text. Here it is bytes like any other.
    Text = 1,
    /// The start of a message that is bytes.
    Binary = 2,
    /// The sender sends nothing more.
    Close = 8,
    /// To be answered.
    Ping = 9,
    /// The answer.
    Pong = 10,
}

/// Why a client is not listened to any more: how it has broken the rules, as the status that it is told (RFC 6455, 7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It does not speak the protocol.
    Protocol = 1002,
    /// It sends too many frames that say nothing.
    Policy = 1008,
    /// A frame is too long.
    TooLong = 1009,
}

/// What a client has sent between its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// To be answered with the same bytes.
    Ping(Vec<u8>),
    /// Nothing follows: everything behind it is dropped.
    Close,
    /// A frame that says nothing: a pong that nobody waits for, or no data.
    Nothing,
}

/// Takes frames of a client apart, however they are cut.
#[derive(Debug, Default)]
pub struct Decoder {
    /// What has arrived of a header.
    header: Header,
    frame: Option<Frame>,
    /// Whether a message goes on with the next data frame.
    is_within_message: bool,
    is_closed: bool,
}

#[derive(Debug, Default)]
struct Header {
    bytes: [u8; MAX_HEADER],
    length: usize,
}

/// A frame that has not arrived whole.
#[derive(Debug)]
struct Frame {
    opcode: Opcode,
    mask: [u8; 4],
    length: usize,
    /// How much of it has arrived.
    done: usize,
    /// What has arrived of it, if it is a control frame.
    body: Vec<u8>,
}

impl Decoder {
    /// Takes what has arrived, and moves the data in it to the beginning of `bytes`. Returns how much that is, and how the
    /// client has broken the rules behind it, if it has; then nothing more may be decoded. `control` is told of everything
    /// else.
    pub fn decode(&mut self, bytes: &mut [u8], control: impl FnMut(Control)) -> (usize, Result<(), Fault>) {
        let mut written = 0;
        let outcome = self.decode_some(bytes, &mut written, control);
        (written, outcome)
    }

    fn decode_some(
        &mut self,
        bytes: &mut [u8],
        written: &mut usize,
        mut control: impl FnMut(Control),
    ) -> Result<(), Fault> {
        let mut read = 0;
        while !self.is_closed {
            let Some(frame) = &mut self.frame else {
                let Some(&byte) = bytes.get(read) else { break };
                read += 1;
                self.frame = self.header.push(byte)?;
                if let Some(frame) = &self.frame {
                    self.is_within_message = frame.follows(self.is_within_message, self.header.is_final())?;
                    self.header.length = 0;
                }
                continue;
            };
            let arrived = read..bytes.len().min(read + frame.length - frame.done);
            if arrived.is_empty() && frame.done < frame.length {
                break;
            }
            read = arrived.end;
            let mask = frame.mask.iter().cycle().skip(frame.done % 4);
            bytes[arrived.clone()].iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
            frame.done += arrived.len();
            if frame.opcode.is_control() {
                frame.body.extend_from_slice(&bytes[arrived]);
            } else {
                bytes.copy_within(arrived.clone(), *written);
                *written += arrived.len();
            }
            if frame.done == frame.length {
                let frame = self.frame.take().expect("it is there");
                if let Some(what) = frame.says()? {
                    self.is_closed = what == Control::Close;
                    control(what);
                }
            }
        }
        Ok(())
    }
}

impl Header {
    /// Takes the next byte; returns the frame once its header is whole. The header is parsed again from its first byte on
    /// every call: so what is wrong is seen as early as possible, and there are 14 bytes at most.
    fn push(&mut self, byte: u8) -> Result<Option<Frame>, Fault> {
        self.bytes[self.length] = byte;
        self.length += 1;
        let [first, second, rest @ ..] = &self.bytes[..self.length] else { return Ok(None) };
        // Extensions, which the reserved bits are for, were not agreed on.
        if first & 0x70 != 0 || second & MASKED == 0 {
            return Err(Fault::Protocol);
        }
        let opcode = Opcode::of(first & 0x0f).ok_or(Fault::Protocol)?;
        let short = second & !MASKED;
        if opcode.is_control() && (first & FINAL == 0 || short >= LENGTH_16) {
            return Err(Fault::Protocol);
        }
        let (length, rest) = match short {
            LENGTH_16 => match rest.split_first_chunk() {
                Some((bytes, rest)) => (u64::from(u16::from_be_bytes(*bytes)), rest),
                None => return Ok(None),
            },
            LENGTH_64 => match rest.split_first_chunk() {
                Some((bytes, rest)) => (u64::from_be_bytes(*bytes), rest),
                None => return Ok(None),
            },
            short => (u64::from(short), rest),
        };
        // A length has as few bytes as it needs.
        let has_more_than_it_needs = match short {
            LENGTH_16 => length < u64::from(LENGTH_16),
            LENGTH_64 => u16::try_from(length).is_ok(),
            _ => false,
        };
        if has_more_than_it_needs {
            return Err(Fault::Protocol);
        }
        let length = usize::try_from(length).ok().filter(|length| *length <= MAX_LENGTH).ok_or(Fault::TooLong)?;
        let Ok(mask) = rest.try_into() else { return Ok(None) };
        Ok(Some(Frame { opcode, mask, length, done: 0, body: Vec::new() }))
    }

    fn is_final(&self) -> bool {
        self.bytes[0] & FINAL != 0
    }
}

impl Frame {
    /// Whether a message goes on behind this frame.
    fn follows(&self, is_within_message: bool, is_final: bool) -> Result<bool, Fault> {
        match self.opcode {
            Opcode::Continuation if !is_within_message => Err(Fault::Protocol),
            Opcode::Text | Opcode::Binary if is_within_message => Err(Fault::Protocol),
            Opcode::Continuation | Opcode::Text | Opcode::Binary => Ok(!is_final),
            Opcode::Close | Opcode::Ping | Opcode::Pong => Ok(is_within_message),
        }
    }

    /// What it says apart from its data.
    fn says(self) -> Result<Option<Control>, Fault> {
        match self.opcode {
            Opcode::Ping => Ok(Some(Control::Ping(self.body))),
            Opcode::Pong => Ok(Some(Control::Nothing)),
            // A status has two bytes.
            Opcode::Close if self.length == 1 => Err(Fault::Protocol),
            Opcode::Close => Ok(Some(Control::Close)),
            _ => Ok((self.length == 0).then_some(Control::Nothing)),
        }
    }
}

impl Opcode {
    fn of(bits: u8) -> Option<Opcode> {
        use Opcode::{Binary, Close, Continuation, Ping, Pong, Text};
        [Continuation, Text, Binary, Close, Ping, Pong].into_iter().find(|opcode| *opcode as u8 == bits)
    }

    fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// The header of a frame of the server, which is a whole message: in an array, and how much of that it takes.
#[must_use]
pub fn header(opcode: Opcode, length: u16) -> ([u8; 4], usize) {
    let first = FINAL | opcode as u8;
    match u8::try_from(length) {
        Ok(short) if short < LENGTH_16 => ([first, short, 0, 0], 2),
        _ => {
            let [high, low] = length.to_be_bytes();
            ([first, LENGTH_16, high, low], 4)
        }
    }
}

/// A whole control frame of the server. `body` has at most 125 bytes.
#[must_use]
pub fn control(opcode: Opcode, body: &[u8]) -> Vec<u8> {
    let (header, length) = header(opcode, u16::try_from(body.len()).expect("a control frame is short"));
    debug_assert_eq!(length, 2);
    [&header[..length], body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's frame.
    fn frame(first: u8, text: &[u8]) -> Vec<u8> {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        let mut bytes = vec![first];
        match text.len() {
            short @ 0..126 => bytes.push(MASKED | u8::try_from(short).unwrap()),
            long if long < 65536 => {
                bytes.push(MASKED | LENGTH_16);
                bytes.extend(u16::try_from(long).unwrap().to_be_bytes());
            }
            long => {
                bytes.push(MASKED | LENGTH_64);
                bytes.extend((long as u64).to_be_bytes());
            }
        }
        bytes.extend(mask);
        bytes.extend(text.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    /// What comes of bytes that arrive in pieces of a length.
    fn decoded(bytes: &[u8], piece: usize) -> Result<(Vec<u8>, Vec<Control>), Fault> {
        let (mut text, mut controls) = (Vec::new(), Vec::new());
        let mut decoder = Decoder::default();
        for piece in bytes.chunks(piece) {
            let mut piece = piece.to_vec();
            let (length, outcome) = decoder.decode(&mut piece, |control| controls.push(control));
            text.extend_from_slice(&piece[..length]);
            outcome?;
        }
        Ok((text, controls))
    }

    /// The example of RFC 6455, 5.7: a masked message.
    #[test]
    fn reads_the_example() {
        let bytes = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        assert_eq!(decoded(&bytes, 11), Ok((b"Hello".to_vec(), Vec::new())));
    }

    /// However a stream is cut, the same comes of it: text over several frames, and what stands between.
    #[test]
    fn cuts_mean_nothing() {
        let long: Vec<u8> = (0..MAX_LENGTH).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let bytes = [
            frame(0x02, b"he"),
            frame(0x89, b"there?"),
            frame(0x00, b""),
            frame(0x80, b"llo\n"),
            frame(0x8a, b""),
            frame(0x81, "né\n".as_bytes()),
            frame(0x82, &long[..126]),
            frame(0x82, &long),
            frame(0x88, &[0x03, 0xe9]),
            b"whatever follows".to_vec(),
        ]
        .concat();
        let text = [&b"hello\n"[..], "né\n".as_bytes(), &long[..126], &long].concat();
        let controls = [Control::Ping(b"there?".to_vec()), Control::Nothing, Control::Nothing, Control::Close];
        for piece in [1, 2, 3, 7, 1000, bytes.len()] {
            assert_eq!(decoded(&bytes, piece), Ok((text.clone(), controls.to_vec())), "{piece}");
        }
    }

    /// What breaks the rules is seen, and as what.
    #[test]
    fn faults_are_seen() {
        let long = vec![0; MAX_LENGTH + 1];
        for (bytes, fault) in [
            (vec![0x82, 0x01, b'x'], Fault::Protocol),
            (frame(0xc2, b"x"), Fault::Protocol),
            (frame(0xa2, b"x"), Fault::Protocol),
            (frame(0x92, b"x"), Fault::Protocol),
            (frame(0x83, b"x"), Fault::Protocol),
            (frame(0x8b, b"x"), Fault::Protocol),
            (frame(0x80, b"x"), Fault::Protocol),
            ([frame(0x02, b"x"), frame(0x82, b"x")].concat(), Fault::Protocol),
            (frame(0x09, b"x"), Fault::Protocol),
            (frame(0x89, &[0; 126]), Fault::Protocol),
            (frame(0x88, &[3]), Fault::Protocol),
            (vec![0x82, 0xfe, 0, 125], Fault::Protocol),
            (vec![0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff], Fault::Protocol),
            (frame(0x82, &long), Fault::TooLong),
            (vec![0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Fault::TooLong),
        ] {
            for piece in [1, bytes.len()] {
                assert_eq!(decoded(&bytes, piece), Err(fault), "{:x?}", &bytes[..bytes.len().min(16)]);
            }
        }
    }

    /// The server's frames have the shortest header that does.
    #[test]
    fn headers_are_short() {
        assert_eq!(header(Opcode::Binary, 125), ([0x82, 125, 0, 0], 2));
        assert_eq!(header(Opcode::Binary, 126), ([0x82, 126, 0, 126], 4));
        assert_eq!(header(Opcode::Binary, 0x4000), ([0x82, 126, 0x40, 0], 4));
        assert_eq!(control(Opcode::Pong, b"hi"), [0x8a, 2, b'h', b'i']);
    }
}
