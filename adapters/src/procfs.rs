//! Processes as the kernel shows them. What cannot be read is `None`: processes end at any moment.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fleet_domain::{Wall, text};

/// A pane's tree is walked no further than this.
const MAX_TREE: usize = 128;
const MAX_ENVIRON: u64 = 1 << 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    pub pid: u32,
    pub comm: String,
    /// The kernel's letter: R, S, D, T (stopped), t (traced), Z …
    pub state: char,
    pub parent: u32,
    pub group: u32,
    /// Foreground process group of the controlling terminal; `None` without one.
    pub foreground: Option<u32>,
    /// Clock ticks after boot; with the pid, what makes a process the same process.
    pub start: u64,
}

impl Stat {
    pub fn stopped(&self) -> bool {
        matches!(self.state, 'T' | 't')
    }

    pub fn ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}

pub fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The name stands in parentheses and may itself hold blanks and parentheses.
pub fn parse_stat(bytes: &[u8]) -> Option<Stat> {
    let text = String::from_utf8_lossy(bytes);
    let (open, close) = (text.find('(')?, text.rfind(')')?);
    let pid = text.get(..open)?.trim().parse().ok()?;
    let comm = text::clean(text.get(open + 1..close)?, 64);
    let fields: Vec<&str> = text.get(close + 1..)?.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<i64>().ok();
    Some(Stat {
        pid,
        comm,
        state: fields.first()?.chars().next()?,
        parent: u32::try_from(number(1)?).ok()?,
        group: u32::try_from(number(2)?).ok()?,
        foreground: number(5).and_then(|group| u32::try_from(group).ok()).filter(|group| *group > 0),
        start: u64::try_from(number(19)?).ok()?,
    })
}

/// The arguments, cleaned; empty for a kernel thread or where it may not be read.
pub fn arguments(pid: u32) -> Vec<String> {
    let mut bytes = Vec::new();
    let Ok(file) = fs::File::open(format!("/proc/{pid}/cmdline")) else { return Vec::new() };
    if file.take(16 << 10).read_to_end(&mut bytes).is_err() {
        return Vec::new();
    }
    bytes
        .split(|byte| *byte == 0)
        .filter(|part| !part.is_empty())
        .map(|part| text::clean(&String::from_utf8_lossy(part), 512))
        .collect()
}

/// One variable of a process's environment as it was started.
pub fn environment(pid: u32, names: &[&str]) -> Vec<Option<PathBuf>> {
    use std::os::unix::ffi::OsStringExt;
    let mut found = vec![None; names.len()];
    let mut bytes = Vec::new();
    let Ok(file) = fs::File::open(format!("/proc/{pid}/environ")) else { return found };
    if file.take(MAX_ENVIRON).read_to_end(&mut bytes).is_err() {
        return found;
    }
    for entry in bytes.split(|byte| *byte == 0) {
        for (slot, name) in found.iter_mut().zip(names) {
            if let Some(value) = entry.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="))
                && !value.is_empty()
            {
                *slot = Some(PathBuf::from(std::ffi::OsString::from_vec(value.to_vec())));
            }
        }
    }
    found
}

/// The processor's time that a process used, as far as the kernel counts it, in clock ticks.
pub fn used(pid: u32) -> Option<u64> {
    let bytes = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(ticks()? + ticks()?)
}

/// Clock ticks of a second.
pub fn ticks_a_second() -> Option<u64> {
    let ticks = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten()?;
    u64::try_from(ticks).ok().filter(|ticks| *ticks > 0)
}

/// A process and its descendants, parents first; bounded.
pub fn tree(root: u32) -> Vec<Stat> {
    let mut queue = VecDeque::from([root]);
    let mut found = Vec::new();
    while let Some(pid) = queue.pop_front() {
        if found.len() == MAX_TREE {
            break;
        }
        let Some(stat) = stat(pid) else { continue };
        queue.extend(children(pid));
        found.push(stat);
    }
    found
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(text) = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")) else { return Vec::new() };
    text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// The working directory of a process.
pub fn directory(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/cwd")).ok()
}

/// The files that a process holds open, sockets and the like left out.
pub fn open_files(pid: u32) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let targets = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    targets.filter(|target| target.is_absolute()).collect()
}

/// The TCP ports on which a process can be reached over loopback, lowest first.
pub fn listening(pid: u32) -> Vec<u16> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let links = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let own: BTreeSet<u64> = links.filter_map(|link| inode(link.to_str()?)).collect();
    if own.is_empty() {
        return Vec::new();
    }
    let tables = ["tcp", "tcp6"].map(|table| fs::read_to_string(format!("/proc/{pid}/net/{table}")));
    let rows = tables.iter().flatten().flat_map(|table| table.lines().filter_map(listener));
    let ports: BTreeSet<u16> = rows.filter(|(_, inode)| own.contains(inode)).map(|(port, _)| port).collect();
    ports.into_iter().collect()
}

