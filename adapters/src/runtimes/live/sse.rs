//! A stream of server-sent events, cut into their data wherever its pieces were cut.

/// A longer line is nothing that we want to know; it is passed over without being kept.
const MAX_LINE: usize = 256 << 10;

/// What is left of the stream until the next piece comes.
#[derive(Debug, Default)]
pub(in crate::runtimes) struct Events {
    line: Vec<u8>,
    too_long: bool,
}

impl Events {
    /// Takes in a piece, and gives each line of data that is complete.
    pub(in crate::runtimes) fn take(&mut self, piece: &[u8], mut each: impl FnMut(&[u8])) {
        let mut rest = piece;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (head, tail) = (&rest[..end], &rest[end + 1..]);
            if self.line.is_empty() && !self.too_long {
                data(head).into_iter().for_each(&mut each);
            } else {
                self.keep(head);
                if !self.too_long {
                    data(&self.line).into_iter().for_each(&mut each);
                }
            }
            // Let go of, as a line may have been long.
            (self.line, self.too_long) = (Vec::new(), false);
            rest = tail;
        }
        self.keep(rest);
    }

    fn keep(&mut self, part: &[u8]) {
        self.too_long |= self.line.len() + part.len() > MAX_LINE;
        if self.too_long {
            self.line = Vec::new();
        } else {
            self.line.extend_from_slice(part);
        }
    }
}

fn data(line: &[u8]) -> Option<&[u8]> {
    let data = line.strip_prefix(b"data:")?;
    Some(data.strip_prefix(b" ").unwrap_or(data).trim_ascii_end())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taken<'p>(pieces: impl Iterator<Item = &'p [u8]>) -> Vec<String> {
        let (mut events, mut all) = (Events::default(), Vec::new());
        for piece in pieces {
            events.take(piece, |data| all.push(String::from_utf8_lossy(data).into_owned()));
        }
        all
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_the_next_is_not() {
        let long = format!("data: {}\ndata: b\r\n: note\nid: 7\n\ndata:c\n", "a".repeat(MAX_LINE));
        assert_eq!(taken(long.as_bytes().chunks(1000)), ["b", "c"]);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_the_stream_was_cut(
            text in "(data: ?[a-z]{0,9}\r?\n|\n|x{0,5}\n){0,20}", size in 1usize..20,
        ) {
            prop_assert_eq!(taken(text.as_bytes().chunks(size)), taken([text.as_bytes()].into_iter()));
        }
    }
}
