//! The rules for reading screens: the user's own before the shipped.

use fleet_adapters::screens::RuleBook;
use fleet_framework::{Home, screens};

use crate::error::{Code, Failure};
use crate::output;

/// Mistakes in the user's files are told, and those files left out.
pub fn book() -> Result<RuleBook, Failure> {
    let own = match Home::from_env() {
        Ok(home) => screens::own(&home.screens())
            .map_err(|(path, error)| Failure::new(Code::Failure, format!("{}: {error}", path.display())))?,
        Err(_) => Vec::new(),
    };
    let (book, bad) = RuleBook::with_own(&own, screens::SHIPPED);
    bad.iter().for_each(|bad| output::note(&bad.to_string()));
    Ok(book.stay_compiled())
}
