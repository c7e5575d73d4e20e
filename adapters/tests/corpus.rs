//! Every input that the fuzzing driver (`fuzz/`) knows, replayed.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

#[path = "../../fuzz/src/targets.rs"]
mod targets;

#[test]
fn no_input_of_the_corpus_breaks_its_parser() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (name, target) in targets::TARGETS {
        let inputs: Vec<_> =
            fs::read_dir(corpus.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!inputs.is_empty(), "{name} has no seeds");
        for input in inputs {
            let bytes = fs::read(&input).unwrap();
            let tried = std::panic::catch_unwind(|| {
                target(&bytes);
                (0..bytes.len()).step_by(97).for_each(|end| target(&bytes[..end]));
            });
            assert!(tried.is_ok(), "{}", input.display());
        }
    }
}
