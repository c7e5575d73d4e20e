//! `budget.yaml` as people write it, with every mistake told: its line, its key, and what is wanted there.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;

use crate::text;
use crate::time::Wall;
use crate::yaml::{self, Fields, Node, Problem, Problems};

use super::amount::{Amount, parse_share, parse_span, parse_tokens, span_name};
use super::config::{Account, Ceiling, Config, Kind, Ladder, Rung, Scope, Step, WindowSpec};
use super::schedule::{Every, Period, Schedule, misplaced, parse_reset};

const VERSION: &str = "1";
const MAX_NAME: usize = 64;
const MAX_ACCOUNTS: usize = 200;
const MAX_CEILINGS: usize = 1_000;
const MAX_WINDOWS: usize = 16;

/// Finds a time zone by its name, which is the caller's to do: zones live in files.
pub type Zones<'z> = &'z dyn Fn(&str) -> Option<TimeZone>;

/// Reads a budget at `now`; days are `local`'s where the file names no zone.
///
/// # Errors
/// Every mistake, in the order of the file.
pub fn parse(text: &str, local: &TimeZone, zones: Zones<'_>, now: Wall) -> Result<Config, Vec<Problem>> {
    let root = yaml::parse(text).map_err(|problem| vec![problem])?;
    let mut problems = Problems::default();
    let mut reader = Reader { zones, now, zone: local.clone(), problems: &mut problems };
    let config = reader.config(&root);
    problems.finish(config)
}

struct Reader<'r> {
    zones: Zones<'r>,
    now: Wall,
    zone: TimeZone,
    problems: &'r mut Problems,
}

