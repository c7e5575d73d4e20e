//! The price table in force: the user's file, where there is one, before the one that is shipped.

use std::io;
use std::path::{Path, PathBuf};

use fleet_domain::price::{Book, Layer, Table, parse};
use fleet_domain::yaml::{MAX_BYTES, Problem};

const SHIPPED: &str = include_str!("../prices.yaml");
/// What the shipped file is called where people read of it.
pub const SHIPPED_ORIGIN: &str = "shipped";

#[derive(Debug, thiserror::Error)]
pub enum PricesError {
    #[error("cannot {what} {}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the prices in {} cannot be used: {}", path.display(), told(problems))]
    Wrong { path: PathBuf, problems: Vec<Problem> },
}

fn told(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Only what is shipped.
pub fn shipped() -> Table {
    Table(parse(SHIPPED).map(layer(SHIPPED_ORIGIN.to_owned())).into_iter().collect())
}

/// The user's file `own`, if it is there, before the shipped one.
///
/// # Errors
/// The user's file, with every mistake in it; it is then not asked at all, as a half of it would be a wrong price.
pub fn table(own: &Path) -> Result<Table, PricesError> {
    let mut table = shipped();
    if let Some(text) = read(own)? {
        let book = parse(&text).map_err(|problems| PricesError::Wrong { path: own.to_owned(), problems })?;
        table.0.insert(0, layer(own.display().to_string())(book));
    }
    Ok(table)
}

fn layer(origin: String) -> impl FnOnce(Book) -> Layer {
    move |book| Layer { origin, book }
}

/// `None` where there is no such file.
fn read(path: &Path) -> Result<Option<String>, PricesError> {
    let failed = |source| PricesError::Io { what: "read", path: path.to_owned(), source };
    let read = std::fs::metadata(path).and_then(|metadata| {
        if metadata.len() > MAX_BYTES as u64 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "larger than 4 MiB; is it a price file?"));
        }
        std::fs::read_to_string(path)
    });
    match read {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// The prices of one file, and how many models it has.
///
/// # Errors
/// Every mistake in it, or that it cannot be read.
pub fn check(path: &Path) -> Result<usize, PricesError> {
    checked(path).map(|(_, models)| models)
}

fn checked(path: &Path) -> Result<(String, usize), PricesError> {
    let missing = || PricesError::Io {
        what: "read",
        path: path.to_owned(),
        source: io::Error::from(io::ErrorKind::NotFound),
    };
    let text = read(path)?.ok_or_else(missing)?;
    let book = parse(&text).map_err(|problems| PricesError::Wrong { path: path.to_owned(), problems })?;
    Ok((text, book.models.len()))
}

/// Puts a checked file in the place of the user's own, at once or not at all; the file before is kept beside it.
///
/// # Errors
/// The file has mistakes, or the place cannot be written; what was there is then still in force.
pub fn install(from: &Path, own: &Path) -> Result<Option<PathBuf>, PricesError> {
    let (text, _) = checked(from)?;
    let failed = |what| move |source| PricesError::Io { what, path: own.to_owned(), source };
    let dir = own.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir).map_err(failed("make the directory of"))?;
    let mut fresh = tempfile::NamedTempFile::new_in(dir).map_err(failed("write beside"))?;
    io::Write::write_all(&mut fresh, text.as_bytes()).map_err(failed("write beside"))?;
    fresh.as_file().sync_all().map_err(failed("write beside"))?;
    let backup = keep(own)?;
    fresh.persist(own).map_err(|error| failed("replace")(error.error))?;
    Ok(backup)
}

/// The file before, under the name with `.bak`, without a moment in which there is none in its own place.
fn keep(own: &Path) -> Result<Option<PathBuf>, PricesError> {
    if !own.exists() {
        return Ok(None);
    }
    let mut name = own.as_os_str().to_owned();
    name.push(".bak");
    let backup = PathBuf::from(name);
    std::fs::copy(own, &backup).map_err(|source| PricesError::Io {
        what: "keep a copy as",
        path: backup.clone(),
        source,
    })?;
    Ok(Some(backup))
}

#[cfg(test)]
mod tests {
    use fleet_domain::Wall;
    use fleet_domain::price::Money;
    use fleet_domain::usage::{Terms, Tokens};

    use super::*;

    /// What Claude Code 2.1.330 said that a session cost, and its tokens.
    #[test]
    fn the_shipped_prices_are_those_that_claude_code_counts_with() {
        let tokens = Tokens {
            input: 183,
            cache_read: 123_000,
            cache_write_5m: 600,
            cache_write_1h: 1_200,
            output: 1_323,
            reasoning: 0,
        };
        let price = shipped().price("claude-sonnet-5", Wall(0), &tokens, Terms::default());
        assert_eq!(price, Money::from_usd(0.044_496));
    }

    #[test]
    fn a_users_file_is_asked_first_and_replaced_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let (own, fresh) = (dir.path().join("fleet/prices.yaml"), dir.path().join("new.yaml"));
        let price = || {
            let million = Tokens { input: 1_000_000, ..Tokens::default() };
            let table = table(&own).unwrap();
            table.price("claude-opus-5-20251101", Wall(0), &million, Terms::default()).map(Money::usd)
        };
        assert_eq!(price(), Some(5.0));
        let write = |input: &str| {
            let text = format!("version: 1\nmodels: [{{model: claude-opus-5, input: {input}, output: 1}}]\n");
            std::fs::write(&fresh, text).unwrap();
            install(&fresh, &own)
        };
        assert_eq!(write("7").unwrap(), None);
        assert_eq!(price(), Some(7.0));
        let error = write("much").unwrap_err().to_string();
        assert!(error.contains("line 2: models[0].input: dollars"), "{error}");
        assert_eq!(price(), Some(7.0));
        let backup = write("8").unwrap().unwrap();
        assert!(std::fs::read_to_string(backup).unwrap().contains("input: 7"));
        assert_eq!(price(), Some(8.0));
        assert_eq!(std::fs::read_dir(own.parent().unwrap()).unwrap().count(), 2);
    }

    #[test]
    fn a_users_mistake_is_told_and_not_half_in_force() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("prices.yaml");
        std::fs::write(&own, "version: 1\nmodels: [{model: m}]\n").unwrap();
        let error = table(&own).unwrap_err().to_string();
        assert!(error.contains("models[0].input: this key is required"), "{error}");
        assert!(check(&dir.path().join("nowhere")).is_err());
    }
}
