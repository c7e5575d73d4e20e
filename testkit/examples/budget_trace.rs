//! Plays the simulator and prints its table; with `--into docs/budget.md` it is put between its marks there.
#![expect(clippy::print_stdout, reason = "a program for people")]

use anyhow::{Context as _, Result};
use fleet_testkit::budget::table;

const BEGIN: &str = "<!-- simulated: begin -->\n";
const END: &str = "<!-- simulated: end -->";

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let table = table();
    print!("{table}");
    if let [into, path] = words.as_slice()
        && into == "--into"
    {
        let page = std::fs::read_to_string(path)?;
        let (head, rest) = page.split_once(BEGIN).context("the page has no mark for the figures")?;
        let (_, tail) = rest.split_once(END).context("the page has no mark for their end")?;
        std::fs::write(path, format!("{head}{BEGIN}{table}{END}{tail}"))?;
    }
    Ok(())
}
