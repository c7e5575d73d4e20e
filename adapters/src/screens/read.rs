//! The keys of a rule file and what may stand behind each.

use super::layout::{Block, Drawing, Region, Shape};
use super::pattern::Pattern;
use super::rules::{Composer, Condition, Drawn, Rule, Rules, Shows, Tell, Versions};
use fleet_domain::text;
use fleet_domain::yaml::{self, Fields, Kind, Node, Problem, Problems};

const API_VERSION: &str = "mosaic.fleet/v1";
const KIND: &str = "ScreenRules";

/// Reads one rule file.
///
/// # Errors
/// Every mistake with its line and key.
pub fn parse(text: &str) -> Result<Rules, Vec<Problem>> {
    let root = yaml::parse(text).map_err(|problem| vec![problem])?;
    let mut problems = Problems::default();
    let read = document(&root, &mut problems);
    problems.finish(read)
}

fn document(root: &Node, problems: &mut Problems) -> Option<Rules> {
    let mut top = Fields::of(root, "", problems)?;
    expect(&mut top, "apiVersion", API_VERSION, problems);
    expect(&mut top, "kind", KIND, problems);
    let runtime = top.required("runtime", problems).map(|(runtime, _)| runtime);
    let versions = versions(&mut top, problems);
    let drawing = drawing(&mut top, problems);
    let mut rules = Vec::new();
    for (at, node) in top.list("rules", problems).unwrap_or_default().iter().enumerate() {
        rules.extend(rule(node, &format!("rules[{at}]"), problems));
    }
    top.close(problems);
    rules.shrink_to_fit();
    Some(Rules::new(runtime?, versions, drawing?, rules))
}

fn expect(top: &mut Fields<'_>, key: &'static str, wanted: &str, problems: &mut Problems) {
    if let Some((found, line)) = top.required(key, problems)
        && found != wanted
    {
        problems.add(line, key, format!("`{}` is not known here; write `{wanted}`", text::clean(&found, 40)));
    }
}

fn versions(top: &mut Fields<'_>, problems: &mut Problems) -> Versions {
    let Some(mut fields) =
        top.take("versions", problems).and_then(|node| Fields::of(node, "versions", problems))
    else {
        return Versions::default();
    };
    let mut one = |key| {
        let (words, line) = fields.text(key, problems)?;
        let version = version(&words);
        if version.is_none() {
            problems.add(line, &format!("versions.{key}"), "a version is wanted here, such as \"2.1\"");
        }
        version
    };
    let versions = Versions { from: one("from"), below: one("below") };
    fields.close(problems);
    versions
}

/// The numbers of a version: `2.1.330` is `[2, 1, 330]`. Nothing where it does not begin with a number.
pub fn version(words: &str) -> Option<Vec<u64>> {
    let plain = words.split(['-', '+', ' ']).next().unwrap_or_default();
    let numbers: Option<Vec<u64>> = plain.split('.').map(|number| number.parse().ok()).collect();
    numbers.filter(|numbers| !numbers.is_empty())
}

fn drawing(top: &mut Fields<'_>, problems: &mut Problems) -> Option<Drawing> {
    let Some(node) = top.take("drawing", problems) else {
        problems.add(top.line, "drawing", "this key is required");
        return None;
    };
    let mut fields = Fields::of(node, "drawing", problems)?;
    let shape = shape(&mut fields, problems);
    let block = block(&mut fields, problems);
    let prompt = pattern(&mut fields, "prompt", problems);
    let closing = pattern(&mut fields, "closing", problems);
    let [ghosts, pasted, queued] =
        ["ghosts", "pasted", "queued"].map(|key| patterns(&mut fields, key, problems));
    fields.close(problems);
    Some(Drawing { shape: shape?, block: block?, prompt, closing, ghosts, pasted, queued })
}

fn patterns(fields: &mut Fields<'_>, key: &'static str, problems: &mut Problems) -> Vec<Pattern> {
    let mut patterns = Vec::new();
    for node in fields.list(key, problems).unwrap_or_default() {
        let words = fields.scalar(node, key, problems);
        let path = fields.at(key);
        patterns.extend(words.and_then(|words| regex(&words, node.line, &path, problems)));
    }
    patterns
}

