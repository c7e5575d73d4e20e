//! Bytes from the terminal as keys: text, bracketed pastes, the few keys that mean something, and the terminal's
//! answer to the question for its cursor.

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Text(String),
    Paste(String),
    Enter,
    Escape,
    Backspace,
    /// Ctrl and this letter.
    Control(char),
    /// The terminal has drawn what it was sent.
    Drawn,
}

const PASTE_BEGIN: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";

#[derive(Debug, Default)]
pub(crate) struct Keys {
    rest: Vec<u8>,
}

impl Keys {
    /// Adds what was read; the keys that are complete.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<Key> {
        self.rest.extend_from_slice(bytes);
        let mut keys = Vec::new();
        while let Some((key, used)) = next(&self.rest) {
            self.rest.drain(..used);
            keys.extend(key);
        }
        keys
    }
}

/// The first key, if any, and how many bytes it took; `None` when more bytes are needed.
fn next(bytes: &[u8]) -> Option<(Option<Key>, usize)> {
    match bytes {
        [] => None,
        [0x1b] => Some((Some(Key::Escape), 1)),
        [0x1b, b'[', rest @ ..] => sequence(bytes, rest),
        [0x1b, ..] => Some((Some(Key::Escape), 1)),
        [b'\r', ..] => Some((Some(Key::Enter), 1)),
        [0x7f | 0x08, ..] => Some((Some(Key::Backspace), 1)),
        [byte @ 1..=26, ..] => Some((Some(Key::Control(char::from(byte + b'a' - 1))), 1)),
        [byte, ..] if byte.is_ascii_control() => Some((None, 1)),
        _ => Some(text(bytes)),
    }
}

fn sequence(bytes: &[u8], rest: &[u8]) -> Option<(Option<Key>, usize)> {
    if bytes.starts_with(PASTE_BEGIN) {
        let body = &bytes[PASTE_BEGIN.len()..];
        let end = body.windows(PASTE_END.len()).position(|window| window == PASTE_END)?;
        let text = String::from_utf8_lossy(&body[..end]).replace('\r', "\n");
        return Some((Some(Key::Paste(text)), PASTE_BEGIN.len() + end + PASTE_END.len()));
    }
    let end = rest.iter().position(|byte| (0x40..=0x7e).contains(byte))?;
    Some(((rest[end] == b'R').then_some(Key::Drawn), 2 + end + 1))
}

fn text(bytes: &[u8]) -> (Option<Key>, usize) {
    let length = bytes.iter().position(|byte| byte.is_ascii_control()).unwrap_or(bytes.len());
    (Some(Key::Text(String::from_utf8_lossy(&bytes[..length]).into_owned())), length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paste_may_come_in_pieces() {
        let mut keys = Keys::default();
        assert_eq!(keys.feed(b"\x1b[200~one\rtwo\x1b[2"), []);
        assert_eq!(keys.feed(b"01~\r"), [Key::Paste("one\ntwo".to_owned()), Key::Enter]);
    }

    #[test]
    fn keys_and_answers() {
        let mut keys = Keys::default();
        let got = keys.feed("hé\x7f\x1b[12;3R\x1b[A\x03\x1b".as_bytes());
        let text = Key::Text("hé".to_owned());
        assert_eq!(got, [text, Key::Backspace, Key::Drawn, Key::Control('c'), Key::Escape]);
    }
}
