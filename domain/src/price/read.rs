//! A price file as people write it, with every mistake told.

use std::collections::BTreeMap;

use super::{Book, Factor, Model, Period, Rate, Rates};
use crate::text;
use crate::time::Wall;
use crate::yaml::{self, Fields, Node, Problem, Problems};

/// The layout that this version reads.
const VERSION: &str = "1";
/// The longest name, in characters.
const MAX_NAME: usize = 100;

/// # Errors
/// Every mistake, in the order of the file.
pub fn parse(text: &str) -> Result<Book, Vec<Problem>> {
    let root = yaml::parse(text).map_err(|problem| vec![problem])?;
    let mut problems = Problems::default();
    let book = book(&root, &mut problems);
    problems.finish(book)
}

fn book(root: &Node, problems: &mut Problems) -> Option<Book> {
    let mut fields = Fields::of(root, "", problems)?;
    if let Some((version, line)) = fields.required("version", problems)
        && version != VERSION
    {
        problems.add(line, "version", format!("this program reads version {VERSION}"));
    }
    let mut models = Vec::new();
    let mut names = BTreeMap::new();
    for (index, node) in fields.list("models", problems).unwrap_or_default().iter().enumerate() {
        let at = format!("models[{index}]");
        if let Some(model) = model(node, &at, problems) {
            for name in std::iter::once(&model.name).chain(&model.aliases) {
                if let Some(line) = names.insert(name.clone(), node.line) {
                    let message = format!("`{name}` is priced already, in line {line}; keep one");
                    problems.add(node.line, &at, message);
                }
            }
            models.push(model);
        }
    }
    fields.close(problems);
    Some(Book::new(models))
}

fn model(node: &Node, at: &str, problems: &mut Problems) -> Option<Model> {
    let mut fields = Fields::of(node, at, problems)?;
    let name = fields.required("model", problems).and_then(|(name, line)| {
        let fits = clean(&name) && !name.ends_with('*');
        if !fits {
            problems.add(line, &fields.at("model"), "this is no model's name");
        }
        fits.then_some(name)
    });
    let aliases = aliases(&mut fields, problems);
    let fast = factor(&mut fields, "fast", problems);
    let us = factor(&mut fields, "us", problems);
    let periods = periods(&mut fields, problems);
    fields.close(problems);
    Some(Model { name: name?, aliases, periods: periods?, fast, us })
}

fn clean(name: &str) -> bool {
    !name.trim_end_matches('*').is_empty() && text::clean(name, MAX_NAME) == name && !name.contains(' ')
}

fn aliases(fields: &mut Fields<'_>, problems: &mut Problems) -> Vec<String> {
    let mut aliases = Vec::new();
    for node in fields.list("aliases", problems).unwrap_or_default() {
        let Some(name) = fields.scalar(node, "aliases", problems) else { continue };
        if clean(&name) && !name.trim_end_matches('*').contains('*') && !name.ends_with("**") {
            aliases.push(name);
        } else {
            let message = "a model's name is wanted here, or its beginning with `*` behind it";
            problems.add(node.line, &fields.at("aliases"), message);
        }
    }
    aliases
}

fn factor(fields: &mut Fields<'_>, key: &'static str, problems: &mut Problems) -> Option<Factor> {
    let (text, line) = fields.text(key, problems)?;
    Factor::parse(&text).map_err(|wanted| problems.add(line, &fields.at(key), wanted)).ok()
}

/// `prices`, a list by date, or one time's prices in the entry itself.
fn periods(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Vec<Period>> {
    let Some(nodes) = fields.list("prices", problems) else {
        return period(fields, problems).map(|period| vec![period]);
    };
    let mut periods: Vec<Period> = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let at = format!("{}[{index}]", fields.at("prices"));
        let Some(mut one) = Fields::of(node, &at, problems) else { continue };
        let read = period(&mut one, problems);
        one.close(problems);
        let Some(read) = read else { continue };
        if periods.last().is_some_and(|last| read.from <= last.from) {
            problems.add(node.line, &at, "times must ascend: `from` is not after the entry before");
        }
        periods.push(read);
    }
    if nodes.is_empty() {
        problems.add(fields.line, &fields.at("prices"), "at least one price is wanted here");
    }
    Some(periods).filter(|periods| !periods.is_empty())
}

fn period(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Period> {
    let from = from(fields, problems);
    let base = rates(fields, problems);
    let mut tiers: Vec<(u64, Rates)> = Vec::new();
    for (index, node) in fields.list("tiers", problems).unwrap_or_default().iter().enumerate() {
        let at = format!("{}[{index}]", fields.at("tiers"));
        let Some(mut tier) = Fields::of(node, &at, problems) else { continue };
        let above = above(&mut tier, problems);
        let rates = rates(&mut tier, problems);
        tier.close(problems);
        let Some((above, rates)) = above.zip(rates) else { continue };
        if tiers.last().is_some_and(|(last, _)| above <= *last) {
            problems.add(node.line, &at, "tiers must ascend: `above` is not above the entry before");
        }
        tiers.push((above, rates));
    }
    Some(Period { from, base: base?, tiers })
}

fn from(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Wall> {
    let (text, line) = fields.text("from", problems)?;
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text };
    let from = Wall::parse_rfc3339(&whole);
    if from.is_none() {
        let wanted =
            "a date is wanted here, such as 2026-11-21 (in UTC), or a time such as 2026-11-21T10:00:00Z";
        problems.add(line, &fields.at("from"), wanted);
    }
    from
}

fn above(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<u64> {
    let (text, line) = fields.required("above", problems)?;
    let above = text.replace('_', "").parse().ok();
    if above.is_none() {
        problems.add(line, &fields.at("above"), "a number of tokens is wanted here, such as 200000");
    }
    above
}

fn rates(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Rates> {
    let mut rate = |key, needed: bool| {
        let (text, line) =
            if needed { fields.required(key, problems)? } else { fields.text(key, problems)? };
        Rate::parse(&text).map_err(|wanted| problems.add(line, &fields.at(key), wanted)).ok()
    };
    let (input, output) = (rate("input", true), rate("output", true));
    let (cache_read, cache_write_5m, cache_write_1h) =
        (rate("cache_read", false), rate("cache_write_5m", false), rate("cache_write_1h", false));
    Some(Rates { input: input?, output: output?, cache_read, cache_write_5m, cache_write_1h })
}
