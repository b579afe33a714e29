//! Compiles the protobuf files without `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=smartfw/v1");
    let files = protox::compile(["smartfw/v1/control.proto", "smartfw/v1/peer.proto"], ["."])?;
    tonic_prost_build::configure().compile_fds(files)?;
    Ok(())
}
