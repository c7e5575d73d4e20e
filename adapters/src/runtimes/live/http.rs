//! HTTP/1.1 as far as a server on loopback needs it: one answer read whole, or one that never ends.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::handshake;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Of an answer that is read whole.
const MAX_ANSWER: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(5);

/// What a server wants to know of who asks. Never printed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::runtimes) struct Login {
    pub(in crate::runtimes) user: String,
    pub(in crate::runtimes) password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login")
    }
}

async fn answer(port: u16, login: Option<&Login>, path: &str) -> io::Result<Response<Incoming>> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // Ends with the answer.
    tokio::spawn(connection);
    let mut request = Request::get(path).header("host", format!("127.0.0.1:{port}"));
    if let Some(login) = login {
        let both = STANDARD.encode(format!("{}:{}", login.user, login.password));
        request = request.header("authorization", format!("Basic {both}"));
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(io::Error::other)?;
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    match response.status() {
        StatusCode::OK => Ok(response),
        StatusCode::UNAUTHORIZED => {
            Err(io::Error::new(io::ErrorKind::PermissionDenied, "it wants a password"))
        }
        status => Err(io::Error::other(format!("it answers {status}"))),
    }
}

/// The body of `path`, up to a megabyte of it.
///
/// # Errors
/// When there is no such answer within five seconds.
pub(in crate::runtimes) async fn get(port: u16, login: Option<&Login>, path: &str) -> io::Result<Bytes> {
    let whole = async {
        let body = Limited::new(answer(port, login, path).await?.into_body(), MAX_ANSWER);
        Ok(body.collect().await.map_err(io::Error::other)?.to_bytes())
    };
    timeout(PATIENCE, whole).await?
}

/// An answer that goes on: piece by piece.
pub(in crate::runtimes) struct Pieces(Incoming);

/// # Errors
/// When no answer begins within five seconds.
pub(in crate::runtimes) async fn stream(port: u16, login: Option<&Login>, path: &str) -> io::Result<Pieces> {
    Ok(Pieces(timeout(PATIENCE, answer(port, login, path)).await??.into_body()))
}

impl Pieces {
    /// The next piece; nothing at the end.
    pub(in crate::runtimes) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            match self.0.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(io::Error::other(error)),
                Some(Ok(frame)) => {
                    if let Ok(piece) = frame.into_data() {
                        return Ok(Some(piece));
                    }
                }
            }
        }
    }
}
