//! One tmux server: where its socket is, and the few commands that we give it.
#![expect(clippy::disallowed_methods, reason = "the one place that runs tmux")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use fleet_domain::text;
use fleet_domain::{AgentName, SocketName};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::list::{PaneRow, format, parse_panes};

/// A healthy server answers in milliseconds; one that is stopped or wedged never does.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// Panes that one command captures: tmux takes no longer one than 16 kB.
const AT_ONCE: usize = 100;

#[derive(Debug, thiserror::Error)]
pub enum TmuxError {
    #[error("tmux is not installed; apt-get install tmux")]
    NotInstalled,
    #[error("no tmux server on socket {socket}")]
    NoServer { socket: String },
    #[error("tmux on socket {socket} gave no answer in {}s", ANSWER_LIMIT.as_secs())]
    NoAnswer { socket: String },
    #[error("tmux on socket {socket}: {command} failed: {message}")]
    Failed { socket: String, command: &'static str, message: String },
    #[error("tmux could not be run")]
    Spawn(#[source] std::io::Error),
}

/// A path in which tmux finds no format of its own, nor a command to run.
fn plain(path: &Path) -> OsString {
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    let mut bytes = Vec::new();
    for byte in path.as_os_str().as_bytes() {
        bytes.extend(std::iter::repeat_n(*byte, if *byte == b'#' { 2 } else { 1 }));
    }
    OsString::from_vec(bytes)
}

/// Begins a line that no pane can show on purpose, as it is new each time; names what nobody else has.
pub(super) fn mark() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("fleet-{:016x}-", RandomState::new().hash_one(0))
}

/// What panes show, by pane.
pub type Screens = BTreeMap<String, String>;

fn listing(session: Option<&AgentName>) -> Vec<String> {
    let mut args = ["list-panes", "-a", "-F", &format()].map(str::to_owned).to_vec();
    // An agent's name holds nothing that means something within a format.
    args.extend(
        session.into_iter().flat_map(|name| ["-f".to_owned(), format!("#{{==:#{{session_name}},{name}}}")]),
    );
    args
}

/// Captures of several panes, attributes included, each behind a line of its own that begins with `mark`.
fn capture(mark: &str, panes: &[String]) -> Vec<String> {
    let mut args: Vec<String> = Vec::new();
    for pane in panes {
        args.extend(["display-message", "-p"].map(str::to_owned));
        args.push(format!("{mark}{}", pane.replace('%', "")));
        args.extend([";", "capture-pane", "-p", "-e", "-t", pane, ";"].map(str::to_owned));
    }
    args.pop();
    args
}

/// What stands before the first mark, and the screens behind the marks.
fn split<'t>(text: &'t str, mark: &str) -> (&'t str, Screens) {
    let mut parts = text.split(mark);
    let rows = parts.next().unwrap_or_default();
    let screen =
        |part: &str| part.split_once('\n').map(|(pane, shown)| (format!("%{pane}"), shown.to_owned()));
    (rows, parts.filter_map(screen).collect())
}

/// A version such as 3.3a as numbers, for what differs between versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32);

impl Version {
    /// Reads `tmux 3.3a`, `tmux next-3.6`, `tmux 3.5-rc`.
    pub fn parse(output: &str) -> Option<Self> {
        let version = output.trim().strip_prefix("tmux ")?;
        let version = version.strip_prefix("next-").unwrap_or(version);
        let (major, rest) = version.split_once('.')?;
        let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

/// What became of a session's program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Runs,
    /// Each is `None` where tmux does not know it.
    Ended {
        status: Option<i32>,
        signal: Option<i32>,
    },
}

impl std::fmt::Display for Life {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Runs => f.write_str("it runs"),
            Self::Ended { signal: Some(signal), .. } => write!(f, "it was ended by signal {signal}"),
            Self::Ended { status: Some(status), .. } => write!(f, "it ended with exit status {status}"),
            Self::Ended { .. } => f.write_str("it ended"),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Server {
    socket: SocketName,
}

impl Server {
    pub fn new(socket: SocketName) -> Self {
        Self { socket }
    }

    pub fn socket(&self) -> &SocketName {
        &self.socket
    }

