//! What is said to an agent: its first message, and what clears its context.

use crate::HostId;

use super::{Agent, Roster};

impl Roster {
    /// The text that clears this runtime's context; `None` for one whose own is not known.
    pub fn reset_command(&self, runtime: &str) -> Option<&str> {
        let set = self.runtimes.iter().find(|settings| settings.runtime.as_str() == runtime);
        let set = set.and_then(|settings| settings.reset_command.as_deref());
        set.filter(|command| !command.is_empty()).or(match runtime {
            "claude" | "codex" => Some("/clear"),
            "pi" | "opencode" => Some("/new"),
            _ => None,
        })
    }
}

impl Agent {
    /// The first message of a new conversation: `kickstart` as it stands, else `kickstart_template` filled in for the host
    /// `here` and this work directory. A name in braces that is not known stays.
    pub fn first_message(&self, here: &HostId, directory: &str) -> Option<String> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
        given(&self.kickstart).or_else(|| Some(self.fill(&given(&self.kickstart_template)?, here, directory)))
    }

    fn fill(&self, template: &str, here: &HostId, directory: &str) -> String {
        let value = |name: &str| match name {
            "name" => Some(self.name.as_str()),
            "class" => Some(self.class.as_str()),
            "alias" => Some(self.alias.as_deref().unwrap_or(self.name.as_str())),
            "runtime" => Some(self.runtime.as_str()),
            "host" => Some(here.as_str()),
            "working_directory" => Some(directory),
            _ => None,
        };
        let mut out = String::new();
        let mut rest = template;
        while let Some(at) = rest.find('{') {
            out.push_str(&rest[..at]);
            let inside = &rest[at + 1..];
            match inside.find('}').and_then(|end| Some((value(&inside[..end])?, end))) {
                Some((value, end)) => {
                    out.push_str(value);
                    rest = &inside[end + 1..];
                }
                None => {
                    out.push('{');
                    rest = inside;
                }
            }
        }
        out + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roster(agent: &str) -> Roster {
        let text = format!(
            "version: 1\nruntimes: {{pi: {{reset_command: /wipe}}}}\nagents: [{{name: a, runtime: pi{agent}}}]"
        );
        Roster::parse(&text).unwrap()
    }

    #[test]
    fn each_runtime_has_its_own_reset_unless_the_roster_has_another() {
        let roster = roster("");
        let reset = |runtime| roster.reset_command(runtime);
        assert_eq!(
            (reset("claude"), reset("codex"), reset("opencode")),
            (Some("/clear"), Some("/clear"), Some("/new"))
        );
        assert_eq!((reset("pi"), reset("own")), (Some("/wipe"), None));
    }

    #[test]
    fn a_template_is_filled_and_what_is_not_known_stays() {
        let first = |agent: &str| roster(agent).agents[0].first_message(&HostId::new("box"), "/w");
        assert_eq!(first(""), None);
        assert_eq!(first(", kickstart: 'go {name}'").as_deref(), Some("go {name}"));
        assert_eq!(
            first(", kickstart_template: 'I am {name} ({alias}, {class}) on {host} in {working_directory}: {x} {'").as_deref(),
            Some("I am a (a, worker) on box in /w: {x} {")
        );
        assert_eq!(first(", kickstart: first, kickstart_template: second").as_deref(), Some("first"));
    }
}
