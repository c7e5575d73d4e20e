//! A source followed from a remembered position.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use fleet_domain::reconcile::Told;
use fleet_domain::usage::Record;

use super::source::Kind;
use super::{Beside, Fingerprint, Line, Reader, Source, Whole};
use crate::runtimes::claude::marks::Bounds;
use crate::runtimes::opencode;
use crate::tail::{Cursor, Piece, Tail};

/// Bytes of a record's identity.
const MAX_ID: usize = 512;

/// What one read brought beside records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stretch {
    /// More is there than the budget allowed.
    pub more: bool,
    /// Something may be there, and is worth a look in a second.
    pub later: bool,
    /// Lines and rows that should have been readable.
    pub unreadable: u64,
}

/// What is asked of each line.
enum Wanted<'w> {
    Records,
    Kinds(&'w mut dyn FnMut(String)),
    All(&'w mut dyn FnMut(Beside)),
}

#[derive(Debug)]
pub struct Follower {
    /// As at the beginning of a file.
    fresh: Reader,
    kind: Following,
}

#[derive(Debug)]
enum Following {
    Lines { tail: Tail, reader: Reader },
    Opencode(opencode::store::Follower),
    Whole { path: PathBuf, whole: Whole, read: bool },
}

impl Follower {
    /// Goes on where `position` was taken; from the start where it is empty, or another version's.
    pub fn new(source: &Source, position: &[u8]) -> Self {
        match &source.kind {
            Kind::Opencode(part) => Self {
                fresh: Reader::Claude(Bounds::default()),
                kind: Following::Opencode(opencode::store::Follower::new(
                    &source.path,
                    part.clone(),
                    position,
                )),
            },
            Kind::Whole(whole) => {
                let (path, whole) = (source.path.clone(), whole.clone());
                Self {
                    fresh: Reader::Claude(Bounds::default()),
                    kind: Following::Whole { path, whole, read: false },
                }
            }
            Kind::Lines(fresh) => {
                let (cursor, reader) = resumed(fresh, position).unwrap_or((Cursor::default(), fresh.clone()));
                let tail = Tail::new(source.path.clone(), Some(cursor));
                Self { fresh: fresh.clone(), kind: Following::Lines { tail, reader } }
            }
        }
    }

    /// Reads about `budget` bytes. A source that is not there yet is no error.
    pub fn read(&mut self, budget: usize, emit: &mut dyn FnMut(Record)) -> io::Result<Stretch> {
        self.read_all(budget, emit, Wanted::Records)
    }

    /// The same, with the kind of each row that is not known here.
    pub(super) fn count(
        &mut self,
        budget: usize,
        emit: &mut dyn FnMut(Record),
        unknown: &mut dyn FnMut(String),
    ) -> io::Result<Stretch> {
        self.read_all(budget, emit, Wanted::Kinds(unknown))
    }

    /// The same, with what lines tell beside.
    pub fn follow(
        &mut self,
        budget: usize,
        emit: &mut dyn FnMut(Record),
        beside: &mut dyn FnMut(Beside),
    ) -> io::Result<Stretch> {
        self.read_all(budget, emit, Wanted::All(beside))
    }

    fn read_all(
        &mut self,
        budget: usize,
        emit: &mut dyn FnMut(Record),
        mut wanted: Wanted<'_>,
    ) -> io::Result<Stretch> {
        let emit = &mut |record| emit(identified(record));
        let (tail, reader) = match &mut self.kind {
            Following::Lines { tail, reader } => (tail, reader),
            Following::Opencode(follower) => return sessions(follower, emit, wanted),
            Following::Whole { read: true, .. } => return Ok(Stretch::default()),
            Following::Whole { path, whole, read } => {
                let unreadable = whole.read(path, emit)?;
                *read = true;
                return Ok(Stretch { unreadable, ..Stretch::default() });
            }
        };
        let mut unreadable = 0;
        let progress = tail.read_pieces(budget, |piece| match piece {
            Piece::Restarted => reader.clone_from(&self.fresh),
            Piece::Line(line) => {
                let mut billed = false;
                let told = reader.line(line, &mut |record| {
                    billed = true;
                    emit(record);
                });
                unreadable += u64::from(told == Line::Unreadable);
                match &mut wanted {
                    Wanted::All(beside) => reader.beside(line, beside),
                    // What bills is of a kind that is known.
                    Wanted::Kinds(take) if !billed => reader.unknown(line).into_iter().for_each(take),
                    Wanted::Kinds(_) | Wanted::Records => {}
                }
            }
        })?;
        Ok(Stretch { more: progress.more, later: false, unreadable: unreadable + progress.overlong })
    }

    /// Up to where everything was read. Opaque to everyone else.
    pub fn position(&self) -> Vec<u8> {
        match &self.kind {
            Following::Opencode(follower) => follower.position(),
            Following::Whole { .. } => Vec::new(),
            Following::Lines { tail, reader } => {
                let mut out = tail.cursor().encode();
                out.extend(reader.state().unwrap_or_default());
                out
            }
        }
    }

    /// How far, in bytes of the source; zero where that is no measure.
    pub fn offset(&self) -> u64 {
        match &self.kind {
            Following::Lines { tail, .. } => tail.cursor().offset,
            Following::Opencode(_) | Following::Whole { .. } => 0,
        }
    }
}

/// The sessions that something was read of, with what they say of themselves.
fn sessions(
    follower: &mut opencode::store::Follower,
    emit: &mut dyn FnMut(Record),
    wanted: Wanted<'_>,
) -> io::Result<Stretch> {
    let mut touched = BTreeSet::new();
    let stretch = follower.read(&mut |record| {
        touched.insert(record.conversation.to_string());
        emit(record);
    })?;
    if let Wanted::All(beside) = wanted {
        let sums = opencode::store::sums_of(follower.path(), &touched).into_iter();
        sums.map(|sum| Told {
            conversation: sum.session,
            sum: sum.told,
            inherited: sum.copied,
            ..Told::default()
        })
        .map(Beside::Told)
        .for_each(beside);
    }
    Ok(stretch)
}

/// An identity that would be refused on the wire for its length is told by its fingerprint.
fn identified(record: Record) -> Record {
    if record.id.len() <= MAX_ID {
        return record;
    }
    let id = format!("long:{:016x}", Fingerprint::EMPTY.with(record.id.as_bytes()).0);
    Record { id, ..record }
}

fn resumed(fresh: &Reader, position: &[u8]) -> Option<(Cursor, Reader)> {
    let (cursor, state) = position.split_at_checked(Cursor::ENCODED)?;
    Some((Cursor::decode(cursor)?, fresh.resume(state)?))
}
