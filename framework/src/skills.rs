//! Which skills a pi agent is given: by default none but the fleet's own, so that what lies around on a machine does not
//! fill the context of every agent.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What is forced unless told otherwise.
pub const DEFAULT_FORCED: &str = "mosaic-tools";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// None but the forced ones.
    #[default]
    None,
    /// All that lie in the four places.
    All,
    /// pi finds its own; what it would not find is forced.
    Discover,
}

impl Mode {
    /// `none`, `all` or `discover`.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "none" => Some(Self::None),
            "all" => Some(Self::All),
            "discover" => Some(Self::Discover),
            _ => None,
        }
    }
}

/// Where skills lie.
#[derive(Debug, Clone)]
pub struct Places {
    /// `$MOSAIC_HOME`
    pub root: PathBuf,
    /// pi's own directory, `~/.pi/agent`.
    pub pi: PathBuf,
    /// The agent's work directory.
    pub work: PathBuf,
}

impl Places {
    fn fleets(&self) -> [PathBuf; 2] {
        [self.root.join("skills"), self.root.join("skills-local")]
    }

    /// Where pi looks by itself.
    fn pis(&self) -> [PathBuf; 2] {
        [self.pi.join("skills"), self.work.join(".pi/skills")]
    }
}

/// pi's arguments. `forced` are names or paths; what is not there is skipped.
pub fn arguments(places: &Places, mode: Mode, forced: &[&str]) -> Vec<String> {
    let mut arguments = Vec::new();
    // Real paths of what pi has, or gets, already.
    let mut known: BTreeSet<PathBuf> = BTreeSet::new();
    if mode == Mode::Discover {
        known.extend(places.pis().iter().flat_map(|place| in_place(place)).filter_map(|path| real(&path)));
    } else {
        arguments.push("--no-skills".to_owned());
    }
    let all = if mode == Mode::All {
        places.fleets().iter().chain(&places.pis()).flat_map(|place| in_place(place)).collect()
    } else {
        Vec::new()
    };
    for path in forced.iter().filter_map(|name| find(places, name)).chain(all) {
        let Some(real) = real(&path) else { continue };
        if known.insert(real)
            && let Some(path) = path.to_str()
        {
            arguments.extend(["--skill".to_owned(), path.to_owned()]);
        }
    }
    arguments
}

fn find(places: &Places, name: &str) -> Option<PathBuf> {
    if name.is_empty() {
        return None;
    }
    let local = places.fleets().into_iter().rev();
    local.chain(places.pis()).map(|place| place.join(name)).find(|path| is_skill(path))
}

fn in_place(place: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(place).into_iter().flatten().filter_map(Result::ok);
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| is_skill(path)).collect();
    paths.sort();
    paths
}

/// A directory with its page, or a page alone.
fn is_skill(path: &Path) -> bool {
    path.join("SKILL.md").is_file() || (path.extension().is_some_and(|end| end == "md") && path.is_file())
}

fn real(path: &Path) -> Option<PathBuf> {
    std::fs::canonicalize(path).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct World {
        dir: tempfile::TempDir,
        places: Places,
    }

    impl World {
        fn new(skills: &[&str]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let at = |name: &str| dir.path().join(name);
            for skill in skills {
                std::fs::create_dir_all(at(skill)).unwrap();
                std::fs::write(at(skill).join("SKILL.md"), "x").unwrap();
            }
            let places = Places { root: at("m"), pi: at("pi"), work: at("w") };
            Self { dir, places }
        }

        fn arguments(&self, mode: Mode, forced: &[&str]) -> Vec<String> {
            let root = format!("{}/", self.dir.path().display());
            arguments(&self.places, mode, forced).iter().map(|word| word.replace(&root, "")).collect()
        }
    }

    const SKILLS: [&str; 4] =
        ["m/skills/mosaic-tools", "m/skills-local/own", "pi/skills/found", "w/.pi/skills/here"];

    #[test]
    fn by_default_only_what_is_forced_and_there() {
        let world = World::new(&SKILLS);
        assert_eq!(
            world.arguments(Mode::None, &["mosaic-tools", "absent", "", "own"]),
            ["--no-skills", "--skill", "m/skills/mosaic-tools", "--skill", "m/skills-local/own"]
        );
        assert_eq!(world.arguments(Mode::None, &[]), ["--no-skills"]);
    }

    #[test]
    fn all_four_places_and_each_skill_once_by_its_real_path() {
        let world = World::new(&SKILLS);
        let at = |name: &str| world.dir.path().join(name);
        symlink(at("m/skills/mosaic-tools"), at("pi/skills/again")).unwrap();
        std::fs::create_dir(at("m/skills/none")).unwrap();
        let words = world.arguments(Mode::All, &["mosaic-tools"]);
        let skills: Vec<&str> = words.iter().map(String::as_str).filter(|word| word.contains('/')).collect();
        assert_eq!(
            skills,
            ["m/skills/mosaic-tools", "m/skills-local/own", "pi/skills/found", "w/.pi/skills/here"]
        );
        assert_eq!(words[0], "--no-skills");
    }

    #[test]
    fn what_pi_discovers_itself_is_not_forced_a_second_time() {
        let world = World::new(&SKILLS);
        assert_eq!(world.arguments(Mode::Discover, &["mosaic-tools"]), ["--skill", "m/skills/mosaic-tools"]);
        symlink(world.dir.path().join("m/skills/mosaic-tools"), world.dir.path().join("w/.pi/skills/linked"))
            .unwrap();
        assert!(world.arguments(Mode::Discover, &["mosaic-tools"]).is_empty());
    }

    #[test]
    fn the_users_own_comes_before_the_shipped_of_the_same_name() {
        let world = World::new(&["m/skills/mosaic-tools", "m/skills-local/mosaic-tools"]);
        assert_eq!(
            world.arguments(Mode::None, &[DEFAULT_FORCED]),
            ["--no-skills", "--skill", "m/skills-local/mosaic-tools"]
        );
    }
}
