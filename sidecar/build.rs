//! Links the weight-conscious build at a fixed address.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // A position-independent program writes its tables of addresses anew at each start: 110 KiB that no two of fifty
    // sidecars can share. Stack, heap and libraries stay at random places; only the program's own code does not.
    if std::env::var("OPT_LEVEL").is_ok_and(|level| level == "s") {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
