//! The client's side of a WebSocket on a Unix socket: text out, text in, pings both ways.

use std::io;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::upgrade::{self, Upgraded};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

/// Nothing that we ask for is longer.
const MAX_MESSAGE: usize = 4 << 20;
const CONTINUED: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

pub(in crate::runtimes) struct WebSocket {
    stream: TokioIo<Upgraded>,
    read: Vec<u8>,
    /// Of a message that comes in several frames.
    begun: Vec<u8>,
}

/// What came in.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::runtimes) enum Received {
    Message(Vec<u8>),
    Pong,
    End,
}

impl WebSocket {
    /// # Errors
    /// When the other side does not speak it.
    pub(in crate::runtimes) async fn connect(stream: UnixStream) -> io::Result<Self> {
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(connection.with_upgrades());
        let request = Request::get("/")
            .header("host", "localhost")
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            // Against caches between the two; there are none in a socket file.
            .header("sec-websocket-key", "bW9zYWljLWZsZWV0ISEhIQ==")
            .body(Empty::<Bytes>::new())
            .map_err(io::Error::other)?;
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(io::Error::other(format!("it answers {}", response.status())));
        }
        let upgraded = upgrade::on(response).await.map_err(io::Error::other)?;
        Ok(Self { stream: TokioIo::new(upgraded), read: Vec::new(), begun: Vec::new() })
    }

    pub(in crate::runtimes) async fn send(&mut self, text: &str) -> io::Result<()> {
        self.put(TEXT, text.as_bytes()).await
    }

    pub(in crate::runtimes) async fn ping(&mut self) -> io::Result<()> {
        self.put(PING, &[]).await
    }

    async fn put(&mut self, code: u8, payload: &[u8]) -> io::Result<()> {
        self.stream.write_all(&frame(code, payload)).await?;
        self.stream.flush().await
    }

    /// The next that concerns us. May be given up at any time without losing anything.
    pub(in crate::runtimes) async fn next(&mut self) -> io::Result<Received> {
        loop {
            while let Some(Frame { last, code, payload }) = cut(&mut self.read)? {
                match code {
                    PING => self.put(PONG, &payload).await?,
                    PONG => return Ok(Received::Pong),
                    CLOSE => return Ok(Received::End),
                    TEXT | BINARY | CONTINUED => {
                        if self.begun.len() + payload.len() > MAX_MESSAGE {
                            return Err(too_long());
                        }
                        self.begun.extend_from_slice(&payload);
                        if last {
                            return Ok(Received::Message(std::mem::take(&mut self.begun)));
                        }
                    }
                    _ => return Err(io::Error::other("a frame of no known kind")),
                }
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Ok(Received::End);
            }
        }
    }
}

fn too_long() -> io::Error {
    io::Error::other("a message of more than four megabytes")
}

#[derive(Debug, PartialEq, Eq)]
struct Frame {
    last: bool,
    code: u8,
    payload: Vec<u8>,
}

/// One whole frame. A client has to mask what it sends, so that no cache between the two can be led astray: by zeros, as
/// there is none.
fn frame(code: u8, payload: &[u8]) -> Vec<u8> {
    const MASKED: u8 = 0x80;
    let mut bytes = vec![0x80 | code];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ 0..=125), _) => bytes.push(MASKED | length),
        (_, Ok(length)) => {
            bytes.push(MASKED | 126);
            bytes.extend(length.to_be_bytes());
        }
        _ => {
            bytes.push(MASKED | 127);
            bytes.extend((payload.len() as u64).to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

/// Takes the first frame off what was read, once it is whole.
fn cut(read: &mut Vec<u8>) -> io::Result<Option<Frame>> {
    let &[first, second, ref rest @ ..] = read.as_slice() else { return Ok(None) };
    let (extended, masked) = (second & 0x7f, second & 0x80 != 0);
    let bytes = match extended {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let Some((length, rest)) = rest.split_at_checked(bytes) else { return Ok(None) };
    let length = match bytes {
        0 => u64::from(extended),
        _ => length.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
    };
    let length = usize::try_from(length).ok().filter(|length| *length <= MAX_MESSAGE).ok_or_else(too_long)?;
    let Some((mask, rest)) = rest.split_at_checked(if masked { 4 } else { 0 }) else { return Ok(None) };
    let Some(payload) = rest.get(..length) else { return Ok(None) };
    let mask = if masked { mask } else { &[0] };
    let payload: Vec<u8> = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    let frame = Frame { last: first & 0x80 != 0, code: first & 0x0f, payload };
    let whole = 2 + bytes + if masked { 4 } else { 0 } + length;
    read.drain(..whole);
    Ok(Some(frame))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_frame_that_claims_too_much_is_refused_before_it_comes() {
        let mut read = vec![0x81, 127];
        read.extend(u64::MAX.to_be_bytes());
        assert!(cut(&mut read).is_err());
    }

    proptest! {
        #[test]
        fn what_was_framed_is_cut_out_again_wherever_it_was_torn(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 0..5), size in 1usize..50,
        ) {
            let all: Vec<u8> = messages.iter().flat_map(|message| frame(TEXT, message)).collect();
            let (mut read, mut found) = (Vec::new(), Vec::new());
            for piece in all.chunks(size) {
                read.extend_from_slice(piece);
                while let Some(frame) = cut(&mut read).unwrap() {
                    found.push(frame.payload);
                }
            }
            prop_assert_eq!(found, messages);
            prop_assert!(read.is_empty());
        }

        #[test]
        fn any_bytes_are_an_answer_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut read = bytes;
            while let Ok(Some(_)) = cut(&mut read) {}
        }
    }
}
