//! The API as a whole, as those see it who ask.

mod accounts;
mod bench;
mod bouncers;
mod connections;
mod document;
mod fleet;
mod live;
mod logins;
mod members;
mod table;