    /// The one function that says how this server is addressed: nothing at all for the default one.
    pub fn address(&self) -> Vec<OsString> {
        match self.socket.as_str() {
            "" => Vec::new(),
            path if path.starts_with('/') => vec!["-S".into(), path.into()],
            name => vec!["-L".into(), name.into()],
        }
    }

    /// The socket's file.
    pub fn path(&self) -> PathBuf {
        match self.socket.as_str() {
            "" => default_socket_dir().join("default"),
            path if path.starts_with('/') => PathBuf::from(path),
            name => default_socket_dir().join(name),
        }
    }

    /// Every pane of every session, in one call, with the number of rows that could not be read.
    pub async fn panes(&self) -> Result<(Vec<PaneRow>, usize), TmuxError> {
        self.panes_of(None).await
    }

    async fn panes_of(&self, session: Option<&AgentName>) -> Result<(Vec<PaneRow>, usize), TmuxError> {
        if !self.path().exists() {
            return Err(self.no_server());
        }
        let output = self.run("list-panes", &listing(session)).await?;
        Ok(parse_panes(&output))
    }

    /// The panes of every session, or of the one of this name, and what some of them show; in one process, as starting it
    /// is most of what it costs.
    pub async fn look(
        &self,
        session: Option<&AgentName>,
        panes: &[String],
    ) -> Result<(Vec<PaneRow>, Screens), TmuxError> {
        if let Some(first) = panes.chunks(AT_ONCE).next().filter(|_| self.path().exists()) {
            let mark = mark();
            let args = [listing(session), vec![";".to_owned()], capture(&mark, first)].concat();
            match self.run_all("list-panes", &args).await {
                Ok(output) => {
                    let text = String::from_utf8_lossy(&output);
                    let (rows, mut screens) = split(&text, &mark);
                    screens.extend(self.captures(&panes[first.len()..]).await.unwrap_or_default());
                    return Ok((parse_panes(rows.as_bytes()).0, screens));
                }
                // There is no pane any more, so that nothing at all was said.
                Err(TmuxError::Failed { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok((self.panes_of(session).await?.0, Screens::default()))
    }

    /// What several panes show, attributes included, in one call for each hundred. A pane that vanished ends its call: those
    /// after it are missing.
    pub async fn captures(&self, panes: &[String]) -> Result<Screens, TmuxError> {
        let (mark, mut screens) = (mark(), Screens::new());
        for some in panes.chunks(AT_ONCE) {
            let output = self.run_all("capture-pane", &capture(&mark, some)).await?;
            screens.extend(split(&String::from_utf8_lossy(&output), &mark).1);
        }
        Ok(screens)
    }

    /// Of a session's active pane: id, command, columns, rows, whether the alternate screen is on, title. Nothing where
    /// there is no such session.
    pub async fn describe(&self, name: &str) -> Result<Option<[String; 6]>, TmuxError> {
        if !self.has_session(name).await? {
            return Ok(None);
        }
        let format = "#{pane_id}\n#{pane_current_command}\n#{pane_width}\n#{pane_height}\n#{alternate_on}\n#{pane_title}";
        let target = format!("{}:", exact(name));
        let output = self.run("display-message", &["display-message", "-p", "-t", &target, format]).await?;
        let output = String::from_utf8_lossy(&output);
        let lines: Vec<String> = output.lines().map(|line| text::clean(line, 200)).collect();
        Ok(lines.try_into().ok())
    }

    pub async fn has_session(&self, name: &str) -> Result<bool, TmuxError> {
        if !self.path().exists() {
            return Ok(false);
        }
        match self.run("has-session", &["has-session", "-t", &exact(name)]).await {
            Ok(_) => Ok(true),
            Err(TmuxError::NoServer { .. } | TmuxError::Failed { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether a session lives, and how it ended where its pane was kept; `None` where there is no such session.
    pub async fn life(&self, name: &str) -> Result<Option<Life>, TmuxError> {
        if !self.has_session(name).await? {
            return Ok(None);
        }
        let format = "#{pane_dead} #{pane_dead_status} #{pane_dead_signal}";
        let output = self.run("list-panes", &["list-panes", "-s", "-t", &exact(name), "-F", format]).await?;
        let output = String::from_utf8_lossy(&output);
        let mut ended = None;
        for line in output.lines() {
            let mut words = line.split(' ');
            if words.next() != Some("1") {
                return Ok(Some(Life::Runs));
            }
            let mut number = || words.next().and_then(|word| word.parse().ok());
            ended = Some(Life::Ended { status: number(), signal: number() });
        }
        Ok(ended)
    }

    /// The server's process.
    pub async fn pid(&self) -> Result<u32, TmuxError> {
        if !self.path().exists() {
            return Err(self.no_server());
        }
        let output = self.run("display-message", &["display-message", "-p", "#{pid}"]).await?;
        let text = String::from_utf8_lossy(&output);
        text.trim().parse().map_err(|_| TmuxError::Failed {
            socket: self.shown(),
            command: "display-message",
            message: "it did not tell its process".to_owned(),
        })
    }

    /// A variable of a session's own environment; `None` where it has none of this name.
    pub async fn session_variable(&self, name: &str, variable: &str) -> Result<Option<String>, TmuxError> {
        let args = ["show-environment", "-t", &exact(name), variable];
        let output = match self.run("show-environment", &args).await {
            Ok(output) => output,
            Err(TmuxError::Failed { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let line = text::clean(&String::from_utf8_lossy(&output), 400);
        Ok(line.split_once('=').map(|(_, value)| value.to_owned()))
    }

    /// What a session's pane shows, and some lines above that: tmux's own word of a dead pane pushes lines out.
    pub async fn last_lines(&self, name: &str) -> Result<String, TmuxError> {
        let target = format!("{}:", exact(name));
        let output = self.run("capture-pane", &["capture-pane", "-p", "-S", "-50", "-t", &target]).await?;
        Ok(String::from_utf8_lossy(&output).into_owned())
    }

    /// Starts a detached session, and the server if none runs. `command` is argv, never a shell's line; empty means
    /// the user's shell.
    pub async fn new_session(
        &self,
        name: &str,
        directory: Option<&Path>,
        environment: &[(String, String)],
        command: &[String],
    ) -> Result<(), TmuxError> {
        self.start_session(name, directory, environment, command, false).await
    }

    /// The same, but the pane of a program that fails is kept, so that what it said and how it ended can be read.
    pub async fn new_kept_session(
        &self,
        name: &str,
        directory: &Path,
        environment: &[(String, String)],
        command: &[String],
    ) -> Result<(), TmuxError> {
        self.start_session(name, Some(directory), environment, command, true).await
    }

    async fn start_session(
        &self,
        name: &str,
        directory: Option<&Path>,
        environment: &[(String, String)],
        command: &[String],
        keep_failed: bool,
    ) -> Result<(), TmuxError> {
        // The fleet's own server is the same whatever the user's tmux.conf says; a running one reads no file anyway.
        let mut args: Vec<OsString> =
            if self.socket.is_default() { Vec::new() } else { vec!["-f".into(), "/dev/null".into()] };
        args.extend(["new-session", "-d", "-s", name].map(OsString::from));
        if let Some(directory) = directory {
            args.extend(["-c".into(), plain(directory)]);
        }
        for (key, value) in environment {
            args.extend(["-e".into(), format!("{key}={value}").into()]);
        }
        if !command.is_empty() {
            args.push("--".into());
            // tmux would take a word's last `;` for the end of its command.
            args.extend(command.iter().map(|word| match word.strip_suffix(';') {
                Some(word) => OsString::from(format!("{word}\\;")),
                None => OsString::from(word),
            }));
        }
        if keep_failed {
            // In the same call: a program may be gone before another one.
            let target = format!("{}:", exact(name));
            args.extend(
                [";", "set-option", "-w", "-t", &target, "remain-on-exit", "failed"].map(OsString::from),
            );
        }
        self.run("new-session", &args).await.map(drop)
    }

    /// Sets an option of one session, exactly.
    pub async fn set_option(&self, session: &str, option: &str, value: &str) -> Result<(), TmuxError> {
        self.run("set-option", &["set-option", "-t", &format!("{}:", exact(session)), option, value])
            .await
            .map(drop)
    }

    pub async fn version() -> Result<(Version, String), TmuxError> {
        let server = Self::new(SocketName::default_server());
        let output = server.run("-V", &["-V"]).await?;
        let shown = text::clean(&String::from_utf8_lossy(&output), 40);
        let version = Version::parse(&shown).unwrap_or(Version(0, 0));
        Ok((version, shown))
    }

    pub(super) async fn run(
        &self,
        what: &'static str,
        args: &[impl AsRef<std::ffi::OsStr>],
    ) -> Result<Vec<u8>, TmuxError> {
        self.run_with(what, args, None).await
    }

    /// The same with something to read.
    pub(super) async fn run_with(
        &self,
        what: &'static str,
        args: &[impl AsRef<std::ffi::OsStr>],
        input: Option<&[u8]>,
    ) -> Result<Vec<u8>, TmuxError> {
        let output = self.output(args, input).await?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(self.refusal(what, &output))
    }

    /// As [`Self::run`], but what was said before a failure counts.
    async fn run_all(&self, what: &'static str, args: &[String]) -> Result<Vec<u8>, TmuxError> {
        let output = self.output(args, None).await?;
        if output.status.success() || !output.stdout.is_empty() {
            return Ok(output.stdout);
        }
        Err(self.refusal(what, &output))
    }

    async fn output(
        &self,
        args: &[impl AsRef<std::ffi::OsStr>],
        input: Option<&[u8]>,
    ) -> Result<std::process::Output, TmuxError> {
        let mut command = Command::new("tmux");
        // -u: output is UTF-8 whatever the locale; TMUX would make an outer session's server the default.
        command.arg("-u").args(self.address()).args(args).env_remove("TMUX").env_remove("TMUX_PANE");
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => TmuxError::NotInstalled,
            _ => TmuxError::Spawn(error),
        })?;
        let stdin = child.stdin.take();
        let answer = async {
            if let (Some(mut stdin), Some(input)) = (stdin, input) {
                // A command that failed reads nothing: what it says of that counts.
                let _ = stdin.write_all(input).await;
            }
            child.wait_with_output().await
        };
        match tokio::time::timeout(ANSWER_LIMIT, answer).await {
            Err(_) => Err(TmuxError::NoAnswer { socket: self.shown() }),
            Ok(output) => output.map_err(TmuxError::Spawn),
        }
    }

    fn refusal(&self, what: &'static str, output: &std::process::Output) -> TmuxError {
        let message = text::clean(&String::from_utf8_lossy(&output.stderr), 200);
        // tmux says either, depending on whether the socket's file is there.
        if message.starts_with("no server running")
            || message.starts_with("error connecting")
            || message.contains("server exited")
        {
            return self.no_server();
        }
        TmuxError::Failed { socket: self.shown(), command: what, message }
    }

    fn no_server(&self) -> TmuxError {
        TmuxError::NoServer { socket: self.shown() }
    }

    fn shown(&self) -> String {
        self.socket.shown().to_owned()
    }
}

pub(super) fn exact(name: &str) -> String {
    format!("={name}")
}

/// `$TMUX_TMPDIR/tmux-<uid>`, default `/tmp/tmux-<uid>`.
pub fn default_socket_dir() -> PathBuf {
    let base = std::env::var_os("TMUX_TMPDIR")
        .filter(|dir| !dir.is_empty())
        .map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    base.join(format!("tmux-{}", nix::unistd::getuid()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_server_has_no_address() {
        assert!(Server::new(SocketName::default_server()).address().is_empty());
        assert_eq!(Server::new(SocketName::new("mosaic-fleet")).address(), ["-L", "mosaic-fleet"]);
        assert_eq!(Server::new(SocketName::new("/tmp/x")).address(), ["-S", "/tmp/x"]);
    }

    #[test]
    fn what_was_listed_is_told_from_what_panes_show() {
        let (rows, screens) = split("a\nb\nMARK1\nfirst\n\nMARK12\nsecond\n", "MARK");
        assert_eq!(rows, "a\nb\n");
        let expected = [("%1", "first\n\n"), ("%12", "second\n")]
            .map(|(pane, shown)| (pane.to_owned(), shown.to_owned()));
        assert_eq!(screens, Screens::from(expected));
        assert_eq!(split("a\n", "MARK"), ("a\n", Screens::new()));
    }

    #[test]
    fn versions_of_all_kinds_are_read() {
        for (text, version) in
            [("tmux 3.3a\n", Version(3, 3)), ("tmux next-3.6", Version(3, 6)), ("tmux 3.5-rc", Version(3, 5))]
        {
            assert_eq!(Version::parse(text), Some(version));
        }
        assert_eq!(Version::parse("screen 4"), None);
    }
}
