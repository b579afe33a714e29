//! Runs and orders as bytes: the wire's form, behind the trait of those who sign and judge.

use smartfw_core::fleet::{Entry, OperatorOrder, RunHeader};
use smartfw_identity::Codec;
use smartfw_proto::{ConvertError, convert};

/// The wire's form.
#[derive(Clone, Copy, Debug, Default)]
pub struct PeerCodec;

impl Codec for PeerCodec {
    fn encode_run(&self, header: &RunHeader, entries: &[Entry]) -> Result<Vec<u8>, String> {
        convert::encode_run(header, entries).map_err(words)
    }

    fn decode_run(&self, bytes: &[u8]) -> Result<(RunHeader, Vec<Entry>), String> {
        convert::decode_run(bytes).map_err(words)
    }

    fn encode_order(&self, order: &OperatorOrder) -> Result<Vec<u8>, String> {
        convert::encode_order(order).map_err(words)
    }

    fn decode_order(&self, bytes: &[u8]) -> Result<OperatorOrder, String> {
        convert::decode_order(bytes).map_err(words)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err takes")]
fn words(error: ConvertError) -> String {
    error.to_string()
}
