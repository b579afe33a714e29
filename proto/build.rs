//! Compiles the protobuf files without `protoc`.

const FILES: [&str; 8] = [
    "smartfw/v1/control.proto",
    "smartfw/v1/peer.proto",
    "smartfw/v1/cluster.proto",
    "smartfw/v1/join.proto",
    "smartfw/v1/models.proto",
    "smartfw/v1/inward.proto",
    "smartfw/v1/mirror.proto",
    "smartfw/v1/coordinator.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=smartfw/v1");
    let files = protox::compile(FILES, ["."])?;
    tonic_prost_build::configure().compile_fds(files)?;
    Ok(())
}
