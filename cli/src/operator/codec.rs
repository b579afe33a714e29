//! Orders as bytes: the wire's business.

use smartfw_core::fleet::{Entry, OperatorOrder, RunHeader};
use smartfw_identity::Codec;
use smartfw_proto::convert;

/// As the wire writes them.
pub(super) struct Wire;

impl Codec for Wire {
    fn encode_run(&self, header: &RunHeader, entries: &[Entry]) -> Result<Vec<u8>, String> {
        convert::encode_run(header, entries).map_err(|why| why.to_string())
    }

    fn decode_run(&self, bytes: &[u8]) -> Result<(RunHeader, Vec<Entry>), String> {
        convert::decode_run(bytes).map_err(|why| why.to_string())
    }

    fn encode_order(&self, order: &OperatorOrder) -> Result<Vec<u8>, String> {
        convert::encode_order(order).map_err(|why| why.to_string())
    }

    fn decode_order(&self, bytes: &[u8]) -> Result<OperatorOrder, String> {
        convert::decode_order(bytes).map_err(|why| why.to_string())
    }
}
