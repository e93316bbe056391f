//! access-log
