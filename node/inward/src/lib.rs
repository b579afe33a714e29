//! What comes into a node from outside.
//!
//! ```text
//! feed      a list of addresses, fetched now and then   -> a list that is sane, kept on disk
//! tail      a file that another program appends to      -> its lines, each once
//! external  a line of another detector                  -> a verdict, for the node's policy to decide upon
//! geo       a file of countries or systems              -> where an address is, and what networks a place has
//! ```
//!
//! Everything here was written by strangers: it is read strictly, within limits, and chooses nothing but what is offered
//! to the node's policy. Time and chance are arguments.
#![forbid(unsafe_code)]

pub mod external;
pub mod feed;
pub mod geo;
pub mod tail;
