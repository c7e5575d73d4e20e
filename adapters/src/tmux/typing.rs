//! The only keys that the fleet presses: a text pasted into a pane, and Enter. Whether a pane takes them is asked by
//! the server in the same step in which it passes them on: a paste into a dead pane ends some servers, copy mode
//! swallows keys, and a synchronized window sends them to its neighbours.

use super::server::{Server, TmuxError, mark};

/// True where the pane itself would not get the keys.
const SHUT: &str = "#{||:#{||:#{pane_dead},#{pane_in_mode}},#{||:#{pane_synchronized},#{pane_input_off}}}";
const FACTS: &str =
    "#{pane_dead} #{pane_in_mode} #{pane_synchronized} #{pane_input_off} #{pane_pid} #{pane_title}";

/// A pane as somebody in front of it has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Front {
    pub dead: bool,
    pub in_mode: bool,
    pub synchronized: bool,
    pub input_off: bool,
    pub pid: u32,
    pub title: String,
    /// With attributes.
    pub capture: String,
}

impl Front {
    fn read(output: &str) -> Option<Self> {
        let (facts, capture) = output.split_once('\n')?;
        let mut words = facts.splitn(6, ' ');
        let mut flag = || Some(!matches!(words.next()?, "" | "0"));
        let (dead, in_mode, synchronized, input_off) = (flag()?, flag()?, flag()?, flag()?);
        let pid = words.next()?.parse().ok()?;
        let title = fleet_domain::text::clean(words.next().unwrap_or_default(), 120);
        Some(Self { dead, in_mode, synchronized, input_off, pid, title, capture: capture.to_owned() })
    }
}

impl Server {
    /// What this pane shows and is; nothing where it is gone.
    ///
    /// # Errors
    /// When tmux does not answer.
    pub async fn front(&self, pane: &str) -> Result<Option<Front>, TmuxError> {
        let pane = exact_pane(pane);
        let args =
            ["display-message", "-p", "-t", &pane, FACTS, ";", "capture-pane", "-p", "-e", "-t", &pane];
        match self.run("capture-pane", &args).await {
            Ok(output) => Ok(Front::read(&String::from_utf8_lossy(&output))),
            Err(TmuxError::Failed { .. } | TmuxError::NoServer { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Pastes a text whole, in brackets where the program asked for them, its line ends as they are. False where the
    /// pane does not take keys now, and nothing was pasted.
    ///
    /// # Errors
    /// When tmux does not answer: whether it was pasted is unknown then, unless the error came before.
    pub async fn paste(&self, pane: &str, text: &str) -> Result<bool, TmuxError> {
        let (pane, buffer) = (exact_pane(pane), format!("{}message", mark()));
        self.run_with("load-buffer", &["load-buffer", "-b", &buffer, "-"], Some(text.as_bytes())).await?;
        let open = format!("paste-buffer -p -r -d -b {buffer} -t {pane} ; display-message -p passed");
        let shut = format!("delete-buffer -b {buffer} ; display-message -p shut");
        self.unless_shut("paste-buffer", &pane, &shut, &open).await
    }

    /// Presses Enter. False where the pane does not take keys now, and nothing was pressed.
    ///
    /// # Errors
    /// When tmux does not answer: whether it was pressed is unknown then.
    pub async fn enter(&self, pane: &str) -> Result<bool, TmuxError> {
        let pane = exact_pane(pane);
        let open = format!("send-keys -t {pane} Enter ; display-message -p passed");
        self.unless_shut("send-keys", &pane, "display-message -p shut", &open).await
    }

    async fn unless_shut(
        &self,
        what: &'static str,
        pane: &str,
        shut: &str,
        open: &str,
    ) -> Result<bool, TmuxError> {
        let output = self.run(what, &["if-shell", "-F", "-t", pane, SHUT, shut, open]).await?;
        Ok(String::from_utf8_lossy(&output).contains("passed"))
    }
}

/// A pane's id and nothing else, as it goes into a line that tmux parses.
fn exact_pane(pane: &str) -> String {
    format!("%{}", pane.chars().filter(char::is_ascii_digit).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pane_is_read_with_whatever_title_it_has() {
        let front = Front::read("0 1 0 0 42 a title  with 7 words\n\u{1b}[1m❯\u{1b}[0m\n").unwrap();
        assert_eq!((front.dead, front.in_mode, front.pid), (false, true, 42));
        assert_eq!(front.title, "a title with 7 words");
        assert!(front.capture.starts_with("\u{1b}[1m❯"));
        assert_eq!(Front::read("0 0 0 0  \n"), None);
        assert_eq!(Front::read(""), None);
    }

    #[test]
    fn only_the_number_of_a_pane_reaches_tmux() {
        assert_eq!(exact_pane("%5"), "%5");
        assert_eq!(exact_pane("%5 ; kill-server"), "%5");
    }
}