fn block(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Block> {
    match fields.required("block", problems)? {
        (word, _) if word == "paragraphs" => Some(Block::Paragraphs),
        (words, line) => regex(&words, line, &fields.at("block"), problems).map(Block::Begins),
    }
}

fn shape(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Shape> {
    let Some(node) = fields.take("composer", problems) else {
        problems.add(fields.line, "drawing.composer", "this key is required");
        return None;
    };
    let mut fields = Fields::of(node, "drawing.composer", problems)?;
    let (name, line) = fields.required("shape", problems)?;
    let missing = |key: &str, problems: &mut Problems| {
        problems.add(line, &format!("drawing.composer.{key}"), format!("this key is required for `{name}`"));
    };
    let shape = match name.as_str() {
        "ruled" => {
            let first = pattern(&mut fields, "first", problems);
            let edge = pattern(&mut fields, "edge", problems);
            edge.map(|edge| Shape::Ruled { edge, first }).or_else(|| {
                missing("edge", problems);
                None
            })
        }
        "marked" => {
            let not = pattern(&mut fields, "not", problems);
            pattern(&mut fields, "first", problems).map(|first| Shape::Marked { first, not }).or_else(|| {
                missing("first", problems);
                None
            })
        }
        "barred" => {
            let bar = fields.required("bar", problems).map(|(bar, _)| bar);
            let foot = pattern(&mut fields, "foot", problems);
            bar.zip(foot).map(|(bar, foot)| Shape::Barred { bar, foot }).or_else(|| {
                missing("foot", problems);
                None
            })
        }
        other => {
            let message =
                format!("`{}` is not known; known are ruled, marked, barred", text::clean(other, 40));
            problems.add(line, "drawing.composer.shape", message);
            None
        }
    };
    fields.close(problems);
    shape
}

fn rule(node: &Node, path: &str, problems: &mut Problems) -> Option<Rule> {
    let mut fields = Fields::of(node, path, problems)?;
    let name = fields.required("rule", problems).map(|(name, _)| name);
    let shows = fields.required("shows", problems).and_then(|(words, line)| {
        let shows = Shows::parse(&words);
        if shows.is_none() {
            let example =
                "write a state and its kind, such as stuck/permission, working/turn, available/prompt";
            problems.add(
                line,
                &fields.at("shows"),
                format!("`{}` is not known; {example}", text::clean(&words, 40)),
            );
        }
        shows
    });
    let composer = fields.text("composer", problems).and_then(|(word, line)| match word.as_str() {
        "present" => Some(Composer::Present),
        "absent" => Some(Composer::Absent),
        other => {
            let message = format!("`{}` is not known; write present or absent", text::clean(other, 40));
            problems.add(line, &fields.at("composer"), message);
            None
        }
    });
    let all = conditions(&mut fields, "all", problems);
    let none = conditions(&mut fields, "none", problems);
    let path_of_tell = fields.at("tell");
    let tell = fields.list("tell", problems).unwrap_or_default().iter().enumerate();
    let tell =
        tell.filter_map(|(at, node)| self::tell(node, &format!("{path_of_tell}[{at}]"), problems)).collect();
    if all.is_empty() && composer.is_none() {
        problems.add(fields.line, path, "a rule needs a condition under `all`, or `composer`");
    }
    fields.close(problems);
    Some(Rule { name: name?, shows: shows?, composer, all, none, tell })
}

fn tell(node: &Node, path: &str, problems: &mut Problems) -> Option<Tell> {
    let mut fields = Fields::of(node, path, problems)?;
    let region = regions(&mut fields, problems).and_then(|regions| regions.first().copied());
    let below = pattern(&mut fields, "below", problems);
    let find = pattern(&mut fields, "find", problems);
    if below.is_some() == find.is_some() {
        problems.add(fields.line, path, "write either `find` or `below`: a regular expression");
    }
    fields.close(problems);
    let (below, pattern) = below.map(|below| (true, below)).or(find.map(|find| (false, find)))?;
    Some(Tell { region: region?, pattern, below })
}

fn conditions(fields: &mut Fields<'_>, key: &'static str, problems: &mut Problems) -> Vec<Condition> {
    let path = fields.at(key);
    let nodes = fields.list(key, problems).unwrap_or_default();
    let read =
        nodes.iter().enumerate().filter_map(|(at, node)| condition(node, &format!("{path}[{at}]"), problems));
    read.collect()
}

fn condition(node: &Node, path: &str, problems: &mut Problems) -> Option<Condition> {
    let mut fields = Fields::of(node, path, problems)?;
    let regions = regions(&mut fields, problems);
    let pattern = match pattern(&mut fields, "find", problems) {
        Some(pattern) => Some(pattern),
        None => {
            problems.add(fields.line, &fields.at("find"), "this key is required: a regular expression");
            None
        }
    };
    let drawn = match fields.text("drawn", problems) {
        None => Drawn::Anyhow,
        Some((word, _)) if word == "apart" => Drawn::Apart,
        Some((word, _)) if word == "coloured" => Drawn::Coloured,
        Some((word, line)) => {
            let message =
                format!("`{}` is not known here; write `apart` or `coloured`", text::clean(&word, 40));
            problems.add(line, &fields.at("drawn"), message);
            Drawn::Anyhow
        }
    };
    fields.close(problems);
    Some(Condition { regions: regions?, pattern: pattern?, drawn })
}

fn regions(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Vec<Region>> {
    let Some(node) = fields.take("in", problems) else {
        problems.add(fields.line, &fields.at("in"), "this key is required: a region, or a list of regions");
        return None;
    };
    let nodes = match &node.kind {
        Kind::Seq(nodes) => nodes.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let mut regions = Vec::new();
    for node in nodes {
        let word = fields.scalar(node, "in", problems)?;
        match Region::parse(&word) {
            Some(region) => regions.push(region),
            None => {
                let known = Region::ALL.map(Region::as_str).join(", ");
                let message = format!("`{}` is no region; known are {known}", text::clean(&word, 40));
                problems.add(node.line, &fields.at("in"), message);
            }
        }
    }
    (!regions.is_empty()).then_some(regions)
}

fn pattern(fields: &mut Fields<'_>, key: &'static str, problems: &mut Problems) -> Option<Pattern> {
    let (words, line) = fields.text(key, problems)?;
    regex(&words, line, &fields.at(key), problems)
}

fn regex(words: &str, line: usize, key: &str, problems: &mut Problems) -> Option<Pattern> {
    match Pattern::new(words) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            problems.add(line, key, format!("no regular expression: {}", text::clean(&error, 120)));
            None
        }
    }
}
