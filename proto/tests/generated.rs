//! The generated code is checked in; this regenerates it and fails on a difference.
//! `FLEET_REGENERATE=1 cargo test -p fleet-proto --test generated` writes it.

use std::path::Path;

const FILES: [&str; 9] =
    ["types", "observation", "limits", "usage", "command", "report", "agent", "query", "budget"];

#[test]
fn generated_code_is_what_the_protos_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let protos: Vec<_> = FILES.iter().map(|name| format!("fleet/v1/{name}.proto")).collect();
    let descriptors = protox::compile(&protos, [root]).unwrap();
    let out = tempfile::tempdir().unwrap();
    tonic_prost_build::configure()
        .out_dir(out.path())
        .emit_rerun_if_changed(false)
        .build_transport(false)
        .codec_path("crate::codec::SliceCodec")
        .build_client(true)
        .build_server(true)
        .client_mod_attribute(".", "#[cfg(feature = \"client\")]")
        .server_mod_attribute(".", "#[cfg(feature = \"server\")]")
        .file_descriptor_set_path(out.path().join("fleet.v1.bin"))
        .compile_fds(descriptors.clone())
        .unwrap();
    let mut set = Vec::new();
    prost::Message::encode(&descriptors, &mut set).unwrap();
    std::fs::write(out.path().join("fleet.v1.bin"), set).unwrap();
    for name in ["fleet.v1.rs", "fleet.v1.bin"] {
        let fresh = std::fs::read(out.path().join(name)).unwrap();
        let kept = root.join("src/gen").join(name);
        if std::env::var_os("FLEET_REGENERATE").is_some() {
            std::fs::write(&kept, &fresh).unwrap();
        }
        assert!(
            std::fs::read(&kept).is_ok_and(|kept| kept == fresh),
            "{} is not what the protos say: FLEET_REGENERATE=1 cargo test -p fleet-proto --test generated",
            kept.display()
        );
    }
}
