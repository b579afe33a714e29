//! x
/// x
pub struct Live;