impl Reader<'_> {
    fn config(&mut self, root: &Node) -> Option<Config> {
        let mut top = Fields::of(root, "", self.problems)?;
        if let Some((version, line)) = top.required("version", self.problems)
            && version != VERSION
        {
            self.problems.add(line, "version", format!("this program reads version {VERSION}"));
        }
        let named = self.zone(&mut top);
        let zone_named = named.is_some();
        if let Some(zone) = named {
            self.zone = zone;
        }
        let defaults = Config::default();
        let enforce = top.boolean("enforce", self.problems).unwrap_or(defaults.enforce);
        let mut span = |key, default| self.parsed(&mut top, key, parse_span).unwrap_or(default);
        let hold = span("hold", defaults.hold);
        let task_limit = span("task_limit", defaults.task_limit);
        let stale_after = span("stale_after", defaults.stale_after);
        let estimate = self.parsed(&mut top, "estimate", parse_tokens).unwrap_or(defaults.estimate);
        let accounts = self.accounts(&mut top);
        let ceilings = self.ceilings(&mut top, &accounts);
        let ladder = self.ladder(&mut top, &accounts);
        top.close(self.problems);
        let zone = self.zone.clone();
        Some(Config {
            zone,
            zone_named,
            enforce,
            hold,
            task_limit,
            stale_after,
            estimate,
            accounts,
            ceilings,
            ladder,
        })
    }

    /// The value behind `key`, read by `parse`, whose error is told.
    fn parsed<T>(
        &mut self,
        fields: &mut Fields<'_>,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let (text, line) = fields.text(key, self.problems)?;
        parse(&text).map_err(|wanted| self.wrong(line, &fields.at(key), &wanted, &text)).ok()
    }

    fn wrong(&mut self, line: usize, key: &str, wanted: &str, found: &str) {
        self.problems.add(line, key, format!("{wanted}, not `{}`", text::clean(found, 40)));
    }

    fn zone(&mut self, fields: &mut Fields<'_>) -> Option<TimeZone> {
        let zones = self.zones;
        self.parsed(fields, "zone", |name| {
            zones(name).ok_or_else(|| {
                "a time zone's name is wanted here, such as `Europe/Berlin` or `UTC`".to_owned()
            })
        })
    }

    fn name(&mut self, fields: &mut Fields<'_>, key: &'static str) -> Option<(String, usize)> {
        let (name, line) = fields.required(key, self.problems)?;
        if is_name(&name) {
            return Some((name, line));
        }
        self.wrong(
            line,
            &fields.at(key),
            "a name of 64 characters at most, without blanks, is wanted here",
            &name,
        );
        None
    }

    fn list(&mut self, fields: &mut Fields<'_>, key: &'static str) -> Vec<(String, usize)> {
        let mut names = Vec::new();
        for node in fields.list(key, self.problems).unwrap_or_default() {
            match fields.scalar(node, key, self.problems) {
                Some(name) if is_name(&name) => names.push((name, node.line)),
                Some(name) => self.wrong(node.line, &fields.at(key), "a name is wanted here", &name),
                None => {}
            }
        }
        names
    }

    fn words(&mut self, fields: &mut Fields<'_>, key: &'static str) -> Vec<String> {
        self.list(fields, key).into_iter().map(|(name, _)| name).collect()
    }

    fn concurrency(&mut self, fields: &mut Fields<'_>) -> Option<u32> {
        self.parsed(fields, "concurrency", |text| {
            let count = text.parse().ok().filter(|count| (1..=100_000).contains(count));
            count.ok_or_else(|| "a number of tasks from 1 on is wanted here".to_owned())
        })
    }

    fn accounts(&mut self, top: &mut Fields<'_>) -> Vec<Account> {
        let nodes = top.list("accounts", self.problems).unwrap_or_default();
        if nodes.len() > MAX_ACCOUNTS {
            self.problems.add(nodes[0].line, "accounts", format!("{MAX_ACCOUNTS} accounts at most"));
        }
        let (mut accounts, mut lines) = (Vec::new(), BTreeMap::<String, usize>::new());
        for (index, node) in nodes.iter().enumerate().take(MAX_ACCOUNTS) {
            let at = format!("accounts[{index}]");
            let Some(account) = self.account(node, &at) else { continue };
            if let Some(line) = lines.insert(account.name.clone(), node.line) {
                let message = format!("account `{}` stands already in line {line}; keep one", account.name);
                self.problems.add(node.line, &format!("{at}.name"), message);
            }
            accounts.push(account);
        }
        accounts
    }

    fn account(&mut self, node: &Node, at: &str) -> Option<Account> {
        let mut fields = Fields::of(node, at, self.problems)?;
        let name = self.name(&mut fields, "name");
        let provider = self.name(&mut fields, "provider");
        let kind = self.parsed(&mut fields, "kind", |word| {
            Kind::parse(word).ok_or_else(|| "`subscription` or `api` is wanted here".to_owned())
        });
        let agents: BTreeSet<String> = self.words(&mut fields, "agents").into_iter().collect();
        let classes: BTreeSet<String> = self.words(&mut fields, "classes").into_iter().collect();
        let models = self.words(&mut fields, "models");
        let concurrency = self.concurrency(&mut fields);
        let windows = self.windows(&mut fields);
        fields.close(self.problems);
        let kind = kind.unwrap_or(Kind::Subscription);
        let (name, provider) = (name?.0, provider?.0);
        Some(Account { name, provider, kind, agents, classes, models, concurrency, windows })
    }

    fn windows(&mut self, account: &mut Fields<'_>) -> Vec<WindowSpec> {
        let nodes = account.list("windows", self.problems).unwrap_or_default();
        let mut windows: Vec<(WindowSpec, usize)> = Vec::new();
        for (index, node) in nodes.iter().enumerate() {
            let at = format!("{}[{index}]", account.at("windows"));
            if index == MAX_WINDOWS {
                self.problems.add(node.line, &at, format!("{MAX_WINDOWS} windows at most"));
                break;
            }
            let Some(window) = self.window(node, &at) else { continue };
            let same = windows.iter().find(|(known, _)| known.name == window.name);
            let overlaps = windows
                .iter()
                .find(|(known, _)| known.length == window.length && known.models == window.models);
            if let Some((_, line)) = same {
                let message = format!("window `{}` stands already in line {line}; keep one", window.name);
                self.problems.add(node.line, &at, message);
            } else if let Some((known, line)) = overlaps {
                let message = format!(
                    "it overlaps window `{}` in line {line}: the same length for the same models; keep one",
                    known.name
                );
                self.problems.add(node.line, &at, message);
            }
            windows.push((window, node.line));
        }
        windows.into_iter().map(|(window, _)| window).collect()
    }

    fn window(&mut self, node: &Node, at: &str) -> Option<WindowSpec> {
        let mut fields = Fields::of(node, at, self.problems)?;
        let name = fields.text("name", self.problems).filter(|(name, line)| {
            let fits = is_name(name);
            if !fits {
                self.problems.add(*line, &format!("{at}.name"), "a short name without blanks is wanted here");
            }
            fits
        });
        let zone = self.zone(&mut fields).unwrap_or_else(|| self.zone.clone());
        let length = self.parsed(&mut fields, "length", parse_span);
        let every = self.parsed(&mut fields, "every", Every::parse);
        let rolling = fields.boolean("rolling", self.problems).unwrap_or(false);
        let reset = fields.text("reset_at", self.problems).and_then(|(text, line)| {
            let at = parse_reset(&text, &zone)
                .map_err(|wanted| self.wrong(line, &fields.at("reset_at"), &wanted, &text));
            at.ok().map(|at| (at, line))
        });
        let limit = self.parsed(&mut fields, "limit", Amount::parse);
        let models = self.words(&mut fields, "models");
        let spelled = name.as_ref().and_then(|(name, _)| parse_span(name.split('-').next()?).ok());
        let length = length.or_else(|| every.map(Every::about)).or(spelled);
        let line = fields.line;
        fields.close(self.problems);
        let Some(length) = length else {
            let message = "how long is it? `length: 5h`, or `every: 7d` with `reset_at`, is wanted here";
            self.problems.add(line, at, message);
            return None;
        };
        if rolling && (every.is_some() || reset.is_some()) {
            let message =
                "a rolling window begins with its first use: leave `every` and `reset_at` out, or `rolling`";
            self.problems.add(line, at, message);
        }
        let schedule = match (reset, every) {
            _ if rolling => Some(Schedule::Rolling(length)),
            (Some((anchor, _)), Some(every)) => Some(Schedule::Fixed { anchor, every, zone }),
            (Some((reset, line)), None) => {
                let wrong = misplaced(reset, length, self.now);
                if let Some(wrong) = wrong {
                    let message = format!("this reset is {wrong}; give the next one, or `every` beside it");
                    self.problems.add(line, &format!("{at}.reset_at"), message);
                }
                wrong.is_none().then_some(Schedule::Once { at: reset, length })
            }
            (None, Some(_)) => {
                self.problems.add(line, at, "`every` wants a `reset_at` to count from");
                None
            }
            (None, None) => None,
        };
        let name = name.map_or_else(|| span_name(length), |(name, _)| name);
        let models = if models.is_empty() { WindowSpec::told(&name, length).models } else { models };
        Some(WindowSpec { name, length, schedule, limit, models })
    }

    fn ceilings(&mut self, top: &mut Fields<'_>, accounts: &[Account]) -> Vec<Ceiling> {
        let nodes = top.list("ceilings", self.problems).unwrap_or_default();
        let (mut ceilings, mut lines) = (Vec::new(), BTreeMap::<String, usize>::new());
        for (index, node) in nodes.iter().enumerate() {
            let at = format!("ceilings[{index}]");
            if index == MAX_CEILINGS {
                self.problems.add(node.line, &at, format!("{MAX_CEILINGS} ceilings at most"));
                break;
            }
            let Some(ceiling) = self.ceiling(node, &at, accounts) else { continue };
            let unit = ceiling.hard.or(ceiling.soft).map_or("tasks", Amount::unit);
            let title = format!("{} in {unit}", ceiling.title());
            if let Some(line) = lines.insert(title.clone(), node.line) {
                let message = format!("a ceiling for {title} stands already in line {line}; keep one");
                self.problems.add(node.line, &at, message);
            }
            ceilings.push(ceiling);
        }
        ceilings
    }

    fn ceiling(&mut self, node: &Node, at: &str, accounts: &[Account]) -> Option<Ceiling> {
        let mut fields = Fields::of(node, at, self.problems)?;
        let mut over: Vec<(Scope, String)> = Vec::new();
        for scope in Scope::ALL {
            let Some((name, line)) = fields.text(scope.as_str(), self.problems) else { continue };
            let key = format!("{at}.{}", scope.as_str());
            if !is_name(&name) {
                self.wrong(line, &key, "a name, or `*` for each, is wanted here", &name);
            }
            self.known(scope, &name, line, &key, accounts);
            over.push((scope, name));
        }
        let per = self.parsed(&mut fields, "per", |word| {
            Period::parse(word).ok_or_else(|| "`day`, `week` or `month` is wanted here".to_owned())
        });
        let concurrency = self.concurrency(&mut fields);
        let hard = self.parsed(&mut fields, "hard", Amount::parse);
        let soft = self.parsed(&mut fields, "soft", |text| match (text.ends_with('%'), hard) {
            (true, Some(hard)) => {
                parse_share(text).map(|share| hard.with((hard.size() as f64 * share) as u64))
            }
            (true, None) => Err("a percentage is one of `hard`, which is missing here".to_owned()),
            (false, _) => Amount::parse(text),
        });
        let line = fields.line;
        fields.close(self.problems);
        if over.len() != 1 {
            let wanted = Scope::ALL.map(Scope::as_str).join(", ");
            self.problems.add(line, at, format!("over what? exactly one of {wanted} is wanted here"));
            return None;
        }
        if hard.is_none() && soft.is_none() && concurrency.is_none() {
            self.problems.add(line, at, "at least one of `hard`, `soft`, `concurrency` is wanted here");
        }
        if let (Some(soft), Some(hard)) = (soft, hard)
            && (soft.unit() != hard.unit() || soft.size() > hard.size())
        {
            self.problems.add(
                line,
                &format!("{at}.soft"),
                "`soft` is of another unit than `hard`, or above it",
            );
        }
        let (scope, name) = over.pop()?;
        Some(Ceiling { scope, name, per: per.unwrap_or(Period::Day), soft, hard, concurrency })
    }

    /// Accounts and providers are this file's own; a name that is not here is a slip.
    fn known(&mut self, scope: Scope, name: &str, line: usize, key: &str, accounts: &[Account]) {
        let known: Vec<&str> = match scope {
            Scope::Account => accounts.iter().map(|account| account.name.as_str()).collect(),
            Scope::Provider => accounts.iter().map(|account| account.provider.as_str()).collect(),
            _ => return,
        };
        if name == Ceiling::EACH || known.contains(&name) {
            return;
        }
        let near = text::nearest(name, known.iter().copied()).map(|near| format!("; did you mean `{near}`?"));
        let message = format!("no account of this file has {} `{}`", scope.as_str(), text::clean(name, 40));
        self.problems.add(line, key, message + &near.unwrap_or_default());
    }

    fn ladder(&mut self, top: &mut Fields<'_>, accounts: &[Account]) -> Ladder {
        let default = Ladder::default();
        let Some(node) = top.take("ladder", self.problems) else { return default };
        let Some(mut fields) = Fields::of(node, "ladder", self.problems) else { return default };
        let mut steps = Vec::new();
        for (word, line) in self.list(&mut fields, "steps") {
            match Step::ALL.into_iter().find(|step| step.as_str() == word) {
                Some(step) if steps.last().is_none_or(|last| (*last as u8) < step as u8) => steps.push(step),
                Some(_) => self.problems.add(
                    line,
                    "ladder.steps",
                    "the order is downgrade, queue, refuse; each once",
                ),
                None => {
                    self.wrong(line, "ladder.steps", "`downgrade`, `queue` or `refuse` is wanted here", &word)
                }
            }
        }
        let rungs = self.rungs(&mut fields, accounts);
        fields.close(self.problems);
        Ladder {
            steps: if steps.is_empty() { default.steps } else { steps },
            rungs: if rungs.is_empty() { default.rungs } else { rungs },
        }
    }

    /// `opus`, or `openai/codex` where the provider matters.
    fn rungs(&mut self, fields: &mut Fields<'_>, accounts: &[Account]) -> Vec<Rung> {
        let mut rungs: Vec<Rung> = Vec::new();
        for (text, line) in self.list(fields, "models") {
            let (provider, model) = match text.split_once('/') {
                Some((provider, model)) if accounts.iter().any(|account| account.provider == provider) => {
                    (Some(provider.to_owned()), model.to_owned())
                }
                Some((provider, _)) => {
                    self.known(Scope::Provider, provider, line, "ladder.models", accounts);
                    continue;
                }
                None => (None, text),
            };
            if rungs.iter().any(|rung| rung.model == model && rung.provider == provider) {
                self.problems.add(line, "ladder.models", format!("`{model}` stands here twice"));
            }
            rungs.push(Rung { model, provider });
        }
        rungs
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(' ') && text::clean(name, MAX_NAME) == name
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
