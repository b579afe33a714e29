//! The forms that users and their scripts read.
