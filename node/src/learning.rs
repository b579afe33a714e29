//! Learning in the daemon: what the sensor sees is heard, and a thread of the lowest priority learns from it. Nothing
//! waits for it, and the node guards without it.

mod compared;
mod ear;
mod priority;
mod shelf;
mod student;
#[cfg(test)]
mod testing;
mod work;

pub use ear::Ear;
pub use student::Student;