fn inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Port and inode of a row of `/proc/net/tcp` that listens on loopback or everywhere.
fn listener(row: &str) -> Option<(u16, u64)> {
    const LISTENS: &str = "0A";
    let fields: Vec<&str> = row.split_ascii_whitespace().collect();
    let (address, port) = fields.get(1)?.split_once(':')?;
    let everywhere = address.bytes().all(|digit| digit == b'0');
    // 127.0.0.1, and the same as an address of the newer kind; in the order in which this machine keeps bytes.
    let loopback = format!("{:08X}", 0x7f00_0001_u32.to_be());
    let mapped = format!("0000000000000000{:08X}{}", 0x0000_ffff_u32.to_be(), loopback);
    if *fields.get(3)? != LISTENS || !(everywhere || address == loopback || address == mapped) {
        return None;
    }
    Some((u16::from_str_radix(port, 16).ok()?, fields.get(9)?.parse().ok()?))
}

/// Every process that may be seen.
pub fn all() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// When a process began.
pub fn started(stat: &Stat) -> Option<SystemTime> {
    let ticks = ticks_a_second()?;
    let boot = Duration::from(nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).ok()?);
    let after_boot = Duration::from_millis(stat.start.checked_mul(1000)? / ticks);
    SystemTime::now().checked_sub(boot.saturating_sub(after_boot))
}

/// The same as a [`Wall`].
pub fn began(stat: &Stat) -> Option<Wall> {
    let since = started(stat)?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Wall(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}

/// How long ago a terminal last carried output; the kernel keeps it to about eight seconds.
pub fn terminal_idle(tty: &Path, now: SystemTime) -> Option<Duration> {
    if !tty.starts_with("/dev/pts/") {
        return None;
    }
    let moved = fs::metadata(tty).ok()?.modified().ok()?;
    Some(now.duration_since(moved).unwrap_or_default())
}

/// The control group of a process, as a path; `None` where it is gone or there is no unified hierarchy.
pub fn cgroup(pid: u32) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let unified = |line: &str| {
        line.strip_prefix("0::")
            .or_else(|| line.split_once("name=systemd:").map(|(_, path)| path))
            .map(str::to_owned)
    };
    text.lines().find_map(unified)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_with_blanks_and_parentheses_is_read_whole() {
        let line = b"42 (a) (b c) T 1 42 42 34816 43 4194304 1 2 3 4 5 6 7 8 20 0 1 0 12345 1 1";
        let stat = parse_stat(line).unwrap();
        assert_eq!(
            (stat.comm.as_str(), stat.stopped(), stat.foreground, stat.start),
            ("a) (b c", true, Some(43), 12345)
        );
    }

    #[test]
    fn we_see_ourselves() {
        let me = std::process::id();
        let stat = stat(me).unwrap();
        assert_eq!(stat.pid, me);
        assert!(tree(me).iter().any(|stat| stat.pid == me));
        assert!(!arguments(me).is_empty());
        assert!(all().contains(&me));
        let file = fs::File::open("/proc/self/stat").unwrap();
        assert!(open_files(me).iter().any(|path| path.ends_with("stat")));
        drop(file);
        assert!(started(&stat).unwrap() <= SystemTime::now());
        assert!(used(me).is_some() && used(0).is_none());
        assert!(environment(me, &["PATH", "FLEET_NO_SUCH_VARIABLE"])[1].is_none());
    }

    #[test]
    fn a_port_of_ours_is_found_while_we_listen_there_and_one_of_another_machine_is_not() {
        let socket = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        assert!(listening(std::process::id()).contains(&port));
        drop(socket);
        assert!(!listening(std::process::id()).contains(&port));
        let row = |address: &str, state: &str| {
            listener(&format!(
                "  0: {address}:1000 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 0 0 77 1"
            ))
        };
        assert_eq!(row("00000000", "0A"), Some((4096, 77)));
        assert_eq!(row("00000000000000000000000000000000", "0A"), Some((4096, 77)));
        assert_eq!(
            (row("0101A8C0", "0A"), row("00000000", "01"), listener("  sl  local")),
            (None, None, None)
        );
    }

    proptest! {
        #[test]
        fn any_stat_is_an_answer_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_stat(&bytes);
        }
    }
}
