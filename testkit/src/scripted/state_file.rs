//! `<config>/sessions/<pid>.json`: the runtime's own word on what it is doing, in the shape of 2.1.330.
//!
//! The real one rewrites the file in place, so that a reader can meet an empty or torn file. By default this one
//! replaces it by rename, so that tests see whole files only; `--in-place` does as the real one does.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::identity::{Identity, now_ms, random_hex};
use super::json::{Object, array, quoted};
use super::{PEER_FEATURES, VERSION};

/// What `status` and `waitingFor` say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Idle,
    Busy,
    /// On `waitingFor`.
    Waiting(&'static str),
    Shell,
}

pub(crate) struct StateFile {
    path: PathBuf,
    key: PathBuf,
    in_place: bool,
    /// Everything before `status`.
    head: Object,
}

impl StateFile {
    /// Writes the file as it is before the first prompt is drawn: without a status.
    pub(crate) fn create(identity: &Identity, in_place: bool) -> Result<Self> {
        let dir = identity.config.join("sessions");
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).context("make the sessions directory")?;
        let path = dir.join(format!("{}.json", identity.pid));
        let key = dir.join(format!("{}.{}.key", identity.pid, random_hex(32)?));
        let file = Self { path, key, in_place, head: head(identity)? };
        file.write_key(identity)?;
        file.write(&file.head)?;
        Ok(file)
    }

    pub(crate) fn set(&self, status: Status) -> Result<()> {
        let now = now_ms();
        let (word, waiting_for) = match status {
            Status::Idle => ("idle", None),
            Status::Busy => ("busy", None),
            Status::Waiting(reason) => ("waiting", Some(reason)),
            Status::Shell => ("shell", None),
        };
        let row = self.head.clone().text("status", word).raw("updatedAt", now).raw("statusUpdatedAt", now);
        self.write(&match waiting_for {
            Some(reason) => row.text("waitingFor", reason),
            None => row,
        })
    }

    /// The clean end. After a kill both files stay, with the last status.
    pub(crate) fn remove(&self) {
        for path in [&self.path, &self.key] {
            let _ = std::fs::remove_file(path);
        }
    }

    fn write(&self, row: &Object) -> Result<()> {
        let text = row.to_string();
        if self.in_place { write_in_place(&self.path, &text) } else { replace(&self.path, &text) }
            .with_context(|| format!("write {}", self.path.display()))
    }

    fn write_key(&self, identity: &Identity) -> Result<()> {
        let row = Object::new()
            .text("peerToken", &random_hex(16)?)
            .text("procStart", &identity.proc_start)
            .text("pidDomain", &identity.pid_domain);
        let file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&self.key);
        file.and_then(|mut file| write!(file, "{row}")).context("write the key file")
    }
}

fn head(identity: &Identity) -> Result<Object> {
    let base = Path::new(&identity.cwd).file_name().unwrap_or_default().to_string_lossy().into_owned();
    // The real socket lies in the system's temporary directory; nothing listens on this one.
    let socket = identity.config.join(format!("cc-socks/{}.sock", identity.pid));
    Ok(Object::new()
        .raw("pid", identity.pid)
        .text("sessionId", &identity.session)
        .text("cwd", &identity.cwd)
        .raw("startedAt", identity.started_ms)
        .text("procStart", &identity.proc_start)
        .text("version", VERSION)
        .raw("peerProtocol", 1)
        .raw("peerFeatures", array(PEER_FEATURES.map(quoted)))
        .text("kind", "interactive")
        .text("entrypoint", "cli")
        .text("pidDomain", &identity.pid_domain)
        .raw("asksForConvertedSkills", "null")
        .text("messagingSocketPath", &socket.to_string_lossy())
        .text("name", &format!("{base}-{}", random_hex(1)?))
        .text("nameSource", "derived")
        .raw("nameSince", identity.started_ms))
}

fn write_in_place(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o644).open(path)?;
    file.write_all(text.as_bytes())
}

fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let next = path.with_extension("json.tmp");
    let mut file = File::create(&next)?;
    file.write_all(text.as_bytes())?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    std::fs::rename(next, path)
}
