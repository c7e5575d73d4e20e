//! An error on one line: what failed, and after it what made it fail.

use std::error::Error;

pub fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let text = source.to_string();
        // A transparent error says again what its source says.
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = source.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::AppError;
    use crate::store::StoreError;

    #[test]
    fn each_cause_is_told_once() {
        let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let error = AppError::from(StoreError::Io { what: "open", path: "/db".into(), source });
        assert_eq!(chain(&error), "cannot open /db: no storage space");
    }
}
