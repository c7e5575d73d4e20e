//! The budget's file: what it says is in force, or what is wrong with it is told and the last good one stays, beyond a
//! restart too.

use fleet_domain::Wall;
use fleet_domain::budget::whole::whole;

use super::Budget;
use super::rows::log;
use crate::budget::Written;
use crate::store::{BudgetRow, BudgetWrite, RowKind};

const KEY: &str = "budget";

/// The file, and the last good text of it.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) error: String,
    /// Of the text, and when it was read.
    good: Option<(String, Wall)>,
}

impl File {
    /// From the register, before the file itself is read.
    pub(super) fn restore(&mut self, row: BudgetRow) {
        self.good = String::from_utf8(row.body).ok().map(|text| (text, row.at));
    }
}

impl Budget {
    /// The file was read.
    pub fn file(
        &mut self,
        path: String,
        read: Result<Option<Written>, String>,
        now: Wall,
    ) -> Vec<BudgetWrite> {
        let first = self.file.path.is_empty();
        self.file.path = path;
        match read.and_then(|written| self.not_cut_off(written)) {
            Ok(written) => {
                self.file.error.clear();
                self.in_force(written, first, now)
            }
            Err(error) => {
                tracing::warn!("the budget stays as it was: {}", error.replace('\n', "; "));
                self.file.error = error;
                if first {
                    self.last_good(now);
                }
                Vec::new()
            }
        }
    }

    fn not_cut_off(&self, written: Option<Written>) -> Result<Option<Written>, String> {
        let before = self.file.good.as_ref().map(|(text, _)| text.as_str());
        if let Some(Written { text, .. }) = &written {
            whole(text, before).map_err(|problem| format!("{}: {problem}", self.file.path))?;
        }
        Ok(written)
    }

    fn in_force(&mut self, written: Option<Written>, first: bool, now: Wall) -> Vec<BudgetWrite> {
        let (mut writes, known) = (Vec::new(), self.file.good.as_ref().map(|(text, _)| text));
        let text = written.as_ref().map(|written| &written.text);
        if text != known {
            writes.push(match text {
                Some(text) => {
                    let (kind, body) = (RowKind::File, text.clone().into_bytes());
                    BudgetWrite::Put(BudgetRow { kind, key: KEY.to_owned(), at: now, body })
                }
                None => BudgetWrite::Drop(RowKind::File, KEY.to_owned()),
            });
            self.file.good = text.map(|text| (text.clone(), now));
        }
        let config = written.map(|written| written.config);
        let same = config
            .as_ref()
            .map_or(!self.gate.configured(), |config| self.gate.configured() && config == self.gate.config());
        if same && !first {
            return writes;
        }
        let detail = config.as_ref().map_or_else(
            || "there is no budget file".to_owned(),
            |config| {
                format!("{} accounts, {} ceilings in force", config.accounts.len(), config.ceilings.len())
            },
        );
        self.gate.configure(config, now);
        self.list_prices();
        if !first || self.gate.configured() {
            writes.push(log(now, "file", "budget", &self.file.path, &detail));
        }
        writes
    }

    /// At a start whose file is not good: what was in force before is, read as of then, as a reset may have passed since.
    fn last_good(&mut self, now: Wall) {
        let Some((text, at)) = self.file.good.clone() else { return };
        if let Ok(written) = Written::of(text, at) {
            self.gate.configure(Some(written.config), now);
            self.list_prices();
        }
    }
}
