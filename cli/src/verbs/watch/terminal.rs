//! The table on a terminal, redrawn in place on change; ages tick once a second at most.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::board::Board;
use super::feed::Fed;
use super::painter::Painter;
use crate::clock;
use crate::error::{Code, Failure, Outcome};
use crate::output::{self, Screen};
use crate::render::Scene;
use crate::render::grid::cut;
use crate::render::words::safe;
use crate::verbs::ps::{NOTHING_YET, Request, lines, note_line};

/// Between two frames; the first change after a quiet while is shown at once.
const FRAME: Duration = Duration::from_millis(100);
const TICK: Duration = Duration::from_secs(1);

pub async fn run(mut from: Receiver<Fed>, request: &Request, screen: Screen) -> Outcome {
    let mut view = View { board: Board::default(), painter: Painter::default(), request, screen };
    let mut resized =
        signal(SignalKind::window_change()).map_err(|error| Failure::of(Code::Failure, &error))?;
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut drawn = Instant::now() - FRAME;
    let mut due: Option<Instant> = None;
    loop {
        tokio::select! {
            fed = from.recv() => match fed {
                None => return Ok(()),
                Some(Fed::Failed(failure)) => return Err(failure),
                Some(fed) => {
                    view.board.take(fed, clock::now().mono);
                    due.get_or_insert(drawn + FRAME);
                }
            },
            _ = tick.tick() => { due.get_or_insert(drawn + FRAME); }
            _ = resized.recv() => due = Some(Instant::now()),
            () = sleep_until(due.unwrap_or(drawn)), if due.is_some() => {
                view.draw()?;
                (drawn, due) = (Instant::now(), None);
            }
        }
    }
}

struct View<'r> {
    board: Board,
    painter: Painter,
    request: &'r Request,
    screen: Screen,
}

impl View<'_> {
    fn draw(&mut self) -> Outcome {
        if !self.board.filled {
            return Ok(());
        }
        let size = self.screen.size();
        let now = clock::now();
        let scene = Scene {
            now: now.wall,
            zone: clock::zone(),
            direct: self.board.direct,
            colour: self.screen.colour,
            funds: self.board.funds.clone(),
        };
        let lines = frame(&self.board, self.request, &scene, now.mono, size);
        match self.painter.frame(lines, size) {
            Some(text) => output::data(&text),
            None => Ok(()),
        }
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        if let Some(text) = self.painter.end() {
            // The terminal may be gone, and then there is nothing to put back.
            let _ = output::data(&text);
        }
    }
}

/// The block of lines: never higher than the terminal, with what is to be said at its foot.
fn frame(
    board: &Board,
    request: &Request,
    scene: &Scene,
    now: fleet_domain::Mono,
    (width, height): (usize, usize),
) -> Vec<String> {
    let agents = board.agents(now);
    let shown = request.select(&agents, scene);
    let mut block = if agents.is_empty() {
        NOTHING_YET.lines().map(str::to_owned).collect()
    } else {
        lines(&shown, request, scene, width)
    };
    let foot = foot(board);
    let room = height.saturating_sub(1 + foot.len()).max(2);
    if block.len() > room {
        let hidden = block.len() - room + 1;
        block.truncate(room - 1);
        block.push(format!("… {hidden} more below; a higher terminal or a filter shows them"));
    }
    block.extend(foot);
    block.into_iter().map(|line| fit(line, width)).collect()
}

fn foot(board: &Board) -> Vec<String> {
    let mut foot: Vec<String> = board.hosts.iter().take(3).map(note_line).collect();
    if board.hosts.len() > 3 {
        foot.push(format!("… {} more notes: fleet doctor", board.hosts.len() - 3));
    }
    foot.extend(board.notice.as_deref().map(|notice| safe(notice).into_owned()));
    foot
}

/// Lines of the table fit already and may hold colours; only others are cut.
fn fit(line: String, width: usize) -> String {
    if line.contains('\u{1b}') { line } else { cut(&line, width).0.into_owned() }
}

#[cfg(test)]
mod tests {
    use fleet_domain::Mono;

    use super::*;
    use crate::client::{Listing, Update};
    use crate::render::samples;
    use crate::render::table::Plan;
    use crate::source::HostNote;
    use crate::verbs::ps::Format;

    fn board() -> Board {
        let mut board = Board::default();
        let listing = Listing { agents: samples::fleet(), ..Listing::default() };
        board.take(Fed::Update(Update::Snapshot(listing)), Mono(0));
        board
            .hosts
            .push(HostNote { host: "box".to_owned(), text: "systemd is not known: no bus".to_owned() });
        board.notice = Some("no collector at unix:///c.sock; looking directly every 2s".to_owned());
        board
    }

    fn request() -> Request {
        Request {
            format: Format::Table,
            plan: Plan::of(&[], false, true),
            filters: Default::default(),
            sort_by: None,
        }
    }

    #[test]
    fn a_low_terminal_says_how_many_are_not_shown() {
        insta::assert_snapshot!(frame(&board(), &request(), &samples::scene(), Mono(0), (100, 9)).join("\n"));
    }

    #[test]
    fn no_frame_is_higher_or_wider_than_the_terminal() {
        for (width, height) in [(40, 5), (60, 8), (200, 50)] {
            let lines = frame(&board(), &request(), &samples::scene(), Mono(0), (width, height));
            assert!(lines.len() < height.max(6), "{} lines of {height}", lines.len());
            assert!(lines.iter().all(|line| crate::render::grid::width_of(line) <= width));
        }
    }

    #[test]
    fn an_empty_fleet_says_what_to_do() {
        let lines = frame(&Board::default(), &request(), &samples::scene(), Mono(0), (100, 20));
        assert!(lines[0].contains("no agents yet"));
    }
}
