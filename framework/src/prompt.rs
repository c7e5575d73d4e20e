//! What an agent is told of itself before its first message: its role, its person, its human, its tools, its peers.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use fleet_domain::roster::role;

use crate::home::{Home, shown};
use crate::seed;

/// A page that is longer would take the room of the work itself.
const MAX_BYTES: u64 = 256 << 10;
/// In the order in which they are read; each with an overlay of its own.
const PAGES: [&str; 3] = ["SOUL.md", "USER.md", "TOOLS.md"];

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prompt {
    pub text: String,
    /// What could not be read.
    pub warnings: Vec<String>,
}

impl Prompt {
    fn add(&mut self, text: &str) {
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(text);
        self.text.push('\n');
    }

    /// The file, and behind it its overlay: `X.local.md`, or `X.md.local`. True where the file was there.
    fn add_with_overlay(&mut self, path: &Path) -> bool {
        let found = self.add_file(path);
        for overlay in [path.with_extension("local.md"), crate::files::beside(path, ".local")] {
            self.add_file(&overlay);
        }
        found
    }

    fn add_file(&mut self, path: &Path) -> bool {
        match read(path) {
            Ok(Some(text)) => {
                self.add(&text);
                true
            }
            Ok(None) => false,
            Err(error) => {
                self.warnings.push(format!("{} is left out: {error}", shown(path)));
                false
            }
        }
    }
}

/// The prompt of an agent of this class. `peers` is its cheat-sheet; an agent outside the roster has none.
pub fn prompt(home: &Home, class: &str, peers: Option<&str>) -> Prompt {
    let mut prompt = Prompt::default();
    for page in role::pages(class) {
        if prompt.add_with_overlay(&page_path(home, page)) {
            break;
        }
        // A home that was never seeded has no library: then the one that is embedded.
        if let Some(text) = seed::role(page) {
            let overlay = std::mem::take(&mut prompt.text);
            prompt.add(text);
            prompt.add(&overlay);
            break;
        }
    }
    for page in PAGES {
        prompt.add_with_overlay(&home.root.join(page));
    }
    prompt.add(peers.unwrap_or_default());
    prompt
}

fn page_path(home: &Home, page: &str) -> PathBuf {
    home.root.join("fleet/roles").join(format!("{page}.md"))
}

/// `None` where there is no such file.
fn read(path: &Path) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other(format!("it is larger than {} KiB", MAX_BYTES >> 10)));
    }
    let text = String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8 text"))?;
    Ok(Some(text.replace('\0', "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World {
        _dir: tempfile::TempDir,
        home: Home,
    }

    impl World {
        fn new(files: &[(&str, &[u8])]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let home = Home::from_vars(|name| (name == "HOME").then(|| dir.path().to_owned())).unwrap();
            for (path, content) in files {
                let path = home.root.join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, content).unwrap();
            }
            Self { home, _dir: dir }
        }
    }

    #[test]
    fn all_that_is_there_comes_in_order_with_its_overlays() {
        let world = World::new(&[
            ("fleet/roles/code.md", b"# Code\n"),
            ("fleet/roles/code.local.md", b"Here: only Rust.\n"),
            ("SOUL.md", b"soul\n"),
            ("SOUL.local.md", b"soul here\n"),
            ("TOOLS.md.local", b"tools here\n"),
        ]);
        let prompt = prompt(&world.home, "coder", Some("# Your peers\n"));
        assert_eq!(
            prompt.text,
            "# Code\n\nHere: only Rust.\n\nsoul\n\nsoul here\n\ntools here\n\n# Your peers\n"
        );
        assert!(prompt.warnings.is_empty());
    }

    #[test]
    fn a_home_that_was_never_seeded_has_the_embedded_library() {
        let world = World::new(&[("fleet/roles/planner.local.md", b"in German\n")]);
        let text = prompt(&world.home, "orchestrator", None).text;
        assert!(text.starts_with("# Planner") && text.ends_with("\n\nin German\n"), "{text}");
        assert_eq!(prompt(&world.home, "worker", None).text, "");
    }

    #[test]
    fn a_page_of_the_users_own_for_a_class_comes_before_the_alias() {
        let world = World::new(&[("fleet/roles/orchestrator.md", b"mine\n")]);
        assert_eq!(prompt(&world.home, "orchestrator", None).text, "mine\n");
    }

    #[test]
    fn what_is_no_page_is_left_out_and_told() {
        let large = vec![b'x'; (256 << 10) + 1];
        let world = World::new(&[("SOUL.md", b"\xff\xfe"), ("USER.md", &large), ("TOOLS.md/x", b"")]);
        let prompt = prompt(&world.home, "worker", None);
        assert_eq!((prompt.text.as_str(), prompt.warnings.len()), ("", 3), "{:?}", prompt.warnings);
    }
}
